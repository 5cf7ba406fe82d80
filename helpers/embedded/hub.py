"""The Hub's endpoints over the embedded models, for ``huggingface_hub`` and ``transformers``.

Listings come from the catalog and build nothing. A repository is built when one of its files, its
tree or its details are first asked for, because the real answer (sizes, hashes, commit) needs it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import mimetypes
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from helpers.embedded import store
from helpers.embedded.catalog import Repository, catalog
from helpers.embedded.tasks import PROVIDER_TASKS, SERVED_TASKS
from helpers.embedded.wire import WireError, read_json
from helpers.embedded.workers import Builder
from helpers.errors import CourseError

MAIN = "main"
PAGE_SIZE = 1000
LFS_FROM_BYTES = 1024 * 1024
"""Files from this size on are shown as the Hub shows LFS files."""

_EMPTY_KINDS = ("datasets", "spaces")
_KINDS = ("models", *_EMPTY_KINDS)


class _RepositoryId(StringConvertor):
    regex = r"[^/]+(?:/[^/]+)?"


class _Revision(StringConvertor):
    regex = r"refs/[^/]+/[^/]+|[^/]+"


class _Kind(StringConvertor):
    regex = "|".join(_KINDS)


register_url_convertor("hub_id", _RepositoryId())
register_url_convertor("hub_revision", _Revision())
register_url_convertor("hub_kind", _Kind())


class LargeFileResponse(FileResponse):
    """A file sent in pieces large enough for a fast download."""

    chunk_size = 1024 * 1024


@dataclass(frozen=True)
class Snapshot:
    """A built repository at its only commit."""

    repository: Repository
    folder: Path
    commit: str
    last_modified: str
    files: dict[str, tuple[int, str]]
    """Size in bytes and sha256 of each file, by its path."""
    built_at: int
    """When the manifest was written, in nanoseconds."""

    def is_intact(self) -> bool:
        """Whether the same build is still on disk, every file at its size."""
        try:
            sizes = all(
                (self.folder / path).stat().st_size == size
                for path, (size, _) in self.files.items()
            )
            return sizes and _modified(self.folder) == self.built_at
        except OSError:
            return False


def routes() -> list[Route]:
    """Return the Hub's routes."""
    api = "/api/{kind:hub_kind}"
    one = api + "/{repo_id:hub_id}"
    at = "/{revision:hub_revision}"
    file = "/resolve" + at + "/{path:path}"
    return [
        Route("/api/whoami-v2", whoami),
        Route(api, list_repositories),
        Route(one + "/revision" + at, repository_info),
        Route(one + "/tree" + at, list_tree),
        Route(one + "/tree" + at + "/{path:path}", list_tree),
        Route(one + "/paths-info" + at, paths_info, methods=["POST"]),
        Route(one + "/refs", list_refs),
        Route(one, repository_info),
        Route("/datasets/{repo_id:hub_id}" + file, missing_repository),
        Route("/spaces/{repo_id:hub_id}" + file, missing_repository),
        Route("/{repo_id:hub_id}" + file, resolve),
    ]


async def whoami(request: Request) -> Response:
    """Say whose token it is, in the shape of a fine-grained token's answer."""
    client_id = request.state.client_id
    if client_id is None:
        raise WireError(401, "Invalid username or password.")
    token = {"displayName": "curso", "role": "fineGrained", "createdAt": "2026-01-01T00:00:00.000Z"}
    return JSONResponse(
        {
            "type": "user",
            "id": hashlib.sha1(client_id.encode(), usedforsecurity=False).hexdigest()[:24],
            "name": client_id,
            "fullname": client_id,
            "isPro": False,
            "canPay": False,
            "emailVerified": False,
            "orgs": [],
            "auth": {"type": "access_token", "accessToken": token},
        }
    )


async def missing_repository(_request: Request) -> Response:
    """Answer for a dataset or a space: there is none."""
    raise not_found("RepoNotFound", "Repository not found")


async def list_repositories(request: Request) -> Response:
    """List models, filtered, sorted and paged; datasets and spaces are empty lists."""
    if request.path_params["kind"] in _EMPTY_KINDS:
        return JSONResponse([])
    query = request.query_params
    wanted = [
        item
        for repository in catalog().repositories.values()
        if _matches(item := await _listing(request, repository), request)
    ]
    if (key := query.get("sort")) is not None:
        wanted = _sorted(wanted, key, query.get("direction"))
    limit = _integer(query.get("limit"), "limit", PAGE_SIZE)
    start = _cursor(query.get("cursor"))
    page = wanted[start : start + limit]
    headers = {}
    if start + limit < len(wanted):
        headers["Link"] = f'<{_next_page(request, start + limit)}>; rel="next"'
    shown = [_shown_in_list(item, request) for item in page]
    return JSONResponse(shown, headers=headers)


