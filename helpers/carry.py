"""A folder to carry on a USB drive: the course, its models and its libraries, for no network.

    FOLDER/
      LEIA-ME.txt    what to do on the other machine
      curso/         the course, without what it makes on each machine
      cache/         the built models, datasets and Spaces, and reveal.js
      bibliotecas/   the wheels that `python -m helpers lab` installs

The cache holds nothing of the person who made it: no secret, no progress, nothing uploaded. The
wheels are for the system and the Python that fetched them, and each of them needs its own.
"""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from helpers import slides
from helpers.bootstrap import ROOT, StatusLine, child_process, pip_index_options
from helpers.embedded import store
from helpers.embedded.catalog import repositories
from helpers.embedded.fetch import disk_errors, folder_size
from helpers.environment import cache_folder
from helpers.errors import CourseError
from helpers.messages import text
from helpers.runner import build_models

COURSE, CACHE, LIBRARIES, README = "curso", "cache", "bibliotecas", "LEIA-ME.txt"
# What the course makes on a machine, and what belongs to whoever keeps it.
LEFT_OUT = shutil.ignore_patterns(
    *(".git", ".venv", ".venv.lock", "executed", "__pycache__", ".ipynb_checkpoints", "treino-*"),
    *(".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", "*.egg-info", "results"),
    *("progresso*", ".env", "*.tmp"),
)


def main(folder: Path, *, libraries: bool = True, root: Path = ROOT) -> int:
    """Fill a folder with all that another machine needs.

    Args:
        folder: where to write; what is there of an earlier time is brought up to date.
        libraries: fetch the wheels too; without them the other machine needs the course's
            libraries installed.
        root: the course's folder.

    Returns:
        0.

    Raises:
        CourseError: if the folder is inside the course, something cannot be fetched, or the disk
            is full.
    """
    folder = folder.resolve()
    if folder == root or root in folder.parents:
        raise CourseError(text("carry.inside", folder=folder))
    build_models(repository.id for repository in repositories())
    slides.fetch()
    status = StatusLine()
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        status.show(text("carry.copying"), "copy")
        shutil.copytree(root, folder / COURSE, ignore=LEFT_OUT, dirs_exist_ok=True)
        copy_cache(folder / CACHE)
    if libraries:
        status.show(text("carry.libraries"), "libraries")
        _fetch_libraries(folder / LIBRARIES, root)
    (folder / README).write_text(_readme(libraries), encoding="utf-8-sig")
    status.finish(text("carry.done", folder=folder, size=folder_size(folder) / 1e9))
    return 0


def copy_cache(target: Path) -> None:
    """Copy the course's built repositories, and nothing else of the cache, into a folder.

    Args:
        target: what the other machine will name in ``COURSE_CACHE``.
    """
    source = cache_folder()
    for folder in _built():
        place = target / folder.relative_to(source)
        if place.exists():
            shutil.rmtree(place)  # made of another version, perhaps
        shutil.copytree(folder, place)
    wheel = Path("wheels") / slides.reveal_files()["script"].package.filename
    (target / "wheels").mkdir(parents=True, exist_ok=True)
    if (source / wheel).is_file():
        shutil.copy2(source / wheel, target / wheel)


def _built() -> Iterator[Path]:
    for repository in repositories():
        if store.is_built(repository.id):
            yield store.ensure(repository.id)


def _fetch_libraries(folder: Path, root: Path) -> None:
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--no-input", "-q", "--prefer-binary"]
    command += ["--disable-pip-version-check", "--dest", str(folder), *pip_index_options(root)]
    command += ["-r", str(root / "requirements.txt"), "-c", str(root / "constraints.txt")]
    with child_process(command) as process:
        if process.wait():
            raise CourseError(text("carry.no_libraries"))


def _readme(libraries: bool) -> str:
    where = f"{platform.system()}, Python {platform.python_version_tuple()[0]}"
    where += f".{platform.python_version_tuple()[1]}"
    key = "carry.readme_libraries" if libraries else "carry.readme_installed"
    return text("carry.readme", system=where, libraries=text(key, system=where))
