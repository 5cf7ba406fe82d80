"""Copy the files of a Space that the course wrote.

A Space is its sources: a program, what it needs installed, and a card whose header names the SDK.
The embedded Hub serves them and runs none of them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

VERSION = 1

FILES = ("app.py", "requirements.txt", "README.md")


def build(source: Path, target: Path) -> None:
    """Write the Space's files.

    Args:
        source: Folder of the Space, ``helpers/embedded/spaces/NAME``.
        target: Existing empty folder.

    Raises:
        FileNotFoundError: The Space lacks one of its files.
    """
    for name in FILES:
        shutil.copyfile(source / name, target / name)
