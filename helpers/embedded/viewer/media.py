"""The pictures and sounds inside a dataset's cells: what they are, by their first bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

_PICTURES = {"JPEG": ("jpg", "image/jpeg"), "PNG": ("png", "image/png")} | {
    name: (name.lower(), f"image/{name.lower()}") for name in ("WEBP", "GIF")
}
"""Extension and content type by Pillow's name of the format."""

_SOUNDS = {b"RIFF": ("wav", "audio/wav"), b"fLaC": ("flac", "audio/flac")} | {
    b"OggS": ("ogg", "audio/ogg"),
    b"ID3": ("mp3", "audio/mpeg"),
    b"\xff\xfb": ("mp3", "audio/mpeg"),
}
"""Extension and content type by the first bytes of the file."""


@dataclass(frozen=True)
class Media:
    """A picture or a sound.

    Attributes:
        contents: The file, as the dataset holds it.
        filename: ``image.png``, ``audio.wav`` and so on.
        content_type: Its media type.
        size: Width and height in pixels of a picture; ``None`` for a sound.
    """

    contents: bytes
    filename: str
    content_type: str
    size: tuple[int, int] | None = None


def holds_media(feature: Any) -> bool:
    """Whether a column, by its type, is of pictures or of sounds."""
    return isinstance(feature, Mapping) and feature.get("_type") in ("Image", "Audio")


def media_of(cell: Any, feature: Mapping[str, Any]) -> Media | None:
    """Return what a cell of such a column holds.

    Args:
        cell: The cell, ``{"bytes": ..., "path": ...}``.
        feature: The column's type.

    Returns:
        ``None`` for an empty cell, and for a format that is not known.
    """
    contents = cell.get("bytes") if isinstance(cell, dict) else None
    if not isinstance(contents, bytes):
        return None
    return _picture(contents) if feature["_type"] == "Image" else _sound(contents)


def _picture(contents: bytes) -> Media | None:
    from PIL import Image

    try:
        with Image.open(BytesIO(contents), formats=tuple(_PICTURES)) as image:  # the header alone
            kind, size = image.format or "", image.size
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    extension, content_type = _PICTURES[kind]
    return Media(contents, f"image.{extension}", content_type, size)


def _sound(contents: bytes) -> Media | None:
    for start, (extension, content_type) in _SOUNDS.items():
        if contents.startswith(start):
            return Media(contents, f"audio.{extension}", content_type)
    return None
