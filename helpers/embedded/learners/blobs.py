"""The contents of a learner's files, each kept once under its sha256."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeGuard

from helpers.embedded.fetch import DISK_MARGIN, FORBIDDEN, FULL_DISK
from helpers.embedded.hub.errors import refused
from helpers.embedded.store import FileInfo
from helpers.embedded.wire import WireError

MEGABYTE = 10**6
OLD_SECONDS = 60 * 60.0
"""From this age on, what no commit names is no upload under way."""

_ATTEMPTS = 20
_PAUSE_SECONDS = 0.02
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Limits:
    """How much may be kept, in bytes: of one file, and of all that a learner has."""

    file: int = 1000 * MEGABYTE
    learner: int = 4000 * MEGABYTE


class Blobs:
    """One learner's contents on disk."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        """Keep where they are; nothing is made until something arrives."""
        self._folder = folder / "blobs"
        self._incoming = folder / "incoming"
        self.limits = limits

    def path(self, sha256: str) -> Path:
        """Return where contents are, or would be."""
        if not is_sha256(sha256):
            raise ValueError("not a sha256")
        return self._folder / sha256[:2] / sha256

    def size(self, sha256: str) -> int | None:
        """Return how long contents are, in bytes; ``None`` if they are not here."""
        try:
            return self.path(sha256).stat().st_size
        except (OSError, ValueError):
            return None

    def renew(self, sha256: str) -> None:
        """Count contents as having arrived now: a commit is about to name them."""
        with suppress(OSError):
            os.utime(self.path(sha256))

    def add(self, contents: bytes) -> FileInfo:
        """Keep contents that are in memory.

        Raises:
            WireError: 413 beyond a limit, 507 when the disk is full.
        """
        check_file_size(len(contents), self.limits, "a file")
        self.require_room(len(contents))
        with self.receive() as incoming:
            incoming.write(contents)
            return incoming.keep()

    def receive(self) -> Incoming:
        """Begin to receive contents, to be used in a ``with`` statement."""
        return Incoming(self, self._incoming)

    def require_room(self, size: int, name: str = "a file") -> None:
        """Check that so many more bytes may be kept.

        Raises:
            WireError: 413 beyond a limit, 507 when the disk is full.
        """
        used = self.total()
        if used + size > self.limits.learner:
            sentence = (
                f"Storage limit reached: your repositories on the embedded Hub use "
                f"{_megabytes(used)}, {name} has {_megabytes(size)} and at most "
                f"{_megabytes(self.limits.learner)} are kept. Delete a repository first."
            )
            raise refused(413, sentence)
        if shutil.disk_usage(_existing(self._folder)).free < size + DISK_MARGIN:
            raise disk_full()

    def total(self) -> int:
        """Return how many bytes all contents have."""
        sizes = 0
        for path in self._files():
            with suppress(OSError):
                sizes += path.stat().st_size
        return sizes

    def sweep(self, named: set[str]) -> None:
        """Delete contents that no commit names, but those that came lately: one may yet.

        Args:
            named: The sha256 of all contents that commits name.
        """
        _delete([path for path in self._files() if path.name not in named], _old())

    def sweep_incoming(self) -> None:
        """Delete what was left of uploads that broke off."""
        _delete(_listed(self._incoming), _old())

    def discard(self, contents: set[str], before: float) -> None:
        """Delete contents, but for those renewed later: an upload under way counts on them.

        Args:
            contents: Their sha256.
            before: A moment, in seconds since the epoch.
        """
        _delete([self.path(sha256) for sha256 in contents], before)

    def _files(self) -> Iterator[Path]:
        for folder in _listed(self._folder):
            yield from _listed(folder)


class Incoming:
    """Contents on their way in: written to a file of their own, hashed as they come."""

    def __init__(self, blobs: Blobs, folder: Path) -> None:
        """Prepare to write; :meth:`Blobs.receive` makes these."""
        self._blobs = blobs
        self._path = folder / secrets.token_hex(16)
        self._digest = hashlib.sha256()
        self._size = 0

    def __enter__(self) -> Incoming:
        """Open the file."""
        with disk_errors():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("wb")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file, and delete it unless it was kept."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._size

    def write(self, data: bytes | bytearray) -> None:
        """Add bytes.

        Raises:
            WireError: 507, the disk is full.
        """
        with disk_errors():
            self._file.write(data)
        self._digest.update(data)
        self._size += len(data)

    def keep(self, expected: FileInfo | None = None) -> FileInfo:
        """Flush everything to disk and move it among the contents, in one step.

        Args:
            expected: What the sender said that it would be.

        Raises:
            WireError: 400, it is something else; 507, the disk is full.
        """
        found = FileInfo(self._size, self._digest.hexdigest())
        if expected is not None and found != expected:
            raise refused(
                400,
                f"The file that arrived has {found.size} bytes and sha256 {found.sha256}, but "
                f"{expected.size} bytes and sha256 {expected.sha256} were announced.",
            )
        target = self._blobs.path(found.sha256)
        with disk_errors():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            if self._blobs.size(found.sha256) == found.size:
                self._blobs.renew(found.sha256)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                replace_file(self._path, target)
        return found


def is_sha256(value: object) -> TypeGuard[str]:
    """Whether a value is 64 hexadecimal digits."""
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def check_file_size(size: int, limits: Limits, name: str) -> None:
    """Check that a file is not too large, before any of it is sent.

    Raises:
        WireError: 413.
    """
    if size > limits.file:
        raise refused(
            413,
            f"File too large: {name} has {_megabytes(size)}, and the embedded Hub takes files of "
            f"at most {_megabytes(limits.file)}.",
        )


def disk_full() -> WireError:
    """Return what is answered when there is no room."""
    return refused(
        507, "The disk of the embedded Hub is full: free some space, or delete a repository."
    )


@contextmanager
def disk_errors() -> Iterator[None]:
    """Tell a full disk, or one that may not be written, as a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL_DISK:
            raise disk_full() from error
        if error.errno in FORBIDDEN:
            sentence = "The embedded Hub may not write in its folder: check its permissions."
            raise refused(507, sentence) from error
        raise


def replace_file(source: Path, target: Path) -> None:
    """Move a file or a folder in one step; Windows is asked again while somebody reads it."""
    for _ in range(_ATTEMPTS if os.name == "nt" else 0):
        with suppress(PermissionError):
            os.replace(source, target)
            return
        time.sleep(_PAUSE_SECONDS)
    os.replace(source, target)


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _old() -> float:
    return time.time() - OLD_SECONDS


def _delete(paths: list[Path], before: float) -> None:
    """Delete the files that were not touched since a moment."""
    for path in paths:
        with suppress(OSError):  # gone already, or being sent under Windows
            if path.stat().st_mtime <= before:
                path.unlink()


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def _megabytes(size: int) -> str:
    return f"{size / MEGABYTE:.0f} MB" if size >= MEGABYTE else f"{size} bytes"
