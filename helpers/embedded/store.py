"""The built repositories: one folder each, complete or absent, never in between.

A repository is built in a scratch folder under a lock between processes, described by a manifest,
flushed to disk and only then renamed into place. Whoever kills the process half-way leaves scratch
that the next build sweeps away. The manifest also holds a fingerprint of everything that went into
the build (sources, recipe version, card, adapter): when one changes, the folder is built again.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import shutil
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from helpers.embedded.catalog import Repository, catalog
from helpers.embedded.fetch import (
    Progress,
    check_space,
    disk_errors,
    file_sha256,
    folder_size,
    is_at_hand,
    member,
)
from helpers.embedded.hub.cards import header
from helpers.environment import cache_folder
from helpers.errors import CourseError
from helpers.messages import text

MANIFEST = ".manifest.json"
FORMAT = 1  # of the manifest
WATCH_SECONDS = 0.5
SHOW_AFTER_SECONDS = 2.0


@dataclass(frozen=True)
class FileInfo:
    """One file of a built repository: its bytes and its sha256 (64 hexadecimal digits)."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a built repository holds.

    Attributes:
        commit: 40 hexadecimal digits, derived from the paths and contents of the files.
        last_modified: Fixed in the catalog, so that every machine tells the same date.
        files: By path inside the repository, with ``/`` whatever the system, sorted.
    """

    commit: str
    last_modified: datetime
    files: dict[str, FileInfo]


def ensure(repo_id: str, progress: Progress | None = None) -> Path:
    """Return the folder of a model, fetching and building it if needed.

    Safe to call from several processes and threads at once: one builds, the others wait.

    Args:
        repo_id: An id of the catalog, such as ``curso/qa-pt``.
        progress: Called as ``progress(stage, done, total)``, the stage being a phrase to show and
            the numbers bytes; sometimes from another thread. By default, a progress bar appears
            after two seconds.

    Returns:
        A folder that ``from_pretrained`` takes.

    Raises:
        CourseError: The id is unknown, or fetching or building failed for a foreseeable reason.
    """
    repository = catalog().repository(repo_id)
    if _read_valid(repository):
        return _folder(repository)
    with _reporting(progress) as report, disk_errors(cache_folder()):
        needs = [ensure(needed, report) for needed in repository.needs]
        with _lock(repository, report):
            if not _read_valid(repository):  # nobody built it while we waited
                _build(repository, needs, report)
    return _folder(repository)


def ensure_many(repo_ids: Iterable[str], progress: Progress | None = None) -> list[Path]:
    """Return the folders of several models, building those that are missing, in order."""
    with _reporting(progress) as report:
        return [ensure(repo_id, report) for repo_id in repo_ids]


def is_built(repo_id: str) -> bool:
    """Tell whether a model is complete and up to date, by its manifest and the files' sizes."""
    return _read_valid(catalog().repository(repo_id)) is not None


def built() -> list[str]:
    """Return the ids of the models that are ready, in the catalog's order."""
    return [repo_id for repo_id in catalog().repositories if is_built(repo_id)]


def manifest(repo_id: str) -> Manifest:
    """Return what a built model holds.

    Raises:
        CourseError: The id is unknown, or the model is not built.
    """
    found = _read_valid(catalog().repository(repo_id))
    if found is None:
        raise CourseError(text("store.not_built", repo_id=repo_id))
    return found


def verify(repo_id: str) -> list[str]:
    """Read a built model from end to end and compare every hash.

    Returns:
        Paths of the files that were altered; empty when all is well.

    Raises:
        CourseError: The id is unknown, or the model is not built.
    """
    folder = _folder(catalog().repository(repo_id))
    files = manifest(repo_id).files
    return [path for path, info in files.items() if file_sha256(folder / path) != info.sha256]


def remove(repo_id: str) -> None:
    """Delete a built model, if it is there. The downloaded wheel stays in the cache."""
    repository = catalog().repository(repo_id)
    scratch = _scratch(repository)
    with disk_errors(cache_folder()), _lock(repository, _silent):
        shutil.rmtree(scratch, ignore_errors=True)
        _discard(_folder(repository), scratch)
        shutil.rmtree(scratch, ignore_errors=True)


def summary() -> list[dict[str, Any]]:
    """Describe every model for a list on screen.

    Returns:
        One dictionary a model: ``id``, ``task``, ``licence``, ``size`` (bytes) and ``built``.
        The size is the real one when the model is built, the catalog's estimate otherwise; a
        licence that the Hub only calls ``other`` goes by the name that the card gives it.
    """
    return [_summary(repository) for repository in catalog().repositories.values()]


def _summary(repository: Repository) -> dict[str, Any]:
    found = _read_valid(repository)
    size = sum(info.size for info in found.files.values()) if found else repository.size
    return {
        "id": repository.id,
        "task": repository.task,
        "licence": _licence_name(repository),
        "size": size,
        "built": found is not None,
    }


def _licence_name(repository: Repository) -> str:
    if repository.licence != "other":
        return repository.licence
    return str(header(repository.card)["license_name"])


# --- where things are


def _folder(repository: Repository) -> Path:
    return cache_folder().joinpath(f"{repository.kind}s", *repository.id.split("/"))


def _scratch(repository: Repository) -> Path:
    return cache_folder() / "partial" / repository.id.replace("/", "--")


@contextmanager
def _lock(repository: Repository, report: Progress) -> Iterator[None]:
    from filelock import FileLock, Timeout

    scratch = _scratch(repository)
    scratch.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{scratch}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        report(text("store.stage_wait", repo_id=repository.id), 0, 0)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


# --- reading


