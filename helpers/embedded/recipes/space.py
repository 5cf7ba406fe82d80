"""Copy the files of a Space that the course wrote.

A Space is its sources: a program, what it needs installed, a card whose header names the SDK, and
what the program reads. The embedded Hub serves them and runs none of them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

VERSION = 2

FILES = ("app.py", "requirements.txt", "README.md")
LEFT_BY_RUNS = ("__pycache__", "*.pyc", ".gradio")


def build(source: Path, target: Path) -> None:
    """Write the Space's files.

    Args:
        source: Folder of the Space, ``helpers/embedded/spaces/NAME``.
        target: Existing empty folder.

    Raises:
        FileNotFoundError: The Space lacks one of the files that every Space has.
    """
    missing = [name for name in FILES if not (source / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{source.name} lacks {', '.join(missing)}")
    ignore = shutil.ignore_patterns(*LEFT_BY_RUNS)
    shutil.copytree(
        source, target, ignore=ignore, copy_function=shutil.copyfile, dirs_exist_ok=True
    )
