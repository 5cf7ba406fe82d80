"""Exercises of notebook 02, `aplicacoes_praticas`."""

from collections.abc import Callable
from typing import Any

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

PROVERB = "Quem não tem cão caça com gato."

ACCURACIES: list[tuple[tuple[list[str], list[str]], float]] = [
    ((["a", "b", "c", "a"], ["a", "b", "a", "a"]), 0.75),
    ((["a"], ["b"]), 0.0),
    ((["a", "b"], ["a", "b"]), 1.0),
]

VOLUMES: list[tuple[tuple[int, float], float]] = [
    ((1_000_000, 50.0), 5.5556),
    ((3_600, 1.0), 1.0),
    ((0, 10.0), 0.0),
]


def check_round_trip(
    round_trip: Any, to_english: Callable[[str], str], to_portuguese: Callable[[str], str]
) -> None:
    """The sentence after both translators, one after the other."""
    expect_type(round_trip, str)
    english = to_english(PROVERB)
    if round_trip == english:
        raise Wrong("only_one_way", got=round_trip)
    if round_trip == PROVERB:
        raise Wrong("untouched", got=round_trip)
    expect_equal(round_trip, to_portuguese(english), key="other_trip")


def check_my_review(review: Any, classifier: Callable[..., Any]) -> None:
    """A sentence that the model does not take for negative."""
    expect_type(review, str)
    if len(review.split()) < 3:
        raise Wrong("too_short")
    best = classifier([review], top_k=1)[0][0]
    if best["label"] == "negativo":
        raise Wrong("caught", score=round(best["score"], 2))


def check_my_guess(guess: Any) -> None:
    """One result of the image classifier: a class and a score."""
    expect_type(guess, dict)
    expect_keys(guess, ("label", "score"))


def check_my_text(heard: Any) -> None:
    """The transcript itself, with at least one word."""
    expect_type(heard, str)
    if not heard.strip():
        raise Wrong("silence")


def check_accuracy(function: Callable[..., Any]) -> None:
    """Share of equal labels at equal places."""
    run_cases(function, ACCURACIES, compare=expect_close)


def check_hours(function: Callable[..., Any]) -> None:
    """Texts, divided by texts a second, in hours."""
    run_cases(function, VOLUMES, compare=expect_close)


EXERCISES = (
    Exercise(
        id="02.1",
        level="direto",
        objective=1,
        check=check_round_trip,
        solution="round_trip = to_portuguese(to_english(proverb))",
        wrong=(
            WrongAnswer("round_trip = to_english(proverb)", expect="volta"),
            WrongAnswer("round_trip = proverb", expect="traduz"),
        ),
    ),
    Exercise(
        id="02.2",
        level="direto",
        objective=2,
        check=check_my_review,
        solution='my_review = "Excelente produto para usar como peso de papel."',
        wrong=(
            WrongAnswer('my_review = "Péssimo produto, veio quebrado e fede."', expect="negativ"),
            WrongAnswer('my_review = "Ruim"', expect="frase"),
        ),
    ),
    Exercise(
        id="02.3",
        level="direto",
        objective=3,
        check=check_my_guess,
        solution="""
my_photo = pictures[0]["image"]
my_guess = image_classifier(my_photo)[0]
""",
        wrong=(
            WrongAnswer('my_guess = image_classifier(pictures[0]["image"])', expect="dicionário"),
            WrongAnswer('my_guess = {"label": "tabby"}', expect="score"),
        ),
    ),
    Exercise(
        id="02.4",
        level="direto",
        objective=3,
        check=check_my_text,
        solution="""
my_voice = clips[0]["audio"]["bytes"]
sound = helpers.audio.decode(my_voice)
my_sound = {"raw": sound.samples, "sampling_rate": sound.sampling_rate}
my_text = listener(my_sound, generate_kwargs={"language": "pt"})["text"]
""",
        wrong=(
            WrongAnswer('my_text = {"text": "Bom dia"}', expect="texto"),
            WrongAnswer('my_text = " "', expect="vazio"),
        ),
    ),
    Exercise(
        id="02.5",
        level="direto",
        objective=4,
        check=check_accuracy,
        solution="""
def accuracy(answers, truth):
    return sum(a == t for a, t in zip(answers, truth)) / len(truth)
""",
        wrong=(
            WrongAnswer(
                "def accuracy(answers, truth):\n"
                "    return sum(a == t for a, t in zip(answers, truth))",
                expect="Esperado",
            ),
            WrongAnswer(
                "def accuracy(answers, truth):\n    return len(set(answers) & set(truth))",
                expect="Esperado",
            ),
        ),
    ),
    Exercise(
        id="02.6",
        level="desafio",
        objective=5,
        check=check_hours,
        solution="""
def hours(texts, texts_per_second):
    return texts / texts_per_second / 3600
""",
        wrong=(
            WrongAnswer(
                "def hours(texts, texts_per_second):\n    return texts / texts_per_second / 60",
                expect="Esperado",
            ),
            WrongAnswer(
                "def hours(texts, texts_per_second):\n    return texts * texts_per_second / 3600",
                expect="Esperado",
            ),
        ),
    ),
)
