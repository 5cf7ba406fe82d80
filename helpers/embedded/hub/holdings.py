"""The repositories that the Hub offers: the course's own, read only, and those of learners.

Endpoints ask for a :class:`Holding` and need not know which of the two it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from starlette.requests import Request

from helpers.embedded import store
from helpers.embedded.catalog import Repository, catalog, repositories
from helpers.embedded.hub import descriptions
from helpers.embedded.hub.addresses import KINDS
from helpers.embedded.hub.errors import header_text, not_found
from helpers.embedded.hub.snapshots import MAIN, About, Entry, Snapshot, timestamp
from helpers.embedded.learners import Commit, Learners, LearnersRepository
from helpers.embedded.wire import WireError
from helpers.errors import CourseError


class Holding(Protocol):
    """A repository that the Hub offers."""

    @property
    def about(self) -> About:
        """What it is."""

    async def snapshot(self, revision: str = MAIN) -> Snapshot:
        """Return it at a revision.

        Raises:
            WireError: 404 for a revision that is not there, 503 when it cannot be built.
        """

    async def described(self) -> dict[str, Any]:
        """Describe it for a list."""

    async def history(self, revision: str = MAIN) -> list[Entry]:
        """Return the commits up to a revision, the newest first."""

    async def references(self) -> dict[str, Mapping[str, str]]:
        """Return the commits that ``branches`` and ``tags`` stand for, by their names."""


def named(request: Request) -> Holding:
    """Return the repository that an address names.

    Raises:
        WireError: 404 when there is none of that kind that the client may see.
    """
    kind = KINDS[request.path_params.get("kind", "models")]
    return find(request, kind, request.path_params["repo_id"])


async def asked(request: Request) -> Snapshot:
    """Return the snapshot that an address names.

    Raises:
        WireError: 404 for an unknown repository or revision, 503 when it cannot be built.
    """
    return await named(request).snapshot(request.path_params.get("revision", MAIN))


def find(request: Request, kind: str, repo_id: str) -> Holding:
    """Return a repository by its kind (``model``, ``dataset``, ``space``) and id.

    Raises:
        WireError: 404 when there is none that the client may see.
    """
    repository = catalog().repositories.get(repo_id)
    if repository is not None and repository.kind == kind:
        return CatalogHolding(request, repository)
    learned = _learners(request).find(kind, repo_id)
    if learned is not None and _may_see(request, learned):
        return LearnersHolding(learned)
    raise not_found("RepoNotFound", "Repository not found")


def listed(request: Request, kind: str) -> list[Holding]:
    """Return all repositories of a kind that the client may see, the course's own first."""
    own: list[Holding] = [
        CatalogHolding(request, repository)
        for repository in repositories()
        if repository.kind == kind
    ]
    learned = _learners(request).repositories(kind)
    return own + [LearnersHolding(one) for one in learned if _may_see(request, one)]


def _learners(request: Request) -> Learners:
    learners: Learners = request.app.state.learners
    return learners


def _may_see(request: Request, repository: LearnersRepository) -> bool:
    record = repository.record
    if record is None:
        return False
    return not record.private or record.id.split("/")[0] == request.state.client_id


