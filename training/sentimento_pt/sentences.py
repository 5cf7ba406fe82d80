"""Labelled sentences: those written for the course, and the prepared translations.

``frases.json`` holds what the course wrote, in families of sentences on one subject; a family is
trained on, or used to choose settings, or kept for the final figures, always as a whole.
``professor.json`` holds the 24 sentences that judge the model and are used for nothing else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
WRITTEN = FOLDER / "frases.json"
TEACHER = FOLDER / "professor.json"
PREPARED = "vader.jsonl"


@dataclass(frozen=True)
class Sentence:
    """A sentence and its class.

    Attributes:
        text: In Portuguese, or in English where ``language`` says so.
        label: ``negativo``, ``neutro`` or ``positivo``.
        kind: What is particular about it (``negação``, ``ironia``...), or where it comes from.
        language: ``pt`` or ``en``.
    """

    text: str
    label: str
    kind: str
    language: str = "pt"


def written(split: str, path: Path = WRITTEN) -> list[Sentence]:
    """Return the course's own sentences of one split: ``train``, ``validation`` or ``test``."""
    families = json.loads(path.read_text(encoding="utf-8"))["families"]
    return [
        Sentence(text, label, kind)
        for family in families
        if family["split"] == split
        for label, kind, text in family["sentences"]
    ]


def teacher(path: Path = TEACHER) -> list[Sentence]:
    """Return the 24 sentences of a teacher, eight a class."""
    content = json.loads(path.read_text(encoding="utf-8"))
    labels = ("positivo", "neutro", "negativo")
    return [Sentence(text, label, "professor") for label in labels for text in content[label]]


def prepared(folder: Path, split: str, language: str = "pt") -> list[Sentence]:
    """Return the rated sentences that have a class.

    Args:
        folder: Where ``training.sentimento_pt.prepare`` wrote.
        split: ``train``, ``validation`` or ``test``.
        language: ``pt`` for the translations, ``en`` for the originals.
    """
    rows = _rows(folder)
    return [
        Sentence(row[language], row["label"], row["source"], language)
        for row in rows
        if row["split"] == split and row["label"]
    ]


def _rows(folder: Path) -> list[dict[str, str]]:
    lines = (folder / PREPARED).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
