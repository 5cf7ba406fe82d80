"""A built repository as the Hub shows it: one branch, one commit, the manifest's files."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from starlette.requests import Request

from helpers.embedded import store
from helpers.embedded.catalog import Repository, catalog
from helpers.embedded.hub.addresses import KINDS
from helpers.embedded.hub.errors import header_text, not_found
from helpers.embedded.wire import WireError
from helpers.embedded.workers import Builder
from helpers.errors import CourseError

MAIN = "main"


@dataclass(frozen=True)
class Snapshot:
    """A built repository at its only commit."""

    repository: Repository
    folder: Path
    commit: str
    last_modified: str
    files: dict[str, tuple[int, str]]
    """Size in bytes and sha256 of each file, by its path."""
    built_at: int
    """When the manifest was written, in nanoseconds."""

    def is_intact(self) -> bool:
        """Whether the same build is still on disk, every file at its size."""
        try:
            sizes = all(
                (self.folder / path).stat().st_size == size
                for path, (size, _) in self.files.items()
            )
            return sizes and _modified(self.folder) == self.built_at
        except OSError:
            return False


def named(request: Request) -> Repository:
    """Return the catalog's repository that an address names; nothing is built.

    Raises:
        WireError: 404 when there is none of that kind.
    """
    kind = KINDS[request.path_params.get("kind", "models")]
    return find(kind, request.path_params["repo_id"])


def find(kind: str, repo_id: str) -> Repository:
    """Return the catalog's repository of a kind (``model``, ``dataset``, ``space``) and id.

    Raises:
        WireError: 404 when there is none.
    """
    repository = catalog().repositories.get(repo_id)
    if repository is None or repository.kind != kind:
        raise not_found("RepoNotFound", "Repository not found")
    return repository


async def asked(request: Request) -> Snapshot:
    """Return the snapshot that an address names, building the repository first if needed.

    Raises:
        WireError: 404 for an unknown repository or revision, 503 when it cannot be built.
    """
    snapshot = await built(request, named(request))
    revision = request.path_params.get("revision", MAIN)
    if revision not in (MAIN, f"refs/heads/{MAIN}") and not _is_commit(revision, snapshot.commit):
        raise not_found("RevisionNotFound", f"Invalid rev id: {revision}")
    return snapshot


async def built(request: Request, repository: Repository) -> Snapshot:
    """Return a repository's snapshot, building it first if needed.

    Raises:
        WireError: 503 when it cannot be built.
    """
    kept: dict[str, Snapshot] = request.app.state.snapshots
    snapshot = kept.get(repository.id)
    if snapshot is None or not snapshot.is_intact():
        snapshot = kept[repository.id] = await _open(request.app.state.builder, repository)
    return snapshot


def timestamp(moment: datetime) -> str:
    """Write a moment as the Hub does."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


async def _open(builder: Builder, repository: Repository) -> Snapshot:
    try:
        folder = await builder.folder(repository.id)
        manifest = await asyncio.to_thread(store.manifest, repository.id)
    except CourseError as error:
        raise WireError(503, str(error), {"X-Error-Message": header_text(str(error))}) from None
    return Snapshot(
        repository=repository,
        folder=folder,
        commit=manifest.commit,
        last_modified=timestamp(manifest.last_modified),
        files={path: (file.size, file.sha256) for path, file in sorted(manifest.files.items())},
        built_at=_modified(folder),
    )


def _is_commit(revision: str, commit: str) -> bool:
    return len(revision) >= 7 and commit.startswith(revision)


def _modified(folder: Path) -> int:
    return (folder / store.MANIFEST).stat().st_mtime_ns
