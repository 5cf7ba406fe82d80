"""Runs a notebook once with every answer to its exercises: the stub, the mistakes, the solution.

An exercise's cell holds the learner's part and, as its last line, `helpers.exercise("NN.k")
.check(ANSWER)`. In a copy of the notebook each such cell is followed by one cell per plausible
mistake and one with the solution: their source, then the same last line. The cells after it thus
find the state that a learner has who solved the exercise.

Where there is a browser JupyterLab runs the copy, and elsewhere nbclient: see `test_executed.py`.
"""

import ast
import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import rules
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from helpers.exercises import Exercise, exercise

CELL_TIMEOUT = 300
CHECK = re.compile(r'^helpers\.exercise\("(?P<id>[^"]+)"\)\.check\(', flags=re.MULTILINE)
_MARK = "EXERCISE-OUTCOME "
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Attempt:
    """One answer to one exercise: what it should get."""

    id: str
    kind: str
    source: str
    status: str
    fragment: str = ""


@dataclass(frozen=True)
class Outcome:
    """What an attempt got."""

    attempt: Attempt
    status: str
    feedback: str

    @property
    def is_right(self) -> bool:
        return self.status == self.attempt.status and self.attempt.fragment in self.feedback

    def __str__(self) -> str:
        attempt = self.attempt
        wanted = (
            f"{attempt.status} with {attempt.fragment!r}" if attempt.fragment else attempt.status
        )
        return (
            f"{attempt.id}, {attempt.kind}: expected {wanted}, got {self.status}\n"
            f"--- answer\n{attempt.source}\n--- feedback\n{self.feedback}\n"
        )


def exercise_ids(node: Any) -> list[str]:
    """List the exercises that a notebook's code cells check, in order, with repetitions."""
    return [
        match["id"]
        for cell in node.cells
        if cell.cell_type == "code"
        for match in CHECK.finditer(cell.source)
    ]


def split_stub(source: str) -> tuple[str, str]:
    """Split an exercise's cell into the learner's part and the final check.

    Raises:
        ValueError: if the check is not the cell's last statement, or there is nothing before it.
    """
    last = ast.parse(source).body[-1]
    lines = source.splitlines()
    learner, check = "\n".join(lines[: last.lineno - 1]), "\n".join(lines[last.lineno - 1 :])
    if not CHECK.match(check) or not learner.strip():
        raise ValueError(f"an exercise's cell must be its stub and then the check:\n{source}")
    return learner.rstrip(), check


def attempts(learner: str, definition: Exercise) -> list[Attempt]:
    """List what is tried on an exercise, the solution last."""
    mistakes = [
        Attempt(definition.id, f"mistake {position}", wrong.source, "wrong", wrong.expect)
        for position, wrong in enumerate(definition.wrong_answers, 1)
    ]
    return [
        Attempt(definition.id, "stub", learner, "not_attempted"),
        *mistakes,
        Attempt(definition.id, "solution", definition.solution_source, "passed"),
    ]


def with_attempts(node: Any) -> tuple[Any, list[Attempt]]:
    """Return a copy of a notebook in which each exercise's cell is followed by its attempts.

    Nothing in it was run yet. An attempt's cell holds its place in the list as `attempt`.
    """
    tried: list[Attempt] = []
    cells = []
    for cell in node.cells:
        match = CHECK.search(cell.source) if cell.cell_type == "code" else None
        if match is None:
            cells.append(_never_run(cell))
            continue
        learner, check = split_stub(cell.source)
        for attempt in attempts(learner, exercise(match["id"])):
            source = f"{attempt.source.strip()}\n\n{_reporting(check)}"
            place = {"attempt": len(tried)}
            cells.append(nbformat.v4.new_code_cell(source, metadata=place))
            tried.append(attempt)
    copy = nbformat.v4.new_notebook(cells=cells, metadata=node.metadata)
    return copy, tried


def _never_run(cell: Any) -> Any:
    if cell.cell_type != "code":
        return cell
    return nbformat.from_dict({**cell, "outputs": [], "execution_count": None})


def _reporting(check: str) -> str:
    """Turn the check into statements that print its status and text on one line."""
    return (
        f"_outcome = {check}\n"
        f"print({_MARK!r} + __import__('json').dumps([_outcome.status, str(_outcome)]))"
    )


def environment() -> dict[str, str]:
    """Return the environment variables of the kernel that runs a copy."""
    return os.environ | {
        "COURSE_MODE": "embedded",
        "COURSE_TRAINING_STEPS": "3",  # nbval trains in full; no exercise needs what it learns
        "PYTHONPATH": os.pathsep.join(
            filter(None, [str(rules.ROOT), os.environ.get("PYTHONPATH", "")])
        ),
    }


def run(node: Any, folder: Path) -> Any:
    """Execute a copy without a browser, up to the first error, and return it with its outputs."""
    client = NotebookClient(
        node,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    with suppress(CellExecutionError):  # `red_outputs` tells which
        client.execute(env=environment())
    return client.nb


def outcomes(node: Any, tried: list[Attempt]) -> list[Outcome]:
    """Read from an executed copy what each attempt got; `not_run` where an error came before."""
    reports = {
        cell.metadata["attempt"]: _report(cell) for cell in node.cells if "attempt" in cell.metadata
    }
    return [Outcome(attempt, *reports[place]) for place, attempt in enumerate(tried)]


def _report(cell: Any) -> tuple[str, str]:
    for output in cell.outputs:
        for line in output.get("text", "").splitlines():
            if line.startswith(_MARK):
                status, feedback = json.loads(line.removeprefix(_MARK))
                return status, feedback
    return "not_run", ""


def red_outputs(node: Any, tried: list[Attempt]) -> list[str]:
    """Tell each error of an executed copy, but for those that a cell is there to show."""
    problems = []
    for place, cell in enumerate(node.cells):
        if cell.cell_type != "code" or "raises-exception" in cell.metadata.get("tags", []):
            continue
        for output in cell.outputs:
            if output.output_type == "error":
                trace = _COLOURS.sub("", "\n".join(output.traceback))
                problems.append(f"{_name(place, cell, tried)}\n{cell.source}\n{trace}")
    return problems


def _name(place: int, cell: Any, tried: list[Attempt]) -> str:
    if "attempt" not in cell.metadata:
        return f"cell {place} failed"
    attempt = tried[cell.metadata["attempt"]]
    return f"cell {place} (exercise {attempt.id}, {attempt.kind}) failed"
