"""Where the course is running: Colab or not, which device, how much memory, is the Hub there."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import platform
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from helpers.errors import CourseError
from helpers.messages import text

HUB_URL = "https://huggingface.co"
VIEWER_URL = "https://datasets-server.huggingface.co"
# How long a thread of PyTorch that waits holds its processor: long enough for the next operation of
# the same model, short enough for the notebook and the embedded server to share a few processors.
# In turns of a loop (libgomp, in PyTorch's own wheels) and in milliseconds (Intel's and LLVM's).
THREADS_WAIT = {"GOMP_SPINCOUNT": "10000", "KMP_BLOCKTIME": "1"}
MAIN_LIBRARIES = ("torch", "transformers", "huggingface_hub", "datasets", "requests")


def share_processors() -> None:
    """Keep programs that compute side by side on a few processors from slowing each other down.

    Read when PyTorch is imported: to be called before. Who has set ``OMP_WAIT_POLICY`` is obeyed.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        for name, value in THREADS_WAIT.items():
            os.environ.setdefault(name, value)


class Device(NamedTuple):
    """What models run on: ``"cuda"``, ``"mps"`` or ``"cpu"``, its name, its own memory."""

    kind: str
    name: str
    memory_bytes: int | None


@dataclass(frozen=True)
class Environment:
    """What was found on this machine.

    Attributes:
        where: ``"colab"`` or ``"local"``.
        system: operating system and version.
        python: Python's version.
        device: ``"cuda"``, ``"mps"`` or ``"cpu"``.
        device_name: the GPU's or the processor's name.
        device_memory_bytes: the GPU's memory; None without a GPU of its own memory.
        memory_bytes: the machine's memory; 0 if unknown.
        disk_free_bytes: what is free where the course keeps its models.
        versions: version of each main library that is installed.
    """

    where: str
    system: str
    python: str
    device: str
    device_name: str
    device_memory_bytes: int | None
    memory_bytes: int
    disk_free_bytes: int
    versions: dict[str, str] = field(default_factory=dict)


def cache_folder() -> Path:
    r"""Return the course's own folder for models and packages, made if needed.

    It is ``$COURSE_CACHE`` if set, else ``~/.cache/curso-hf`` (``%LOCALAPPDATA%\curso-hf`` on
    Windows).

    Raises:
        CourseError: if the folder cannot be made.
    """
    chosen = os.environ.get("COURSE_CACHE")
    local = os.environ.get("LOCALAPPDATA") if sys.platform == "win32" else None
    if chosen:
        folder = Path(chosen).expanduser().absolute()
    elif local:
        folder = Path(local) / "curso-hf"
    else:
        folder = Path.home() / ".cache" / "curso-hf"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CourseError(text("environment.no_cache_folder", folder=folder)) from error
    return folder


def inspect() -> Environment:
    """Look around, without importing PyTorch."""
    device = _device()
    return Environment(
        where="colab" if is_colab() else "local",
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        device=device.kind,
        device_name=device.name,
        device_memory_bytes=device.memory_bytes,
        memory_bytes=_memory(),
        disk_free_bytes=shutil.disk_usage(cache_folder()).free,
        versions=versions(),
    )


def is_colab() -> bool:
    """Whether this is Google Colab's own machine."""
    return "COLAB_RELEASE_TAG" in os.environ or "google.colab" in sys.modules


def versions(names: tuple[str, ...] = MAIN_LIBRARIES) -> dict[str, str]:
    """Return the version of each library that is installed, without importing any."""
    found = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def hub_is_reachable(timeout: float = 2.0) -> bool:
    """Whether huggingface.co answers.

    Args:
        timeout: how long to wait, in seconds.
    """
    request = urllib.request.Request(f"{HUB_URL}/api/models?limit=1", method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=timeout):
            return True
    except urllib.error.HTTPError:
        return True  # it answered, even if only to refuse
    except (OSError, ValueError):
        return False


def server_address(value: str) -> str:
    """Return the address of a class server as programs write it.

    Args:
        value: what the teacher's screen shows; ``http://`` and a final slash may be left out.

    Raises:
        CourseError: if it is no address.
    """
    url = value.strip()
    url = (url if "://" in url else f"http://{url}").rstrip("/")
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname)
        _ = parts.port  # what is no port raises a ValueError
    except ValueError:
        is_address = False
    if not is_address or parts.path or parts.username:
        raise CourseError(text("setup.class_bad_address"))
    return url


def server_answers(url: str, token: str, timeout: float = 3.0) -> bool | str:
    """Ask a class server whether it is one and knows a token.

    Args:
        url: its address.
        token: the class's token.
        timeout: how long to wait for each answer, in seconds.

    Returns:
        True, or what is wrong: ``"unreachable"``, ``"not_ours"`` or ``"refused"``.
    """
    if not (token.isascii() and token.isprintable()):
        return "refused"  # no header can carry it, so no server knows it
    # Proxies are for the internet; a token never goes through one.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    whoami = urllib.request.Request(f"{url}/api/whoami-v2")
    whoami.add_header("Authorization", f"Bearer {token}")
    try:
        with opener.open(f"{url}/course/health", timeout=timeout) as response:
            health = json.loads(response.read(64 * 1024))
        if not isinstance(health, dict) or health.get("course") != "curso-hf":
            return "not_ours"
        with opener.open(whoami, timeout=timeout):
            return True
    except urllib.error.HTTPError as error:
        return "refused" if error.code in (401, 403) else "not_ours"
    except OSError:
        return "unreachable"
    except (ValueError, http.client.HTTPException):
        return "not_ours"


def _device() -> Device:
    return _torch_device() or _nvidia() or _apple() or Device("cpu", _processor(), None)


def _torch_device() -> Device | None:
    """Ask PyTorch, but only if somebody has already paid for importing it."""
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "cuda") or not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(0)
    return Device("cuda", properties.name, properties.total_memory)


def _nvidia() -> Device | None:
    """Ask the driver. A GPU that the installed PyTorch cannot use does not count."""
    program = shutil.which("nvidia-smi")
    if program is None or "+cpu" in versions(("torch",)).get("torch", ""):
        return None
    query = ["--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(
            [program, *query], capture_output=True, text=True, timeout=5, check=True
        ).stdout
        name, mebibytes = answer.splitlines()[0].rsplit(",", 1)
        return Device("cuda", name.strip(), int(mebibytes) * 2**20)
    except (OSError, subprocess.SubprocessError, IndexError, ValueError):
        return None


def _apple() -> Device | None:
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return Device("mps", "Apple Silicon", None)
    return None


def _processor() -> str:
    """Return the processor's name and how many cores this process may use."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    available = getattr(os, "sched_getaffinity", None)
    cores = len(available(0)) if available else os.cpu_count() or 1
    return text("environment.processor", name=name, cores=cores)


def _memory() -> int:
    """Return the machine's memory in bytes, or 0 if nobody can say."""
    with contextlib.suppress(ImportError):
        import psutil

        return int(psutil.virtual_memory().total)
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return 0
