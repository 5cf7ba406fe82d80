"""What the bug template asks for: this machine and this installation, line by line.

Runs on the standard library before anything is installed, and sees more inside `.venv`.
Nothing is installed, started or changed.
"""

import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from importlib import metadata, util
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from helpers import bootstrap
from helpers.errors import CourseError
from helpers.messages import text

VERSIONS = (
    *("torch", "transformers", "huggingface_hub", "datasets", "accelerate", "peft", "numpy"),
    *("requests", "ipywidgets", "jupyterlab", "ipykernel", "uvicorn", "starlette", "pip"),
)
LITTLE_MEMORY = 4 * 1000**3  # bytes; the server with two models takes up to 1.5 GiB of them
PYPI = "https://pypi.org/simple"


class Mark(Enum):
    """How a line is, said in words."""

    OK = "doctor.ok"
    ATTENTION = "doctor.attention"
    MISSING = "doctor.missing"


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        label: what was looked at.
        mark: how it is.
        detail: what was found.
        next_step: what to do about it, if it should be done before anything else.
    """

    label: str
    mark: Mark
    detail: str
    next_step: str | None = None


def main(root: Path = bootstrap.ROOT) -> int:
    """Print the report and, last, what to do next.

    Returns:
        Always 0: a report that says what is missing has done its work.
    """
    print(f"{text('doctor.title')}\n")
    next_steps = []
    for label, look in _looks(root).items():
        finding = _safely(label, look)
        print(f"{finding.label:<20} {text(finding.mark.value):<8} {finding.detail}", flush=True)
        if finding.next_step:
            next_steps.append(finding.next_step)
    # The last one wins where installing is only possible once something else is mended.
    print("\n" + (next_steps[-1] if next_steps else text("doctor.next_all_good")))
    return 0


def _looks(root: Path) -> dict[str, Callable[[], Finding]]:
    """Return what is looked at, in order: first what a person knows, last what blocks most."""
    return {
        text("doctor.course"): _course,
        text("doctor.system"): _system,
        text("doctor.python"): _python,
        text("doctor.venv"): lambda: _venv(root),
        text("doctor.versions"): lambda: _versions(root),
        text("doctor.kernel"): lambda: _kernel(root),
        text("doctor.device"): _device,
        text("doctor.memory"): _memory,
        text("doctor.models"): _models,
        text("doctor.server"): _server,
        text("doctor.hub"): _hub,
        text("doctor.token"): _token,
        text("doctor.registry"): lambda: _registry(root),
        text("doctor.cache"): _cache,
        text("doctor.disk"): lambda: _disk(root),
    }


def _safely(label: str, look: Callable[[], Finding]) -> Finding:
    """A line that cannot be found out must not cost the others."""
    try:
        return look()
    except Exception as error:  # whatever it is, the report goes on
        detail = (
            str(error) if isinstance(error, CourseError) else f"{type(error).__name__}: {error}"
        )
        return Finding(label, Mark.ATTENTION, text("doctor.unknown", detail=detail))


def _course() -> Finding:
    import helpers

    return Finding(text("doctor.course"), Mark.OK, f"{helpers.__version__}, {bootstrap.ROOT}")


def _system() -> Finding:
    detail = f"{platform.system()} {platform.release()}, {platform.machine()}"
    return Finding(text("doctor.system"), Mark.OK, detail)


def _python() -> Finding:
    detail = f"{platform.python_version()}, {sys.executable}"
    return Finding(text("doctor.python"), Mark.OK, detail)


def _is_complete(root: Path) -> bool:
    """Tell whether the running environment has everything."""
    return not bootstrap.missing_requirements(root)


def _venv(root: Path) -> Finding:
    label = text("doctor.venv")
    if bootstrap.ready_python(root):
        return Finding(label, Mark.OK, text("doctor.venv_ready"))
    if _is_complete(root):
        return Finding(label, Mark.OK, text("doctor.venv_current", prefix=sys.prefix))
    if any(util.find_spec(module) is None for module in ("venv", "ensurepip")):
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        next_step = text("doctor.next_venv", version=version)
        return Finding(label, Mark.MISSING, text("doctor.ensurepip_absent"), next_step)
    exists = bootstrap.venv_folder(root).exists()
    detail = text("doctor.venv_stale" if exists else "doctor.venv_absent")
    return Finding(label, Mark.MISSING, detail, text("doctor.next_install"))


def _versions(root: Path) -> Finding:
    found, absent = [], []
    for name in VERSIONS:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            absent.append(name)
    label, listing = text("doctor.versions"), ", ".join(found)
    unmet = bootstrap.missing_requirements(root)
    if not absent and not unmet:
        return Finding(label, Mark.OK, listing)
    missing = ", ".join(unmet or absent)
    return Finding(
        label, Mark.MISSING, text("doctor.versions_absent", found=listing or "-", absent=missing)
    )


def _kernel(root: Path) -> Finding:
    label = text("doctor.kernel")
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    except ModuleNotFoundError:
        return Finding(label, Mark.MISSING, text("doctor.kernel_no"))
    try:
        folder = KernelSpecManager().get_kernel_spec("python3").resource_dir
    except NoSuchKernel:
        return Finding(label, Mark.MISSING, text("doctor.kernel_no"), text("doctor.next_install"))
    return Finding(label, Mark.OK, text("doctor.kernel_yes", folder=folder))


def _device() -> Finding:
    from helpers.environment import inspect

    environment = inspect()
    name = environment.device_name
    if environment.device_memory_bytes:
        name += f" ({environment.device_memory_bytes / 1e9:.0f} GB)"
    if environment.device == "cpu":
        return Finding(text("doctor.device"), Mark.OK, text("doctor.device_cpu", name=name))
    return Finding(text("doctor.device"), Mark.OK, f"{environment.device}: {name}")


def _memory() -> Finding:
    from helpers.environment import inspect

    label, amount = text("doctor.memory"), inspect().memory_bytes
    if not amount:
        return Finding(label, Mark.ATTENTION, text("doctor.memory_unknown"))
    key = "doctor.memory_little" if amount < LITTLE_MEMORY else "doctor.memory_amount"
    mark = Mark.ATTENTION if amount < LITTLE_MEMORY else Mark.OK
    return Finding(label, mark, text(key, amount=amount / 1e9))


def _models() -> Finding:
    label = text("doctor.models")
    from helpers.embedded import store

    models = store.summary()
    built = [model["id"] for model in models if model["built"]]
    if not built:
        return Finding(label, Mark.OK, text("doctor.models_none"))
    names = ", ".join(built)
    detail = text("doctor.models_some", built=len(built), total=len(models), names=names)
    return Finding(label, Mark.OK, detail)


def _server() -> Finding:
    label = text("doctor.server")
    if os.environ.get("COURSE_SERVER", "").strip():
        return _class_server(label)
    try:
        from helpers.embedded import lifecycle
    except ModuleNotFoundError:  # a library that is not installed yet, so no server either
        return Finding(label, Mark.OK, text("doctor.server_off"))
    status = lifecycle.status()
    if status is None:
        return Finding(label, Mark.OK, text("doctor.server_off"))
    return Finding(label, Mark.OK, text("doctor.server_on", url=status.url))


def _class_server(label: str) -> Finding:
    """Say whether the teacher's server answers and knows the token, which is never read out."""
    from helpers.environment import server_address, server_answers

    url = server_address(os.environ["COURSE_SERVER"])
    answer = server_answers(url, os.environ.get("COURSE_TOKEN", "").strip())
    if answer is True:
        return Finding(label, Mark.OK, text("doctor.server_class", url=url))
    return Finding(label, Mark.ATTENTION, text(f"setup.class_{answer}", url=url))


