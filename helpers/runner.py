"""Runs notebooks without a screen and keeps what they answered."""

import logging
import os
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from helpers import logbook
from helpers.bootstrap import ROOT, StatusLine, duration
from helpers.errors import CourseError
from helpers.messages import text

CELL_SECONDS = 600
# Machines and moments differ by that much of a measured time, and by that many seconds.
SAME_TIME = 0.25
SAME_SECONDS = 5
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
# The kernel's remarks on its own set-up would stand between the progress lines.
KERNEL_ARGUMENTS = ["--IPKernelApp.log_level=ERROR"]
_WIDGET = "application/vnd.jupyter.widget-view+json"
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Result:
    """How the execution of one notebook ended.

    Attributes:
        name: the notebook's file name without the ending.
        seconds: how long it took.
        cells: how many code cells ran to their end.
        status: one phrase for the summary.
        passed: whether every cell ran.
    """

    name: str
    seconds: float
    cells: int
    status: str
    passed: bool


class _Stopped(Exception):
    """A cell did not run to its end."""

    def __init__(self, cell: int, error: str) -> None:
        super().__init__(error)
        self.cell = cell
        self.error = error


def main(
    numbers: list[str],
    *,
    in_place: bool = False,
    output: Path | None = None,
    root: Path = ROOT,
) -> int:
    """Execute notebooks, with a progress line each.

    Args:
        numbers: which ones, such as ``["00", "04"]``; all of them if empty.
        in_place: store the outputs in the notebooks themselves, normalised.
        output: where the executed copies and the summary go; ``executed/`` by default.
        root: the course's folder.

    Returns:
        0 if every cell of every notebook ran, 1 otherwise.

    Raises:
        CourseError: if a notebook or a model cannot be had.
    """
    paths = find(numbers, root / "notebooks" / "pt")
    folder = output or root / "executed"
    folder.mkdir(parents=True, exist_ok=True)
    prefetch(paths)
    results: list[Result] = []
    try:
        for path in paths:
            results.append(_run_one(path, folder, in_place=in_place))
    except KeyboardInterrupt:
        name = paths[len(results)].stem
        results.append(Result(name, 0.0, 0, text("cli.status_interrupted"), passed=False))
        raise
    finally:
        summary = _write_summary(results, folder)
    if in_place:
        print(text("cli.run_saved_in_place"))
    print(text("cli.run_summary", path=summary))
    failed = sum(not result.passed for result in results)
    if failed:
        print(text("cli.run_some_failed", failed=failed, total=len(results)))
    return 1 if failed else 0


def find(numbers: list[str], folder: Path) -> list[Path]:
    """Return the notebooks with these numbers, in order; all if there are none.

    Raises:
        CourseError: if a number has no notebook.
    """
    available = {
        path.name.split("_")[0]: path for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    }
    if not available:
        raise CourseError(text("cli.no_notebooks", folder=folder))
    for number in numbers:
        if number.zfill(2) not in available:
            known = ", ".join(available)
            raise CourseError(text("cli.no_such_notebook", number=number, available=known))
    chosen = sorted({number.zfill(2) for number in numbers} or available)
    return [available[number] for number in chosen]


def prefetch(paths: Iterable[Path]) -> None:
    """Build the embedded models that the notebooks name, so that no cell waits for them.

    In Hub mode nothing is built: the notebooks' own calls download from the Hub.
    """
    from helpers.environment import hub_is_reachable

    mode = os.environ.get("COURSE_MODE", "auto")
    if mode == "hub" or (mode == "auto" and hub_is_reachable()):
        return
    sources = [cell.source for path in paths for cell in _read(path).cells]
    needed = _repositories_named("\n".join(sources))
    build_models(needed)


def _repositories_named(source: str) -> list[str]:
    """Return the embedded repositories whose id, task or short name is written out in a source."""
    from helpers import models
    from helpers.course import DATASETS
    from helpers.embedded.catalog import repositories

    quoted = set(re.findall(r"""["']([\w-]+)["']""", source))
    tasks = {task: models.choices(task)[0].embedded_id for task in models.tasks()}
    named = {repo_id for name, repo_id in {**tasks, **DATASETS}.items() if name in quoted}
    return [
        repository.id
        for repository in repositories()
        if repository.id in named or repository.id in source
    ]


def build_models(repo_ids: Iterable[str]) -> None:
    """Build embedded models that are missing, with a live line."""
    from helpers.embedded import store

    missing = [repo_id for repo_id in repo_ids if not store.is_built(repo_id)]
    if not missing:
        return
    # peft imports it, and it complains of a kernel that it would fetch and the course never uses.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    status = StatusLine()
    status.show(text("cli.run_models"), "models")
    for repo_id in missing:

        def report(stage: str, done: int, total: int, model: str = repo_id) -> None:
            percent = f" {100 * done // total} %" if total else ""
            line = text("cli.run_model", model=model, stage=stage + percent)
            status.show(line, model + stage)

        store.ensure(repo_id, report)
    from helpers.environment import cache_folder

    status.finish(text("cli.models_built", folder=cache_folder()))


