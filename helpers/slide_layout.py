"""Lays a notebook out as pages: what does not fit on one slide goes on to the next, or is spoken.

Heights are estimates, in lines of prose of `helpers/decks/deck.css`; the page itself measures and
shrinks what was estimated too low (`helpers/decks/deck.js`).
"""

from __future__ import annotations

import re
from copy import deepcopy
from math import ceil
from typing import Any

from nbformat.v4 import new_markdown_cell

from helpers.messages import text
from helpers.quizzes import Option, Question, quiz
from helpers.slide_rule import Kind, heading_level, kind_of

PAGE_LINES = 15.5
SMALLER = 1.2
PROSE_CHARACTERS = 74  # in a line
CODE_CHARACTERS = 80
CODE_LINE = 0.73  # of a line of prose
TABLE_LINE = 1.2
PICTURE_LINES = 12.5
SPOKEN_WORDS = 60  # beyond these, paragraphs are for the speaker

CHECK = re.compile(r"helpers\.exercise\([^)]*\)\.check\(")
QUIZ = re.compile(r"helpers\.quiz\(\"(\d\d)\"\)")
_BLOCK = re.compile(r"\n\s*\n")
_FENCE = re.compile(r"^ *(```|~~~).*?^ *\1 *$", flags=re.DOTALL | re.MULTILINE)
_PICTURE = re.compile(r"<(img|svg)\b")


def lay_out(cells: list[Any], running_title: str) -> list[Any]:
    """Return the cells of a deck, each with the slide type that nbconvert obeys.

    Args:
        cells: a notebook's cells; they are not changed.
        running_title: what stands on top of slides that belong to no section.

    Returns:
        New cells. Long prose is split into what is shown and what is spoken, an output that does
        not fit under its code goes on the next slide, exercises have no outputs, and a quiz has
        a slide a question, with the answer in the notes.
    """
    pages = _Pages(running_title)
    for position, cell in enumerate(cells):
        kind: Kind = kind_of(cell) or ""
        if kind in ("notes", "skip"):
            pages.put(deepcopy(cell), kind)
        elif cell.cell_type == "markdown":
            for source, part_kind in _parts(cell.source, kind, is_cover=position == 0):
                pages.put(_with(cell, source=source), part_kind)
        elif cell.cell_type == "code" and (asked := QUIZ.search(cell.source)):
            _put_quiz(pages, cell, asked[1])
        elif cell.cell_type == "code":
            _put_code(pages, cell, kind)
        else:
            pages.put(deepcopy(cell), kind)
    return pages.cells


class _Pages:
    """The deck so far, and how full its last slide is."""

    def __init__(self, running_title: str) -> None:
        self.cells: list[Any] = []
        self._course = running_title
        self._section = ""
        self._lines = 0.0

    def put(self, cell: Any, kind: Kind) -> None:
        """Add a cell; one that no longer fits on the slide starts another."""
        if kind not in ("notes", "skip"):
            kind = self._turn_page(cell, kind)
        data = {"section": self._section or self._course}
        if not self.cells:
            data["cover"] = "true"
        cell.metadata["slideshow"] = {"slide_type": kind, "data": data}
        cell["id"] = f"page-{len(self.cells)}"
        self.cells.append(cell)

    def has_room_for(self, lines: float, kind: Kind) -> bool:
        """Tell whether so many lines fit, on the slide that such a cell would be on."""
        taken = 0.0 if kind in ("slide", "subslide") else self._lines
        # Code stays with the sentence that announces it, in smaller letters if need be.
        room = PAGE_LINES * (SMALLER if kind == "" else 1)
        return taken + lines <= room

    def _turn_page(self, cell: Any, kind: Kind) -> Kind:
        lines = height(cell)
        if kind in ("", "fragment") and self._lines and not self.has_room_for(lines, kind):
            kind = "subslide"
        if kind in ("slide", "subslide"):
            self._lines = 0.0
        self._lines += lines
        if kind == "slide":
            self._section = ""  # the heading itself is there
        elif not self._section:
            self._section = self._last_heading()
        return kind

    def _last_heading(self) -> str:
        for cell in reversed(self.cells):
            kind = cell.metadata["slideshow"]["slide_type"]
            if kind == "slide" and (heading_level(cell.source) or 0) == 2:
                title = re.search(r"^## +(.+)$", cell.source, flags=re.MULTILINE)
                return f"{self._course} · {_plain(title[1])}" if title else ""
            if kind == "slide":
                break
        return ""


