"""Rows to Parquet, in the form that ``datasets`` reads back with its own column types.

The ``datasets`` library keeps its types (labels with names, pictures, sound) as JSON in the file's
metadata. Writing that JSON here takes ``pyarrow`` alone, so that the server which builds a dataset
never imports ``datasets``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

Feature = Mapping[str, Any]

TEXT: Feature = {"dtype": "string", "_type": "Value"}
INTEGER: Feature = {"dtype": "int32", "_type": "Value"}
FLAG: Feature = {"dtype": "bool", "_type": "Value"}
NUMBER: Feature = {"dtype": "float64", "_type": "Value"}
IMAGE: Feature = {"_type": "Image"}


def list_of(feature: Feature) -> Feature:
    """Return the feature of a list whose items are all of one kind."""
    return {"feature": feature, "_type": "List"}


def label_of(names: Sequence[str]) -> Feature:
    """Return the feature of a label: stored as the place of its name in ``names``."""
    return {"names": list(names), "_type": "ClassLabel"}


def audio_at(sampling_rate: int) -> Feature:
    """Return the feature of a sound file, whose ``sampling_rate`` is in hertz."""
    return {"sampling_rate": sampling_rate, "_type": "Audio"}


def write(rows: Sequence[Mapping[str, Any]], features: Mapping[str, Feature], path: Path) -> None:
    """Write rows as one Parquet file; its folder is made if needed.

    The same rows give the same bytes with the same version of ``pyarrow``.

    Args:
        rows: One mapping a row, with the columns of ``features``. A label is its number; a picture
            or a sound is ``{"bytes": ..., "path": file name}``.
        features: Column name to feature, in the columns' order.
        path: Where to write.

    Raises:
        ValueError: A row has other columns than ``features``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    for number, row in enumerate(rows):
        if row.keys() != features.keys():
            raise ValueError(f"row {number} has the columns {list(row)}, not {list(features)}")
    info = json.dumps({"info": {"features": features}}, ensure_ascii=False)
    schema = pa.schema(
        [(name, _arrow_type(feature)) for name, feature in features.items()],
        metadata={"huggingface": info},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema=schema), path)


def _arrow_type(feature: Feature) -> pa.DataType:
    import pyarrow as pa

    match feature.get("_type"):
        case "Value":
            return pa.type_for_alias(feature["dtype"])
        case "ClassLabel":
            return pa.int64()
        case "List":
            return pa.list_(_arrow_type(feature["feature"]))
        case "Image" | "Audio":
            return pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        case _:  # a group of columns
            return pa.struct([(name, _arrow_type(part)) for name, part in feature.items()])
