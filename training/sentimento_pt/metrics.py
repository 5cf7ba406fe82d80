"""Confusion matrix, macro-F1 and its bootstrap interval."""

from __future__ import annotations

import random
from collections.abc import Sequence

from helpers.embedded.recipes.sentimento_pt import LABELS


def confusion(expected: Sequence[str], predicted: Sequence[str]) -> list[list[int]]:
    """Count pairs; rows are what was expected and columns what was predicted, in ``LABELS``' order.

    Raises:
        ValueError: The sequences differ in length, or hold another label.
    """
    matrix = [[0] * len(LABELS) for _ in LABELS]
    for truth, guess in zip(expected, predicted, strict=True):
        matrix[LABELS.index(truth)][LABELS.index(guess)] += 1
    return matrix


def f1_by_class(matrix: list[list[int]]) -> list[float]:
    """Return F1 per class, from 0.0 to 1.0; 0.0 for a class that never occurs on either side."""
    scores = []
    for index in range(len(matrix)):
        hits = matrix[index][index]
        total = sum(matrix[index]) + sum(row[index] for row in matrix)
        scores.append(2 * hits / total if total else 0.0)
    return scores


def macro_f1(matrix: list[list[int]]) -> float:
    """Return the mean F1 of the classes, from 0.0 to 1.0."""
    scores = f1_by_class(matrix)
    return sum(scores) / len(scores)


def accuracy(matrix: list[list[int]]) -> float:
    """Return the share of correct predictions, from 0.0 to 1.0."""
    return sum(matrix[i][i] for i in range(len(matrix))) / sum(map(sum, matrix))


def bootstrap(
    expected: Sequence[str], predicted: Sequence[str], samples: int = 2000, seed: int = 7
) -> tuple[float, float]:
    """Return the 95 % interval of the macro-F1, from sentences drawn again with replacement.

    Args:
        expected: Right labels.
        predicted: Labels given, in the same order.
        samples: How many times to draw.
        seed: Seed of the draws.

    Returns:
        The 2.5th and the 97.5th percentile.
    """
    rng = random.Random(seed)
    pairs = list(zip(expected, predicted, strict=True))
    scores = []
    for _ in range(samples):
        drawn = rng.choices(pairs, k=len(pairs))
        scores.append(macro_f1(confusion([a for a, _ in drawn], [b for _, b in drawn])))
    scores.sort()
    return scores[round(0.025 * samples)], scores[round(0.975 * samples) - 1]
