"""What a careless or ill-meaning learner sends to be kept: refused, and nothing else changes."""

import contextlib
import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from urllib.parse import urlsplit

import fuzzing
import pytest
import requests
import shapes
from fuzzing import check
from hypothesis import given
from hypothesis import strategies as st
from uploads_by_hand import LFS, Learner, described, large
from wire_server import token_for

from helpers.embedded.hub import cards
from helpers.embedded.hub.commits import LINE_LIMIT
from helpers.embedded.learners import Blobs, Limits
from helpers.embedded.store import FileInfo
from helpers.embedded.wire import WireError

REPOSITORY = "alvo"
CONTENTS = b"conteudo " * 200_000


@pytest.fixture(scope="module")
def learner(uploads):
    with Learner(uploads) as opened:
        opened.create(REPOSITORY)
        opened.commit(REPOSITORY, {"a.txt": b"a"})
        yield opened


@pytest.fixture
def unchanged(learner):
    """Expect the repository to stand where it stood."""
    before = learner.head(REPOSITORY)
    yield before
    assert learner.head(REPOSITORY) == before
    listed = learner.get(f"/api/models/{learner.name}/{REPOSITORY}/tree/main").json()
    assert [entry["path"] for entry in listed] == [".gitattributes", "a.txt"]


def expect(response, status, code=None):
    assert response.status_code == status, response.text
    shapes.check(shapes.ERROR, response.json())
    assert response.headers.get("X-Error-Code") == code
    assert "Traceback" not in response.text


# --- names and paths


@pytest.mark.contract(task="hub-uploads", client="requests", direction="error")
@pytest.mark.parametrize(
    "name",
    ["..", ".", "", "a/b", "../curso/x", "a--b", "a..b", "-a", "a.", "x.git", "a b", "ç", "a\\b"]
    + ["a\x00b", "a" * 97, "a%2fb", "C:"],
)
def test_names_that_no_repository_has(learner, name):
    expect(learner.request("POST", "/api/repos/create", json={"name": name}), 400)


@pytest.mark.contract(task="hub-uploads", client="requests", direction="error")
@pytest.mark.parametrize("namespace", ["curso", "Curso", "api", "datasets", "outra", "../aluna"])
def test_namespaces_that_are_not_ones_own(learner, namespace):
    body = {"name": "x", "organization": namespace}
    expect(learner.request("POST", "/api/repos/create", json=body), 403)


@pytest.mark.contract(task="hub-uploads", client="requests", direction="error")
@pytest.mark.parametrize("owner", ["curso", "api", "datasets", "con", "nul.txt"])
def test_tokens_whose_owner_has_no_namespace(uploads, owner):
    body, token = {"name": "x"}, token_for(uploads.cache, owner)
    headers = {"Authorization": f"Bearer {token}"}
    expect(uploads.post(f"{uploads.url}/api/repos/create", body, headers), 403)


@pytest.mark.contract(task="hub-uploads", client="requests", direction="error")
@pytest.mark.parametrize(
    "path",
    ["../fora.txt", "/etc/passwd", "a/../../fora", "a//b", "./a", ".git/config", "a/.GIT/b", ""]
    + ["a\\..\\b", "a\nb", "a\x00b", "a\u202eb", "\ud800", "p" * 1025, 7, None, "a.txt/b", "a/"],
)
def test_paths_that_lead_nowhere(learner, unchanged, path):
    value = {"path": path, "content": "YQ==", "encoding": "base64"}
    items = [*learner.lines({"antes.txt": b"nunca"}), {"key": "file", "value": value}]
    expect(learner.send_lines(REPOSITORY, items), 400)
    preupload = f"/api/models/{learner.name}/{REPOSITORY}/preupload/main"
    told = learner.request("POST", preupload, json={"files": [{"path": path, "size": 1}]})
    assert told.status_code == 400 or path == "a.txt/b"