async def repository_info(request: Request) -> Response:
    """Describe one model at a revision."""
    snapshot = await _snapshot(request)
    info = _details(snapshot)
    if request.query_params.get("blobs", "").lower() in ("1", "true"):
        info["siblings"] = [_sibling(snapshot, path) for path in snapshot.files]
    expand = request.query_params.getlist("expand")
    if expand:
        info = {key: value for key, value in info.items() if key in ("id", "_id", *expand)}
    return JSONResponse(info)


async def list_tree(request: Request) -> Response:
    """List the files and folders under a path."""
    snapshot = await _snapshot(request)
    folder = request.path_params.get("path", "").strip("/")
    recursive = request.query_params.get("recursive", "").lower() in ("1", "true")
    expand = request.query_params.get("expand", "").lower() in ("1", "true")
    entries = _tree(snapshot, folder, recursive)
    if folder and not entries:
        raise not_found("EntryNotFound", f"{folder} does not exist on {MAIN!r}")
    return JSONResponse([_expanded(snapshot, entry) if expand else entry for entry in entries])


async def paths_info(request: Request) -> Response:
    """Describe the files and folders that are named in the body, leaving out those missing."""
    snapshot = await _snapshot(request)
    if request.headers.get("content-type", "").startswith("application/json"):
        body, _ = await read_json(request)
        paths = body.get("paths") if isinstance(body, dict) else None
    else:
        paths = [value for key, value in parse_qsl(await request.body()) if key == b"paths"]
        paths = [path.decode(errors="replace") for path in paths]
    if isinstance(paths, str):
        paths = [paths]
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise WireError(400, "`paths` must be a list of strings.")
    wanted = {path.strip("/") for path in paths}
    return JSONResponse([e for e in _tree(snapshot, "", True) if e["path"] in wanted])


async def list_refs(request: Request) -> Response:
    """List the branches (there is one) and the tags (there are none)."""
    snapshot = await _snapshot(request)
    branch = {"name": MAIN, "ref": f"refs/heads/{MAIN}", "targetCommit": snapshot.commit}
    return JSONResponse({"branches": [branch], "tags": [], "converts": [], "pullRequests": []})


async def resolve(request: Request) -> Response:
    """Send a file, or the part of it that ``Range`` asks for."""
    snapshot = await _snapshot(request)
    path = request.path_params["path"]
    if path not in snapshot.files:  # the manifest's exact names: nothing outside can be reached
        headers = {"X-Repo-Commit": snapshot.commit}
        raise not_found("EntryNotFound", "Entry not found", headers)
    size, sha256 = snapshot.files[path]
    etag = f'"{sha256 if _is_lfs(size) else _git_oid(snapshot.folder / path)}"'
    headers = {
        "ETag": etag,
        "X-Repo-Commit": snapshot.commit,
        "X-Linked-Size": str(size),
        "X-Linked-ETag": etag,
        "Access-Control-Expose-Headers": "X-Repo-Commit,X-Error-Code,X-Error-Message,ETag",
    }
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    media_type = mimetypes.guess_type(path)[0] or "application/octet-stream"
    return LargeFileResponse(snapshot.folder / path, headers=headers, media_type=media_type)


def not_found(code: str, message: str, headers: dict[str, str] | None = None) -> WireError:
    """Return the Hub's 404, with the code that its clients turn into an exception."""
    told = {"X-Error-Code": code, "X-Error-Message": message, **(headers or {})}
    return WireError(404, message, {name: _header_text(value) for name, value in told.items()})


def _header_text(value: str) -> str:
    """Keep what a header may hold."""
    printable = "".join(c if c.isprintable() else " " for c in value)
    return printable.encode("latin-1", "replace").decode("latin-1")


# --- one repository ---------------------------------------------------------------------------


async def _snapshot(request: Request) -> Snapshot:
    if request.path_params.get("kind") in _EMPTY_KINDS:
        raise not_found("RepoNotFound", "Repository not found")
    repo_id = request.path_params["repo_id"]
    if repo_id not in catalog().repositories:
        raise not_found("RepoNotFound", "Repository not found")
    snapshot = await _built(request, repo_id)
    revision = request.path_params.get("revision", MAIN)
    if revision not in (MAIN, f"refs/heads/{MAIN}") and not _is_commit(revision, snapshot.commit):
        raise not_found("RevisionNotFound", f"Invalid rev id: {revision}")
    return snapshot


def _is_commit(revision: str, commit: str) -> bool:
    return len(revision) >= 7 and commit.startswith(revision)


async def _built(request: Request, repo_id: str) -> Snapshot:
    """Return a repository's snapshot, building it first if needed."""
    kept: dict[str, Snapshot] = request.app.state.snapshots
    snapshot = kept.get(repo_id)
    if snapshot is None or not snapshot.is_intact():
        snapshot = kept[repo_id] = await _open(request.app.state.builder, repo_id)
    return snapshot


