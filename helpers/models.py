"""Which model does what, and which fits in the memory at hand."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from helpers.errors import CourseError
from helpers.messages import text

WORKING_MEMORY = 1.2
"""What a running model takes, as a multiple of its weights: activations, a short chat's cache."""


@dataclass(frozen=True)
class ModelChoice:
    """One model for one task.

    Attributes:
        task: what it is used for, by the course's name.
        hub_task: the task's name on the Hub, often the same.
        hub_id: the model's id on the Hub.
        revision: the commit that the course was written for.
        licence: the licence's short name on the Hub.
        parameters: how many numbers the model is made of.
        size_bytes: how much is downloaded.
        memory_bytes: how much memory it takes while it runs.
        languages: codes of the languages it is used for here.
        embedded_id: the model of the same task that needs no Hub; None if there is none.
        api_id: the model that answers for this task through the hosted API.
        api_revision: that model's commit.
    """

    task: str
    hub_task: str
    hub_id: str
    revision: str
    licence: str
    parameters: int
    size_bytes: int
    memory_bytes: int
    languages: tuple[str, ...]
    embedded_id: str | None
    api_id: str
    api_revision: str


def pick(task: str, memory_bytes: int | None = None) -> ModelChoice:
    """Return the largest model for a task that fits.

    Args:
        task: such as ``"question-answering"``.
        memory_bytes: the GPU's memory; None without a GPU, which gives the smallest model.

    Raises:
        CourseError: if the course has no model for the task.
    """
    smallest, *larger = choices(task)
    fitting = [choice for choice in larger if choice.memory_bytes <= (memory_bytes or 0)]
    return fitting[-1] if fitting else smallest


def choices(task: str) -> list[ModelChoice]:
    """Return the models for a task, the smallest first.

    Raises:
        CourseError: if the course has no model for the task.
    """
    registry = _registry()
    if task not in registry:
        raise CourseError(text("models.unknown_task", task=task, tasks=", ".join(sorted(registry))))
    entry = registry[task]
    larger = registry[entry["larger"]]["choices"] if "larger" in entry else []
    models = [*entry["choices"], *(model for model in larger if "pt" in model["languages"])]
    return [_choice(task, entry, model) for model in models]


def tasks() -> list[str]:
    """Return the tasks that the course has models for."""
    return sorted(_registry())


def _choice(task: str, entry: dict[str, Any], model: dict[str, Any]) -> ModelChoice:
    weights = model["parameters"] * model["bytes_per_parameter"]
    return ModelChoice(
        task=task,
        hub_task=entry.get("hub_task", task),
        hub_id=model["hub_id"],
        revision=model["revision"],
        licence=model["licence"],
        parameters=model["parameters"],
        size_bytes=model["size"],
        memory_bytes=int(weights * WORKING_MEMORY),
        languages=tuple(model["languages"]),
        embedded_id=entry.get("embedded"),
        api_id=entry.get("api", model["hub_id"]),
        api_revision=entry.get("api_revision", model["revision"]),
    )


@cache
def _registry() -> dict[str, dict[str, Any]]:
    return tomllib.loads((files("helpers") / "models.toml").read_text(encoding="utf-8"))
