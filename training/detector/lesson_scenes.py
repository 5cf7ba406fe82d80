"""Compose the scenes of the dataset ``curso/cenas``, and measure the detector on them.

From the root of the repository, with the packages ``resvg-py`` and ``npm`` at hand::

    python -m training.detector.lesson_scenes --data DATA --output helpers/embedded/datasets/cenas

DATA receives the downloads. OUTPUT receives the pictures and ``scenes.toml``, whose objects are
written anew; whoever changes the scenes writes their ``description`` by hand. The scenes are the
first ones of a series of their own, none left out. With other versions of Pillow or resvg the files
may differ in a few bytes; the objects and their boxes should not.

What ``curso/detector-de-figuras`` finds in the files, with no download at all::

    python -m training.detector.lesson_scenes --measure
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.detector.metrics import Box, overlap
from training.detector.scenes import Material, Scene, compose
from training.detector.sources import (
    CLASSES,
    DISTRACTORS,
    LABELS,
    UNSEEN_STYLE,
    cutouts,
    photos,
)

DATASET, DETECTOR = "curso/cenas", "curso/detector-de-figuras"
SCENES_FILE = "scenes.toml"
SCENES = 8
FIRST_SCENE = 700_000_000  # far from the scenes of training and evaluation
SIZE = 512
DRAWING_PIXELS = 320
FEWEST_OBJECTS = 3
QUALITY = 70  # of WebP
# Of the photographs that training never saw, those in the public domain or under CC0.
FREE_PHOTOS = ("astronaut.png", "gravel.png", "camera.png", "text.png")
THRESHOLDS = (0.3, 0.5)
LEAST_OVERLAP = 0.5
HEADER = """\
# As cenas, na ordem das linhas, feitas por training/detector/lesson_scenes.py. O programa escreve
# tudo, menos as descrições: `bbox` é [x, y, largura, altura], em pixels, a partir do canto de cima
# à esquerda.
"""


def lesson_material(data: Path) -> Material:
    """Gather drawings of the style that training never saw, and free photographs.

    Args:
        data: Folder that holds the downloads.
    """
    drawn = cutouts(UNSEEN_STYLE, data, DRAWING_PIXELS)
    return Material(
        objects=[[drawn[key] for key in names] for names in CLASSES.values()],
        distractors=[drawn[key] for key in DISTRACTORS["test"]],
        photos=photos(FREE_PHOTOS, data),
    )


def write(data: Path, output: Path) -> None:
    """Write the scenes, keeping the descriptions that OUTPUT has.

    Args:
        data: Folder that holds the downloads.
        output: Folder for the pictures and for ``scenes.toml``.
    """
    source = lesson_material(data)
    listed = output / SCENES_FILE
    described = {one["file"]: one["description"] for one in read(output)} if listed.exists() else {}
    parts = [HEADER]
    for number in range(SCENES):
        seed = FIRST_SCENE + number
        scene = compose(source, seed, size=SIZE, fewest=FEWEST_OBJECTS)
        file = f"cena-{number + 1}.webp"
        scene.image.save(output / file, quality=QUALITY, method=6)
        parts.append(_entry(file, seed, described.get(file, ""), scene))
    listed.write_text("\n".join(parts), encoding="utf-8")


def _entry(file: str, seed: int, description: str, scene: Scene) -> str:
    lines = ["[[scene]]", f'file = "{file}"', f"seed = {seed}"]
    # A JSON string is a TOML string too.
    lines.append(f"description = {json.dumps(description, ensure_ascii=False)}")
    lines.append("objects = [")
    for label, (left, top, right, bottom) in zip(scene.labels, scene.boxes, strict=True):
        bbox = [int(side) for side in (left, top, right - left, bottom - top)]
        lines.append(f'    {{ label = "{LABELS[label]}", bbox = {bbox} }},')
    return "\n".join([*lines, "]", ""])


def read(folder: Path) -> list[dict[str, Any]]:
    """Return what ``scenes.toml`` says of each scene."""
    scenes: list[dict[str, Any]] = tomllib.loads(
        (folder / SCENES_FILE).read_text(encoding="utf-8")
    )["scene"]
    return scenes


@dataclass(frozen=True)
class Result:
    """What a detector made of one scene: objects found, objects missed, and wrong detections."""

    found: int
    missed: int
    wrong: int


def compare(detections: Sequence[dict[str, Any]], objects: Sequence[dict[str, Any]]) -> Result:
    """Count what was found, missed and made up.

    Args:
        detections: As the pipeline gives them: ``label``, ``score`` and ``box``.
        objects: What is there: ``label`` and ``bbox``, left, top, width and height.

    Returns:
        The counts. A detection is right if an object of its label, that no surer one claimed,
        overlaps it by ``LEAST_OVERLAP``.
    """
    free = list(objects)
    found = 0
    for one in sorted(detections, key=lambda item: -item["score"]):
        box = tuple(one["box"][side] for side in ("xmin", "ymin", "xmax", "ymax"))
        same = [other for other in free if other["label"] == one["label"]]
        best = max(same, key=lambda other: overlap(box, _sides(other)), default=None)
        if best is not None and overlap(box, _sides(best)) >= LEAST_OVERLAP:
            free.remove(best)
            found += 1
    return Result(found, len(free), len(detections) - found)


def _sides(item: dict[str, Any]) -> Box:
    left, top, width, height = item["bbox"]
    return left, top, left + width, top + height


def measure() -> dict[str, dict[float, Result]]:
    """Run the built detector on the files of the dataset.

    Returns:
        File to threshold to counts.
    """
    from transformers import pipeline

    from helpers import architectures, pictures
    from helpers.embedded import store
    from helpers.embedded.catalog import catalog

    folder = catalog().repository(DATASET).source
    assert folder is not None
    architectures.register()
    detector = pipeline("object-detection", model=str(store.ensure(DETECTOR)))
    results = {}
    for scene in read(folder):
        seen = detector(pictures.decode(folder / scene["file"]), threshold=min(THRESHOLDS))
        results[scene["file"]] = {
            threshold: compare([one for one in seen if one["score"] > threshold], scene["objects"])
            for threshold in THRESHOLDS
        }
    return results


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--measure", action="store_true")
    options = parser.parse_args()
    if options.measure:
        for file, results in measure().items():
            print(file, *(f"{threshold}: {result}" for threshold, result in results.items()))
        return
    if options.data is None or options.output is None:
        parser.error("--data and --output are needed, or --measure")
    for folder in (options.data, options.output):
        folder.mkdir(parents=True, exist_ok=True)
    write(options.data, options.output)


if __name__ == "__main__":
    main()
