"""The assistant for one's own documents: load its program, fit when it answers, measure it.

The program itself is a single file, the ``app.py`` of the Space ``curso/assistente-de-documentos``,
which runs where this course is not installed. Nothing of it is repeated here.
"""

from __future__ import annotations

import importlib.util
import os
import re
import statistics
import string
import sys
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.display import Table, number, table
from helpers.environment import cache_folder
from helpers.errors import CourseError
from helpers.messages import text

if TYPE_CHECKING:
    from types import ModuleType

    from helpers.course import Course

SPACE = "curso/assistente-de-documentos"
PARTS = ("calibragem", "teste")
MODULE = "assistente_de_documentos"
WRONG_AT_MOST = 0.1
ENOUGH_OVERLAP = 0.5
"""F1 from which an answer counts as right when the confidence is fitted; not when measured."""


@dataclass(frozen=True)
class Question:
    """A question of the evaluation set.

    Attributes:
        text: the question.
        document: the name of the file that it is about.
        answers: the right answers, the shortest first; empty if no document answers it.
    """

    text: str
    document: str
    answers: tuple[str, ...]


def folder() -> Path:
    """Return the folder of the Space: the program, the documents and the questions."""
    from helpers.embedded.catalog import catalog

    source = catalog().repository(SPACE).source
    assert source is not None
    return source


def app(course: Course | None = None) -> ModuleType:
    """Load the assistant's program as a module, with the course's models.

    Args:
        course: what ``helpers.setup()`` returned; by default, the last one.

    Returns:
        The module ``app.py``, the same one each time it is asked for with the same models.
    """
    from helpers.course import current

    return load(variables(course or current()))