def _run_one(path: Path, folder: Path, *, in_place: bool) -> Result:
    """Execute one notebook and keep its copy, complete or up to where it stopped."""
    notebook = _read(path)
    status = StatusLine()
    started = time.monotonic()
    stopped: _Stopped | None = None
    try:
        execute(notebook, path, status)
    except _Stopped as error:
        stopped = error
    normalise(notebook)
    write(notebook, folder / path.name)
    seconds = time.monotonic() - started
    if stopped:
        where = {"cell": stopped.cell, "error": stopped.error}
        status.finish(text("cli.run_failed", name=path.stem, **where))
        ran = sum(1 for cell in _code_cells(notebook)[: stopped.cell - 1] if cell.source.strip())
        return Result(path.stem, seconds, ran, text("cli.status_failed", **where), passed=False)
    if in_place:
        record_seconds(notebook, seconds)
        write(notebook, path)
    total = sum(1 for cell in _code_cells(notebook) if cell.source.strip())
    status.finish(text("cli.run_done", name=path.stem, total=total))
    return Result(path.stem, seconds, total, text("cli.status_ok"), passed=True)


def execute(notebook: NotebookNode, path: Path, status: StatusLine) -> None:
    """Execute a notebook's code cells in a fresh kernel; the outputs are stored in it.

    Args:
        notebook: what is executed and changed.
        path: the file it came from; the kernel runs in its folder.
        status: where the progress is shown.

    Raises:
        _Stopped: if a cell fails, takes too long or kills the kernel.
    """
    name = path.stem
    for cell in _code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=list(KERNEL_ARGUMENTS),
    )
    total = len(_code_cells(notebook))
    status.show(text("cli.run_starting", name=name), name)
    # Whose answers are in the notebook is not known: they do not count as the learner's.
    with client.setup_kernel(env=os.environ | {logbook.VARIABLE: logbook.OFF}):
        try:
            _execute_cells(client, notebook, lambda n: _show_cell(status, name, n, total))
        except KeyboardInterrupt:
            client.shutdown_kernel = "immediate"  # a busy kernel would make Ctrl-C wait
            raise


def _show_cell(status: StatusLine, name: str, number: int, total: int) -> None:
    status.show(text("cli.run_cell", name=name, index=number, total=total), name)


def _execute_cells(
    client: NotebookClient, notebook: NotebookNode, on_cell: Callable[[int], None]
) -> None:
    number = 0
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            number += 1
            on_cell(number)
            _execute_cell(client, cell, index, number)


def _execute_cell(client: NotebookClient, cell: NotebookNode, index: int, number: int) -> None:
    try:
        client.execute_cell(cell, index)
    except CellExecutionError as error:
        lines = str(error.evalue).strip().splitlines() or [""]
        message = _ANSI.sub("", f"{error.ename}: {lines[-1]}")
        raise _Stopped(number, message) from error
    except CellTimeoutError as error:
        raise _Stopped(number, text("cli.cell_too_slow", seconds=CELL_SECONDS)) from error
    except DeadKernelError as error:
        raise _Stopped(number, text("cli.kernel_died")) from error


def normalise(notebook: NotebookNode) -> None:
    """Take out what differs from run to run and from machine to machine.

    Execution counts become 1..n; widget state, timestamps, and all kernel metadata but its name
    go. Everything else, the learner's text and outputs, stays.
    """
    keep = {
        key: value
        for key, value in notebook.metadata.items()
        if key not in ("widgets", "kernelspec", "language_info")
    }
    notebook.metadata = NotebookNode(
        keep, kernelspec=NotebookNode(KERNEL), language_info=NotebookNode(name="python")
    )
    count = 0
    for cell in _code_cells(notebook):
        for key in ("execution", "ExecuteTime"):
            cell.metadata.pop(key, None)
        if cell.execution_count is None:
            continue
        count += 1
        cell.execution_count = count
        cell.outputs = [_normalise_output(output, count) for output in cell.outputs]


def _normalise_output(output: NotebookNode, count: int) -> NotebookNode:
    if output.output_type == "execute_result":
        output.execution_count = count
    if output.output_type in ("execute_result", "display_data"):
        output.data.pop(_WIDGET, None)
        output.metadata.pop(_WIDGET, None)
    return output


def record_seconds(notebook: NotebookNode, seconds: float) -> None:
    """Keep how long the machine worked, for `helpers.durations`, in the notebook's metadata.

    A value that is about the same as the one there leaves it: a second run changes no file.

    Args:
        notebook: what was executed.
        seconds: from the kernel's start to the last cell's end.
    """
    course = notebook.metadata.setdefault("curso", NotebookNode())
    known = course.get("segundos_de_maquina")
    if known is None or abs(seconds - known) > max(SAME_TIME * known, SAME_SECONDS):
        course["segundos_de_maquina"] = max(1, round(seconds))


def write(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            nbformat.write(notebook, file)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _read(path: Path) -> NotebookNode:
    notebook: NotebookNode = nbformat.read(path, as_version=4)
    return notebook


def _code_cells(notebook: NotebookNode) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _write_summary(results: list[Result], folder: Path) -> Path:
    lines = [
        f"# {text('cli.summary_title')}",
        "",
        text("cli.summary_header"),
        "|---|---|---:|---:|",
    ]
    for result in results:
        status = result.status.replace("|", "\\|")
        lines.append(f"| {result.name} | {status} | {result.seconds:.1f} | {result.cells} |")
    total = sum(result.seconds for result in results)
    lines += ["", duration(total), ""]
    path = folder / "summary.md"
    path.write_text("\n".join(lines), "utf-8")
    return path
