"""Many reports into one table: ``python -m helpers class-report FOLDER``.

A class hands in what `helpers.report` wrote. Files that are not as they should be become sentences.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from html import escape, unescape
from pathlib import Path
from statistics import fmean
from typing import Any

from helpers import __version__, logbook, reports
from helpers.display import Chart, bars, number, table
from helpers.errors import CourseError
from helpers.exercises import exercises_of
from helpers.logbook import Entry
from helpers.messages import text
from helpers.quizzes.questions import notebooks
from helpers.reports import Tally

MOST_BYTES = 1_000_000
"""A report has a few thousand bytes; what is much larger is something else."""

STEM = "turma"
CLASS_MARKER = "curso-hf-turma-1"
HARDEST = 8
"""Exercises listed as those that took the most tries."""

_DATA = re.compile(r'<pre id="dados">(.*?)</pre>', flags=re.DOTALL)


@dataclass(frozen=True)
class Handed:
    """A report that was handed in.

    Attributes:
        file: the file's name, from the folder on.
        name: as it was typed; may be empty.
        code: tells one learner's progress from another's.
        version: the course's.
        written: date and time.
        entries: how each exercise and question went.
        is_intact: whether the file is as it was written.
    """

    file: str
    name: str
    code: str
    version: str
    written: datetime
    entries: dict[str, Entry] = field(repr=False)
    is_intact: bool

    @property
    def label(self) -> str:
        """What the tables call it."""
        who = self.name or text("class_report.nameless", code=self.code)
        return who if self.is_intact else text("class_report.altered_label", who=who)

    @property
    def tallies(self) -> list[Tally]:
        """What is done in each notebook."""
        return list(reports.tally(self.entries))


class _Odd(Exception):
    """A file that is no report; the sentence is for the teacher."""


def main(folder: Path, output: Path | None = None) -> int:
    """Read the reports in a folder and write the class's table.

    Args:
        folder: where the reports are; its folders are searched too.
        output: where the results go; by default the same folder.

    Returns:
        0, once there was at least one report.

    Raises:
        CourseError: if there is no such folder, no report in it, or no room for the results.
    """
    if not folder.is_dir():
        raise CourseError(text("class_report.no_folder", folder=folder))
    handed, odd = collect(folder)
    for sentence in odd:
        print(f"- {sentence}")
    if not handed:
        raise CourseError(text("class_report.none", folder=folder))
    try:
        where = output or folder
        where.mkdir(parents=True, exist_ok=True)
        sheet = reports.write_new(where, STEM, ".csv", as_csv(handed).encode("utf-8-sig"))
        page = reports.write_new(where, STEM, ".html", as_page(handed, odd).encode())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CourseError(text("class_report.cannot_write", reason=reason)) from error
    print(text("class_report.written", count=len(handed), page=page, sheet=sheet))
    return 0


def collect(folder: Path) -> tuple[list[Handed], list[str]]:
    """Read every file in a folder and in its folders.

    Args:
        folder: where the reports are.

    Returns:
        One report for each learner, by name; and a sentence for each thing that is odd.
    """
    found: list[Handed] = []
    odd: list[str] = []
    for path in sorted(path for path in folder.rglob("*") if _is_candidate(path, folder)):
        try:
            found.append(read(path, path.relative_to(folder).as_posix()))
        except _Odd as problem:
            odd.append(str(problem))
    kept, repeated = _one_each(found)
    odd += [*_remarks(kept), *repeated, *_namesakes(kept)]
    return sorted(kept, key=lambda one: (_folded(one.label), one.file)), odd


def read(path: Path, name: str) -> Handed:
    """Read one report.

    Args:
        path: the file.
        name: what to call it.

    Raises:
        _Odd: if it is not a report, or not a whole one.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise _Odd(text("class_report.not_a_report", file=name))
        content = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise _Odd(text("class_report.unreadable", file=name)) from error
    except UnicodeDecodeError as error:
        raise _Odd(text("class_report.not_a_report", file=name)) from error
    if reports.MARKER not in content:
        raise _Odd(text("class_report.not_a_report", file=name))
    data = _DATA.search(content)
    seal = reports.seal_of(content)
    if data is None or seal is None:
        raise _Odd(text("class_report.broken", file=name))
    try:
        return _parsed(json.loads(unescape(data[1])), name, seal)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _Odd(text("class_report.broken", file=name)) from error


