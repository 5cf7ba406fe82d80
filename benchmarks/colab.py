"""What opening a notebook on Colab costs, on the made-up Colab of the tests.

    python benchmarks/colab.py [--rounds 3]

Each round lends a new machine, with the packages of the Python that runs this and without the
course. `Do notebook aberto à primeira resposta` is notebook 00 from the start of its kernel to the
first answer of a model: cell 1 installs the course from its git address, the models' packages have
been downloaded, and the model is still to be built. Figures are medians; what the network takes on
a real Colab (the clone, and packages that it lacks) is not in them. Exit code 1 if a limit is
exceeded.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "colab")]

import colab_machine  # noqa: E402 - found through the line above
import nbformat  # noqa: E402
from reporting import LIMITS, print_heading, print_table  # noqa: E402

from tests import caches  # noqa: E402

FIRST_ANSWER = "question_answering("
SECONDS = {
    "Do notebook aberto à primeira resposta": 60,
    "Célula de preparo, que instala o curso": 15,
    "Célula de preparo, com o curso instalado": 15,
    "Segunda execução da célula": 2,
}
CLONE_MEGABYTES = 10
NOTEBOOK_KILOBYTES = 300


def visit(folder, github):
    """Open notebook 00 on a new machine, then once more: seconds of each step."""
    opening, preparing, installed, again = SECONDS
    with built_nothing() as cache:
        machine = colab_machine.lend(folder, f"{github.as_uri()}/", cache)
        cells = code_cells(github.parent / "course")
        seconds = {}
        try:
            start = time.monotonic()
            with machine.session() as session:
                seconds[preparing] = run(session, cells[0])
                for cell in cells[1 : answering(cells) + 1]:
                    run(session, cell)
                seconds[opening] = time.monotonic() - start
                seconds[again] = run(session, cells[0])
            with machine.session() as session:
                seconds[installed] = run(session, cells[0])
        finally:
            machine.stop_server()
    return seconds


@contextmanager
def built_nothing():
    """A cache folder with the models' packages, and no model built."""
    folder = Path(tempfile.mkdtemp(prefix="curso-hf-"))
    try:
        for name in ("wheels", "partial"):
            caches.share(name, folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(session, source):
    shown = session.run(source)
    if shown.stopped:
        raise RuntimeError(f"a cell failed:\n{source}\n{shown.plain}")
    return shown.seconds


def code_cells(course):
    path = next(course.glob("notebooks/pt/00_*.ipynb"))
    cells = nbformat.read(path, as_version=4).cells
    return [cell.source for cell in cells if cell.cell_type == "code"]


def answering(cells):
    """The place of the first cell that asks a model."""
    return next(index for index, source in enumerate(cells) if FIRST_ANSWER in source)


def clone_megabytes(*options):
    """What git fetches for a clone of this repository, packed."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["git", "clone", "-q", "--bare", *options, ROOT.as_uri(), f"{folder}/clone"]
        subprocess.run(command, check=True, capture_output=True)
        packs = Path(folder).glob("clone/objects/pack/*.pack")
        return sum(pack.stat().st_size for pack in packs) / 1e6


def largest_notebook():
    paths = (ROOT / "notebooks").glob("*/[0-9]*.ipynb")
    largest = max(paths, key=lambda path: path.stat().st_size)
    return largest.stem, largest.stat().st_size / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print_heading("transformers", "huggingface_hub", "datasets", "torch", "ipython")
    with tempfile.TemporaryDirectory() as scratch:
        github = colab_machine.publish(Path(scratch) / "published")
        rounds = [visit(Path(scratch) / f"machine-{i}", github) for i in range(options.rounds)]
    figures = {name: statistics.median(seconds[name] for seconds in rounds) for name in SECONDS}
    rows = [(name, figures[name], "s", limit) for name, limit in SECONDS.items()]
    clone = clone_megabytes("--depth", "1")
    rows.append(("`git clone --depth 1`", clone, "MB", CLONE_MEGABYTES))
    rows.append(("`git clone`, com a história", clone_megabytes(), "MB", None))
    name, kilobytes = largest_notebook()
    rows.append((f"Maior notebook ({name[:2]})", kilobytes, "KB", NOTEBOOK_KILOBYTES))
    print_table(LIMITS, [written(*row) for row in rows])
    return int(any(limit is not None and value > limit for _, value, _, limit in rows))


def written(name, value, unit, limit):
    number = f"{value:.1f}".replace(".", ",")
    return name, f"{number} {unit}", f"{limit} {unit}" if limit else "—"


if __name__ == "__main__":
    sys.exit(main())
