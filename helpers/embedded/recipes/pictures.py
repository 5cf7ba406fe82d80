"""Make a Parquet file of free pictures that two scientific packages carry.

The pictures keep the very bytes of the packages: nothing is decoded or compressed again, so the
file is the same whatever the version of the imaging library.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from helpers.embedded.tables import IMAGE, TEXT, Feature, label_of, write

VERSION = 1

DESCRIPTIONS = "pictures.toml"
LABELS = ("animal", "ciência", "lugar", "objeto", "pessoa", "planta", "textura")
FEATURES: dict[str, Feature] = {
    "image": IMAGE,
    "name": TEXT,
    "label": label_of(LABELS),
    "description": TEXT,
    "author": TEXT,
    "source": TEXT,
    "licence": TEXT,
}


def build(*paths: Path) -> None:
    """Write ``data/train-00000-of-00001.parquet``.

    Args:
        *paths: The pictures, in any order; then the folder with ``pictures.toml``; then the target,
            an existing empty folder.

    Raises:
        ValueError: A picture has no description, or a description has no picture.
    """
    *pictures, source, target = paths
    write(rows(pictures, source), FEATURES, target / "data" / "train-00000-of-00001.parquet")


def rows(pictures: list[Path], source: Path) -> list[dict[str, Any]]:
    """Return one row a picture, in the order of the descriptions.

    Args:
        pictures: PNG and JPEG files.
        source: Folder with ``pictures.toml``.

    Returns:
        Rows with the columns of ``FEATURES``; the label is its place in ``LABELS``.

    Raises:
        ValueError: A picture has no description, a description no picture, or a label is unknown.
    """
    files = {picture.name: picture for picture in pictures}
    described = tomllib.loads((source / DESCRIPTIONS).read_text(encoding="utf-8"))["picture"]
    names = [entry["file"] for entry in described]
    if sorted(names) != sorted(files):
        raise ValueError(f"pictures and descriptions differ: {sorted(set(names) ^ set(files))}")
    return [_row(entry, files[entry["file"]]) for entry in described]


def _row(entry: dict[str, str], picture: Path) -> dict[str, Any]:
    if entry["label"] not in LABELS:
        raise ValueError(f"the label {entry['label']!r} is none of {LABELS}")
    texts = {key: entry[key] for key in ("description", "author", "source", "licence")}
    return {
        "image": {"bytes": picture.read_bytes(), "path": picture.name},
        "name": entry["name"],
        "label": LABELS.index(entry["label"]),
        **texts,
    }