def load(environment: Mapping[str, str], path: Path | None = None) -> ModuleType:
    """Load an ``app.py`` as a module.

    Args:
        environment: what the program reads, such as what :func:`variables` returned.
        path: the program; by default, that of the Space.
    """
    path = path or folder() / "app.py"
    loaded = sys.modules.get(MODULE)
    if loaded and _same(loaded, path, environment):
        return loaded
    os.environ |= environment
    spec = importlib.util.spec_from_file_location(MODULE, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def _same(loaded: ModuleType, path: Path, environment: Mapping[str, str]) -> bool:
    return loaded.__file__ == str(path) and all(
        getattr(loaded, name) == value for name, value in environment.items()
    )


def variables(course: Course) -> dict[str, str]:
    """Return the environment variables that the program reads, for a course's models.

    Args:
        course: what ``helpers.setup()`` returned.
    """
    return {
        "EMBEDDING_MODEL": course.model("feature-extraction", smallest=True),
        "READER_MODEL": course.model("question-answering", smallest=True),
        "CACHE_FOLDER": str(cache_folder() / "documents"),
    }


def questions(part: str, path: Path | None = None) -> list[Question]:
    """Read a part of the evaluation set.

    Args:
        part: ``"calibragem"``, to choose by, or ``"teste"``, to measure with.
        path: a file such as the Space's ``perguntas.toml``, which is the default.

    Raises:
        CourseError: there is no such part, or the file is not like that one.
    """
    if part not in PARTS:
        raise CourseError(text("documents.no_part", part=part, parts=", ".join(PARTS)))
    path = path or folder() / "perguntas.toml"
    try:
        documents = tomllib.loads(path.read_text(encoding="utf-8"))["document"]
        return [
            Question(question, document["file"], tuple(answers))
            for document in documents
            if document["part"] == part
            for question, *answers in document["questions"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CourseError(text("documents.bad_questions", file=path.name)) from error


# --- right or wrong --------------------------------------------------------------------------


def normalized(answer: str) -> str:
    """Return an answer as it is compared: lower case, no punctuation, no article in front."""
    words = answer.lower().translate(str.maketrans("", "", string.punctuation + "“”’")).split()
    return " ".join(words[1:] if words and words[0] in {"o", "a", "os", "as"} else words)


def is_exact(answer: str, expected: Sequence[str]) -> bool:
    """Say whether an answer is one of those expected."""
    return normalized(answer) in {normalized(one) for one in expected}


def f1(answer: str, expected: Sequence[str]) -> float:
    """Return the overlap in words with the nearest of the answers expected, from 0 to 1."""
    return max((_overlap(normalized(answer), normalized(one)) for one in expected), default=0.0)


def _overlap(answer: str, expected: str) -> float:
    got, wanted = Counter(answer.split()), Counter(expected.split())
    shared = (got & wanted).total()
    return 2 * shared / (got.total() + wanted.total()) if shared else 0.0


def holds_answer(passage: Any, question: Question) -> bool:
    """Say whether a passage is from the right document and holds an answer, as whole words."""
    plain = " ".join(passage.text.split())
    return passage.document == question.document and any(
        re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", plain) for answer in question.answers
    )


# --- measuring -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """What the assistant found for one question.

    Attributes:
        question: what was asked.
        candidates: the passages read, each with its best answer, in the order of the search.
    """

    question: Question
    candidates: tuple[Any, ...]


def collect(assistant: ModuleType, library: Any, asked: Sequence[Question]) -> list[Reading]:
    """Search and read for each question, and decide nothing yet: that is quick, and comes later.

    Args:
        assistant: the program, from :func:`app`.
        library: its ``Library``, with the documents open.
        asked: the questions.
    """
    return [
        Reading(question, tuple(assistant.candidates(library, question.text))) for question in asked
    ]


@dataclass(frozen=True)
class Outcome:
    """How one question went.

    Attributes:
        question: what was asked.
        answer: the best candidate's words, whether or not they were said.
        confidence: from 0 to 1.
        said: whether the confidence was enough.
        retrieved: whether a passage that was read holds the answer.
    """

    question: Question
    answer: str
    confidence: float
    said: bool
    retrieved: bool

    @property
    def exact(self) -> bool:
        """Whether the best candidate is one of the answers expected."""
        return is_exact(self.answer, self.question.answers)


def judged(readings: Sequence[Reading], judge: Any) -> list[Outcome]:
    """Choose an answer for each question, or refuse.

    Args:
        readings: what :func:`collect` returned.
        judge: the program's ``Judge``.
    """
    outcomes = []
    for reading in readings:
        sure, best = max(
            ((judge.confidence(one), one) for one in reading.candidates), key=lambda pair: pair[0]
        )
        retrieved = any(holds_answer(one.passage, reading.question) for one in reading.candidates)
        outcomes.append(
            Outcome(reading.question, best.text, sure, sure >= judge.threshold, retrieved)
        )
    return outcomes


@dataclass(frozen=True)
class Score:
    """The assistant's figures on some questions; shares go from 0 to 1.

    Attributes:
        answerable: how many questions have an answer.
        unanswerable: how many have none.
        retrieved: of the answerable, share whose answer is in a passage that was read.
        exact: of the answerable, share where the best candidate is exactly right, refused or not.
        f1: of the answerable, mean overlap of the best candidate, refused or not.
        answered_right: of the answerable, share that was answered, exactly right.
        answered_wrong: of the answerable, share that was answered with something else.
        refused: of the answerable, share that was refused.
        refused_rightly: of the unanswerable, share that was refused.
        wrongly_answered: of the unanswerable, share that got an answer.
    """

    answerable: int
    unanswerable: int
    retrieved: float
    exact: float
    f1: float
    answered_right: float
    answered_wrong: float
    refused: float
    refused_rightly: float
    wrongly_answered: float

    def table(self) -> Table:
        """Return the figures for people, in percent."""
        names = [name for name in self.__dataclass_fields__ if name.endswith("able") is False]
        return table(
            [
                {
                    text("documents.figure"): text(f"documents.{name}"),
                    text("documents.of"): number(self._count(name), 0),
                    "%": 100 * getattr(self, name),
                }
                for name in names
            ],
            digits=0,
            row_headers=True,
        )

    def _count(self, name: str) -> int:
        without = name in {"refused_rightly", "wrongly_answered"}
        return self.unanswerable if without else self.answerable


def score(outcomes: Sequence[Outcome]) -> Score:
    """Sum up outcomes.

    Raises:
        CourseError: there is no question with an answer, or none without.
    """
    having = [outcome for outcome in outcomes if outcome.question.answers]
    lacking = [outcome for outcome in outcomes if not outcome.question.answers]
    if not having or not lacking:
        raise CourseError(text("documents.one_kind"))
    return Score(
        answerable=len(having),
        unanswerable=len(lacking),
        retrieved=_share(outcome.retrieved for outcome in having),
        exact=_share(outcome.exact for outcome in having),
        f1=statistics.mean(f1(outcome.answer, outcome.question.answers) for outcome in having),
        answered_right=_share(outcome.said and outcome.exact for outcome in having),
        answered_wrong=_share(outcome.said and not outcome.exact for outcome in having),
        refused=_share(not outcome.said for outcome in having),
        refused_rightly=_share(not outcome.said for outcome in lacking),
        wrongly_answered=_share(outcome.said for outcome in lacking),
    )


def _share(hits: Any) -> float:
    return statistics.mean(map(float, hits))


# --- when to answer --------------------------------------------------------------------------


def fit(
    assistant: ModuleType, readings: Sequence[Reading], wrong_at_most: float = WRONG_AT_MOST
) -> Any:
    """Fit the confidence and choose the threshold, on calibration questions.

    A logistic regression learns which candidates are right. The threshold is the lowest at which
    at most ``wrong_at_most`` of the questions without an answer get one.

    Args:
        assistant: the program, from :func:`app`.
        readings: what :func:`collect` returned, for questions with and without an answer.
        wrong_at_most: from 0 to 1.

    Returns:
        The program's ``Judge``.

    Raises:
        CourseError: there is no question with an answer, or none without.
    """
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    pairs = [(one, reading.question) for reading in readings for one in reading.candidates]
    right = [_is_right(one, question) for one, question in pairs]
    if len(set(right)) < 2:
        raise CourseError(text("documents.one_kind"))
    names = list(pairs[0][0].features)
    rows = np.array([[one.features[name] for name in names] for one, _ in pairs])
    mean, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-9
    model = LogisticRegression().fit((rows - mean) / spread, right)
    # The weights of the features as they are: the program does not standardise.
    weights = model.coef_[0] / spread
    bias = float(model.intercept_[0] - weights @ mean)
    rule = assistant.Judge(dict(zip(names, map(float, weights), strict=True)), bias, 0.0)
    return assistant.Judge(rule.weights, bias, threshold(judged(readings, rule), wrong_at_most))


def _is_right(candidate: Any, question: Question) -> bool:
    near = f1(candidate.text, question.answers) >= ENOUGH_OVERLAP
    return near and candidate.passage.document == question.document


def threshold(outcomes: Sequence[Outcome], wrong_at_most: float = WRONG_AT_MOST) -> float:
    """Return the lowest threshold that keeps wrong answers to unanswerable questions few.

    Args:
        outcomes: how each question went; whether it was answered does not matter.
        wrong_at_most: share of the unanswerable questions that may get an answer, from 0 to 1.

    Raises:
        CourseError: there is no question without an answer.
    """
    wrong = sorted((one.confidence for one in outcomes if not one.question.answers), reverse=True)
    if not wrong:
        raise CourseError(text("documents.one_kind"))
    allowed = int(wrong_at_most * len(wrong))
    # Just above the first one that may no longer pass.
    return min(wrong[allowed] + 1e-6, 1.0) if allowed < len(wrong) else 0.0
