"""Make Parquet files of the sentences that many people rated, ``curso/frases-avaliadas-pt``.

The source is what ``training/frases_avaliadas/prepare.py`` wrote: three files of JSON lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from helpers.embedded.recipes.written_dataset import LABELS
from helpers.embedded.tables import NUMBER, TEXT, Feature, label_of, write

VERSION = 1

SPLITS = ("train", "validation", "test")
FEATURES: dict[str, Feature] = {
    "text": TEXT,
    "label": label_of(LABELS),
    "review": TEXT,
    "agreement": NUMBER,
}

Row = dict[str, Any]


def build(source: Path, target: Path) -> None:
    """Write ``data/{train,validation,test}-00000-of-00001.parquet``.

    Args:
        source: Folder with ``train.jsonl``, ``validation.jsonl`` and ``test.jsonl``.
        target: Existing empty folder.

    Raises:
        ValueError: A label is none of the three.
    """
    for split in SPLITS:
        write(
            list(sentences(source, split)),
            FEATURES,
            target / f"data/{split}-00000-of-00001.parquet",
        )


def sentences(source: Path, split: str) -> Iterator[Row]:
    """Yield the sentences of a split, review by review, their labels as numbers.

    Args:
        source: As in :func:`build`.
        split: ``train``, ``validation`` or ``test``.

    Raises:
        ValueError: A label is none of the three.
    """
    for line in (source / f"{split}.jsonl").read_text(encoding="utf-8").splitlines():
        row: Row = json.loads(line)
        if row["label"] not in LABELS:
            raise ValueError(f"the label {row['label']!r} is none of {LABELS}")
        yield {name: row[name] for name in FEATURES} | {"label": LABELS.index(row["label"])}
