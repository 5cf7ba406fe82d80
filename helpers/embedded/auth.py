"""Tokens of the embedded server: made from a secret on disk, checked without a list.

A token names its client and, if it has one, its expiry; an HMAC proves that this user's own
processes made it. Nothing that arrives from outside is ever stored or logged.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import os
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path

from helpers.environment import cache_folder

PREFIX = "hf_"
FIXED_CLIENT = "aluno"
"""Client id of whoever presents the one token that a server was started with."""

CLASS_PREFIX = "hf_turma"
_CLASS_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without those that look alike on a projector: i, l, 1, o, 0."""
_CLASS_LENGTH = 12

_SECRET_DIGITS = 64
_SIGNATURE_DIGITS = 32
MISSING = "Invalid username or password."
INVALID = "Invalid credentials in Authorization header"


class AuthenticationError(Exception):
    """The request has no valid token; ``str(error)`` is the API's own sentence."""

    def headers(self) -> dict[str, str]:
        """Return what a 401 answer carries besides its body."""
        return {
            "www-authenticate": 'Bearer realm="Authentication required", charset="UTF-8"',
            "x-error-message": str(self),
        }


def client_token(client_id: str, expires: datetime | None = None) -> str:
    """Make the token of one client.

    Args:
        client_id: Who it is for; faults are kept apart by it. Same id, same token.
        expires: When it stops being accepted; ``None`` for never. Naive times are local.

    Returns:
        A token that starts with ``hf_`` and holds only letters and digits.
    """
    expiry = int(expires.timestamp()) if expires else 0
    payload = f"{expiry}:{client_id}".encode().hex()
    return f"{PREFIX}{payload}{_signature(payload)}"


def class_token() -> str:
    """Make the one token of a class, to be read from a screen and typed.

    Returns:
        The same on every call, so that a server started again next week knows its learners.
    """
    digest = hmac.new(_secret(), b"class token", hashlib.sha256).digest()
    letters = [_CLASS_LETTERS[byte % len(_CLASS_LETTERS)] for byte in digest[:_CLASS_LENGTH]]
    return CLASS_PREFIX + "".join(letters)


def verify(header: str | None, fixed_token: str | None = None) -> str:
    """Check an ``Authorization`` header.

    Args:
        header: Its value, or ``None`` when the request has none.
        fixed_token: The only token accepted, for a server started with one.

    Returns:
        The client's id.

    Raises:
        AuthenticationError: There is no token, or it is malformed, forged or expired.
    """
    if header is None:
        raise AuthenticationError(MISSING)
    scheme, _, token = header.strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise AuthenticationError(INVALID)
    if fixed_token is not None:
        if hmac.compare_digest(token.encode(), fixed_token.encode()):
            return FIXED_CLIENT
        raise AuthenticationError(INVALID)
    return _client_of(token)


def sign(claim: str) -> str:
    """Return what proves that this user's own processes wrote a claim.

    Args:
        claim: What is claimed; unlike a token's payload, not hexadecimal digits alone.
    """
    return _signature(claim)


def is_signed(claim: str, signature: str) -> bool:
    """Whether a claim comes with its :func:`sign`."""
    return hmac.compare_digest(signature.encode(), _signature(claim).encode())


def _client_of(token: str) -> str:
    payload, signature = token[len(PREFIX) : -_SIGNATURE_DIGITS], token[-_SIGNATURE_DIGITS:]
    if not (token.startswith(PREFIX) and token.isascii() and payload):
        raise AuthenticationError(INVALID)
    if not hmac.compare_digest(signature, _signature(payload)):
        raise AuthenticationError(INVALID)
    try:
        expiry, _, client_id = bytes.fromhex(payload).decode().partition(":")
    except (binascii.Error, ValueError):
        raise AuthenticationError(INVALID) from None
    if int(expiry) and datetime.now(UTC).timestamp() >= int(expiry):
        raise AuthenticationError(INVALID)
    return client_id


def _signature(payload: str) -> str:
    digest = hmac.new(_secret(), payload.encode(), hashlib.sha256).hexdigest()
    return digest[:_SIGNATURE_DIGITS]


def _secret() -> bytes:
    """Read this user's secret, making it the first time.

    Whoever creates the file wins; the others wait for it to be whole. A file left half-written
    by a crash is replaced.
    """
    path = cache_folder() / "secret"
    for _ in range(50):
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            found = _read_secret(path)
            if found:
                return found
            time.sleep(0.02)
        else:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(_SECRET_DIGITS // 2))
    path.unlink(missing_ok=True)
    return _secret()


def _read_secret(path: Path) -> bytes | None:
    try:
        digits = path.read_text(encoding="ascii").strip()
        return bytes.fromhex(digits) if len(digits) == _SECRET_DIGITS else None
    except (FileNotFoundError, ValueError):
        return None