@pytest.mark.contract(task="hub-uploads", client="requests", direction="answer")
def test_odd_names_never_reach_the_disk(uploads, learner):
    """Capitals, devices, a colon: what systems disagree about stands in no file name."""
    learner.create("estranho")
    odd = {"CON.txt": b"1", "con.txt": b"2", "a:b?*": b"3", "fim. ": b"4", "café☕.md": b"5"}
    learner.commit("estranho", odd)
    for path, contents in odd.items():
        quoted = requests.utils.quote(path)
        response = learner.get(f"/{learner.name}/estranho/resolve/main/{quoted}")
        assert response.content == contents
    kept = [path.name for path in (uploads.cache / "hub").rglob("*") if path.is_file()]
    assert all(name.replace(".", "").isalnum() and name.isascii() for name in kept)


@pytest.mark.contract(task="hub-uploads", client="requests", direction="error")
def test_names_that_differ_only_in_capitals_are_one(learner):
    learner.create("Letras")
    body = {"name": "letras"}
    response = learner.request("POST", "/api/repos/create", json=body)
    assert response.status_code == 409 and "already created" in response.json()["error"]


@pytest.mark.contract(task="hub-uploads", client="requests", direction="answer")
def test_an_uploaded_page_is_inert(learner):
    learner.create("pagina")
    learner.commit("pagina", {"index.html": b"<script>alert(1)</script>"})
    response = learner.get(f"/{learner.name}/pagina/resolve/main/index.html")
    assert "sandbox" in response.headers["Content-Security-Policy"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"


# --- commits


@pytest.mark.contract(task="hub-uploads", client="requests", direction="error")
@pytest.mark.parametrize(
    "line",
    [b"{", b"[]\n", b'{"key": "file"}\n', b'{"key": "nada", "value": {}}\n', b"\xff\xfe\n"]
    + [b'{"key":"file","value":{"path":"b","content":"???","encoding":"base64"}}\n']
    + [b'{"key":"file","value":{"path":"README.md","content":"---\\nlicense: [\\n---\\n"}}\n']
    + [b'{"key":"header","value":{"summary":"x","parentCommit":"main"}}\n']
    + [b'{"key":"header","value":{"summary":""}}\n', b"[" * 100_000 + b"\n"]
    + [json.dumps(large("b", "0" * 64, 5)).encode(), json.dumps(large("b", "..", 5)).encode()],
)
def test_commits_that_make_no_sense(learner, unchanged, line):
    items = [*learner.lines({"b.txt": b"nunca"}), line]
    expect(learner.send_lines(REPOSITORY, items), 400)


@pytest.mark.contract(task="hub-uploads", client="requests", direction="error")
def test_a_line_without_end(learner, unchanged):
    items = [*learner.lines({}), b"x" * (LINE_LIMIT + 2**20)]
    with contextlib.suppress(requests.ConnectionError):  # cut while it was still being sent
        expect(learner.send_lines(REPOSITORY, items), 413)


@pytest.mark.contract(task="hub-uploads", client="requests", direction="error")
def test_a_parent_that_is_no_longer_the_last_commit(learner):
    learner.create("corrida")
    first = learner.commit("corrida", {"a": b"1"})
    learner.commit("corrida", {"a": b"2"}, parentCommit=first)
    expect(learner.send_commit("corrida", {"a": b"3"}, parentCommit=first), 412)
    learner.commit("corrida", {"a": b"4"}, parentCommit=learner.head("corrida")[:7])


@pytest.mark.contract(task="hub-uploads", client="requests", direction="answer")
def test_commits_of_eight_threads_at_once(learner, uploads):
    """None is lost, none is half there, and the history is one line."""
    learner.create("juntos")

    def send(number):
        with Learner(uploads) as one:
            return one.commit("juntos", {f"{number}/{part}.txt": b"x" * number for part in "abc"})

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(send, range(8)))
    commits = learner.get(f"/api/models/{learner.name}/juntos/commits/main").json()
    assert sorted(commit["id"] for commit in commits[:-1]) == sorted(made)
    sizes = []
    for commit in commits:
        address = f"/api/models/{learner.name}/juntos/tree/{commit['id']}?recursive=true"
        sizes.append(sum(entry["type"] == "file" for entry in learner.get(address).json()))
    assert sizes == list(range(25, 0, -3))


