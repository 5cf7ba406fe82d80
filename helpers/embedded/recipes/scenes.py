"""Make a Parquet file of composed scenes with the boxes of what is in them.

The columns are those of object detection datasets on the Hub, such as ``cppe-5``; the scenes were
composed by ``training/detector/lesson_scenes.py``.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from helpers.embedded.tables import IMAGE, INTEGER, TEXT, Feature, label_of, list_of, write

VERSION = 1

SCENES = "scenes.toml"
SIZE = 512  # height and width of every scene, in pixels
# In the order of the detector's own labels.
LABELS = (
    "gato",
    "cachorro",
    "peixe",
    "maçã",
    "banana",
    "pizza",
    "xícara",
    "livro",
    "bola",
    "guarda-chuva",
    "carro",
    "bicicleta",
    "avião",
    "casa",
    "árvore",
)
PIXELS: Feature = {"dtype": "float32", "_type": "Value"}
OBJECTS: Feature = {
    "id": list_of(INTEGER),
    "area": list_of(PIXELS),
    "bbox": list_of(list_of(PIXELS)),
    "category": list_of(label_of(LABELS)),
}
FEATURES: dict[str, Feature] = {
    "image_id": INTEGER,
    "image": IMAGE,
    "width": INTEGER,
    "height": INTEGER,
    "description": TEXT,
    "objects": OBJECTS,
}


def build(source: Path, target: Path) -> None:
    """Write ``data/test-00000-of-00001.parquet``, with the pictures inside.

    Args:
        source: Folder with ``scenes.toml`` and the pictures.
        target: Existing empty folder.

    Raises:
        ValueError: A label is unknown, or a box is not inside its picture.
    """
    write(rows(source), FEATURES, target / "data" / "test-00000-of-00001.parquet")


def rows(source: Path) -> list[dict[str, Any]]:
    """Return one row a scene, in the order of ``scenes.toml``.

    Args:
        source: Folder with ``scenes.toml`` and the pictures.

    Returns:
        Rows with the columns of ``FEATURES``; a category is its place in ``LABELS``. Objects are
        numbered from 0 through all the scenes.

    Raises:
        ValueError: A label is unknown, or a box is not inside its picture.
    """
    listed = tomllib.loads((source / SCENES).read_text(encoding="utf-8"))["scene"]
    made: list[dict[str, Any]] = []
    count = 0
    for number, scene in enumerate(listed):
        made.append(_row(number, count, scene, source / scene["file"]))
        count += len(scene["objects"])
    return made


def _row(number: int, first_object: int, scene: dict[str, Any], picture: Path) -> dict[str, Any]:
    for item in scene["objects"]:
        _check(item, scene["file"])
    boxes = [item["bbox"] for item in scene["objects"]]
    return {
        "image_id": number,
        "image": {"bytes": picture.read_bytes(), "path": picture.name},
        "width": SIZE,
        "height": SIZE,
        "description": scene["description"],
        "objects": {
            "id": list(range(first_object, first_object + len(boxes))),
            "area": [width * height for _, _, width, height in boxes],
            "bbox": boxes,
            "category": [LABELS.index(item["label"]) for item in scene["objects"]],
        },
    }


def _check(item: dict[str, Any], file: str) -> None:
    if item["label"] not in LABELS:
        raise ValueError(f"{file}: the label {item['label']!r} is none of {LABELS}")
    left, top, width, height = item["bbox"]
    inside = 0 <= left < left + width <= SIZE and 0 <= top < top + height <= SIZE
    if not inside:
        raise ValueError(f"{file}: the box {item['bbox']} is not inside the picture")
