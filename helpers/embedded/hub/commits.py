"""Commits: small files and the names of large ones, taken together or not at all."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from helpers.embedded.hub import cards, owners
from helpers.embedded.hub.errors import refused
from helpers.embedded.hub.files import LFS_FROM_BYTES
from helpers.embedded.hub.uploads import refuse_pull_requests
from helpers.embedded.learners import Add, Commit, Delete, LearnersRepository, Operation
from helpers.embedded.learners.blobs import is_sha256
from helpers.embedded.learners.names import check_path, is_commit
from helpers.embedded.store import FileInfo
from helpers.embedded.wire import TEXT_BODY_LIMIT, WireError, read_json, streamed

LINE_LIMIT = 4 * LFS_FROM_BYTES
"""Bytes of one line of a commit, which carries one small file in base64."""
OPERATIONS_LIMIT = 20_000
TITLE_LIMIT = 1000
MESSAGE_LIMIT = 64 * 1024

_ROOM = 32 * 1024 * 1024
"""Bytes that arrive between two looks at how much room is left."""


@dataclass
class Draft:
    """What the lines of a commit have said so far."""

    repository: LearnersRepository
    header: dict[str, Any] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)
    received: int = 0
    room: int = 0

    def take(self, line: bytes) -> None:
        """Take one line; the contents of a small file go to disk.

        Raises:
            WireError: 400 for what cannot be, 413 and 507 when there is no room.
        """
        self.received += len(line)
        if self.received > self.room:
            self.repository.namespace.require_room(_ROOM, "this commit")
            self.room = self.received + _ROOM
        try:
            item = json.loads(line)
        except (ValueError, RecursionError):
            raise refused(400, "Each line of a commit must be a JSON object.") from None
        key, value = (item.get("key"), item.get("value")) if isinstance(item, dict) else (0, 0)
        if not isinstance(value, dict):
            raise refused(400, "Each line of a commit must have a `key` and a `value`.")
        if key == "header":
            self.header = value
        elif len(self.operations) >= OPERATIONS_LIMIT:
            raise refused(413, f"At most {OPERATIONS_LIMIT} operations in one commit.")
        else:
            self.operations.append(self._operation(key, value))

    def finish(self, branch: str) -> Commit:
        """Make the commit.

        Raises:
            WireError: 400 without a message, and what the repository refuses.
        """
        title, message = self.header.get("summary"), self.header.get("description") or ""
        parent = self.header.get("parentCommit")
        if not isinstance(title, str) or not title.strip() or not isinstance(message, str):
            raise refused(400, "A commit must have a header with a `summary`.")
        if parent is not None and not (isinstance(parent, str) and is_commit(parent)):
            raise refused(400, "`parentCommit` must be the id of a commit.")
        return self.repository.change(
            branch,
            self.operations,
            title=_readable(title)[:TITLE_LIMIT],
            message=_readable(message)[:MESSAGE_LIMIT],
            author=self.repository.namespace.name,
            parent=parent,
        )

    def _operation(self, key: Any, value: dict[str, Any]) -> Operation:
        if key == "deletedFolder":
            return Delete(check_path(str(value.get("path")).rstrip("/")), is_folder=True)
        path = check_path(value.get("path"))
        if key == "deletedFile":
            return Delete(path)
        if key == "file":
            return Add(path, self._small(path, value))
        if key == "lfsFile":
            return Add(path, self._large(path, value))
        raise refused(400, f"A commit has no operation {str(key)[:100]!r}.")

    def _small(self, path: str, value: dict[str, Any]) -> FileInfo:
        content, encoding = value.get("content"), value.get("encoding", "utf-8")
        try:
            if encoding == "base64":
                contents = base64.b64decode(content or "", validate=True)
            else:
                contents = str(content or "").encode()
        except (binascii.Error, ValueError, TypeError):
            raise refused(400, f"The contents of {path} are not valid {encoding}.") from None
        if path == "README.md":
            self._check_card(contents)
        with self.repository.namespace.blobs.receive() as incoming:
            incoming.write(contents)
            return incoming.keep()

    def _check_card(self, contents: bytes) -> None:
        kind = self.repository.exists.kind
        wrong, _ = cards.problems(contents.decode("utf-8", "replace"), kind)
        if wrong:
            raise refused(400, f"Invalid metadata in README.md: {'; '.join(wrong)}")

    def _large(self, path: str, value: dict[str, Any]) -> FileInfo:
        """Return a file sent before; a copy of one names its contents without their size."""
        oid = value.get("oid")
        size = self.repository.namespace.blobs.size(oid) if is_sha256(oid) else None
        if not is_sha256(oid) or size is None or value.get("size", size) != size:
            raise refused(400, f"The contents of {path} were never uploaded.")
        return FileInfo(size, oid)


async def commit(request: Request) -> Response:
    """Add a commit to a branch, from a body of one JSON object a line."""
    repository = await asyncio.to_thread(owners.writable, request)
    refuse_pull_requests(request)
    draft = Draft(repository)
    streamed(request, repository.namespace.blobs.limits.file)
    failed = None
    async for line in _lines(request):
        if failed is None:
            failed = await _take(draft, line)
    if failed is not None:
        raise failed
    made = await asyncio.to_thread(draft.finish, request.path_params["revision"])
    record = repository.exists
    url = f"{address(request, record.kind, record.id)}/commit/{made.id}"
    told = {"success": True, "commitOid": made.id, "commitUrl": url, "hookOutput": ""}
    return JSONResponse(told)


async def validate_card(request: Request) -> Response:
    """Check a card's header; in plain text for a client that asks for it."""
    body, _ = await read_json(request, TEXT_BODY_LIMIT)
    fields = body if isinstance(body, dict) else {}
    content = fields.get("content")
    if not isinstance(content, str):
        raise refused(400, "`content` must be the text of a card.")
    kind = str(fields.get("repoType") or "model")
    wrong, advice = await asyncio.to_thread(cards.problems, content, kind)
    status = 400 if wrong else 200
    if wrong and request.headers.get("accept") == "text/plain":
        return Response("\n".join(wrong), status, media_type="text/plain")
    told = {"errors": _messages(wrong), "warnings": _messages(advice)}
    return JSONResponse(told | ({"error": "\n".join(wrong)} if wrong else {}), status)


def address(request: Request, kind: str, repo_id: str) -> str:
    """Return the address of a repository's page."""
    prefix = "" if kind == "model" else f"{kind}s/"
    return f"{request.base_url}{prefix}{repo_id}"


def _messages(sentences: list[str]) -> list[dict[str, str]]:
    return [{"message": sentence} for sentence in sentences]


def _readable(value: str) -> str:
    return value.encode("utf-8", "replace").decode("utf-8")


async def _take(draft: Draft, line: bytes) -> WireError | None:
    """Take a line; a client still sending hears of an error only once it is done."""
    try:
        await asyncio.to_thread(draft.take, line)
    except WireError as error:
        return error
    return None


async def _lines(request: Request) -> AsyncIterator[bytes]:
    """Yield the lines of a body as they arrive, those that are empty left out.

    Raises:
        WireError: 413 for a line that is too long.
    """
    rest = bytearray()
    async for chunk in request.stream():
        *whole, last = chunk.split(b"\n")
        for end in whole:
            line = bytes(rest + end)
            rest = bytearray()
            if line.strip():
                yield line
        rest += last
        if len(rest) > LINE_LIMIT:
            raise refused(413, "A line of this commit is too long: send large files by Git LFS.")
    if rest.strip():
        yield bytes(rest)
