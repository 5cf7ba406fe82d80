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
from typing import Any

from helpers.embedded.hub.snapshots import Snapshot
from helpers.environment import cache_folder

ENDINGS = (".json", ".safetensors", ".txt", ".model", ".spm", ".jinja")
"""Configurations, weights, vocabularies, chat templates."""

PARAMETERS_LIMIT = 250_000_000
"""A model of more, a gigabyte in float32, is not loaded."""

_COUNT_LIMIT = 512
"""Layers, heads, experts: what a configuration may ask for of anything that it counts."""
_NUMBER_LIMIT = 1 << 21
_AUTO_CLASSES = ("AutoModel", "AutoModelForSeq2SeqLM", "AutoModelForObjectDetection")
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


def check_size(folder: Path) -> None:
    """Check that a model fits in memory, whatever its configuration makes of its weights.

    The model is made without memory first: a few lines of JSON can ask for a terabyte.

    Raises:
        ValueError: It is too large, or its configuration is not one that is known here.
    """
    import torch
    from transformers import AutoConfig

    from helpers import architectures

    architectures.register()
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    _check_numbers(config.to_dict())
    with torch.device("meta"):
        model = _without_weights(config)
    count = sum(parameter.numel() for parameter in model.parameters())
    if count > PARAMETERS_LIMIT:
        raise ValueError(
            f"the model has {count / 1e6:.0f} million parameters, and at most "
            f"{PARAMETERS_LIMIT / 1e6:.0f} million are served here"
        )


def _check_numbers(value: Any, name: str = "") -> None:
    """Refuse a configuration whose numbers no model has."""
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_numbers(inner, str(key))
    elif isinstance(value, list):
        for inner in value:
            _check_numbers(inner, name)
    elif isinstance(value, int) and not name.endswith("_id"):
        is_count = name.startswith(("num_", "n_")) or name.endswith("layers")
        if abs(value) > (_COUNT_LIMIT if is_count else _NUMBER_LIMIT):
            raise ValueError(f"{name} is too large: {value}")


def _without_weights(config: Any) -> Any:
    import transformers

    for name in _AUTO_CLASSES:
        try:
            return getattr(transformers, name).from_config(config)
        except ValueError as error:
            if "Unrecognized configuration class" not in str(error):
                raise
    raise ValueError(f"models of type {config.model_type} are not served here")


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
