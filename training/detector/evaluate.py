"""Measure a trained detector on scenes that it was not trained on.

From the root of the repository::

    python -m training.detector.evaluate --data DATA --weights OUTPUT/detector.safetensors

Two sets: drawings of the training styles on unseen photographs among unseen distractors, and the
same with a style of drawing that training never saw (Twemoji). Half of either set's backgrounds
are textures, made like those of training with other colours.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from helpers.architectures.figure_detector import DetectionHead, decode
from training.detector.metrics import (
    Found,
    Truth,
    average_precision,
    mean_average_precision,
    overlap,
)
from training.detector.scenes import SIZE
from training.detector.sources import LABELS
from training.detector.train import Features, detector_config

SETS = ("seen-style", "unseen-style")
SCENES = 300
THRESHOLDS = (0.3, 0.5)  # of the score, for precision and recall; the second is the pipeline's


def load_head(weights: Path) -> DetectionHead:
    """Return neck and head with trained weights, in float32."""
    from safetensors.torch import load_file

    head = DetectionHead(detector_config())
    stored = load_file(weights)
    head.load_state_dict({name.removeprefix("detector."): stored[name] for name in stored})
    return head.float().eval()


@torch.inference_mode()
def detect(head: DetectionHead, features: Features) -> list[list[Found]]:
    """Find the objects of each scene, in order."""
    found: list[list[Found]] = []
    for maps, _ in features.batches(np.arange(len(features))):
        output = decode(*head(maps), count=detector_config().max_detections)
        scores, labels = output.logits.sigmoid().max(2)
        centres, sizes = output.pred_boxes[..., :2], output.pred_boxes[..., 2:]
        boxes = torch.cat((centres - sizes / 2, centres + sizes / 2), dim=2) * SIZE
        for one in zip(labels.tolist(), scores.tolist(), boxes.tolist(), strict=True):
            found.append([Found(a, b, tuple(c)) for a, b, c in zip(*one, strict=True)])
    return found


def evaluate(head: DetectionHead, features: Features) -> dict[str, Any]:
    """Measure the detector on one set of scenes.

    Returns:
        ``mAP@0.5``, ``mAP@[.5:.95]``, the number of scenes and of objects, precision and recall
        at scores of ``THRESHOLDS`` and an overlap of 0.5, and each class's AP@0.5.
    """
    truths = [Truth(one["labels"], [tuple(box) for box in one["boxes"]]) for one in features.truth]
    found = detect(head, features)
    objects = sum(len(truth.labels) for truth in truths)
    shares = {}
    for threshold in THRESHOLDS:
        kept = [[one for one in ones if one.score >= threshold] for ones in found]
        right = sum(_right(ones, truth) for ones, truth in zip(kept, truths, strict=True))
        shares[f"precision@{threshold}"] = right / max(1, sum(map(len, kept)))
        shares[f"recall@{threshold}"] = right / objects
    return {
        "scenes": len(truths),
        "objects": objects,
        "mAP@0.5": mean_average_precision(found, truths, (0.5,)),
        "mAP@[.5:.95]": mean_average_precision(found, truths),
        **shares,
        "AP@0.5": {
            label: average_precision(found, truths, place, 0.5)
            for place, label in enumerate(LABELS)
        },
    }


def _right(found: list[Found], truth: Truth) -> int:
    """Count the objects of one scene that some detection matches."""
    free = list(zip(truth.labels, truth.boxes, strict=True))
    count = 0
    for one in sorted(found, key=lambda item: -item.score):
        best = max(
            (place for place in free if place[0] == one.label),
            key=lambda place: overlap(one.box, place[1]),
            default=None,
        )
        if best is not None and overlap(one.box, best[1]) >= 0.5:
            free.remove(best)
            count += 1
    return count


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return round(value, 3) if isinstance(value, float) else value


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    options = parser.parse_args()
    head = load_head(options.weights)
    report = {name: evaluate(head, Features(name, SCENES, options.data)) for name in SETS}
    print(json.dumps(_rounded(report), indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
