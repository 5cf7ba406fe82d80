"""Make Parquet files of the datasets that the course wrote: questions and reviews.

The sources are laid out for people who write and review them
(``helpers/embedded/datasets/perguntas-pt`` and ``avaliacoes-pt``); the Parquet files have the
columns that a learner expects: SQuAD's for the questions, ``text`` and ``label`` for the reviews.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from helpers.embedded.tables import FLAG, INTEGER, TEXT, Feature, label_of, list_of, write

VERSION = 1

SPLITS = ("train", "test")
LABELS = ("negativo", "neutro", "positivo")

QUESTION_FEATURES: dict[str, Feature] = {
    "id": TEXT,
    "title": TEXT,
    "topic": TEXT,
    "context": TEXT,
    "question": TEXT,
    "answers": {"text": list_of(TEXT), "answer_start": list_of(INTEGER)},
    "is_impossible": FLAG,
}
REVIEW_FEATURES: dict[str, Feature] = {
    "text": TEXT,
    "label": label_of(LABELS),
    "category": TEXT,
    "phenomenon": TEXT,
}

Row = dict[str, Any]


def build(source: Path, target: Path) -> None:
    """Write ``data/{train,test}-00000-of-00001.parquet``.

    Args:
        source: Folder of the written dataset, ``perguntas-pt`` or ``avaliacoes-pt``.
        target: Existing empty folder.

    Raises:
        ValueError: An answer is not in its context exactly once, or a review's label is unknown.
    """
    read, features = READERS[source.name]
    for split in SPLITS:
        rows = list(read(source, split))
        write(rows, features, target / "data" / f"{split}-00000-of-00001.parquet")


def questions(source: Path, split: str) -> Iterator[Row]:
    """Yield the questions of a split, in SQuAD's columns.

    Args:
        source: Folder with ``train.toml`` and ``test.toml``. A question is a list there: the
            question, the shortest right answer, then other answers that are right too. A question
            alone has no answer in its context.
        split: ``train`` or ``test``.

    Yields:
        One row a question. ``answers["text"]`` and ``answers["answer_start"]`` run in parallel and
        are empty when ``is_impossible``.

    Raises:
        ValueError: An answer does not occur in its context exactly once.
    """
    data = tomllib.loads((source / f"{split}.toml").read_text(encoding="utf-8"))
    for context in data["context"]:
        for question, *answers in context["questions"]:
            starts = [answer_start(answer, context["text"]) for answer in answers]
            yield {
                "id": _identifier(context["title"], question),
                "title": context["title"],
                "topic": context["topic"],
                "context": context["text"],
                "question": question,
                "answers": {"text": answers, "answer_start": starts},
                "is_impossible": not answers,
            }


def answer_start(answer: str, context: str) -> int:
    """Return where an answer starts in its context, in characters.

    Raises:
        ValueError: It does not occur there exactly once, as whole words.
    """
    found = [m.start() for m in re.finditer(rf"(?<!\w){re.escape(answer)}(?!\w)", context)]
    if len(found) != 1:
        raise ValueError(f"{answer!r} occurs {len(found)} times, not once, in {context!r}")
    return found[0]


def _identifier(title: str, question: str) -> str:
    """Return an id that other questions, added or removed, do not change."""
    return hashlib.sha256(f"{title}\n{question}".encode()).hexdigest()[:16]


def reviews(source: Path, split: str) -> Iterator[Row]:
    """Yield the reviews of a split.

    Args:
        source: Folder with ``train.jsonl`` and ``test.jsonl``, one review a line.
        split: ``train`` or ``test``.

    Yields:
        One row a review, its label as a number: 0 negativo, 1 neutro, 2 positivo. The file goes
        category by category; the rows come in an order that mixes them, the same every time, so
        that the first rows show every kind.

    Raises:
        ValueError: A label is none of those.
    """
    lines = (source / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    for line in sorted(lines, key=_mixing_key):
        row: Mapping[str, str] = json.loads(line)
        if row["label"] not in LABELS:
            raise ValueError(f"the label {row['label']!r} is none of {LABELS}")
        yield {**row, "label": LABELS.index(row["label"])}


def _mixing_key(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()


READERS: dict[str, tuple[Callable[[Path, str], Iterator[Row]], dict[str, Feature]]] = {
    "perguntas-pt": (questions, QUESTION_FEATURES),
    "avaliacoes-pt": (reviews, REVIEW_FEATURES),
}
