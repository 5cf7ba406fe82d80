"""What every benchmark prints: where and with what it ran, and its table in Markdown."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Sequence
from datetime import date
from importlib.metadata import version

LIMITS = ("Medida", "Resultado", "Limite")


def print_heading(*libraries: str) -> None:
    """Print the command, the date, the machine and the versions of libraries.

    Args:
        libraries: names of installed packages.
    """
    versions = ", ".join(f"{name} {version(name)}" for name in libraries)
    print(f"`python {' '.join(sys.argv)}`\n")
    print(f"{date.today()}, {platform.system()} {platform.machine()}, {os.cpu_count()} núcleos,")
    print(f"Python {platform.python_version()}, {versions}\n", flush=True)


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a Markdown table.

    Args:
        header: the columns' names.
        rows: the cells, already as text.
    """
    for row in (header, ["---"] * len(header), *rows):
        print(f"| {' | '.join(row)} |")