async def _open(builder: Builder, repo_id: str) -> Snapshot:
    try:
        folder = await builder.folder(repo_id)
        manifest = await asyncio.to_thread(store.manifest, repo_id)
    except CourseError as error:
        raise WireError(503, str(error), {"X-Error-Message": _header_text(str(error))}) from None
    return Snapshot(
        repository=catalog().repository(repo_id),
        folder=folder,
        commit=manifest.commit,
        last_modified=_timestamp(manifest.last_modified),
        files={path: (file.size, file.sha256) for path, file in sorted(manifest.files.items())},
        built_at=_modified(folder),
    )


def _modified(folder: Path) -> int:
    return (folder / store.MANIFEST).stat().st_mtime_ns


def _timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _details(snapshot: Snapshot) -> dict[str, Any]:
    repository = snapshot.repository
    described = _described(snapshot.folder, snapshot.commit)
    return {
        **_summary(repository, described["card"], described["config"], snapshot.last_modified),
        "sha": snapshot.commit,
        "cardData": described["card"],
        "config": described["config"],
        "safetensors": described["safetensors"],
        "usedStorage": sum(size for size, _ in snapshot.files.values()),
        "siblings": [{"rfilename": path} for path in snapshot.files],
        "spaces": [],
    }


@cache
def _described(folder: Path, _commit: str) -> dict[str, Any]:
    """Read what a model's own files say about it (kept for each commit)."""
    config_path = folder / "config.json"
    config = json.loads(config_path.read_text("utf-8")) if config_path.is_file() else {}
    kept = {key: config[key] for key in ("architectures", "model_type") if key in config}
    return {
        "card": _card_data(folder / "README.md"),
        "config": kept,
        "safetensors": _safetensors_size(folder),
    }


def _card_data(path: Path) -> dict[str, Any]:
    """Return the YAML header of a model card, as JSON can hold it."""
    import yaml

    if not path.is_file():
        return {}
    opening, _, rest = path.read_text(encoding="utf-8").partition("---\n")
    header, closing, _ = rest.partition("\n---")
    if opening.strip() or not closing:
        return {}
    data = yaml.safe_load(header)
    return json.loads(json.dumps(data, default=str)) if isinstance(data, dict) else {}


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


# --- listings ---------------------------------------------------------------------------------


async def _listing(request: Request, repository: Repository) -> dict[str, Any]:
    if await asyncio.to_thread(store.is_built, repository.id):
        return _details(await _built(request, repository.id))
    card = _card_data(repository.card)
    return _summary(repository, card, {}, _timestamp(repository.last_modified))


def _summary(
    repository: Repository, card: dict[str, Any], config: dict[str, Any], last_modified: str
) -> dict[str, Any]:
    tags = _tags(repository, card, config)
    summary = {
        "_id": hashlib.sha1(repository.id.encode(), usedforsecurity=False).hexdigest()[:24],
        "id": repository.id,
        "modelId": repository.id,
        "author": repository.id.split("/")[0],
        "private": False,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "library_name": card.get("library_name", "transformers"),
        "pipeline_tag": _pipeline_tag(repository, card),
        "tags": tags,
        "createdAt": last_modified,
        "lastModified": last_modified,
    }
    if repository.task in SERVED_TASKS:
        task = PROVIDER_TASKS.get(repository.task, repository.task)
        mapping = {"status": "live", "providerId": repository.id, "task": task}
        summary |= {"inference": "warm", "inferenceProviderMapping": {"hf-inference": mapping}}
    return summary


def _pipeline_tag(repository: Repository, card: dict[str, Any]) -> str:
    return str(card.get("pipeline_tag", repository.task))


def _tags(repository: Repository, card: dict[str, Any], config: dict[str, Any]) -> list[str]:
    """Gather a model's tags the way the Hub does: its formats, its card, its task, its licence."""
    bases = _as_list(card.get("base_model"))
    tags = [
        card.get("library_name", "transformers"),
        "safetensors",
        config.get("model_type"),
        _pipeline_tag(repository, card),
        *SERVED_TASKS.get(repository.task, ()),
        *_as_list(card.get("tags")),
        *_as_list(card.get("language")),
        *(f"dataset:{name}" for name in _as_list(card.get("datasets"))),
        *(f"base_model:{name}" for name in bases),
        f"license:{card.get('license', repository.licence)}",
    ]
    return list(dict.fromkeys(str(tag) for tag in tags if tag))


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _matches(item: dict[str, Any], request: Request) -> bool:
    query = request.query_params
    filters = [tag for value in query.getlist("filter") for tag in value.split(",") if tag]
    author, search, task = query.get("author"), query.get("search"), query.get("pipeline_tag")
    provider, inference, gated = (
        query.get(name) for name in ("inference_provider", "inference", "gated")
    )
    return all(
        (
            not author or item["author"] == author,
            not search or search.lower() in item["id"].lower(),
            not task or item["pipeline_tag"] == task,
            not provider or ("inference" in item and provider in ("all", "hf-inference")),
            not inference or item.get("inference") == inference,
            not gated or gated.lower() in ("0", "false"),
            set(filters) <= set(item["tags"]),
        )
    )


