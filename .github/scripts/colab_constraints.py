"""Prints, as pip constraints, Colab's version of each package that the course depends on.

Colab publishes what its image holds (`pip freeze`). Most of those packages have nothing to do with
the course, and some lines name builds that exist on Colab only: they are left out.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What the course's direct dependencies must agree with, besides themselves.
ALSO = {"ipykernel", "ipython", "pyarrow", "scipy", "tokenizers"}


def main(freeze: Path) -> None:
    """Print one `name==version` a line.

    Args:
        freeze: what `pip freeze` printed on Colab.
    """
    wanted = dependencies() | ALSO
    pinned = re.compile(r"([\w.-]+)==([\w.]+?)(?:\+[\w.]+)?")
    for line in freeze.read_text(encoding="utf-8").splitlines():
        match = pinned.fullmatch(line.strip())
        if match and canonical(match[1]) in wanted:
            print(f"{match[1]}=={match[2]}")


def dependencies() -> set[str]:
    """Return the names of the packages that notebooks need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {canonical(re.split(r"[<>=!~ \[]", line)[0]) for line in project["dependencies"]}


def canonical(name: str) -> str:
    """Return a package's name as the index writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
