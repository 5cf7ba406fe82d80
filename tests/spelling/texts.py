"""The Portuguese that people read in this repository, each text with where it stands."""

import io
import re
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "TEACHING.md", "CONTRIBUTING.md", "colab_links.md", "docs/*.md")
EMBEDDED = "helpers/embedded"
CARDS = tuple(f"{EMBEDDED}/{folder}.md" for folder in ("cards/*", "adapters/*/*", "spaces/*/*"))
CARDS += ("docs/licencas.md",)
# Not read in a card: its tables and what it quotes (examples, often in English), authors' names.
NOT_READ_IN_A_CARD = (
    re.compile(r"^\|.*$|^>.*$", re.MULTILINE),
    re.compile(r"“[^”]*”|\"[^\"]*\""),
    re.compile(r"\b[A-ZÀ-Ý][^\W_]*"),
)
# Texts by key: what learners read, and the questions at the end of each notebook.
TABLES = ("helpers/locales/pt.toml", "helpers/quizzes/pt/*.toml")
ENGLISH_SECTION = re.compile(r"^## In English$.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)
FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
# What is not prose: code, addresses, link targets, tags, gaps to be filled, names of files.
NOT_PROSE = (
    re.compile(r"^ *(```|~~~).*?^ *\1 *$", re.DOTALL | re.MULTILINE),
    re.compile(r"``[^`]+``|`[^`\n]*`"),
    re.compile(r"https?://\S+"),
    re.compile(r"(?<=\])\([^)]*\)"),
    re.compile(r"<[^>\n]*>|&\w+;"),
    re.compile(r"\{[^}\n]*\}"),
    re.compile(
        r"\"[\w. -]+\"|'[\w.-]+'|\b\w+=\S*|\b\w[\w.]*\([^()\s]*\)"
    ),  # code without its marks
    re.compile(r"\$[^$\n]+\$"),
    re.compile(r"\*\*[^*\n]+→[^*\n]+\*\*"),  # a menu, by the names that its program has
    re.compile(r"(?<![*\w])\*[^*\n]+\*(?![*\w])"),  # words of another language are in italics
    re.compile(r"python3?(?:\.\d+)? -m \S+(?: [a-z-]+)?|pip install [\w-]+"),
    re.compile(r"\S*[\w-]+[/_@=][\w*.-]\S*|\S*\w\.[A-Za-z]\w+"),
)


def prose(text: str) -> str:
    """Return a text without what is not prose."""
    for pattern in NOT_PROSE:
        text = pattern.sub(" ", text)
    return text


def all_texts() -> Iterator[tuple[str, str]]:
    """Return (place, prose) of everything written in Portuguese."""
    for path in sorted((ROOT / "notebooks" / "pt").glob("*.ipynb")):
        yield from of_notebook(path.name, nbformat.read(path, as_version=4))
    pages = [page for pattern in PAGES for page in sorted(ROOT.glob(pattern))]
    cards = [card for pattern in CARDS for card in sorted(ROOT.glob(pattern))]
    for page in (page for page in pages if page not in cards):
        yield page.relative_to(ROOT).as_posix(), of_page(page.read_text(encoding="utf-8"))
    for card in cards:
        yield card.relative_to(ROOT).as_posix(), of_card(card.read_text(encoding="utf-8"))
    for table in (table for pattern in TABLES for table in sorted(ROOT.glob(pattern))):
        values = tomllib.loads(table.read_text(encoding="utf-8"))
        for key, text in of_table(values):
            yield f"{table.name}, {key}", text


def of_notebook(name: str, node: Any) -> Iterator[tuple[str, str]]:
    """Return the Markdown of a notebook, and its code's comments but for the setup cell's."""
    setup = next((cell for cell in node.cells if cell.cell_type == "code"), None)
    for cell in node.cells:
        if cell.cell_type == "markdown":
            yield f"{name}, {cell.id}", prose(cell.source)
        elif cell is not setup:
            yield f"{name}, {cell.id}", prose("\n".join(comments(cell.source)))


def of_page(text: str) -> str:
    """Return the prose of a Markdown page, without its metadata and its part in English."""
    return prose(ENGLISH_SECTION.sub("", FRONT_MATTER.sub("", text)))


def of_card(text: str) -> str:
    """Return the prose of a model's, dataset's or Space's card, or of a page of attributions."""
    text = FRONT_MATTER.sub("", text)
    for pattern in NOT_READ_IN_A_CARD:
        text = pattern.sub(" ", text)
    return of_page(text)


def of_table(values: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Return each text of a TOML file, by its key."""
    if isinstance(values, str):
        yield key, prose(values)
    elif isinstance(values, (dict, list)):
        pairs = values.items() if isinstance(values, dict) else enumerate(values, 1)
        for name, value in pairs:
            yield from of_table(value, f"{key}.{name}".lstrip("."))


def comments(source: str) -> list[str]:
    """Return the comments of a cell's code, without the lines that only IPython reads."""
    lines = [line if line.lstrip()[:1] not in {"%", "!"} else "" for line in source.splitlines()]
    found = []
    try:
        for token in tokenize.generate_tokens(io.StringIO("\n".join(lines) + "\n").readline):
            if token.type == tokenize.COMMENT:
                found.append(token.string.lstrip("# "))
    except tokenize.TokenError:  # a program in another language, such as a cell of HTML
        pass
    return found
