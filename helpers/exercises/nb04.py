"""Exercises of notebook 04, `perguntas_e_respostas_via_api`."""

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

PRICE = "R$ 5,00"
RETRYABLE = {429, 503, 504}

WAITS: list[tuple[tuple[int, str | None], float]] = [
    ((0, None), 0.5),
    ((1, None), 1.0),
    ((3, None), 4.0),
    ((0, "3"), 3.0),
    ((4, "0"), 0.0),
    ((9, None), 30.0),
    ((0, "120"), 30.0),
]

# Invented people: the CPF numbers fail the official check digits on purpose.
PERSONAL_DATA = [
    (("Fale com bia@escola.example.",), "Fale com [E-MAIL]."),
    (("O CPF dela é 123.456.789-00.",), "O CPF dela é [CPF]."),
    (("CPF 12345678900, desde 2019.",), "CPF [CPF], desde 2019."),
    (("A rifa rendeu R$ 1.250,00 em 2024.",), "A rifa rendeu R$ 1.250,00 em 2024."),
    (
        ("ana.lima@turma7.escola.example, 987.654.321-00",),
        "[E-MAIL], [CPF]",
    ),
    (("O pedido 1234567890012 chegou.",), "O pedido 1234567890012 chegou."),
]


def check_price(price: Any) -> None:
    """The learner's slice must be the price, with or without the currency."""
    expect_type(price, str)
    if price.strip(" .") not in (PRICE, "5,00"):
        raise Wrong("other_slice", got=price)


def check_worth_retrying(statuses: Any) -> None:
    """Temporary failures only; each wrong choice is explained."""
    expect_type(statuses, set, frozenset, list, tuple)
    for status in statuses:
        expect_type(status, int)
    chosen = set(statuses)
    for status in sorted(chosen - RETRYABLE):
        raise Wrong("should_not", status=str(status))
    for status in sorted(RETRYABLE - chosen):
        raise Wrong("should_too", status=str(status))


def check_wait_seconds(function: Callable[..., Any]) -> None:
    """Obey the server, double otherwise, and never more than thirty seconds."""
    run_cases(function, WAITS, compare=expect_close)


def check_hide_personal_data(function: Callable[..., Any]) -> None:
    """E-mails and CPF numbers become labels; other numbers stay."""
    run_cases(function, PERSONAL_DATA)


EXERCISES = (
    Exercise(
        id="04.1",
        level="direto",
        objective=2,
        check=check_price,
        solution='price = notice[results[2]["start"] : results[2]["end"]]',
        wrong=(
            WrongAnswer(
                'price = notice[results[3]["start"] : results[3]["end"]]', expect="terceira"
            ),
            WrongAnswer('price = notice[results[2]["start"]]', expect="terceira"),
            WrongAnswer('price = (results[2]["start"], results[2]["end"])', expect="texto"),
        ),
    ),
    Exercise(
        id="04.2",
        level="direto",
        objective=3,
        check=check_worth_retrying,
        solution="worth_retrying = {429, 503, 504}",
        wrong=(
            WrongAnswer("worth_retrying = {401, 429, 503, 504}", expect="401"),
            WrongAnswer("worth_retrying = {503, 504}", expect="429"),
            WrongAnswer("worth_retrying = 503", expect="conjunto"),
            WrongAnswer('worth_retrying = {"429", "503", "504"}', expect="número inteiro"),
        ),
    ),
    Exercise(
        id="04.3",
        level="desafio",
        objective=3,
        check=check_wait_seconds,
        solution="""
def wait_seconds(attempt, retry_after):
    wait = 0.5 * 2**attempt if retry_after is None else float(retry_after)
    return min(wait, 30)
""",
        wrong=(
            WrongAnswer(
                "def wait_seconds(attempt, retry_after):\n"
                "    return 0.5 * 2**attempt if retry_after is None else float(retry_after)",
                expect="30",
            ),
            WrongAnswer(
                "def wait_seconds(attempt, retry_after):\n    return min(0.5 * 2**attempt, 30)",
                expect="Esperado",
            ),
            WrongAnswer(
                "def wait_seconds(attempt, retry_after):\n"
                "    return min(retry_after or 0.5 * 2**attempt, 30)",
                expect="TypeError",
            ),
        ),
    ),
    Exercise(
        id="04.4",
        level="desafio",
        objective=5,
        check=check_hide_personal_data,
        solution=r"""
def hide_personal_data(text):
    cpf = r"\b\d{3}\.\d{3}\.\d{3}-\d{2}\b|\b\d{11}\b"
    return re.sub(cpf, "[CPF]", hide_email(text))
""",
        wrong=(
            WrongAnswer(
                "def hide_personal_data(text):\n    return hide_email(text)", expect="[CPF]"
            ),
            WrongAnswer(
                "def hide_personal_data(text):\n"
                '    return re.sub(r"[\\d.-]+", "[CPF]", hide_email(text))',
                expect="Esperado",
            ),
            WrongAnswer(
                "def hide_personal_data(text):\n"
                '    return re.sub(r"\\d{11}", "[CPF]", hide_email(text))',
                expect="[CPF]",
            ),
        ),
    ),
)
