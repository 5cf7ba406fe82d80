"""Who the token belongs to."""

from __future__ import annotations

import hashlib

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from helpers.embedded.wire import WireError


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
