"""What recipes share: reading a binary file from front to back, and writing JSON."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Cursor:
    """A place in the bytes of a little-endian file, which moves on as they are read.

    Args:
        data: The whole file, or a part of it.
        name: What the file is called when it turns out to be cut short, such as ``e5 file``.
    """

    def __init__(self, data: bytes | memoryview, name: str) -> None:
        self.data = memoryview(data)
        self.name = name
        self.position = 0

    def unpack(self, layout: str) -> tuple[Any, ...]:
        """Read numbers.

        Args:
            layout: As for :func:`struct.unpack`, without the sign for the order of bytes.

        Raises:
            struct.error: Fewer bytes are left than the layout takes.
        """
        values = struct.unpack_from("<" + layout, self.data, self.position)
        self.position += struct.calcsize("<" + layout)
        return values

    def take(self, size: int) -> memoryview:
        """Read this many bytes, sharing the memory of the file.

        Raises:
            ValueError: Fewer bytes are left.
        """
        chunk = self.data[self.position : self.position + size]
        if len(chunk) != size:
            raise ValueError(f"The {self.name} ends too early: it is cut short or altered.")
        self.position += size
        return chunk


def save_json(value: Mapping[str, Any], path: Path) -> None:
    """Write JSON that people can read, the same bytes on every machine and version."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
