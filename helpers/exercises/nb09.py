"""Exercises of notebook 09, `treine_o_seu_modelo`."""

from collections.abc import Callable, Sequence
from typing import Any

from helpers.exercises import (
    Exercise,
    Wrong,
    WrongAnswer,
    expect_close,
    expect_equal,
    expect_type,
    run_cases,
)

ROWS, COLUMNS, WIDTH = 384, 1536, 16

F1: list[tuple[tuple[list[int], list[int], int], float]] = [
    (([2, 2, 1, 0, 0, 0], [2, 1, 1, 0, 0, 2], 0), 4 / 5),
    (([2, 2, 1, 0, 0, 0], [2, 1, 1, 0, 0, 2], 1), 2 / 3),
    (([2, 2, 1, 0, 0, 0], [2, 1, 1, 0, 0, 2], 2), 1 / 2),
    (([0, 1, 1, 1], [0, 0, 0, 0], 0), 2 / 5),
    (([0, 1], [1, 0], 1), 0.0),
    (([0, 0, 1], [0, 1, 1], 2), 0.0),
]

STOPS: list[tuple[tuple[list[float], int], int]] = [
    (([1.0, 0.8, 0.9, 0.85, 0.7], 2), 3),
    (([1.0, 0.9, 0.8, 0.7], 2), 3),
    (([1.0, 1.1, 0.9, 0.95, 1.0, 1.2], 3), 5),
    (([0.5, 0.6, 0.4, 0.7], 1), 1),
    (([0.5, 0.5, 0.5], 2), 2),
    (([0.9, 1.0, 0.8, 1.0, 0.7, 1.0], 2), 5),
]


def check_positive_f1(score: Any, truth: Sequence[int], majority: int) -> None:
    """F1 of the class that is always answered."""
    expect_type(score, float, int)
    hits = sum(label == majority for label in truth)
    expected = 2 * hits / (len(truth) + hits)
    if score > 1:
        raise Wrong("percent", got=score)
    if abs(score - hits / len(truth)) < 1e-9:
        raise Wrong("accuracy", got=score)
    expect_close(float(score), expected, within=1e-6)


def check_f1_of(function: Callable[..., Any]) -> None:
    """F1 of one class, also of one that never occurs."""
    run_cases(function, F1, compare=_same_score)


def _same_score(returned: Any, expected: float) -> None:
    expect_type(returned, float, int)
    expect_close(float(returned), expected, within=1e-6)


def check_extra(extra: Any) -> None:
    """How many numbers the two thin matrices hold."""
    expect_type(extra, int)
    if extra == ROWS * COLUMNS:
        raise Wrong("full", got=extra)
    if extra in (ROWS * WIDTH, COLUMNS * WIDTH):
        raise Wrong("one_side", got=extra)
    expect_equal(extra, WIDTH * (ROWS + COLUMNS))


def check_stop_at(function: Callable[..., Any]) -> None:
    """Stop once the loss has not improved for so many measures."""
    run_cases(function, STOPS)


EXERCISES = (
    Exercise(
        id="09.1",
        level="direto",
        objective=2,
        check=check_positive_f1,
        solution="hits = truth.count(majority)\npositive_f1 = 2 * hits / (len(truth) + hits)",
        wrong=(
            WrongAnswer("positive_f1 = truth.count(majority) / len(truth)", expect="acerto"),
            WrongAnswer(
                "hits = truth.count(majority)\npositive_f1 = 200 * hits / (len(truth) + hits)",
                expect="porcentagem",
            ),
            WrongAnswer("positive_f1 = 0.0", expect="diferente"),
        ),
    ),
    Exercise(
        id="09.2",
        level="desafio",
        objective=4,
        check=check_f1_of,
        solution="""
def f1_of(truth, answers, label):
    hits = sum(right == answer == label for right, answer in zip(truth, answers))
    total = truth.count(label) + answers.count(label)
    return 2 * hits / total if total else 0.0
""",
        wrong=(
            WrongAnswer(
                "def f1_of(truth, answers, label):\n"
                "    hits = sum(r == a == label for r, a in zip(truth, answers))\n"
                "    return 2 * hits / (truth.count(label) + answers.count(label))",
                expect="ZeroDivisionError",
            ),
            WrongAnswer(
                "def f1_of(truth, answers, label):\n"
                "    hits = sum(r == a == label for r, a in zip(truth, answers))\n"
                "    return hits / truth.count(label) if label in truth else 0.0",
                expect="Esperado",
            ),
        ),
    ),
    Exercise(
        id="09.3",
        level="direto",
        objective=3,
        check=check_extra,
        solution="extra = 384 * 16 + 16 * 1536",
        wrong=(
            WrongAnswer("extra = 384 * 1536", expect="original"),
            WrongAnswer("extra = 384 * 16", expect="Some a outra"),
            WrongAnswer("extra = 384 * 16 * 1536", expect="diferente"),
        ),
    ),
    Exercise(
        id="09.4",
        level="desafio",
        objective=4,
        check=check_stop_at,
        solution="""
def stop_at(losses, patience):
    best, waited = losses[0], 0
    for place, loss in enumerate(losses[1:], start=1):
        if loss < best:
            best, waited = loss, 0
        else:
            waited += 1
        if waited == patience:
            return place
    return len(losses) - 1
""",
        wrong=(
            WrongAnswer(
                "def stop_at(losses, patience):\n    return losses.index(min(losses))",
                expect="Esperado",
            ),
            WrongAnswer(
                "def stop_at(losses, patience):\n"
                "    waited = 0\n"
                "    for place in range(1, len(losses)):\n"
                "        waited = waited + 1 if losses[place] >= losses[place - 1] else 0\n"
                "        if waited == patience:\n"
                "            return place\n"
                "    return len(losses) - 1",
                expect="Esperado",
            ),
        ),
    ),
)
