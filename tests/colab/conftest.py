"""A made-up Colab for each test run: its git address, and a machine with the course installed."""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import colab_machine
import nbformat
import pytest
from colab_machine import ColabMachine, Shown

from tests import caches

HERE = Path(__file__).parent
SECRET = "hf_" + "OnlyAStandIn0123456789"
ASK_FOR_THE_SECRET = """
import os
from helpers import tokens
tokens.COLAB_TIMEOUT = 0.5
os.environ["COLAB_SECRET"] = {behaviour!r}
helpers.setup(mode="hub", token="colab")
"""


@dataclass(frozen=True)
class Visit:
    """What is seen by somebody who opens a notebook on a machine and runs its cell 1.

    Attributes:
        machine: the machine, now with the course.
        before: the packages it had, as `pip freeze` prints them.
        after: those that it has now.
        first: what cell 1 showed.
        again: what it showed the second time.
        here: the folder and its files, and where `helpers` comes from.
        secret: the value of the secret.
        secrets: for each way in which Colab answers for it, what asking for it showed.
    """

    machine: ColabMachine
    before: list[str]
    after: list[str]
    first: Shown
    again: Shown
    here: Shown
    secret: str
    secrets: dict[str, Shown]


def pytest_collection_modifyitems(items):
    reason = None
    if sys.platform != "linux":
        reason = "Colab's machines run Linux"
    elif shutil.which("git") is None:
        reason = "needs git"
    for item in items:
        if reason and HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def github(tmp_path_factory) -> Path:
    """The folder that stands for https://github.com/, with the course published in it."""
    return colab_machine.publish(tmp_path_factory.mktemp("published"))


@pytest.fixture(scope="session")
def course(github) -> Path:
    """The published files, as a person would see them on GitHub."""
    return github.parent / "course"


@pytest.fixture(scope="session")
def empty_machine(github, tmp_path_factory) -> Iterator[ColabMachine]:
    """A machine on which nothing is ever installed."""
    yield from _lend(tmp_path_factory.mktemp("empty"), github)


@pytest.fixture(scope="session")
def visit(github, course, tmp_path_factory) -> Iterator[Visit]:
    """Cell 1, run twice on a machine that has just been lent, and asked for a secret."""
    for machine in _lend(tmp_path_factory.mktemp("visited"), github):
        before = machine.installed()
        cell = _setup_cell(course)
        with machine.session() as session:
            session.run("import os; folder, files = os.getcwd(), os.listdir()")
            first, again = session.run(cell), session.run(cell)
            here = session.run(
                "print(folder == os.getcwd(), files, os.listdir(), helpers.__file__)"
            )
            secrets = {
                behaviour: session.run(ASK_FOR_THE_SECRET.format(behaviour=behaviour))
                for behaviour in (SECRET, "missing", "refused", "late", "silent")
            }
        yield Visit(machine, before, machine.installed(), first, again, here, SECRET, secrets)


@pytest.fixture(scope="session")
def machine(github, tmp_path_factory) -> Iterator[ColabMachine]:
    """A machine on which the first notebook that is run installs the course."""
    yield from _lend(tmp_path_factory.mktemp("machine"), github)


def _setup_cell(course: Path) -> str:
    """Return the cell as it is stored in the published notebooks, the same in all of them."""
    paths = sorted((course / "notebooks" / "pt").glob("[0-9][0-9]_*.ipynb"))
    books = [nbformat.read(path, as_version=4) for path in paths]
    (source,) = {
        next(cell.source for cell in book.cells if cell.cell_type == "code") for book in books
    }
    return source


def _lend(folder: Path, github: Path) -> Iterator[ColabMachine]:
    cache = caches.temporary()
    lent = colab_machine.lend(folder, f"{github.as_uri()}/", cache)
    yield lent
    lent.stop_server()
    shutil.rmtree(cache, ignore_errors=True)  # what the links lead to stays