def _put_code(pages: _Pages, cell: Any, kind: Kind) -> None:
    shown = [] if CHECK.search(cell.source) else [_still(output) for output in cell.outputs]
    whole = _with(cell, outputs=shown)
    if kind == "fragment" and not pages.has_room_for(height(whole), kind):
        kind = "subslide"
    if not shown or pages.has_room_for(height(whole), kind):
        pages.put(whole, kind)
        return
    pages.put(_with(cell, outputs=[]), kind)
    result = _with(cell, source="", outputs=shown)
    result.metadata["transient"] = {"remove_source": True}
    pages.put(result, "subslide")


def _put_quiz(pages: _Pages, cell: Any, number: str) -> None:
    pages.put(_with(cell, outputs=[]), "")
    for question in quiz(number).questions:
        pages.put(new_markdown_cell(_asked(question)), "subslide")
        pages.put(new_markdown_cell(_answered(question)), "notes")


def _asked(question: Question) -> str:
    options = (f"- **{letter})** {one.text}" for letter, one in _lettered(question))
    return "\n".join([f"### {question.number}. {question.text}", "", *options])


def _answered(question: Question) -> str:
    told = (
        text("slides.right" if one.right else "slides.wrong", letter=letter, why=one.why)
        for letter, one in _lettered(question)
    )
    return "\n\n".join(told)


def _lettered(question: Question) -> zip[tuple[str, Option]]:
    return zip("abcdefgh", question.options, strict=False)


def _still(output: Any) -> Any:
    """Return an output without what only runs on the machine that made it: its twin stays."""
    copy = deepcopy(output)
    if "<iframe" in "".join(copy.get("data", {}).get("text/html", "")):
        del copy.data["text/html"]
    return copy


def height(cell: Any) -> float:
    """Estimate a cell's height, in lines of prose."""
    if cell.cell_type == "markdown":
        return sum(_block_lines(block) for block in blocks_of(cell.source))
    lines = _wrapped(cell.source, CODE_CHARACTERS) * CODE_LINE + 0.8 if cell.source else 0.0
    return lines + sum(_output_lines(output) for output in cell.get("outputs", []))


def _output_lines(output: Any) -> float:
    data = output.get("data", {})
    rich = "".join(data.get("text/html", ""))
    if not rich and any(kind.startswith("image/") for kind in data) or _PICTURE.search(rich):
        return PICTURE_LINES + rich.count("<tr") * TABLE_LINE
    if "<table" in rich:
        return rich.count("<tr") * TABLE_LINE + (1.0 if "<caption" in rich else 0.0)
    if rich:
        words = re.sub(r"<[^>]+>", "", rich)
        return _wrapped(words, PROSE_CHARACTERS) + 0.8
    plain = output.get("text") or data.get("text/plain", "")
    return _wrapped("".join(plain), CODE_CHARACTERS) * CODE_LINE + 0.6


def _block_lines(block: str) -> float:
    rows = block.splitlines()
    if block.startswith("#"):
        return 2.2
    if rows[0].lstrip().startswith(("```", "~~~")):
        return (len(rows) - 2) * CODE_LINE + 1.0
    if rows[0].lstrip().startswith("|"):
        return sum(TABLE_LINE * ceil(len(row) / 105) for row in rows) - TABLE_LINE
    if re.match(r" *([-*+] |\d+\. )", rows[0]):
        return _wrapped(block, PROSE_CHARACTERS - 4) * 1.1 + 0.5
    if rows[0].startswith("!["):
        return PICTURE_LINES
    return _wrapped(" ".join(rows), PROSE_CHARACTERS) + 0.5


