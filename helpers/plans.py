"""The tables of TEACHING.md that hold minutes: what each notebook takes, and the plans of lessons.

They are written between marks by ``python -m helpers durations``, from the notebooks' headers. In
class a notebook takes what its header says, less its challenges, which are done at home.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import nbformat

from helpers.bootstrap import ROOT
from helpers.durations import EXERCISE_MINUTES, measure
from helpers.errors import CourseError
from helpers.exercises import exercises_of
from helpers.links import Heading, heading
from helpers.messages import text
from helpers.runner import find

DOCUMENT = "TEACHING.md"
LESSON_MINUTES = 50
_BLOCK = "<!-- {name}: escrito por python -m helpers durations -->\n{content}<!-- /{name} -->"

# Notebooks by their two digits; other activities by their key in the locale file, with minutes.
Activity = str | tuple[str, int]
FOUR: Sequence[Sequence[Activity]] = ((("arrival", 20), "00"), ("02",), ("04",), ("05",))
EIGHT: Sequence[Sequence[Activity]] = (
    *((("arrival", 20), "00"), ("01",), ("02",), ("03",), ("04",), ("05",), ("06",)),
    ("11", ("closing", 10)),
)
WORKSHOP: Sequence[Activity] = (
    *(("arrival", 20), "00", "02", ("break", 15), "04", ("slack", 10), ("lunch", 60)),
    *("05", "06", ("break", 15), "11", ("slack", 10), ("closing", 20)),
)
WORKSHOP_STARTS = 9 * 60  # nine o'clock, in minutes
CLOCK_STEP = 5  # minutes: nobody starts at 9h39


@dataclass(frozen=True)
class Lesson:
    """A notebook as a class meets it.

    Attributes:
        heading: what it says of itself.
        minutes: what its header says that it takes.
        at_home: the minutes of its challenges.
    """

    heading: Heading
    minutes: int
    at_home: int

    @property
    def in_class(self) -> int:
        """Minutes of the header that are spent in class."""
        return self.minutes - self.at_home

    @property
    def link(self) -> str:
        """A link to the notebook, from the course's folder."""
        return f"[{self.heading.number} {self.heading.title}]({self.heading.path})"


def rendered(root: Path = ROOT) -> str:
    """Return TEACHING.md with its tables as they should be.

    Args:
        root: the course's folder.

    Raises:
        CourseError: if a plan does not fit its lessons, or the document has no place for a table.
    """
    content = (root / DOCUMENT).read_text(encoding="utf-8")
    known = lessons(root)
    tables = {
        "duracoes": durations_table(root, known),
        "plano-4": plan_table(FOUR, known),
        "plano-8": plan_table(EIGHT, known),
        "oficina": workshop_table(WORKSHOP, known),
    }
    for name, table in tables.items():
        block = _BLOCK.format(name=name, content=table)
        pattern = re.escape(f"<!-- {name}:") + r".*?" + re.escape(f"<!-- /{name} -->")
        before, found, after = _cut(pattern, content)
        if not found:
            raise CourseError(text("plans.no_place", name=name, document=DOCUMENT))
        content = before + block + after
    return content


def _cut(pattern: str, content: str) -> tuple[str, str, str]:
    found = re.search(pattern, content, flags=re.DOTALL)
    if not found:
        return content, "", ""
    return content[: found.start()], found[0], content[found.end() :]


def lessons(root: Path = ROOT) -> dict[str, Lesson]:
    """Read from the notebooks' headers what each takes, by its two digits."""
    return {
        path.name[:2]: _lesson(heading(path, root)) for path in find([], root / "notebooks" / "pt")
    }


