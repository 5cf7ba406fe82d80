"""Chat handed to an engine elsewhere: any server that speaks OpenAI's protocol.

A classroom with one GPU machine starts this server with ``--chat-url`` of a vLLM or a
``transformers serve``; the notebooks still see one address and one token. What the engine says is
passed on as it comes. Three things are mended on the way: a stream without its ``[DONE]`` gets one,
errors get the shape of this server's, and a model that the engine names by a folder of its machine
is called by the folder's last two names.

The standard library's HTTP client does the work, one thread a call: it follows no redirection,
reads no proxy variables and no ``.netrc``, so that the engine's token goes nowhere else.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from helpers.embedded.chat.events import DONE, EventStream, failure, stopping_with_reader
from helpers.embedded.inference import OVERLOADED
from helpers.embedded.wire import WireError

CONNECT_SECONDS = 3.0
READ_SECONDS = 120.0
"""Longest silence of the engine: a long prompt may wait that long in its queue."""
CALLS_LIMIT = 64
ANSWER_LIMIT = 8 * 1024 * 1024
ERROR_LIMIT = 64 * 1024
MESSAGE_LIMIT = 500
LISTING_SECONDS = 30.0
"""How long the engine's list of models is believed."""

TOKEN_REFUSED = (401, 403, 407)

NOT_ANSWERING = "Service temporarily unavailable: the chat engine does not answer"
REFUSED = "Service temporarily unavailable: the chat engine refused this server's own token"
FAILED = "Service temporarily unavailable: the chat engine failed"
CUT_SHORT = "Service temporarily unavailable: the chat engine stopped in the middle of an answer"

_END = None


