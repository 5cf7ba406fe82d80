"""One server per user: started once, found again, revived, and gone when nobody calls."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest
import requests

from helpers.embedded import lifecycle
from helpers.errors import CourseError
from helpers.processes import free_port

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="kills with SIGKILL")


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """A user of our own, whose servers are all gone at the end."""
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    monkeypatch.setattr(lifecycle, "DEFAULT_PORT", free_port())
    yield tmp_path
    lifecycle.stop_server()
    for process in psutil.process_iter():
        try:
            is_ours = process.environ().get("COURSE_CACHE") == str(tmp_path)
        except psutil.Error:
            continue
        if is_ours and process.pid != os.getpid():
            process.kill()


def _wait(condition, seconds=15):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"still not after {seconds} s")


def _kill(pid):
    os.kill(pid, signal.SIGKILL)
    _wait(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie")


def _write_record(cache, **record):
    (cache / "server.json").write_text(json.dumps(record), encoding="utf-8")


def _kernel(program, **variables):
    """Run a program in another process, as another notebook of the same user."""
    prelude = (
        "from helpers.embedded import lifecycle; "
        f"lifecycle.DEFAULT_PORT = {lifecycle.DEFAULT_PORT}; "
    )
    root = str(lifecycle.Path(lifecycle.__file__).parents[2])
    path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", prelude + program],
        env={**os.environ, **variables, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
    )


def test_it_starts_once_and_is_found_again(own_cache):
    assert lifecycle.status() is None
    start = time.monotonic()
    first = lifecycle.ensure_server()
    assert time.monotonic() - start < 5
    assert first.url == f"http://127.0.0.1:{lifecycle.DEFAULT_PORT}"
    assert lifecycle.ensure_server() == first
    found = lifecycle.status()
    assert (found.pid, found.port, found.loaded) == (first.pid, first.port, ())
    assert abs(found.started - time.time()) < 30


def test_two_processes_at_once_get_one_server(own_cache):
    program = "import json; s = lifecycle.ensure_server(); print(json.dumps([s.port, s.pid]))"
    kernels = [_kernel(program) for _ in range(4)]
    answers = [json.loads(kernel.communicate(timeout=60)[0]) for kernel in kernels]
    assert answers == [answers[0]] * 4
    assert lifecycle.status().pid == answers[0][1]


def test_threads_at_once_get_one_server(own_cache):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(lifecycle.ensure_server())) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len(set(found)) == 1


@posix_only
def test_after_a_kill_it_is_back_on_the_same_port(own_cache):
    first = lifecycle.ensure_server()
    _kill(first.pid)
    start = time.monotonic()
    second = lifecycle.ensure_server()
    assert time.monotonic() - start < 5
    assert second.port == first.port and second.pid != first.pid


def test_a_record_whose_process_number_belongs_to_another_program(own_cache):
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        _write_record(own_cache, port=lifecycle.DEFAULT_PORT, pid=other.pid, version="antiga")
        server = lifecycle.ensure_server()
        assert server.pid != other.pid
        assert other.poll() is None  # left alone
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize("contents", ["", "{", "[]", '{"port": "x", "pid": null}', '{"port": -1}'])
def test_a_record_that_makes_no_sense(own_cache, contents):
    (own_cache / "server.json").write_text(contents, encoding="utf-8")
    assert lifecycle.status() is None
    assert lifecycle.ensure_server().port == lifecycle.DEFAULT_PORT


def test_a_port_taken_by_something_else(own_cache):
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", lifecycle.DEFAULT_PORT))
        squatter.listen()
        server = lifecycle.ensure_server()
        assert server.port != lifecycle.DEFAULT_PORT
        assert requests.get(f"{server.url}/course/health", timeout=5).json()["pid"] == server.pid
    # Open notebooks still look there, so it stays where it is, now and after a stop.
    assert lifecycle.ensure_server() == server
    assert lifecycle.stop_server()
    assert lifecycle.ensure_server().port == server.port


def test_another_users_server_on_our_port_is_not_ours(own_cache, tmp_path_factory, monkeypatch):
    theirs = lifecycle.ensure_server()
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path_factory.mktemp("other")))
    ours = lifecycle.ensure_server()
    try:
        assert ours.port != theirs.port
    finally:
        lifecycle.stop_server()
    monkeypatch.setenv("COURSE_CACHE", str(own_cache))
    assert lifecycle.status().pid == theirs.pid


def test_no_port_left(own_cache, monkeypatch):
    monkeypatch.setattr(lifecycle, "PORTS_TRIED", 1)
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", lifecycle.DEFAULT_PORT))
        squatter.listen()
        with pytest.raises(CourseError, match="Nenhuma porta livre"):
            lifecycle.ensure_server()


def test_a_server_that_cannot_start_says_where_to_look(own_cache, monkeypatch):
    monkeypatch.setattr(lifecycle, "SERVER_MODULE", "helpers.embedded.nada")
    with pytest.raises(CourseError, match=r"server\.log"):
        lifecycle.ensure_server()


def test_a_server_of_older_code_is_replaced(own_cache, monkeypatch):
    old = lifecycle.ensure_server()
    monkeypatch.setattr(lifecycle.source, "version", lambda: "nova")
    new = lifecycle.ensure_server()
    assert new.pid != old.pid and new.port == old.port
    _wait(lambda: not psutil.pid_exists(old.pid) or psutil.Process(old.pid).status() == "zombie")


def test_a_notebook_from_before_an_update_keeps_the_newer_server(own_cache, monkeypatch):
    newer = lifecycle.ensure_server()
    monkeypatch.setattr(lifecycle.source, "version", lambda: "antiga")
    assert lifecycle.ensure_server(replace=False) == newer


def test_stop(own_cache):
    assert not lifecycle.stop_server()
    server = lifecycle.ensure_server()
    assert lifecycle.stop_server()
    assert lifecycle.status() is None
    assert json.loads((own_cache / "server.json").read_text())["pid"] is None
    with pytest.raises(requests.ConnectionError):
        requests.get(server.url, timeout=2)
    assert not lifecycle.stop_server()


@posix_only
def test_a_busy_server_is_waited_for_and_a_stuck_one_replaced(own_cache):
    first = lifecycle.ensure_server()
    os.kill(first.pid, signal.SIGSTOP)
    waker = threading.Timer(3, os.kill, (first.pid, signal.SIGCONT))
    waker.start()
    assert lifecycle.ensure_server() == first
    os.kill(first.pid, signal.SIGSTOP)
    second = lifecycle.ensure_server(timeout=3)
    assert second.port == first.port and second.pid != first.pid


@posix_only
def test_keep_alive_revives_on_the_same_port(own_cache):
    kernel = _kernel(
        "import time; s = lifecycle.ensure_server(); keeper = lifecycle.keep_alive(s, 0.2); "
        "assert keeper.daemon and lifecycle.keep_alive(s) is keeper; "
        "print('pronto', flush=True); time.sleep(60)"
    )
    try:
        assert kernel.stdout.readline() == b"pronto\n"
        first = lifecycle.status()
        _kill(first.pid)
        _wait(lambda: (found := lifecycle.status()) is not None and found.pid != first.pid)
        assert lifecycle.status().port == first.port
    finally:
        kernel.kill()
        kernel.communicate()


def test_it_leaves_when_nobody_calls(own_cache):
    server = lifecycle.ensure_server(idle_seconds=4.0)
    for _ in range(6):  # asking now and then keeps it
        time.sleep(1)
        assert lifecycle.status() is not None
    _wait(
        lambda: not psutil.pid_exists(server.pid) or psutil.Process(server.pid).status() == "zombie"
    )
    assert lifecycle.status() is None


def test_it_outlives_the_notebook_that_started_it(own_cache):
    kernel = _kernel("lifecycle.ensure_server()", HF_TOKEN="hf_de_verdade")
    assert kernel.communicate(timeout=60)[0] == b""
    found = lifecycle.status()
    assert found is not None
    assert "HF_TOKEN" not in psutil.Process(found.pid).environ()  # a real token stays outside


def test_in_the_foreground_it_says_how_to_stop_and_stops(own_cache):
    port = lifecycle.DEFAULT_PORT
    process = subprocess.Popen(
        [sys.executable, "-m", "helpers.embedded.server", "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        _wait(lambda: lifecycle.status() is not None)
        assert lifecycle.ensure_server().pid == process.pid  # notebooks use it
        taken = subprocess.run(
            [sys.executable, "-m", "helpers.embedded.server", "--port", str(port)],
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert taken.returncode == lifecycle.EXIT_PORT_TAKEN
        assert f"A porta {port} já está em uso" in taken.stderr
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=15)
    finally:
        process.kill()
    assert f"http://127.0.0.1:{port}" in output and "Ctrl-C" in output
    assert "Traceback" not in output
    assert process.returncode == 0


def test_the_version_covers_the_adapters_and_the_catalog():
    names = {path.name for path in lifecycle.source._files()}
    assert {"adapter_model.safetensors", "catalog.toml", "server.py"} <= names
    assert "question_answering.py" in names
