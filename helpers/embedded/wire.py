"""What every route of the embedded server shares: bodies read within bounds, errors as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

TEXT_BODY_LIMIT = 2 * 1024 * 1024
"""Bytes accepted in a request that carries text; a longer one is answered 413."""

MEDIA_BODY_LIMIT = 16 * 1024 * 1024
"""Bytes accepted of a picture or a recording."""

MEDIA_JSON_LIMIT = 4 * (MEDIA_BODY_LIMIT // 3) + 64 * 1024
"""The same in base64, and the parameters beside it."""

STREAMED = "course.streamed"
"""Where a request keeps the function that lets its body be as long as it was announced."""

JSON_TYPES = ("application/json",)

_DRAIN_LIMIT = 32 * 1024 * 1024
"""Bytes read and dropped before a 413, so that a client still sending sees the answer."""


class WireError(Exception):
    """A request that is answered with an error: status, JSON body and headers."""

    def __init__(self, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:
        """Keep what is sent.

        Args:
            status: HTTP status code.
            body: A sentence, sent as ``{"error": sentence}``, or the whole JSON body.
            headers: More headers.
        """
        self.status = status
        self.body = body if isinstance(body, dict) else {"error": body}
        self.headers = {name: _printable(value) for name, value in (headers or {}).items()}
        super().__init__(f"{status} {self.body}")


def _printable(value: str) -> str:
    """Return what a header can carry: it may quote an address, with whatever that holds."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in value).strip()


async def wire_error(_request: Request, error: Exception) -> Response:
    """Turn a :class:`WireError` into its response (a Starlette exception handler)."""
    assert isinstance(error, WireError)
    return JSONResponse(error.body, error.status, headers=error.headers)


async def read_body(request: Request, limit: int = TEXT_BODY_LIMIT) -> bytes:
    """Read a request's body, at most ``limit`` bytes of it.

    Raises:
        WireError: 413 when it is longer.
    """
    body = bytearray()
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received <= limit:
            body += chunk
        elif received > _DRAIN_LIMIT:
            break
    if received > limit:
        raise WireError(413, f"Request body is too large: at most {limit} bytes are accepted.")
    return bytes(body)


def streamed(request: Request, limit: int) -> None:
    """Let a request's body be as long as ``limit``, since it goes to disk piece by piece.

    Args:
        request: A request of somebody who may send so much; its body has not been read.
        limit: Bytes beyond which it is answered 413.
    """
    request.scope[STREAMED](limit)


async def read_json(
    request: Request, limit: int = TEXT_BODY_LIMIT, types: tuple[str, ...] = JSON_TYPES
) -> tuple[Any, bytes]:
    """Read a JSON body.

    Args:
        request: The request.
        limit: Bytes accepted.
        types: The content types that are JSON here.

    Returns:
        The decoded value and the bytes that it came from.

    Raises:
        WireError: 413 when it is too long, 400 when it is not declared as JSON or is not JSON.
    """
    body = await read_body(request, limit)
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if not content_type:
        raise WireError(400, "No content type provided and no default one configured.")
    if content_type not in types:
        raise WireError(
            400,
            f'Content type "{content_type}" not supported. '
            f"Supported content types are: {', '.join(types)}",
        )
    return _decode(body), body


def _decode(body: bytes) -> Any:
    try:
        value = json.loads(body)
        if b"\\ud" in body.lower():  # half of a surrogate pair is no text, and cannot be encoded
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise WireError(400, "Body is not valid JSON: a string is not valid Unicode.") from None
    except RecursionError:
        raise WireError(400, "Body is not valid JSON: it is nested too deeply.") from None
    except ValueError as error:
        raise WireError(400, f"Body is not valid JSON: {error}") from None
    return value
