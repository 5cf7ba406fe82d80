"""The splits of a built dataset, read from its Parquet files with ``pyarrow``.

``datasets`` is never imported here: it would take a second and a hundred megabytes of the server
for what the Parquet files say themselves. Every function that reads is for a worker thread.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

DEFAULT_CONFIG = "default"

_INDEXES_KEPT = 64
GROUP_LIMIT = 256 * 1024 * 1024
"""Bytes of a row group, once decompressed, that are read; it is read whole."""
_GROUPS_KEPT = 4
"""Row groups in memory: a reader that goes through a split asks the same one again and again."""

_DTYPES = {"double": "float64", "float": "float32", "halffloat": "float16"}
"""Arrow's names of types that ``datasets`` calls otherwise."""


@dataclass(frozen=True)
class Split:
    """One split of one configuration.

    Attributes:
        config: Name of the configuration.
        name: Name of the split, such as ``train``.
        files: Paths of its Parquet files inside the repository, in order.
    """

    config: str
    name: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class RowGroup:
    """A run of rows that Parquet keeps, and reads, together."""

    path: Path
    number: int
    rows: int
    memory_bytes: int


class TooLargeError(Exception):
    """A row group is larger than a server should read to show a few rows."""


@dataclass(frozen=True)
class Index:
    """What a split holds, without its rows.

    Attributes:
        groups: Its row groups, in order.
        features: Column name to type, as ``datasets`` writes its features in JSON.
        rows: How many rows there are.
        file_bytes: Bytes of its files.
        memory_bytes: Bytes of its columns once decompressed.
    """

    groups: tuple[RowGroup, ...]
    features: Mapping[str, Any]
    rows: int
    file_bytes: int
    memory_bytes: int


def find(files: Iterable[str], card: Mapping[str, Any]) -> list[Split]:
    """Return the splits that a dataset's card declares, or those that its file names tell.

    Args:
        files: Paths of the repository's files.
        card: The card's YAML header.

    Returns:
        The splits that have at least one Parquet file, in the card's order.
    """
    parquet = [path for path in files if path.endswith(".parquet")]
    declared = card.get("configs")
    named = _declared(declared) if isinstance(declared, list) else _by_name(parquet)
    found = (
        Split(config, split, tuple(path for path in parquet if _matches(path, patterns)))
        for config, split, patterns in named
    )
    return [split for split in found if split.files]


def read_index(paths: Iterable[Path], commit: str) -> Index:
    """Read what a split holds; kept for each commit.

    Args:
        paths: Where its Parquet files are, in order.
        commit: The dataset's commit: another build is read again.

    Raises:
        OSError: A file is gone or damaged.
    """
    return _index(tuple(paths), commit)


def read_rows(index: Index, commit: str, offset: int, length: int) -> list[dict[str, Any]]:
    """Read a slice of a split.

    Args:
        index: What :func:`read_index` gave.
        commit: The same commit.
        offset: The first row, from 0.
        length: How many rows.

    Returns:
        One dictionary a row; fewer than ``length``, or none, beyond the split's end.

    Raises:
        OSError: A file is gone or damaged.
    """
    rows: list[dict[str, Any]] = []
    for group, start, stop in _overlaps(index, offset, offset + length):
        table = _table(group, commit)
        rows += table.slice(start, stop - start).to_pylist()
    return rows


def read_cell(index: Index, commit: str, row: int, column: str) -> Any:
    """Read one cell; ``None`` when there is no such row or column.

    Raises:
        OSError: A file is gone or damaged.
    """
    if column not in index.features:
        return None
    for group, start, _ in _overlaps(index, row, row + 1):
        return _table(group, commit).column(column)[start].as_py()
    return None


# --- which files


def _declared(configs: list[Any]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield configuration, split and patterns of a card's ``configs``."""
    for config in configs:
        if not isinstance(config, Mapping):
            continue
        name = str(config.get("config_name", DEFAULT_CONFIG))
        data_files = config.get("data_files")
        if isinstance(data_files, str):
            data_files = [data_files]
        entries = data_files if isinstance(data_files, list) else []
        plain = [entry for entry in entries if isinstance(entry, str)]
        if plain:
            yield name, "train", plain
        for entry in entries:
            if isinstance(entry, Mapping):
                yield name, str(entry.get("split", "train")), _as_list(entry.get("path"))


def _by_name(parquet: list[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield the splits that names such as ``data/train-00000-of-00001.parquet`` tell."""
    splits: dict[str, list[str]] = {}
    for path in parquet:
        split = PurePosixPath(path).stem.split("-")[0]
        splits.setdefault(split, []).append(path)
    for split, paths in splits.items():
        yield DEFAULT_CONFIG, split, paths


def _matches(path: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(path, pattern.removeprefix("./")) for pattern in patterns)


def _as_list(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


# --- reading


@lru_cache(_INDEXES_KEPT)
def _index(paths: tuple[Path, ...], _commit: str) -> Index:
    import pyarrow.parquet as pq

    with _damage_as_os_error():
        metadata = [pq.read_metadata(path) for path in paths]
    groups = [
        (path, number, described.row_group(number))
        for path, described in zip(paths, metadata, strict=True)
        for number in range(described.num_row_groups)
    ]
    return Index(
        groups=tuple(
            RowGroup(path, number, group.num_rows, group.total_byte_size)
            for path, number, group in groups
        ),
        features=_features(pq.read_schema(paths[0])),
        rows=sum(described.num_rows for described in metadata),
        file_bytes=sum(path.stat().st_size for path in paths),
        memory_bytes=sum(group.total_byte_size for _, _, group in groups),
    )


@lru_cache(_GROUPS_KEPT)
def _table(group: RowGroup, _commit: str) -> pa.Table:
    import pyarrow.parquet as pq

    if group.memory_bytes > GROUP_LIMIT:
        raise TooLargeError
    with _damage_as_os_error(), pq.ParquetFile(group.path) as file:
        return file.read_row_group(group.number, use_threads=False)


@contextmanager
def _damage_as_os_error() -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise OSError(str(error)) from error


def _overlaps(index: Index, start: int, stop: int) -> Iterator[tuple[RowGroup, int, int]]:
    """Yield the row groups that hold rows ``start`` to ``stop``, and which of their rows."""
    first = 0
    for group in index.groups:
        inside = max(start, first) - first, min(stop, first + group.rows) - first
        if inside[0] < inside[1]:
            yield group, *inside
        first += group.rows


# --- types


def _features(schema: pa.Schema) -> dict[str, Any]:
    """Return the types that ``datasets`` wrote in the file, or those that Arrow knows."""
    known = _written_features(schema)
    return {field.name: known.get(field.name) or _feature(field.type) for field in schema}


def _written_features(schema: pa.Schema) -> dict[str, Any]:
    """Return the types that ``datasets`` wrote; none where what is written is something else."""
    try:
        written = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        known = written["info"]["features"]
        json.dumps(known, allow_nan=False).encode()
        return {name: kind for name, kind in known.items() if isinstance(kind, (dict, list))}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _feature(kind: pa.DataType) -> dict[str, Any]:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    return {"dtype": _DTYPES.get(str(kind), str(kind)), "_type": "Value"}
