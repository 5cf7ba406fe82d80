"""The questions of a quiz, what each answer gets, and the quiz as text."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from functools import cache
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from helpers import logbook
from helpers.errors import CourseError
from helpers.exercises.feedback import Feedback, inline
from helpers.messages import DEFAULT_LANGUAGE, text

if TYPE_CHECKING:
    from helpers.widgets import Panel

LETTERS = "abcd"


@dataclass(frozen=True)
class Option:
    """One of a question's options.

    Attributes:
        text: what it says.
        why: why it is right, or what is wrong with it.
        right: whether it is the one to choose.
    """

    text: str
    why: str = field(repr=False)
    right: bool = field(default=False, repr=False)


@dataclass(frozen=True)
class Question:
    """A question with one right option.

    Attributes:
        notebook: the notebook's two digits.
        number: its place in the quiz, from 1.
        objective: which objective of the notebook's header it is about, from 1.
        text: the question.
        options: in the order in which they are always shown.
    """

    notebook: str
    number: int
    objective: int
    text: str
    options: tuple[Option, ...]

    @property
    def id(self) -> str:
        """Its name in the learner's progress: ``"04.quiz.1"``."""
        return f"{self.notebook}.quiz.{self.number}"

    @property
    def lettered(self) -> tuple[tuple[str, str], ...]:
        """Each option's letter and text."""
        return tuple(
            (letter, option.text) for letter, option in zip(LETTERS, self.options, strict=False)
        )

    def answer(self, letter: str) -> Feedback:
        """Tell whether a letter is the right one, and why; and write it down.

        Raises:
            CourseError: if no option has this letter.
        """
        wanted = str(letter).strip().strip("()").lower()
        for (known, _), option in zip(self.lettered, self.options, strict=True):
            if known == wanted:
                logbook.note(self.id, passed=option.right)
                return self._feedback(known, option)
        known = ", ".join(letter for letter, _ in self.lettered)
        raise CourseError(text("quiz.unknown_letter", letter=repr(letter), known=known))

    def unanswered(self) -> Feedback:
        """Tell that nothing was chosen."""
        words = text("quiz.heading", words=text("exercises.not_attempted"), number=self.number)
        return Feedback("not_attempted", words, (text("quiz.choose"),))

    def _feedback(self, letter: str, option: Option) -> Feedback:
        words = text("exercises.passed" if option.right else "exercises.wrong")
        return Feedback(
            "passed" if option.right else "wrong",
            text("quiz.heading_letter", words=words, number=self.number, letter=letter),
            (option.why,),
            next_step="" if option.right else text("quiz.again"),
        )


@dataclass(frozen=True)
class Quiz:
    """The questions of one notebook, shown when it is a cell's last expression.

    Where widgets work, it is a panel with a choice and a button for each question. Everywhere, it
    is also a text with the questions and the letters for `answer`.

    Attributes:
        notebook: the notebook's two digits.
        title: the notebook's title.
        questions: the questions, in order.
    """

    notebook: str
    title: str
    questions: tuple[Question, ...] = field(repr=False)

    def answer(self, question: int | str, letter: str = "") -> Feedback:
        """Answer without widgets.

        Args:
            question: the question's number, from 1.
            letter: the letter of the option.

        Raises:
            CourseError: if there is no such question or letter, or one of the two was left out.
        """
        if not letter:
            raise CourseError(text("quiz.two_parts", notebook=self.notebook))
        for candidate in self.questions:
            if str(candidate.number) == str(question).strip():
                return candidate.answer(letter)
        total = len(self.questions)
        raise CourseError(text("quiz.unknown_question", number=repr(question), total=total))

    def panel(self) -> Panel:
        """Return the quiz as widgets."""
        from helpers.quizzes.panel import panel

        return panel(self)

    def __repr__(self) -> str:
        """Return the plain-text twin: the questions, the letters and how to answer."""
        lines = []
        for question in self.questions:
            lines.append(f"{question.number}. {question.text}")
            lines += [f"   {letter}) {option}" for letter, option in question.lettered]
        return "\n".join([*lines, self.how_to_answer])

    def _repr_html_(self) -> str:
        parts = []
        for question in self.questions:
            options = "".join(
                f"<li>{letter}) {inline(option)}</li>" for letter, option in question.lettered
            )
            parts.append(
                f"<p><strong>{question.number}. {inline(question.text)}</strong></p>"
                f'<ul style="list-style:none;padding-left:1em">{options}</ul>'
            )
        return "\n".join([*parts, f"<p>{inline(self.how_to_answer)}</p>"])

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        try:
            shown = self.panel()._repr_mimebundle_()
        except ImportError:  # Without ipywidgets the letters still work.
            shown = {}
        return shown | {"text/html": self._repr_html_(), "text/plain": repr(self)}

    @property
    def how_to_answer(self) -> str:
        """How to answer where there are no buttons."""
        return text("quiz.how_to_answer", notebook=escape(self.notebook))


def quiz(notebook: str) -> Quiz:
    """Return the quiz of a notebook.

    Args:
        notebook: its two digits, such as ``"04"``.

    Raises:
        CourseError: if there is no such quiz; the sentence lists those that exist.
    """
    found = _quiz(str(notebook), os.environ.get("COURSE_LANG", DEFAULT_LANGUAGE))
    if found is None:
        known = ", ".join(notebooks())
        raise CourseError(text("quiz.unknown_notebook", notebook=repr(notebook), known=known))
    return found


def notebooks() -> list[str]:
    """Return the digits of the notebooks that have a quiz, in order."""
    folder = files("helpers.quizzes") / DEFAULT_LANGUAGE
    names = (item.name for item in folder.iterdir())
    return sorted(name[2:4] for name in names if name.startswith("nb") and name.endswith(".toml"))


@cache
def _quiz(notebook: str, language: str) -> Quiz | None:
    if notebook not in notebooks():
        return None
    folder = files("helpers.quizzes")
    path = folder / language / f"nb{notebook}.toml"
    if not path.is_file():
        path = folder / DEFAULT_LANGUAGE / f"nb{notebook}.toml"
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    questions = tuple(
        Question(
            notebook,
            number,
            found["objective"],
            found["text"],
            tuple(Option(**option) for option in found["options"]),
        )
        for number, found in enumerate(data["question"], 1)
    )
    return Quiz(notebook, data["title"], questions)
