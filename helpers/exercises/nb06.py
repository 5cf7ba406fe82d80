"""Exercises of notebook 06, `llm_na_gpu`."""

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

QUESTION = "What is the capital of France?"

KEPT: list[tuple[tuple[list[float], float], int]] = [
    (([0.5, 0.25, 0.25], 0.6), 2),
    (([0.125, 0.5, 0.375], 0.5), 1),
    (([0.125, 0.5, 0.375], 0.875), 2),
    (([0.9, 0.1], 0.0), 1),
    (([0.25, 0.25, 0.25, 0.25], 1.0), 4),
]

SYSTEM = {"role": "system", "content": "Responda em uma frase."}
CHAT = [
    {"role": "user", "content": "Oi!"},
    {"role": "assistant", "content": "Olá. Como posso ajudar?"},
    {"role": "user", "content": "Que horas abre a biblioteca?"},
]

REMEMBERED: list[tuple[tuple[list[dict[str, str]], int], list[dict[str, str]]]] = [
    (([SYSTEM, *CHAT], 1), [SYSTEM, CHAT[2]]),
    (([SYSTEM, *CHAT], 3), [SYSTEM, *CHAT]),
    ((CHAT, 2), CHAT[1:]),
    (([SYSTEM, *CHAT], 10), [SYSTEM, *CHAT]),
    (([SYSTEM, *CHAT], 0), [SYSTEM]),
]

RATES: list[tuple[tuple[list[dict[str, bool]]], float]] = [
    (([{"certa": True}, {"certa": False}, {"certa": True}, {"certa": True}],), 0.25),
    (([{"certa": False}, {"certa": False}],), 1.0),
    (([{"certa": True}],), 0.0),
]

PRECISIONS: list[tuple[tuple[float, float], str | None]] = [
    ((7e9, 24), "bfloat16"),
    ((7e9, 16), "int8"),  # 14 GB of weights would fit, but not with the fifth more
    ((14e9, 16), "int4"),
    ((70e9, 24), None),
    ((5e9, 12), "bfloat16"),  # exactly
    ((135e6, 1), "bfloat16"),
]


def check_extra(extra: Any) -> None:
    """What the chat template adds, by the course's own tokenizer."""
    from transformers import AutoTokenizer

    from helpers.course import current
    from helpers.llm import TASK, count_tokens

    expect_type(extra, int)
    course = current()
    tokenizer = AutoTokenizer.from_pretrained(course.model(TASK), revision=course.revision(TASK))
    whole = count_tokens([{"role": "user", "content": QUESTION}], tokenizer)
    expected = whole - len(tokenizer(QUESTION, add_special_tokens=False)["input_ids"])
    if extra == whole:
        raise Wrong("whole", got=extra)
    if extra == -expected:
        raise Wrong("reversed", got=extra)
    expect_equal(extra, expected, key="other_count")


def check_kept(function: Callable[..., Any]) -> None:
    """The most probable first, until their sum reaches p."""
    run_cases(function, KEPT)


def check_remember(function: Callable[..., Any]) -> None:
    """The system prompt, if there is one, and the last of the others."""
    run_cases(function, REMEMBERED)


def check_error_rate(function: Callable[..., Any]) -> None:
    """Wrong answers among all answers."""
    run_cases(function, RATES, compare=expect_close)


def check_precision(function: Callable[..., Any]) -> None:
    """The most precise that fits with a fifth more."""
    run_cases(function, PRECISIONS)


EXERCISES = (
    Exercise(
        id="06.1",
        level="direto",
        objective=3,
        check=check_extra,
        solution="""
question_tokens = len(tokenizer(question)["input_ids"])
extra = helpers.llm.count_tokens(messages, tokenizer) - question_tokens
""",
        wrong=(
            WrongAnswer(
                "extra = helpers.llm.count_tokens(messages, tokenizer)", expect="conversa inteira"
            ),
            WrongAnswer("extra = len(question.split())", expect="tokens"),
        ),
    ),
    Exercise(
        id="06.2",
        level="desafio",
        objective=4,
        check=check_kept,
        solution="""
def kept(probabilities, p):
    total = 0
    for count, probability in enumerate(sorted(probabilities, reverse=True), start=1):
        total += probability
        if total >= p:
            return count
    return len(probabilities)
""",
        wrong=(
            WrongAnswer(
                "def kept(probabilities, p):\n"
                "    return sum(probability >= p for probability in probabilities)",
                expect="Esperado",
            ),
            WrongAnswer(
                "def kept(probabilities, p):\n"
                "    total = 0\n"
                "    for count, probability in enumerate(probabilities, start=1):\n"
                "        total += probability\n"
                "        if total >= p:\n"
                "            return count",
                expect="Esperado",
            ),
        ),
    ),
    Exercise(
        id="06.3",
        level="desafio",
        objective=3,
        check=check_remember,
        solution="""
def remember(messages, most):
    has_system = messages[0]["role"] == "system"
    system = messages[:1] if has_system else []
    others = messages[1:] if has_system else messages
    return system + others[max(len(others) - most, 0) :]
""",
        wrong=(
            WrongAnswer(
                "def remember(messages, most):\n    return messages[-most:]", expect="Esperado"
            ),
            WrongAnswer(
                "def remember(messages, most):\n"
                '    system = [m for m in messages if m["role"] == "system"]\n'
                '    others = [m for m in messages if m["role"] != "system"]\n'
                "    return system + others[-most:]",
                expect="Esperado",
            ),
        ),
    ),
    Exercise(
        id="06.4",
        level="direto",
        objective=5,
        check=check_error_rate,
        solution="""
def error_rate(results):
    wrong = [result for result in results if not result["certa"]]
    return len(wrong) / len(results)
""",
        wrong=(
            WrongAnswer(
                "def error_rate(results):\n"
                '    return sum(result["certa"] for result in results) / len(results)',
                expect="Esperado",
            ),
            WrongAnswer(
                "def error_rate(results):\n"
                '    return sum(not result["certa"] for result in results)',
                expect="Esperado",
            ),
        ),
    ),
    Exercise(
        id="06.5",
        level="desafio",
        objective=6,
        check=check_precision,
        solution="""
def best_precision(parameters, memory_gb):
    sizes = {"bfloat16": 2, "int8": 1, "int4": 0.5}
    for name, size in sizes.items():
        if parameters * size * 1.2 <= memory_gb * 1e9:
            return name
    return None
""",
        wrong=(
            WrongAnswer(
                "def best_precision(parameters, memory_gb):\n"
                '    for name, size in {"bfloat16": 2, "int8": 1, "int4": 0.5}.items():\n'
                "        if parameters * size <= memory_gb * 1e9:\n"
                "            return name",
                expect="Esperado",
            ),
            WrongAnswer(
                "def best_precision(parameters, memory_gb):\n"
                '    for name, size in {"int4": 0.5, "int8": 1, "bfloat16": 2}.items():\n'
                "        if parameters * size * 1.2 <= memory_gb * 1e9:\n"
                "            return name",
                expect="Esperado",
            ),
        ),
    ),
)
