"""The Hub's endpoints, with plain requests and with the real clients."""

from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
import requests
import shapes
from client_runs import run_client

from helpers.embedded import store
from helpers.embedded.catalog import KINDS, repositories
from helpers.embedded.hub import descriptions

MODEL = "curso/e5-pt-en"
IDS = {
    f"{kind}s": [repository.id for repository in repositories() if repository.kind == kind]
    for kind in KINDS
}
KNOWN = IDS["models"]
BUILT = {"models": MODEL, "datasets": "curso/perguntas-pt", "spaces": "curso/pergunte-ao-texto"}
FILES = {
    "models": f"/{MODEL}/resolve/main/",
    "datasets": "/datasets/curso/perguntas-pt/resolve/main/",
    "spaces": "/spaces/curso/pergunte-ao-texto/resolve/main/",
}
ALL_LISTS = tuple(f"hub-{kind}" for kind in IDS)
each_kind = pytest.mark.parametrize("kind", IDS)


def get(server, path, **options):
    return requests.get(f"{server.url}{path}", timeout=120, **options)


# --- listings


SUMMARIES = {
    "models": shapes.MODEL_SUMMARY,
    "datasets": shapes.DATASET_SUMMARY,
    "spaces": shapes.SPACE_SUMMARY,
}
INFOS = {
    "models": shapes.MODEL_INFO,
    "datasets": shapes.DATASET_INFO,
    "spaces": shapes.SPACE_INFO,
}


@pytest.mark.contract(task=ALL_LISTS, client="requests", direction="answer")
@each_kind
def test_list_has_every_repository_of_the_catalog(server, kind):
    listed = get(server, f"/api/{kind}").json()
    shapes.check(shapes.list_of(SUMMARIES[kind], minItems=1), listed)
    assert [item["id"] for item in listed] == IDS[kind]


@pytest.mark.contract(task="hub-models", client="requests", direction="request")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("author=curso", KNOWN),
        ("author=ninguem", []),
        ("search=E5-", ["curso/e5-pt-en"]),
        ("search=qa&search=pt", ["curso/qa-pt"]),
        ("pipeline_tag=question-answering", ["curso/qa-pt"]),
        ("filter=sentence-similarity", ["curso/e5-pt-en"]),
        ("filter=safetensors&filter=question-answering", ["curso/qa-pt"]),
        ("filter=safetensors,question-answering", ["curso/qa-pt"]),
        ("filter=license:cc-by-sa-4.0&filter=pt", ["curso/qa-pt"]),
        ("filter=license:gpl-2.0", []),
        ("inference_provider=together", []),
        ("gated=true", []),
        ("gated=false", KNOWN),
        ("sort=id&direction=1", sorted(KNOWN)),
        ("sort=id", sorted(KNOWN, reverse=True)),
        ("sort=likes", KNOWN),
        ("sort=trendingScore&direction=-1", KNOWN),
        ("sort=downloads&limit=2", KNOWN[:2]),
    ],
)
def test_list_filters_and_sorts(server, query, expected):
    assert [model["id"] for model in get(server, f"/api/models?{query}").json()] == expected


@pytest.mark.contract(task=ALL_LISTS, client="requests", direction="request")
@each_kind
@pytest.mark.parametrize("key", ["lastModified", "createdAt"])
def test_list_sorts_by_date(server, kind, key):
    for direction, newest_first in (("-1", True), ("1", False)):
        query = f"sort={key}&direction={direction}&expand={key}"
        dates = [item[key] for item in get(server, f"/api/{kind}?{query}").json()]
        assert dates == sorted(dates, reverse=newest_first)


@pytest.mark.contract(task=ALL_LISTS, client="requests", direction="request")
@each_kind
def test_list_shows_more_when_asked(server, kind):
    brief, full = (get(server, f"/api/{kind}{query}").json()[0] for query in ("", "?full=True"))
    assert "cardData" not in brief and brief.items() <= full.items() and len(brief) < len(full)
    with_card = get(server, f"/api/{kind}?cardData=true").json()[0]
    assert with_card["cardData"]["license"]
    expanded = get(server, f"/api/{kind}?expand=likes&expand[]=cardData").json()[0]
    assert set(expanded) == {"_id", "id", "likes", "cardData"}


