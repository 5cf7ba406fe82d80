"""One server per user: found through a record in the cache folder, started on demand, revived."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from helpers.embedded import auth, source
from helpers.environment import cache_folder
from helpers.errors import CourseError
from helpers.messages import text

if TYPE_CHECKING:
    import psutil

HOST = "127.0.0.1"
DEFAULT_PORT = 8642
PORTS_TRIED = 100
IDLE_SECONDS = 15 * 60.0
HEARTBEAT_SECONDS = 15.0
HEALTH_TIMEOUT = 2.0
POLL_SECONDS = 0.05
LOG_LIMIT = 5 * 1024 * 1024
COURSE = "curso-hf"
EXIT_PORT_TAKEN = 98
SERVER_MODULE = "helpers.embedded.server"
OWN_CLIENT = "lifecycle"

_NOT_FOR_THE_SERVER = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT")


@dataclass(frozen=True)
class Server:
    """A running server: its address, such as ``http://127.0.0.1:8642``, its port and process."""

    url: str
    port: int
    pid: int


@dataclass(frozen=True)
class ServerStatus:
    """What a running server says about itself.

    Attributes:
        url: Its address.
        port: Its port.
        pid: Its process.
        version: Hash of the code it runs.
        started: When, in seconds since the epoch.
        loaded: Ids of the models in memory.
    """

    url: str
    port: int
    pid: int
    version: str
    started: float
    loaded: tuple[str, ...]


def ensure_server(
    timeout: float = 10, *, idle_seconds: float | None = None, replace: bool = True
) -> Server:
    """Return this user's server, starting it if it is not running.

    Safe to call from several processes at once: one starts the server, the others find it. After
    a crash the server comes back on the port that it had.

    Args:
        timeout: Seconds to wait for it to answer.
        idle_seconds: How long a server that is started now stays without requests; by default
            ``$COURSE_SERVER_IDLE`` or 15 minutes.
        replace: Whether a running server of another version gives way. A notebook that was open
            before an update must not ask for this: it would undo what a newer one has started.

    Raises:
        CourseError: It did not start; the sentence says where to look.
    """
    found = status()
    if not _will_do(found, replace):
        with _starting_lock(timeout):
            found = _patient_status(timeout)
            if not _will_do(found, replace):
                stop_server()
                return _start(timeout, _idle_seconds(idle_seconds))
    return Server(found.url, found.port, found.pid)


def _will_do(found: ServerStatus | None, replace: bool) -> TypeGuard[ServerStatus]:
    """Whether a running server may stay, though it be of another version."""
    return found is not None and (not replace or found.version == source.version())


def _patient_status(timeout: float) -> ServerStatus | None:
    """Ask again while the process is there: it may be busy, importing torch from a slow disk."""
    deadline = time.monotonic() + timeout
    found = status()
    while found is None and time.monotonic() < deadline and _is_running(_recorded_pid()):
        time.sleep(POLL_SECONDS)
        found = status()
    return found


def status() -> ServerStatus | None:
    """Return what the running server says about itself, or ``None`` if there is none."""
    record = _record()
    port, pid = record.get("port"), record.get("pid")
    if not isinstance(port, int) or not isinstance(pid, int):
        return None
    health = _health(port)
    if health is None or health.get("pid") != pid:
        return None
    return ServerStatus(
        url=_url(port),
        port=port,
        pid=pid,
        version=str(health.get("version")),
        started=float(health.get("started", 0.0)),
        loaded=tuple(health.get("loaded", ())),
    )


def stop_server(timeout: float = 5) -> bool:
    """Stop this user's server, politely first.

    Args:
        timeout: Seconds to wait before the process is ended.

    Returns:
        Whether there was one.
    """
    pid = _recorded_pid()
    running = status()
    if running is not None:
        request = urllib.request.Request(f"{running.url}/course/shutdown", method="POST")
        request.add_header("Authorization", f"Bearer {auth.client_token(OWN_CLIENT)}")
        with suppress(OSError), urllib.request.urlopen(request, timeout=HEALTH_TIMEOUT):
            pass
        _end_process(pid, timeout)
        return True
    return _end_process(pid, 0)


_keepers: dict[int, threading.Thread] = {}
_keepers_lock = threading.Lock()


def keep_alive(server: Server, interval: float = HEARTBEAT_SECONDS) -> threading.Thread:
    """Keep the server running for as long as this process lives.

    A daemon thread asks for its health now and then, which also keeps it from stopping for want
    of requests, and starts it again on the same port if it died.

    Args:
        server: What :func:`ensure_server` returned.
        interval: Seconds between two heartbeats.

    Returns:
        The thread; calling again for the same port returns the one that is already there.
    """
    with _keepers_lock:
        keeper = _keepers.get(server.port)
        if keeper is None or not keeper.is_alive():
            keeper = threading.Thread(
                target=_watch, args=(server.port, interval), name="course-server", daemon=True
            )
            _keepers[server.port] = keeper
            keeper.start()
        return keeper


def _watch(port: int, interval: float) -> None:
    finishing = threading.Event()
    atexit.register(finishing.set)
    while not finishing.wait(interval):
        if _health(port) is None:
            # The next heartbeat tries again; a notebook that calls the server sees the reason.
            with suppress(CourseError, OSError):
                ensure_server(replace=False)


# --- starting ---------------------------------------------------------------------------------


