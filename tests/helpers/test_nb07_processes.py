"""Programs beside the notebook: what they print, how they fail, and that none is left running."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

from helpers import processes
from helpers.errors import CourseError

SERVER = """
    import http.server, pathlib, os, sys
    pathlib.Path("pid").write_text(str(os.getpid()))
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
    http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
FAMILY = """
    import os, pathlib, subprocess, sys, time
    child = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True
    )
    pathlib.Path("pids.new").write_text(f"{os.getpid()} {child.pid}")
    os.rename("pids.new", "pids")
    time.sleep(600)
"""
STUBBORN = """
    import subprocess, sys, time
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    subprocess.Popen([sys.executable, "-c", f"{code}; print(flush=True); time.sleep(600)", MARK],
                     stdout=subprocess.PIPE).stdout.readline()
    time.sleep(600)
"""
FERTILE = """
    import subprocess, sys, time
    while True:
        subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)", MARK])
        time.sleep(0.01)
"""


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(source, name="script.py"):
        (tmp_path / name).write_text(textwrap.dedent(source), encoding="utf-8")
        return f"python {name}"

    return write


def wait_for(condition, seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_what_a_command_prints_comes_back(script):
    assert processes.run(script("print('olá, mundo')\nprint(2)")) == "olá, mundo\n2"


def test_a_failed_script_is_told_by_the_line_that_says_why(script):
    command = script("import json\njson.loads('{')")
    with pytest.raises(CourseError) as caught:
        processes.run(command)
    assert "JSONDecodeError: Expecting property name" in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert "código 1" in str(caught.value)


def test_a_launcher_that_adds_its_own_trouble_does_not_hide_the_first_error(script):
    command = script(
        """
        import sys
        print("ValueError: o texto está vazio", file=sys.stderr)
        print("torch.distributed.elastic.ChildFailedError: script.py failed", file=sys.stderr)
        sys.exit(3)
        """
    )
    with pytest.raises(CourseError, match="o texto está vazio"):
        processes.run(command)


def test_a_script_that_fails_without_a_word(script):
    with pytest.raises(CourseError, match="código 7"):
        processes.run(script("raise SystemExit(7)"))


def test_a_missing_program_is_named():
    with pytest.raises(CourseError, match="nao-existe-mesmo"):
        processes.run("nao-existe-mesmo --ajuda")


def test_a_slow_command_and_its_children_are_ended(script, tmp_path):
    with pytest.raises(CourseError, match="3 segundos"):
        processes.run(script(FAMILY), timeout=3)
    assert_family_is_gone(tmp_path)


def assert_family_is_gone(folder):
    for pid in map(int, (folder / "pids").read_text().split()):
        wait_for(lambda pid=pid: is_gone(pid))


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_child_that_ignores_the_request_is_ended_too(script, tmp_path):
    with pytest.raises(CourseError, match="3 segundos"):
        processes.run(script(STUBBORN.replace("MARK", repr(str(tmp_path)))), timeout=3)
    assert marked(tmp_path) == []


def test_a_child_born_while_its_parent_is_ended_is_ended_too(script, tmp_path):
    with pytest.raises(CourseError, match="2 segundos"):
        processes.run(script(FERTILE.replace("MARK", repr(str(tmp_path)))), timeout=2)
    assert marked(tmp_path) == []


def marked(mark):
    """Return the processes that run with a word on their command line."""
    found = psutil.process_iter(["cmdline"])
    named = [process.pid for process in found if str(mark) in (process.info["cmdline"] or [])]
    return [pid for pid in named if not is_gone(pid)]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_after_an_interrupt_or_a_killed_kernel(script, tmp_path, how):
    script(FAMILY)
    notebook = "from helpers import processes; processes.run('python script.py')"
    kernel = subprocess.Popen([sys.executable, "-c", notebook], stderr=subprocess.DEVNULL)
    wait_for((tmp_path / "pids").exists)
    kernel.send_signal(how)
    kernel.wait(30)
    assert_family_is_gone(tmp_path)


def test_a_server_answers_until_its_block_ends(script, tmp_path):
    port = processes.free_port()
    url = f"http://127.0.0.1:{port}"
    with processes.serve(f"{script(SERVER)} {port}", url) as server:
        assert server.running
        assert url in repr(server)
        pid = int((tmp_path / "pid").read_text())
    assert not server.running
    assert "desligado" in repr(server)
    wait_for(lambda: is_gone(pid))
    server.stop()


def test_a_taken_port_is_told_before_anything_starts(script):
    port = processes.free_port()
    url = f"http://127.0.0.1:{port}"
    command = f"{script(SERVER)} {port}"
    with (
        processes.serve(command, url),
        pytest.raises(CourseError, match=f"porta {port} já está em uso"),
    ):
        processes.serve(command, url)


def test_a_server_that_does_not_start_is_told_by_its_last_line(script):
    command = script("raise ImportError('falta o fastapi')")
    with pytest.raises(CourseError, match="ImportError: falta o fastapi"):
        processes.serve(command, f"http://127.0.0.1:{processes.free_port()}")


def test_an_error_in_colours_is_quoted_without_them(script):
    """As Python 3.13 prints it where a kernel asked for colours."""
    command = script(
        r"import sys; sys.exit('\033[1;35mValueError\033[0m: \033[35mfalta o 15\033[0m\nfim')"
    )
    with pytest.raises(CourseError, match=r": ValueError: falta o 15$"):
        processes.run(command)


def test_a_server_that_never_answers_is_ended(script, tmp_path):
    with pytest.raises(CourseError, match="2 segundos"):
        processes.serve(script(FAMILY), f"http://127.0.0.1:{processes.free_port()}", timeout=2)
    assert_family_is_gone(tmp_path)
