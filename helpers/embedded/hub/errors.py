"""The Hub's errors, with the headers that its clients turn into exceptions."""

from __future__ import annotations

from helpers.embedded.wire import WireError


def not_found(code: str, message: str, headers: dict[str, str] | None = None) -> WireError:
    """Return the Hub's 404.

    Args:
        code: ``RepoNotFound``, ``RevisionNotFound`` or ``EntryNotFound``.
        message: A sentence.
        headers: More headers.
    """
    told = {"X-Error-Code": code, "X-Error-Message": message, **(headers or {})}
    return WireError(404, message, {name: header_text(value) for name, value in told.items()})


def refused(status: int, message: str) -> WireError:
    """Return the Hub's answer to what it does not do.

    Args:
        status: Such as 400, 403, 409 or 413.
        message: A sentence; clients show it from the header as well as from the body.
    """
    return WireError(status, message, {"X-Error-Message": header_text(message)})


def header_text(value: str) -> str:
    """Keep what a header may hold."""
    printable = "".join(c if c.isprintable() else " " for c in value)
    return printable.encode("latin-1", "replace").decode("latin-1")
