"""What a learner has got right, as a table, and as a page that a teacher can collect."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

from helpers import logbook, quizzes
from helpers.display import Table, table
from helpers.errors import CourseError
from helpers.exercises import exercises_of
from helpers.logbook import Entry
from helpers.messages import text
from helpers.quizzes.questions import notebooks

MARKER = "curso-hf-progresso-1"
"""What tells a report from any other page."""

LONGEST_NAME = 80
TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
_SEAL = "<!-- conferência: {digest} -->\n"

STYLE = """
body { font-family: system-ui, sans-serif; line-height: 1.5; margin: 2rem auto; padding: 0 1rem;
  max-width: 60rem; color: #1a1a1a; background: #fff }
table { border-collapse: collapse; margin: 1rem 0 }
caption { text-align: left; font-weight: 600; padding: .3rem 0 }
th, td { border-bottom: 1px solid #767676; padding: .25rem .7rem; text-align: left }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .8rem }
.wide { overflow-x: auto }
"""


@dataclass(frozen=True)
class Tally:
    """How much of a notebook is done.

    Attributes:
        notebook: its two digits.
        title: its title.
        direct: exercises of level "direto" passed, and how many there are.
        hard: the same for "desafio".
        quiz: questions answered right at some point, and how many there are.
        first: questions answered right at the first try.
    """

    notebook: str
    title: str
    direct: tuple[int, int]
    hard: tuple[int, int]
    quiz: tuple[int, int]
    first: int

    @property
    def exercises(self) -> tuple[int, int]:
        """Exercises of both levels passed, and how many there are."""
        return self.direct[0] + self.hard[0], self.direct[1] + self.hard[1]


@dataclass(frozen=True)
class Progress:
    """The table of what is done, and what there is to say about it.

    Attributes:
        tallies: one for each notebook.
        notes: sentences.
    """

    tallies: tuple[Tally, ...]
    notes: tuple[str, ...] = ()

    @property
    def table(self) -> Table:
        """One row for each notebook, and one for all."""
        everything = _sum(self.tallies)
        return table(
            [_row(tally) for tally in (*self.tallies, everything)],
            caption=text("progress.caption"),
            row_headers=True,
        )

    def __repr__(self) -> str:
        return "\n".join([repr(self.table), *self.notes])

    def _repr_html_(self) -> str:
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return self.table._repr_html_() + notes


@dataclass(frozen=True)
class Written:
    """A report that was written.

    Attributes:
        path: the file.
    """

    path: Path

    def __repr__(self) -> str:
        return text("report.written", name=self.path.name)


def progress() -> Progress:
    """Show what has been got right so far, notebook by notebook.

    Raises:
        CourseError: if the course's folder cannot be made.
    """
    return Progress(tuple(tally(logbook.read().entries)), tuple(_notes()))


def report(name: str = "", folder: str | Path = ".") -> Written:
    """Write the progress to a page that can be handed in.

    Nothing about the person or the machine goes in, but the name if one is given.

    Args:
        name: who hands it in; a nickname or a number does as well.
        folder: where to write; by default the notebook's.

    Returns:
        The new file; one that exists is never written over.

    Raises:
        CourseError: if the progress is switched off, or the page cannot be written.
    """
    if logbook.path() is None:
        raise CourseError(text("progress.off"))
    who = clean_name(name)
    log = logbook.read()
    page = render(who, log, datetime.now().strftime(TIME_FORMAT))
    stem = "-".join(["progresso", *words_of(who)[:6]])
    try:
        return Written(write_new(Path(folder).expanduser(), stem, ".html", page.encode()))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CourseError(text("report.cannot_write", reason=reason)) from error


def tally(entries: Mapping[str, Entry]) -> Iterator[Tally]:
    """Count what is done in each notebook.

    Args:
        entries: how each exercise and question went.
    """
    for notebook in notebooks():
        quiz = quizzes.quiz(notebook)
        answers = [entries.get(question.id, Entry()) for question in quiz.questions]
        levels = {
            level: [
                entries.get(exercise.id, Entry()).passed
                for exercise in exercises_of(notebook)
                if exercise.level == level
            ]
            for level in ("direto", "desafio")
        }
        yield Tally(
            notebook,
            quiz.title,
            direct=(sum(levels["direto"]), len(levels["direto"])),
            hard=(sum(levels["desafio"]), len(levels["desafio"])),
            quiz=(sum(answer.passed for answer in answers), len(answers)),
            first=sum(answer.passed and answer.tries == 1 for answer in answers),
        )


def render(name: str, log: logbook.Log, written: str) -> str:
    """Return a report: a page that people read, with the data that a program reads, sealed.

    Args:
        name: who hands it in; may be empty.
        log: what is kept.
        written: the date and time.
    """
    from helpers import __version__

    data = {
        "report": MARKER,
        "course_version": __version__,
        "name": name,
        "code": log.code,
        "written": written,
        "entries": logbook.plain_entries(log),
    }
    shown = Progress(tuple(tally(log.entries)))
    body = "\n".join(
        [
            f"<h1>{escape(text('report.title'))}</h1>",
            f"<p>{escape(_who(name, log.code, written, __version__))}</p>",
            shown._repr_html_(),
            f"<p>{escape(text('report.about'))}</p>",
            f"<details><summary>{escape(text('report.data'))}</summary>",
            f'<pre id="dados">{escape(json.dumps(data, ensure_ascii=False, indent=1))}</pre>',
            "</details>",
        ]
    )
    return sealed(page(text("report.title"), body, kind=MARKER))


def page(title: str, body: str, kind: str) -> str:
    """Return a whole page, without scripts and without anything from elsewhere.

    Args:
        title: the page's title.
        body: what it shows, as HTML.
        kind: what tells programs which page it is.
    """
    return (
        '<!doctype html>\n<html lang="pt-BR">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="generator" content="{kind}">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def sealed(content: str) -> str:
    """Add the last line, with a digest of all that comes before.

    It shows an edit made by accident. It proves nothing: anyone can compute another.
    """
    return content + _SEAL.format(digest=_digest(content))


def seal_of(content: str) -> bool | None:
    """Tell whether a report is as it was written; None if its last line is missing."""
    plain = content.replace("\r\n", "\n").rstrip() + "\n"
    before, found, last = plain.rpartition("<!-- conferência: ")
    if not found or not re.fullmatch(r"[0-9a-f]{64} -->\n", last):
        return None
    return last[:64] == _digest(before)


def clean_name(name: str) -> str:
    """Return a name on one line, without what cannot be seen, and not too long."""
    letters = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in str(name))
    return " ".join(letters.split())[:LONGEST_NAME].strip()


def words_of(name: str) -> list[str]:
    """Return a name's words in plain small letters and digits, as a file's name takes them."""
    letters = unicodedata.normalize("NFKD", name.lower())
    plain = "".join(char for char in letters if not unicodedata.combining(char))
    return re.findall(r"[a-z0-9]+", plain)


def write_new(folder: Path, stem: str, ending: str, content: bytes) -> Path:
    """Write a file under a name that is not taken yet.

    Args:
        folder: where.
        stem: the name; a number is added if it is taken.
        ending: such as ``.html``.
        content: the file's bytes.

    Raises:
        OSError: if it cannot be written.
    """
    number = 1
    while True:
        path = folder / (stem + (f"-{number}" if number > 1 else "") + ending)
        try:
            with path.open("xb") as file:
                file.write(content)
        except FileExistsError:
            number += 1
        else:
            return path


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def _row(tally: Tally) -> dict[str, Any]:
    def of(pair: tuple[int, int]) -> str:
        return text("progress.of", done=pair[0], total=pair[1])

    return {
        text("progress.notebook"): f"{tally.notebook} {tally.title}".strip(),
        text("progress.direct"): of(tally.direct),
        text("progress.hard"): of(tally.hard),
        text("progress.quiz"): of(tally.quiz),
        text("progress.first"): tally.first,
    }


def _sum(tallies: tuple[Tally, ...]) -> Tally:
    def both(name: str) -> tuple[int, int]:
        pairs = [getattr(tally, name) for tally in tallies]
        return sum(done for done, _ in pairs), sum(total for _, total in pairs)

    first = sum(tally.first for tally in tallies)
    return Tally("", text("progress.all"), both("direct"), both("hard"), both("quiz"), first)


def _notes() -> Iterator[str]:
    place = logbook.path()
    if place is None:
        yield text("progress.off")
        return
    if logbook.is_waiting():
        yield text("progress.not_written", folder=_from_home(place.parent))
    else:
        yield text("progress.where", path=_from_home(place))
    for damaged in logbook.damaged_files():
        yield text("progress.damaged", name=damaged.name)


def _from_home(path: Path) -> str:
    """Write a path without the user's name, which a published notebook would show."""
    try:
        return f"~/{path.relative_to(Path.home()).as_posix()}"
    except (ValueError, RuntimeError):  # elsewhere, or no home at all
        return str(path)


def _who(name: str, code: str, written: str, version: str) -> str:
    when = datetime.strptime(written, TIME_FORMAT).strftime("%d/%m/%Y, %H:%M")
    who = name or text("report.nameless")
    return text("report.who", who=who, code=code, written=when, version=version)
