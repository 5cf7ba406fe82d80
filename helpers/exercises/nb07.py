"""Exercises of notebook 07, `desempenho_e_escala`."""

from collections.abc import Callable
from functools import partial
from typing import Any

from helpers.exercises import (
    Exercise,
    Wrong,
    WrongAnswer,
    expect_close,
    expect_type,
    run_cases,
)

LIMITS: list[tuple[tuple[float, float, float], float]] = [
    ((7e9, 2, 320), 22.857142857),
    ((7e9, 0.5, 320), 91.428571429),
    ((135e6, 4, 30), 55.555555556),
    ((70e9, 2, 2_000), 14.285714286),
]

TOKENS_READ: list[tuple[tuple[int, int, bool], int]] = [
    ((37, 16, True), 52),
    ((37, 16, False), 712),
    ((10, 1, True), 10),
    ((10, 1, False), 10),
    ((5, 3, False), 18),
]

# Lengths of texts, and the most places that a batch may have, padding included.
TOKEN_BATCHES: list[tuple[list[int], int]] = [
    ([3, 12, 4, 11, 5], 24),
    ([8, 8, 8, 8], 16),
    ([2, 2, 2, 30], 30),
    ([7], 512),
    ([40, 3, 9, 27, 27, 14, 5, 3, 60, 18], 64),
]

SPEEDUPS: list[tuple[tuple[float, int], float]] = [
    ((0.9, 2), 1.818181818),
    ((0.9, 8), 4.705882353),
    ((1.0, 4), 4.0),
    ((0.5, 100), 1.980198020),
    ((0.0, 16), 1.0),
]


def check_tokens_limit(function: Callable[..., Any]) -> None:
    """Bandwidth over the bytes of the weights."""
    run_cases(function, LIMITS, compare=expect_close)


def check_tokens_read(function: Callable[..., Any]) -> None:
    """The prompt and then one by one, or everything again each time."""
    run_cases(function, TOKENS_READ)


def check_token_batches(function: Callable[..., Any]) -> None:
    """Each text once, no batch over the limit, by length, and no more batches than needed."""
    for lengths, most in TOKEN_BATCHES:
        case = ((lengths, most), reference_batches(lengths, most))
        compare = partial(_expect_few_batches, lengths=lengths, most=most)
        run_cases(function, [case], compare=compare)


def _expect_few_batches(
    batches: Any, best: list[list[int]], *, lengths: list[int], most: int
) -> None:
    expect_type(batches, list, tuple)
    for batch in batches:
        expect_type(batch, list, tuple, range)
    _expect_each_once(batches, lengths)
    _expect_within(batches, lengths, most)
    if _places(batches, lengths) > _places(best, lengths) or len(batches) > len(best):
        raise Wrong("wasteful", lengths=lengths, most=most, expected=best, got=batches)


def reference_batches(lengths: list[int], most: int) -> list[list[int]]:
    """Texts from the shortest to the longest, each batch as full as may be."""
    batches: list[list[int]] = [[]]
    for place in sorted(range(len(lengths)), key=lambda place: lengths[place]):
        if batches[-1] and (len(batches[-1]) + 1) * lengths[place] > most:
            batches.append([])
        batches[-1].append(place)
    return batches


def _expect_each_once(batches: Any, lengths: list[int]) -> None:
    places = [place for batch in batches for place in batch]
    if sorted(places) != list(range(len(lengths))):
        raise Wrong("not_each_once", lengths=lengths, got=batches)


def _expect_within(batches: Any, lengths: list[int], most: int) -> None:
    for batch in batches:
        places = len(batch) * max((lengths[place] for place in batch), default=0)
        if not batch:
            raise Wrong("empty_batch", lengths=lengths, got=batches)
        if places > most:
            raise Wrong("too_big", lengths=lengths, most=most, places=places, got=batch)


def _places(batches: Any, lengths: list[int]) -> int:
    """Count what the model reads, padding included."""
    return sum(len(batch) * max(lengths[place] for place in batch) for batch in batches)


def check_speedup(function: Callable[..., Any]) -> None:
    """What cannot be shared takes as long as before."""
    run_cases(function, SPEEDUPS, compare=expect_close)


EXERCISES = (
    Exercise(
        id="07.1",
        level="direto",
        objective=1,
        check=check_tokens_limit,
        solution="""
def tokens_limit(parameters, bytes_per_parameter, bandwidth_gb):
    return bandwidth_gb * 1e9 / (parameters * bytes_per_parameter)
""",
        wrong=(
            WrongAnswer(
                "def tokens_limit(parameters, bytes_per_parameter, bandwidth_gb):\n"
                "    return bandwidth_gb / (parameters * bytes_per_parameter)",
                expect="Esperado",
            ),
            WrongAnswer(
                "def tokens_limit(parameters, bytes_per_parameter, bandwidth_gb):\n"
                "    return parameters * bytes_per_parameter / (bandwidth_gb * 1e9)",
                expect="Esperado",
            ),
        ),
    ),
    Exercise(
        id="07.2",
        level="direto",
        objective=2,
        check=check_tokens_read,
        solution="""
def tokens_read(prompt_length, new_tokens, use_cache):
    if use_cache:
        return prompt_length + new_tokens - 1
    return sum(prompt_length + already for already in range(new_tokens))
""",
        wrong=(
            WrongAnswer(
                "def tokens_read(prompt_length, new_tokens, use_cache):\n"
                "    return prompt_length + new_tokens if use_cache"
                " else prompt_length * new_tokens",
                expect="Esperado",
            ),
            WrongAnswer(
                "def tokens_read(prompt_length, new_tokens, use_cache):\n"
                "    return prompt_length + new_tokens - 1",
                expect="Esperado",
            ),
        ),
    ),
    Exercise(
        id="07.3",
        level="desafio",
        objective=3,
        check=check_token_batches,
        solution="""
def token_batches(lengths, max_tokens):
    batches = [[]]
    for place in sorted(range(len(lengths)), key=lambda place: lengths[place]):
        if batches[-1] and (len(batches[-1]) + 1) * lengths[place] > max_tokens:
            batches.append([])
        batches[-1].append(place)
    return batches
""",
        wrong=(
            WrongAnswer(
                "def token_batches(lengths, max_tokens):\n"
                "    order = sorted(range(len(lengths)), key=lambda place: lengths[place])\n"
                "    return [order[start : start + 8] for start in range(0, len(order), 8)]",
                expect="não pode passar",
            ),
            WrongAnswer(
                "def token_batches(lengths, max_tokens):\n"
                "    return [[place] for place in range(len(lengths))]",
                expect="enchimento",
            ),
            WrongAnswer(
                "def token_batches(lengths, max_tokens):\n    return [sorted(lengths)]",
                expect="uma vez",
            ),
        ),
    ),
    Exercise(
        id="07.4",
        level="desafio",
        objective=4,
        check=check_speedup,
        solution="""
def speedup(shared, processes):
    return 1 / ((1 - shared) + shared / processes)
""",
        wrong=(
            WrongAnswer(
                "def speedup(shared, processes):\n    return shared * processes",
                expect="Esperado",
            ),
            WrongAnswer(
                "def speedup(shared, processes):\n    return processes",
                expect="Esperado",
            ),
        ),
    ),
)