def _start(timeout: float, idle_seconds: float) -> Server:
    deadline = time.monotonic() + timeout
    for port in _candidate_ports():
        if not _is_free(port):
            continue
        process = _launch(port, idle_seconds)
        started = _wait_until_healthy(process, port, deadline)
        if started is not None:
            return Server(started.url, started.port, started.pid)
        if process.poll() == EXIT_PORT_TAKEN:
            continue
        if process.poll() is not None:
            raise CourseError(text("server.crashed", log=_log_path()))
        process.kill()
        raise CourseError(text("server.not_started", seconds=timeout, log=_log_path()))
    last = DEFAULT_PORT + PORTS_TRIED - 1
    raise CourseError(text("server.no_port", first=DEFAULT_PORT, last=last))


def _candidate_ports() -> Iterator[int]:
    """Yield the port of last time, where open notebooks still look, then the usual ones."""
    previous = _record().get("port")
    if isinstance(previous, int) and 0 < previous < 65536:
        yield previous
    yield from (p for p in range(DEFAULT_PORT, DEFAULT_PORT + PORTS_TRIED) if p != previous)


def _is_free(port: int) -> bool:
    """Whether the server could listen there (it checks again itself)."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


_launched: list[subprocess.Popen[bytes]] = []
"""Servers started by this process, kept so that the system can tell us when one has ended."""


def _launch(port: int, idle_seconds: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", SERVER_MODULE, "--quiet"]
    command += ["--port", str(port), "--idle", str(idle_seconds)]
    with _open_log() as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=cache_folder(),
            env=_environment(),
            close_fds=True,
            **_detached(),
        )
    _launched[:] = [running for running in _launched if running.poll() is None] + [process]
    return process


def _detached() -> dict[str, Any]:
    """Let the server outlive its notebook, out of reach of its Ctrl-C and without a window."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def _environment() -> dict[str, str]:
    environment = {k: v for k, v in os.environ.items() if k not in _NOT_FOR_THE_SERVER}
    root = str(Path(__file__).resolve().parents[2])
    inherited = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, inherited]))
    environment["COURSE_CACHE"] = str(cache_folder())
    environment["PYTHONUNBUFFERED"] = "1"
    environment["PYTHONUTF8"] = "1"
    return environment


def _wait_until_healthy(
    process: subprocess.Popen[bytes], port: int, deadline: float
) -> ServerStatus | None:
    """Wait for the server's own record: on Windows its process is not the one we started."""
    while time.monotonic() < deadline and process.poll() is None:
        found = status()
        if found is not None and found.port == port:
            return found
        time.sleep(POLL_SECONDS)
    return None


def _idle_seconds(chosen: float | None) -> float:
    if chosen is not None:
        return chosen
    try:
        return float(os.environ.get("COURSE_SERVER_IDLE", IDLE_SECONDS))
    except ValueError:
        return IDLE_SECONDS


@contextmanager
def _starting_lock(timeout: float) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(cache_folder() / "server.lock")
    try:
        # Another kernel may be starting it: it gets its own time before ours runs out.
        lock.acquire(timeout=2 * timeout)
    except Timeout:
        raise CourseError(text("server.locked", seconds=2 * timeout)) from None
    try:
        yield
    finally:
        lock.release()


def _log_path() -> Path:
    return cache_folder() / "server.log"


def _open_log() -> Any:
    path = _log_path()
    with suppress(OSError):
        if path.stat().st_size > LOG_LIMIT:
            os.replace(path, path.with_suffix(".log.1"))
    return path.open("ab")


# --- looking ----------------------------------------------------------------------------------


def record_path() -> Path:
    """Return where the running server is written down."""
    return cache_folder() / "server.json"


def _record() -> dict[str, Any]:
    try:
        record = json.loads(record_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _recorded_pid() -> int | None:
    pid = _record().get("pid")
    return pid if isinstance(pid, int) else None


def _health(port: int, timeout: float = HEALTH_TIMEOUT) -> dict[str, Any] | None:
    """Ask whoever listens on a port who they are; ``None`` unless it is a server of the course."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{_url(port)}/course/health", timeout=timeout) as response:
            health = json.loads(response.read(65536))
    except (OSError, ValueError):
        return None
    is_ours = isinstance(health, dict) and health.get("course") == COURSE
    return health if is_ours else None


def _url(port: int) -> str:
    return f"http://{HOST}:{port}"


def _process(pid: int | None) -> psutil.Process | None:
    """Return the process of a recorded server, if the number still belongs to one."""
    import psutil

    if pid is None:
        return None
    try:
        process = psutil.Process(pid)
        command = process.cmdline()  # empty for a process that is dead and not yet buried
    except psutil.Error:
        return None
    is_server = SERVER_MODULE in command or ("helpers" in command and "serve" in command)
    return process if is_server else None


def _is_running(pid: int | None) -> bool:
    return _process(pid) is not None


def _end_process(pid: int | None, timeout: float) -> bool:
    """End a server's process, giving it time to end by itself."""
    import psutil

    process = _process(pid)
    if process is None:
        return False
    for seconds, end in ((timeout, process.terminate), (3, process.kill), (3, None)):
        try:
            process.wait(max(seconds, 0.01))
            break
        except psutil.TimeoutExpired:
            if end is not None:
                with suppress(psutil.NoSuchProcess):
                    end()
    return True
