"""What the Hub says about a repository, gathered from the catalog, its card and its files."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from helpers.embedded.catalog import Repository, repositories
from helpers.embedded.hub.snapshots import Snapshot, timestamp
from helpers.embedded.tasks import PROVIDER_TASKS, SERVED_TASKS

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


def summary(repository: Repository) -> dict[str, Any]:
    """Describe a repository by its card and the catalog alone, so that nothing need be built."""
    modified = timestamp(repository.last_modified)
    card = card_data(repository.card)
    if repository.model_type is None:
        return _described(repository, card, {}, modified)
    config = {"architectures": [repository.architecture], "model_type": repository.model_type}
    weights = {
        "parameters": dict(repository.parameters),
        "total": sum(repository.parameters.values()),
    }
    described = _described(repository, card, config, modified)
    return described | {"config": config, "safetensors": weights}


def details(snapshot: Snapshot) -> dict[str, Any]:
    """Describe a built repository, its files among the rest."""
    repository = snapshot.repository
    card = card_data(snapshot.folder / "README.md")
    size = sum(size for size, _ in snapshot.files.values())
    files = {
        "sha": snapshot.commit,
        "usedStorage": size,
        "siblings": [{"rfilename": path} for path in snapshot.files],
    }
    if repository.kind != "model":
        extra = {"mainSize": size} if repository.kind == "dataset" else {}
        return _described(repository, card, {}, snapshot.last_modified) | files | extra
    config, safetensors = _model_files(snapshot.folder, snapshot.commit)
    described = _described(repository, card, config, snapshot.last_modified)
    return described | files | {"config": config, "safetensors": safetensors}


def card_data(path: Path) -> dict[str, Any]:
    """Return the YAML header of a card, as JSON can hold it; empty when it has none."""
    try:
        status = path.stat()
    except OSError:
        return {}
    return json.loads(_card_json(path, status.st_size, status.st_mtime_ns))


@cache
def _card_json(path: Path, _size: int, _modified: int) -> str:
    import yaml

    header, _ = _parts(path)
    data = yaml.safe_load(header)
    return json.dumps(data if isinstance(data, dict) else {}, default=str)


def _parts(path: Path) -> tuple[str, str]:
    """Split a card into its YAML header and its text."""
    whole = path.read_text(encoding="utf-8")
    opening, _, rest = whole.partition("---\n")
    header, closing, body = rest.partition("\n---")
    return ("", whole) if opening.strip() or not closing else (header, body)


def _described(
    repository: Repository, card: dict[str, Any], config: dict[str, Any], last_modified: str
) -> dict[str, Any]:
    common = {
        "_id": hashlib.sha1(repository.id.encode(), usedforsecurity=False).hexdigest()[:24],
        "id": repository.id,
        "author": repository.id.split("/")[0],
        "private": False,
        "gated": False,
        "disabled": False,
        "likes": 0,
        "trendingScore": 0,
        "createdAt": last_modified,
        "lastModified": last_modified,
        "cardData": card,
    }
    if repository.kind == "dataset":
        return common | _dataset(repository, card)
    if repository.kind == "space":
        return common | _space(repository, card)
    return common | _model(repository, card, config)


# --- models


def _model(repository: Repository, card: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    described = {
        "modelId": repository.id,
        "downloads": 0,
        "downloadsAllTime": 0,
        "library_name": card.get("library_name", "transformers"),
        "pipeline_tag": _pipeline_tag(repository, card),
        "tags": _model_tags(repository, card, config),
        "spaces": [space.id for space in _spaces() if repository.id in _linked(space, "models")],
    }
    if repository.task in SERVED_TASKS:
        task = PROVIDER_TASKS.get(repository.task, repository.task)
        mapping = {"status": "live", "providerId": repository.id, "task": task}
        described |= {"inference": "warm", "inferenceProviderMapping": {"hf-inference": mapping}}
    return described


def _pipeline_tag(repository: Repository, card: dict[str, Any]) -> str:
    return str(card.get("pipeline_tag", repository.task))


def _model_tags(repository: Repository, card: dict[str, Any], config: dict[str, Any]) -> list[str]:
    """Gather a model's tags the way the Hub does: its formats, its card, its task, its licence."""
    return _unique(
        card.get("library_name", "transformers"),
        "safetensors",
        config.get("model_type"),
        _pipeline_tag(repository, card),
        *SERVED_TASKS.get(repository.task, ()),
        *_as_list(card.get("tags")),
        *_as_list(card.get("language")),
        *(f"dataset:{name}" for name in _as_list(card.get("datasets"))),
        *(f"base_model:{name}" for name in _as_list(card.get("base_model"))),
        _licence_tag(repository, card),
    )


@cache
def _model_files(folder: Path, _commit: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Read what a model's own files say about it (kept for each commit)."""
    config_path = folder / "config.json"
    config = json.loads(config_path.read_text("utf-8")) if config_path.is_file() else {}
    kept = {key: config[key] for key in ("architectures", "model_type") if key in config}
    return kept, _safetensors_size(folder)


def _safetensors_size(folder: Path) -> dict[str, Any] | None:
    """Count a model's parameters by number type, from the headers of its safetensors files."""
    parameters: dict[str, int] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        for name, tensor in header.items():
            if name != "__metadata__":
                count = 1
                for length in tensor["shape"]:
                    count *= length
                parameters[tensor["dtype"]] = parameters.get(tensor["dtype"], 0) + count
    return {"parameters": parameters, "total": sum(parameters.values())} if parameters else None


# --- datasets


def _dataset(repository: Repository, card: dict[str, Any]) -> dict[str, Any]:
    prefixed = (f"{key}:{value}" for key in _DATASET_TAGS for value in _as_list(card.get(key)))
    tags = _unique(
        *prefixed,
        _licence_tag(repository, card),
        "format:parquet",  # as every dataset of the catalog is kept
        "library:datasets",
        *_as_list(card.get("tags")),
    )
    return {
        "downloads": 0,
        "downloadsAllTime": 0,
        "description": _first_paragraph(repository.card),
        "tags": tags,
    }


def _first_paragraph(path: Path) -> str:
    """Return the first paragraph of a card's text, headings left out, in one line."""
    _, body = _parts(path)
    paragraphs = (" ".join(part.split()) for part in body.split("\n\n"))
    return next((part for part in paragraphs if part and part[0] not in "#-<|!"), "")


# --- spaces


def _space(repository: Repository, card: dict[str, Any]) -> dict[str, Any]:
    sdk = str(card.get("sdk", ""))
    return {
        "sdk": sdk,
        "tags": _unique(sdk, *_as_list(card.get("tags")), _licence_tag(repository, card)),
        "models": _as_list(card.get("models")),
        "datasets": _as_list(card.get("datasets")),
        "runtime": PAUSED,
    }


def _spaces() -> list[Repository]:
    return [repository for repository in repositories() if repository.kind == "space"]


def _linked(space: Repository, kind: str) -> list[str]:
    return _as_list(card_data(space.card).get(kind))


# --- small things


def _licence_tag(repository: Repository, card: dict[str, Any]) -> str:
    return f"license:{card.get('license', repository.licence)}"


def _unique(*tags: Any) -> list[str]:
    return list(dict.fromkeys(str(tag) for tag in tags if tag))


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
