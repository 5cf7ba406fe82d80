"""Runs a command, and ends it and all that it started when whoever asked for it is gone.

It is a program of its own, started by `helpers.processes`: it holds the far end of a pipe, which
the system closes when the notebook's kernel ends, however it ends. Then nothing is left running.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time

import psutil

GRACE_SECONDS = 5
POLL_SECONDS = 0.02


def main() -> int:
    """Run the command that the arguments spell, and return its exit status."""
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    family_ends = threading.Event()
    ending = threading.Thread(target=_end_with_the_pipe, args=(child.pid, family_ends), daemon=True)
    ending.start()
    status = child.wait()
    if family_ends.is_set():
        ending.join()  # the command may end before its children do
    return status


def _end_with_the_pipe(pid: int, family_ends: threading.Event) -> None:
    os.read(sys.stdin.fileno(), 1)  # nothing is ever sent
    family_ends.set()
    with contextlib.suppress(psutil.NoSuchProcess):
        end(psutil.Process(pid))


def end(child: psutil.Process) -> None:
    """End a process and its descendants: ask first, insist after some seconds.

    Args:
        child: the process; it may have ended already.
    """
    family = _held_still(child)
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
            process.resume()  # to hear the request
    left = _still_running(family)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    _still_running(left)


def _still_running(family: list[psutil.Process]) -> list[psutil.Process]:
    """Wait some seconds for processes to end; return those that have not.

    They are only looked at: the status of the command is for `main` to collect.
    """
    deadline = time.monotonic() + GRACE_SECONDS
    while left := [process for process in family if _runs(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(POLL_SECONDS)
    return left


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _held_still(child: psutil.Process) -> list[psutil.Process]:
    """Suspend a process and its descendants, and return them.

    One that runs on could start another after its children were counted.
    """
    family: list[psutil.Process] = []
    found = [child]
    while found:
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        family += found
        found = [process for process in _descendants(child) if process not in family]
    return family


def _descendants(child: psutil.Process) -> list[psutil.Process]:
    try:
        return list(child.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


if __name__ == "__main__":
    raise SystemExit(main())