def base_url(value: str) -> str:
    """Return an engine's address as its clients write it, such as ``http://gpu:8000/v1``.

    Args:
        value: The address, with or without its ``/v1``.

    Raises:
        ValueError: It is no address of an HTTP server, or it holds a user name or a password.
    """
    parts = urlsplit(value.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise ValueError("not an address such as http://gpu:8000/v1")
    _ = parts.port  # raises ValueError for what is no port
    path = parts.path.rstrip("/") or "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}"


def public_name(model: str) -> str:
    """Return what clients call a model: a folder of the engine's machine stays its own business.

    Args:
        model: What the engine calls it: an id, or the path of a folder.
    """
    name = model.replace("\\", "/").rstrip("/")
    is_path = model.startswith(("/", "\\", ".", "~")) or model[1:3] in (":\\", ":/")
    parts = [part for part in name.split("/") if part not in ("", ".", "..", "~")]
    return "/".join(parts[-2:]) if is_path else model


class Engine:
    """A chat server elsewhere, and how this one talks to it."""

    def __init__(self, url: str, model: str | None = None, token: str | None = None) -> None:
        """Prepare; nothing is asked yet.

        Args:
            url: Its address, as :func:`base_url` takes it.
            model: What it calls the one model to use; ``None`` to offer all that it lists.
            token: The token that it knows this server by.

        Raises:
            ValueError: The address is none.
        """
        self.url = base_url(url)
        self._model = model
        self._token = token
        self._models: dict[str, str] = {public_name(model): model} if model else {}
        self._listed_at: float | None = None
        self._listing_lock = asyncio.Lock()
        self._calls = 0

    async def names(self) -> list[str]:
        """Return what clients may call the engine's models, the usual one first.

        An engine that fails to list them (``transformers serve`` does, where nothing was ever
        downloaded) has no names; it still answers those who name no model.

        Raises:
            WireError: 503, the engine had to be asked and does not answer.
        """
        async with self._listing_lock:  # a class that arrives together asks once
            if self._model is None and self._is_old():
                self._models = {public_name(name): name for name in await self._listing()}
                self._listed_at = time.monotonic()
        return list(self._models)

    async def serves(self, name: object) -> bool:
        """Whether a model is the engine's, by its name or by ``name:provider``."""
        return isinstance(name, str) and self._own_name(name, await self.names()) is not None

    async def complete(self, request: Request, body: dict[str, Any]) -> Response:
        """Pass a chat completion on.

        Args:
            request: The client's request; of its headers none is passed on.
            body: Its JSON; ``model`` is replaced by the engine's own name for it.

        Raises:
            WireError: The engine refused, in this server's words, or it is not there (503).
        """
        asked = body.get("model")
        names = await self.names()
        public = self._own_name(asked, names) if isinstance(asked, str) else None
        public = public or next(iter(names), None)
        body = {key: value for key, value in body.items() if key != "model"}
        if public is not None:
            body["model"] = self._models[public]
        exchange = self._send("POST", "/chat/completions", body)
        try:
            head = await exchange.head()
            if head.status != 200:
                raise self._refusal(head, await exchange.read(ERROR_LIMIT))
        except BaseException:
            exchange.cancel()
            raise
        renaming = _Renaming(body.get("model"), public)
        if head.media_type == "text/event-stream":
            return EventStream(_events(exchange, renaming), exchange)
        async with stopping_with_reader(request, exchange):
            answer = await exchange.read(ANSWER_LIMIT)
        return Response(renaming.apply(_checked(answer)), media_type="application/json")

    def _is_old(self) -> bool:
        return self._listed_at is None or time.monotonic() - self._listed_at > LISTING_SECONDS

    def _own_name(self, asked: str, names: list[str]) -> str | None:
        return next((name for name in (asked, asked.partition(":")[0]) if name in names), None)

    async def _listing(self) -> list[str]:
        exchange = self._send("GET", "/models", None)
        try:
            head = await exchange.head()
            body = await exchange.read(ANSWER_LIMIT if head.status == 200 else ERROR_LIMIT)
        finally:
            exchange.cancel()
        if head.status in TOKEN_REFUSED:
            raise self._refusal(head, body)
        return _names_in(body) if head.status == 200 else []

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> _Exchange:
        if self._calls >= CALLS_LIMIT:
            raise WireError(503, OVERLOADED)
        self._calls += 1
        headers = {"Accept": "application/json, text/event-stream", "Accept-Encoding": "identity"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        target = urlsplit(self.url).path + path
        return _Exchange(self._connection, (method, target, content, headers), self._finished)

    def _connection(self) -> HTTPConnection:
        parts = urlsplit(self.url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        return kind(parts.hostname or "", parts.port, timeout=CONNECT_SECONDS)

    def _finished(self) -> None:
        self._calls -= 1

    def _refusal(self, head: _Head, body: bytes) -> WireError:
        """Say what the engine said: its clients' mistakes as theirs, its own troubles as a 503."""
        error = _error_in(body)
        error["message"] = self._discreet(error["message"])
        if head.status in TOKEN_REFUSED:
            return WireError(503, f"{REFUSED}.")
        if not 400 <= head.status < 500:
            return WireError(503, f"{FAILED} ({head.status}): {error['message']}")
        wait = head.headers.get("Retry-After")
        return WireError(head.status, {"error": error}, {"Retry-After": wait} if wait else None)

    def _discreet(self, message: str) -> str:
        """Keep the token and the engine's folders out of what students read."""
        if self._token:
            message = message.replace(self._token, "***")
        for public, own in self._models.items():
            message = message.replace(own, public)
        return message[:MESSAGE_LIMIT]


@dataclass(frozen=True)
class _Head:
    """The beginning of an answer."""

    status: int
    headers: Message

    @property
    def media_type(self) -> str:
        return self.headers.get_content_type()


class _Exchange:
    """One call to the engine, in a thread of its own, read as an asynchronous stream."""

    def __init__(
        self,
        connect: Callable[[], HTTPConnection],
        request: tuple[str, str, bytes | None, dict[str, str]],
        finished: Callable[[], None],
    ) -> None:
        """Start the call.

        Args:
            connect: Makes the connection, not opened yet.
            request: Method, path, body and headers.
            finished: Called on this event loop when the call is over, however it ended.
        """
        self._loop = asyncio.get_running_loop()
        self._arrived: asyncio.Queue[_Head | bytes | BaseException | None] = asyncio.Queue()
        self._socket: socket.socket | None = None
        self._cancelled = False
        self._finished = finished
        work = (connect, request)
        threading.Thread(target=self._run, args=work, name="chat-engine", daemon=True).start()

    async def head(self) -> _Head:
        """Wait for the status and the headers.

        Raises:
            WireError: 503, the engine does not answer.
        """
        arrived = await self._arrived.get()
        if not isinstance(arrived, _Head):
            raise WireError(503, f"{NOT_ANSWERING}.")
        return arrived

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes.

        Raises:
            WireError: 503, it broke off.
        """
        while (arrived := await self._arrived.get()) is not _END:
            if not isinstance(arrived, bytes):
                raise WireError(503, f"{CUT_SHORT}.")
            yield arrived

    async def read(self, limit: int) -> bytes:
        """Return the whole body.

        Raises:
            WireError: 503, it broke off or is longer than ``limit`` bytes.
        """
        body = bytearray()
        async for chunk in self.chunks():
            body += chunk
            if len(body) > limit:
                raise WireError(503, f"{FAILED}: its answer is too long.")
        return bytes(body)

    def cancel(self) -> None:
        """Hang up, so that the engine stops too."""
        self._cancelled = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _run(
        self,
        connect: Callable[[], HTTPConnection],
        request: tuple[str, str, bytes | None, dict[str, str]],
    ) -> None:
        connection = connect()
        try:
            connection.connect()
            self._socket = connection.sock
            self._socket.settimeout(READ_SECONDS)
            if not self._cancelled:
                self._pass_on(connection, request)
        except (OSError, HTTPException, ValueError) as error:
            self._tell(self._arrived.put_nowait, error)
        finally:
            connection.close()
            self._tell(self._finished)

    def _pass_on(
        self,
        connection: HTTPConnection,
        request: tuple[str, str, bytes | None, dict[str, str]],
    ) -> None:
        method, path, body, headers = request
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        self._tell(self._arrived.put_nowait, _Head(response.status, response.headers))
        while chunk := response.read1(64 * 1024):
            self._tell(self._arrived.put_nowait, chunk)
        self._tell(self._arrived.put_nowait, _END)

    def _tell(self, function: Callable[..., None], *arguments: Any) -> None:
        with suppress(RuntimeError):  # the server has stopped in the meantime
            self._loop.call_soon_threadsafe(function, *arguments)


class _Renaming:
    """Puts a model's public name where the engine wrote its own."""

    def __init__(self, own: str | None, public: str | None) -> None:
        self._public = public if own != public else None
        if self._public is not None and own is not None:
            # transformers adds the revision: "folder@main".
            spelled = re.escape(json.dumps(own)[1:-1].encode())
            self._pattern = re.compile(rb'("model"\s*:\s*")' + spelled + rb'(?:@[^"]*)?"')
            self._replacement = json.dumps(self._public)[1:].encode()

    def apply(self, data: bytes) -> bytes:
        """Rename in a whole answer, or in whole lines of a stream."""
        if self._public is None:
            return data
        return self._pattern.sub(lambda found: found[1] + self._replacement, data)


async def _events(exchange: _Exchange, renaming: _Renaming) -> AsyncIterator[bytes]:
    """Yield the engine's lines as they are completed, and what its stream lacks."""
    waiting, is_done = b"", False
    try:
        async for chunk in exchange.chunks():
            complete, newline, waiting = (waiting + chunk).rpartition(b"\n")
            if newline:
                is_done = is_done or _has_done(complete)
                yield renaming.apply(complete + newline)
    except WireError as error:
        yield b"\n\n" + failure(str(error.body["error"])).encode()
        return
    if waiting:
        is_done = is_done or _has_done(waiting)
        yield renaming.apply(waiting) + b"\n\n"
    if not is_done:
        yield DONE.encode()


def _has_done(lines: bytes) -> bool:
    return any(line.strip() == b"data: [DONE]" for line in lines.split(b"\n"))


def _names_in(body: bytes) -> list[str]:
    listing = json.loads(_checked(body))
    entries = listing.get("data") if isinstance(listing, dict) else None
    if not isinstance(entries, list):
        return []
    found = [entry.get("id") for entry in entries if isinstance(entry, dict)]
    return [name for name in found if isinstance(name, str) and name]


def _checked(body: bytes) -> bytes:
    """Return a body that is JSON.

    Raises:
        WireError: 503, it is something else.
    """
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        raise WireError(503, f"{FAILED}: its answer is not JSON.") from None
    return body


def _error_in(body: bytes) -> dict[str, Any]:
    """Read an error in any of the shapes that engines give it."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        told = body.decode(errors="replace").strip()
    if isinstance(told, dict):
        told = told.get("error") or told.get("detail") or told
    if not isinstance(told, dict):
        return _error(_words(told))
    kept = {key: told[key] for key in ("param", "code") if isinstance(told.get(key), str)}
    return _error(_words(told.get("message") or told), str(told.get("type") or "")) | kept


def _words(told: Any) -> str:
    if isinstance(told, list):  # a validation error of FastAPI
        return "; ".join(
            str(item.get("msg")) if isinstance(item, dict) else str(item) for item in told
        )
    return told if isinstance(told, str) else json.dumps(told, ensure_ascii=False)


def _error(message: str, kind: str = "") -> dict[str, Any]:
    words = message or "The chat engine refused the request."
    return {
        "message": words,
        "type": kind or "invalid_request_error",
        "param": None,
        "code": None,
    }
