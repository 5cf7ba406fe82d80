"""The Hub's lists of models, datasets and spaces: filtered, sorted, paged."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable
from typing import Any, TypeVar
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from helpers.embedded.hub import holdings
from helpers.embedded.hub.addresses import KINDS
from helpers.embedded.hub.holdings import Holding
from helpers.embedded.wire import WireError

PAGE_SIZE = 1000

T = TypeVar("T")

_SORT_KEYS = ("downloads", "likes", "lastModified", "createdAt", "trendingScore", "id")

_NOT_OFFERED = ("apps", "num_parameters")
"""Filters of the real Hub that would need what the catalog does not know."""

_BRIEF = {
    "model": (
        *("_id", "id", "modelId", "private", "downloads", "likes", "trendingScore"),
        *("library_name", "pipeline_tag", "tags", "createdAt"),
    ),
    "dataset": (
        *("_id", "id", "author", "sha", "lastModified", "private", "gated", "disabled", "tags"),
        *("description", "downloads", "likes", "trendingScore", "createdAt"),
    ),
    "space": ("_id", "id", "private", "likes", "trendingScore", "sdk", "tags", "createdAt"),
}
"""What the Hub shows of each repository in a list."""

_FULL = {
    "model": ("author", "gated", "disabled", "sha", "lastModified", "inference", "siblings"),
    "dataset": ("cardData", "siblings"),
    "space": (
        *("author", "sha", "lastModified", "disabled", "cardData", "siblings"),
        *("models", "datasets"),
    ),
}
"""What it adds with ``full``."""


async def list_repositories(request: Request) -> Response:
    """List the repositories of one kind."""
    kind, query = KINDS[request.path_params["kind"]], request.query_params
    for name in _NOT_OFFERED:  # ignoring a filter would answer with what was not asked for
        if name in query:
            raise WireError(400, f"`{name}` is not offered by the embedded Hub.")
    listed = await asyncio.to_thread(holdings.listed, request, kind)
    described = [await _described(holding) for holding in listed]
    wanted = [item for item in described if item is not None and _matches(item, query)]
    if (key := query.get("sort")) is not None:
        wanted = _sorted(wanted, key, query.get("direction"))
    listed_here, headers = page(request, wanted)
    return JSONResponse([_shown(item, kind, query) for item in listed_here], headers=headers)


def page(request: Request, items: list[T]) -> tuple[list[T], dict[str, str]]:
    """Return the part of a list that ``limit`` and ``cursor`` ask for, and the link to the next."""
    query = request.query_params
    limit, start = _limit(query.get("limit")), _cursor(query.get("cursor"))
    headers = {}
    if start + limit < len(items):
        headers["Link"] = f'<{_next_page(request, start + limit)}>; rel="next"'
    return items[start : start + limit], headers


def is_set(query: QueryParams, name: str) -> bool:
    """Whether a yes-or-no parameter says yes."""
    return query.get(name, "").lower() in ("1", "true")


def expanded(query: QueryParams) -> list[str]:
    """Return the properties that ``expand`` names."""
    return [*query.getlist("expand"), *query.getlist("expand[]")]


async def _described(holding: Holding) -> dict[str, Any] | None:
    """Describe a repository; one that was deleted meanwhile is none."""
    try:
        return await holding.described()
    except WireError as error:
        if error.status == 404:
            return None
        raise


def _matches(item: dict[str, Any], query: QueryParams) -> bool:
    author, task, provider, inference, gated = (
        query.get(name)
        for name in ("author", "pipeline_tag", "inference_provider", "inference", "gated")
    )
    name = item["id"].lower()
    return all(
        (
            not author or item["author"] == author,
            all(word.lower() in name for word in query.getlist("search")),
            not task or item.get("pipeline_tag") == task,
            not provider or ("inference" in item and provider in ("all", "hf-inference")),
            not inference or item.get("inference") == inference,
            not gated or gated.lower() in ("0", "false"),
            set(_words(query, "filter")) <= set(item["tags"]),
            _is_linked(item, query),
        )
    )


def _is_linked(item: dict[str, Any], query: QueryParams) -> bool:
    """Whether a space uses the models and the datasets that are asked for."""
    if "sdk" not in item:
        return True
    named = all(set(_words(query, kind)) <= set(item[kind]) for kind in ("models", "datasets"))
    return named and (not is_set(query, "linked") or bool(item["models"] or item["datasets"]))


def _words(query: QueryParams, name: str) -> list[str]:
    """Return the values of a parameter that may be repeated, or hold several with commas."""
    return [word for value in query.getlist(name) for word in value.split(",") if word]


def _sorted(items: Iterable[dict[str, Any]], key: str, direction: str | None) -> list[Any]:
    if key not in _SORT_KEYS:
        raise WireError(400, f"`sort` must be one of: {', '.join(_SORT_KEYS)}.")
    return sorted(items, key=lambda item: item.get(key, 0), reverse=direction != "1")


def _shown(item: dict[str, Any], kind: str, query: QueryParams) -> dict[str, Any]:
    if named := expanded(query):
        wanted = {"_id", "id", *named}
    else:
        wanted = {*_BRIEF[kind], *(_FULL[kind] if is_set(query, "full") else ())}
    wanted |= {name for name in ("cardData", "config") if is_set(query, name)}
    return {key: value for key, value in item.items() if key in wanted}


def _limit(value: str | None) -> int:
    if value is None:
        return PAGE_SIZE
    try:
        number = int(value)
    except ValueError:
        number = 0
    if number < 1:
        raise WireError(400, "`limit` must be an integer of at least 1.")
    return min(number, PAGE_SIZE)


def _cursor(value: str | None) -> int:
    if value is None:
        return 0
    try:
        return max(0, int(base64.urlsafe_b64decode(value.encode())))
    except ValueError:
        raise WireError(400, "`cursor` is not valid.") from None


def _next_page(request: Request, start: int) -> str:
    cursor = base64.urlsafe_b64encode(str(start).encode()).decode()
    kept = [(key, value) for key, value in request.query_params.multi_items() if key != "cursor"]
    return str(request.url.replace(query=urlencode([*kept, ("cursor", cursor)])))
