"""What each notebook promises, and where it is practised and asked: `docs/objetivos.md`.

The objectives come from the notebooks' headers, the exercises from `helpers.exercises`, the
questions from `helpers.quizzes`. Nobody edits the document by hand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from helpers.bootstrap import ROOT
from helpers.exercises import Exercise, exercises_of
from helpers.links import heading
from helpers.messages import text
from helpers.quizzes import quiz
from helpers.runner import find

DOCUMENT = Path("docs") / "objetivos.md"
_LIST = re.compile(r"^(\d+)\. +(.+?)[;.]?$", flags=re.MULTILINE)


@dataclass(frozen=True)
class Objective:
    """One promise of a header, and what keeps it.

    Attributes:
        number: its place in the list, from 1.
        promise: its text.
        exercises: those that practise it.
        questions: the places, from 1, of the quiz's questions on it.
    """

    number: int
    promise: str
    exercises: tuple[Exercise, ...]
    questions: tuple[int, ...]

    @property
    def is_left_out(self) -> bool:
        """Whether nothing in the notebook checks it."""
        return not self.exercises and not self.questions


def main(*, check: bool = False, root: Path = ROOT) -> int:
    """Write the document, or only compare it.

    Args:
        check: change nothing.
        root: the course's folder.

    Returns:
        1 if an objective is left out, or if ``check`` found the document out of date; else 0.
    """
    content, holes = rendered(root)
    for hole in holes:
        print(text("objectives.left_out", objective=hole))
    target = root / DOCUMENT
    agrees = target.is_file() and target.read_text(encoding="utf-8") == content
    if not check and not agrees:
        target.write_text(content, encoding="utf-8", newline="\n")
    key = "agree" if agrees else "differ" if check else "written"
    print(text(f"objectives.{key}", path=DOCUMENT.as_posix()))
    return int(bool(holes) or (check and not agrees))


def rendered(root: Path = ROOT) -> tuple[str, list[str]]:
    """Return the document and the objectives that nothing checks.

    Args:
        root: the course's folder.
    """
    parts = [f"# {text('objectives.title')}", text("objectives.introduction")]
    holes = []
    for path in find([], root / "notebooks" / "pt"):
        found = objectives(nbformat.read(path, as_version=4), path.name[:2])
        holes += [f"{path.name[:2]}: {item.promise}" for item in found if item.is_left_out]
        about = heading(path, root)
        rows = [_row(item, about.number) for item in found]
        table = [text("objectives.header"), "| --- | --- | --- |", *rows]
        parts += [f"## [{about.number} {about.title}](../{about.path})", "\n".join(table)]
    parts.append(text("objectives.footer"))
    return "\n\n".join(parts) + "\n", holes


def objectives(notebook: Any, number: str) -> list[Objective]:
    """Read a notebook's objectives, each with its exercises and questions.

    Args:
        notebook: the notebook.
        number: its two digits.
    """
    listed = notebook.cells[0].source.partition("**Ao final, você saberá:**")[2]
    questions = quiz(number).questions
    return [
        Objective(
            number=int(place),
            promise=promise,
            exercises=tuple(e for e in exercises_of(number) if e.objective == int(place)),
            questions=tuple(
                n for n, question in enumerate(questions, 1) if question.objective == int(place)
            ),
        )
        for place, promise in _LIST.findall(listed)
    ]


def _row(item: Objective, notebook: str) -> str:
    exercises = "<br>".join(f"{e.id} ({e.level}): {e.title}" for e in item.exercises)
    questions = ", ".join(f"{notebook}.quiz.{place}" for place in item.questions)
    cells = (f"{item.number}. {item.promise}", exercises or "—", questions or "—")
    return f"| {' | '.join(cells)} |"
