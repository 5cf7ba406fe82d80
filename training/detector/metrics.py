"""Mean average precision, as the COCO evaluation defines it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Box = tuple[float, float, float, float]

THRESHOLDS = tuple(np.arange(0.5, 0.96, 0.05).round(2).tolist())
RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Found:
    """A detection: its class, its score, and the left, top, right and bottom of its box."""

    label: int
    score: float
    box: Box


@dataclass(frozen=True)
class Truth:
    """What is in a picture: classes and boxes, in the same order."""

    labels: Sequence[int]
    boxes: Sequence[Box]


def overlap(first: Box, second: Box) -> float:
    """Return the intersection of two boxes over their union."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(0.0, width) * max(0.0, height)
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in (first, second)]
    whole = sum(areas) - shared
    return shared / whole if whole > 0 else 0.0


def average_precision(
    found: Sequence[Sequence[Found]], truths: Sequence[Truth], label: int, threshold: float
) -> float | None:
    """Return the area under one class's curve of precision against recall.

    Detections of all pictures are taken from the surest to the least sure. Each claims the object
    of its picture that it overlaps most, among those not claimed yet; it is right if the overlap
    reaches the threshold. Precision is read at 101 recalls, each time the best one from there on.

    Args:
        found: The detections in each picture.
        truths: What is in each picture.
        label: The class.
        threshold: Least overlap.

    Returns:
        A number between 0 and 1, or ``None`` if no picture has an object of the class.
    """
    total = sum(list(truth.labels).count(label) for truth in truths)
    if not total:
        return None
    claims = [
        (one, place) for place, ones in enumerate(found) for one in ones if one.label == label
    ]
    claims.sort(key=lambda claim: -claim[0].score)
    free = [[i for i, other in enumerate(truth.labels) if other == label] for truth in truths]
    right = np.zeros(len(claims))
    for turn, (one, place) in enumerate(claims):
        boxes = truths[place].boxes
        best = max(free[place], key=lambda i: overlap(one.box, boxes[i]), default=None)
        if best is not None and overlap(one.box, boxes[best]) >= threshold:
            right[turn] = 1
            free[place].remove(best)
    if not claims:
        return 0.0
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(claims) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(hits / total, RECALLS, side="left")
    reached = places < len(claims)
    return float(best_from_here[places[reached]].sum() / len(RECALLS))


def mean_average_precision(
    found: Sequence[Sequence[Found]],
    truths: Sequence[Truth],
    thresholds: Sequence[float] = THRESHOLDS,
) -> float:
    """Average :func:`average_precision` over the classes that occur and over the thresholds.

    Args:
        found: The detections in each picture; keep the unsure ones too.
        truths: What is in each picture.
        thresholds: Least overlaps; ``(0.5,)`` gives mAP@0.5, the default mAP@[.5:.95].
    """
    labels = sorted({label for truth in truths for label in truth.labels})
    values = [
        average_precision(found, truths, label, threshold)
        for threshold in thresholds
        for label in labels
    ]
    return float(np.mean([value for value in values if value is not None]))
