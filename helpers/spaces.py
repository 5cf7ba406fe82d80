"""Run a Space's app on this machine, next to the notebook."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import time
import urllib.request
from functools import cache
from pathlib import Path

from helpers.embedded import store
from helpers.environment import cache_folder
from helpers.errors import CourseError
from helpers.messages import text
from helpers.processes import free_port

HOST = "127.0.0.1"
START_SECONDS = 60
STOP_SECONDS = 5


@cache
def run(space_id: str, model: str, token: str, **variables: str) -> str:
    """Start an embedded Space's app, once, and return its address.

    The app is a process of its own that ends with this one.

    Args:
        space_id: such as ``curso/pergunte-ao-texto``.
        model: what the app finds in ``MODEL``: an id, or the full address of a model.
        token: what the app finds in ``HF_TOKEN``.
        **variables: other environment variables that the app reads.

    Returns:
        An address that ``gradio_client.Client`` takes.

    Raises:
        CourseError: if there is no such Space, or its app does not start.
    """
    folder = store.ensure(space_id)
    port = free_port()
    log = cache_folder() / "space.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=folder,
            env=_environment(port, model, token) | variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    atexit.register(_stop, process)
    url = f"http://{HOST}:{port}"
    _wait_until_it_answers(url, process, space_id, log)
    return url


def _environment(port: int, model: str, token: str) -> dict[str, str]:
    return os.environ | {
        "MODEL": model,
        "HF_TOKEN": token,
        "GRADIO_SERVER_NAME": HOST,
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "False",
    }


def _wait_until_it_answers(
    url: str, process: subprocess.Popen[bytes], space_id: str, log: Path
) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/config", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    _stop(process)
    raise CourseError(text("spaces.did_not_start", space=space_id, log=log))


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
