"""Learners' repositories: branches, commits, and the files that each commit names."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any

from helpers.embedded.hub.errors import not_found, refused
from helpers.embedded.learners import names
from helpers.embedded.learners.blobs import Blobs, Limits, disk_errors, replace_file
from helpers.embedded.store import FileInfo
from helpers.embedded.wire import WireError

MAIN = "main"
FORMAT = 1  # of the JSON files
FILES_LIMIT = 10_000
"""Files of one repository."""
COMMITS_LIMIT = 2_000
"""Commits of one repository."""
REPOSITORIES_LIMIT = 200
"""Repositories of one learner."""

_LOCK_SECONDS = 30
_RECORD = "repository.json"
_COMMITS_KEPT = 32


@dataclass(frozen=True)
class Commit:
    """One commit.

    Attributes:
        id: 40 hexadecimal digits.
        parent: The commit before it; ``None`` for the first.
        title: Its message's first line.
        message: The rest.
        author: Whose it is.
        date: When it was made, as the Hub writes a moment.
        files: What it holds, by path.
    """

    id: str
    parent: str | None
    title: str
    message: str
    author: str
    date: str
    files: Mapping[str, FileInfo]


@dataclass(frozen=True)
class Add:
    """Put a file, new or not, at a path."""

    path: str
    file: FileInfo


@dataclass(frozen=True)
class Delete:
    """Take a file away, or a folder with all that is in it."""

    path: str
    is_folder: bool = False


Operation = Add | Delete


@dataclass(frozen=True)
class Record:
    """What a repository is, besides its commits."""

    id: str
    kind: str
    private: bool
    created: str
    branches: Mapping[str, str]
    tags: Mapping[str, str]
    format: int = FORMAT


class Learners:
    """All learners' repositories."""

    def __init__(self, folder: Path, limits: Limits, reserved: frozenset[str]) -> None:
        """Keep where they are.

        Args:
            folder: Folder of them all; made when the first one writes.
            limits: How much each may keep.
            reserved: Namespaces, in lower case, that are nobody's.
        """
        self._folder = folder
        self._limits = limits
        self._reserved = reserved

    def namespace(self, name: str | None) -> Namespace | None:
        """Return the namespace of a client, or ``None`` if it cannot have one."""
        if name is None or not names.is_folder_name(name) or name.lower() in self._reserved:
            return None
        return Namespace(self._folder / name.lower(), name, self._limits)

    def find(self, kind: str, repo_id: str) -> LearnersRepository | None:
        """Return a repository by its kind (``model``, ``dataset``, ``space``) and id."""
        owner, slash, name = repo_id.partition("/")
        namespace = self.namespace(owner) if slash else None
        return namespace.find(kind, name) if namespace else None

    def repositories(self, kind: str) -> list[LearnersRepository]:
        """Return all repositories of a kind, those changed last first."""
        dated = []
        for folder in _folders(self._folder):
            namespace = self.namespace(folder.name)
            for repository in namespace.repositories(kind) if namespace else ():
                with suppress(WireError):  # deleted meanwhile, or damaged
                    dated.append((repository.commit(MAIN).date, repository))
        return [one for _, one in sorted(dated, key=itemgetter(0), reverse=True)]


