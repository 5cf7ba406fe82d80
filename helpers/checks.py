"""Everything that continuous integration runs, and the list of embedded models."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from helpers.bootstrap import ROOT, child_process, duration
from helpers.errors import CourseError
from helpers.messages import text

# The slow tests too, but no package registry: the network is denied.
FULL_ARGUMENTS = ["-m", "not registry"]
# Side by side, each file's tests in one process, with a server of its own; `-- -n 0` undoes it.
# No more than two: what is measured and waited for should not depend on how many cores there are.
PARALLEL = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
FULL_VARIABLES = {"COURSE_FUZZ_EXAMPLES": "1000", "COURSE_KILL_ROUNDS": "25"}


def main(pytest_arguments: list[str], root: Path = ROOT, *, full: bool = False) -> int:
    """Run every check, all of them even if one fails.

    Args:
        pytest_arguments: added to pytest's command line.
        root: the course's folder.
        full: whether to run the slow tests too, thousands of odd requests and many kills.

    Returns:
        0 if all passed, 1 otherwise.
    """
    steps: dict[str, Callable[[], bool]] = {
        text("cli.check_ruff"): lambda: _python(root, "ruff", "check", "."),
        text("cli.check_format"): lambda: _python(root, "ruff", "format", "--check", "."),
        text("cli.check_mypy"): lambda: _mypy(root),
        text("cli.check_models"): _build_all_models,
        text("cli.check_pytest"): lambda: _pytest(root, pytest_arguments, full),
    }
    start = time.monotonic()
    failed = []
    for index, (name, step) in enumerate(steps.items(), start=1):
        step_start = time.monotonic()
        print(text("cli.check_step", index=index, total=len(steps), name=name), flush=True)
        passed = _passes(step)
        elapsed = duration(time.monotonic() - step_start)
        print(text("cli.check_passed" if passed else "cli.check_failed", elapsed=elapsed) + "\n")
        if not passed:
            failed.append(name)
    elapsed = duration(time.monotonic() - start)
    if failed:
        print(text("cli.check_some_failed", names="; ".join(failed), elapsed=elapsed))
        return 1
    print(text("cli.check_all_passed", elapsed=elapsed))
    return 0


def _passes(step: Callable[[], bool]) -> bool:
    """Run one step; what it cannot do is a failure like any other, so that the rest still runs."""
    try:
        return step()
    except CourseError as error:
        print(error, file=sys.stderr)
        return False


def models(*, fetch: bool) -> int:
    """Print the embedded models, after building them all if asked to."""
    from helpers.embedded import store

    if fetch:
        _build_all_models()
    rows = [
        (
            model["id"],
            model["task"],
            f"{model['size'] / 1e6:.0f} MB" if model["size"] >= 1e6 else "< 1 MB",
            model["licence"],
            text("cli.model_built" if model["built"] else "cli.model_not_built"),
        )
        for model in store.summary()
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    return 0


def denied_network(root: Path = ROOT) -> dict[str, str]:
    """Return an environment in which Python, and its children, reach this machine only."""
    denied = str(root / "tests" / "network_denied")
    paths = [denied, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return os.environ | {
        "COURSE_MODE": "embedded",
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
    }


def _python(root: Path, *arguments: str, env: dict[str, str] | None = None) -> bool:
    """Run a module of this Python; tell whether it succeeded."""
    sys.stdout.flush()
    with child_process([sys.executable, "-m", *arguments], cwd=root, env=env) as process:
        return process.wait() == 0


def _mypy(root: Path) -> bool:
    """Check the package and, one by one, the Spaces' programs: they all have the same name."""
    spaces = sorted(root.glob("helpers/embedded/spaces/*/app.py"))
    targets = ["helpers", *(path.relative_to(root).as_posix() for path in spaces)]
    return all([_python(root, "mypy", target) for target in targets])


def _build_all_models() -> bool:
    from helpers import slides
    from helpers.embedded.catalog import repositories
    from helpers.runner import build_models

    build_models(repository.id for repository in repositories())
    slides.fetch()
    return True


def _pytest(root: Path, arguments: list[str], full: bool) -> bool:
    from helpers.embedded.lifecycle import stop_server

    if full:
        arguments = [*FULL_ARGUMENTS, *arguments]
    command = ["pytest", "--nbval", "--nbval-sanitize-with", "tests/notebooks/sanitize.cfg"]
    command += PARALLEL
    # A server that already runs may be of other code; one started here has no network.
    stop_server()
    try:
        env = denied_network(root) | (FULL_VARIABLES if full else {})
        return _python(root, *command, "notebooks/pt", "tests", *arguments, env=env)
    finally:
        stop_server()
