"""Train the detector of drawings ``curso/detector-de-figuras`` on EfficientNet-Lite0's features.

From the root of the repository, with ``curso/efficientnet-lite0`` built and the packages
``resvg-py`` and ``npm`` at hand::

    python -m training.detector.train --data DATA --output OUTPUT

DATA receives the downloads (about 60 MB) and the features of the scenes (about 0.7 GB for 4000).
The backbone stays as it is, so its features are computed once; only neck and head are trained.
OUTPUT holds the weights of those, in float16, after each pass over the scenes.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from helpers.architectures.figure_detector import (
    STAGES,
    STRIDE,
    DetectionHead,
    FigureDetectorForObjectDetection,
    box_maps,
)
from helpers.architectures.figure_detector_config import FigureDetectorConfig
from helpers.embedded import store
from training.detector.scenes import SIZE, Scene, compose, material
from training.detector.sources import LABELS

BACKBONE = "curso/efficientnet-lite0"
CELLS = SIZE // STRIDE
# Numbers of the first scene of each set, far apart.
FIRST_SCENE = {"train": 0, "unseen-style": 800_000_000, "seen-style": 900_000_000}
BATCH = 16
# Of the configuration, what config.json says.
SETTINGS = (
    "batch_norm_eps",
    "id2label",
    "image_size",
    "label2id",
    "max_detections",
    "neck_channels",
    "num_channels",
    "stages",
    "stem_channels",
)
BOX_WEIGHT = 2.0
FIRST_SCORE = -4.6  # the logit of 0.01: at first, no cell is a centre


def detector_config() -> FigureDetectorConfig:
    """Return the configuration that the shipped detector has."""
    return FigureDetectorConfig(
        id2label=dict(enumerate(LABELS)),
        label2id={label: place for place, label in enumerate(LABELS)},
    )


def load_backbone(model: FigureDetectorForObjectDetection, folder: Path) -> None:
    """Copy the classifier's stages into the detector, to the last weight."""
    from safetensors.torch import load_file

    stored = load_file(folder / "model.safetensors")
    stages = {
        name.removeprefix("efficientnet_lite."): value
        for name, value in stored.items()
        if name.startswith(("efficientnet_lite.stem.", "efficientnet_lite.blocks."))
    }
    model.backbone.load_state_dict(stages, strict=True)


def pixels(scenes: list[Scene]) -> Tensor:
    """Return pictures as the image processor prepares them, ``[batch, 3, SIZE, SIZE]``."""
    stacked = np.stack([np.asarray(scene.image) for scene in scenes])
    return (torch.from_numpy(stacked).permute(0, 3, 1, 2).float() - 127) / 128


class Features:
    """The backbone's features of a set of scenes, on disk, and what is in them.

    Args:
        name: ``train``, ``unseen-style`` or ``seen-style``.
        count: How many scenes.
        data: Folder of the downloads and of the features, which are computed if missing.
    """

    def __init__(self, name: str, count: int, data: Path) -> None:
        folder = data / f"{name}-{count}"
        if not (folder / "truth.json").is_file():
            _compute(name, count, data, folder)
        self.truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
        self.maps = [np.load(folder / f"{place}.npy", mmap_mode="r") for place in STAGES]

    def __len__(self) -> int:
        return len(self.truth)

    def batches(self, order: np.ndarray) -> Iterator[tuple[list[Tensor], list[dict[str, Any]]]]:
        """Yield the features and the truth of the scenes, in an order."""
        for start in range(0, len(order), BATCH):
            places = np.sort(order[start : start + BATCH])
            maps = [torch.from_numpy(one[places].astype(np.float32)) for one in self.maps]
            yield maps, [self.truth[place] for place in places]


@torch.inference_mode()
def _compute(name: str, count: int, data: Path, folder: Path) -> None:
    source = material(name, data)
    config = detector_config()
    model = FigureDetectorForObjectDetection(config).eval()
    load_backbone(model, store.ensure(BACKBONE))
    model.to(memory_format=torch.channels_last)
    # Three times faster, and as good to learn from; what is measured is what users will run.
    half = torch.autocast("cpu", torch.bfloat16, enabled=name == "train")
    folder.mkdir(parents=True, exist_ok=True)
    files: list[np.memmap] = []
    truth = []
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        scenes = [compose(source, FIRST_SCENE[name] + number) for number in numbers]
        with half:
            maps = model.features(pixels(scenes))
        files = files or [
            np.lib.format.open_memmap(
                folder / f"{place}.npy", "w+", np.float16, (count, *one.shape[1:])
            )
            for place, one in zip(STAGES, maps, strict=True)
        ]
        for file, one in zip(files, maps, strict=True):
            file[numbers.start : numbers.stop] = one.half().numpy()
        truth += [{"labels": scene.labels, "boxes": scene.boxes} for scene in scenes]
    (folder / "truth.json").write_text(json.dumps(truth), encoding="utf-8")


