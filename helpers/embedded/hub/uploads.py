"""Files on their way in: how each is to be sent, and the large ones themselves.

The Hub tells its clients to send large files to a store of its own, at addresses that are signed
for one file of one size; here they lead back to this server. Small files come with the commit.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from helpers.embedded import auth
from helpers.embedded.hub import owners
from helpers.embedded.hub.errors import refused
from helpers.embedded.hub.files import git_oid, is_lfs
from helpers.embedded.learners import Incoming, Learners, LearnersRepository, Namespace
from helpers.embedded.learners.blobs import check_file_size, is_sha256
from helpers.embedded.learners.names import check_path
from helpers.embedded.store import FileInfo
from helpers.embedded.wire import WireError, read_json, streamed

LFS_TYPE = "application/vnd.git-lfs+json"
OBJECTS_LIMIT = 1000
"""Files of one request."""
SIGNED_SECONDS = 60 * 60
"""How long an upload's address is good for."""

_PIECE = 1024 * 1024


async def preupload(request: Request) -> Response:
    """Say of each file whether it goes with the commit or on its own, and what is there now."""
    repository = await asyncio.to_thread(owners.writable, request)
    refuse_pull_requests(request)
    body, _ = await read_json(request)
    files = [_announced(item) for item in _items(body, "files")]
    return JSONResponse(
        await asyncio.to_thread(_modes, repository, request.path_params["revision"], files)
    )


async def lfs_batch(request: Request) -> Response:
    """Say where to send each large file, leaving out those that are here already."""
    repository = await asyncio.to_thread(owners.writable, request)
    body, _ = await read_json(request, types=(LFS_TYPE, "application/json"))
    objects = [_object(item) for item in _items(body, "objects")]
    if body.get("operation") != "upload":
        raise refused(400, "Only uploads are offered here: download files by their addresses.")
    found = await asyncio.to_thread(_missing, repository.namespace, objects)
    told = [_told(request, repository, one, is_missing) for one, is_missing in found]
    return JSONResponse({"transfer": "basic", "objects": told}, media_type=LFS_TYPE)


async def receive(request: Request) -> Response:
    """Take the contents of one large file, at an address that was signed for it."""
    namespace, expected = _signed(request)
    declared = request.headers.get("content-length")
    if declared is not None and declared != str(expected.size):
        raise refused(400, f"{expected.size} bytes were announced, not {declared[:20]}.")
    streamed(request, expected.size)
    with namespace.blobs.receive() as incoming:
        await _fill(request, incoming, expected.size)
        await asyncio.to_thread(incoming.keep, expected)
    return Response(headers={"ETag": f'"{expected.sha256}"'})


async def verify(request: Request) -> Response:
    """Say whether a large file arrived."""
    repository = await asyncio.to_thread(owners.writable, request)
    body, _ = await read_json(request)
    expected = _object(body)
    if repository.namespace.blobs.size(expected.sha256) != expected.size:
        raise refused(404, "The file was not uploaded.")
    return JSONResponse({"message": "Verified"})


async def no_xet(request: Request) -> Response:
    """Say that there is no Xet storage here."""
    raise refused(
        400, "The embedded Hub has no Xet storage: set HF_HUB_DISABLE_XET=1 before uploading."
    )


def refuse_pull_requests(request: Request) -> None:
    """Refuse what would make a pull request.

    Raises:
        WireError: 400.
    """
    if request.query_params.get("create_pr"):
        raise refused(400, "Pull requests are not offered by the embedded Hub.")


# --- what is announced


def _items(body: Any, name: str) -> list[Any]:
    items = body.get(name) if isinstance(body, dict) else None
    if not isinstance(items, list):
        raise refused(400, f"`{name}` must be an array.")
    if len(items) > OBJECTS_LIMIT:
        raise refused(413, f"At most {OBJECTS_LIMIT} files in one request.")
    return items


def _announced(item: Any) -> tuple[str, int]:
    size = item.get("size") if isinstance(item, dict) else None
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise refused(400, "`size` must be a number of bytes.")
    return check_path(item.get("path")), size