@pytest.mark.contract(task="hub-uploads", client="requests", direction="error")
def test_one_of_eight_wins_when_all_name_the_same_parent(learner, uploads):
    learner.create("disputa")
    parent = learner.head("disputa")

    def send(number):
        with Learner(uploads) as one:
            body = {"a.txt": str(number).encode()}
            return one.send_commit("disputa", body, parentCommit=parent).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(send, range(8))) == [200] + [412] * 7


# --- large files


@pytest.mark.contract(task="hub-uploads", client="requests", direction=("request", "answer"))
def test_a_large_file_by_hand(learner):
    learner.create("grande")
    told = learner.batch("grande", described(CONTENTS)).json()["objects"][0]
    sent = requests.put(told["actions"]["upload"]["href"], data=CONTENTS, timeout=30)
    assert sent.status_code == 200 and sent.headers["ETag"]
    verify = told["actions"]["verify"]["href"].removeprefix(learner.server.url)
    assert learner.request("POST", verify, json=described(CONTENTS)).status_code == 200
    assert "actions" not in learner.batch("grande", described(CONTENTS)).json()["objects"][0]
    items = [*learner.lines({}), large("pesos.bin", **described(CONTENTS))]
    assert learner.send_lines("grande", items).status_code == 200
    response = learner.get(f"/{learner.name}/grande/resolve/main/pesos.bin")
    assert response.content == CONTENTS
    assert response.headers["ETag"] == f'"{described(CONTENTS)["oid"]}"'


@pytest.mark.contract(task="hub-uploads", client="requests", direction="error")
@pytest.mark.parametrize("sent", [CONTENTS[:-1], CONTENTS + b"x", b"X" + CONTENTS[1:], b""])
@pytest.mark.parametrize("in_chunks", [False, True])
def test_a_large_file_that_is_not_what_was_announced(learner, unchanged, sent, in_chunks):
    expected = b"outro" + CONTENTS[5:]
    body = iter([sent]) if in_chunks else sent
    try:
        expect(requests.put(learner.address(REPOSITORY, expected), data=body, timeout=30), 400)
    except requests.ConnectionError:
        assert len(sent) != len(expected)  # cut while it was still being sent
    items = [*learner.lines({}), large("b.bin", **described(expected))]
    expect(learner.send_lines(REPOSITORY, items), 400)


@pytest.mark.contract(task="hub-uploads", client="requests", direction="error")
@pytest.mark.parametrize(
    "change",
    [
        lambda url: url.replace("size=", "size=1"),
        lambda url: url.replace("expires=", "expires=9"),
        lambda url: url.replace("signature=", "signature=0"),
        lambda url: url.replace("/uploads/aluna/", "/uploads/outra/"),
        lambda url: url.replace("/uploads/aluna/", "/uploads/..%2faluna/"),
        lambda url: url.split("?")[0],
        lambda url: url.replace("size=", "size=%C2%B2"),
    ],
)
def test_an_address_that_was_not_signed(learner, unchanged, change):
    url = change(learner.address(REPOSITORY, b"assinado " * 100))
    response = requests.put(url, data=b"assinado " * 100, timeout=30)
    assert response.status_code in (403, 404)


@pytest.mark.contract(task="hub-uploads", client="requests", direction="error")
def test_what_another_learner_sent_is_not_had_by_naming_it(learner, uploads):
    secret = b"segredo " * 1000
    learner.create("dela", private=True)
    requests.put(learner.address("dela", secret), data=secret, timeout=30)
    with Learner(uploads, token_for(uploads.cache, "curiosa")) as other:
        other.create("minha")
        items = [*other.lines({}), large("b.bin", **described(secret))]
        expect(other.send_lines("minha", items), 400)
        path = f"/{learner.name}/dela.git/info/lfs/objects/batch"
        body = json.dumps({"operation": "upload", "objects": [described(secret)]})
        expect(other.request("POST", path, data=body, headers=LFS), 404, "RepoNotFound")


