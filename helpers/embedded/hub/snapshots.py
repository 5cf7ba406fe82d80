"""A repository at one commit, as the Hub shows it, wherever its files come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from helpers.embedded.store import FileInfo

MAIN = "main"


@dataclass(frozen=True)
class About:
    """What a repository is, whatever its commit.

    Attributes:
        id: ``namespace/name``.
        kind: ``model``, ``dataset`` or ``space``.
        private: Whether only its owner may see it.
        created: When it was made; ``None`` for when it last changed.
        task: The Hub's name for its task, if it is known without opening a file.
        licence: SPDX identifier in lower case, likewise.
    """

    id: str
    kind: str
    private: bool = False
    created: str | None = None
    task: str | None = None
    licence: str | None = None

    @property
    def owner(self) -> str:
        """The namespace."""
        return self.id.split("/")[0]


@dataclass(frozen=True)
class Snapshot:
    """A repository at one commit.

    Attributes:
        about: The repository.
        commit: The commit's id, 40 hexadecimal digits.
        title: The first line of its message.
        last_modified: When it was made.
        files: Size and sha256 of each file, by its path, sorted.
        place: Returns where a file's contents are on disk, by its path.
    """

    about: About
    commit: str
    title: str
    last_modified: str
    files: Mapping[str, FileInfo]
    place: Callable[[str], Path]

    @property
    def card(self) -> Path | None:
        """Where the card is, if there is one."""
        return self.place("README.md") if "README.md" in self.files else None


@dataclass(frozen=True)
class Entry:
    """A line of a repository's history."""

    commit: str
    title: str
    message: str
    author: str
    date: str
    files: Mapping[str, FileInfo]


def timestamp(moment: datetime) -> str:
    """Write a moment as the Hub does."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
