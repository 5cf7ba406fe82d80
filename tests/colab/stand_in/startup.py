"""What Colab does to a kernel before a notebook's first cell, as far as cell 1 can tell."""

import subprocess

import google.colab  # noqa: F401 - Colab's kernel has it loaded
from IPython import get_ipython


def _without_terminal(command: str) -> None:
    """Run a shell command as Colab does: what asks a question finds no terminal to ask it on."""
    done = subprocess.run(
        command,
        shell=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    )
    print(done.stdout, end="")
    get_ipython().user_ns["_exit_code"] = done.returncode


get_ipython().system = _without_terminal