def _read_valid(repository: Repository) -> Manifest | None:
    """Return the manifest if the folder is complete and up to date, otherwise ``None``."""
    folder = _folder(repository)
    try:
        data = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = {path: FileInfo(**info) for path, info in data["files"].items()}
        intact = all((folder / path).stat().st_size == info.size for path, info in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if not intact or data.get("fingerprint") != _fingerprint(repository):
        return None
    return Manifest(data["commit"], datetime.fromisoformat(data["last_modified"]), files)


def _fingerprint(repository: Repository) -> str:
    """Hash everything that a build depends on."""
    lines = [
        f"format {FORMAT}",
        f"recipe {repository.recipe} {_recipe(repository).VERSION}",
        f"last_modified {repository.last_modified.isoformat()}",
        *(f"file {file.sha256}" for file in repository.files),
        *(f"text {path.name} {file_sha256(path)}" for path in _course_files(repository)),
        *(f"source {name} {file_sha256(path)}" for name, path in _source_files(repository)),
        *(f"needs {_fingerprint(catalog().repository(needed))}" for needed in repository.needs),
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _course_files(repository: Repository) -> list[Path]:
    """Return the files of the course itself that end up in the model: card and adapter."""
    adapter = repository.adapter
    names = ("adapter_config.json", "*.safetensors")
    weights = sorted(path for name in names for path in adapter.glob(name)) if adapter else []
    return [repository.card, *weights]


def _source_files(repository: Repository) -> list[tuple[str, Path]]:
    """Return the files of the folder that the course wrote, each with its path inside it."""
    source = repository.source
    if source is None:
        return []
    files = sorted(path for path in source.rglob("*") if path.is_file())
    return [(path.relative_to(source).as_posix(), path) for path in files]


def _recipe(repository: Repository) -> Any:
    return importlib.import_module(f"helpers.embedded.recipes.{repository.recipe}")


# --- building


def _build(repository: Repository, needs: list[Path], report: Progress) -> None:
    check_space(_bytes_to_write(repository))
    # Used under the repository's lock: what is in the scratch folder was left by a dead process.
    scratch = _scratch(repository)
    shutil.rmtree(scratch, ignore_errors=True)
    target = scratch / "target"
    target.mkdir(parents=True)
    try:
        sources = [member(file, report, scratch) for file in repository.files]
        stage = text("store.stage_build", repo_id=repository.id)
        with _watching(target, stage, repository.size, report):
            written = [repository.source] if repository.source else []
            _run_recipe(repository, [*sources, *needs, *written], target)
            shutil.copyfile(repository.card, target / "README.md")
            _seal(repository, target)
        _discard(_folder(repository), scratch)
        _publish(target, _folder(repository))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _run_recipe(repository: Repository, sources: list[Path], target: Path) -> None:
    try:
        _recipe(repository).build(*sources, target)
    except ModuleNotFoundError as error:
        raise CourseError(text("store.missing_package", package=error.name)) from error


def _bytes_to_write(repository: Repository) -> int:
    packages = {file.package for file in repository.files}
    wheels = sum(package.size for package in packages if not is_at_hand(package))
    return wheels + sum(file.size for file in repository.files) + repository.size


def _seal(repository: Repository, target: Path) -> None:
    """Write the manifest and flush everything to disk."""
    paths = sorted(path for path in target.rglob("*") if path.is_file())
    files = {
        path.relative_to(target).as_posix(): FileInfo(path.stat().st_size, file_sha256(path))
        for path in paths
    }
    data = {
        "format": FORMAT,
        "repository": repository.id,
        "fingerprint": _fingerprint(repository),
        "commit": _commit(files),
        "last_modified": repository.last_modified.isoformat(),
        "files": {path: asdict(info) for path, info in files.items()},
    }
    (target / MANIFEST).write_text(json.dumps(data, indent=2), encoding="utf-8")
    for path in [*paths, target / MANIFEST]:
        _flush(path)


def _commit(files: dict[str, FileInfo]) -> str:
    lines = "".join(f"{path} {info.sha256}\n" for path, info in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:40]


def _flush(path: Path) -> None:
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def _discard(folder: Path, scratch: Path) -> None:
    """Delete a folder that others may be reading: away with its name first, in one step."""
    if folder.exists():
        scratch.mkdir(parents=True, exist_ok=True)
        old = scratch / "old"
        os.replace(folder, old)
        shutil.rmtree(old, ignore_errors=True)


def _publish(target: Path, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    os.replace(target, folder)
    if os.name == "posix":  # the rename itself reaches the disk
        descriptor = os.open(folder.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# --- telling how far it is


def _silent(stage: str, done: int, total: int) -> None:
    """Report progress to nobody."""


@contextmanager
def _watching(folder: Path, stage: str, total: int, report: Progress) -> Iterator[None]:
    """Report the growth of a folder from a thread, while a recipe works."""
    finished = threading.Event()

    def watch() -> None:
        while not finished.wait(WATCH_SECONDS):
            report(stage, min(folder_size(folder), total), total)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()


@contextmanager
def _reporting(progress: Progress | None) -> Iterator[Progress]:
    """Give the caller's own progress function, or progress bars that are closed at the end."""
    if progress is not None:
        yield progress
        return
    bars = _Bars()
    try:
        yield bars
    finally:
        bars.close()


class _Bars:
    """One tqdm bar for each stage, gone when the stage is over."""

    def __init__(self) -> None:
        self._stage: str | None = None
        self._bar: Any = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage != self._stage:
            self.close()
            self._stage, self._bar = stage, _new_bar(stage, total)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._stage = self._bar = None


def _new_bar(stage: str, total: int) -> Any:
    from tqdm import tqdm

    return tqdm(
        desc=stage,
        total=total or None,
        unit="B",
        unit_scale=True,
        leave=False,
        delay=SHOW_AFTER_SECONDS,
        file=sys.stderr,
    )
