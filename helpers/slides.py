"""Decks of slides from the notebooks' own cells, each one file that opens with no network.

What is on a slide is written in the notebooks (`helpers.slide_rule`), nbconvert's exporter turns
the cells into reveal.js's sections, and reveal.js itself, of a pinned and verified version, is
copied into each deck. Formulas are left as they are typed: the course has none.
"""

from __future__ import annotations

import re
import tomllib
from base64 import b64encode
from functools import cache
from mimetypes import guess_type
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters.slides import SlidesExporter

from helpers.bootstrap import ROOT
from helpers.embedded.catalog import File, Package
from helpers.embedded.fetch import member
from helpers.environment import cache_folder
from helpers.messages import text
from helpers.runner import find, write
from helpers.slide_layout import lay_out
from helpers.slide_rule import choose, kind_of

TEMPLATE = Path(__file__).parent / "decks"
ENDING = ".slides.html"
_NOTEBOOK_LINK = re.compile(r"\]\((\d\d_\w+)\.ipynb(#[^)]*)?\)")

_PICTURE = re.compile(r"(!\[[^\]]*\])\((?!\w+:)([^)]+)\)")


def main(
    numbers: list[str], *, output: Path | None = None, mark: bool = False, root: Path = ROOT
) -> int:
    """Make the decks, or choose the slides of the cells that say nothing yet.

    Args:
        numbers: which notebooks, such as ``["00", "04"]``; all of them if empty.
        output: where the decks go; ``executed/slides/`` by default.
        mark: write the rule's choices into the notebooks instead.
        root: the course's folder.

    Returns:
        0.

    Raises:
        CourseError: if a notebook does not exist or reveal.js cannot be had.
    """
    paths = find(numbers, root / "notebooks" / "pt")
    if mark:
        for path in paths:
            print(text("slides.marked", name=path.stem, count=mark_cells(path)))
        return 0
    folder = output or root / "executed" / "slides"
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        target = folder / f"{path.stem}{ENDING}"
        target.write_text(deck(path), encoding="utf-8", newline="\n")
        print(text("slides.written", path=target), flush=True)
    print(text("slides.how_to_use"))
    return 0


def mark_cells(path: Path) -> int:
    """Write the rule's choice into each cell of a notebook that has none.

    Args:
        path: the notebook; nothing else in it changes.

    Returns:
        How many cells were marked.
    """
    notebook = nbformat.read(path, as_version=4)
    marked = 0
    for cell, kind in zip(notebook.cells, choose(notebook.cells), strict=True):
        if kind_of(cell) is None:
            cell.metadata["slideshow"] = {"slide_type": kind}
            marked += 1
    if marked:
        write(notebook, path)
    return marked


def deck(path: Path) -> str:
    """Return a notebook's deck: one HTML page that asks nothing of any other file or host.

    Args:
        path: the notebook.

    Raises:
        CourseError: if reveal.js is not at hand and cannot be fetched.
    """
    notebook = nbformat.read(path, as_version=4)
    title = re.sub(r"\A#+ *", "", notebook.cells[0].source.partition("\n")[0])
    running = f"{path.name[:2]} {title}"
    notebook.cells = lay_out(notebook.cells, running)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _NOTEBOOK_LINK.sub(rf"](\1{ENDING})", cell.source)
            cell.source = embed_pictures(cell.source, path.parent)
    parts = {**_reveal(), **_own_files(), "title": f"{running} · {text('slides.course')}"}
    page, _ = _exporter().from_notebook_node(notebook, resources={"deck": parts})
    return str(page)


def embed_pictures(markdown: str, folder: Path) -> str:
    """Put each picture's bytes in place of its path, so that the text can be read elsewhere.

    Args:
        markdown: a cell's source.
        folder: what the paths in it are relative to.
    """

    def embedded(found: re.Match[str]) -> str:
        path = folder / found[2]
        kind = guess_type(path.name)[0]
        return f"{found[1]}(data:{kind};base64,{b64encode(path.read_bytes()).decode()})"

    return _PICTURE.sub(embedded, markdown)


@cache
def reveal_files() -> dict[str, File]:
    """Return what is taken of reveal.js, by role: script, style, notes and licence."""
    entry = tomllib.loads((TEMPLATE / "reveal.toml").read_text(encoding="utf-8"))
    package = Package(**entry["package"])
    return {role: File(package=package, **file) for role, file in entry["files"].items()}


def fetch() -> None:
    """Bring reveal.js in, so that decks can be made with no network from then on.

    Raises:
        CourseError: if it cannot be had.
    """
    _reveal()


@cache
def _reveal() -> dict[str, str]:
    folder = cache_folder() / "slides"
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        role: member(file, folder=folder).read_text(encoding="utf-8")
        for role, file in reveal_files().items()
    }
    return {
        "reveal_script": contents["script"],
        "reveal_style": contents["style"],
        "notes_script": contents["notes"],
        "licence": contents["licence"],
    }


def _own_files() -> dict[str, str]:
    return {
        "style": (TEMPLATE / "deck.css").read_text(encoding="utf-8"),
        "script": (TEMPLATE / "deck.js").read_text(encoding="utf-8"),
    }


@cache
def _exporter() -> Any:
    return SlidesExporter(
        extra_template_basedirs=[str(TEMPLATE.parent)],
        template_name=TEMPLATE.name,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    )
