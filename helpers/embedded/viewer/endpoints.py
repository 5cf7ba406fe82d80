"""The dataset viewer's endpoints over the embedded datasets.

The real one is a host of its own, ``https://datasets-server.huggingface.co``; here the same paths
are under ``/datasets-server``. Searching, filtering and statistics are not offered, and
``/is-valid`` says so.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from helpers.embedded.hub import cards, holdings
from helpers.embedded.hub.snapshots import MAIN, Snapshot
from helpers.embedded.viewer import splits
from helpers.embedded.viewer.media import Media, holds_media, media_of
from helpers.embedded.viewer.splits import Index, Split
from helpers.embedded.wire import WireError

PREFIX = "/datasets-server"
PAGE_ROWS = 100
"""Most rows of one answer."""

FIRST_ROWS_BYTES = 1_000_000
"""``/first-rows`` stops before its rows are longer than this in JSON."""

T = TypeVar("T")


@dataclass(frozen=True)
class Viewed:
    """A split that was asked for, and where its pictures and sounds are served from."""

    snapshot: Snapshot
    split: Split
    index: Index
    assets: str


def routes() -> list[Route]:
    """Return the viewer's routes."""
    asset = "/cached-assets/{dataset:hub_id}/--/{revision}/--/{config}/{split}/{row}/{column}"
    return [
        Route(f"{PREFIX}/is-valid", is_valid),
        Route(f"{PREFIX}/splits", list_splits),
        Route(f"{PREFIX}/first-rows", first_rows),
        Route(f"{PREFIX}/rows", rows),
        Route(f"{PREFIX}/size", size),
        Route(f"{PREFIX}/info", info),
        Route(f"{PREFIX}/parquet", parquet),
        Route(f"{PREFIX}{asset}/{{filename}}", send_asset),
    ]


async def is_valid(request: Request) -> Response:
    """Say what the viewer can do with a dataset."""
    snapshot = await _snapshot(request, _required(request, "dataset"))
    shown = bool(_splits(snapshot))
    offered = {"preview": shown, "viewer": shown}
    missing = {"search": False, "filter": False, "statistics": False}
    return _answer(offered | missing, snapshot)


async def list_splits(request: Request) -> Response:
    """List the configurations and splits."""
    snapshot, found = await _configs(request)
    listed = [_split_item(snapshot, split) for split in found]
    return _answer({"splits": listed, "pending": [], "failed": []}, snapshot)


async def rows(request: Request) -> Response:
    """Send a slice of a split."""
    names = _required(request, "dataset"), _required(request, "config"), _required(request, "split")
    offset = _count(request, "offset", default=0)
    length = _count(request, "length", default=PAGE_ROWS, most=PAGE_ROWS)
    viewed = await _viewed(request, *names)
    items = await _reading(lambda: _row_items(viewed, offset, length))
    page = {
        "features": _feature_items(viewed.index),
        "rows": items,
        "num_rows_total": viewed.index.rows,
        "num_rows_per_page": PAGE_ROWS,
        "partial": False,
    }
    return _answer(page, viewed.snapshot)


async def first_rows(request: Request) -> Response:
    """Send the first rows of a split, as many as fit."""
    names = _required(request, "dataset"), _required(request, "config"), _required(request, "split")
    viewed = await _viewed(request, *names)
    items = await _reading(lambda: _fitting(_row_items(viewed, 0, PAGE_ROWS)))
    page = {
        **_split_item(viewed.snapshot, viewed.split),
        "features": _feature_items(viewed.index),
        "rows": items,
        "truncated": len(items) < viewed.index.rows,
    }
    return _answer(page, viewed.snapshot)


async def size(request: Request) -> Response:
    """Count rows and bytes of a dataset, or of one configuration."""
    snapshot, found = await _configs(request)
    by_split = await _indexes(snapshot, found)
    split_sizes = [
        _split_item(snapshot, split) | _sizes([index], with_columns=True)
        for split, index in by_split.items()
    ]
    config_sizes = [
        {"dataset": snapshot.about.id, "config": config, **_original(indexes)}
        | _sizes(indexes, with_columns=True)
        for config, indexes in _by_config(by_split).items()
    ]
    if request.query_params.get("config"):
        told = {"size": {"config": config_sizes[0], "splits": split_sizes}, "partial": False}
        return _answer(told, snapshot)
    indexes = list(by_split.values())
    total = {"dataset": snapshot.about.id, **_original(indexes), **_sizes(indexes)}
    sizes = {"dataset": total, "configs": config_sizes, "splits": split_sizes}
    return _answer({"size": sizes, "pending": [], "failed": [], "partial": False}, snapshot)


async def info(request: Request) -> Response:
    """Describe a dataset, or one configuration, as ``datasets.DatasetInfo`` does."""
    snapshot, found = await _configs(request)
    by_split = await _indexes(snapshot, found)
    infos = {config: _dataset_info(snapshot, config, by_split) for config in _by_config(by_split)}
    if config := request.query_params.get("config"):
        return _answer({"dataset_info": infos[config], "partial": False}, snapshot)
    told = {"dataset_info": infos, "pending": [], "failed": [], "partial": False}
    return _answer(told, snapshot)


