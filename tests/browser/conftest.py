"""A real JupyterLab in a real browser: Debian's Chromium, driven by Playwright.

Where Chromium is missing these tests are skipped, unless COURSE_BROWSER=required, which CI sets.
Screenshots are left in `executed/browser/`, to be looked at.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from helpers.processes import free_port
from tests.browser.lab_page import LabPage

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks" / "pt"
SCREENSHOTS = ROOT / "executed" / "browser"
START_SECONDS = 60
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",  # CI runs as root, where Chromium's sandbox does not start
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
# No question about news over the notebook, and every cell in the page, even those out of sight.
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},
}


@pytest.fixture(scope="module")
def chromium():
    """The browser's path."""
    found = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if found is None and os.environ.get("COURSE_BROWSER") == "required":
        pytest.fail("Chromium is not installed, and COURSE_BROWSER says that it must be")
    return found or pytest.skip("Chromium is not installed")


# Not for the whole session: while it is open, Playwright runs an event loop in this thread, and
# another test's asyncio.run() would fail.
@pytest.fixture(scope="module")
def browser(chromium):
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab over copies of the notebooks: its base address and token."""
    folder = tmp_path_factory.mktemp("lab")
    for path in NOTEBOOKS.glob("*.ipynb"):
        shutil.copy(path, folder)
    port, token = free_port(), secrets.token_hex(16)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--ServerApp.root_dir={folder}"]
    command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--LabApp.news_url=None"]
    command.append("--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    own = tmp_path_factory.mktemp("jupyterlab")
    _write_settings(own / "settings")
    environment = os.environ | {
        "JUPYTER_TOKEN": token,
        "JUPYTERLAB_SETTINGS_DIR": str(own / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(own / "workspaces"),
    }
    log = own / "lab.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    base = f"http://127.0.0.1:{port}"
    try:
        _wait_until_it_answers(f"{base}/api?token={token}", process, log)
        yield base, token
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def open_notebook(browser, lab, request):
    """Open a copy of a notebook by its number, in a page of its own."""
    base, token = lab
    pages = []

    def opened(number: str) -> LabPage:
        (path,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
        page = browser.new_page(viewport={"width": 1280, "height": 1000}, locale="pt-BR")
        pages.append(page)
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.goto(f"{base}/lab/workspaces/{request.node.name}/tree/{path.name}?token={token}")
        return LabPage(page, SCREENSHOTS / number)

    yield opened
    for page in pages:
        page.close()


def _write_settings(folder: Path) -> None:
    for name, values in SETTINGS.items():
        path = folder / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values), encoding="utf-8")


def _wait_until_it_answers(url: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text(encoding='utf-8')}")
