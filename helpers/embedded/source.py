"""The version of the embedded server: a hash of its code and of what its models are made from."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

_FOLDER = Path(__file__).parent
_PATTERNS = ("*.py", "*.toml", "*.md", "*.json", "*.safetensors")


@functools.cache
def version() -> str:
    """Return 12 hexadecimal digits; after an update they differ, and the server is replaced.

    A server that lives on keeps its models in memory: without the adapters in the hash, it would
    go on answering with the model of before.
    """
    digest = hashlib.sha256()
    for path in _files():
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _files() -> list[Path]:
    """Return the files that decide what the server answers, those of the rooms it uses too."""
    own = sorted(path for pattern in _PATTERNS for path in _FOLDER.rglob(pattern))
    package = _FOLDER.parent
    return [*own, *sorted(package.glob("*.py")), *sorted(package.glob("architectures/*.py"))]
