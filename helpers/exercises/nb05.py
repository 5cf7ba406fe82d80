"""Exercises of notebook 05, `perguntas_e_respostas_na_sua_maquina`."""

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

PORTUGUESE = "Os alunos do terceiro ano apresentaram seus trabalhos na biblioteca."
ENGLISH = "The third-year students presented their projects in the library."

SPANS: list[tuple[tuple[list[float], list[float], int], tuple[int, int]]] = [
    (([0.1, 0.7, 0.2], [0.1, 0.2, 0.7], 3), (1, 2)),
    (([0.1, 0.2, 0.7], [0.6, 0.1, 0.3], 3), (2, 2)),
    (([0.6, 0.1, 0.1, 0.2], [0.05, 0.25, 0.1, 0.6], 2), (0, 1)),
    (([0.9, 0.05, 0.05], [0.1, 0.15, 0.75], 3), (0, 2)),
    (([0.2, 0.5, 0.3], [0.3, 0.4, 0.3], 1), (1, 1)),
]

WINDOWS: list[tuple[tuple[int, int, int], int]] = [
    ((100, 370, 128), 1),
    ((370, 370, 128), 1),
    ((371, 370, 128), 2),
    ((612, 370, 128), 2),
    ((613, 370, 128), 3),
    ((1000, 100, 0), 10),
]


def check_extra_tokens(extra: Any) -> None:
    """How many more tokens the Portuguese sentence takes, by the course's own tokenizer."""
    from transformers import AutoTokenizer

    from helpers.course import current

    expect_type(extra, int)
    course = current()
    model, revision = course.model("question-answering"), course.revision("question-answering")
    tokenizer = AutoTokenizer.from_pretrained(model, revision=revision)
    expected = len(tokenizer.tokenize(PORTUGUESE)) - len(tokenizer.tokenize(ENGLISH))
    if extra == -expected:
        raise Wrong("reversed", got=extra)
    expect_equal(extra, expected, key="other_count")


def check_single_token_score(
    score: Any, start: Sequence[float], end: Sequence[float], first_token: int
) -> None:
    """A span of one token starts and ends at the same place."""
    expect_close(float(score), float(start[first_token] * end[first_token]), within=1e-6)


def check_best_span(function: Callable[..., Any]) -> None:
    """The best pair, in order and short enough."""
    run_cases(function, SPANS, compare=_same_span)


def _same_span(returned: Any, expected: tuple[int, int]) -> None:
    expect_type(returned, tuple, list)
    expect_equal(tuple(returned), expected)


def check_count_windows(function: Callable[..., Any]) -> None:
    """Windows overlap, so each one after the first reads only `room - stride` new tokens."""
    run_cases(function, WINDOWS)


EXERCISES = (
    Exercise(
        id="05.1",
        level="direto",
        objective=2,
        check=check_extra_tokens,
        solution="extra = len(tokenizer.tokenize(portuguese)) - len(tokenizer.tokenize(english))",
        wrong=(
            WrongAnswer(
                "extra = len(tokenizer.tokenize(english)) - len(tokenizer.tokenize(portuguese))",
                expect="ordem",
            ),
            WrongAnswer("extra = len(portuguese) - len(english)", expect="tokens"),
        ),
    ),
    Exercise(
        id="05.2",
        level="direto",
        objective=3,
        check=check_single_token_score,
        solution="single_token_score = float(start[first_token] * end[first_token])",
        wrong=(
            WrongAnswer(
                "single_token_score = float(start[first_token] * end[last_token])",
                expect="diferente",
            ),
            WrongAnswer("single_token_score = float(start[first_token])", expect="diferente"),
        ),
    ),
    Exercise(
        id="05.3",
        level="desafio",
        objective=3,
        check=check_best_span,
        solution="""
def best_span(start, end, max_length):
    pairs = [
        (i, j)
        for i in range(len(start))
        for j in range(i, min(i + max_length, len(end)))
    ]
    return max(pairs, key=lambda pair: start[pair[0]] * end[pair[1]])
""",
        wrong=(
            WrongAnswer(
                "def best_span(start, end, max_length):\n"
                "    return start.index(max(start)), end.index(max(end))",
                expect="Esperado",
            ),
            WrongAnswer(
                "def best_span(start, end, max_length):\n"
                "    pairs = [(i, j) for i in range(len(start)) for j in range(i, len(end))]\n"
                "    return max(pairs, key=lambda pair: start[pair[0]] * end[pair[1]])",
                expect="Esperado",
            ),
        ),
    ),
    Exercise(
        id="05.4",
        level="desafio",
        objective=4,
        check=check_count_windows,
        solution="""
def count_windows(tokens, room, stride):
    if tokens <= room:
        return 1
    step = room - stride
    return 1 + -(-(tokens - room) // step)
""",
        wrong=(
            WrongAnswer(
                "def count_windows(tokens, room, stride):\n    return -(-tokens // room)",
                expect="Esperado",
            ),
            WrongAnswer(
                "def count_windows(tokens, room, stride):\n"
                "    return 1 + (tokens - room) // (room - stride)",
                expect="Esperado",
            ),
        ),
    ),
)
