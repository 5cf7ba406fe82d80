"""A made-up Colab: one notebook in an empty folder, an environment of its own, a git address.

The environment is a new one laid over the packages of the Python that runs this, so that nothing
is downloaded: Colab's versions are tried by running it on a Python that has them, which the weekly
workflow does. Nothing of this repository is on its path, `google.colab` is a stand-in, and shell
commands have no terminal, as on Colab. The course is published under a made-up owner in a bare
repository, which git itself puts in the place of https://github.com/.

What a real Colab has and this has not: its hundreds of other packages, its GPU, its own front end,
and the network; pip builds the course with the setuptools at hand instead of fetching it.
"""

import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from helpers import links
from helpers.bootstrap import ROOT

OWNER = "ana-souza"
REPOSITORY = f"{OWNER}/curso-hf"
PUBLISHED = ("helpers", "notebooks", "pyproject.toml", "README.md", "CITATION.cff", links.TABLE)
LICENCES = ("LICENSE", "LICENSE-TEXT")
STAND_IN = Path(__file__).parent / "stand_in"
NETWORK_DENIED = ROOT / "tests" / "network_denied"
RELEASE = "release-colab_20260819-060131_RC00"
NOT_PUBLISHED = shutil.ignore_patterns("__pycache__", ".*", "treino-*")
CELL_SECONDS = 1800  # training, on a machine that has other things to do


@dataclass(frozen=True)
class Shown:
    """What a cell did.

    Attributes:
        stopped: whether it failed, so that the cells after it would not run.
        plain: its outputs as text.
        html: its outputs as HTML.
        seconds: how long it took.
    """

    stopped: bool
    plain: str
    html: str
    seconds: float


@dataclass
class ColabMachine:
    """A machine that Colab lends: its Python, its folder of files, its environment variables."""

    python: Path
    content: Path
    variables: dict[str, str]

    def installed(self) -> list[str]:
        """Return what `pip freeze` prints, a line a package."""
        command = [self.python, "-m", "pip", "freeze", "--all"]
        frozen = subprocess.run(command, env=self.variables, capture_output=True, check=True)
        return frozen.stdout.decode().splitlines()

    @contextmanager
    def session(self, **variables: str) -> Iterator["Session"]:
        """Start a kernel; it ends with the block.

        Args:
            **variables: environment variables for this kernel alone.
        """
        with Session.start(self, self.variables | variables) as session:
            yield session

    def with_one_notebook(self, notebook: Path, folder: Path) -> "ColabMachine":
        """Return the same machine, its files being one notebook and nothing else."""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(notebook, folder)
        return replace(self, content=folder)

    def stop_server(self) -> None:
        """Stop the embedded server that notebooks started, if the course was installed at all."""
        code = "from helpers.embedded.lifecycle import stop_server; stop_server()"
        subprocess.run([self.python, "-c", code], env=self.variables, capture_output=True)


@dataclass
class Session:
    """A kernel, and the cells that were run in it."""

    client: NotebookClient
    cells: list[Any] = field(default_factory=list)

    @classmethod
    @contextmanager
    def start(cls, machine: ColabMachine, variables: dict[str, str]) -> Iterator["Session"]:
        """Start a machine's kernel in its folder of files."""
        specs = KernelSpecManager(kernel_dirs=[str(machine.python.parents[1] / "kernels")])
        manager = AsyncKernelManager(kernel_name="colab", kernel_spec_manager=specs)
        client = NotebookClient(
            nbformat.v4.new_notebook(),
            km=manager,
            timeout=CELL_SECONDS,
            coalesce_streams=True,
            resources={"metadata": {"path": str(machine.content)}},
        )
        with client.setup_kernel(env=variables, cleanup_kc=True):
            yield cls(client, client.nb.cells)

    def run(self, source: str, metadata: dict[str, Any] | None = None) -> Shown:
        """Run one cell, and return what it showed, also if it fails."""
        cell = nbformat.v4.new_code_cell(source, metadata=metadata or {})
        self.cells.append(cell)
        before = time.monotonic()
        stopped = False
        try:
            self.client.execute_cell(cell, len(self.cells) - 1)
        except CellExecutionError:
            stopped = True
        seconds = time.monotonic() - before
        plain = "\n".join(map(_plain, cell.outputs))
        html = "\n".join(output.get("data", {}).get("text/html", "") for output in cell.outputs)
        return Shown(stopped, plain, html, seconds)


