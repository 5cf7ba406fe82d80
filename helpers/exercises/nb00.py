"""Exercises of notebook 00, `comece_aqui`."""

from collections.abc import Callable
from typing import Any

from helpers.exercises import (
    Case,
    Exercise,
    Wrong,
    WrongAnswer,
    expect_equal,
    expect_type,
    run_cases,
)

NOTICE = "O passeio ao museu será na sexta-feira. O ônibus sai às 7h30 e volta às 12h."
NAME_LENGTH = len("Marcundes")


def check_bus_question(question: Any) -> None:
    """The model must answer the learner's question with the departure time."""
    from helpers.course import current

    expect_type(question, str)
    if not question.strip():
        raise Wrong("empty")
    course = current()
    with course.session() as session:
        model = course.model("question-answering", where="api")
        answer = session.question_answering(question, NOTICE, model=model)["answer"]
    if "7h30" not in answer:
        raise Wrong("other_answer", got=answer)


def check_cautious(function: Callable[..., Any]) -> None:
    """At and above 0.5 the answer; below, the words of doubt."""
    from huggingface_hub import QuestionAnsweringOutputElement

    # The client's own class: what works with a real answer has to work here.
    def result(answer: str, score: float) -> QuestionAnsweringOutputElement:
        return QuestionAnsweringOutputElement(answer=answer, score=score, start=0, end=len(answer))

    cases = [
        Case((result("Marcundes", 0.97),), "Marcundes"),
        Case((result("gravando", 0.08),), "não sei"),
        Case((result("7h30", 0.5),), "7h30"),
        Case((result("12h", 0.4999),), "não sei"),
    ]
    run_cases(function, cases)


def check_length(length: Any) -> None:
    """The end is not part of the span, so the length is the plain difference."""
    expect_type(length, int)
    if length == NAME_LENGTH + 1:
        raise Wrong("counted_the_end", got=length)
    expect_equal(length, NAME_LENGTH, key="other_length")


EXERCISES = (
    Exercise(
        id="00.1",
        level="direto",
        objective=1,
        check=check_bus_question,
        solution='my_question = "A que horas o ônibus sai?"',
        wrong=(
            WrongAnswer('my_question = "Em que dia será o passeio?"', expect="outro trecho"),
            WrongAnswer('my_question = " "', expect="vazia"),
            WrongAnswer("my_question = 7.30", expect="texto"),
        ),
    ),
    Exercise(
        id="00.2",
        level="desafio",
        objective=1,
        check=check_cautious,
        solution="""
def cautious(result):
    if result.score >= 0.5:
        return result.answer
    return "não sei"
""",
        wrong=(
            WrongAnswer(
                "def cautious(result):\n"
                '    return result.answer if result.score > 0.5 else "não sei"',
                expect="diferente",
            ),
            WrongAnswer(
                "def cautious(result):\n"
                '    print(result.answer if result.score >= 0.5 else "não sei")',
                expect="return",
            ),
            WrongAnswer(
                "def cautious(result):\n    return result.score >= 0.5", expect="diferente"
            ),
        ),
    ),
    Exercise(
        id="00.3",
        level="direto",
        objective=3,
        check=check_length,
        solution="length = answer.end - answer.start",
        wrong=(
            WrongAnswer("length = answer.end - answer.start + 1", expect="não faz parte"),
            WrongAnswer("length = answer.end", expect="começo"),
        ),
    ),
)