def as_csv(handed: Sequence[Handed]) -> str:
    """Return the class as a table for a spreadsheet: one row for each learner.

    Args:
        handed: the reports.
    """
    lines = io.StringIO()
    writer = csv.writer(lines, delimiter=";", lineterminator="\r\n")
    columns = ["name", "code", "version", "written", "seal"]
    header = [text(f"class_report.column_{name}") for name in columns]
    for notebook in notebooks():
        for name in ("exercises", "quiz", "first"):
            header.append(f"{notebook} {text(f'class_report.column_{name}')}")
    writer.writerow(header)
    for one in handed:
        seal = text("class_report.intact" if one.is_intact else "class_report.altered_cell")
        row = [_harmless(one.name), one.code, _harmless(one.version)]
        row += [one.written.strftime("%Y-%m-%d %H:%M"), seal]
        for tally in one.tallies:
            row += [str(tally.exercises[0]), str(tally.quiz[0]), str(tally.first)]
        writer.writerow(row)
    return lines.getvalue()


def as_page(handed: Sequence[Handed], odd: Sequence[str]) -> str:
    """Return the class as a page: the plot, the tables and what was odd.

    Args:
        handed: the reports.
        odd: the sentences.
    """
    intact = [one for one in handed if one.is_intact]
    parts = [f"<h1>{escape(text('class_report.title'))}</h1>"]
    parts.append(f"<p>{escape(text('class_report.summary', count=len(handed)))}</p>")
    if intact:
        parts.append(plot(intact)._repr_mimebundle_()["text/html"])
    for kind in ("exercises", "quiz"):
        caption = text(f"class_report.table_{kind}")
        shown = table(_rows(handed, kind), caption=caption, row_headers=True)
        region = f'<div class="wide" role="region" tabindex="0" aria-label="{escape(caption)}">'
        parts.append(f"{region}{shown._repr_html_()}</div>")
    if hardest := _hardest(intact):
        caption = text("class_report.hardest")
        shown = table(hardest, digits=1, caption=caption, row_headers=True)
        parts.append(shown._repr_html_())
    if odd:
        sentences = "".join(f"<li>{escape(sentence)}</li>" for sentence in odd)
        parts.append(f"<h2>{escape(text('class_report.odd'))}</h2><ul>{sentences}</ul>")
    parts.append(f"<p>{escape(text('class_report.honest'))}</p>")
    return reports.page(text("class_report.title"), "\n".join(parts), kind=CLASS_MARKER)


def plot(handed: Sequence[Handed]) -> Chart:
    """Draw, for each notebook, how much of it the class got right.

    Args:
        handed: the reports that count.
    """
    lessons = list(zip(*(one.tallies for one in handed), strict=True))
    exercises = [_percent([tally.exercises for tally in tallies]) for tallies in lessons]
    first = [_percent([(tally.first, tally.quiz[1]) for tally in tallies]) for tallies in lessons]
    labels = notebooks()
    series = {text("class_report.exercises"): exercises, text("class_report.first_try"): first}
    title = text("class_report.plot", count=len(handed))
    chart = bars(labels, series, title=title, unit="%", digits=0)
    told = "; ".join(
        text(
            "class_report.plot_notebook",
            notebook=label,
            exercises=number(done, 0),
            quiz=number(right, 0),
        )
        for label, done, right in zip(labels, exercises, first, strict=True)
    )
    return replace(chart, alt=text("class_report.plot_alt", title=title, notebooks=told))


# --- reading ----------------------------------------------------------------------------------


def _is_candidate(path: Path, folder: Path) -> bool:
    """Whether a file is worth reading: not hidden, and not one that we wrote."""
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.relative_to(folder).parts)
    return not hidden and path.is_file() and not _is_ours(path)


def _is_ours(path: Path) -> bool:
    if not re.fullmatch(rf"{STEM}(-\d+)?\.(csv|html)", path.name):
        return False
    if path.suffix == ".csv":
        return True
    try:
        return CLASS_MARKER.encode() in path.read_bytes()
    except OSError:
        return False


