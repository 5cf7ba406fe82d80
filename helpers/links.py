"""The repository's public address: written once in pyproject.toml, copied from there.

The address stands in every notebook's setup cell and badge, in the README, in `colab_links.md` and
in `CITATION.cff`. `python -m helpers links` writes it into all of them; nobody edits them by hand.
Until the repository has an owner, the same places say so and link nowhere.
"""

from __future__ import annotations

import json
import re
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from helpers.bootstrap import ROOT
from helpers.errors import CourseError
from helpers.messages import text

PLACEHOLDER = "OWNER/REPO"
GITHUB = "https://github.com"
BRANCH = "main"
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
TABLE = "colab_links.md"

# What GitHub takes: an owner of letters, digits and single hyphens; a name with dots too.
_REPOSITORY = re.compile(r"[A-Za-z\d](?:[A-Za-z\d]|-(?=[A-Za-z\d])){0,38}/[\w.-]{1,100}")
# The first code cell of every notebook. `-qqq`: of a failure, the sentence is all that is shown.
# `--no-input`: git would ask, unseen, for an account at an address that does not exist.
_SETUP = """\
try:
    import helpers
except ModuleNotFoundError:  # no Colab, ou quando este arquivo está sozinho
    %pip install -qqq --no-input git+{url}
    try:
        import helpers
    except ModuleNotFoundError:
        from IPython.core.error import UsageError

        raise UsageError(
{sentence}
        ) from None
course = helpers.setup()"""
_SETUP_START = "try:\n    import helpers\nexcept ModuleNotFoundError:"
_LINE = 100
_PYPROJECT = re.compile(r'^Repository = ".*"$', flags=re.MULTILINE)
_CITATION = re.compile(r"^repository-code: .*\n", flags=re.MULTILINE)
_README_BLOCK = re.compile(r"(<!-- links: .*? -->\n).*?(<!-- /links -->)", flags=re.DOTALL)


@dataclass(frozen=True)
class Repository:
    """The public repository.

    Attributes:
        name: ``owner/name`` on GitHub; ``OWNER/REPO`` while there is none.
    """

    name: str

    @property
    def is_set(self) -> bool:
        """Whether the repository has an owner."""
        return self.name != PLACEHOLDER

    @property
    def url(self) -> str:
        """Its page, which is also what ``git clone`` takes."""
        return f"{GITHUB}/{self.name}"

    def colab(self, path: str) -> str:
        """Return the address that opens a notebook in Colab.

        Args:
            path: the notebook's path in the repository, with slashes.
        """
        return f"https://colab.research.google.com/github/{self.name}/blob/{BRANCH}/{quote(path)}"

    def kaggle(self, path: str) -> str:
        """Return the address that copies a notebook into Kaggle."""
        return f"https://kaggle.com/kernels/welcome?src={self.url}/blob/{BRANCH}/{quote(path)}"

    def binder(self, path: str) -> str:
        """Return the address that opens a notebook in Binder, in JupyterLab."""
        return f"https://mybinder.org/v2/gh/{self.name}/{BRANCH}?labpath={quote(path, safe='')}"


@dataclass(frozen=True)
class Heading:
    """What a notebook says of itself in its first cell.

    Attributes:
        path: the notebook's path in the repository, with slashes.
        number: its two digits.
        title: its H1.
        promise: the sentence under it.
        duration: how long it takes, as its table says.
        needs: what it needs, as its table says.
    """

    path: str
    number: str
    title: str
    promise: str
    duration: str
    needs: str


def main(name: str | None, *, check: bool = False, root: Path = ROOT) -> int:
    """Write the repository's address wherever it belongs, or only look.

    Args:
        name: ``owner/name``, written into pyproject.toml first; None keeps what is there.
        check: change nothing, and list the files that differ.
        root: the course's folder.

    Returns:
        0 when all agrees (or was made to), 1 when ``check`` found differences.

    Raises:
        CourseError: if ``name`` is no repository, or a notebook has no heading.
    """
    repository = _parse(name) if name else read(root)
    outdated = {
        path: content
        for path, content in rendered(repository, root).items()
        if not path.exists() or path.read_text(encoding="utf-8") != content
    }
    for path, content in outdated.items():
        print(path.relative_to(root).as_posix())
        if not check:
            path.write_text(content, encoding="utf-8", newline="\n")
    key = ("differ" if check else "written") if outdated else "agree"
    print(text(f"links.{key}", count=len(outdated), repository=repository.name))
    if not repository.is_set:
        print(text("links.how_to_set"))
    return int(check and bool(outdated))


