"""Which cells of a notebook are slides, and which are said aloud, run beforehand or left out.

The rule is applied once, by ``python -m helpers slides --mark``, and its choices are written into
the notebooks (`slideshow.slide_type`), where a teacher changes them in JupyterLab: the property
inspector, *Common Tools*, *Slide Type*. A choice that is there is never overwritten.

| cell | choice |
|---|---|
| opens a section (H1, H2) | slide |
| opens a subsection or an exercise (H3) | subslide |
| the setup section: heading and cell | skip; its remarks are notes |
| a table, a list, a picture or an example of its own | subslide |
| one or two short sentences right before code | subslide, which the code continues |
| other prose | notes, for the one who speaks |
| code after a heading or after its sentence | continues the slide |
| other code | fragment: it appears at the next key, on a new slide where this one is full |
"""

from __future__ import annotations

import re
from typing import Any, Literal

Kind = Literal["slide", "subslide", "fragment", "notes", "skip", ""]
"""What JupyterLab writes in `slideshow.slide_type`; empty: continues the slide it stands on."""

KINDS: tuple[Kind, ...] = ("slide", "subslide", "fragment", "notes", "skip", "")

LEAD_IN_WORDS = 32
_HEADING = re.compile(r"^(#{1,6}) ", flags=re.MULTILINE)
_FENCE = re.compile(r"^ *(```|~~~).*?^ *\1 *$", flags=re.DOTALL | re.MULTILINE)
_SHOWN = re.compile(r"^ *(\||[-*+] |\d+\. |!\[|<img|```|~~~)", flags=re.MULTILINE)


def choose(cells: list[Any]) -> list[Kind]:
    """Choose for each cell of a notebook, by the rule alone.

    Args:
        cells: the notebook's cells, in order.

    Returns:
        One kind a cell.
    """
    setup = next((i for i, cell in enumerate(cells) if cell.cell_type == "code"), -1)
    kinds: list[Kind] = []
    for index, cell in enumerate(cells):
        if 0 < index <= setup:
            kinds.append("skip")
        elif cell.cell_type == "code":
            kinds.append(_code(cells[index - 1], kinds[-1] if kinds else "skip"))
        else:
            following = cells[index + 1] if index + 1 < len(cells) else None
            kinds.append(_prose(cell.source, following))
    return kinds


def kind_of(cell: Any) -> Kind | None:
    """Return what is written in a cell; None if nothing is, or nothing that JupyterLab knows."""
    written = cell.metadata.get("slideshow", {}).get("slide_type")
    return written if written in KINDS else None


def heading_level(markdown: str) -> int | None:
    """Return the level of the first heading, 1 to 6; None where there is none."""
    found = _HEADING.search(_FENCE.sub("", markdown))
    return len(found[1]) if found else None


def _prose(source: str, following: Any) -> Kind:
    level = heading_level(source)
    if level:
        return "slide" if level <= 2 else "subslide"
    if _SHOWN.search(source):
        return "subslide"
    leads_in = following is not None and following.cell_type == "code"
    return "subslide" if leads_in and len(source.split()) <= LEAD_IN_WORDS else "notes"


def _code(before: Any, kind_before: Kind) -> Kind:
    leads_in = before.cell_type == "markdown" and kind_before not in ("notes", "skip")
    return "" if leads_in else "fragment"
