"""Every notebook on a made-up Colab: alone in an empty folder, with the course installed by it.

Two of them are run at every change; all of them by `python -m helpers test --full` and each week,
with the versions that Colab has that day.
"""

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
SANITIZE = ROOT / "tests" / "notebooks" / "sanitize.cfg"
NAMES = [path.name for path in sorted((ROOT / "notebooks" / "pt").glob("[0-9][0-9]_*.ipynb"))]
AT_EVERY_CHANGE = ("00", "04")
NOT_COMPARED = {"nbval-ignore-output", "nbval-skip"}
PATTERNS = re.findall(r"^regex: (.*)\nreplace: (.*)$", SANITIZE.read_text("utf-8"), re.MULTILINE)


def sanitized(shown):
    for pattern, replacement in PATTERNS:
        shown = re.sub(pattern, replacement, shown)
    return shown.strip()


def stored(cell):
    """Return what a cell showed when its notebook was published."""
    texts = [out.get("text") or out.get("data", {}).get("text/plain", "") for out in cell.outputs]
    return "\n".join(texts)


@pytest.mark.parametrize(
    "name",
    [
        name if name[:2] in AT_EVERY_CHANGE else pytest.param(name, marks=pytest.mark.slow)
        for name in NAMES
    ],
)
def test_notebook(name, machine, course, tmp_path):
    path = course / "notebooks" / "pt" / name
    alone = machine.with_one_notebook(path, tmp_path / "content")
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    different = []
    with alone.session() as session:
        for cell in cells:
            shown = session.run(cell.source, cell.metadata)
            assert not shown.stopped, f"{cell.source}\n--- showed\n{shown.plain}"
            compared = not NOT_COMPARED & set(cell.metadata.get("tags", []))
            if compared and sanitized(stored(cell)) != sanitized(shown.plain):
                different.append(f"{cell.source}\n--- stored\n{stored(cell)}\n--- {shown.plain}")
    assert not different, "\n\n".join(different)
