"""Exercises of notebook 08, `datasets`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from helpers.errors import CourseError
from helpers.exercises import (
    Exercise,
    Wrong,
    WrongAnswer,
    expect_close,
    expect_equal,
    expect_keys,
    expect_type,
    run_cases,
)

READING_OPTIONS = ("sep", "encoding", "decimal")

UNTIDY = [" Adorei   o CAFÉ ", "ruim", "Demorou\n\nmuito", "  "]
TIDY = ["adorei o café", "ruim", "demorou muito", ""]

LEAKS: list[tuple[tuple[list[str], list[str]], list[int]]] = [
    ((["Adorei o café!", "Caro e frio."], ["Bom.", "adorei o cafe", "CARO, E FRIO"]), [1, 2]),
    ((["Bom."], ["Bom.", "Ruim.", "bom"]), [0, 2]),
    ((["Não volto mais"], ["Volto mais", "Nunca"]), []),
    (([], ["Bom."]), []),
]

REPORT_TOKENS = 6_000


def check_options(options: Any, path: Path) -> None:
    """Read the file with the learner's options; the checker's own sentence is the feedback."""
    from helpers.datafiles import check_csv

    expect_type(options, dict)
    for name in options:
        if name not in READING_OPTIONS:
            raise Wrong("other_option", name=str(name), names=", ".join(READING_OPTIONS))
    try:
        check_csv(path, text="livro", **options)
    except CourseError as error:
        raise Wrong("still", sentence=str(error)) from error


def check_tidy(function: Callable[..., Any]) -> None:
    """A batch goes in as lists and comes out as lists."""
    run_cases(function, [(({"text": UNTIDY},), TIDY)], compare=_same_texts)


def _same_texts(returned: Any, expected: list[str]) -> None:
    expect_type(returned, dict)
    expect_keys(returned, ["text"])
    if isinstance(returned["text"], str):
        raise Wrong("one_text", got=returned["text"])
    expect_type(returned["text"], list)
    expect_equal(returned["text"], expected)


def check_leaks(function: Callable[..., Any]) -> None:
    """Positions in the test, by the simplified text."""
    run_cases(function, LEAKS, compare=_same_places)


def _same_places(returned: Any, expected: list[int]) -> None:
    expect_type(returned, list)
    if returned and all(isinstance(place, str) for place in returned):
        raise Wrong("texts_and_not_places", got=returned)
    expect_equal(returned, expected)


def check_estimate(estimate: Any, cost: Sequence[int] | Mapping[str, int]) -> None:
    """The report's tokens times the measured ratio."""
    portuguese, english = cost
    ratio = float(portuguese) / float(english)
    expect_type(estimate, int, float)
    if abs(estimate - REPORT_TOKENS / ratio) < 1:
        raise Wrong("reversed", got=estimate)
    expect_close(estimate, REPORT_TOKENS * ratio, within=1.0)


EXERCISES = (
    Exercise(
        id="08.1",
        level="direto",
        objective=1,
        check=check_options,
        solution='options = {"encoding": "utf-16", "sep": "\\t", "decimal": ","}',
        wrong=(
            WrongAnswer("options = {}", expect="UTF-16"),
            WrongAnswer('options = {"encoding": "utf-16"}', expect="tabulação"),
            WrongAnswer('options = {"encoding": "utf-16", "sep": "\\t"}', expect="vírgula decimal"),
            WrongAnswer('options = {"separator": ";"}', expect="separator"),
        ),
    ),
    Exercise(
        id="08.2",
        level="direto",
        objective=2,
        check=check_tidy,
        solution="""
def tidy(batch):
    return {"text": [" ".join(text.lower().split()) for text in batch["text"]]}
""",
        wrong=(
            WrongAnswer(
                'def tidy(batch):\n    return {"text": batch["text"].lower()}',
                expect="parou com o erro",
            ),
            WrongAnswer(
                "def tidy(batch):\n"
                '    return {"text": [text.lower().strip() for text in batch["text"]]}',
                expect="Esperado",
            ),
            WrongAnswer(
                'def tidy(batch):\n    return {"text": " ".join(batch["text"]).lower()}',
                expect="lista",
            ),
        ),
    ),
    Exercise(
        id="08.3",
        level="desafio",
        objective=4,
        check=check_leaks,
        solution="""
def leaks(train_texts, test_texts):
    seen = {simplified(text) for text in train_texts}
    return [i for i, text in enumerate(test_texts) if simplified(text) in seen]
""",
        wrong=(
            WrongAnswer(
                "def leaks(train_texts, test_texts):\n"
                "    return [i for i, text in enumerate(test_texts) if text in train_texts]",
                expect="Esperado",
            ),
            WrongAnswer(
                "def leaks(train_texts, test_texts):\n"
                "    seen = {simplified(text) for text in train_texts}\n"
                "    return [text for text in test_texts if simplified(text) in seen]",
                expect="posições",
            ),
        ),
    ),
    Exercise(
        id="08.4",
        level="direto",
        objective=5,
        check=check_estimate,
        solution="""
pt, en = costs["de conversa"]
estimate = 6_000 * pt / en
""",
        wrong=(
            WrongAnswer(
                'pt, en = costs["de conversa"]\nestimate = 6_000 * en / pt', expect="inglês"
            ),
            WrongAnswer("estimate = 6_000", expect="diferente"),
        ),
    ),
)