@pytest.mark.contract(task="hub-models", client="requests", direction=("request", "answer"))
def test_list_pages_through_link_headers(server):
    response, seen = get(server, "/api/models?limit=1&author=curso"), []
    while True:
        seen += [model["id"] for model in response.json()]
        following = response.links.get("next")
        if following is None:
            break
        assert "author=curso" in following["url"]
        response = requests.get(following["url"], timeout=30)
    assert seen == KNOWN


@pytest.mark.contract(task="hub-models", client="requests", direction="error")
@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=abc", "sort=beleza", "cursor=%25%25", "cursor=zz"]
    + ["num_parameters=min:1B", "apps=ollama"],
)
def test_list_refuses_nonsense_and_what_it_does_not_know(server, query):
    response = get(server, f"/api/models?{query}")
    assert response.status_code == 400
    shapes.check(shapes.ERROR, response.json())


@pytest.mark.contract(task=ALL_LISTS, client="requests", direction="error")
@each_kind
def test_a_repository_is_of_one_kind_only(server, kind):
    for other in IDS.keys() - {kind}:
        paths = [f"/api/{other}/{BUILT[kind]}{end}" for end in ("", "/tree/main", "/refs")]
        paths.append(FILES[other].replace(BUILT[other], BUILT[kind]) + "README.md")
        for path in paths:
            response = get(server, path)
            assert response.status_code == 404
            assert response.headers["X-Error-Code"] == "RepoNotFound"


@pytest.mark.contract(task="hub-models", client="requests", direction="error")
def test_agent_registry_is_absent(server):
    assert get(server, "/api/agent-harnesses").status_code == 404


# --- one repository


@pytest.mark.contract(task=ALL_LISTS, client="requests", direction="answer")
@each_kind
def test_info_describes_the_built_files(server, kind):
    repo_id = BUILT[kind]
    info = get(server, f"/api/{kind}/{repo_id}").json()
    shapes.check(INFOS[kind], info)
    manifest = store.manifest(repo_id)
    assert info["sha"] == manifest.commit
    assert info["usedStorage"] == sum(file.size for file in manifest.files.values())
    assert [sibling["rfilename"] for sibling in info["siblings"]] == sorted(manifest.files)
    for revision in (info["sha"], info["sha"][:7], "main", "refs%2Fheads%2Fmain"):
        assert get(server, f"/api/{kind}/{repo_id}/revision/{revision}").json() == info


@pytest.mark.contract(task=ALL_LISTS, client="requests", direction="answer")
@each_kind
def test_refs_and_commits_agree_with_info(server, kind):
    repo = f"{server.url}/api/{kind}/{BUILT[kind]}"
    commit = store.manifest(BUILT[kind]).commit
    refs = requests.get(f"{repo}/refs", timeout=30).json()
    assert [branch["targetCommit"] for branch in refs["branches"]] == [commit]
    commits = requests.get(f"{repo}/commits/main", timeout=30).json()
    assert [item["id"] for item in commits] == [commit]


@pytest.mark.contract(
    task=ALL_LISTS,
    client="requests",
    direction=("answer", "error"),
)
@each_kind
def test_anyone_may_read_and_nobody_may_write(server, kind):
    check = f"/api/{kind}/{BUILT[kind]}/auth-check"
    assert get(server, check).status_code == 200
    for headers, status in (({}, 401), (server.headers, 403)):
        refused = get(server, f"{check}/write", headers=headers)
        assert refused.status_code == status
        shapes.check(shapes.ERROR, refused.json())
    assert get(server, f"/api/{kind}/curso/nada/auth-check").status_code == 404


@pytest.mark.contract(task="hub-models", client="requests", direction="request")
def test_security_status_says_that_nothing_was_scanned(server):
    info = get(server, f"/api/models/{MODEL}?securityStatus=true").json()
    assert info["securityRepoStatus"] == {"scansDone": False, "filesWithIssues": []}


@pytest.mark.contract(task="hub-models", client="requests", direction="request")
def test_info_with_blobs_and_expand(server):
    siblings = get(server, f"/api/models/{MODEL}?blobs=true").json()["siblings"]
    files = store.manifest(MODEL).files
    assert {s["rfilename"]: s["size"] for s in siblings} == {p: f.size for p, f in files.items()}
    weights = next(s for s in siblings if s["rfilename"] == "model.safetensors")
    assert weights["lfs"]["sha256"] == files["model.safetensors"].sha256
    expanded = get(server, f"/api/models/{MODEL}?expand=safetensors&expand=gated").json()
    assert set(expanded) == {"_id", "id", "safetensors", "gated"}


