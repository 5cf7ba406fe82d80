"""Exercises of notebook 03, `local_ou_api`."""

from collections.abc import Callable
from typing import Any

from helpers.exercises import (
    Exercise,
    Wrong,
    WrongAnswer,
    expect_close,
    expect_type,
    run_cases,
)

CACHES: list[tuple[tuple[int, int, int, int, int], float]] = [
    ((28, 4, 128, 1_000, 1), 0.057344),
    ((28, 4, 128, 8_000, 30), 13.76256),
    ((30, 3, 64, 2_048, 1), 0.04718592),
    ((30, 3, 64, 0, 5), 0.0),
]

FITS: list[tuple[tuple[float, float, float], bool]] = [
    ((7e9, 2, 16), False),  # 14 GB of weights, 16.8 GB at work
    ((7e9, 1, 16), True),
    ((7e9, 2, 24), True),
    ((5e9, 2, 12), True),  # exactly
    ((70e9, 0.5, 40), False),
    ((135e6, 4, 1), True),
]

BREAK_EVENS: list[tuple[tuple[float, float, float], float]] = [
    ((2, 4.0, 1.0), 10_800),
    ((1, 4.0, 1.0), 21_600),
    ((0.5, 2.0, 3.0), 259_200),
    ((10, 1.0, 1.0), 8_640),
]


def check_gigabytes(gigabytes: Any) -> None:
    """Three thousand million parameters of two bytes each."""
    expect_type(gigabytes, int, float)
    if abs(gigabytes - 12) < 0.01:
        raise Wrong("four_bytes", got=gigabytes)
    if abs(gigabytes - 6e9) < 1:
        raise Wrong("in_bytes", got=gigabytes)
    expect_close(gigabytes, 6.0)


def check_cache(function: Callable[..., Any]) -> None:
    """Keys and values, two bytes each, for every conversation."""
    run_cases(function, CACHES, compare=expect_close)


def check_fits(function: Callable[..., Any]) -> None:
    """Weights and a fifth more, against the memory."""
    run_cases(function, FITS)


def check_break_even(function: Callable[..., Any]) -> None:
    """A day's rent against the hours that the requests keep the API busy."""
    run_cases(function, BREAK_EVENS, compare=expect_close)


EXERCISES = (
    Exercise(
        id="03.1",
        level="direto",
        objective=1,
        check=check_gigabytes,
        solution="gigabytes = weights_bytes(3e9, 2) / 1e9",
        wrong=(
            WrongAnswer("gigabytes = weights_bytes(3e9, 4) / 1e9", expect="float32"),
            WrongAnswer("gigabytes = weights_bytes(3e9, 2)", expect="bilhão"),
        ),
    ),
    Exercise(
        id="03.2",
        level="desafio",
        objective=1,
        check=check_cache,
        solution="""
def cache_gigabytes(layers, heads, head_size, tokens, conversations):
    per_token = 2 * layers * heads * head_size * 2
    return per_token * tokens * conversations / 1e9
""",
        wrong=(
            WrongAnswer(
                "def cache_gigabytes(layers, heads, head_size, tokens, conversations):\n"
                "    return layers * heads * head_size * 2 * tokens * conversations / 1e9",
                expect="Esperado",
            ),
            WrongAnswer(
                "def cache_gigabytes(layers, heads, head_size, tokens, conversations):\n"
                "    return 2 * layers * heads * head_size * 2 * tokens / 1e9",
                expect="Esperado",
            ),
        ),
    ),
    Exercise(
        id="03.3",
        level="direto",
        objective=2,
        check=check_fits,
        solution="""
def fits(parameters, bytes_per_parameter, memory_gb):
    return weights_bytes(parameters, bytes_per_parameter) * 1.2 <= memory_gb * 1e9
""",
        wrong=(
            WrongAnswer(
                "def fits(parameters, bytes_per_parameter, memory_gb):\n"
                "    return parameters * bytes_per_parameter <= memory_gb * 1e9",
                expect="Esperado",
            ),
            WrongAnswer(
                "def fits(parameters, bytes_per_parameter, memory_gb):\n"
                "    return parameters * bytes_per_parameter * 1.2 <= memory_gb",
                expect="Esperado",
            ),
        ),
    ),
    Exercise(
        id="03.4",
        level="desafio",
        objective=5,
        check=check_break_even,
        solution="""
def break_even(seconds_per_request, api_price_per_hour, rent_price_per_hour):
    busy_hours = 24 * rent_price_per_hour / api_price_per_hour
    return busy_hours * 3600 / seconds_per_request
""",
        wrong=(
            WrongAnswer(
                "def break_even(seconds_per_request, api_price_per_hour, rent_price_per_hour):\n"
                "    return 24 * 3600 / seconds_per_request",
                expect="Esperado",
            ),
            WrongAnswer(
                "def break_even(seconds_per_request, api_price_per_hour, rent_price_per_hour):\n"
                "    return 24 * rent_price_per_hour / api_price_per_hour / seconds_per_request",
                expect="Esperado",
            ),
        ),
    ),
)
