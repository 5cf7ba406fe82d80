"""Runs a course's notebook in the world of the Hub, against the replay.

Every code cell is run, in order and in one kernel, but those that cannot work without weights. The
rule, applied by reading the cell's code:

1. a cell is left out if it loads weights or a tokenizer (``X.from_pretrained`` for any ``X`` but
   ``AutoConfig``, ``X.from_course``, or ``pipeline``), asks an API that answers with a model
   (``course.session``, ``helpers.InferenceSession``, ``InferenceClient``, ``OpenAI``), or starts a
   Space (``course.space``); a ``pipeline`` of a task for which the replay has a small model stays;
2. and if it uses a name that only cells left out have given a value.

An exercise's cell is run with its solution in the place of its stub.
"""

import ast
import os
import symtable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import exercise_runs
import nbformat
import rules
from nbclient import NotebookClient

from helpers.exercises import exercise

CELL_TIMEOUT = 120
TOKEN = "hf_ReplayOnly0123456789"
NEEDS_A_MODEL = frozenset(
    {"from_course", "pipeline", "session", "InferenceSession", "InferenceClient", "OpenAI", "space"}
)
TASKS_OF_SMALL_MODELS = frozenset({"text-classification"})
NO_WEIGHTS = frozenset({"AutoConfig"})


@dataclass
class Run:
    """What came of a notebook.

    Attributes:
        cells: the cells that were run, as pairs of their source and their output as text.
        left_out: the source of the others.
        html: all that was shown as HTML.
    """

    cells: list[tuple[str, str]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    html: str = ""

    def shown_by(self, fragment: str) -> str:
        """Return what the cells that hold a fragment of code showed.

        Raises:
            AssertionError: if no cell holds it.
        """
        found = [shown for source, shown in self.cells if fragment in source]
        assert found, f"no cell with {fragment!r} was run"
        return "\n".join(found)

    @property
    def shown(self) -> str:
        return "\n".join(shown for _, shown in self.cells)


def notebook(number: str) -> Path | None:
    """Return the path of a course's notebook by its number, or None if it is not there."""
    return next((path for path in rules.notebook_paths() if path.name.startswith(number)), None)


def run(path: Path, hub: Any, folder: Path, **variables: str) -> Run:
    """Run a notebook against a replay.

    Args:
        path: the notebook.
        hub: the replay.
        folder: an empty folder for caches.
        **variables: more environment variables.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell raises.
    """
    book = nbformat.read(path, as_version=4)
    outcome = Run()
    book.cells = [cell for cell in book.cells if cell.cell_type == "code"]
    kept, outcome.left_out = choose([_solved(cell.source) for cell in book.cells])
    book.cells = [nbformat.v4.new_code_cell(source) for source in kept]
    client = NotebookClient(
        book,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute(env=environment(hub, folder) | variables)
    for cell in book.cells:
        outcome.cells.append((cell.source, "\n".join(_plain(output) for output in cell.outputs)))
        outcome.html += "".join(_html(output) for output in cell.outputs)
    return outcome


def environment(hub: Any, folder: Path) -> dict[str, str]:
    """Return a learner's environment who uses a mirror of the Hub, with a token and no caches."""
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HF_", "HUGGING", "COURSE_", "COLAB_"))
    }
    search_path = [str(rules.ROOT), os.environ.get("PYTHONPATH", "")]
    return own | {
        "COURSE_MODE": "hub",
        "COURSE_VIEWER": hub.viewer_url,
        "COURSE_CACHE": str(folder / "course"),
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(folder / "hf"),
        "HF_TOKEN": TOKEN,
        "PYTHONPATH": os.pathsep.join(filter(None, search_path)),
    }


def choose(sources: list[str]) -> tuple[list[str], list[str]]:
    """Split the cells of a notebook into those to run and those that need a model."""
    kept, left_out = [], []
    lost: set[str] = set()
    for source in sources:
        code = _without_magics(source)
        taken, given = _names(code)
        if _needs_a_model(ast.parse(code)) or taken & lost:
            left_out.append(source)
            lost |= given
        else:
            kept.append(source)
            lost -= given
    return kept, left_out


def _solved(source: str) -> str:
    """Put an exercise's solution in the place of its stub, and let the cell fail if it is wrong."""
    check = exercise_runs.CHECK.search(source)
    if check is None:
        return source
    _, last = exercise_runs.split_stub(source)
    solution = exercise(check["id"]).solution_source.strip()
    must_pass = "assert outcome.status == 'passed', str(outcome)"
    return f"{solution}\n\noutcome = {last}\n{must_pass}\noutcome"


def _without_magics(source: str) -> str:
    lines = source.splitlines()
    return "\n".join(
        line.replace(line.strip(), "pass") if line.strip().startswith(("%", "!")) else line
        for line in lines
    )


def _needs_a_model(program: ast.Module) -> bool:
    for node in ast.walk(program):
        if isinstance(node, ast.Attribute) and node.attr == "from_pretrained":
            if getattr(node.value, "id", "") not in NO_WEIGHTS:
                return True
        elif isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            first = getattr(node.args[0], "value", None) if node.args else None
            if called in NEEDS_A_MODEL and first not in TASKS_OF_SMALL_MODELS:
                return True
    return False


def _names(source: str) -> tuple[set[str], set[str]]:
    """Return the names that a cell takes from the cells before it, and those it gives a value."""
    table = symtable.symtable(source, "cell", "exec")
    given = {name.get_name() for name in table.get_symbols() if _gives(name)}
    return _read(table) - given, given


def _gives(name: symtable.Symbol) -> bool:
    return name.is_assigned() or name.is_imported()


def _read(table: symtable.SymbolTable) -> set[str]:
    """Return the global names that a block reads, those of its functions included."""
    is_cell = table.get_type() == "module"
    names = (name for name in table.get_symbols() if name.is_referenced())
    read = {name.get_name() for name in names if is_cell or name.is_global()}
    return read.union(*(_read(inner) for inner in table.get_children()))


def _plain(output: Any) -> str:
    return output.get("text", "") or output.get("data", {}).get("text/plain", "")


def _html(output: Any) -> str:
    return output.get("data", {}).get("text/html", "")
