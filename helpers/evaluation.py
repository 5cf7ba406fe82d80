"""Judging a classifier: macro-F1 with its interval, the confusion matrix, the errors.

Labels are whatever the caller uses, numbers or names; ``labels`` gives their order, and for numbers
their names. Nothing here needs a model: what was right and what was answered is enough.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from helpers.display import BLUE, INK, Chart, Table, number, table
from helpers.errors import CourseError
from helpers.messages import text

Matrix = list[list[int]]

SAMPLES = 2000
SEED = 7


@dataclass(frozen=True)
class Evaluation:
    """How well a classifier did on sentences that it had not seen.

    Attributes:
        labels: The names of the classes.
        matrix: How many sentences there are of each class (row) that got each answer (column).
        macro_f1: Mean F1 of the classes, from 0 to 1.
        low: Where the 95 % interval of the macro-F1 begins.
        high: Where it ends.
        accuracy: Share of right answers, from 0 to 1.
        f1: F1 of each class, in the order of ``labels``.
    """

    labels: tuple[str, ...]
    matrix: Matrix
    macro_f1: float
    low: float
    high: float
    accuracy: float
    f1: tuple[float, ...]

    @property
    def count(self) -> int:
        """How many sentences were judged."""
        return sum(map(sum, self.matrix))

    def __repr__(self) -> str:
        return text(
            "evaluation.summary",
            macro_f1=_tenths(self.macro_f1),
            low=_tenths(self.low),
            high=_tenths(self.high),
            accuracy=_tenths(self.accuracy),
            count=number(self.count, 0),
        )


def evaluate(
    expected: Sequence[Any], predicted: Sequence[Any], labels: Sequence[str]
) -> Evaluation:
    """Compare answers with what was right.

    Args:
        expected: The right class of each sentence: a name of ``labels``, or its place there.
        predicted: The class answered, in the same order.
        labels: The names of the classes.

    Raises:
        CourseError: there is nothing to compare, the two differ in length, or a class is unknown.
    """
    names = tuple(labels)
    right, answers = _named(expected, names), _named(predicted, names)
    _check(right, answers)
    matrix = confusion(right, answers, names)
    low, high = interval(right, answers, names)
    return Evaluation(
        names,
        matrix,
        macro_f1(matrix),
        low,
        high,
        accuracy(matrix),
        tuple(f1_by_class(matrix)),
    )


# --- the figures ------------------------------------------------------------------------------


def confusion(expected: Sequence[Any], predicted: Sequence[Any], labels: Sequence[Any]) -> Matrix:
    """Count pairs; rows are what was expected and columns what was answered, in ``labels``' order.

    Raises:
        ValueError: The sequences differ in length, or hold another label.
    """
    places = {label: place for place, label in enumerate(labels)}
    matrix = [[0] * len(labels) for _ in labels]
    for truth, guess in zip(expected, predicted, strict=True):
        if truth not in places or guess not in places:
            raise ValueError(f"({truth!r}, {guess!r}) are not both in {list(labels)}")
        matrix[places[truth]][places[guess]] += 1
    return matrix


def f1_by_class(matrix: Matrix) -> list[float]:
    """Return F1 per class, from 0.0 to 1.0; 0.0 for a class that never occurs on either side."""
    scores = []
    for index in range(len(matrix)):
        hits = matrix[index][index]
        total = sum(matrix[index]) + sum(row[index] for row in matrix)
        scores.append(2 * hits / total if total else 0.0)
    return scores


def macro_f1(matrix: Matrix) -> float:
    """Return the mean F1 of the classes, from 0.0 to 1.0."""
    scores = f1_by_class(matrix)
    return sum(scores) / len(scores)


def accuracy(matrix: Matrix) -> float:
    """Return the share of right answers, from 0.0 to 1.0."""
    return sum(matrix[i][i] for i in range(len(matrix))) / sum(map(sum, matrix))


def interval(
    expected: Sequence[Any],
    predicted: Sequence[Any],
    labels: Sequence[Any],
    *,
    samples: int = SAMPLES,
    seed: int = SEED,
) -> tuple[float, float]:
    """Return the 95 % interval of the macro-F1, from sentences drawn again with replacement.

    This is the bootstrap: each draw is a test set that might have been. A wide interval means that
    the set is too small to tell two models apart.

    Args:
        expected: Right labels.
        predicted: Labels answered, in the same order.
        labels: All labels.
        samples: How many times to draw.
        seed: Seed of the draws.

    Returns:
        The 2.5th and the 97.5th percentile.
    """
    rows = list(zip(expected, predicted, strict=True))
    return _middle(
        macro_f1(confusion([truth for truth, _ in drawn], [guess for _, guess in drawn], labels))
        for drawn in _draws(rows, samples, seed)
    )


def difference(
    expected: Sequence[Any],
    first: Sequence[Any],
    second: Sequence[Any],
    labels: Sequence[Any],
    *,
    samples: int = SAMPLES,
    seed: int = SEED,
) -> tuple[float, float]:
    """Return the 95 % interval of how much more macro-F1 the first classifier has.

    Both are judged on the same draws, so that what makes a draw hard for both does not count: it
    tells two classifiers apart where their own intervals overlap. If the interval holds zero, the
    set is too small to say which is better.

    Args:
        expected: Right labels.
        first: Labels that one classifier answered, in the same order.
        second: Labels that the other answered.
        labels: All labels.
        samples: How many times to draw.
        seed: Seed of the draws.

    Returns:
        The 2.5th and the 97.5th percentile of the difference, from -1 to 1.
    """
    rows = list(zip(expected, first, second, strict=True))

    def gained(drawn: list[tuple[Any, ...]]) -> float:
        truth, one, other = zip(*drawn, strict=True)
        return macro_f1(confusion(truth, one, labels)) - macro_f1(confusion(truth, other, labels))

    return _middle(gained(drawn) for drawn in _draws(rows, samples, seed))


def _draws(rows: list[Any], samples: int, seed: int) -> Iterator[list[Any]]:
    """Yield test sets that might have been: as many rows, some of them several times."""
    rng = random.Random(seed)
    for _ in range(samples):
        yield rng.choices(rows, k=len(rows))


def _middle(scores: Iterable[float]) -> tuple[float, float]:
    """Return the ends of the middle 95 %."""
    ordered = sorted(scores)
    return ordered[round(0.025 * len(ordered))], ordered[round(0.975 * len(ordered)) - 1]


# --- what is shown ----------------------------------------------------------------------------


def results(evaluations: Mapping[str, Evaluation]) -> Table:
    """Show several classifiers, judged on the same sentences, one a row."""
    return table(
        [
            {
                text("evaluation.who"): name,
                text("evaluation.macro_f1"): 100 * found.macro_f1,
                text("evaluation.interval"): text(
                    "evaluation.range", low=_tenths(found.low), high=_tenths(found.high)
                ),
                text("evaluation.accuracy"): 100 * found.accuracy,
                **{
                    text("evaluation.f1_of", label=label): 100 * score
                    for label, score in zip(found.labels, found.f1, strict=True)
                },
            }
            for name, found in evaluations.items()
        ],
        digits=1,
        row_headers=True,
    )


def confusion_chart(evaluation: Evaluation, title: str | None = None) -> Chart:
    """Draw the confusion matrix: darker cells hold more of their row's sentences.

    Args:
        evaluation: What :func:`evaluate` returned.
        title: What was judged.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    labels, matrix = evaluation.labels, evaluation.matrix
    shares = [[count / max(1, sum(row)) for count in row] for row in matrix]
    side = 1.6 + 1.1 * len(labels)
    figure = Figure(figsize=(side + 1, side), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    shades = LinearSegmentedColormap.from_list("shades", ["#ffffff", BLUE])
    axes.imshow(shares, cmap=shades, vmin=0, vmax=1)
    for row, counts in enumerate(matrix):
        for column, count in enumerate(counts):
            dark = shares[row][column] > 0.6
            axes.text(
                column, row, number(count, 0),
                ha="center", va="center", fontsize=13, color="white" if dark else INK,
            )  # fmt: skip
    axes.set_xticks(range(len(labels)), labels, fontsize=11, color=INK)
    axes.set_yticks(range(len(labels)), labels, fontsize=11, color=INK)
    axes.set_xlabel(text("evaluation.answered"), fontsize=11, color=INK)
    axes.set_ylabel(text("evaluation.right"), fontsize=11, color=INK)
    title = title or text("evaluation.confusion_title")
    axes.set_title(title, loc="left", fontsize=12, color=INK)
    axes.tick_params(length=0)
    return Chart(figure, _confusion_in_words(evaluation, title))


def _confusion_in_words(evaluation: Evaluation, title: str) -> str:
    rows = [
        text(
            "evaluation.confusion_row",
            label=label,
            total=number(sum(counts), 0),
            answers=", ".join(
                text("evaluation.confusion_cell", label=answer, count=number(count, 0))
                for answer, count in zip(evaluation.labels, counts, strict=True)
            ),
        )
        for label, counts in zip(evaluation.labels, evaluation.matrix, strict=True)
    ]
    return text("evaluation.confusion_chart", title=title.rstrip("."), rows="; ".join(rows))


def errors(
    texts: Sequence[str],
    expected: Sequence[Any],
    predicted: Sequence[Any],
    labels: Sequence[str],
    *,
    scores: Sequence[float] | None = None,
    limit: int = 10,
) -> Table:
    """Show the sentences that got a wrong answer, those answered most surely first.

    Args:
        texts: The sentences.
        expected: The right class of each: a name of ``labels``, or its place there.
        predicted: The class answered.
        labels: The names of the classes.
        scores: How sure the answer was, from 0 to 1; without them, the order is the sentences'.
        limit: How many to show at most.

    Raises:
        CourseError: as in :func:`evaluate`.
    """
    names = tuple(labels)
    right, answers = _named(expected, names), _named(predicted, names)
    _check(right, answers)
    _check(texts, answers)
    pairs = enumerate(zip(right, answers, strict=True))
    wrong = [place for place, (truth, answer) in pairs if truth != answer]
    if scores is not None:
        _check(scores, answers)
        wrong.sort(key=lambda place: -scores[place])
    rows = []
    for place in wrong[:limit]:
        row: dict[str, Any] = {
            text("evaluation.sentence"): texts[place],
            text("evaluation.right"): right[place],
            text("evaluation.answered"): answers[place],
        }
        if scores is not None:
            row[text("evaluation.score")] = float(scores[place])
        rows.append(row)
    return table(rows)


def _named(classes: Sequence[Any], labels: Sequence[str]) -> list[str]:
    """Return classes by name, be they given so or as places in the list of names."""
    named = []
    for value in classes:
        if isinstance(value, str):
            if value not in labels:
                raise CourseError(_unknown(value, labels))
            named.append(value)
            continue
        place = int(value)
        if not 0 <= place < len(labels):
            raise CourseError(_unknown(place, labels))
        named.append(labels[place])
    return named


def _unknown(value: object, labels: Sequence[str]) -> str:
    return text("evaluation.unknown_label", value=repr(value), labels=", ".join(labels))


def _check(expected: Sequence[Any], predicted: Sequence[Any]) -> None:
    if len(expected) != len(predicted):
        raise CourseError(
            text("evaluation.lengths", expected=len(expected), predicted=len(predicted))
        )
    if not len(expected):
        raise CourseError(text("evaluation.nothing"))


def _tenths(share: float) -> str:
    """Write a share in percent, with one decimal."""
    return number(100 * share, 1)
