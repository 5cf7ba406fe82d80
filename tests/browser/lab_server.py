"""Debian's Chromium and a JupyterLab of our own, as context managers."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers import lab
from helpers.processes import free_port

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "executed" / "browser"
START_SECONDS = 60
STOP_SECONDS = 20
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",  # CI runs as root, where Chromium's sandbox does not start
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: the folder that it shows, and how to open a file there."""

    folder: Path
    base: str
    token: str

    def address(self, name: str) -> str:
        """Where a file opens, in a workspace of its own: nothing else is open beside it."""
        workspace = Path(name).stem
        return f"{self.base}/lab/workspaces/{workspace}/tree/{name}?token={self.token}"

    def end_kernels(self) -> None:
        """Free what the notebooks' kernels hold."""
        for session in json.loads(self._request("GET", "/api/sessions")):
            self._request("DELETE", f"/api/sessions/{session['id']}")

    def _request(self, method: str, path: str) -> bytes:
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(self.base + path, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=STOP_SECONDS) as answer:
            return bytes(answer.read())


def find_chromium() -> str | None:
    """Return the browser's path.

    Raises:
        AssertionError: if there is none, and COURSE_BROWSER says that there must be.
    """
    found = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    required = os.environ.get("COURSE_BROWSER") == "required"
    assert found or not required, (
        "Chromium is missing, and COURSE_BROWSER says that it must be here"
    )
    return found


@contextmanager
def running_chromium(path: str) -> Iterator[Any]:
    """Open a browser.

    Not for a whole test session: while it is open, Playwright runs an event loop in this thread,
    and another test's asyncio.run() would fail.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS)
        yield opened
        opened.close()


@contextmanager
def running_lab(folder: Path, own: Path, environment: dict[str, str]) -> Iterator[Lab]:
    """Run JupyterLab as `python -m helpers lab` does, but without what this user has set.

    Args:
        folder: what it shows.
        own: an empty folder for its settings, workspaces and log.
        environment: its environment variables, which its kernels inherit.
    """
    token = secrets.token_hex(16)
    port = free_port()
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--ServerApp.root_dir={folder}"]
    command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--LabApp.news_url=None"]
    command.append("--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate")
    command.append("--LabApp.expose_app_in_browser=True")  # the page's state can be asked for
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    _write_settings(own / "settings")
    environment = environment | {
        "JUPYTER_TOKEN": token,
        "JUPYTERLAB_SETTINGS_DIR": str(own / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(own / "workspaces"),
    }
    log = own / "lab.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    base = f"http://127.0.0.1:{port}"
    try:
        wait_until_it_answers(f"{base}/api?token={token}", process, log)
        yield Lab(folder, base, token)
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def _write_settings(folder: Path) -> None:
    """What `python -m helpers lab` sets as defaults, set here for this Lab alone."""
    for plugin, values in lab.SETTINGS.items():
        package, _, name = plugin.partition(":")
        path = folder / package / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values), encoding="utf-8")


def wait_until_it_answers(
    url: str, process: "subprocess.Popen[bytes]", log: Path, seconds: float = START_SECONDS
) -> None:
    """Wait until a program that was started answers at an address; show its log if it does not."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"the program did not start:\n{log.read_text(encoding='utf-8')}")
