"""The files of one repository: listed, described, sent."""

from __future__ import annotations

import hashlib
import mimetypes
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from helpers.embedded.hub import holdings
from helpers.embedded.hub.errors import not_found
from helpers.embedded.hub.holdings import Holding
from helpers.embedded.hub.listings import is_set
from helpers.embedded.hub.snapshots import MAIN, Entry, Snapshot
from helpers.embedded.wire import WireError, read_body, read_json

LFS_FROM_BYTES = 1024 * 1024
"""Files from this size on are sent and shown as the Hub does LFS files."""

LFS_ENDINGS = (
    *("7z", "arrow", "bin", "bz2", "ckpt", "ftz", "gz", "h5", "joblib", "model", "msgpack", "npy"),
    *("npz", "onnx", "ot", "parquet", "pb", "pickle", "pkl", "pt", "pth", "rar", "safetensors"),
    *("tar", "tflite", "tgz", "wasm", "xz", "zip", "zst"),
)
"""Files with these endings are LFS files whatever their size, as new repositories have it."""

EXPOSED_HEADERS = "X-Repo-Commit,X-Error-Code,X-Error-Message,ETag"

INERT = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
}
"""What keeps a page or a drawing that somebody uploaded from running programs at this address."""


class LargeFileResponse(FileResponse):
    """A file sent in pieces large enough for a fast download."""

    chunk_size = 1024 * 1024


async def list_tree(request: Request) -> Response:
    """List the files and folders under a path."""
    holding, query = holdings.named(request), request.query_params
    snapshot = await holding.snapshot(request.path_params["revision"])
    folder = request.path_params.get("path", "").strip("/")
    entries = _tree(snapshot, folder, is_set(query, "recursive"))
    if folder and not entries:
        raise not_found("EntryNotFound", f"{folder} does not exist on {MAIN!r}")
    return await _answer(holding, snapshot, entries, is_set(query, "expand"))


async def paths_info(request: Request) -> Response:
    """Describe the files and folders that are named in the body, leaving out those missing."""
    holding = holdings.named(request)
    snapshot = await holding.snapshot(request.path_params["revision"])
    paths, expand = await _named_paths(request)
    wanted = {path.strip("/") for path in paths}
    entries = [entry for entry in _tree(snapshot, "", True) if entry["path"] in wanted]
    return await _answer(holding, snapshot, entries, expand)


async def _answer(
    holding: Holding, snapshot: Snapshot, entries: list[dict[str, Any]], expand: bool
) -> Response:
    if expand:
        history = await holding.history(snapshot.commit)
        entries = [_with_commit(history, entry) for entry in entries]
    return JSONResponse(entries)


async def resolve(request: Request) -> Response:
    """Send a file, or the part of it that ``Range`` asks for."""
    snapshot = await holdings.asked(request)
    path = request.path_params["path"]
    if path not in snapshot.files:  # its exact names: nothing outside can be reached
        headers = {"X-Repo-Commit": snapshot.commit}
        raise not_found("EntryNotFound", "Entry not found", headers)
    file, place = snapshot.files[path], snapshot.place(path)
    etag = f'"{file.sha256 if is_lfs(path, file.size) else git_oid(place)}"'
    headers = {
        "ETag": etag,
        "X-Repo-Commit": snapshot.commit,
        "X-Linked-Size": str(file.size),
        "X-Linked-ETag": etag,
        "Access-Control-Expose-Headers": EXPOSED_HEADERS,
        **INERT,
    }
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    media_type = mimetypes.guess_type(path)[0] or "application/octet-stream"
    return LargeFileResponse(place, headers=headers, media_type=media_type)


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


def is_lfs(path: str, size: int) -> bool:
    """Whether a file is sent and shown as the Hub does large ones; one without a byte is not."""
    return size >= LFS_FROM_BYTES or (size > 0 and path.rpartition(".")[2] in LFS_ENDINGS)


def git_oid(path: Path) -> str:
    """Return git's name for a small file's contents."""
    status = path.stat()
    return _hashed(path, status.st_size, status.st_mtime_ns)


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
    size, sha256 = snapshot.files[path].size, snapshot.files[path].sha256
    entry: dict[str, Any] = {"type": "file", "oid": "", "size": size, "path": path}
    if not is_lfs(path, size):
        return entry | {"oid": git_oid(snapshot.place(path))}
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
    lfs = {"oid": sha256, "size": size, "pointerSize": len(pointer)}
    return entry | {"oid": _blob_oid(pointer.encode()), "lfs": lfs}


def _with_commit(history: list[Entry], entry: dict[str, Any]) -> dict[str, Any]:
    """Add the last commit that changed a file, or anything in a folder."""
    path = entry["path"]
    changed = history[0]
    for older in history[1:]:
        if _contents(older, path) != _contents(changed, path):
            break
        changed = older
    commit = {"id": changed.commit, "title": changed.title, "date": changed.date}
    return entry | {"lastCommit": commit}


def _contents(entry: Entry, path: str) -> Any:
    if path in entry.files:
        return entry.files[path]
    return {name: file for name, file in entry.files.items() if name.startswith(f"{path}/")}


# --- hashes


@lru_cache(4096)
def _hashed(path: Path, _size: int, _modified: int) -> str:
    return _blob_oid(path.read_bytes())


def _blob_oid(contents: bytes) -> str:
    head = f"blob {len(contents)}\0".encode()
    return hashlib.sha1(head + contents, usedforsecurity=False).hexdigest()
