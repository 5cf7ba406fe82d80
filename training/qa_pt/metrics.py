"""SQuAD's exact match and F1.

Texts are compared as the official program does: in lower case, without ASCII punctuation and the
English articles ``a an the``, and with runs of spaces as one. Portuguese articles count: dropping
them would raise the figures and make them incomparable.
"""

from __future__ import annotations

import re
import string
from collections import Counter

ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalise(text: str) -> str:
    """Return the text as it is compared."""
    bare = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(ARTICLES.sub(" ", bare).split())


def exact_match(prediction: str, references: list[str]) -> float:
    """Return 1.0 if the prediction equals a reference after normalisation, else 0.0."""
    return float(any(normalise(prediction) == normalise(text) for text in references))


def f1(prediction: str, references: list[str]) -> float:
    """Return the best F1 of words shared with a reference, from 0.0 to 1.0."""
    return max(_f1(prediction, text) for text in references)


def _f1(prediction: str, reference: str) -> float:
    predicted, expected = normalise(prediction).split(), normalise(reference).split()
    if not predicted or not expected:
        return float(predicted == expected)
    shared = sum((Counter(predicted) & Counter(expected)).values())
    return 2 * shared / (len(predicted) + len(expected))
