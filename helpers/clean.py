"""Twins of the notebooks for a class in which the teacher types the code live.

What stays: headings, tables, lists, pictures and short paragraphs; of a long one, the first
sentence and, before code, the last, which announces it. The setup cell, the exercises, the quiz
and cells that hold nothing but data (a text to be asked about, a list of questions) stay whole:
nobody learns from typing them. Every other code cell holds one comment that names what the code
creates or shows, because later cells use those names. There are no outputs.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import nbformat

from helpers.bootstrap import ROOT
from helpers.messages import text
from helpers.runner import KERNEL, find, write
from helpers.slide_layout import blocks_of, is_prose
from helpers.slides import embed_pictures

KEPT_KEY = "impressao"  # what the twin was when it was made
BACKUP = ".anterior.ipynb"
SHORT_WORDS = 45

_DOING = re.compile(r"helpers\.(exercise|quiz)\(")
_SETUP = re.compile(r"^course = helpers\.setup\(", flags=re.MULTILINE)
_COLAB = re.compile(r"^(\*Abrir no Colab|\[!\[)")
# A sentence ends before a space and a capital; not after one letter, as in “p. ex. O”.
_SENTENCE_END = re.compile(
    r"(?<=[^\W\d_]{2}[.!?:])\s+(?=[A-ZÀ-Ý“\"*`¿])|(?<=[`*)”\d][.!?:])\s+(?=[A-ZÀ-Ý“])"
)


def main(
    numbers: list[str], *, output: Path | None = None, force: bool = False, root: Path = ROOT
) -> int:
    """Make the twins; one that was changed since stays as it is, and that is said.

    Args:
        numbers: which notebooks, such as ``["00", "04"]``; all of them if empty.
        output: where the twins go; ``executed/aula/`` by default.
        force: replace changed twins too; each is kept beside the new one.
        root: the course's folder.

    Returns:
        0 if every twin was made, 1 if one was left alone.

    Raises:
        CourseError: if a notebook does not exist.
    """
    folder = output or root / "executed" / "aula"
    folder.mkdir(parents=True, exist_ok=True)
    kept = 0
    for path in find(numbers, root / "notebooks" / "pt"):
        target = folder / path.name
        if was_changed(target):
            if not force:
                kept += 1
                print(text("clean.kept", path=target))
                continue
            backup = target.with_suffix(BACKUP)
            target.replace(backup)
            print(text("clean.backup", path=backup))
        write(twin(path), target)
        print(text("clean.written", path=target))
    if kept:
        print(text("clean.how_to_force", count=kept))
    return int(kept > 0)


def twin(path: Path) -> Any:
    """Return a notebook's twin for live coding.

    Args:
        path: the notebook.
    """
    notebook = nbformat.read(path, as_version=4)
    cells = notebook.cells
    following = [*cells[1:], None]
    made = [_cell(cell, after, path) for cell, after in zip(cells, following, strict=True)]
    made = [cell for cell in made if cell.cell_type == "code" or cell.source]
    twin = nbformat.v4.new_notebook(cells=made)
    twin.metadata = {
        "kernelspec": KERNEL,
        "language_info": {"name": "python"},
        "curso": {KEPT_KEY: fingerprint(made)},
    }
    return twin


def was_changed(path: Path) -> bool:
    """Tell whether a twin is there and is no longer what the course made."""
    if not path.exists():
        return False
    try:
        there = nbformat.read(path, as_version=4)
    except (ValueError, KeyError, AttributeError):  # not a notebook any more
        return True
    return bool(there.metadata.get("curso", {}).get(KEPT_KEY) != fingerprint(there.cells))


def fingerprint(cells: list[Any]) -> str:
    """Return a digest of what is written in the cells; outputs and metadata do not count."""
    written = json.dumps([[cell.cell_type, cell.source] for cell in cells], ensure_ascii=False)
    return hashlib.sha256(written.encode()).hexdigest()[:16]


def prompt(source: str) -> str:
    """Return the comment that stands in a cell for its code.

    Args:
        source: the code.

    Returns:
        What it imports, creates and shows: ``# importa requests; cria response; mostra ...``.
    """
    try:
        body = ast.parse(source).body
    except SyntaxError:  # IPython's own commands
        return f"# {source.splitlines()[0]}"
    imported = [name for node in body for name in _imported(node)]
    created = [name for node in body for name in _created(node)]
    parts = []
    if imported:
        parts.append(text("clean.imports", names=", ".join(dict.fromkeys(imported))))
    if created:
        parts.append(text("clean.creates", names=", ".join(dict.fromkeys(created))))
    shown = _shown(body[-1], source) if body else ""
    if shown:
        parts.append(text("clean.shows", what=shown))
    return f"# {'; '.join(parts) or text('clean.starts', line=source.splitlines()[0])}"


def _cell(cell: Any, following: Any, path: Path) -> Any:
    copy = deepcopy(cell)
    copy.metadata = {}
    if cell.cell_type == "markdown":
        copy.source = embed_pictures(_shortened(cell.source, following), path.parent)
        return copy
    if cell.cell_type == "code":
        copy.outputs, copy.execution_count = [], None
        copy.source = cell.source if _stays(cell.source) else prompt(cell.source)
    return copy


def _stays(source: str) -> bool:
    """Tell whether a cell is given to the class as it is."""
    return bool(_SETUP.search(source) or _DOING.search(source)) or _is_data(source)


def _is_data(source: str) -> bool:
    """Tell whether a cell only gives names to texts, numbers, and lists or tables of them."""
    try:
        body = ast.parse(source).body
        for node in body:
            if not isinstance(node, ast.Assign):
                return False
            ast.literal_eval(node.value)
    except (SyntaxError, ValueError):
        return False
    return bool(body)


def _shortened(source: str, following: Any) -> str:
    """Leave of the prose what a class reads on the screen while someone speaks."""
    blocks = [block for block in blocks_of(source) if not _COLAB.match(block)]
    announces = following is not None and following.cell_type == "code"
    if announces and _DOING.search(following.source):
        return "\n\n".join(blocks)  # an exercise says all that it asks
    prose = [place for place, block in enumerate(blocks) if is_prose(block)]
    for place in prose:
        if len(blocks[place].split()) <= SHORT_WORDS:
            continue
        first, *others = _SENTENCE_END.split(blocks[place])
        said = [first] if place == prose[0] else []
        if announces and place == prose[-1]:
            said += others[-1:] if said else [(others or [first])[-1]]
        if blocks[place].endswith(":") and not announces:
            said = [blocks[place]]  # it introduces the list or the table under it
        blocks[place] = " ".join(said)
    return "\n\n".join(block for block in blocks if block)


def _imported(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    return []


def _created(node: ast.stmt) -> list[str]:
    """Return the names that a statement leaves behind, whatever block it stands in."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [f"{node.name}({_parameters(node)})"]
    if isinstance(node, ast.Assign):
        return [name for target in node.targets for name in _names(target)]
    if isinstance(node, ast.AugAssign | ast.AnnAssign):
        return _names(node.target)
    inner = [*getattr(node, "body", []), *getattr(node, "orelse", [])]
    return [name for child in inner for name in _created(child)]


def _parameters(node: ast.FunctionDef | ast.ClassDef) -> str:
    return ast.unparse(node.args) if isinstance(node, ast.FunctionDef) else ""


def _names(target: ast.expr) -> list[str]:
    if isinstance(target, ast.Tuple | ast.List):
        return [name for element in target.elts for name in _names(element)]
    if isinstance(target, ast.Starred):
        return _names(target.value)
    return [ast.unparse(target)]


def _shown(node: ast.stmt, source: str) -> str:
    """Say what the last line shows: short ones whole, calls by their name."""
    if not isinstance(node, ast.Expr):
        return ""
    whole = ast.get_source_segment(source, node.value) or ""
    if len(whole) <= 60 and "\n" not in whole:
        return whole
    if isinstance(node.value, ast.Call):
        return f"{ast.unparse(node.value.func)}(...)"
    return ""
