"""Faults on demand: the next calls of one client answer as the real API does on a bad day."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from helpers.embedded import auth
from helpers.embedded.wire import WireError, read_json

Handler = Callable[[Request], Awaitable[Response]]

MAX_TIMES = 100
MAX_SECONDS = 120.0
CLOSE_CONNECTION = "course.close_connection"
"""Key of the ASGI scope under which the server leaves a function that cuts the connection."""


@dataclass(frozen=True)
class Fault:
    """One planned failure.

    Attributes:
        name: A key of ``FAULTS``.
        retry_after: Seconds in the ``Retry-After`` header, where the status has one.
        estimated_time: Seconds until a loading model is ready, for ``503-loading``.
        delay: Seconds waited by ``slow``.
    """

    name: str
    retry_after: float = 1.0
    estimated_time: float = 20.0
    delay: float = 3.0


class FaultPlan:
    """What is planned for each client, in the order in which it was asked for."""

    def __init__(self) -> None:
        """Start with nothing planned."""
        self._planned: dict[str, deque[Fault]] = {}

    def add(self, client_id: str, fault: Fault, times: int) -> None:
        """Plan ``fault`` for the client's next ``times`` calls, after those already planned."""
        self._planned.setdefault(client_id, deque(maxlen=MAX_TIMES)).extend([fault] * times)

    def take(self, client_id: str) -> Fault | None:
        """Return the fault for this call, if one is planned."""
        planned = self._planned.get(client_id)
        return planned.popleft() if planned else None

    def clear(self, client_id: str) -> None:
        """Forget what is planned for the client."""
        self._planned.pop(client_id, None)

    def count(self, client_id: str) -> int:
        """Return how many calls are still going to fail."""
        return len(self._planned.get(client_id, ()))


async def around(plan: FaultPlan, client_id: str, request: Request, handler: Handler) -> Response:
    """Answer an inference call: with the client's next fault, or else with ``handler``."""
    fault = plan.take(client_id)
    if fault is None:
        return await handler(request)
    if fault.name in ("slow", "truncated", "drop"):
        return await _SPECIAL[fault.name](fault, request, handler)
    await request.body()
    return FAULTS[fault.name](fault, client_id, request.path_params.get("model_id", ""))


async def _slow(fault: Fault, request: Request, handler: Handler) -> Response:
    await asyncio.sleep(fault.delay)
    return await handler(request)


async def _truncated(_fault: Fault, request: Request, handler: Handler) -> Response:
    """Send half of the real answer under a 200, as a proxy does that lost its upstream."""
    whole = await handler(request)
    body = bytes(whole.body) if hasattr(whole, "body") else b'data: {"id":"chatcmpl-", "object"'
    return Response(body[: len(body) // 2], 200, media_type="application/json")


async def _drop(_fault: Fault, request: Request, _handler: Handler) -> Response:
    await request.body()
    request.scope[CLOSE_CONNECTION]()
    while (await request.receive())["type"] != "http.disconnect":
        pass
    return Response(status_code=204)  # nobody is there to read it


def _error(status: int, message: str) -> Callable[[Fault, str, str], Response]:
    def respond(_fault: Fault, client_id: str, model_id: str) -> Response:
        text = message.format(client=client_id, model=model_id)
        return JSONResponse({"error": text}, status)

    return respond


def _unauthorized(_fault: Fault, _client_id: str, _model_id: str) -> Response:
    error = auth.AuthenticationError(auth.INVALID)
    return JSONResponse({"error": str(error)}, 401, headers=error.headers())


def _rate_limited(fault: Fault, _client_id: str, _model_id: str) -> Response:
    headers = {"Retry-After": f"{max(0, round(fault.retry_after))}"}
    body = {"error": "Rate limit reached. Please slow down and try again later."}
    return JSONResponse(body, 429, headers=headers)


def _unprocessable(_fault: Fault, _client_id: str, _model_id: str) -> Response:
    message = "Input validation error: `inputs` cannot be processed by this model"
    return JSONResponse({"error": message, "error_type": "validation"}, 422)


def _loading(fault: Fault, _client_id: str, model_id: str) -> Response:
    message = f"Model {model_id} is currently loading"
    return JSONResponse({"error": message, "estimated_time": fault.estimated_time}, 503)


def _gateway_timeout(_fault: Fault, _client_id: str, _model_id: str) -> Response:
    title = "504 Gateway Time-out"
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return HTMLResponse(page, 504)


FAULTS: dict[str, Callable[[Fault, str, str], Response]] = {
    "400": _error(400, "Model not supported by provider hf-inference"),
    "401": _unauthorized,
    "402": _error(
        402,
        "You have depleted your monthly included credits. Purchase pre-paid credits to continue "
        "using Inference Providers. Alternatively, subscribe to PRO to get 20x more included "
        "usage.",
    ),
    "403": _error(
        403,
        "This authentication method does not have sufficient permissions to call Inference "
        "Providers on behalf of user {client}",
    ),
    "404": _error(404, "Model {model} does not exist"),
    "410": _error(
        410,
        "The requested model is deprecated and no longer supported by provider hf-inference",
    ),
    "413": _error(413, "Request body is too large."),
    "422": _unprocessable,
    "429": _rate_limited,
    "500": _error(500, "Internal Server Error"),
    "502": _error(502, "Bad Gateway"),
    "503": _error(503, "Service temporarily unavailable, overload detected"),
    "503-loading": _loading,
    "504": _gateway_timeout,
}
_SPECIAL = {"slow": _slow, "truncated": _truncated, "drop": _drop}


async def plan_fault(request: Request) -> Response:
    """Plan faults: ``POST {"fault", "times", "retry_after", "estimated_time", "delay"}``."""
    body, _ = await read_json(request)
    if not isinstance(body, dict):
        raise WireError(400, "The body must be an object with the key `fault`.")
    known = [*FAULTS, *_SPECIAL]
    if body.get("fault") not in known:
        raise WireError(400, f"`fault` must be one of: {', '.join(known)}.")
    times = _number(body, "times", 1, MAX_TIMES)
    seconds = {
        name: _number(body, name, getattr(Fault, name), MAX_SECONDS)
        for name in ("retry_after", "estimated_time", "delay")
    }
    plan: FaultPlan = request.app.state.faults
    plan.add(request.state.client_id, Fault(body["fault"], **seconds), int(times))
    return _remaining(request)


async def clear_faults(request: Request) -> Response:
    """Forget the faults planned for this client."""
    request.app.state.faults.clear(request.state.client_id)
    return _remaining(request)


def _remaining(request: Request) -> Response:
    return JSONResponse({"planned": request.app.state.faults.count(request.state.client_id)})


def _number(body: dict[str, Any], name: str, default: float, most: float) -> float:
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise WireError(400, f"`{name}` must be a number from 0 to {most:g}.")
    return value