def publish(folder: Path) -> Path:
    """Publish the course as it lies here under a made-up owner.

    Args:
        folder: an empty folder; the published files are left in its folder `course`.

    Returns:
        The folder that stands for https://github.com/.
    """
    course = folder / "course"
    course.mkdir(parents=True)
    for name in (*PUBLISHED, *LICENCES):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, course / name, ignore=NOT_PUBLISHED)
        else:
            shutil.copy(source, course / name)
    with redirect_stdout(io.StringIO()):
        links.main(REPOSITORY, root=course)
    github = folder / "github"
    bare = github / REPOSITORY
    git = ["git", "-c", "user.name=Ana Souza", "-c", "user.email=ana@example.com", "-C", course]
    for command in (
        [*git, "init", "-q"],
        [*git, "add", "--all"],
        [*git, "commit", "-q", "-m", "Publish the course"],
        [*git, "clone", "-q", "--bare", course, bare],
        ["git", "-C", bare, "config", "uploadpack.allowFilter", "true"],  # as GitHub does
    ):
        subprocess.run(command, check=True, capture_output=True)
    return github


def lend(folder: Path, github: str, cache: Path) -> ColabMachine:
    """Make a machine as Colab lends them: the packages, and no course.

    Args:
        folder: where it is made.
        github: what git puts in the place of https://github.com/, ended by a slash.
        cache: the course's folder for models.
    """
    venv = folder / "venv"
    command = [sys.executable, "-m", "venv", "--without-pip", venv]
    subprocess.run(command, check=True, capture_output=True)
    (own,) = venv.glob("lib/python3*/site-packages")
    (own / "base.pth").write_text("".join(f"{path}\n" for path in _packages()), "utf-8")
    shutil.copytree(STAND_IN / "google", own / "google")
    _copy_programs(venv)
    kernel = venv / "kernels" / "colab"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(
        '{"argv": ["%s", "-m", "ipykernel_launcher", "-f", "{connection_file}"],'
        ' "display_name": "Colab", "language": "python"}' % (venv / "bin" / "python"),
        "utf-8",
    )
    startup = folder / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    shutil.copy(STAND_IN / "startup.py", startup / "00-colab.py")
    content = folder / "content"
    content.mkdir()
    return ColabMachine(venv / "bin" / "python", content, _variables(folder, github, cache))


def _copy_programs(venv: Path) -> None:
    """Put the packages' programs (`accelerate`, `transformers`...) beside the machine's Python."""
    for program in filter(Path.is_file, Path(sys.executable).parent.iterdir()):
        first, _, rest = program.read_bytes().partition(b"\n")
        target = venv / "bin" / program.name
        if first.startswith(b"#!") and b"python" in first and not target.exists():
            target.write_bytes(f"#!{venv / 'bin' / 'python'}\n".encode() + rest)
            target.chmod(0o755)


def _packages() -> list[str]:
    """Return the folders of the packages at hand; what their `.pth` files add is left out."""
    return [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]


def _variables(folder: Path, github: str, cache: Path) -> dict[str, str]:
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COURSE_", "HF_", "HUGGING", "GIT_", "PIP_", "PYTHON", "VIRTUAL"))
    }
    return own | {
        "COLAB_RELEASE_TAG": RELEASE,
        "COURSE_CACHE": str(cache),
        "COURSE_MODE": "embedded",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{github}.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
        "HF_HOME": str(folder / "hf"),
        "IPYTHONDIR": str(folder / "ipython"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        # Without a network: whatever pip would have to fetch or to replace is a failure.
        "PIP_NO_BUILD_ISOLATION": "0",  # so pip reads it: the setting is "build isolation"
        "PIP_NO_INDEX": "1",
        "PYTHONPATH": str(NETWORK_DENIED),
    }


def _plain(output: Any) -> str:
    if output.output_type == "error":
        return "\n".join(output.traceback)
    return output.get("text") or output.get("data", {}).get("text/plain", "")
