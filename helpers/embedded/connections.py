"""Connections that cannot be held for ever: slow senders are cut, and their number is bounded.

uvicorn waits without end for the rest of a request. One careless or ill-meaning client on a
classroom's network could so keep every connection for itself; here each gets a time for the head
of a request, a time for its body, and a share of the connections.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 20.0
"""From a request's first byte, or a new connection, to the end of its headers."""
BODY_SECONDS = 120.0
"""From there to the end of its body: 22 MB through a poor Wi-Fi of 2 Mbit/s take 90 s."""
UPLOAD_BYTES_PER_SECOND = 64 * 1024
"""How fast, at the least, a large file must arrive."""
CONNECTIONS_LIMIT = 512
ADDRESS_LIMIT = 256
"""Connections from one address: a school may have one for a whole room of machines."""

_PATIENCE = {h11.IDLE: HEAD_SECONDS, h11.SEND_BODY: BODY_SECONDS}


class GuardedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 connection, with deadlines for what the client is sending."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Take what uvicorn gives."""
        super().__init__(*arguments, **options)
        self._phase: Any = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection, unless there are too many already."""
        super().connection_made(transport)
        if self._is_one_too_many():
            transport.abort()
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        """Take bytes, and note which part of a request they end in."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Leave an idle connection to uvicorn's own clock, until the next byte."""
        super().on_response_complete()
        if self.conn.their_state is not h11.SEND_BODY:
            self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._rest()
        super().connection_lost(exc)

    def grant(self, seconds: float) -> None:
        """Give the body that is arriving more time, counted from now."""
        if self._deadline is not None and not self.transport.is_closing():
            self._deadline.cancel()
            self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _is_one_too_many(self) -> bool:
        address = self.client and self.client[0]
        clients = (getattr(connection, "client", None) for connection in self.connections)
        same = sum(1 for client in clients if client is not None and client[0] == address)
        return len(self.connections) > CONNECTIONS_LIMIT or same > ADDRESS_LIMIT

    def _watch(self) -> None:
        """Start a clock when the client begins a part of a request; bytes do not set it back."""
        phase = self.conn.their_state
        if phase is self._phase:
            return
        self._rest()
        self._phase = phase
        if phase in _PATIENCE and not self.transport.is_closing():
            self._deadline = self.loop.call_later(_PATIENCE[phase], self.transport.abort)

    def _rest(self) -> None:
        self._phase = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