def _sorted(items: Iterable[dict[str, Any]], key: str, direction: str | None) -> list[Any]:
    known = ("downloads", "likes", "lastModified", "createdAt", "trendingScore", "id")
    if key not in known:
        raise WireError(400, f"`sort` must be one of: {', '.join(known)}.")
    return sorted(items, key=lambda item: item.get(key, 0), reverse=direction != "1")


_SHORT = (
    *("_id", "id", "modelId", "private", "downloads", "likes"),
    *("library_name", "pipeline_tag", "tags", "createdAt"),
)
_FULL = ("author", "gated", "disabled", "sha", "lastModified", "inference", "siblings")
"""What the Hub shows of each model in a list, and what it adds with ``full``."""


def _shown_in_list(item: dict[str, Any], request: Request) -> dict[str, Any]:
    query = request.query_params
    expand = query.getlist("expand")
    if expand:
        wanted = ["_id", "id", *expand]
    elif query.get("full", "").lower() in ("1", "true"):
        wanted = [*_SHORT, *_FULL]
    else:
        wanted = [*_SHORT]
    extra = [name for name in ("cardData", "config") if query.get(name, "").lower() == "true"]
    return {key: value for key, value in item.items() if key in (*wanted, *extra)}


def _integer(value: str | None, name: str, most: int) -> int:
    if value is None:
        return most
    try:
        number = int(value)
    except ValueError:
        number = 0
    if number < 1:
        raise WireError(400, f"`{name}` must be an integer of at least 1.")
    return min(number, most)


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


# --- files ------------------------------------------------------------------------------------


def _is_lfs(size: int) -> bool:
    return size >= LFS_FROM_BYTES


def _git_oid(path: Path) -> str:
    """Return git's name for a small file's contents."""
    status = path.stat()
    return _hashed(path, status.st_size, status.st_mtime_ns)


@cache
def _hashed(path: Path, _size: int, _modified: int) -> str:
    return _blob_oid(path.read_bytes())


def _blob_oid(contents: bytes) -> str:
    head = f"blob {len(contents)}\0".encode()
    return hashlib.sha1(head + contents, usedforsecurity=False).hexdigest()


def _file_entry(snapshot: Snapshot, path: str) -> dict[str, Any]:
    size, sha256 = snapshot.files[path]
    entry: dict[str, Any] = {"type": "file", "oid": "", "size": size, "path": path}
    if not _is_lfs(size):
        return entry | {"oid": _git_oid(snapshot.folder / path)}
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
    lfs = {"oid": sha256, "size": size, "pointerSize": len(pointer)}
    return entry | {"oid": _blob_oid(pointer.encode()), "lfs": lfs}


def _sibling(snapshot: Snapshot, path: str) -> dict[str, Any]:
    entry = _file_entry(snapshot, path)
    sibling = {"rfilename": path, "size": entry["size"], "blobId": entry["oid"]}
    if "lfs" in entry:
        lfs = entry["lfs"]
        sibling["lfs"] = {
            "sha256": lfs["oid"],
            "size": lfs["size"],
            "pointerSize": lfs["pointerSize"],
        }
    return sibling


def _tree(snapshot: Snapshot, folder: str, recursive: bool) -> list[dict[str, Any]]:
    prefix = f"{folder}/" if folder else ""
    folders: dict[str, dict[str, Any]] = {}
    files = []
    for path in snapshot.files:
        if not path.startswith(prefix):
            continue
        *parents, _name = path[len(prefix) :].split("/")
        shown = parents if recursive else parents[:1]
        for depth in range(len(shown)):
            name = prefix + "/".join(shown[: depth + 1])
            oid = hashlib.sha1(f"{snapshot.commit}/{name}".encode(), usedforsecurity=False)
            folders[name] = {"type": "directory", "oid": oid.hexdigest(), "size": 0, "path": name}
        if recursive or not parents:
            files.append(_file_entry(snapshot, path))
    return [*folders.values(), *files]


def _expanded(snapshot: Snapshot, entry: dict[str, Any]) -> dict[str, Any]:
    commit = {
        "id": snapshot.commit,
        "title": f"Build {os.path.basename(snapshot.repository.id)}",
        "date": snapshot.last_modified,
    }
    return entry | {"lastCommit": commit}