def _object(item: Any) -> FileInfo:
    """Read what Git LFS calls an object: a hash and a size."""
    fields = item if isinstance(item, dict) else {}
    oid, size = fields.get("oid"), fields.get("size")
    if not is_sha256(oid) or not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise refused(400, "Each object must have a sha256 as `oid` and a `size`.")
    return FileInfo(size, oid)


def _modes(
    repository: LearnersRepository, revision: str, files: list[tuple[str, int]]
) -> dict[str, Any]:
    commit = repository.commit(revision)
    blobs = repository.namespace.blobs
    told = []
    for path, size in files:
        check_file_size(size, blobs.limits, path)
        kept = commit.files.get(path)
        oid = None
        if kept is not None and is_lfs(path, kept.size) == is_lfs(path, size):
            oid = kept.sha256 if is_lfs(path, size) else git_oid(blobs.path(kept.sha256))
        mode = "lfs" if is_lfs(path, size) else "regular"
        told.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
    return {"files": told, "commitOid": commit.id}


def _missing(namespace: Namespace, objects: list[FileInfo]) -> list[tuple[FileInfo, bool]]:
    """Tell which objects are to be sent, once there is room for them all."""
    blobs = namespace.blobs
    found = []
    for one in objects:
        check_file_size(one.size, blobs.limits, "a file")
        is_missing = blobs.size(one.sha256) != one.size
        if not is_missing:
            blobs.renew(one.sha256)
        found.append((one, is_missing))
    needed = sum(one.size for one, is_missing in found if is_missing)
    if needed:
        namespace.require_room(needed, "this upload")
    return found


def _told(
    request: Request, repository: LearnersRepository, one: FileInfo, is_missing: bool
) -> dict[str, Any]:
    told: dict[str, Any] = {"oid": one.sha256, "size": one.size}
    if is_missing:
        address = str(request.url.replace(query="")).removesuffix("/batch")
        upload = {"href": _address(request, repository.namespace.name, one), "header": {}}
        told["actions"] = {"upload": upload, "verify": {"href": f"{address}/verify", "header": {}}}
    return told


# --- what arrives


def _address(request: Request, name: str, one: FileInfo) -> str:
    expires = int(time.time()) + SIGNED_SECONDS
    signature = auth.sign(_claim(name, one, expires))
    query = urlencode({"size": one.size, "expires": expires, "signature": signature})
    return f"{request.base_url}course/uploads/{name}/{one.sha256}?{query}"


def _claim(name: str, one: FileInfo, expires: int) -> str:
    return f"upload:{name}:{one.sha256}:{one.size}:{expires}"


def _signed(request: Request) -> tuple[Namespace, FileInfo]:
    """Return what an address was signed for.

    Raises:
        WireError: 403, it was not, or no longer.
    """
    name, oid = request.path_params["namespace"], request.path_params["oid"]
    query = request.query_params
    numbers = [query.get("size", ""), query.get("expires", "")]
    learners: Learners = request.app.state.learners
    namespace = learners.namespace(name)
    if all(number.isascii() and number.isdecimal() and len(number) < 16 for number in numbers):
        size, expires = map(int, numbers)
        one = FileInfo(size, oid)
        is_ours = auth.is_signed(_claim(name, one, expires), query.get("signature", ""))
        if is_ours and time.time() < expires and namespace is not None:
            return namespace, one
    raise refused(403, "The address of this upload is not valid, or no longer.")


async def _fill(request: Request, incoming: Incoming, size: int) -> None:
    """Write a body to disk as it arrives, a piece at a time; after an error, read it to its end.

    Raises:
        WireError: 400 for more bytes than announced, 507 when the disk is full.
    """
    piece = bytearray()
    received, failed = 0, None
    async for chunk in request.stream():
        received += len(chunk)
        if received > size:
            raise refused(400, f"{size} bytes were announced, and more arrived.")
        if failed is None:
            piece += chunk
            if len(piece) >= _PIECE:
                failed = await _write(incoming, piece)
                piece = bytearray()
    if failed is None and piece:
        failed = await _write(incoming, piece)
    if failed is not None:
        raise failed


async def _write(incoming: Incoming, piece: bytearray) -> WireError | None:
    """Write a piece; a client still sending hears of an error only once it is done."""
    try:
        await asyncio.to_thread(incoming.write, piece)
    except WireError as error:
        return error
    return None
