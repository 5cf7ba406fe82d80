"""How long a notebook takes, computed from what is in it, and written in its header.

The minutes are the sum of five parts, rounded to five minutes:

- **prose**, at 180 words a minute: what Brazilian readers did on the International Reading Speed
  Texts (IReST), reading aloud, as reported by Macedo and Silva (2013); the texts and the method
  are in Trauzettel-Klosinski and Dietz, Invest. Ophthalmol. Vis. Sci. 53(9), 2012;
- **code**, at 15 lines a minute, and **outputs**, at 120 words a minute and 15 seconds a picture:
  slower, because code is read more than once and a result is compared with what was expected.
  These are the course's own choices, to be corrected by whoever times a class;
- **exercises**, 3 minutes a direct one and 6 minutes a challenge, and one minute a question of
  the quiz: choices as well;
- **the machine**, measured by ``python -m helpers run --in-place`` and kept in the notebook's
  metadata (`curso.segundos_de_maquina`).

What a notebook adds in words ("mais o tempo do seu projeto") is in `curso.duracao_mais`.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import nbformat

from helpers.bootstrap import ROOT
from helpers.errors import CourseError
from helpers.exercises import exercises_of
from helpers.messages import items, text
from helpers.runner import find, write

WORDS_A_MINUTE = 180
CODE_LINES_A_MINUTE = 15
OUTPUT_WORDS_A_MINUTE = 120
PICTURE_MINUTES = 0.25
EXERCISE_MINUTES = {"direto": 3.0, "desafio": 6.0}
QUESTION_MINUTES = 1.0
ROUNDED_TO = 5  # minutes

QUIZZES = Path(__file__).parent / "quizzes" / "pt"
_ROW = re.compile(r"^\| Duração \| .*? \|$", flags=re.MULTILINE)
_TABLE = re.compile(r"^\|.*\|$\n?", flags=re.MULTILINE)
# Their outputs are the exercises and the quiz themselves, counted apart.
_DOING = re.compile(r"helpers\.(exercise\([^)]*\)\.check|quiz)\(")
_WORD = re.compile(r"\w+(?:[-.,/']\w+)*")


@dataclass(frozen=True)
class Duration:
    """Where a notebook's minutes go.

    Attributes:
        prose: reading its text, in minutes.
        code: reading its code, in minutes.
        outputs: reading its results, in minutes.
        exercises: doing its exercises and its quiz, in minutes.
        machine: the seconds that its cells run.
        more: what it takes besides, in words; empty where there is nothing.
    """

    prose: float
    code: float
    outputs: float
    exercises: float
    machine: int
    more: str = ""

    @property
    def minutes(self) -> int:
        """All of it, rounded to five minutes."""
        total = self.prose + self.code + self.outputs + self.exercises + self.machine / 60
        return max(ROUNDED_TO, ROUNDED_TO * round(total / ROUNDED_TO))

    def __str__(self) -> str:
        """What the header says: ``50 minutos (a máquina trabalha menos de um minuto)``."""
        more = f", {self.more}" if self.more else ""
        machine = text("durations.machine", time=machine_time(self.machine))
        return text("durations.row", minutes=self.minutes, more=more, machine=machine)


def main(numbers: list[str], *, check: bool = False, root: Path = ROOT) -> int:
    """Write the computed durations into the notebooks' headers, or only look.

    Args:
        numbers: which notebooks, such as ``["00", "04"]``; all of them if empty.
        check: change nothing, and list what differs.
        root: the course's folder.

    Returns:
        0 when all agrees (or was made to), 1 when ``check`` found differences.

    Raises:
        CourseError: if a notebook does not exist, was never timed, or has no row for it.
    """
    different = 0
    for path in find(numbers, root / "notebooks" / "pt"):
        notebook = nbformat.read(path, as_version=4)
        opening = notebook.cells[0]
        source = _with_row(opening.source, measure(notebook, path.name[:2]), path.name)
        if source == opening.source:
            continue
        different += 1
        print(text("durations.differs", name=path.stem, row=_row(source)))
        if not check:
            opening.source = source
            write(notebook, path)
    different += _teaching(root, check=check)
    key = ("differ" if check else "written") if different else "agree"
    print(text(f"durations.{key}", count=different))
    return int(check and different > 0)


def _teaching(root: Path, *, check: bool) -> int:
    """Bring the tables of TEACHING.md up to date; return 1 if they were not."""
    from helpers import plans  # which reads the headers that this module writes

    document = root / plans.DOCUMENT
    if not document.is_file():
        return 0
    content = plans.rendered(root)
    if content == document.read_text(encoding="utf-8"):
        return 0
    print(text("durations.teaching_differs"))
    if not check:
        document.write_text(content, encoding="utf-8", newline="\n")
    return 1


def measure(notebook: Any, number: str) -> Duration:
    """Compute how long a notebook takes.

    Args:
        notebook: the notebook, executed.
        number: its two digits, by which its exercises and its quiz are found.

    Raises:
        CourseError: if it was never executed with ``helpers run --in-place``.
    """
    course = notebook.metadata.get("curso", {})
    if "segundos_de_maquina" not in course:
        raise CourseError(text("durations.never_timed", number=number))
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [output for cell in code if not _DOING.search(cell.source) for output in cell.outputs]
    doing = sum(EXERCISE_MINUTES[exercise.level] for exercise in exercises_of(number))
    return Duration(
        prose=_prose_words(notebook.cells) / WORDS_A_MINUTE,
        code=sum(_code_lines(cell.source) for cell in code) / CODE_LINES_A_MINUTE,
        outputs=sum(map(_output_minutes, outputs)),
        exercises=doing + QUESTION_MINUTES * questions(number),
        machine=course["segundos_de_maquina"],
        more=course.get("duracao_mais", ""),
    )


def questions(number: str) -> int:
    """Return how many questions a notebook's quiz has; 0 where there is none."""
    path = QUIZZES / f"nb{number}.toml"
    if not path.is_file():
        return 0
    return len(tomllib.loads(path.read_text(encoding="utf-8"))["question"])


