"""The exercise: its check, its hints and its solution, as a notebook uses them."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from helpers import logbook
from helpers.errors import CourseError
from helpers.exercises.blank import is_blank
from helpers.exercises.compare import Wrong
from helpers.exercises.describe import describe_error, type_name
from helpers.exercises.feedback import Feedback, Status
from helpers.messages import items, text

Level = Literal["direto", "desafio"]


@dataclass(frozen=True)
class WrongAnswer:
    """A plausible mistake, executed by the tests.

    Attributes:
        source: the learner's part of the cell, with the mistake.
        expect: a piece of the feedback that this mistake must get.
    """

    source: str
    expect: str


class Exercise:
    """One exercise. Its texts are in the locale file, under `[exercises."ID"]`.

    Texts: `title`, `hints` (a list, from a nudge to nearly the answer), one sentence for each key
    that the check uses, and optionally `passed` (the warm sentence) and `explanation` (shown with
    the solution).
    """

    def __init__(
        self,
        *,
        id: str,
        level: Level,
        objective: int,
        check: Callable[..., None],
        solution: str,
        wrong: tuple[WrongAnswer, ...],
        accepts_none: bool = False,
    ) -> None:
        """Define an exercise.

        Args:
            id: number of the notebook, a dot, number of the exercise: `"04.1"`.
            level: `"direto"` or `"desafio"`.
            objective: which objective in the notebook's list it practises, from 1.
            check: receives the learner's answers; returns None or raises `Wrong`.
            solution: source code of the learner's part of the cell, as it should be.
            wrong: plausible mistakes, at least two.
            accepts_none: None is an answer, and not an empty gap.
        """
        self.id = id
        self.level = level
        self.objective = objective
        self.solution_source = solution.strip("\n")
        self.wrong_answers = wrong
        self._verify = check
        self._accepts_none = accepts_none
        self._hints_shown = 0

    def check(self, *answers: Any) -> Feedback:
        """Compare the learner's answers with what the exercise asks.

        Returns:
            Feedback whose `status` is `"not_attempted"`, `"wrong"` or `"passed"`.

        Raises:
            CourseError, ImportError, OSError: when something outside the answer failed, such as
                the local server.
        """
        gap = self._gap(answers)
        if gap:
            return self._feedback("not_attempted", text("exercises.not_attempted"), gap)
        feedback = self._judge(answers)
        logbook.note(self.id, passed=feedback.status == "passed")
        return feedback

    def _judge(self, answers: tuple[Any, ...]) -> Feedback:
        """Try the answers on the exercise's cases."""
        try:
            self._verify(*answers)
        except Wrong as wrong:
            return self._wrong(wrong)
        except (CourseError, ImportError, OSError):
            raise  # The server, the network or the installation: not the learner's answer.
        except Exception as error:  # An answer of a kind that the check did not foresee.
            kinds = ", ".join(type_name(type(answer)) for answer in answers)
            problem = Wrong("exercises.unreadable", types=kinds, error=describe_error(error))
            return self._wrong(problem)
        return self._feedback("passed", text("exercises.passed"), self._praise())

    def hint(self) -> Feedback:
        """Show the next hint; when all have been shown, show them together."""
        hints = items(self._key("hints"))
        step = self._hints_shown = self._hints_shown + 1
        if step > len(hints):
            words, shown = text("exercises.all_hints"), hints
        else:
            words, shown = text("exercises.hint", step=step, total=len(hints)), [hints[step - 1]]
        if step < len(hints):
            next_step = text("exercises.more_hints")
        else:
            next_step = text("exercises.after_last_hint", id=self.id)
        return self._feedback("hint", words, *shown, next_step=next_step)

    def solution(self) -> Feedback:
        """Show one possible solution as source code."""
        explanation = self._own_text("explanation") or text("exercises.solution_note")
        heading = text("exercises.solution")
        return self._feedback("solution", heading, explanation, code=self.solution_source)

    @property
    def title(self) -> str:
        """The exercise's title in the learner's language."""
        return text(self._key("title"))

    def __repr__(self) -> str:
        """Return the number, level and title, and what can be called."""
        return repr(self._about())

    def _repr_html_(self) -> str:
        return self._about()._repr_html_()

    def _about(self) -> Feedback:
        return self._feedback("about", self.title, text("exercises.about", id=self.id))

    def _gap(self, answers: tuple[Any, ...]) -> str:
        """Return why the answers count as not attempted, or an empty text."""
        try:
            inspect.signature(self._verify).bind(*answers)
        except TypeError:
            return text("exercises.gap_arguments")
        if any(is_blank(answer) for answer in answers):
            return text("exercises.gap_stub")
        if not self._accepts_none and any(answer is None for answer in answers):
            return text("exercises.gap_none")
        return ""

    def _wrong(self, wrong: Wrong) -> Feedback:
        key = wrong.key if "." in wrong.key else self._key(wrong.key)
        given = {"expected": wrong.expected, "got": wrong.got, "call": wrong.call}
        # What a call must return helps to mend a function; a bare value would be the answer itself.
        expected = wrong.expected if wrong.call else ""
        facts = (
            (text("exercises.input"), wrong.call),
            (text("exercises.expected"), expected),
            (text("exercises.got"), wrong.got),
        )
        return self._feedback(
            "wrong",
            text("exercises.wrong"),
            text(key, **given, **wrong.values),
            facts=tuple((label, value) for label, value in facts if value),
            next_step=text("exercises.ask_for_a_hint", id=self.id),
        )

    def _feedback(
        self,
        status: Status,
        words: str,
        *sentences: str,
        facts: tuple[tuple[str, str], ...] = (),
        next_step: str = "",
        code: str = "",
    ) -> Feedback:
        level = text("exercises.level_direct" if self.level == "direto" else "exercises.level_hard")
        heading = text("exercises.heading", words=words, id=self.id, level=level)
        return Feedback(status, heading, sentences, facts, next_step, code)

    def _praise(self) -> str:
        sentences = items("exercises.praise")
        return self._own_text("passed") or sentences[sum(map(ord, self.id)) % len(sentences)]

    def _own_text(self, key: str) -> str:
        try:
            return text(self._key(key))
        except KeyError:
            return ""

    def _key(self, name: str) -> str:
        return f'exercises."{self.id}".{name}'