@pytest.mark.contract(task="hub-files", client="requests", direction=("request", "answer"))
def test_tree_and_paths_info(server):
    tree = get(server, f"/api/models/{MODEL}/tree/main?recursive=true&expand=true").json()
    shapes.check(shapes.TREE, tree)
    files = store.manifest(MODEL).files
    assert {e["path"] for e in tree if e["type"] == "file"} == set(files)
    assert all("lastCommit" in entry for entry in tree)
    top = get(server, f"/api/models/{MODEL}/tree/main").json()
    assert {e["path"] for e in top} == {path.split("/")[0] for path in files}
    named = requests.post(
        f"{server.url}/api/models/{MODEL}/paths-info/main",
        json={"paths": ["config.json", "nada.txt"]},
        timeout=30,
    ).json()
    assert [entry["path"] for entry in named] == ["config.json"]


@pytest.mark.contract(task=("hub-models", "hub-files"), client="requests", direction="error")
@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/api/models/curso/nada", "RepoNotFound"),
        ("/api/models/gpt2", "RepoNotFound"),
        ("/gpt2/resolve/main/config.json", "RepoNotFound"),
        (f"/api/models/{MODEL}/revision/v9", "RevisionNotFound"),
        (f"/api/models/{MODEL}/revision/refs%2Fpr%2F1", "RevisionNotFound"),
        (f"/api/models/{MODEL}/tree/main/nada", "EntryNotFound"),
        (f"/{MODEL}/resolve/{'0' * 40}/config.json", "RevisionNotFound"),
        (f"/{MODEL}/resolve/main/nada.json", "EntryNotFound"),
        (f"/{MODEL}/resolve/main/.manifest.json", "EntryNotFound"),
    ],
)
def test_what_is_missing_has_the_hubs_error_code(server, path, code):
    for method in ("GET", "HEAD"):
        response = requests.request(method, f"{server.url}{path}", timeout=60)
        assert response.status_code == 404
        assert response.headers["X-Error-Code"] == code


OUTSIDE = [
    "../qa-pt/config.json",
    "../../../../secret",
    "..%2F..%2F..%2F..%2Fsecret",
    "%2e%2e/%2e%2e/%2e%2e/%2e%2e/secret",
    "%252e%252e%252fsecret",
    "..%5C..%5C..%5C..%5Csecret",
    "..\\..\\..\\..\\secret",
    "/etc/passwd",
    "%2Fetc%2Fpasswd",
    "C:%5CWindows%5Cwin.ini",
    "a%00b",
    "config.json%00.md",
    "README.md/",
    "./README.md",
    ".manifest.json",
    "%2emanifest.json",
    "~/.ssh/id_rsa",
    "%ff%fe",
]


def send_raw(server, path):
    """Ask for a path exactly as it is written: no client tidies it up."""
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    connection.request("GET", path)
    response = connection.getresponse()
    contents = response.read()
    connection.close()
    return response.status, contents


@pytest.mark.contract(task="hub-files", client="requests", direction="error")
@each_kind
@pytest.mark.parametrize("path", OUTSIDE)
def test_no_file_path_leaves_the_repository(server, wire_cache, kind, path):
    status, contents = send_raw(server, FILES[kind] + path)
    assert status == 404
    assert (wire_cache / "secret").read_bytes() not in contents


@pytest.mark.contract(task=ALL_LISTS, client="requests", direction="error")
@each_kind
@pytest.mark.parametrize("path", OUTSIDE)
def test_no_other_path_parameter_does_either(server, wire_cache, kind, path):
    addresses = [
        f"/api/{kind}/{path}",
        f"/api/{kind}/{BUILT[kind]}/revision/{path}",
        f"/api/{kind}/{BUILT[kind]}/tree/{path}",
        f"/api/{kind}/{BUILT[kind]}/tree/main/x/{path}",
        FILES[kind].replace("main", path) + "README.md",
        FILES[kind].replace(BUILT[kind], path) + "README.md",
    ]
    for address in addresses:
        status, contents = send_raw(server, address)
        assert status == 404, address
        assert (wire_cache / "secret").read_bytes() not in contents
    body = {"paths": [path, requests.utils.unquote(path)]}
    named = f"{server.url}/api/{kind}/{BUILT[kind]}/paths-info/main"
    found = requests.post(named, json=body, timeout=30).json()
    assert {entry["path"] for entry in found} <= {"README.md"}  # "README.md/" is that file