def _hub() -> Finding:
    from helpers.environment import hub_is_reachable

    if hub_is_reachable():
        return Finding(text("doctor.hub"), Mark.OK, text("doctor.hub_yes"))
    return Finding(text("doctor.hub"), Mark.ATTENTION, text("doctor.hub_no"))


def _token() -> Finding:
    """Say whether there is a token and where; its value is never read out."""
    from helpers import tokens

    token, source = tokens.find()
    if token is None:
        return Finding(text("doctor.token"), Mark.ATTENTION, text("doctor.token_absent"))
    return Finding(text("doctor.token"), Mark.OK, text("doctor.token_found", source=source))


def _registry(root: Path) -> Finding:
    label = text("doctor.registry")
    url = without_password(registry_url())  # a refusal is an answer too
    if _registry_answers(url):
        return Finding(label, Mark.OK, text("doctor.registry_yes", url=url))
    detail = text("doctor.registry_no", url=url)
    if bootstrap.ready_python(root) or _is_complete(root):
        return Finding(label, Mark.ATTENTION, detail)
    return Finding(label, Mark.MISSING, detail, text("doctor.next_registry"))


def _registry_answers(url: str) -> bool:
    if url.startswith("file:"):
        return Path(url2pathname(urlsplit(url).path)).exists()
    return bootstrap.answers(url.rstrip("/") + "/pip/", timeout=5)


def registry_url() -> str:
    """Return the address of the registry that the user's pip is configured for."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    return bootstrap.pip_configuration(pip).get("index-url", PYPI)


def without_password(url: str) -> str:
    """Return an address without the user name and password it may hold."""
    scheme, separator, rest = url.partition("://")
    return scheme + separator + rest.rpartition("@")[2]


def _cache() -> Finding:
    from helpers.environment import cache_folder

    folder = cache_folder()
    if os.access(folder, os.W_OK):
        return Finding(text("doctor.cache"), Mark.OK, str(folder))
    detail = text("doctor.cache_failed", folder=folder)
    next_step = text("doctor.next_cache", folder=folder)
    return Finding(text("doctor.cache"), Mark.MISSING, detail, next_step)


def _disk(root: Path) -> Finding:
    label, free = text("doctor.disk"), shutil.disk_usage(root).free
    values = {"amount": free / 1e9, "folder": root}
    if free >= bootstrap.SPACE_NEEDED:
        return Finding(label, Mark.OK, text("doctor.disk_amount", **values))
    needed = bootstrap.SPACE_NEEDED / 1e9
    detail = text("doctor.disk_little", needed=needed, **values)
    if bootstrap.ready_python(root) or _is_complete(root):
        return Finding(label, Mark.ATTENTION, detail)
    return Finding(label, Mark.MISSING, detail, text("doctor.next_disk"))
