"""The files of one repository: listed, described, sent."""

from __future__ import annotations

import hashlib
import mimetypes
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from helpers.embedded.hub import snapshots
from helpers.embedded.hub.errors import not_found
from helpers.embedded.hub.listings import is_set
from helpers.embedded.hub.snapshots import Snapshot
from helpers.embedded.wire import WireError, read_body, read_json

LFS_FROM_BYTES = 1024 * 1024
"""Files from this size on are shown as the Hub shows LFS files."""

EXPOSED_HEADERS = "X-Repo-Commit,X-Error-Code,X-Error-Message,ETag"


class LargeFileResponse(FileResponse):
    """A file sent in pieces large enough for a fast download."""

    chunk_size = 1024 * 1024


async def list_tree(request: Request) -> Response:
    """List the files and folders under a path."""
    snapshot, query = await snapshots.asked(request), request.query_params
    folder = request.path_params.get("path", "").strip("/")
    entries = _tree(snapshot, folder, is_set(query, "recursive"))
    if folder and not entries:
        raise not_found("EntryNotFound", f"{folder} does not exist on {snapshots.MAIN!r}")
    expand = is_set(query, "expand")
    return JSONResponse([_with_commit(snapshot, entry) if expand else entry for entry in entries])


async def paths_info(request: Request) -> Response:
    """Describe the files and folders that are named in the body, leaving out those missing."""
    snapshot = await snapshots.asked(request)
    paths, expand = await _named_paths(request)
    wanted = {path.strip("/") for path in paths}
    entries = [entry for entry in _tree(snapshot, "", True) if entry["path"] in wanted]
    return JSONResponse([_with_commit(snapshot, entry) if expand else entry for entry in entries])


async def resolve(request: Request) -> Response:
    """Send a file, or the part of it that ``Range`` asks for."""
    snapshot = await snapshots.asked(request)
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
        "Access-Control-Expose-Headers": EXPOSED_HEADERS,
    }
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    media_type = mimetypes.guess_type(path)[0] or "application/octet-stream"
    return LargeFileResponse(snapshot.folder / path, headers=headers, media_type=media_type)


def sibling(snapshot: Snapshot, path: str) -> dict[str, Any]:
    """Describe a file as a repository's details list it with ``blobs``."""
    entry = _file_entry(snapshot, path)
    described = {"rfilename": path, "size": entry["size"], "blobId": entry["oid"]}
    if "lfs" in entry:
        lfs = entry["lfs"]
        described["lfs"] = {
            "sha256": lfs["oid"],
            "size": lfs["size"],
            "pointerSize": lfs["pointerSize"],
        }
    return described


def commit_title(snapshot: Snapshot) -> str:
    """Return the title of a repository's one commit."""
    return f"Build {snapshot.repository.id.split('/')[-1]}"


async def _named_paths(request: Request) -> tuple[list[str], bool]:
    """Read the body of ``paths-info``: a form, as ``huggingface_hub`` sends it, or JSON."""
    if request.headers.get("content-type", "").startswith("application/json"):
        body, _ = await read_json(request)
        fields = body if isinstance(body, dict) else {}
        paths, expand = fields.get("paths"), fields.get("expand")
    else:
        form = parse_qs((await read_body(request)).decode(errors="replace"))
        paths, expand = form.get("paths"), form.get("expand", [""])[-1]
    if isinstance(paths, str):
        paths = [paths]
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise WireError(400, "`paths` must be a list of strings.")
    return paths, str(expand).lower() in ("1", "true")


# --- entries


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


def _file_entry(snapshot: Snapshot, path: str) -> dict[str, Any]:
    size, sha256 = snapshot.files[path]
    entry: dict[str, Any] = {"type": "file", "oid": "", "size": size, "path": path}
    if not _is_lfs(size):
        return entry | {"oid": _git_oid(snapshot.folder / path)}
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
    lfs = {"oid": sha256, "size": size, "pointerSize": len(pointer)}
    return entry | {"oid": _blob_oid(pointer.encode()), "lfs": lfs}


def _with_commit(snapshot: Snapshot, entry: dict[str, Any]) -> dict[str, Any]:
    commit = {
        "id": snapshot.commit,
        "title": commit_title(snapshot),
        "date": snapshot.last_modified,
    }
    return entry | {"lastCommit": commit}


# --- hashes


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
