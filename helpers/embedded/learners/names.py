"""What a repository, a branch and a file may be called, as on the Hub."""

from __future__ import annotations

import re

from helpers.embedded.wire import WireError

PATH_LIMIT = 1024
"""Characters of a file's path."""

_NAME = re.compile(r"\b[\w\-.]{1,96}\b", re.ASCII)
_REVISION = re.compile(r"[\w][\w.\-/]{0,199}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{7,40}")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""What Windows keeps for itself, with any ending."""


def is_name(value: object) -> bool:
    """Whether a namespace, or a repository in one, may be called this."""
    return (
        isinstance(value, str)
        and _NAME.fullmatch(value) is not None
        and "--" not in value
        and ".." not in value
        and not value.lower().endswith(".git")
    )


def is_folder_name(value: str) -> bool:
    """Whether a name can be a folder's on every system."""
    return is_name(value) and _DEVICES.fullmatch(value) is None


def is_commit(value: str) -> bool:
    """Whether a revision is a commit's id, or the beginning of one."""
    return _COMMIT.fullmatch(value) is not None


def check_revision(value: str) -> str:
    """Return the name of a new branch or tag.

    Raises:
        WireError: 400, it may not be called this.
    """
    is_bad = any(part in ("", ".", "..") for part in value.split("/")) or value.endswith(".lock")
    if is_bad or not _REVISION.fullmatch(value) or value.startswith("refs/") or is_commit(value):
        raise WireError(400, f"Invalid reference name: {value[:200]!r}")
    return value


def check_path(value: object) -> str:
    """Return a file's path inside a repository.

    Raises:
        WireError: 400, it is no path, or leads out of the repository.
    """
    parts = value.split("/") if isinstance(value, str) else [""]
    is_bad = any(part in ("", ".", "..") or part.lower() == ".git" for part in parts)
    if not isinstance(value, str) or is_bad or not _is_printable(value):
        raise WireError(400, f"Invalid path in repository: {str(value)[:200]!r}")
    return value


def _is_printable(path: str) -> bool:
    """Whether a path holds only what an address, a header and a terminal can show."""
    return len(path) <= PATH_LIMIT and "\\" not in path and path.isprintable()
