"""What a learner has already got right, kept in one small file on their own machine.

The file is ``progresso.json`` in the course's folder (see ``helpers.environment.cache_folder``).
The environment variable ``COURSE_PROGRESS`` names another file; ``off`` keeps none, which is how
the tests and ``python -m helpers run`` leave the learner's own alone. It holds the numbers of the
exercises and questions answered, how many tries each took, and a random code that tells two files
apart: nothing about the person or the machine.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from helpers.environment import cache_folder
from helpers.errors import CourseError

VARIABLE = "COURSE_PROGRESS"
OFF = "off"
FILE = "progresso.json"
DAMAGED = "progresso-danificado-{number}.json"
FORMAT = 1
LOCK_SECONDS = 2.0
"""How long an answer waits for another notebook that is writing its own."""

_ID = re.compile(r"\d\d\.(?:quiz\.)?\d{1,2}")
_CODE = re.compile(r"[0-9a-f]{8}")

_waiting: list[tuple[str, bool]] = []
"""Answers that could not be written yet; they go with the next one."""


@dataclass(frozen=True)
class Entry:
    """How one exercise or question went.

    Attributes:
        tries: answers given until it was right; those after that do not count.
        passed: whether it was ever right.
    """

    tries: int = 0
    passed: bool = False

    def after(self, passed: bool) -> Entry:
        """Return this entry after one more answer."""
        return self if self.passed else Entry(self.tries + 1, passed)


@dataclass(frozen=True)
class Log:
    """All that is kept.

    Attributes:
        code: eight random hexadecimal digits, drawn when the file was made.
        entries: how each exercise (``"04.1"``) and question (``"04.quiz.1"``) went.
    """

    code: str = field(default_factory=lambda: secrets.token_hex(4))
    entries: dict[str, Entry] = field(default_factory=dict)

    def after(self, answers: list[tuple[str, bool]]) -> Log:
        """Return this log with more answers in it."""
        entries = dict(self.entries)
        for name, passed in answers:
            entries[name] = entries.get(name, Entry()).after(passed)
        return replace(self, entries=entries)


class Unreadable(ValueError):
    """The contents are not a log."""


def path() -> Path | None:
    """Return where the progress is kept; None when it is switched off.

    Raises:
        CourseError: if the course's folder cannot be made.
    """
    chosen = os.environ.get(VARIABLE, "").strip()
    if chosen.lower() == OFF:
        return None
    return Path(chosen).expanduser().absolute() if chosen else cache_folder() / FILE


def note(name: str, *, passed: bool) -> None:
    """Write down an answer. Never fails: what cannot be written waits for the next answer.

    Args:
        name: number of the exercise, or of the question: ``"04.1"``, ``"04.quiz.1"``.
        passed: whether the answer was right.
    """
    try:
        place = path()
        if place is None:
            return
        _waiting.append((name, passed))
        with _only_one(place):
            _write(place, _load(place).after(_waiting))
        _waiting.clear()
    except (CourseError, ImportError, OSError):
        pass  # The answer matters more than its record; `is_waiting` tells.


def read() -> Log:
    """Return what is kept, with what still waits to be written.

    Raises:
        CourseError: if the course's folder cannot be made.
    """
    place = path()
    kept = Log()
    if place is not None:
        try:
            with _only_one(place):
                kept = _load(place)
        except OSError:  # A folder that can be read, but has no room for a lock.
            kept = _load_as_it_is(place)
    return kept.after(_waiting)


def is_waiting() -> bool:
    """Whether answers of this session could not be written."""
    return bool(_waiting)


def damaged_files() -> list[Path]:
    """Return the files that were set aside because they could not be read."""
    place = path()
    return sorted(place.parent.glob(DAMAGED.format(number="*"))) if place else []


def parse_entries(found: Any) -> dict[str, Entry]:
    """Return the entries of a log or of a report, checked one by one.

    Raises:
        Unreadable: if they are not entries.
    """
    if not isinstance(found, dict):
        raise Unreadable("no entries")
    return {_checked_name(name): _entry(value) for name, value in found.items()}


def plain_entries(log: Log) -> dict[str, dict[str, Any]]:
    """Return the entries as they are written in a file, in order."""
    return {
        name: {"tries": entry.tries, "passed": entry.passed}
        for name, entry in sorted(log.entries.items())
    }


def checked_code(found: Any) -> str:
    """Return a log's code.

    Raises:
        Unreadable: if it is not one.
    """
    if not isinstance(found, str) or not _CODE.fullmatch(found):
        raise Unreadable("no code")
    return found


def _checked_name(name: str) -> str:
    if not _ID.fullmatch(name):
        raise Unreadable(name)
    return name


def _entry(value: Any) -> Entry:
    tries, passed = (value.get("tries"), value.get("passed")) if isinstance(value, dict) else (0, 0)
    if type(tries) is not int or type(passed) is not bool or tries < 1:
        raise Unreadable("bad entry")
    return Entry(tries, passed)


@contextmanager
def _only_one(place: Path) -> Iterator[None]:
    """Keep other notebooks from writing meanwhile.

    Raises:
        OSError: if the folder cannot be written to, or another notebook takes too long.
    """
    from filelock import FileLock

    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{place}.lock").acquire(timeout=LOCK_SECONDS, poll_interval=0.01):
        yield


def _load(place: Path) -> Log:
    """Read the file; one that cannot be understood is set aside, and a new one begins."""
    try:
        return _parsed(place.read_bytes())
    except FileNotFoundError:
        return Log()
    except Unreadable:
        _set_aside(place)
        return Log()


def _load_as_it_is(place: Path) -> Log:
    try:
        return _parsed(place.read_bytes())
    except (OSError, Unreadable):
        return Log()


def _parsed(content: bytes) -> Log:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Unreadable("not JSON") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise Unreadable("not a log")
    return Log(checked_code(found.get("code")), parse_entries(found.get("entries")))


def _set_aside(place: Path) -> None:
    number = 1
    while (aside := place.with_name(DAMAGED.format(number=number))).exists():
        number += 1
    os.replace(place, aside)


def _write(place: Path, log: Log) -> None:
    """Write the file whole or not at all."""
    content = {"format": FORMAT, "code": log.code, "entries": plain_entries(log)}
    temporary = place.with_name(f".{place.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave an empty file
        os.replace(temporary, place)
    finally:
        temporary.unlink(missing_ok=True)
