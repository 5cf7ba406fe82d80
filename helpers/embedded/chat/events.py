"""Server-sent events, and work that ends when nobody reads its result any more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

CHECK_SECONDS = 0.25
DONE = "data: [DONE]\n\n"


class Cancellable(Protocol):
    """Something under way that can be told to stop."""

    def cancel(self) -> None:
        """Stop: nobody reads any more."""


class EventStream(StreamingResponse):
    """Server-sent events; when the reader leaves, what makes them stops."""

    def __init__(
        self, events: AsyncIterator[str] | AsyncIterator[bytes], work: Cancellable
    ) -> None:
        """Keep what is sent and what makes it."""
        headers = {"Cache-Control": "no-cache"}
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events, for as long as somebody reads them."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._work.cancel()


def event(value: dict[str, Any]) -> str:
    """Return one event that carries JSON."""
    return f"data: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}\n\n"


def failure(message: str) -> str:
    """Return the event that ends a stream which cannot go on; clients raise it as an error."""
    error = {"message": message, "type": "server_error", "param": None, "code": None}
    return event({"error": error})


@asynccontextmanager
async def stopping_with_reader(request: Request, work: Cancellable) -> AsyncIterator[None]:
    """Inside, the work stops as soon as the client disconnects; afterwards it stops anyway."""
    watcher = asyncio.create_task(_cancel_when_gone(request, work))
    try:
        yield
    finally:
        watcher.cancel()
        work.cancel()


async def _cancel_when_gone(request: Request, work: Cancellable) -> None:
    while not await request.is_disconnected():
        await asyncio.sleep(CHECK_SECONDS)
    work.cancel()
