"""The folder for a USB drive: what it holds, what it leaves behind, and that it works elsewhere."""

import json
import os
import subprocess
import sys

import pytest

from helpers import carry
from helpers.bootstrap import ROOT
from helpers.embedded import store
from helpers.embedded.catalog import repositories
from helpers.errors import CourseError
from tests import caches

SMALL = "curso/perguntas-pt"  # a dataset of a few kilobytes


@pytest.fixture
def small_cache(tmp_path, monkeypatch):
    """A cache with one built repository, and with what belongs to its owner."""
    small = next(repository for repository in repositories() if repository.id == SMALL)
    monkeypatch.setattr(carry, "repositories", lambda: [small])
    caches.share("wheels", tmp_path)
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    store.ensure(SMALL)
    for name in ("secret", "progresso.json", "server.json"):
        (tmp_path / name).write_text("só meu", encoding="utf-8")
    (tmp_path / "hub").mkdir()
    return tmp_path


@pytest.fixture
def small_course(tmp_path):
    course = tmp_path / "course"
    (course / "helpers").mkdir(parents=True)
    (course / "helpers" / "__init__.py").write_text("", encoding="utf-8")
    for name in (".git", ".venv", "executed", "helpers/__pycache__"):
        (course / name).mkdir()
        (course / name / "file").write_text("x", encoding="utf-8")
    return course


def contents(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_it_holds_the_course_and_what_is_built_and_nothing_personal(
    small_cache, small_course, tmp_path
):
    target = tmp_path / "usb"
    assert carry.main(target, libraries=False, root=small_course) == 0
    found = contents(target)
    assert {name for name in found if name.startswith("curso/")} == {"curso/helpers/__init__.py"}
    cached = {name.split("/")[1] for name in found if name.startswith("cache/")}
    assert cached == {"datasets", "wheels"}
    assert any(name.endswith("sphinx_revealjs-3.2.1-py3-none-any.whl") for name in found)
    readme = (target / "LEIA-ME.txt").read_text("utf-8-sig")
    assert "set COURSE_CACHE=%CD%\\cache" in readme and "não traz as bibliotecas" in readme


def test_another_machine_finds_it_built_with_no_network(small_cache, small_course, tmp_path):
    target = tmp_path / "usb"
    carry.main(target, libraries=False, root=small_course)
    carry.main(target, libraries=False, root=small_course)  # a second time brings up to date
    home = tmp_path / "home"
    home.mkdir()
    program = f"from helpers.embedded import store; print(store.is_built({SMALL!r}), "
    program += f"store.verify({SMALL!r})); from helpers import slides; slides.fetch()"
    environment = os.environ | {"HOME": str(home), "COURSE_CACHE": str(target / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment | {"PIP_NO_INDEX": "1", "PYTHONPATH": _with_root()},
        capture_output=True,
        text=True,
        cwd=home,
    )
    assert done.stdout == "True []\n", done.stderr


def _with_root():
    return os.pathsep.join([os.environ["PYTHONPATH"], str(ROOT)])


def test_a_folder_inside_the_course_is_refused(small_cache, small_course):
    with pytest.raises(CourseError, match="dentro da pasta do curso"):
        carry.main(small_course / "usb", root=small_course)
    assert not (small_course / "usb").exists()


def test_libraries_that_cannot_be_fetched_are_a_sentence(
    small_cache, small_course, tmp_path, monkeypatch
):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    (small_course / "requirements.txt").write_text("no-such-package-at-all\n", encoding="utf-8")
    (small_course / "constraints.txt").write_text("", encoding="utf-8")
    with pytest.raises(CourseError, match="--no-libraries"):
        carry.main(tmp_path / "usb", root=small_course)


@pytest.mark.slow
def test_notebook_00_runs_from_the_folder_alone(tmp_path):
    """Another home, the course and the cache of the folder, the network denied."""
    target, home = tmp_path / "usb", tmp_path / "home"
    home.mkdir()
    carry.main(target, libraries=False)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COURSE_")}
    denied = str(ROOT / "tests" / "network_denied")
    environment = kept | {
        "HOME": str(home),
        "COURSE_CACHE": str(target / "cache"),
        "COURSE_MODE": "auto",
        "PYTHONPATH": os.pathsep.join([denied, str(target / "curso")]),
    }
    done = subprocess.run(
        [sys.executable, "-m", "helpers", "run", "00"],
        env=environment,
        cwd=target / "curso",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    copy = target / "curso" / "executed" / "00_comece_aqui.ipynb"
    assert "Marcundes" in json.dumps(json.loads(copy.read_text("utf-8"))["cells"])
    assert not (home / ".cache" / "curso-hf").exists()
