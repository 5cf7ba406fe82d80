"""What the Hub says about a repository, gathered from the catalog, its card and its files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from helpers.embedded.catalog import Repository, repositories
from helpers.embedded.hub import cards, model_files
from helpers.embedded.hub.model_files import ModelFiles
from helpers.embedded.hub.snapshots import About, Snapshot, timestamp
from helpers.embedded.tasks import HANDLERS, PROVIDER_TASKS, SERVED_TASKS

PAUSED = {
    "stage": "PAUSED",
    "hardware": {"current": None, "requested": None},
    "gcTimeout": None,
    "storage": None,
    "replicas": {"requested": 0, "current": 0},
}
"""The embedded Hub keeps the files of a Space and runs none, whoever visits it."""

_DATASET_TAGS = (
    *("task_categories", "task_ids", "annotations_creators", "language_creators", "language"),
    *("multilinguality", "size_categories", "source_datasets"),
)
"""Keys of a dataset's card that become tags with the key before the value."""

_PARQUET = ("data.parquet",)
"""Every dataset of the catalog is kept in Parquet."""


def about(repository: Repository) -> About:
    """Return what the catalog says that a repository is."""
    return About(repository.id, repository.kind, task=repository.task, licence=repository.licence)


def summary(repository: Repository) -> dict[str, Any]:
    """Describe a repository by its card and the catalog alone, so that nothing need be built."""
    modified = timestamp(repository.last_modified)
    told, card = about(repository), repository.card
    if repository.model_type is None:
        model = ModelFiles(library="transformers")
        return _described(told, card, modified, model, _PARQUET)
    config = {"architectures": [repository.architecture], "model_type": repository.model_type}
    model = ModelFiles(config, repository.parameters, "transformers")
    described = _described(told, card, modified, model, ("model.safetensors",))
    return described | {"config": config, "safetensors": model.safetensors}


def details(snapshot: Snapshot) -> dict[str, Any]:
    """Describe a repository at a commit, its files among the rest."""
    told, size = snapshot.about, sum(file.size for file in snapshot.files.values())
    files = {
        "sha": snapshot.commit,
        "usedStorage": size,
        "siblings": [{"rfilename": path} for path in snapshot.files],
    }
    model = model_files.read(snapshot) if told.kind == "model" else ModelFiles()
    described = _described(told, snapshot.card, snapshot.last_modified, model, snapshot.files)
    if told.kind == "model":
        files |= {"config": dict(model.config), "safetensors": model.safetensors}
    elif told.kind == "dataset":
        files |= {"mainSize": size}
    return described | files


def served_tasks(snapshot: Snapshot) -> tuple[str, ...]:
    """Return the tasks that the inference API answers for with a model, the usual one first."""
    if snapshot.about.kind != "model":
        return ()
    card, model = cards.header(snapshot.card), model_files.read(snapshot)
    return _served(snapshot.about, card, model, snapshot.files)


def _described(
    told: About, card_path: Path | None, modified: str, model: ModelFiles, files: Iterable[str]
) -> dict[str, Any]:
    card = cards.header(card_path)
    common = {
        "_id": hashlib.sha1(told.id.encode(), usedforsecurity=False).hexdigest()[:24],
        "id": told.id,
        "author": told.owner,
        "private": told.private,
        "gated": False,
        "disabled": False,
        "likes": 0,
        "trendingScore": 0,
        "createdAt": told.created or modified,
        "lastModified": modified,
        "cardData": card,
    }
    if told.kind == "dataset":
        return common | _dataset(told, card, card_path, files)
    if told.kind == "space":
        return common | _space(told, card)
    return common | _model(told, card, model, files)


# --- models


def _model(
    told: About, card: dict[str, Any], model: ModelFiles, files: Iterable[str]
) -> dict[str, Any]:
    library = _text(card.get("library_name")) or model.library
    task = _pipeline_tag(told, card, model)
    served = _served(told, card, model, files)
    described = {
        "modelId": told.id,
        "downloads": 0,
        "downloadsAllTime": 0,
        "tags": _unique(
            library,
            "safetensors" if told.task or model_files.weights(files) else None,
            model.config.get("model_type"),
            task,
            *served,
            *_as_list(card.get("tags")),
            *_as_list(card.get("language")),
            *(f"dataset:{name}" for name in _as_list(card.get("datasets"))),
            *(f"base_model:{name}" for name in _as_list(card.get("base_model"))),
            _licence_tag(told, card),
        ),
        "spaces": [space.id for space in _spaces() if told.id in _linked(space, "models")],
    }
    described |= {"library_name": library} if library else {}
    described |= {"pipeline_tag": task} if task else {}
    if served:
        first = told.task or served[0]
        task = PROVIDER_TASKS.get(first, first)
        mapping = {"status": "live", "providerId": told.id, "task": task}
        described |= {"inference": "warm", "inferenceProviderMapping": {"hf-inference": mapping}}
    return described


def _pipeline_tag(told: About, card: dict[str, Any], model: ModelFiles) -> str | None:
    return _text(card.get("pipeline_tag")) or told.task or model.task


def _served(
    told: About, card: dict[str, Any], model: ModelFiles, files: Iterable[str]
) -> tuple[str, ...]:
    """Return the tasks a model is served for; a learner's needs weights and a configuration."""
    if told.task is not None:
        return SERVED_TASKS.get(told.task, ())
    if not model.config or not model_files.weights(files):
        return ()
    task = _pipeline_tag(told, card, model)
    for tasks in SERVED_TASKS.values():
        if task in tasks:
            first = (task, *(other for other in tasks if other != task))
            return tuple(served for served in first if served in HANDLERS)
    return ()


# --- datasets


def _dataset(
    told: About, card: dict[str, Any], card_path: Path | None, files: Iterable[str]
) -> dict[str, Any]:
    prefixed = (f"{key}:{value}" for key in _DATASET_TAGS for value in _as_list(card.get(key)))
    is_parquet = any(path.endswith(".parquet") for path in files)
    tags = _unique(
        *prefixed,
        _licence_tag(told, card),
        *(("format:parquet", "library:datasets") if is_parquet else ()),
        *_as_list(card.get("tags")),
    )
    return {
        "downloads": 0,
        "downloadsAllTime": 0,
        "description": cards.first_paragraph(card_path),
        "tags": tags,
    }


# --- spaces


def _space(told: About, card: dict[str, Any]) -> dict[str, Any]:
    sdk = _text(card.get("sdk")) or ""
    return {
        "sdk": sdk,
        "tags": _unique(sdk, *_as_list(card.get("tags")), _licence_tag(told, card)),
        "models": _as_list(card.get("models")),
        "datasets": _as_list(card.get("datasets")),
        "runtime": PAUSED,
    }


def _spaces() -> list[Repository]:
    return [repository for repository in repositories() if repository.kind == "space"]


def _linked(space: Repository, kind: str) -> list[str]:
    return _as_list(cards.header(space.card).get(kind))


# --- small things


def _licence_tag(told: About, card: dict[str, Any]) -> str | None:
    licence = card.get("license", told.licence)
    return f"license:{licence}" if licence else None


def _unique(*tags: Any) -> list[str]:
    return list(dict.fromkeys(str(tag) for tag in tags if tag))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _as_list(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]