@pytest.mark.contract(task="hub-uploads", client="requests", direction="error")
def test_files_beyond_the_limits(learner, unchanged):
    too_large = {"oid": "0" * 64, "size": Limits().file + 1}
    response = learner.batch(REPOSITORY, too_large)
    expect(response, 413)
    assert "at most 1000 MB" in response.json()["error"]
    fitting = [{"oid": f"{number:064x}", "size": Limits().file} for number in range(5)]
    response = learner.batch(REPOSITORY, *fitting)
    expect(response, 413)
    assert "Delete a repository first" in response.json()["error"]
    preupload = f"/api/models/{learner.name}/{REPOSITORY}/preupload/main"
    body = {"files": [{"path": "modelo.safetensors", "size": Limits().file + 1}]}
    response = learner.request("POST", preupload, json=body)
    expect(response, 413)
    assert response.headers["X-Error-Message"].startswith("File too large: modelo.safetensors")


@pytest.mark.contract(task="hub-uploads", client="requests", direction="error")
def test_a_huge_header(learner, unchanged):
    connection = HTTPConnection(urlsplit(learner.server.url).netloc, timeout=30)
    path = f"/api/models/{learner.name}/{REPOSITORY}/commit/main"
    connection.putrequest("POST", path)
    connection.putheader("X-Muito", "a" * 300_000)
    try:
        connection.endheaders()
        assert connection.getresponse().status in (400, 431)
    except (ConnectionError, BrokenPipeError):
        pass
    finally:
        connection.close()


def test_a_room_that_is_full_is_told_before_and_while_it_fills(tmp_path, monkeypatch):
    blobs = Blobs(tmp_path, Limits(file=100, learner=250))
    for number in range(2):
        blobs.add(bytes([number]) * 100)
    with pytest.raises(WireError, match="413.*Delete a repository first"):
        blobs.add(b"x" * 100)
    assert blobs.add(b"\0" * 50).size == 50
    with pytest.raises(WireError, match="413.*at most 100 bytes"):
        blobs.add(b"x" * 101)
    nothing_left = shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr("shutil.disk_usage", lambda _: nothing_left)
    with pytest.raises(WireError, match="507.*disk of the embedded Hub is full"):
        Blobs(tmp_path / "outro", Limits()).add(b"x")


@pytest.mark.parametrize("full", ["/dev/full"])
def test_a_disk_that_fills_up(tmp_path, full):
    blobs = Blobs(tmp_path, Limits())
    with blobs.receive() as incoming:
        incoming._file.close()
        incoming._file = open(full, "wb", buffering=0)  # noqa: SIM115 - closed by receive()
        with pytest.raises(WireError, match="507.*disk of the embedded Hub is full"):
            incoming.write(b"x")
    assert list((tmp_path / "incoming").iterdir()) == []


def test_contents_are_kept_once_and_only_if_they_are_what_was_said(tmp_path):
    blobs = Blobs(tmp_path, Limits())
    kept = blobs.add(b"um")
    assert blobs.add(b"um") == kept == FileInfo(2, hashlib.sha256(b"um").hexdigest())
    assert blobs.total() == 2
    with pytest.raises(WireError, match="400"), blobs.receive() as incoming:
        incoming.write(b"dois")
        incoming.keep(kept)
    assert blobs.total() == 2 and list((tmp_path / "incoming").iterdir()) == []


def test_room_is_free_again_once_a_repository_is_deleted(learner, uploads):
    learner.create("passageiro")
    learner.create("outro")
    own, shared = b"so daqui " * 1000, b"dos dois " * 1000
    learner.commit("passageiro", {"a": own, "b": shared})
    learner.commit("outro", {"b": shared})
    places = [
        uploads.cache / "hub" / learner.name / "blobs" / oid[:2] / oid
        for oid in (described(own)["oid"], described(shared)["oid"])
    ]
    assert [place.exists() for place in places] == [True, True]
    body = {"name": "passageiro"}
    assert learner.request("DELETE", "/api/repos/delete", json=body).status_code == 200
    assert [place.exists() for place in places] == [False, True]
    assert learner.get(f"/{learner.name}/outro/resolve/main/b").content == shared


# --- cards