def _wrapped(words: str, width: int) -> int:
    return sum(max(1, ceil(len(line) / width)) for line in words.splitlines())


def _parts(source: str, kind: Kind, *, is_cover: bool) -> list[tuple[str, Kind]]:
    """Split a cell's Markdown into what is shown and what is spoken."""
    blocks = blocks_of(source)
    if is_cover:
        return _cover(blocks)
    start = next((i for i, block in enumerate(blocks) if block.startswith("#")), 0)
    spoken = blocks[:start]  # remarks on what came before
    is_exercise = bool(blocks) and blocks[start].startswith("###")
    shown: list[str] = []
    words = 0
    for place, block in enumerate(blocks[start:]):
        words += len(block.split())
        is_said = is_prose(block) and words > SPOKEN_WORDS and place > 1 and not is_exercise
        (spoken if is_said else shown).append(block)
    parts: list[tuple[str, Kind]] = [("\n\n".join(spoken), "notes")] if spoken else []
    if shown and start:
        parts += _paged(shown, kind)
        return parts
    return _paged(shown, kind) + parts


def _paged(blocks: list[str], kind: Kind) -> list[tuple[str, Kind]]:
    """Put blocks on as many slides as they need; a heading stays with what follows it."""
    pages: list[list[str]] = [[]]
    lines = 0.0
    for block in blocks:
        tall = _block_lines(block)
        only_heading = all(part.startswith("#") for part in pages[-1])
        if lines + tall > PAGE_LINES and not only_heading:
            pages.append([])
            lines = 0.0
        pages[-1].append(block)
        lines += tall
    first, *others = ("\n\n".join(page) for page in pages if page)
    return [(first, kind), *((page, "subslide") for page in others)]


def _cover(blocks: list[str]) -> list[tuple[str, Kind]]:
    """The title and its promise; then the objectives. The table is for the speaker."""
    title, promise = blocks[0], blocks[1] if len(blocks) > 1 else ""
    listed = next((i for i, block in enumerate(blocks) if re.match(r" *1\. ", block)), None)
    parts: list[tuple[str, Kind]] = [(f"{title}\n\n{promise}", "slide")]
    objectives = [] if listed is None else blocks[max(listed - 1, 2) : listed + 1]
    # A deck has no use for the badge that opens the notebook, and its picture is on the internet.
    kept = [block for block in blocks[2:] if text("links.badge") not in block]
    spoken = [block for block in kept if block not in objectives]
    if spoken:
        parts.append(("\n\n".join(spoken), "notes"))
    if objectives:
        objectives[0] = re.sub(r"\A\*\*(.+?):?\*\*\Z", r"## \1", objectives[0])
        parts.append(("\n\n".join(objectives), "slide"))
    return parts


def is_prose(block: str) -> bool:
    """Tell whether a block of Markdown is a paragraph: no heading, list, table, picture, code."""
    return re.match(r" *([#|<]|[-*+] |\d+\. |!\[|```|~~~)", block) is None


def blocks_of(source: str) -> list[str]:
    """Split Markdown at its empty lines, but not inside fenced code."""
    fences: list[str] = []

    def hide(match: re.Match[str]) -> str:
        fences.append(match[0])
        return f"\0{len(fences) - 1}\0"

    hidden = _FENCE.sub(hide, source)
    blocks = [block for block in _BLOCK.split(hidden) if block.strip()]
    return [re.sub(r"\0(\d+)\0", lambda match: fences[int(match[1])], block) for block in blocks]


def _with(cell: Any, **changes: Any) -> Any:
    copy = deepcopy(cell)
    copy.update(changes)
    return copy


def _plain(markdown: str) -> str:
    return re.sub(r"[`*_]", "", markdown).strip()
