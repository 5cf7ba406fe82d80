"""The figures of :mod:`helpers.evaluation`, for the three classes of sentiment."""

from __future__ import annotations

from collections.abc import Sequence

from helpers import evaluation
from helpers.embedded.recipes.sentimento_pt import LABELS
from helpers.evaluation import accuracy, f1_by_class, macro_f1

__all__ = ["accuracy", "bootstrap", "confusion", "f1_by_class", "macro_f1"]


def confusion(expected: Sequence[str], predicted: Sequence[str]) -> list[list[int]]:
    """Count pairs; rows are what was expected and columns what was predicted, in ``LABELS``' order.

    Raises:
        ValueError: The sequences differ in length, or hold another label.
    """
    return evaluation.confusion(expected, predicted, LABELS)


def bootstrap(
    expected: Sequence[str], predicted: Sequence[str], samples: int = 2000, seed: int = 7
) -> tuple[float, float]:
    """Return the 95 % interval of the macro-F1, as :func:`helpers.evaluation.interval`."""
    return evaluation.interval(expected, predicted, LABELS, samples=samples, seed=seed)
