"""JupyterLab on the first notebook, with an address as soon as it answers."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.bootstrap import ROOT, StatusLine, child_process, venv_folder
from helpers.environment import cache_folder
from helpers.errors import CourseError
from helpers.messages import text

FIRST_NOTEBOOK = "notebooks/pt/00_comece_aqui.ipynb"
START_SECONDS = 60
# Otherwise JupyterLab opens with a question, in English, over the first notebook. Its language pack
# lags behind it: what it does not translate, such as the menus' names, stays in English.
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/translation-extension:plugin": {"locale": "pt_BR"},
}


@dataclass(frozen=True)
class _Address:
    """Where the running JupyterLab answers."""

    base: str
    token: str

    def of(self, path: str) -> str:
        return f"{self.base}{path}?token={self.token}"


def main(*, open_browser: bool = True, port: int | None = None, root: Path = ROOT) -> int:
    """Run JupyterLab until Ctrl-C.

    Args:
        open_browser: open the first notebook in the browser, or only print its address.
        port: the port to use, or None for the first free one from 8888 on.
        root: the course's folder.

    Returns:
        The exit code.

    Raises:
        CourseError: if the port is taken or JupyterLab does not start.
    """
    if port is not None and _is_taken(port):
        raise CourseError(text("cli.lab_port_taken", port=port))
    status = StatusLine()
    status.show(text("cli.lab_starting"), "lab")
    if Path(sys.prefix) == venv_folder(root):
        _write_settings(Path(sys.prefix))
    log = cache_folder() / "jupyterlab.log"
    environment = os.environ | {"JUPYTER_TOKEN": secrets.token_hex(24)}
    with (
        log.open("w", encoding="utf-8") as output,
        child_process(
            _command(port, root), env=environment, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        address = _wait_until_ready(process, log, status)
        url = address.of(_page(root))
        status.finish(text("cli.lab_ready", url=url))
        print(text("cli.lab_stop"), flush=True)
        if open_browser:
            webbrowser.open(url)
        return _wait_until_stopped(process)


def _write_settings(environment: Path) -> None:
    """Set JupyterLab's defaults in the course's own environment; what the user chose stays."""
    path = environment / "share" / "jupyter" / "lab" / "settings" / "overrides.json"
    with suppress(OSError):  # a wish, not a need
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(SETTINGS, indent=2) + "\n", encoding="utf-8")


def _command(port: int | None, root: Path) -> list[str]:
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--ServerApp.answer_yes=True"),
        # No look-ups: the course also runs without a network.
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        f"--ServerApp.root_dir={root}",
    ]
    if port is not None:
        command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    return command


def _page(root: Path) -> str:
    return f"lab/tree/{FIRST_NOTEBOOK}" if (root / FIRST_NOTEBOOK).is_file() else "lab"


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait_until_ready(process: "subprocess.Popen[str]", log: Path, status: StatusLine) -> _Address:
    """Wait until HTTP answers, on the port that JupyterLab says it took."""
    from jupyter_core.paths import jupyter_runtime_dir

    runtime = Path(jupyter_runtime_dir())
    while status.elapsed < START_SECONDS:
        if process.poll() is not None:
            status.clear()
            raise CourseError(text("cli.lab_failed", detail=_last_error(log), log=log))
        address = _announced(runtime / f"jpserver-{process.pid}.json")
        if address and _answers(address):
            return address
        status.show(text("cli.lab_starting"), "lab")
        time.sleep(0.1)
    status.clear()
    detail = text("cli.lab_slow", seconds=START_SECONDS)
    raise CourseError(text("cli.lab_failed", detail=detail, log=log))


def _announced(path: Path) -> _Address | None:
    try:
        info: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):  # not written yet, or half written
        return None
    return _Address(base=info["url"], token=info["token"])


def _answers(address: _Address) -> bool:
    try:
        with urllib.request.urlopen(address.of("api/status"), timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _last_error(log: Path) -> str:
    lines = [line.strip() for line in log.read_text("utf-8", errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "")


def _wait_until_stopped(process: "subprocess.Popen[str]") -> int:
    try:
        process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
    print("\n" + text("cli.lab_stopped"), flush=True)
    return 0