class Namespace:
    """One learner's repositories."""

    def __init__(self, folder: Path, name: str, limits: Limits) -> None:
        """Keep where they are; :meth:`Learners.namespace` makes these."""
        self.name = name
        self.blobs = Blobs(folder, limits)
        self._folder = folder

    def find(self, kind: str, name: str) -> LearnersRepository | None:
        """Return a repository by its name, or ``None``."""
        if not names.is_name(name):
            return None
        repository = LearnersRepository(self, self._repository_folder(kind, name))
        record = repository.record
        return repository if record and record.id == f"{self.name}/{name}" else None

    def repositories(self, kind: str) -> list[LearnersRepository]:
        """Return the repositories of a kind."""
        beginning = f"{kind}s--"
        found = (
            LearnersRepository(self, folder)
            for folder in _folders(self._folder)
            if folder.name.startswith(beginning)
        )
        return [repository for repository in found if repository.record]

    def create(
        self, kind: str, name: str, *, private: bool, files: Mapping[str, bytes]
    ) -> LearnersRepository:
        """Make a repository, with a first commit.

        Args:
            kind: ``model``, ``dataset`` or ``space``.
            name: Its name in this namespace.
            private: Whether only its owner may see it.
            files: What the first commit holds, by path.

        Raises:
            WireError: 400 for a name that may not be, 409 when there is one already, 413 and 507
                when there is no room.
        """
        if not names.is_name(name):
            raise refused(400, f"Invalid repository name: {name[:200]!r}")
        folder = self._repository_folder(kind, name)
        with self.locked(), disk_errors():
            if LearnersRepository(self, folder).record:
                raise refused(409, f"You already created this {kind} repo: {self.name}/{name}")
            if len(_folders(self._folder)) >= REPOSITORIES_LIMIT:
                raise refused(403, f"At most {REPOSITORIES_LIMIT} repositories are kept.")
            added = {path: self.blobs.add(contents) for path, contents in files.items()}
            now = timestamp()
            record = Record(f"{self.name}/{name}", kind, private, now, {}, {})
            folder.mkdir(parents=True, exist_ok=True)
            repository = LearnersRepository(self, folder)
            first = repository.write_commit(None, "initial commit", "", self.name, added)
            repository.write_record(replace(record, branches={MAIN: first.id}))
        return repository

    def delete(self, repository: LearnersRepository) -> None:
        """Delete a repository, and the contents that no other one names."""
        with self.locked(), disk_errors():
            held, changed = repository.contents(), repository.last_change()
            repository.discard()
            unnamed = held - self._named()
            self.blobs.discard(unnamed, before=changed)

    def require_room(self, size: int, name: str) -> None:
        """Check that so many more bytes may be kept, making room if there is none.

        Raises:
            WireError: 413 beyond a limit, 507 when the disk is full.
        """
        try:
            self.blobs.require_room(size, name)
        except WireError:
            with self.locked():
                self.blobs.sweep(self._named())
            self.blobs.require_room(size, name)

    def _named(self) -> set[str]:
        """Return the contents that commits name."""
        return {
            sha256
            for kind in ("model", "dataset", "space")
            for repository in self.repositories(kind)
            for sha256 in repository.contents()
        }

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let only one thread of one process change this namespace at a time.

        Raises:
            WireError: 503, somebody else takes too long.
        """
        from filelock import FileLock, Timeout

        with disk_errors():
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._folder / "lock")
            try:
                lock.acquire(timeout=_LOCK_SECONDS, poll_interval=0.01)
            except Timeout:
                raise WireError(503, "Another upload to these repositories takes long.") from None
        try:
            self.blobs.sweep_incoming()
            yield
        finally:
            lock.release()

    def _repository_folder(self, kind: str, name: str) -> Path:
        return self._folder / f"{kind}s--{name.lower()}"  # systems differ in what a capital is


class LearnersRepository:
    """One repository on disk."""

    def __init__(self, namespace: Namespace, folder: Path) -> None:
        """Keep where it is, or would be."""
        self.namespace = namespace
        self._folder = folder

    @property
    def record(self) -> Record | None:
        """What it is now, or ``None`` when it is not there, or not whole."""
        data = _read_json(self._folder / _RECORD)
        try:
            return Record(**data)
        except TypeError:
            return None

    @property
    def exists(self) -> Record:
        """What it is now.

        Raises:
            WireError: 404, it was deleted meanwhile.
        """
        record = self.record
        if record is None:
            raise not_found("RepoNotFound", "Repository not found")
        return record

    def commit(self, revision: str) -> Commit:
        """Return the commit that a branch, a tag or an id (7 digits of it suffice) stands for.

        Raises:
            WireError: 404, there is none.
        """
        record = self.exists
        name = revision.removeprefix("refs/heads/").removeprefix("refs/tags/")
        commit_id = record.branches.get(name) or record.tags.get(name) or self._full_id(revision)
        if commit_id is None:
            raise not_found("RevisionNotFound", f"Invalid rev id: {revision}")
        return self._read_commit(commit_id)

    def history(self, commit: Commit) -> Iterator[Commit]:
        """Yield a commit and those before it, the newest first."""
        yield commit
        while commit.parent is not None:
            commit = self._read_commit(commit.parent)
            yield commit

    def contents(self) -> set[str]:
        """Return the sha256 of every file of every commit."""
        commits = (_commit(path) for path in _listed(self._folder / "commits"))
        return {file.sha256 for commit in commits if commit for file in commit.files.values()}

    def last_change(self) -> float:
        """Return when the last commit was written, in seconds since the epoch."""
        return max(path.stat().st_mtime for path in _listed(self._folder / "commits"))

    def change(
        self,
        branch: str,
        operations: Sequence[Operation],
        *,
        title: str,
        message: str = "",
        author: str,
        parent: str | None = None,
    ) -> Commit:
        """Add a commit to a branch: all of its operations, or none.

        Args:
            branch: Name of a branch.
            operations: What changes, in order.
            title: Its message's first line.
            message: The rest.
            author: Who makes it.
            parent: What the branch must stand at, an id or the beginning of one; ``None`` for
                whatever it stands at.

        Returns:
            The new commit, or the branch's own when nothing changes.

        Raises:
            WireError: 404 for what is not there, 412 when the branch stands elsewhere, 400 for
                contents that never arrived or paths that cannot be.
        """
        with self.namespace.locked(), disk_errors():
            record = self.exists
            name = branch.removeprefix("refs/heads/")
            if name not in record.branches:
                raise not_found("RevisionNotFound", f"Invalid rev id: {branch}")
            current = self._read_commit(record.branches[name])
            if parent is not None and not current.id.startswith(parent):
                sentence = "A commit has happened since. Please refresh and try again."
                raise refused(412, sentence)
            files = self._changed(current.files, operations)
            if files == current.files:
                return current
            if len(_listed(self._folder / "commits")) >= COMMITS_LIMIT:
                raise refused(403, f"At most {COMMITS_LIMIT} commits are kept of one repository.")
            commit = self.write_commit(current.id, title, message, author, files)
            self.write_record(replace(record, branches={**record.branches, name: commit.id}))
        return commit

    def change_record(self, **changes: Any) -> None:
        """Replace fields of the record, such as ``private``."""
        with self.namespace.locked(), disk_errors():
            self.write_record(replace(self.exists, **changes))

    def set_reference(self, group: str, name: str, commit_id: str | None) -> None:
        """Make, or with ``None`` delete, a branch or a tag.

        Args:
            group: ``branches`` or ``tags``.
            name: Its name.
            commit_id: What it stands for.

        Raises:
            WireError: 409 when it is there already, 404 when it is not, 403 for the main branch.
        """
        with self.namespace.locked(), disk_errors():
            record = self.exists
            references = dict(getattr(record, group))
            if commit_id is None:
                if name not in references:
                    raise not_found("RevisionNotFound", f"Invalid rev id: {name}")
                if group == "branches" and name == MAIN:
                    raise refused(403, "Forbidden: the main branch cannot be deleted.")
                del references[name]
            elif name in {**record.branches, **record.tags}:
                raise refused(409, f"Reference already exists: {name}")
            else:
                references[name] = commit_id
            changes: dict[str, Any] = {group: references}
            self.write_record(replace(record, **changes))

    # --- on disk, under the namespace's lock

    def write_commit(
        self,
        parent: str | None,
        title: str,
        message: str,
        author: str,
        files: Mapping[str, FileInfo],
    ) -> Commit:
        """Write a commit down; no branch stands at it yet."""
        told = {
            "parent": parent,
            "title": title,
            "message": message,
            "author": author,
            "date": timestamp(),
            "files": {path: asdict(files[path]) for path in sorted(files)},
        }
        digest = hashlib.sha1(json.dumps(told).encode(), usedforsecurity=False).hexdigest()
        _write_json(self._commit_path(digest), {"id": digest, **told})
        return self._read_commit(digest)

    def write_record(self, record: Record) -> None:
        """Replace the record in one step."""
        _write_json(self._folder / _RECORD, asdict(record))

    def discard(self) -> None:
        """Take the repository away: its name first, in one step."""
        away = self._folder.parent / "incoming" / secrets.token_hex(16)
        away.parent.mkdir(parents=True, exist_ok=True)
        replace_file(self._folder, away)
        shutil.rmtree(away, ignore_errors=True)

    def _changed(
        self, files: Mapping[str, FileInfo], operations: Sequence[Operation]
    ) -> dict[str, FileInfo]:
        """Return the files after the operations."""
        changed = dict(files)
        for operation in operations:
            if isinstance(operation, Add):
                if self.namespace.blobs.size(operation.file.sha256) != operation.file.size:
                    raise refused(400, f"The contents of {operation.path} were never uploaded.")
                changed[operation.path] = operation.file
            else:
                gone = _named(changed, operation)
                if not gone:
                    raise not_found(
                        "EntryNotFound", f"A file with this name doesn't exist: {operation.path}"
                    )
                for path in gone:
                    del changed[path]
        _check_tree(changed)
        return changed

    def _read_commit(self, commit_id: str) -> Commit:
        commit = _commit(self._commit_path(commit_id))
        if commit is None:
            raise not_found("RevisionNotFound", f"Invalid rev id: {commit_id}")
        return commit

    def _full_id(self, revision: str) -> str | None:
        """Return the id of the one commit that begins so."""
        if not names.is_commit(revision):
            return None
        found = {path.stem for path in _listed(self._folder / "commits")}
        matches = [commit_id for commit_id in found if commit_id.startswith(revision)]
        return matches[0] if len(matches) == 1 else None

    def _commit_path(self, commit_id: str) -> Path:
        return self._folder / "commits" / f"{commit_id}.json"


def timestamp(moment: datetime | None = None) -> str:
    """Write a moment, now by default, as the Hub does."""
    moment = moment or datetime.now(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _named(files: Mapping[str, FileInfo], operation: Delete) -> list[str]:
    if not operation.is_folder:
        return [operation.path] if operation.path in files else []
    folder = operation.path.rstrip("/") + "/"
    return [path for path in files if path.startswith(folder)]


def _check_tree(files: Mapping[str, FileInfo]) -> None:
    """Check that no file stands where a folder does, and that there are not too many."""
    if len(files) > FILES_LIMIT:
        raise refused(413, f"At most {FILES_LIMIT} files are kept in one repository.")
    for path in files:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            if "/".join(parts[:depth]) in files:
                raise refused(400, f"Invalid path in repository: a file is in the way of {path!r}")


def _commit(path: Path) -> Commit | None:
    """Return a commit that was written down, or ``None``; what is written never changes."""
    try:
        return _kept_commit(path)
    except (OSError, ValueError, KeyError, TypeError):
        return None


@lru_cache(_COMMITS_KEPT)
def _kept_commit(path: Path) -> Commit:
    data = json.loads(path.read_bytes())
    files = {name: FileInfo(**file) for name, file in data.pop("files").items()}
    return Commit(files=files, **data)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _write_json(path: Path, data: dict[str, Any]) -> None:
    """Write a file that is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        with draft.open("w", encoding="utf-8") as file:
            json.dump(data, file)
            file.flush()
            os.fsync(file.fileno())
        replace_file(draft, path)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _folders(folder: Path) -> list[Path]:
    return [path for path in _listed(folder) if path.is_dir()]


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