def targets(truth: list[dict[str, Any]]) -> tuple[Tensor, Tensor, Tensor]:
    """Draw what the maps should be.

    Args:
        truth: Labels and boxes of each scene of a batch.

    Returns:
        Centres ``[batch, classes, CELLS, CELLS]``: 1 in the cell of an object's centre, falling
        off around it with the object's size; boxes ``[batch, 4, CELLS, CELLS]``, sides between 0
        and 1; and how much each cell's box counts, ``[batch, CELLS, CELLS]``.
    """
    batch = len(truth)
    centres = np.zeros((batch, len(LABELS), CELLS, CELLS), np.float32)
    boxes = np.zeros((batch, 4, CELLS, CELLS), np.float32)
    weights = np.zeros((batch, CELLS, CELLS), np.float32)
    rows, columns = np.mgrid[0:CELLS, 0:CELLS]
    for place, scene in enumerate(truth):
        for label, box in zip(scene["labels"], scene["boxes"], strict=True):
            left, top, right, bottom = (side / STRIDE for side in box)
            x, y = (left + right) / 2, (top + bottom) / 2
            column, row = min(int(x), CELLS - 1), min(int(y), CELLS - 1)
            spread_x, spread_y = ((length / 10 + 0.3) for length in (right - left, bottom - top))
            bump = np.exp(
                -((columns - column) ** 2) / (2 * spread_x**2)
                - ((rows - row) ** 2) / (2 * spread_y**2)
            )
            np.maximum(centres[place, label], bump, out=centres[place, label])
            # A cell that two objects want belongs to the one whose centre is nearer.
            nearer = (bump > 0.3) & (bump > weights[place])
            boxes[place][:, nearer] = np.array(box, np.float32)[:, None] / SIZE
            weights[place][nearer] = bump[nearer]
    return torch.from_numpy(centres), torch.from_numpy(boxes), torch.from_numpy(weights)


def focal_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Return CenterNet's loss of the maps of centres, per object."""
    is_centre = wanted == 1
    chance = logits.sigmoid()
    hit = functional.logsigmoid(logits) * (1 - chance) ** 2 * is_centre
    miss = functional.logsigmoid(-logits) * chance**2 * (1 - wanted) ** 4 * ~is_centre
    return -(hit.sum() + miss.sum()) / is_centre.sum().clamp(min=1)


def box_loss(found: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """Return one minus the generalised overlap of boxes (GIoU), averaged by weight.

    Args:
        found: Left, top, right and bottom, ``[batch, 4, rows, columns]``.
        wanted: The same.
        weights: ``[batch, rows, columns]``.
    """

    def area(sides: Tensor) -> Tensor:
        left, top, right, bottom = sides.unbind(1)
        return (right - left).clamp(min=0) * (bottom - top).clamp(min=0)

    inner = torch.cat(
        (torch.maximum(found[:, :2], wanted[:, :2]), torch.minimum(found[:, 2:], wanted[:, 2:])),
        dim=1,
    )
    outer = torch.cat(
        (torch.minimum(found[:, :2], wanted[:, :2]), torch.maximum(found[:, 2:], wanted[:, 2:])),
        dim=1,
    )
    shared, hull = area(inner), area(outer).clamp(min=1e-6)
    union = (area(found) + area(wanted) - shared).clamp(min=1e-6)
    generalised = shared / union - (hull - union) / hull
    return ((1 - generalised) * weights).sum() / weights.sum().clamp(min=1e-6)


def train(features: Features, output: Path, epochs: int, rate: float, seed: int) -> DetectionHead:
    """Train neck and head.

    Args:
        features: The training scenes.
        output: Folder for the weights.
        epochs: Passes over the scenes.
        rate: Highest learning rate; it rises during the first twentieth and falls to zero.
        seed: Of the first weights and of the order of the scenes.
    """
    torch.manual_seed(seed)
    head = DetectionHead(detector_config()).train()
    torch.nn.init.constant_(head.centre.bias, FIRST_SCORE)
    steps = epochs * math.ceil(len(features) / BATCH)
    optimizer = torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps, pct_start=0.05)
    numbers = np.random.default_rng(seed)
    start = time.perf_counter()
    for epoch in range(epochs):
        losses = []
        for maps, truth in features.batches(numbers.permutation(len(features))):
            with torch.autocast("cpu", torch.bfloat16):
                centres, distances = head(maps)
            wanted, boxes, weights = targets(truth)
            centre_loss = focal_loss(centres.float(), wanted)
            side_loss = box_loss(box_maps(distances.float()), boxes, weights)
            optimizer.zero_grad()
            (centre_loss + BOX_WEIGHT * side_loss).backward()
            torch.nn.utils.clip_grad_norm_(head.parameters(), 10)
            optimizer.step()
            schedule.step()
            losses.append((centre_loss.item(), side_loss.item()))
        save(head, output)
        told = " ".join(f"{value:.3f}" for value in np.mean(losses, axis=0))
        print(f"epoch {epoch + 1}: {told}, {time.perf_counter() - start:.0f} s", flush=True)
    return head.eval()


def save(head: DetectionHead, output: Path) -> None:
    """Write the weights of neck and head in float16, and the whole detector's configuration."""
    from safetensors.torch import save_file

    output.mkdir(parents=True, exist_ok=True)
    weights = {
        f"detector.{name}": value.half() if value.is_floating_point() else value
        for name, value in head.state_dict().items()
    }
    save_file(weights, output / "detector.safetensors", metadata={"format": "pt"})
    config = detector_config()
    settings = {
        "architectures": [FigureDetectorForObjectDetection.__name__],
        "model_type": config.model_type,
        "dtype": "float32",
        **{name: getattr(config, name) for name in SETTINGS},
    }
    text = json.dumps(settings, indent=2, ensure_ascii=False) + "\n"
    (output / "adapter_config.json").write_text(text, encoding="utf-8")


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.data.mkdir(parents=True, exist_ok=True)
    features = Features("train", options.scenes, options.data)
    train(features, options.output, options.epochs, options.rate, options.seed)


if __name__ == "__main__":
    main()