class CatalogHolding:
    """A repository of the course: one branch, one commit, built when first asked for."""

    def __init__(self, request: Request, repository: Repository) -> None:
        """Keep which one it is, and where those already open are kept."""
        self._repository = repository
        self._builder = request.app.state.builder
        self._opened: dict[str, Snapshot] = request.app.state.snapshots

    @property
    def about(self) -> About:
        """What it is."""
        return descriptions.about(self._repository)

    async def snapshot(self, revision: str = MAIN) -> Snapshot:
        """Return it, building it first if needed; any revision but its own is an error."""
        kept = self._opened.get(self._repository.id)
        if kept is None or not _is_intact(kept):
            kept = self._opened[self._repository.id] = await self._open()
        if revision not in (MAIN, f"refs/heads/{MAIN}") and not _is_commit(revision, kept.commit):
            raise not_found("RevisionNotFound", f"Invalid rev id: {revision}")
        return kept

    async def described(self) -> dict[str, Any]:
        """Describe it by its files, or before it is built by the catalog alone."""
        if await asyncio.to_thread(store.is_built, self._repository.id):
            return descriptions.details(await self.snapshot())
        return descriptions.summary(self._repository)

    async def history(self, revision: str = MAIN) -> list[Entry]:
        """Return its one commit."""
        found = await self.snapshot(revision)
        return [
            Entry(
                commit=found.commit,
                title=found.title,
                message="",
                author=found.about.owner,
                date=found.last_modified,
                files=found.files,
            )
        ]

    async def references(self) -> dict[str, Mapping[str, str]]:
        """Return its one branch."""
        found = await self.snapshot()
        return {"branches": {MAIN: found.commit}, "tags": {}}

    async def _open(self) -> Snapshot:
        repository = self._repository
        try:
            folder = await self._builder.folder(repository.id)
            manifest = await asyncio.to_thread(store.manifest, repository.id)
        except CourseError as error:
            raise WireError(503, str(error), {"X-Error-Message": header_text(str(error))}) from None
        return Snapshot(
            about=self.about,
            commit=manifest.commit,
            title=f"Build {repository.id.split('/')[-1]}",
            last_modified=timestamp(manifest.last_modified),
            files=dict(sorted(manifest.files.items())),
            place=_InFolder(folder),
        )


class LearnersHolding:
    """A repository that a learner made, with its history."""

    def __init__(self, repository: LearnersRepository) -> None:
        """Keep which one it is."""
        self.repository = repository

    @property
    def about(self) -> About:
        """What it is."""
        record = self.repository.exists
        return About(record.id, record.kind, record.private, record.created)

    async def snapshot(self, revision: str = MAIN) -> Snapshot:
        """Return it at a branch, a tag or a commit."""
        return await asyncio.to_thread(self._snapshot, revision)

    async def described(self) -> dict[str, Any]:
        """Describe it by its files."""
        return await asyncio.to_thread(lambda: descriptions.details(self._snapshot(MAIN)))

    async def history(self, revision: str = MAIN) -> list[Entry]:
        """Return the commits up to a revision, the newest first."""

        def read() -> list[Entry]:
            commit = self.repository.commit(revision)
            return [_entry(one) for one in self.repository.history(commit)]

        return await asyncio.to_thread(read)

    async def references(self) -> dict[str, Mapping[str, str]]:
        """Return its branches and tags."""
        record = await asyncio.to_thread(lambda: self.repository.exists)
        return {"branches": record.branches, "tags": record.tags}

    def _snapshot(self, revision: str) -> Snapshot:
        commit = self.repository.commit(revision)
        blobs = self.repository.namespace.blobs
        return Snapshot(
            about=self.about,
            commit=commit.id,
            title=commit.title,
            last_modified=commit.date,
            files=commit.files,
            place=lambda path: blobs.path(commit.files[path].sha256),
        )


class _InFolder:
    """Places in a built folder, for as long as the same build is there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._built = self._modified()

    def __call__(self, path: str) -> Path:
        return self._folder / path

    def is_current(self) -> bool:
        return self._modified() == self._built

    def _modified(self) -> int:
        return (self._folder / store.MANIFEST).stat().st_mtime_ns


def _is_intact(snapshot: Snapshot) -> bool:
    """Whether the same build is still on disk, every file at its size."""
    place = snapshot.place
    try:
        sizes = all(
            place(path).stat().st_size == file.size for path, file in snapshot.files.items()
        )
        return sizes and isinstance(place, _InFolder) and place.is_current()
    except OSError:
        return False


def _entry(commit: Commit) -> Entry:
    return Entry(
        commit=commit.id,
        title=commit.title,
        message=commit.message,
        author=commit.author,
        date=commit.date,
        files=commit.files,
    )


def _is_commit(revision: str, commit: str) -> bool:
    return len(revision) >= 7 and commit.startswith(revision)