# --- files


@pytest.mark.contract(task="hub-files", client="requests", direction="answer")
def test_resolve_sends_the_file_and_its_headers(server):
    url = f"{server.url}/{MODEL}/resolve/main/config.json"
    contents = (store.ensure(MODEL) / "config.json").read_bytes()
    response, head = requests.get(url, timeout=30), requests.head(url, timeout=30)
    assert response.content == contents
    for answer in (response, head):
        assert answer.headers["X-Repo-Commit"] == store.manifest(MODEL).commit
        assert int(answer.headers["Content-Length"]) == len(contents)
        assert answer.headers["ETag"].strip('"')
    assert head.content == b""
    unchanged = requests.get(url, headers={"If-None-Match": head.headers["ETag"]}, timeout=30)
    assert unchanged.status_code == 304


@pytest.mark.contract(task="hub-files", client="requests", direction="request")
@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("bytes=0-99", slice(0, 100)),
        ("bytes=100-", slice(100, None)),
        ("bytes=-50", slice(-50, None)),
        ("bytes=0-999999999999", slice(0, None)),
    ],
)
def test_ranges(server, asked, expected):
    contents = (store.ensure(MODEL) / "tokenizer.json").read_bytes()
    url = f"{server.url}/{MODEL}/resolve/main/tokenizer.json"
    response = requests.get(url, headers={"Range": asked}, timeout=30)
    assert response.status_code == 206
    assert response.content == contents[expected]
    assert response.headers["Content-Range"].endswith(f"/{len(contents)}")


@pytest.mark.contract(task="hub-files", client="requests", direction="error")
def test_range_beyond_the_end(server):
    url = f"{server.url}/{MODEL}/resolve/main/config.json"
    response = requests.get(url, headers={"Range": "bytes=99999999-"}, timeout=30)
    assert response.status_code == 416


# --- the real clients


@pytest.mark.contract(
    task=("hub-models", "hub-files", "whoami"),
    client="HfApi",
    direction=("request", "answer", "error"),
)
def test_huggingface_hub(server, tmp_path):
    seen = run_client(server, tmp_path, "hub.py")
    files = store.manifest(MODEL).files
    assert seen["whoami"] == "aluna"
    assert seen["models"] == KNOWN
    assert seen["limited"] == KNOWN[:1]
    assert seen["security"] == {"scansDone": False, "filesWithIssues": []}
    assert seen["info"]["sha"] == store.manifest(MODEL).commit
    assert seen["info"]["task"] == "feature-extraction"
    assert seen["files"] == seen["snapshot"] == sorted(files)
    assert seen["config_is_equal"] and seen["licence"] == "mit"
    assert seen["parameters"] > 30_000_000
    assert seen["exists"] == [True, False, True, False]
    assert seen["missing"] == [
        "RemoteEntryNotFoundError",
        "RepositoryNotFoundError",
        "RevisionNotFoundError",
    ]
    assert seen["datasets"] == IDS["datasets"]
    assert seen["spaces"] == IDS["spaces"]
    assert seen["auth_check"] == ["no error", "RepositoryNotFoundError"]
    assert seen["bad_token"] == 401


@pytest.mark.contract(task=("hub-models", "hub-files"), client="transformers", direction="answer")
def test_transformers(server, tmp_path):
    seen = run_client(server, tmp_path, "transformers_by_id.py")
    expected = server.ask().json()
    assert seen["answer"]["answer"] == expected["answer"] == "Marcundes"
    assert seen["answer"]["score"] == pytest.approx(expected["score"], abs=1e-4)
    assert seen["commit"] == store.manifest("curso/qa-pt").commit


@pytest.mark.parametrize(
    "repository", [r for r in repositories() if r.kind == "model"], ids=lambda r: r.id
)
@pytest.mark.contract(task="hub-models", client="HfApi", direction="answer")
def test_a_model_is_described_alike_before_and_after_it_is_built(repository, server):
    before = descriptions.summary(repository)
    after = requests.get(f"{server.url}/api/models/{repository.id}", timeout=120).json()
    expected = {key: value for key, value in before.items() if value is not None}
    assert {key: after[key] for key in expected} == expected
