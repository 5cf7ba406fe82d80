"""From a bare Python to a `.venv` that holds everything the course needs.

Only the standard library is used: this runs before anything is installed.
"""

import errno
import hashlib
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import metadata, util
from pathlib import Path
from typing import IO, Any, TextIO

from helpers.errors import CourseError
from helpers.messages import text

ROOT = Path(__file__).resolve().parent.parent
SPACE_NEEDED = 3 * 1000**3  # bytes: what is installed takes 1.9 GB, the downloads the rest
STAMP = "course-stamp.json"
LOG = "course-pip.log"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"

_DISK_FULL = re.compile(r"No space left on device|Errno 28|not enough space|WinError 112", re.I)
_NO_REGISTRY = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeoutError|ReadTimeoutError|ProxyError"
    r"|SSLError|Connection refused|Connection (?:broken|reset|aborted)|HTTP error [45]\d\d"
    r"|Name or service not known|name resolution|Read timed out|Could not fetch URL"
)
_NOT_ALLOWED = re.compile(r"Permission denied|Errno 13|Read-only file system|Access is denied")


class StatusLine:
    """One line that is rewritten in a terminal, and plain lines now and then elsewhere."""

    def __init__(self, stream: TextIO | None = None, every: float = 15.0) -> None:
        """Args: the stream (standard output) and the seconds between two plain lines."""
        self._stream = stream or sys.stdout
        self._rewrites = self._stream.isatty()
        self._every = every
        self._start = time.monotonic()
        self._last_plain = float("-inf")
        self._phase: str | None = None

    @property
    def elapsed(self) -> float:
        """Seconds since the line was made."""
        return time.monotonic() - self._start

    def show(self, message: str, phase: str = "") -> None:
        """Show what is being done; elsewhere than in a terminal, once a phase or every 15 s."""
        line = f"{message}  [{duration(self.elapsed)}]"
        if self._rewrites:
            width = shutil.get_terminal_size().columns - 1
            self._stream.write("\r" + line[:width].ljust(width))
        elif phase != self._phase or self.elapsed - self._last_plain >= self._every:
            self._stream.write(line + "\n")
            self._last_plain = self.elapsed
        self._phase = phase
        self._stream.flush()

    def finish(self, message: str) -> None:
        """Replace the line by a last one that stays."""
        self.clear()
        self._stream.write(f"{message}  [{duration(self.elapsed)}]\n")
        self._stream.flush()

    def clear(self) -> None:
        """Wipe the line from the terminal."""
        if self._rewrites:
            self._stream.write("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r")
            self._stream.flush()


def duration(seconds: float) -> str:
    """Return seconds as people write them: ``8 s``, ``2 min 05 s``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def venv_folder(root: Path = ROOT) -> Path:
    """Return the folder of the course's own environment."""
    return root / ".venv"


def venv_python(root: Path = ROOT) -> Path:
    """Return the path of the environment's interpreter, which may not exist yet."""
    if os.name == "nt":
        return venv_folder(root) / "Scripts" / "python.exe"
    return venv_folder(root) / "bin" / "python"


def runs_inside(root: Path = ROOT) -> bool:
    """Tell whether this very process runs on the course's `.venv`."""
    return Path(sys.prefix).resolve() == venv_folder(root).resolve()


def ready_python(root: Path = ROOT) -> Path | None:
    """Return the interpreter of a complete `.venv`, or None; nothing is installed."""
    interpreter = _inspect(venv_python(root))
    if interpreter is None or not _stamp_matches(root, interpreter):
        return None
    return venv_python(root)