@pytest.mark.contract(task="hub-uploads", client="requests", direction=("answer", "error"))
@pytest.mark.parametrize(
    ("card", "kind", "sentence"),
    [
        ("---\nlicense: mit\n---\n", "model", None),
        ("# sem nada", "model", None),
        ("---\nlicense: [\n---\n", "model", "YAML Metadata Error"),
        ("---\n- um\n- dois\n---\n", "model", '"metadata" must be of type object'),
        ("---\nlicense: 3\n---\n", "model", '"license" must be a string'),
        ("---\ntags: [a, {b: c}]\n---\n", "dataset", '"tags" must be a string or an array'),
        ("---\na: &x [1]\nb: *x\n---\n", "model", "Aliases are not allowed"),
        ("---\ntitle: Oi\n---\n", "space", '"sdk" must be one of'),
        ("---\nsdk: gradio\ncolorFrom: azul\n---\n", "space", '"colorFrom" must be one of'),
        ("---\na: " + "[" * 5000 + "\n---\n", "model", "YAML Metadata Error"),
        ("---\na: " + "x" * 300_000 + "\n---\n", "model", "too long"),
    ],
)
def test_cards_are_checked(uploads, card, kind, sentence):
    body = {"content": card, "repoType": kind}
    response = uploads.post(f"{uploads.url}/api/validate-yaml", body, headers={"X": "y"})
    errors = [error["message"] for error in response.json()["errors"]]
    if sentence is None:
        assert response.status_code == 200 and errors == []
    else:
        assert response.status_code == 400 and any(sentence in error for error in errors)


def test_a_card_that_cannot_be_sent_as_json_is_no_ones_trouble(tmp_path):
    card = tmp_path / "README.md"
    card.write_text('---\na: .nan\n2020-01-01: "\\ud800"\n? [b]\n: c\n---\n', encoding="utf-8")
    assert json.dumps(cards.header(card), allow_nan=False).encode()


# --- whatever comes

names = st.sampled_from(["name", "organization", "type", "private", "sdk", "path", "size", "oid"])
fields = st.dictionaries(names | fuzzing.words, fuzzing.junk, max_size=5)
lists = st.dictionaries(
    st.sampled_from(["files", "objects", "operation", "content"]),
    fuzzing.junk | st.lists(fields, max_size=3) | st.just("upload"),
    max_size=3,
)
lines = st.lists(
    st.fixed_dictionaries(
        {
            "key": st.sampled_from(["header", "file", "lfsFile", "deletedFile", "deletedFolder"]),
            "value": fields
            | st.fixed_dictionaries({"path": fuzzing.words, "content": fuzzing.words}),
        }
    )
    | fuzzing.junk,
    max_size=4,
)
TRIALS = fuzzing.trials(fuzzing.examples(by_default=40))


@TRIALS
@given(
    body=fields | lists | fuzzing.junk,
    route=st.sampled_from(
        [
            ("POST", "/api/repos/create"),
            ("DELETE", "/api/repos/delete"),
            ("POST", "/api/validate-yaml"),
            ("POST", "/api/models/curiosa/alvo/preupload/main"),
            ("POST", "/curiosa/alvo.git/info/lfs/objects/batch"),
            ("POST", "/curiosa/alvo.git/info/lfs/objects/verify"),
            ("PUT", "/api/models/curiosa/alvo/settings"),
            ("POST", "/api/models/curiosa/alvo/branch/ramo"),
            ("POST", "/api/models/curiosa/alvo/tag/main"),
        ]
    ),
)
@pytest.mark.contract(task="hub-uploads", client="requests", direction="error")
def test_odd_bodies(curious, body, route):
    method, path = route
    headers = {"Content-Type": "application/json"}
    sent = fuzzing.encoded(body)
    response = curious.request(method, path, data=sent, headers=headers)
    if path != "/api/validate-yaml":
        check(response)
    assert response.status_code < 500


@TRIALS
@given(items=lines)
@pytest.mark.contract(task="hub-uploads", client="requests", direction="error")
def test_odd_commits(curious, items):
    sent = [fuzzing.encoded(item) + b"\n" for item in items]
    check(curious.send_lines("alvo", [*curious.lines({}), *sent]))
    listed = curious.get("/api/models/curiosa/alvo/tree/main")
    assert listed.status_code == 200


@pytest.fixture(scope="module")
def curious(uploads):
    with Learner(uploads, token_for(uploads.cache, "curiosa")) as opened:
        opened.create("alvo")
        yield opened