def machine_time(seconds: int) -> str:
    """Say in words how long the machine works: ``cerca de dois minutos``."""
    if seconds < 45:
        return text("durations.under_a_minute")
    if seconds < 75:
        return text("durations.a_minute")
    if seconds < 105:
        return text("durations.a_minute_and_a_half")
    minutes = round(seconds / 60)
    names = items("durations.numbers")  # from two on
    name = names[minutes - 2] if minutes - 2 < len(names) else str(minutes)
    return text("durations.minutes", minutes=name)


def _with_row(opening: str, duration: Duration, name: str) -> str:
    if not _ROW.search(opening):
        raise CourseError(text("durations.no_row", name=name))
    return _ROW.sub(lambda _: f"| Duração | {duration} |", opening, count=1)


def _row(opening: str) -> str:
    found = _ROW.search(opening)
    return found[0].removeprefix("| Duração | ").removesuffix(" |") if found else ""


def _prose_words(cells: list[Any]) -> int:
    """Count the words of the prose; the header's table, which holds the result, is left out."""
    sources = [cell.source for cell in cells if cell.cell_type == "markdown"]
    sources[:1] = [_TABLE.sub("", source) for source in sources[:1]]
    return sum(len(_WORD.findall(re.sub(r"\]\([^)]*\)", "]", source))) for source in sources)


def _code_lines(source: str) -> int:
    return sum(1 for line in source.splitlines() if line.strip(" ()[]{},"))


def _output_minutes(output: Any) -> float:
    data = output.get("data", {})
    rich = "".join(data.get("text/html", ""))
    has_picture = "<img" in rich or "<svg" in rich
    if has_picture or not rich and any(kind.startswith("image/") for kind in data):
        return PICTURE_MINUTES
    plain = "".join(output.get("text") or data.get("text/plain", ""))
    words = unescape(re.sub(r"<[^>]+>", " ", rich)) if rich else plain
    return len(_WORD.findall(words)) / OUTPUT_WORDS_A_MINUTE