def ensure(root: Path = ROOT) -> Path:
    """Return an interpreter that has what the course needs, installing it where it is missing.

    Args:
        root: the course's folder, with requirements.txt and constraints.txt.

    Returns:
        The `.venv`'s interpreter, or the current one where it already has everything.

    Raises:
        CourseError: for whatever a person can mend (disk, permission, registry, missing module).
    """
    if not (root / "requirements.txt").is_file():
        raise CourseError(text("cli.not_a_clone", folder=root))
    if uses_current_environment(root):
        return Path(sys.executable)
    try:
        return _ensure_venv(root)
    except OSError as error:
        raise _os_error_told(error, root) from error


def uses_current_environment(root: Path = ROOT) -> bool:
    """Tell whether the environment that runs now (conda, another venv) is to be used as it is.

    Raises:
        CourseError: if COURSE_NO_VENV asks for it but packages are missing.
    """
    if os.environ.get("COURSE_NO_VENV", "") not in ("", "0"):
        missing = missing_requirements(root)
        if missing:
            raise CourseError(text("cli.no_venv_missing", missing=", ".join(missing)))
        return True
    isolated = sys.prefix != sys.base_prefix or os.environ.get("CONDA_PREFIX") == sys.prefix
    return isolated and not runs_inside(root) and not missing_requirements(root)


def uses_current_environment_quietly(root: Path = ROOT) -> bool:
    """Like `uses_current_environment`, but never complains."""
    try:
        return uses_current_environment(root)
    except CourseError:
        return True


def share_course_with_children(root: Path = ROOT) -> None:
    """Let kernels and servers started from a foreign environment import `helpers`."""
    paths = [str(root), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))


def missing_requirements(root: Path = ROOT) -> list[str]:
    """Return the lines of requirements.txt that the running environment does not satisfy."""
    lines = requirement_lines(root / "requirements.txt")
    try:
        from packaging.requirements import Requirement
    except ModuleNotFoundError:  # it is itself required, so something is missing for sure
        return [line for line in lines if _installed_version(_name_of(line)) is None]
    wanted = [Requirement(line) for line in lines]
    return [
        str(requirement)
        for requirement in wanted
        if (version := _installed_version(requirement.name)) is None
        or not requirement.specifier.contains(version, prereleases=True)
    ]