def read(root: Path = ROOT) -> Repository:
    """Return the repository that pyproject.toml names.

    Raises:
        CourseError: if it names none on GitHub.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return _parse(project["urls"]["Repository"].removeprefix(f"{GITHUB}/"))


def rendered(repository: Repository, root: Path = ROOT) -> dict[Path, str]:
    """Return each file that holds the address, whole, as it should be.

    Args:
        repository: the public repository.
        root: the course's folder.
    """
    notebooks = sorted((root / "notebooks").glob("*/[0-9][0-9]_*.ipynb"))
    files = {path: _notebook(path, repository, root) for path in notebooks}
    files[root / "pyproject.toml"] = _PYPROJECT.sub(
        f'Repository = "{repository.url}"', _text(root / "pyproject.toml")
    )
    files[root / "README.md"] = _readme(_text(root / "README.md"), repository)
    files[root / "CITATION.cff"] = _citation(_text(root / "CITATION.cff"), repository)
    portuguese = [path for path in notebooks if path.parent.name == "pt"]
    files[root / TABLE] = _table([heading(path, root) for path in portuguese], repository)
    return files


def heading(path: Path, root: Path = ROOT) -> Heading:
    """Read what a notebook says of itself.

    Args:
        path: the notebook.
        root: the course's folder.

    Raises:
        CourseError: if its first cell has no title, promise, duration or needs.
    """
    opening = _read(path).cells[0].source
    found = {
        "title": re.search(r"\A# +(.+)", opening),
        "promise": re.search(r"\A#.*\n+(.+)", opening),
        "duration": re.search(r"^\| Duração \| (.+?) \|$", opening, flags=re.MULTILINE),
        "needs": re.search(r"^\| Precisa de \| (.+?) \|$", opening, flags=re.MULTILINE),
    }
    if not all(found.values()):
        raise CourseError(text("links.no_heading", name=path.name))
    values = {name: match[1].strip() for name, match in found.items() if match}
    return Heading(path.relative_to(root).as_posix(), path.name[:2], **values)


def setup_cell(repository: Repository) -> str:
    """Return the cell that every notebook starts with.

    Args:
        repository: where the course is installed from, where it is not installed yet.
    """
    sentence = text("links.not_installed" if repository.is_set else "links.no_address")
    indent = " " * 12
    *pieces, last = textwrap.wrap(sentence, _LINE - len(f'{indent}" "'), break_long_words=False)
    quoted = (json.dumps(piece, ensure_ascii=False) for piece in [*(f"{p} " for p in pieces), last])
    return _SETUP.format(url=repository.url, sentence="\n".join(indent + line for line in quoted))


def _parse(name: str) -> Repository:
    if not _REPOSITORY.fullmatch(name) or name.endswith(".git"):
        raise CourseError(text("links.bad_name", name=name))
    return Repository(name)


def _notebook(path: Path, repository: Repository, root: Path) -> str:
    import nbformat

    notebook = _read(path)
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.source.startswith(_SETUP_START):
            cell.source = setup_cell(repository)
    first = notebook.cells[0]
    first.source = _with_badge(first.source, path.relative_to(root).as_posix(), repository)
    return str(nbformat.writes(notebook)).rstrip("\n") + "\n"


def _with_badge(opening: str, path: str, repository: Repository) -> str:
    """Put the badge, or the note that there is none yet, between the promise and the table."""
    blocks = opening.split("\n\n")
    badge = text("links.no_badge")
    if repository.is_set:
        badge = f"[![{text('links.badge')}]({BADGE})]({repository.colab(path)})"
    is_ours = [text("links.badge") in block for block in blocks]
    if not any(is_ours):
        raise CourseError(text("links.no_heading", name=path))
    blocks[is_ours.index(True)] = badge
    return "\n\n".join(blocks)


def _readme(content: str, repository: Repository) -> str:
    key = "links.readme" if repository.is_set else "links.readme_unset"
    block = text(key, url=repository.url, folder=repository.name.rpartition("/")[2])
    return _README_BLOCK.sub(lambda match: match[1] + block + "\n" + match[2], content)


def _citation(content: str, repository: Repository) -> str:
    content = _CITATION.sub("", content)
    return content + f"repository-code: {repository.url}\n" if repository.is_set else content


def _table(headings: list[Heading], repository: Repository) -> str:
    lines = [f"# {text('links.table_title')}", ""]
    lines += [text("links.table_set" if repository.is_set else "links.table_unset"), ""]
    lines += [text("links.table_header"), "| --- | --- | --- | --- | --- |"]
    lines += [_row(item, repository) for item in headings]
    return "\n".join([*lines, "", text("links.table_footer"), ""])


def _row(item: Heading, repository: Repository) -> str:
    name = f"[{item.number} {item.title}]({quote(item.path)})"
    cells = (name, item.promise, item.duration, item.needs, " · ".join(_places(item, repository)))
    return f"| {' | '.join(cells)} |"


def _places(item: Heading, repository: Repository) -> Iterator[str]:
    if not repository.is_set:
        yield text("links.not_live")
        return
    yield f"[![{text('links.badge')}]({BADGE})]({repository.colab(item.path)})"
    yield f"[Kaggle]({repository.kaggle(item.path)})"
    yield f"[Binder]({repository.binder(item.path)})"


def _read(path: Path) -> Any:
    import nbformat

    return nbformat.read(path, as_version=4)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
