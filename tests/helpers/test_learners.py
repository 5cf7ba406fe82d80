"""Learners' repositories on disk, and their models in the server's memory."""

import json

import pytest

from helpers.embedded.hub import model_files
from helpers.embedded.hub.snapshots import About, Snapshot
from helpers.embedded.inference import LEARNERS_MODELS, Residents
from helpers.embedded.learners import (
    Add,
    Delete,
    Learners,
    Limits,
    loading,
    names,
    repositories,
)
from helpers.embedded.store import FileInfo
from helpers.embedded.wire import WireError


@pytest.fixture
def learners(tmp_path):
    return Learners(tmp_path / "hub", Limits(), frozenset({"curso"}))


def model(name, weights, tmp_path):
    """A model whose weights and card are said, and are never loaded here."""
    files = {"model.safetensors": FileInfo(1, weights * 64), "README.md": FileInfo(1, weights * 64)}
    return Snapshot(About(f"aluna/{name}", "model"), "c", "", "", files, lambda path: tmp_path)


def load(folder):
    raise AssertionError("nothing is loaded before the first call")


def test_a_worker_stays_until_the_weights_change(tmp_path):
    residents = Residents(load)
    first = residents.learners_worker(model("a", "0", tmp_path), load)
    again = model("a", "0", tmp_path)
    again.files["README.md"] = FileInfo(1, "f" * 64)
    assert residents.learners_worker(again, load) is first
    assert residents.learners_worker(model("a", "1", tmp_path), load) is not first
    with pytest.raises(RuntimeError):  # it was let go, and its thread ends
        first.submit(lambda _: None)


def test_few_models_of_learners_are_in_memory(tmp_path):
    residents = Residents(load)
    workers = [
        residents.learners_worker(model(str(number), "0", tmp_path), load)
        for number in range(LEARNERS_MODELS + 1)
    ]
    assert residents.learners_worker(model("1", "0", tmp_path), load) is workers[1]
    assert residents.learners_worker(model("0", "0", tmp_path), load) is not workers[0]
    residents.forget("aluna/1")
    assert residents.learners_worker(model("1", "0", tmp_path), load) is not workers[1]


def test_a_repository_goes_through_its_commits(learners):
    own = learners.namespace("aluna")
    made = own.create("model", "Meu-Modelo", private=False, files={"a": b"1"})
    add = Add("pasta/b", own.blobs.add(b"2"))
    second = made.change("main", [add], title="b", author="aluna")
    third = made.change("main", [Delete("pasta", is_folder=True)], title="c", author="aluna")
    assert made.change("main", [], title="nada", author="aluna") == third
    found = learners.find("model", "aluna/Meu-Modelo")
    assert [one.id for one in found.history(found.commit("main"))][:2] == [third.id, second.id]
    assert list(found.commit(second.id[:8]).files) == ["a", "pasta/b"]
    assert list(found.commit("refs/heads/main").files) == ["a"]
    for other in ("aluna/meu-modelo", "Aluna/Meu-Modelo", "Meu-Modelo", "outra/Meu-Modelo"):
        assert learners.find("model", other) is None
    assert learners.find("dataset", "aluna/Meu-Modelo") is None


def test_a_damaged_repository_hides_no_other(learners, tmp_path):
    own = learners.namespace("aluna")
    for name in ("um", "dois", "tres"):
        own.create("model", name, private=False, files={"a": b"1"})
    folder = tmp_path / "hub" / "aluna"
    (folder / "models--um" / "repository.json").write_text("{", encoding="utf-8")
    (next((folder / "models--dois" / "commits").iterdir())).write_text("[]", encoding="utf-8")
    repositories._kept_commit.cache_clear()
    assert [one.exists.id for one in learners.repositories("model")] == ["aluna/tres"]
    own.create("model", "um", private=False, files={"a": b"2"})


def test_nobody_is_the_course(learners):
    for name in ("curso", "CURSO", "..", "", "con", "a/b", None):
        assert learners.namespace(name) is None


@pytest.mark.parametrize("name", ["v1", "release/1.0", "ramo-novo"])
def test_names_of_branches(name):
    assert names.check_revision(name) == name


@pytest.mark.parametrize(
    "name", ["", "a//b", "../a", "a b", "refs/pr/1", "0" * 40, "abcdef0", ".a", "a.lock", "x" * 201]
)
def test_names_that_no_branch_has(name):
    with pytest.raises(WireError, match="Invalid reference name"):
        names.check_revision(name)


def test_only_what_loading_needs_is_laid_out(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    sent = ["config.json", "model.safetensors", "vocab.txt", "modeling.py", "pytorch_model.bin"]
    sent += ["sub/config.json", "con:.json", "a b.json", "training_args.bin"]
    (tmp_path / "contents").write_bytes(b"{}")
    files = {path: FileInfo(2, "0" * 64) for path in sent}
    snapshot = Snapshot(
        About("aluna/x", "model"), "c", "", "", files, lambda path: tmp_path / "contents"
    )
    with loading.folder(snapshot) as folder:
        assert sorted(path.name for path in folder.iterdir()) == sorted(sent[:3])
    assert not folder.exists()


@pytest.mark.parametrize(
    ("config", "weights"),
    [
        (b'{"architectures": "BertModel", "model_type": 3}', b"nada"),
        (b'{"architectures": ["\\ud800"]}', b"\xff" * 16),
        (
            b"[" * 100_000,
            b"\x40" + b"\0" * 7 + b'{"a": {"dtype": "F32", "shape": ["x"]}}' + b" " * 30,
        ),
        (b'{"architectures": [["a"]]}', b"\x02" + b"\0" * 7 + b"[]"),
    ],
)
def test_files_that_are_not_what_they_should_be_say_nothing(tmp_path, config, weights):
    for name, contents in (("config.json", config), ("model.safetensors", weights)):
        (tmp_path / name).write_bytes(contents)
    files = dict.fromkeys(("config.json", "model.safetensors"), FileInfo(1, "0" * 64))
    snapshot = Snapshot(About("aluna/x", "model"), "c", "", "", files, lambda path: tmp_path / path)
    read = model_files.read(snapshot)
    assert json.dumps([dict(read.config), read.safetensors, read.task]) == "[{}, null, null]"