def requirement_lines(path: Path) -> list[str]:
    """Return a requirements file's lines without comments and blanks."""
    lines = (line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    return [line for line in lines if line]


def hand_over(python: Path, arguments: list[str], root: Path = ROOT) -> int:
    """Continue the same command on another interpreter; on POSIX this does not return.

    Args:
        python: the interpreter that `ensure` returned.
        arguments: the command line after ``python -m helpers``.
        root: the course's folder.

    Returns:
        The command's exit code (Windows only).
    """
    environment = os.environ | {
        "VIRTUAL_ENV": str(venv_folder(root)),
        "PATH": os.pathsep.join([str(python.parent), os.environ.get("PATH", "")]),
    }
    environment.pop("PYTHONHOME", None)
    command = [str(python), "-m", "helpers", *arguments]
    sys.stdout.flush()
    if os.name != "nt":
        os.execve(python, command, environment)
    with child_process(command, env=environment) as process:  # exec would detach from the console
        return process.wait()


@contextmanager
def child_process(command: list[str], **options: Any) -> Iterator["subprocess.Popen[str]"]:
    """Run a child that never outlives this block, whatever ends it (Ctrl-C included)."""
    process = subprocess.Popen(command, text=True, **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _installed_version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _name_of(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]


# --- the environment's state -----------------------------------------------------------------


@dataclass(frozen=True)
class _Interpreter:
    """What an interpreter says of itself."""

    version: str
    site_packages: Path

    @property
    def minor(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.version.split(".")[:2])


def _inspect(python: Path) -> _Interpreter | None:
    """Ask an interpreter for its version and folder; None if it is absent or broken."""
    question = "import platform, sysconfig as s; print(platform.python_version());"
    question += "print(s.get_path('purelib'))"
    try:
        answer = subprocess.run(
            [str(python), "-I", "-c", question],
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    lines = answer.stdout.splitlines()
    if answer.returncode or len(lines) != 2 or not Path(lines[1]).is_dir():
        return None
    return _Interpreter(version=lines[0], site_packages=Path(lines[1]))


def _stamp(root: Path, interpreter: _Interpreter) -> dict[str, str]:
    digest = hashlib.sha256()
    for name in ("requirements.txt", "constraints.txt"):
        digest.update((root / name).read_bytes().replace(b"\r\n", b"\n"))
    return {"requirements": digest.hexdigest(), "python": interpreter.version}


def _stamp_matches(root: Path, interpreter: _Interpreter) -> bool:
    try:
        found = json.loads((venv_folder(root) / STAMP).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return bool(found == _stamp(root, interpreter))


def _put_course_on_path(root: Path, site_packages: Path) -> None:
    """Let kernels, which run in notebooks/pt, import `helpers` (again if the folder moved)."""
    path_file = site_packages / "course.pth"
    line = f"{root}\n"
    if not path_file.is_file() or path_file.read_text("utf-8") != line:
        path_file.write_text(line, "utf-8")


def _ensure_venv(root: Path) -> Path:
    python = venv_python(root)
    with _one_at_a_time(root):
        interpreter = _inspect(python)
        if interpreter is None or not _stamp_matches(root, interpreter):
            interpreter = _install_everything(root, interpreter)
        _put_course_on_path(root, interpreter.site_packages)
    return python


@contextmanager
def _one_at_a_time(root: Path) -> Iterator[None]:
    """Hold a lock that the system frees even if this process is killed."""
    with (root / ".venv.lock").open("a") as file:
        if not _try_lock(file):
            print(text("cli.waiting_for_other"), flush=True)
            while not _try_lock(file):
                time.sleep(0.2)
        yield


def _try_lock(file: IO[str]) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


# --- installing ------------------------------------------------------------------------------


def _install_everything(root: Path, interpreter: _Interpreter | None) -> _Interpreter:
    status = StatusLine()
    if interpreter is None or not (runs_inside(root) or _can_continue(interpreter)):
        interpreter = _create_venv(root, status)
    _remove_half_installed(interpreter.site_packages)
    (venv_folder(root) / STAMP).unlink(missing_ok=True)
    _pip_install(root, interpreter, status)
    _write_stamp(root, interpreter)
    status.finish(text("cli.installed"))
    return interpreter


def _can_continue(interpreter: _Interpreter) -> bool:
    """Tell whether an unfinished `.venv` is of this Python and has a complete pip."""
    same = interpreter.minor == sys.version_info[:2]
    return same and any(interpreter.site_packages.glob("pip-*.dist-info/RECORD"))


def _create_venv(root: Path, status: StatusLine) -> _Interpreter:
    for module in ("venv", "ensurepip"):
        if util.find_spec(module) is None:
            raise CourseError(_venv_missing())
    free = shutil.disk_usage(root).free
    if free < SPACE_NEEDED:
        raise CourseError(_disk_full(root))
    folder = venv_folder(root)
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        status.show(text("cli.recreating"), "venv")
        shutil.rmtree(folder)
    status.show(text("cli.creating"), "venv")
    command = [sys.executable, "-m", "venv", str(folder)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with child_process(command, errors="replace", **pipes) as process:
        output, _ = process.communicate()
    interpreter = None if process.returncode else _inspect(venv_python(root))
    if interpreter is None:
        status.clear()
        raise _failure_told(output, root, fallback="cli.venv_failed")
    return interpreter


def _remove_half_installed(site_packages: Path) -> None:
    """Remove what an interrupted pip leaves: metadata without RECORD (written last), `~` folders.

    pip then installs those packages again instead of believing them complete.
    """
    unfinished = [path for path in site_packages.glob("*.dist-info") if not _is_complete(path)]
    for folder in [*unfinished, *site_packages.glob("~*")]:
        shutil.rmtree(folder, ignore_errors=True)


def _is_complete(dist_info: Path) -> bool:
    return (dist_info / "RECORD").is_file() and (dist_info / "METADATA").is_file()


def _write_stamp(root: Path, interpreter: _Interpreter) -> None:
    target = venv_folder(root) / STAMP
    temporary = target.with_suffix(".tmp")
    temporary.write_text(json.dumps(_stamp(root, interpreter)), "utf-8")
    os.replace(temporary, target)


@dataclass
class PipProgress:
    """What pip's output says so far; `read` takes one line at a time."""

    site_packages: Path
    phase: str = "collect"
    name: str = ""
    collected: int = 0
    total: int = 0
    done_bytes: int = 0
    total_bytes: int = 0
    _before: int = field(default=0, init=False)

    def read(self, line: str) -> None:
        """Take one line of pip's output into account."""
        words = line.split()
        if line.startswith("Installing collected packages:"):
            self.phase, self.total = "install", line.count(",") + 1
            self._before = self._installed()
        elif line.startswith("Progress ") and len(words) == 4:  # --progress-bar raw
            self.done_bytes, self.total_bytes = int(words[1]), int(words[3])
        elif line.startswith("Collecting ") and len(words) > 1:
            self.collected += 1
            self.phase, self.name = "collect", _name_of(words[1])
        elif words[:1] == ["Downloading"] and len(words) > 1 and ".metadata" not in line:
            self.phase, self.name = "download", words[1].rpartition("/")[2].split("-")[0]
            self.done_bytes = self.total_bytes = 0

    def message(self) -> str:
        """Return the sentence to show now."""
        if self.phase == "install":
            done = min(max(self._installed() - self._before, 0), self.total)
            return text("cli.pip_installing", done=done, total=self.total)
        if self.phase == "download" and self.total_bytes:
            done_mb, total_mb = self.done_bytes / 1e6, self.total_bytes / 1e6
            return text("cli.pip_downloading_size", name=self.name, done=done_mb, total=total_mb)
        if self.phase == "download":
            return text("cli.pip_downloading", name=self.name)
        if not self.collected:
            return text("cli.pip_starting")
        return text("cli.pip_collecting", name=self.name, count=self.collected)

    def _installed(self) -> int:
        return sum(1 for _ in self.site_packages.glob("*.dist-info"))


def _pip_install(root: Path, interpreter: _Interpreter, status: StatusLine) -> None:
    """Install everything in one call of the user's own pip, with a live line.

    Raises:
        CourseError: if pip fails, saying why in a sentence.
    """
    status.show(text("cli.pip_starting"), "pip")
    command = [*_pip(root), "install", "--no-input", *pip_index_options(root)]
    command += ["--progress-bar", _progress_bar(interpreter)]
    command += ["-r", str(root / "requirements.txt"), "-c", str(root / "constraints.txt")]
    progress = PipProgress(interpreter.site_packages)
    log = venv_folder(root) / LOG
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with child_process(command, env=_pip_environment(), errors="replace", **pipes) as process:
        assert process.stdout is not None
        reader = _Reader(process.stdout, log, progress.read)
        while not reader.wait(0.2):
            status.show(progress.message(), progress.phase)
        code = process.wait()
    if code:
        status.clear()
        raise _failure_told(log.read_text("utf-8"), root, fallback="cli.pip_failed")


class _Reader:
    """Copies a stream to a log and to a callback, in a thread of its own."""

    def __init__(self, stream: IO[str], log: Path, on_line: Callable[[str], None]) -> None:
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._copy, args=(stream, log, on_line))
        self._thread.daemon = True
        self._thread.start()

    def _copy(self, stream: IO[str], log: Path, on_line: Callable[[str], None]) -> None:
        try:
            with log.open("w", encoding="utf-8") as file:
                for line in stream:
                    if not line.startswith("Progress "):
                        file.write(line)
                    on_line(line)
        except OSError as error:
            self._failure = error

    def wait(self, seconds: float) -> bool:
        """Wait a little; return whether the stream ended, raising what went wrong."""
        self._thread.join(seconds)
        if self._failure:
            raise self._failure
        return not self._thread.is_alive()


def _pip(root: Path) -> list[str]:
    # -I: neither PYTHONPATH nor the user's own packages may stand in for what is installed here.
    return [str(venv_python(root)), "-I", "-u", "-m", "pip", "--disable-pip-version-check"]


def _pip_environment() -> dict[str, str]:
    return os.environ | {"PIP_USER": "0"}  # `user = true` in a pip.conf fails inside a venv


def _progress_bar(interpreter: _Interpreter) -> str:
    """Return the progress bar that this pip knows: machine-readable since pip 24.1."""
    for folder in interpreter.site_packages.glob("pip-*.dist-info"):
        version = folder.name.removeprefix("pip-").removesuffix(".dist-info").split(".")
        if version[0].isdigit() and int(version[0]) >= 25:
            return "raw"
    return "off"


def pip_index_options(root: Path) -> list[str]:
    """Add PyTorch's CPU index on a Linux without NVIDIA, where PyPI's torch brings CUDA along.

    Whoever configured a registry of their own keeps exactly that one.
    """
    if sys.platform != "linux" or shutil.which("nvidia-smi"):
        return []
    own = {"index-url", "extra-index-url", "find-links", "no-index"}
    if own & set(pip_configuration(_pip(root))) or not answers(TORCH_CPU_INDEX + "/torch/"):
        return []
    return ["--extra-index-url", TORCH_CPU_INDEX]


def pip_configuration(pip: list[str]) -> dict[str, str]:
    """Return pip's effective settings (files and environment): ``{"index-url": ...}``."""
    try:
        listing = subprocess.run([*pip, "config", "list"], capture_output=True, text=True)
    except OSError:
        return {}
    pairs = re.findall(r"^[^=\s]*?\.?([\w-]+)='(.*)'$", listing.stdout, flags=re.MULTILINE)
    return dict(pairs)


def answers(url: str, timeout: float = 2.0) -> bool:
    """Tell whether a web address answers at all within the time."""
    request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "curso-hf"})
    try:
        with urllib.request.urlopen(request, timeout=timeout):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except (OSError, ValueError, http.client.HTTPException):
        return False


# --- what went wrong, in a sentence ----------------------------------------------------------


def _failure_told(output: str, root: Path, fallback: str) -> CourseError:
    """Turn the output of venv or pip into the sentence a learner needs."""
    if _DISK_FULL.search(output):
        return CourseError(_disk_full(root))
    if _NOT_ALLOWED.search(output):
        return CourseError(text("cli.no_permission", folder=root))
    if "ensurepip is not available" in output or "No module named ensurepip" in output:
        return CourseError(_venv_missing())
    if _NO_REGISTRY.search(output):
        return CourseError(text("cli.no_registry"))
    errors = [line for line in output.splitlines() if line.startswith(("ERROR:", "Error:"))]
    last = (errors or output.splitlines() or [""])[-1].removeprefix("ERROR:").strip()
    return CourseError(text(fallback, detail=last, log=venv_folder(root) / LOG))


def _os_error_told(error: OSError, root: Path) -> CourseError:
    if error.errno == errno.ENOSPC:
        return CourseError(_disk_full(root))
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return CourseError(text("cli.no_permission", folder=error.filename or root))
    return CourseError(text("cli.system_error", detail=error))


def _disk_full(root: Path) -> str:
    free = 0.0
    with suppress(OSError):
        free = shutil.disk_usage(root).free / 1e9
    return text("cli.disk_full", folder=root, free=free, needed=SPACE_NEEDED / 1e9)


def _venv_missing() -> str:
    return text("cli.venv_missing", version=f"{sys.version_info[0]}.{sys.version_info[1]}")
