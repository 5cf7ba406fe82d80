"""What a model's own files say about it: its configuration, its parameters, its task."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from helpers.embedded.hub.snapshots import Snapshot

CONFIG_LIMIT = 4 * 1024 * 1024
"""Bytes of a configuration that are read."""
HEADER_LIMIT = 64 * 1024 * 1024
"""Bytes of the header of a safetensors file that are read."""

_TASKS = {
    "ForQuestionAnswering": "question-answering",
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForMaskedLM": "fill-mask",
    "ForCausalLM": "text-generation",
    "ForImageClassification": "image-classification",
    "ForObjectDetection": "object-detection",
    "MarianMTModel": "translation",
    "WhisperForConditionalGeneration": "automatic-speech-recognition",
    "Model": "feature-extraction",
}
"""A model's task, by the end of its class's name; the first that fits."""


@dataclass(frozen=True)
class ModelFiles:
    """What the files of a model say.

    Attributes:
        config: ``architectures`` and ``model_type``, as far as they are given.
        parameters: How many numbers the weights have, by safetensors' name of their type.
        library: What loads it, as the Hub calls it; ``None`` if nobody can tell.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, int] = field(default_factory=dict)
    library: str | None = None

    @property
    def safetensors(self) -> dict[str, Any] | None:
        """The parameters as the Hub tells them; ``None`` without weights."""
        if not self.parameters:
            return None
        return {"parameters": dict(self.parameters), "total": sum(self.parameters.values())}

    @property
    def task(self) -> str | None:
        """The task that the architecture is made for, if it is known."""
        for architecture in self.config.get("architectures", ()):
            for end, task in _TASKS.items():
                if architecture.endswith(end):
                    return task
        return None


def read(snapshot: Snapshot) -> ModelFiles:
    """Read what a model's files say about it."""
    files = snapshot.files
    config = _config(snapshot.place("config.json")) if "config.json" in files else {}
    libraries = {"config.json": "transformers", "adapter_config.json": "peft"}
    library = next((name for path, name in libraries.items() if path in files), None)
    return ModelFiles(config, _parameters(snapshot.place(path) for path in weights(files)), library)


def weights(files: Iterable[str]) -> list[str]:
    """Return the paths of the weights that are loaded: safetensors, and nothing else."""
    return sorted(path for path in files if path.endswith(".safetensors") and "/" not in path)


def _config(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            config = json.loads(file.read(CONFIG_LIMIT))
    except (OSError, ValueError, RecursionError):
        return {}
    return _kept(config) if isinstance(config, dict) else {}


def _kept(config: dict[str, Any]) -> dict[str, Any]:
    """Keep what the Hub shows, if it is what it should be."""
    kept: dict[str, Any] = {}
    names = config.get("architectures")
    if isinstance(names, list) and all(_is_text(name) for name in names):
        kept["architectures"] = names
    if _is_text(config.get("model_type")):
        kept["model_type"] = config["model_type"]
    return kept


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) < 200 and value.isprintable()


def _parameters(paths: Iterable[Path]) -> dict[str, int]:
    """Count parameters by number type, from the headers of safetensors files."""
    parameters: dict[str, int] = {}
    for path in paths:
        try:
            status = path.stat()
            counted = _counted(path, status.st_size, status.st_mtime_ns)
        except OSError:
            continue
        for kind, count in counted.items():
            parameters[kind] = parameters.get(kind, 0) + count
    return parameters


@lru_cache(512)
def _counted(path: Path, size: int, _modified: int) -> dict[str, int]:
    counts: dict[str, int] = {}
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if length <= min(size, HEADER_LIMIT) else {}
        for name, tensor in header.items():
            if name != "__metadata__" and _is_text(tensor["dtype"]):
                kind = tensor["dtype"]
                counts[kind] = counts.get(kind, 0) + math.prod(map(int, tensor["shape"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        return {}
    return counts