async def parquet(request: Request) -> Response:
    """List the Parquet files, with addresses to download them from."""
    snapshot, found = await _configs(request)
    base = f"{request.base_url}datasets/{snapshot.about.id}/resolve/{MAIN}"
    files = [
        _split_item(snapshot, split)
        | {
            "url": f"{base}/{quote(path)}",
            "filename": path.split("/")[-1],
            "size": snapshot.files[path].size,
        }
        for split in found
        for path in split.files
    ]
    return _answer(
        {"parquet_files": files, "pending": [], "failed": [], "partial": False}, snapshot
    )


async def send_asset(request: Request) -> Response:
    """Send the picture or the sound of one cell."""
    asked = request.path_params
    viewed = await _viewed(request, asked["dataset"], asked["config"], asked["split"])
    commit, row, column = viewed.snapshot.commit, asked["row"], asked["column"]
    feature = viewed.index.features.get(column, {})
    if asked["revision"] != commit or not _is_number(row) or not holds_media(feature):
        raise _not_found()
    cell = await _reading(lambda: splits.read_cell(viewed.index, commit, int(row), column))
    media = media_of(cell, feature)
    if media is None or media.filename != asked["filename"]:
        raise _not_found()
    headers = {"X-Content-Type-Options": "nosniff"}
    return Response(media.contents, media_type=media.content_type, headers=headers)


# --- parameters


def _required(request: Request, name: str) -> str:
    value = request.query_params.get(name, "")
    if not value.strip():
        raise _error(422, "MissingRequiredParameter", f"Parameter '{name}' is required")
    return value


def _count(request: Request, name: str, default: int, most: int | None = None) -> int:
    try:
        value = int(request.query_params.get(name, default))
    except ValueError:
        raise _error(422, "InvalidParameter", f"Parameter '{name}' must be integer") from None
    if value < 0:
        raise _error(422, "InvalidParameter", f"Parameter '{name}' must be positive")
    if most is not None and value > most:
        message = f"Parameter '{name}' must not be greater than {most}"
        raise _error(422, "InvalidParameter", message)
    return value


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdecimal() and len(value) < 16


def _error(status: int, code: str, message: str) -> WireError:
    return WireError(status, message, {"X-Error-Code": code, "Cache-Control": "no-store"})


def _not_found() -> WireError:
    return _error(404, "ResponseNotFound", "Not found.")


def _unknown_dataset(request: Request) -> WireError:
    """Return the real viewer's answer, which depends on whether a token came with the request."""
    if request.state.client_id is None:
        return _error(
            401,
            "ExternalUnauthenticatedError",
            "The dataset does not exist, or is not accessible without authentication (private or "
            "gated). Please check the spelling of the dataset name or retry with authentication.",
        )
    return _error(
        404,
        "ExternalAuthenticatedError",
        "The dataset does not exist, or is not accessible with the current credentials (private "
        "or gated). Please check the spelling of the dataset name or retry with other "
        "authentication credentials.",
    )


# --- what is asked for


async def _snapshot(request: Request, dataset: str) -> Snapshot:
    try:
        holding = await asyncio.to_thread(holdings.find, request, "dataset", dataset)
        return await holding.snapshot()
    except WireError as error:
        if error.status != 404:
            raise
        raise _unknown_dataset(request) from None


def _splits(snapshot: Snapshot) -> list[Split]:
    return splits.find(snapshot.files, cards.header(snapshot.card))


async def _configs(request: Request) -> tuple[Snapshot, list[Split]]:
    """Return the splits of a dataset, of one configuration only when the request names it."""
    snapshot = await _snapshot(request, _required(request, "dataset"))
    found = _splits(snapshot)
    if config := request.query_params.get("config"):
        found = [split for split in found if split.config == config]
        if not found:
            raise _not_found()
    return snapshot, found


async def _viewed(request: Request, dataset: str, config: str, name: str) -> Viewed:
    snapshot = await _snapshot(request, dataset)
    split = next((s for s in _splits(snapshot) if (s.config, s.name) == (config, name)), None)
    if split is None:
        raise _not_found()
    index = (await _indexes(snapshot, [split]))[split]
    address = f"{dataset}/--/{snapshot.commit}/--/{quote(config)}/{quote(name)}"
    assets = f"{str(request.base_url).rstrip('/')}{PREFIX}/cached-assets/{address}"
    return Viewed(snapshot, split, index, assets)


async def _indexes(snapshot: Snapshot, found: list[Split]) -> dict[Split, Index]:
    def read(split: Split) -> Index:
        return splits.read_index(map(snapshot.place, split.files), snapshot.commit)

    return await _reading(lambda: {split: read(split) for split in found})


