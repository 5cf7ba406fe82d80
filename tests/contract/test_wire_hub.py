"""The Hub's endpoints, with plain requests and with the real clients."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests
import shapes

from helpers.embedded import store

MODEL = "curso/e5-pt-en"
KNOWN = ["curso/e5-pt-en", "curso/qa-pt", "curso/smollm2-135m-instruct"]
SESSIONS = Path(__file__).parent / "client_sessions"


def get(server, path, **options):
    return requests.get(f"{server.url}{path}", timeout=120, **options)


def run_client(server, tmp_path, name):
    """Run a script with the real clients in a process of its own, as a learner's kernel would."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": server.url,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_TOKEN": server.token,
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    environment.pop("HF_HUB_OFFLINE", None)
    done = subprocess.run(
        [sys.executable, str(SESSIONS / name), server.url, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


# --- listings


def test_list_has_every_model_of_the_catalog(server):
    models = get(server, "/api/models").json()
    shapes.check(shapes.list_of(shapes.MODEL_SUMMARY), models)
    assert [model["id"] for model in models] == KNOWN


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("author=curso", KNOWN),
        ("author=ninguem", []),
        ("search=E5", ["curso/e5-pt-en"]),
        ("pipeline_tag=question-answering", ["curso/qa-pt"]),
        ("filter=sentence-similarity", ["curso/e5-pt-en"]),
        ("filter=safetensors&filter=text-generation", ["curso/smollm2-135m-instruct"]),
        ("filter=safetensors,text-generation", ["curso/smollm2-135m-instruct"]),
        ("inference_provider=hf-inference", KNOWN),
        ("inference_provider=together", []),
        ("gated=true", []),
        ("sort=id&direction=1", KNOWN),
        ("sort=id", KNOWN[::-1]),
        ("sort=downloads&limit=2", KNOWN[:2]),
    ],
)
def test_list_filters_and_sorts(server, query, expected):
    assert [model["id"] for model in get(server, f"/api/models?{query}").json()] == expected


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


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=abc", "sort=beleza", "cursor=%25%25", "cursor=zz"]
)
def test_list_refuses_nonsense(server, query):
    response = get(server, f"/api/models?{query}")
    assert response.status_code == 400
    shapes.check(shapes.ERROR, response.json())


@pytest.mark.parametrize("kind", ["datasets", "spaces"])
def test_other_kinds_are_empty(server, kind):
    assert get(server, f"/api/{kind}").json() == []
    paths = [f"/api/{kind}/a/b", f"/api/{kind}/a/b/tree/main", f"/{kind}/a/b/resolve/main/x.json"]
    for path in paths:
        response = get(server, path)
        assert response.status_code == 404
        assert response.headers["X-Error-Code"] == "RepoNotFound"


def test_agent_registry_is_absent(server):
    assert get(server, "/api/agent-harnesses").status_code == 404


# --- one repository


@pytest.mark.parametrize("model_id", KNOWN)
def test_info_describes_the_built_files(server, model_id):
    info = get(server, f"/api/models/{model_id}").json()
    shapes.check(shapes.MODEL_INFO, info)
    manifest = store.manifest(model_id)
    assert info["sha"] == manifest.commit
    assert [sibling["rfilename"] for sibling in info["siblings"]] == sorted(manifest.files)
    assert get(server, f"/api/models/{model_id}/revision/{info['sha']}").json() == info


def test_info_with_blobs_and_expand(server):
    siblings = get(server, f"/api/models/{MODEL}?blobs=true").json()["siblings"]
    files = store.manifest(MODEL).files
    assert {s["rfilename"]: s["size"] for s in siblings} == {p: f.size for p, f in files.items()}
    weights = next(s for s in siblings if s["rfilename"] == "model.safetensors")
    assert weights["lfs"]["sha256"] == files["model.safetensors"].sha256
    expanded = get(server, f"/api/models/{MODEL}?expand=safetensors&expand=gated").json()
    assert set(expanded) == {"_id", "id", "safetensors", "gated"}


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


@pytest.mark.parametrize(
    "path",
    [
        "../qa-pt/config.json",
        "..%2F..%2F..%2Fsecret",
        "%2e%2e/%2e%2e/secret",
        "/etc/passwd",
        "a%00b",
    ],
)
def test_no_path_leaves_the_repository(server, path):
    url = f"{server.url}/{MODEL}/resolve/main/{path}"
    with requests.Session() as session:  # the prepared URL keeps the dots
        request = session.prepare_request(requests.Request("GET", url))
        request.url = url
        assert session.send(request, timeout=30).status_code == 404


# --- files


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


def test_range_beyond_the_end(server):
    url = f"{server.url}/{MODEL}/resolve/main/config.json"
    response = requests.get(url, headers={"Range": "bytes=99999999-"}, timeout=30)
    assert response.status_code == 416


# --- the real clients


def test_huggingface_hub(server, tmp_path):
    seen = run_client(server, tmp_path, "hub.py")
    files = store.manifest(MODEL).files
    assert seen["whoami"] == "aluna"
    assert seen["models"] == KNOWN
    assert seen["limited"] == KNOWN[:1]
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
    assert seen["datasets"] == []
    assert seen["bad_token"] == 401


def test_transformers(server, tmp_path):
    seen = run_client(server, tmp_path, "transformers_by_id.py")
    expected = server.ask().json()
    assert seen["answer"]["answer"] == expected["answer"] == "Marcundes"
    assert seen["answer"]["score"] == pytest.approx(expected["score"], abs=1e-4)
    assert seen["commit"] == store.manifest("curso/qa-pt").commit
