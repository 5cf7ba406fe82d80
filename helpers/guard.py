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

import psutil

GRACE_SECONDS = 5


def main() -> int:
    """Run the command that the arguments spell, and return its exit status."""
    child = psutil.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_with_the_pipe, args=(child,), daemon=True).start()
    return int(child.wait())


def _end_with_the_pipe(child: psutil.Popen) -> None:
    os.read(sys.stdin.fileno(), 1)  # nothing is ever sent
    end(child)


def end(child: psutil.Process) -> None:
    """End a process and its descendants: ask first, insist after some seconds.

    Args:
        child: the process; it may have ended already.
    """
    try:
        family = [child, *child.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, left = psutil.wait_procs(family, GRACE_SECONDS)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


if __name__ == "__main__":
    raise SystemExit(main())
