"""Where the course is running: Colab or not, which device, how much memory, is the Hub there."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

HUB_URL = "https://huggingface.co"
MAIN_LIBRARIES = ("torch", "transformers", "huggingface_hub", "datasets", "requests")


def cache_folder() -> Path:
    """Return the course's own folder for models and packages, made if needed.

    It is ``$COURSE_CACHE`` if set, else ``~/.cache/curso-hf`` (``%LOCALAPPDATA%\\curso-hf`` on
    Windows).
    """
    chosen = os.environ.get("COURSE_CACHE")
    local = os.environ.get("LOCALAPPDATA") if sys.platform == "win32" else None
    if chosen:
        folder = Path(chosen).expanduser().absolute()
    elif local:
        folder = Path(local) / "curso-hf"
    else:
        folder = Path.home() / ".cache" / "curso-hf"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