def _parsed(data: Any, file: str, is_intact: bool) -> Handed:
    if data["report"] != reports.MARKER:
        raise ValueError("another kind of report")
    name, version = data["name"], data["course_version"]
    if not isinstance(name, str) or not isinstance(version, str):
        raise TypeError("not texts")
    return Handed(
        file,
        reports.clean_name(name),
        logbook.checked_code(data["code"]),
        reports.clean_name(version),
        datetime.strptime(data["written"], reports.TIME_FORMAT),
        logbook.parse_entries(data["entries"]),
        is_intact,
    )


def _folded(name: str) -> str:
    """Return a name as people compare it: without capitals, accents and double spaces."""
    return "-".join(reports.words_of(name))


def _one_each(found: Sequence[Handed]) -> tuple[list[Handed], list[str]]:
    """Keep one report of each learner: an intact one if there is, and the latest."""
    groups: dict[tuple[str, str], list[Handed]] = {}
    for one in found:
        groups.setdefault((one.code, _folded(one.name)), []).append(one)
    kept, sentences = [], []
    for group in groups.values():
        group.sort(key=lambda one: (one.is_intact, one.written, one.file))
        kept.append(group[-1])
        if len(group) > 1:
            others = ", ".join(sorted(one.file for one in group[:-1]))
            sentences.append(text("class_report.repeated", kept=group[-1].file, others=others))
    return kept, sentences


def _remarks(kept: Sequence[Handed]) -> Iterator[str]:
    for one in kept:
        if not one.is_intact:
            yield text("class_report.altered", file=one.file)
        if one.version != __version__:
            yield text(
                "class_report.other_version", file=one.file, version=one.version, ours=__version__
            )


def _namesakes(kept: Sequence[Handed]) -> Iterator[str]:
    """Tell of names with several codes, and of codes with several names."""
    names = Counter(_folded(one.name) for one in kept if one.name)
    codes = Counter(one.code for one in kept)
    for name, times in sorted(names.items()):
        if times > 1:
            same = [one for one in kept if _folded(one.name) == name]
            files = ", ".join(one.file for one in same)
            yield text("class_report.same_name", name=same[0].name, files=files)
    for code, times in sorted(codes.items()):
        if times > 1:
            files = ", ".join(one.file for one in kept if one.code == code)
            yield text("class_report.same_code", code=code, files=files)


# --- showing ----------------------------------------------------------------------------------


def _rows(handed: Sequence[Handed], kind: str) -> list[dict[str, Any]]:
    rows = []
    for one in handed:
        row: dict[str, Any] = {text("class_report.column_name"): one.label}
        done = total = 0
        for tally in one.tallies:
            right, most = tally.exercises if kind == "exercises" else tally.quiz
            shown = text("class_report.notebook_column", notebook=tally.notebook, total=most)
            first = text("class_report.with_first", right=right, first=tally.first)
            row[shown] = right if kind == "exercises" else first
            done, total = done + right, total + most
        row[text("class_report.all_column", total=total)] = done
        rows.append(row)
    return rows


def _percent(pairs: Sequence[tuple[int, int]]) -> float:
    total = sum(most for _, most in pairs)
    return 100 * sum(done for done, _ in pairs) / total if total else 0.0


def _hardest(handed: Sequence[Handed]) -> list[dict[str, Any]]:
    """List the exercises that took the most tries, among those that two learners tried."""
    rows: list[dict[str, Any]] = []
    for notebook in notebooks():
        for exercise in exercises_of(notebook):
            entries = [one.entries[exercise.id] for one in handed if exercise.id in one.entries]
            if len(entries) < 2:
                continue
            rows.append(
                {
                    text("class_report.exercise"): f"{exercise.id} {exercise.title}",
                    text("class_report.tried"): len(entries),
                    text("class_report.passed"): sum(entry.passed for entry in entries),
                    text("class_report.tries"): fmean(entry.tries for entry in entries),
                }
            )
    return sorted(rows, key=lambda row: -row[text("class_report.tries")])[:HARDEST]


def _harmless(cell: str) -> str:
    """Keep a spreadsheet from taking a text for a formula."""
    return f"'{cell}" if cell[:1] in set("=+-@\t\r") and cell else cell
