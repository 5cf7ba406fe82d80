"""What a learner got right, kept in a file: several writers, damage, and folders without room."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

import helpers
from helpers import logbook, runner
from helpers.bootstrap import StatusLine
from helpers.logbook import Entry

PLENTY = """
import sys
from helpers import logbook
logbook.LOCK_SECONDS = 60  # a busy machine
for number in range(1, 26):
    logbook.note(f"{sys.argv[1]}.{number}", passed=number % 2 == 0)
    logbook.note("00.1", passed=False)
assert not logbook.is_waiting()
"""
FOREVER = """
from helpers import logbook
while True:
    for number in range(1, 100):
        logbook.note(f"00.{number}", passed=False)
"""


@pytest.fixture
def place(monkeypatch, tmp_path):
    """Where the progress is kept in this test."""
    path = tmp_path / "curso" / "progresso.json"
    monkeypatch.setenv(logbook.VARIABLE, str(path))
    monkeypatch.setattr(logbook, "_waiting", [])
    return path


def entries():
    return logbook.read().entries


def start(program, *arguments):
    return subprocess.Popen([sys.executable, "-c", program, *arguments])


# --- what is kept ----------------------------------------------------------------------------


def test_tries_count_until_the_first_right_answer(place):
    for passed in (False, False, True, False, True):
        logbook.note("04.1", passed=passed)
    logbook.note("04.quiz.2", passed=True)
    assert entries() == {"04.1": Entry(3, True), "04.quiz.2": Entry(1, True)}


def test_nothing_but_numbers_is_kept(place):
    logbook.note("04.1", passed=True)
    kept = json.loads(place.read_text(encoding="utf-8"))
    assert set(kept) == {"format", "code", "entries"}
    assert kept["entries"] == {"04.1": {"tries": 1, "passed": True}}
    assert sorted(path.name for path in place.parent.glob("*.json")) == ["progresso.json"]


def test_the_code_stays_and_belongs_to_one_file(place, monkeypatch):
    logbook.note("04.1", passed=True)
    code = logbook.read().code
    logbook.note("04.2", passed=True)
    assert logbook.read().code == code
    monkeypatch.setenv(logbook.VARIABLE, str(place.with_name("outro.json")))
    logbook.note("04.1", passed=True)
    assert logbook.read().code != code


def test_exercises_are_written_down_but_not_their_stubs(place):
    exercise = helpers.exercise("00.3")
    assert exercise.check(...).status == "not_attempted"
    assert entries() == {}
    assert exercise.check(3).status == "wrong"
    assert exercise.check(9).status == "passed"
    assert entries() == {"00.3": Entry(2, True)}


def test_trouble_outside_the_answer_is_no_try(place, monkeypatch):
    def broken(*_):
        raise ConnectionError("o servidor não respondeu")

    exercise = helpers.exercise("00.3")
    monkeypatch.setattr(exercise, "_verify", broken)
    monkeypatch.setattr(exercise, "_gap", lambda answers: "")
    with pytest.raises(ConnectionError):
        exercise.check(9)
    assert entries() == {}


# --- where -----------------------------------------------------------------------------------


def test_the_file_is_in_the_courses_folder(monkeypatch, tmp_path):
    monkeypatch.delenv(logbook.VARIABLE)
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    assert logbook.path() == tmp_path / "progresso.json"


@pytest.mark.parametrize("chosen", ["off", "OFF", " off "])
def test_it_can_be_switched_off(monkeypatch, chosen):
    monkeypatch.setenv(logbook.VARIABLE, chosen)
    logbook.note("04.1", passed=True)
    assert logbook.path() is None
    assert entries() == {} and not logbook.is_waiting()


def test_tests_leave_the_learners_progress_alone():
    assert os.environ[logbook.VARIABLE] == logbook.OFF


def test_running_a_notebook_leaves_the_learners_progress_alone(place, tmp_path):
    source = 'import helpers\nassert helpers.exercise("00.3").check(9).status == "passed"'
    notebook = v4.new_notebook(cells=[v4.new_code_cell(source)])
    path = tmp_path / "99_respondido.ipynb"
    nbformat.write(notebook, path)
    runner.execute(notebook, path, StatusLine())
    assert not place.exists()


# --- several at once -------------------------------------------------------------------------


def test_kernels_that_write_at_once_lose_nothing(place):
    processes = [start(PLENTY, f"{number:02}") for number in range(1, 5)]
    assert [process.wait(60) for process in processes] == [0] * 4
    kept = entries()
    assert kept.pop("00.1") == Entry(100, False)
    assert kept == {
        f"{process:02}.{number}": Entry(1, number % 2 == 0)
        for process in range(1, 5)
        for number in range(1, 26)
    }


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
def test_a_kernel_killed_while_writing_spoils_nothing(place):
    for _ in range(3):
        process = start(FOREVER)
        deadline = time.monotonic() + 30
        before = place.stat().st_mtime_ns if place.exists() else 0
        while not place.exists() or place.stat().st_mtime_ns == before:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.05)
        process.kill()
        process.wait(20)
        assert json.loads(place.read_text(encoding="utf-8"))["entries"]
    logbook.note("04.1", passed=True)
    assert entries()["04.1"].passed and logbook.damaged_files() == []


# --- damage ----------------------------------------------------------------------------------

GOOD = {"format": 1, "code": "0123abcd", "entries": {"04.1": {"tries": 1, "passed": True}}}
DAMAGED = [
    b"",
    b"{",
    b"\xff\xfe\x00",
    b"[]",
    b"[" * 100_000,
    b'{"format": 2}',
    *(
        json.dumps(GOOD | change).encode()
        for change in (
            {"code": None},
            {"code": "../../etc"},
            {"entries": []},
            {"entries": {"../x": {"tries": 1, "passed": True}}},
            {"entries": {"04.1": True}},
            {"entries": {"04.1": {"tries": "1", "passed": True}}},
            {"entries": {"04.1": {"tries": True, "passed": True}}},
            {"entries": {"04.1": {"tries": 0, "passed": False}}},
            {"entries": {"04.1": {"tries": 1, "passed": "sim"}}},
        )
    ),
]


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_file_is_set_aside(place, content):
    place.parent.mkdir()
    place.write_bytes(content)
    logbook.note("04.2", passed=True)
    assert entries() == {"04.2": Entry(1, True)}
    (aside,) = logbook.damaged_files()
    assert aside.read_bytes() == content and aside.name == "progresso-danificado-1.json"


def test_a_second_damaged_file_does_not_replace_the_first(place):
    place.parent.mkdir()
    for content in (b"um", b"dois"):
        place.write_bytes(content)
        assert entries() == {}
    assert [path.read_bytes() for path in logbook.damaged_files()] == [b"um", b"dois"]


def test_a_good_file_is_read(place):
    place.parent.mkdir()
    place.write_text(json.dumps(GOOD), encoding="utf-8")
    assert logbook.read() == logbook.Log("0123abcd", {"04.1": Entry(1, True)})


# --- no room ---------------------------------------------------------------------------------


def under_a_file(tmp_path):
    (tmp_path / "arquivo").write_text("")
    return tmp_path / "arquivo" / "progresso.json"


def read_only(tmp_path):
    folder = tmp_path / "fechada"
    folder.mkdir()
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("the administrator writes everywhere")
    return folder / "progresso.json"


def without_a_lock(tmp_path):
    (tmp_path / "progresso.json.lock").mkdir()
    return tmp_path / "progresso.json"


@pytest.mark.parametrize("make", [under_a_file, read_only, without_a_lock])
def test_a_folder_without_room_never_breaks_a_check(monkeypatch, tmp_path, make):
    monkeypatch.setattr(logbook, "_waiting", [])
    monkeypatch.setenv(logbook.VARIABLE, str(make(tmp_path)))
    assert helpers.exercise("00.3").check(9).status == "passed"
    assert helpers.quiz("04").answer(1, "a").status in ("passed", "wrong")
    assert logbook.is_waiting()
    assert entries()["00.3"] == Entry(1, True)  # this session's still count
    monkeypatch.setenv(logbook.VARIABLE, str(tmp_path / "progresso-novo.json"))
    logbook.note("00.1", passed=True)
    assert not logbook.is_waiting()
    assert set(entries()) == {"00.1", "00.3", "04.quiz.1"}


def test_a_file_that_can_only_be_read_is_read(monkeypatch, tmp_path):
    monkeypatch.setattr(logbook, "_waiting", [])
    path = without_a_lock(tmp_path)
    path.write_text(json.dumps(GOOD), encoding="utf-8")
    monkeypatch.setenv(logbook.VARIABLE, str(path))
    assert logbook.read().code == "0123abcd"


def test_a_lock_that_is_held_does_not_hold_the_check(place, monkeypatch):
    monkeypatch.setattr(logbook, "LOCK_SECONDS", 0.1)
    place.parent.mkdir()
    with logbook._only_one(place):
        begin = time.monotonic()
        assert helpers.exercise("00.3").check(9).status == "passed"
        assert time.monotonic() - begin < 2
    logbook.note("00.1", passed=True)
    assert set(entries()) == {"00.1", "00.3"}


def test_no_course_folder_at_all(monkeypatch, tmp_path):
    monkeypatch.setattr(logbook, "_waiting", [])
    monkeypatch.delenv(logbook.VARIABLE)
    monkeypatch.setenv("COURSE_CACHE", str(under_a_file(tmp_path)))
    assert helpers.exercise("00.3").check(9).status == "passed"
    assert Path.cwd().exists()
