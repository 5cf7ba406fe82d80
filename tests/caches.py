"""Cache folders for tests: their own secret, record and server, and the models already built."""

import shutil
import tempfile
from pathlib import Path

from helpers.environment import cache_folder

SHARED_FOLDERS = ("models", "datasets", "spaces", "partial", "wheels")


def share(name, folder):
    """Let a cache folder see a part of the real one."""
    target = cache_folder() / name
    target.mkdir(exist_ok=True)
    (folder / name).symlink_to(target, target_is_directory=True)


def share_all(folder):
    """Let a cache folder see every repository that is built."""
    for name in SHARED_FOLDERS:
        share(name, folder)


def temporary():
    """Return a new cache folder that sees every repository that is built."""
    folder = Path(tempfile.mkdtemp(prefix="curso-hf-"))
    share_all(folder)
    return folder


def discard(folder):
    """Stop the server of the cache folder in use, and delete the folder."""
    from helpers.embedded.lifecycle import stop_server

    stop_server()
    shutil.rmtree(folder, ignore_errors=True)  # what the links lead to stays
