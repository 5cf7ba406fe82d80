"""Programs that a notebook runs beside itself: a script on several processes, a server.

None of them outlives the notebook: see `helpers.guard`.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import IO
from urllib.parse import urlsplit

from helpers import guard
from helpers.errors import CourseError
from helpers.messages import text

START_SECONDS = 120
STOP_SECONDS = 3 * guard.GRACE_SECONDS  # it asks, waits, insists, waits
# "ValueError: ...": the last line of a Python traceback, perhaps after a process's number.
_NAMED_ERROR = re.compile(r"(?:\[rank\d+\]: *)?[\w.]*(?:Error|Exception|Interrupt|Exit): .")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# The bars and warnings of these libraries would cover what a script says.
QUIET = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}


def run(command: str, *, timeout: float = 600) -> str:
    """Run a command line to its end, in the notebook's folder, and return what it printed.

    Args:
        command: what one would type in a terminal, as in ``"accelerate launch script.py"``.
        timeout: seconds after which it is ended.

    Raises:
        CourseError: if the program is not installed, fails (the sentence quotes its last line) or
            takes too long.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as problems:
        process = _start(command, output, problems)
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise CourseError(
                text("processes.too_slow", program=_program(command), seconds=int(timeout))
            ) from None
        finally:
            _stop(process)  # also when the cell is interrupted
        if status:
            reason = _last_line(problems) or _last_line(output)
            raise CourseError(
                text("processes.failed", program=_program(command), reason=reason, status=status)
            )
        output.seek(0)
        return output.read().decode(errors="replace").strip()


class Server:
    """A server that runs beside the notebook; usable in a ``with`` block.

    Attributes:
        url: its address.
    """

    def __init__(self, command: str, url: str, *, timeout: float = START_SECONDS) -> None:
        self.url = url.rstrip("/")
        self._require_free_port(command)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop()
        self._process = _start(command, self._log, self._log)
        try:
            self._wait(command, timeout)
        except BaseException:  # an interrupt, too
            self.stop()
            raise

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End it; a second call does nothing."""
        _stop(self._process)
        self._log.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return text("processes.running" if self.running else "processes.stopped", url=self.url)

    def _require_free_port(self, command: str) -> None:
        address = urlsplit(self.url)
        with socket.socket() as probe:
            probe.settimeout(1)
            taken = probe.connect_ex((address.hostname or "127.0.0.1", address.port or 80)) == 0
        if taken:
            raise CourseError(
                text("processes.port_taken", program=_program(command), port=address.port)
            )

    def _wait(self, command: str, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while time.monotonic() < deadline:
            if not self.running:
                reason = _last_line(self._log)
                raise CourseError(
                    text("processes.did_not_start", program=_program(command), reason=reason)
                )
            try:
                with direct.open(f"{self.url}/health", timeout=2):
                    return
            except OSError:
                time.sleep(0.2)
        raise CourseError(
            text("processes.too_slow", program=_program(command), seconds=int(timeout))
        )


def serve(command: str, url: str, *, timeout: float = START_SECONDS) -> Server:
    """Start a server beside the notebook and wait until it answers at ``/health``.

    It ends with ``stop()``, with a ``with`` block, or with the notebook, whichever comes first.

    Args:
        command: what one would type in a terminal, as in ``"transformers serve MODEL"``.
        url: the address at which the command serves.
        timeout: seconds to wait for the first answer.

    Raises:
        CourseError: if the program is not installed, the port is taken, or it does not start (the
            sentence quotes its last line).
    """
    return Server(command, url, timeout=timeout)


def free_port() -> int:
    """Return a port of this machine on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(command: str, output: IO[bytes], problems: IO[bytes]) -> subprocess.Popen[bytes]:
    program, *arguments = _words(command)
    found = _find(program)
    if found is None:
        raise CourseError(text("processes.not_installed", program=program))
    # -P: the guard's own folder is no place to import from.
    guarded = [sys.executable, "-P", guard.__file__, found, *arguments]
    return subprocess.Popen(
        guarded,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=problems,
        env=os.environ | QUIET,
        start_new_session=True,  # what interrupts a cell is not for it
    )


def _find(program: str) -> str | None:
    """Find a program: this environment's first, even where its folder is not on the path."""
    beside = shutil.which(program, path=str(Path(sys.executable).parent))
    return beside or shutil.which(program)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Let go of the pipe, so that the guard ends the rest."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _words(command: str) -> list[str]:
    return shlex.split(command, posix=os.name != "nt")  # a Windows path has backslashes


def _program(command: str) -> str:
    return Path(_words(command)[0]).name


def _last_line(file: IO[bytes]) -> str:
    """Return the line that says what happened: an error's last, not what its launcher adds."""
    file.seek(0)
    said = _COLOUR.sub("", file.read().decode(errors="replace"))  # Python 3.13 colours errors
    lines = [line.strip() for line in said.splitlines()]
    lines = [line for line in lines if line]
    errors = [line for line in lines if _NAMED_ERROR.match(line)]
    return (errors or lines or [""])[0 if errors else -1][:300]
