"""Exercises of notebook 11, `projeto_final`."""

from collections.abc import Callable
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

SMALL_PASSAGE = 200

RECALLS: list[tuple[tuple[list[int], int], float]] = [
    (([1, 1, 2, 4], 1), 0.5),
    (([1, 1, 2, 4], 3), 0.75),
    (([1, 3, 5, 6, 9], 5), 0.6),
    (([7, 8], 5), 0.0),
]

OVERLAPS: list[tuple[tuple[str, str], float]] = [
    (("doze quilos", "doze quilos"), 1.0),
    (("até doze quilos", "doze quilos"), 0.8),
    (("quatro canteiros", "doze quilos"), 0.0),
    (("de nove em nove dias", "nove dias"), 4 / 7),
]

THRESHOLDS: list[tuple[tuple[list[float], float], float]] = [
    (([0.9, 0.4, 0.7, 0.2, 0.1, 0.3, 0.05, 0.6, 0.15, 0.25], 0.1), 0.7),
    (([0.9, 0.4, 0.7, 0.2, 0.1, 0.3, 0.05, 0.6, 0.15, 0.25], 0.2), 0.6),
    (([0.2, 0.8], 0.0), 0.8),
]


def check_small_passages(count: Any, pages: list[str]) -> None:
    """How many passages there are when each is smaller."""
    from helpers import documents

    expect_type(count, int)
    split = documents.app().split
    expected = sum(len(split(page, SMALL_PASSAGE)) for page in pages)
    if count == sum(len(split(page)) for page in pages):
        raise Wrong("same_size", got=count)
    expect_equal(count, expected)


def check_recall(function: Callable[..., Any]) -> None:
    """Share of the questions whose right passage is among the first k."""
    run_cases(function, RECALLS, compare=expect_close)


def check_overlap(function: Callable[..., Any]) -> None:
    """F1 in words between an answer and the one expected."""
    run_cases(function, OVERLAPS, compare=expect_close)


def check_threshold(function: Callable[..., Any]) -> None:
    """The highest confidence that must no longer pass."""
    run_cases(function, THRESHOLDS, compare=expect_close)


EXERCISES = (
    Exercise(
        id="11.1",
        level="direto",
        objective=1,
        check=check_small_passages,
        solution="small_passages = sum(len(split(page, 200)) for page in pages)",
        wrong=(
            WrongAnswer("small_passages = sum(len(split(page)) for page in pages)", expect="200"),
            WrongAnswer("small_passages = len(split(pages[0], 200))", expect="diferente"),
        ),
    ),
    Exercise(
        id="11.2",
        level="direto",
        objective=3,
        check=check_recall,
        solution="""
def recall_at(ranks, k):
    return sum(rank <= k for rank in ranks) / len(ranks)
""",
        wrong=(
            WrongAnswer(
                "def recall_at(ranks, k):\n    return sum(rank < k for rank in ranks) / len(ranks)",
                expect="Esperado",
            ),
            WrongAnswer(
                "def recall_at(ranks, k):\n    return sum(rank <= k for rank in ranks)",
                expect="Esperado",
            ),
        ),
    ),
    Exercise(
        id="11.3",
        level="desafio",
        objective=3,
        check=check_overlap,
        solution="""
from collections import Counter


def f1(answer, expected):
    got, wanted = Counter(answer.split()), Counter(expected.split())
    shared = (got & wanted).total()
    return 2 * shared / (got.total() + wanted.total())
""",
        wrong=(
            WrongAnswer(
                "def f1(answer, expected):\n    return float(answer == expected)",
                expect="Esperado",
            ),
            WrongAnswer(
                "def f1(answer, expected):\n"
                "    shared = set(answer.split()) & set(expected.split())\n"
                "    return len(shared) / len(set(answer.split()))",
                expect="Esperado",
            ),
        ),
    ),
    Exercise(
        id="11.4",
        level="desafio",
        objective=4,
        check=check_threshold,
        solution="""
def highest_refused(confidences, wrong_at_most):
    ordered = sorted(confidences, reverse=True)
    return ordered[int(wrong_at_most * len(ordered))]
""",
        wrong=(
            WrongAnswer(
                "def highest_refused(confidences, wrong_at_most):\n    return max(confidences)",
                expect="Esperado",
            ),
            WrongAnswer(
                "def highest_refused(confidences, wrong_at_most):\n"
                "    ordered = sorted(confidences)\n"
                "    return ordered[int(wrong_at_most * len(ordered))]",
                expect="Esperado",
            ),
        ),
    ),
)
