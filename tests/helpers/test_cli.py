"""The command line as a person meets it: help, mistakes, JupyterLab, notebooks run headless."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers import bootstrap, checks, runner
from helpers.errors import CourseError

ROOT = bootstrap.ROOT
VERBS = ["lab", "run", "test", "doctor", "serve", "models"]
OLD_PYTHONS = ["3.8", "3.9", "3.10"]
ENGLISH = ("usage:", "options:", "positional arguments", "show this help", "error:")
posix_only = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")


def helpers(*arguments, python=sys.executable, **changes):
    return subprocess.run(
        [str(python), "-m", "helpers", *arguments],
        cwd=ROOT,
        env=os.environ | changes,
        capture_output=True,
        text=True,
        timeout=120,
    )


# --- help and mistakes ------------------------------------------------------------------------


def test_help_names_every_verb_in_portuguese():
    result = helpers("--help")
    assert result.returncode == 0
    for verb in VERBS:
        assert re.search(rf"^ +{verb} ", result.stdout, re.MULTILINE)
    assert not any(word in result.stdout for word in ENGLISH)


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_help_in_portuguese(verb):
    result = helpers(verb, "--help")
    assert result.returncode == 0
    assert result.stdout.startswith(f"uso: python -m helpers {verb} [-h]")
    assert "mostra esta ajuda e sai" in result.stdout
    assert not any(word in result.stdout for word in ENGLISH)


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ([], "python -m helpers --help"),
        (["laboratorio"], "python -m helpers --help"),
        (["lab", "--porta", "1"], "--help"),
        (["lab", "--port", "oito"], "“oito” não é uma porta"),
        (["lab", "--port", "99999"], "“99999” não é uma porta"),
    ],
)
def test_a_wrong_command_is_told_in_one_line(arguments, fragment):
    result = helpers(*arguments)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert fragment in result.stderr
    assert not any(word in result.stderr for word in ENGLISH)


def old_python(version):
    """Find an old interpreter that really runs (pyenv's shims may not)."""
    candidates = [shutil.which(f"python{version}")]
    candidates += sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for candidate in filter(None, candidates):
        asked = subprocess.run([candidate, "--version"], capture_output=True, text=True)
        if asked.stdout.startswith(f"Python {version}."):
            return candidate
    pytest.skip(f"there is no Python {version} here")


@pytest.mark.parametrize("version", OLD_PYTHONS)
def test_an_old_python_is_told_in_one_sentence(version):
    result = helpers("lab", python=old_python(version), PYTHONPATH="")
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "3.11" in result.stderr
    assert f"este é o Python {version}" in result.stderr


# --- lab --------------------------------------------------------------------------------------


@posix_only
def test_lab_prints_an_address_that_answers_and_stops_with_ctrl_c():
    environment = os.environ | {"COURSE_NO_VENV": "1", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "helpers", "lab", "--no-browser"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        url = None
        for line in process.stdout:
            if found := re.search(r"http://\S+", line):
                url = found[0]
            if "Ctrl-C" in line:
                break
        assert "/lab/tree/notebooks/pt/00_comece_aqui.ipynb?token=" in url
        with urllib.request.urlopen(url) as page:
            assert page.status == 200
            assert "jupyter-config-data" in page.read().decode()
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=15)
        assert process.returncode == 0
        assert "encerrado" in rest
        with pytest.raises(OSError):
            urllib.request.urlopen(url, timeout=2)
    finally:
        process.kill()


# --- run --------------------------------------------------------------------------------------


def make_notebook(root, name, *sources):
    """Write a notebook with the metadata that editors leave behind."""
    folder = root / "notebooks" / "pt"
    folder.mkdir(parents=True, exist_ok=True)
    cells = [new_markdown_cell("# Título com acentuação"), *map(new_code_cell, sources)]
    notebook = new_notebook(cells=cells)
    notebook.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Meu Python", "language": "python"},
        "language_info": {"name": "python", "version": "3.11.7"},
        "widgets": {"state": {}},
        "course": {"minutes": 5},
    }
    nbformat.write(notebook, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


def test_run_leaves_executed_copies_and_a_summary(tmp_path, capsys):
    source = make_notebook(tmp_path, "00_um", "a = 20", "a + 22")
    before = source.read_bytes()
    make_notebook(tmp_path, "04_dois", "print('olá')")
    assert runner.main([], root=tmp_path) == 0
    executed = nbformat.read(tmp_path / "executed" / "00_um.ipynb", as_version=4)
    assert executed.cells[2].outputs[0].data["text/plain"] == "42"
    assert source.read_bytes() == before
    summary = (tmp_path / "executed" / "summary.md").read_text("utf-8")
    assert re.search(r"\| 00_um \| pronto \| \d+\.\d \| 2 \|", summary)
    assert re.search(r"\| 04_dois \| pronto \| \d+\.\d \| 1 \|", summary)
    assert "00_um: pronto, 2 células" in capsys.readouterr().out


def test_run_tells_where_a_notebook_stopped_and_goes_on(tmp_path, capsys):
    make_notebook(tmp_path, "00_um", "a = 1", "a / 0", "a")
    make_notebook(tmp_path, "01_dois", "1 + 1")
    assert runner.main([], root=tmp_path, output=tmp_path / "out") == 1
    output = capsys.readouterr().out
    assert "00_um: parou na célula 2: ZeroDivisionError: division by zero" in output
    assert "01_dois: pronto" in output
    assert "1 de 2" in output
    summary = (tmp_path / "out" / "summary.md").read_text("utf-8")
    assert "parou na célula 2: ZeroDivisionError" in summary
    assert "| 1 |" in summary.splitlines()[4]
    stopped = nbformat.read(tmp_path / "out" / "00_um.ipynb", as_version=4)
    assert stopped.cells[2].outputs[0].ename == "ZeroDivisionError"


def test_run_tells_a_killed_kernel(tmp_path, capsys):
    make_notebook(tmp_path, "00_um", "import os, signal\nos.kill(os.getpid(), 9)")
    assert runner.main(["0"], root=tmp_path) == 1
    assert "o kernel morreu" in capsys.readouterr().out


def test_in_place_outputs_are_the_same_every_time(tmp_path):
    path = make_notebook(tmp_path, "00_um", "a = 2", "", "print('é')\na")
    assert runner.main(["00"], in_place=True, root=tmp_path) == 0
    first = path.read_bytes()
    assert runner.main(["00"], in_place=True, root=tmp_path) == 0
    assert path.read_bytes() == first
    stored = json.loads(first)
    assert stored["metadata"].pop("curso")["segundos_de_maquina"] >= 1
    assert stored["metadata"] == {
        "course": {"minutes": 5},
        "kernelspec": runner.KERNEL,
        "language_info": {"name": "python"},
    }
    code = [cell for cell in stored["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == [1, None, 2]
    assert code[2]["outputs"][1]["execution_count"] == 2
    assert "é\\n" in first.decode("utf-8")
    assert b'\n "cells": [\n' in first  # nbformat's own layout, so that diffs stay small


def test_a_failing_notebook_is_not_stored_in_place(tmp_path):
    path = make_notebook(tmp_path, "00_um", "1 / 0")
    before = path.read_bytes()
    assert runner.main([], in_place=True, root=tmp_path) == 1
    assert path.read_bytes() == before


def test_widget_views_and_timestamps_are_taken_out():
    data = {runner._WIDGET: {"model_id": "x"}, "text/plain": "IntSlider()"}
    cell = new_code_cell("x", execution_count=7)
    cell.metadata["execution"] = {"iopub.execute_input": "2026-01-01"}
    cell.outputs = [new_output("display_data", data=data)]
    notebook = new_notebook(cells=[cell])
    runner.normalise(notebook)
    assert cell.outputs[0].data == {"text/plain": "IntSlider()"}
    assert cell.metadata == {}
    assert cell.execution_count == 1


def test_an_unknown_notebook_is_told_with_those_that_exist(tmp_path):
    make_notebook(tmp_path, "00_um", "1")
    with pytest.raises(CourseError, match="Não há notebook 77: existem 00"):
        runner.main(["77"], root=tmp_path)


@posix_only
def test_ctrl_c_during_run_keeps_the_finished_copies(tmp_path):
    make_notebook(tmp_path, "00_um", "40 + 2")
    pid_file = tmp_path / "pid"
    slow = f"import os, pathlib, time\npathlib.Path({str(pid_file)!r}).write_text(str(os.getpid()))"
    make_notebook(tmp_path, "01_dois", f"{slow}\ntime.sleep(60)")
    code = (
        "import sys, pathlib; from helpers import cli, runner;"
        f"runner.main([], root=pathlib.Path({str(tmp_path)!r}))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for(pid_file.exists)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) != 0
    finished = nbformat.read(tmp_path / "executed" / "00_um.ipynb", as_version=4)
    assert finished.cells[1].outputs[0].data["text/plain"] == "42"
    assert sorted(path.name for path in (tmp_path / "executed").iterdir()) == [
        "00_um.ipynb",
        "summary.md",
    ]
    summary = (tmp_path / "executed" / "summary.md").read_text("utf-8")
    assert "| 01_dois | interrompido |" in summary
    kernel = int(pid_file.read_text())
    wait_for(lambda: not is_alive(kernel))


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('course.model("question-answering")', ["curso/qa-pt"]),
        ("task = 'translation-pt-en'", ["curso/traducao-pt-en"]),
        ("model = 'curso/e5-pt-en'", ["curso/e5-pt-en"]),
        ('load_dataset(course.dataset("cenas"))', ["curso/cenas"]),
        ("print('question answering')", []),
    ],
)
def test_what_a_notebook_names_is_found(source, expected):
    assert runner._repositories_named(source) == expected


# --- models and test --------------------------------------------------------------------------


def test_models_are_listed_with_licence_and_state():
    result = helpers("models", COURSE_NO_VENV="1")
    assert result.returncode == 0
    for name in ("curso/qa-pt", "curso/e5-pt-en", "curso/smollm2-135m-instruct"):
        line = next(line for line in result.stdout.splitlines() if line.startswith(name))
        assert "MB" in line
        assert line.endswith(("pronto", "ainda não montado"))


PROBE = """
import socket
for host in ("127.0.0.1", "localhost", "::1"):
    socket.getaddrinfo(host, 80)
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(server.getsockname()).close()
for attempt in (
    lambda: socket.getaddrinfo("huggingface.co", 443),
    lambda: socket.create_connection(("192.0.2.1", 80), timeout=5),
    lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 53)),
    lambda: socket.gethostbyname("huggingface.co"),
):
    try:
        attempt()
    except OSError as error:
        print(error)
"""


def test_the_network_is_denied_to_children_and_this_machine_is_not():
    result = subprocess.run(
        [sys.executable, "-c", PROBE], env=checks.denied_network(), capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("rede negada durante os testes") == 4


def test_the_network_is_denied_here():
    with pytest.raises(OSError, match="rede negada"):
        urllib.request.urlopen("https://huggingface.co", timeout=5)