def plan_table(plan: Sequence[Sequence[Activity]], known: dict[str, Lesson]) -> str:
    """Write a plan of lessons of fifty minutes.

    Args:
        plan: for each lesson, its activities.
        known: the notebooks, by their two digits.

    Raises:
        CourseError: if a lesson's activities take more than its minutes.
    """
    rows = [text("plans.lessons_header"), "| ---: | --- | ---: | ---: | --- |"]
    for number, activities in enumerate(plan, start=1):
        used = sum(minutes_of(activity, known) for activity in activities)
        if used > LESSON_MINUTES:
            raise CourseError(text("plans.too_long", number=number, used=used))
        what = "; ".join(
            f"{_name(activity, known)} ({minutes_of(activity, known)} min)"
            for activity in activities
        )
        home = [known[item] for item in activities if isinstance(item, str)]
        rows.append(f"| {number} | {what} | {used} | {LESSON_MINUTES - used} | {_homework(home)} |")
    return "\n".join(rows) + "\n"


def workshop_table(plan: Sequence[Activity], known: dict[str, Lesson]) -> str:
    """Write the plan of one day, with the time at which each activity starts.

    The minutes are rounded up, to start at times that people say.
    """
    rows = [text("plans.workshop_header"), "| ---: | --- | ---: |"]
    now = WORKSHOP_STARTS
    for activity in plan:
        minutes = CLOCK_STEP * ceil(minutes_of(activity, known) / CLOCK_STEP)
        rows.append(f"| {_clock(now)} | {_name(activity, known)} | {minutes} |")
        now += minutes
    rows.append(f"| {_clock(now)} | {text('plans.end')} | {now - WORKSHOP_STARTS} |")
    return "\n".join(rows) + "\n"


def durations_table(root: Path, known: dict[str, Lesson]) -> str:
    """Write where each notebook's minutes go."""
    rows = [text("plans.durations_header"), "| --- |" + " ---: |" * 8]
    for path in find([], root / "notebooks" / "pt"):
        lesson = known[path.name[:2]]
        parts = measure(nbformat.read(path, as_version=4), path.name[:2])
        minutes = (parts.prose, parts.code, parts.outputs, parts.exercises)
        cells = [lesson.link, *(str(round(one)) for one in minutes), f"{parts.machine} s"]
        cells += [str(lesson.minutes), str(lesson.in_class), str(lesson.at_home)]
        rows.append(f"| {' | '.join(cells)} |")
    total = [sum(one) for one in zip(*_totals(known), strict=True)]
    rows.append(f"| {text('plans.total')} | | | | | | {total[0]} | {total[1]} | {total[2]} |")
    return "\n".join(rows) + "\n"


def minutes_of(activity: Activity, known: dict[str, Lesson]) -> int:
    """Return what an activity takes in class, in minutes."""
    return known[activity].in_class if isinstance(activity, str) else activity[1]


def _totals(known: dict[str, Lesson]) -> Any:
    return ((one.minutes, one.in_class, one.at_home) for one in known.values())


def _lesson(about: Heading) -> Lesson:
    found = re.match(r"(\d+) minutos", about.duration)
    if not found:
        raise CourseError(text("durations.no_row", name=about.path))
    challenges = [one for one in exercises_of(about.number) if one.level == "desafio"]
    return Lesson(about, int(found[1]), int(EXERCISE_MINUTES["desafio"]) * len(challenges))


def _name(activity: Activity, known: dict[str, Lesson]) -> str:
    return known[activity].link if isinstance(activity, str) else text(f"plans.{activity[0]}")


def _homework(done: Sequence[Lesson]) -> str:
    """Name the challenges of the lesson's notebooks."""
    challenges = [
        exercise.id
        for lesson in done
        for exercise in exercises_of(lesson.heading.number)
        if exercise.level == "desafio"
    ]
    if not challenges:
        return "—"
    minutes = sum(lesson.at_home for lesson in done)
    key = "plans.homework_one" if len(challenges) == 1 else "plans.homework"
    return text(key, challenges=", ".join(challenges), minutes=minutes)


def _clock(minutes: int) -> str:
    return f"{minutes // 60}h{minutes % 60:02d}"
