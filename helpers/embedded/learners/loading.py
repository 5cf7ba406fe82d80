"""A learner's model laid out in a folder, for as long as it takes to load it.

Only what loading needs is there: weights as safetensors, and text. A pickle, or a program that the
model's configuration asks for, is not, so that nothing a learner uploads can run in the server.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from helpers.embedded.hub.snapshots import Snapshot
from helpers.environment import cache_folder

ENDINGS = (".json", ".safetensors", ".txt", ".model", ".spm", ".jinja")
"""Configurations, weights, vocabularies, chat templates."""

_PREFIX = "loading-"
_OLD_SECONDS = 60 * 60.0


def contents(snapshot: Snapshot) -> tuple[tuple[str, str], ...]:
    """Return the files that loading depends on, each with its sha256."""
    return tuple((path, file.sha256) for path, file in snapshot.files.items() if _is_needed(path))


@contextmanager
def folder(snapshot: Snapshot) -> Iterator[Path]:
    """Yield a folder with the model's files, which is gone afterwards."""
    partial = cache_folder() / "partial"
    _sweep(partial)
    place = partial / f"{_PREFIX}{secrets.token_hex(16)}"
    place.mkdir(parents=True)
    try:
        for path, _ in contents(snapshot):
            _lay(snapshot.place(path), place / path)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _sweep(partial: Path) -> None:
    """Delete what processes that were killed left behind."""
    for left in partial.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if left.stat().st_mtime < time.time() - _OLD_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


def _is_needed(path: str) -> bool:
    """Whether a file is of use, and its name is one on every system."""
    name, _, ending = path.rpartition(".")
    plain = name.replace("_", "").replace("-", "").replace(".", "").isalnum() and name.isascii()
    return f".{ending}" in ENDINGS and plain


def _lay(source: Path, target: Path) -> None:
    """Link a file where the disk can, and copy it elsewhere."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
