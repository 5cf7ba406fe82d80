"""What all tests share: the embedded world, no network, and GPU tests only where there is one."""

import os
import signal
import sys
from pathlib import Path

import pytest

from tests import caches

# A runner started in the background by a shell ignores Ctrl-C, and so would every child of it:
# the tests that interrupt a command need what a terminal has.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Started before the others, so that no process is left with them when the other has finished.
LONGEST = ("test_executed.py", "09_treine_o_seu_modelo.ipynb")
NETWORK_DENIED = Path(__file__).parent / "network_denied"

os.environ.setdefault("COURSE_MODE", "embedded")
os.environ.setdefault("COURSE_PROGRESS", "off")  # the progress of whoever runs the tests is theirs


def _deny_network():
    """Deny the network here and, through the environment, in every child process."""
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if str(NETWORK_DENIED) not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join([str(NETWORK_DENIED), *filter(None, paths)])
    loaded = sys.modules.get("sitecustomize")
    if not hasattr(loaded, "deny"):  # this Python started without it
        sys.modules.pop("sitecustomize", None)
        sys.path.insert(0, str(NETWORK_DENIED))
        import sitecustomize  # noqa: F401 - importing it is what denies

        sys.path.remove(str(NETWORK_DENIED))


if os.environ.get("COURSE_TEST_NETWORK") != "1":  # for tests marked `registry`
    _deny_network()


def pytest_configure(config):
    """Give each process of pytest-xdist a cache folder, and so a server, of its own."""
    if os.environ.get("PYTEST_XDIST_WORKER"):
        os.environ["COURSE_CACHE"] = str(caches.temporary())


def pytest_sessionfinish(session):
    # Not pytest_unconfigure: by then pytest-xdist may already be ending this process.
    if os.environ.get("PYTEST_XDIST_WORKER"):
        caches.discard(os.environ["COURSE_CACHE"])


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in LONGEST)
    gpu_items = [item for item in items if item.get_closest_marker("gpu")]
    if gpu_items and not _has_cuda():
        for item in gpu_items:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


def _has_cuda():
    import torch

    return torch.cuda.is_available()
