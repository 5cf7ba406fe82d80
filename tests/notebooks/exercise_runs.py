"""Runs a notebook once with every answer to its exercises: the stub, the mistakes, the solution.

An exercise's cell holds the learner's part and, as its last line, `helpers.exercise("NN.k")
.check(ANSWER)`. In a copy of the notebook each such cell is followed by one cell per plausible
mistake and one with the solution: their source, then the same last line. The cells after it thus
find the state that a learner has who solved the exercise.
"""

import ast
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import rules
from nbclient import NotebookClient

from helpers.exercises import Exercise, exercise

CELL_TIMEOUT = 300
CHECK = re.compile(r'^helpers\.exercise\("(?P<id>[^"]+)"\)\.check\(', flags=re.MULTILINE)
_MARK = "EXERCISE-OUTCOME "


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
    """Return a copy of a notebook in which each exercise's cell is followed by its attempts."""
    tried: list[Attempt] = []
    cells = []
    for cell in node.cells:
        cells.append(cell)
        match = CHECK.search(cell.source) if cell.cell_type == "code" else None
        if match is None:
            continue
        learner, check = split_stub(cell.source)
        cells.pop()
        for attempt in attempts(learner, exercise(match["id"])):
            source = f"{attempt.source.strip()}\n\n{_reporting(check)}"
            cells.append(nbformat.v4.new_code_cell(source))
            tried.append(attempt)
    copy = nbformat.v4.new_notebook(cells=cells, metadata=node.metadata)
    return copy, tried


def _reporting(check: str) -> str:
    """Turn the check into statements that print its status and text on one line."""
    return (
        f"_outcome = {check}\n"
        f"print({_MARK!r} + __import__('json').dumps([_outcome.status, str(_outcome)]))"
    )


@cache
def run(path: Path) -> tuple[Outcome, ...]:
    """Execute the copy of a notebook, in the embedded world, and return what each attempt got.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell raises.
    """
    node, tried = with_attempts(nbformat.read(path, as_version=4))
    environment = os.environ | {
        "COURSE_MODE": "embedded",
        "COURSE_TRAINING_STEPS": "3",  # nbval trains in full; no exercise needs what it learns
        "PYTHONPATH": os.pathsep.join(
            filter(None, [str(rules.ROOT), os.environ.get("PYTHONPATH", "")])
        ),
    }
    client = NotebookClient(
        node,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute(env=environment)
    reports = [json.loads(line) for line in _report_lines(client.nb)]
    if len(reports) != len(tried):
        raise AssertionError(f"{len(tried)} attempts were made, {len(reports)} reported")
    return tuple(
        Outcome(attempt, status, feedback)
        for attempt, (status, feedback) in zip(tried, reports, strict=True)
    )


def _report_lines(node: Any) -> Iterator[str]:
    for cell in node.cells:
        for output in cell.get("outputs", []):
            for line in output.get("text", "").splitlines():
                if line.startswith(_MARK):
                    yield line.removeprefix(_MARK)