async def _reading(read: Callable[[], T]) -> T:
    """Read files in a thread; that they are being rebuilt, or are damaged, is told as such."""
    try:
        return await asyncio.to_thread(read)
    except splits.TooLargeError:
        message = f"A row group of this split has more than {splits.GROUP_LIMIT} bytes."
        raise _error(413, "TooBigContentError", message) from None
    except OSError:
        message = "The server is busier than usual and the response is not ready yet."
        raise _error(503, "ResponseNotReady", f"{message} Please retry later.") from None


# --- answers


def _answer(content: dict[str, Any], snapshot: Snapshot) -> Response:
    headers = {"X-Revision": snapshot.commit, "Cache-Control": "no-cache"}
    return JSONResponse(content, headers=headers)


def _split_item(snapshot: Snapshot, split: Split) -> dict[str, Any]:
    return {"dataset": snapshot.about.id, "config": split.config, "split": split.name}


def _feature_items(index: Index) -> list[dict[str, Any]]:
    return [
        {"feature_idx": number, "name": name, "type": feature}
        for number, (name, feature) in enumerate(index.features.items())
    ]


def _row_items(viewed: Viewed, offset: int, length: int) -> list[dict[str, Any]]:
    read = splits.read_rows(viewed.index, viewed.snapshot.commit, offset, length)
    return [
        {"row_idx": number, "row": _row(viewed, row, number), "truncated_cells": []}
        for number, row in enumerate(read, offset)
    ]


def _row(viewed: Viewed, row: dict[str, Any], number: int) -> dict[str, Any]:
    shown = {}
    for name, cell in row.items():
        feature = viewed.index.features[name]
        if holds_media(feature):
            address = f"{viewed.assets}/{number}/{quote(name, safe='')}"
            shown[name] = _shown_media(media_of(cell, feature), address)
        else:
            shown[name] = _plain(cell)
    return shown


def _shown_media(media: Media | None, address: str) -> Any:
    if media is None:
        return None
    source = f"{address}/{media.filename}"
    if media.size is None:
        return [{"src": source, "type": media.content_type}]
    width, height = media.size
    return {"src": source, "height": height, "width": width}


def _plain(cell: Any) -> Any:
    """Return a cell as JSON can hold it; bytes have no place there."""
    if isinstance(cell, dict):
        return {name: _plain(part) for name, part in cell.items()}
    if isinstance(cell, (list, tuple)):
        return [_plain(part) for part in cell]
    if isinstance(cell, float) and not math.isfinite(cell):
        return None
    if isinstance(cell, (date, time)):
        return cell.isoformat()
    if isinstance(cell, (Decimal, timedelta)):
        return str(cell)
    return None if isinstance(cell, bytes) else cell


def _fitting(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keep the first rows, one at least, that fit in ``FIRST_ROWS_BYTES`` of JSON."""
    total = 0
    for count, item in enumerate(items):
        total += len(json.dumps(item, ensure_ascii=False).encode(errors="replace"))
        if total > FIRST_ROWS_BYTES:
            return items[: max(count, 1)]
    return items


def _by_config(by_split: dict[Split, Index]) -> dict[str, list[Index]]:
    configs: dict[str, list[Index]] = {}
    for split, index in by_split.items():
        configs.setdefault(split.config, []).append(index)
    return configs


def _original(indexes: list[Index]) -> dict[str, int]:
    """Count the bytes of the files as they were written: they are Parquet already."""
    return {"num_bytes_original_files": sum(index.file_bytes for index in indexes)}


def _sizes(indexes: list[Index], with_columns: bool = False) -> dict[str, Any]:
    columns = {"num_columns": len(indexes[0].features)} if with_columns else {}
    return {
        "num_bytes_parquet_files": sum(index.file_bytes for index in indexes),
        "num_bytes_memory": sum(index.memory_bytes for index in indexes),
        "num_rows": sum(index.rows for index in indexes),
        **columns,
        "estimated_num_rows": None,
    }


def _dataset_info(snapshot: Snapshot, config: str, by_split: dict[Split, Index]) -> dict[str, Any]:
    chosen = {split.name: index for split, index in by_split.items() if split.config == config}
    described = {
        name: {
            "name": name,
            "num_bytes": index.memory_bytes,
            "num_examples": index.rows,
            "dataset_name": None,
        }
        for name, index in chosen.items()
    }
    return {
        "description": "",
        "citation": "",
        "homepage": "",
        "license": snapshot.about.licence or "",
        "features": next(iter(chosen.values())).features,
        "builder_name": "parquet",
        "dataset_name": snapshot.about.id.split("/")[-1],
        "config_name": config,
        "version": {"version_str": "0.0.0", "major": 0, "minor": 0, "patch": 0},
        "splits": described,
        "download_size": sum(index.file_bytes for index in chosen.values()),
        "dataset_size": sum(index.memory_bytes for index in chosen.values()),
    }
