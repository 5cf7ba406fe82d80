"""A teacher's server: who gets in, whose faults are whose, and how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
import requests
import shapes
from requests.adapters import HTTPAdapter
from wire_server import free_port, running_server, token_for, wait_for

from helpers.embedded import auth, network
from tests.caches import share_all

ROOT = Path(__file__).parents[2]
TOKEN = "hf_turmaescolhido"
CLASS = ("--class", "--host", "127.0.0.1", "--quiet", "--token", TOKEN)
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def classroom(tmp_path_factory):
    cache = tmp_path_factory.mktemp("teacher")
    share_all(cache)
    with running_server(cache, *CLASS) as started:
        yield started
    log = (cache / "class.log").read_text(encoding="utf-8")
    assert "POST /hf-inference/models/curso/qa-pt 200" in log
    assert "Traceback" not in log and "hf_" not in log


class _From(HTTPAdapter):
    """Calls from another of this machine's addresses, as another machine would."""

    def __init__(self, address):
        self._address = address
        super().__init__()

    def init_poolmanager(self, *arguments, **options):
        super().init_poolmanager(*arguments, source_address=(self._address, 0), **options)


def learner(number):
    session = requests.Session()
    session.headers.update(HEADERS)
    session.mount("http://", _From(f"127.0.0.{number}"))
    return session


@pytest.mark.contract(task=("classroom", "token"), client="requests", direction="error")
def test_only_the_class_token_gets_in(classroom):
    assert classroom.ask(headers=HEADERS).status_code == 200
    for wrong in (auth.CLASS_PREFIX, TOKEN + "x", token_for(classroom.cache, "aluna")):
        response = classroom.ask(headers={"Authorization": f"Bearer {wrong}"})
        assert response.status_code == 401
        shapes.check(shapes.ERROR, response.json())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8")
@pytest.mark.contract(task=("classroom", "faults"), client="requests", direction="answer")
def test_learners_with_one_token_are_told_apart(classroom):
    ana, bia = learner(7), learner(8)
    me = [session.get(f"{classroom.url}/api/whoami-v2").json()["name"] for session in (ana, bia)]
    assert me == ["turma-127.0.0.7", "turma-127.0.0.8"]
    planned = ana.post(f"{classroom.url}/course/faults", json={"fault": "429"})
    assert planned.json() == {"planned": 1}
    body = {"inputs": {"question": "Quem?", "context": "A Ana saiu."}}
    statuses = [s.post(classroom.model_url(), json=body).status_code for s in (bia, ana, ana)]
    assert statuses == [200, 429, 200]


@pytest.mark.contract(task="classroom", client="requests", direction="error")
def test_a_learner_cannot_stop_the_class(classroom):
    response = requests.post(f"{classroom.url}/course/shutdown", headers=HEADERS, timeout=30)
    assert response.status_code == 403
    assert classroom.ask(headers=HEADERS).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        (socket.gethostname() + ":8642", 200),
        (socket.gethostname().upper(), 200),
        ("192.168.250.250", 403),
        ("evil.example:8642", 403),
        ("127.0.0.1.evil.example", 403),
        ("", 403),
    ],
)
@pytest.mark.contract(task="classroom", client="requests", direction=("answer", "error"))
def test_only_this_machines_names_are_answered(classroom, host, status):
    headers = {**HEADERS, "Host": host}
    assert requests.get(f"{classroom.url}/v1/models", headers=headers, timeout=30).ok == (
        status == 200
    )


@pytest.mark.contract(task="classroom", client=("requests", "transformers"), direction="answer")
def test_a_learners_notebook_needs_only_the_address_and_the_token(classroom, tmp_path):
    """Hub, API and model from the teacher's machine; nothing started or built on the learner's."""
    program = """
import json, requests, helpers
from transformers import AutoTokenizer
course = helpers.setup()
tokenizer = AutoTokenizer.from_pretrained(course.model("question-answering"))
answer = requests.post(
    course.api_url("question-answering"),
    headers=course.headers,
    json={"inputs": {"question": "Quem saiu?", "context": "A Ana saiu cedo."}},
).json()
print(json.dumps([course.hub_url, len(tokenizer("Olá")["input_ids"]) > 1, answer["answer"]]))
"""
    environment = {
        **os.environ,
        "COURSE_SERVER": classroom.url,
        "COURSE_TOKEN": TOKEN,
        "COURSE_CACHE": str(tmp_path / "cache"),
        "HF_HOME": str(tmp_path / "hf"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    environment.pop("HF_TOKEN", None)
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        cwd=tmp_path,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1]) == [classroom.url, True, "A Ana"]
    assert TOKEN not in ran.stdout + ran.stderr
    left = {path.name for path in (tmp_path / "cache").glob("*")}
    assert not left & {"models", "server.json", "server.log"}


@pytest.mark.skipif(os.name == "nt", reason="Windows ends a process without asking it")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_within_seconds_in_the_middle_of_an_answer(tmp_path, number):
    share_all(tmp_path)
    with running_server(tmp_path, *CLASS) as server:
        body = {
            "model": "curso/smollm2-135m-instruct",
            "messages": [{"role": "user", "content": "Tell me a very long story."}],
            "max_tokens": 2000,
            "stream": True,
        }
        first_words = threading.Event()

        def read():
            try:
                url = f"{server.url}/v1/chat/completions"
                with requests.post(url, json=body, headers=HEADERS, stream=True) as response:
                    for _line in response.iter_lines():
                        first_words.set()
            except requests.RequestException:
                pass

        reader = threading.Thread(target=read)
        reader.start()
        assert first_words.wait(120)
        start = time.monotonic()
        server.process.send_signal(number)
        assert server.process.wait(10) == 0
        assert time.monotonic() - start < 8
        reader.join(30)
        assert not reader.is_alive()


def started(tmp_path, *arguments):
    """Start ``serve`` as a teacher does; return its process, once it answers, and what it said."""
    port = free_port()
    log = tmp_path / "said"
    environment = {
        **os.environ,
        "COURSE_CACHE": str(tmp_path),
        "COURSE_NO_VENV": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "helpers", "serve", "--port", str(port), *arguments],
            env=environment,
            stdout=stream,
            stderr=stream,
            cwd=ROOT,
        )
    try:
        wait_for(lambda: requests.get(f"http://127.0.0.1:{port}/course/health", timeout=1).ok, log)
    except AssertionError:
        process.kill()
        raise
    return process, port, log.read_text(encoding="utf-8")


def listening(process):
    """Return the addresses that a process and its children listen at."""
    family = [psutil.Process(process.pid)]
    family += family[0].children(recursive=True)
    return {
        connection.laddr.ip
        for one in family
        for connection in one.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }


def test_the_teacher_reads_one_address_and_one_token(tmp_path, monkeypatch):
    process, port, said = started(tmp_path, "--class", "--no-build", "--host", "127.0.0.1")
    try:
        monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
        token = auth.class_token()
        assert f"http://127.0.0.1:{port}\n" in said and f"{token}\n" in said
        assert f'helpers.setup(server="http://127.0.0.1:{port}", token="{token}")' in said
        assert "COURSE_SERVER=" in said and "COURSE_TOKEN=" in said
        models = requests.get(
            f"http://127.0.0.1:{port}/v1/models",
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        )
        assert models.status_code == 200
    finally:
        process.terminate()
        assert process.wait(15) == 0
    assert token not in (tmp_path / "class.log").read_text(encoding="utf-8")


def test_without_a_class_it_listens_on_this_machine_alone(tmp_path, monkeypatch):
    process, _, _ = started(tmp_path)
    try:
        assert listening(process) == {"127.0.0.1"}
    finally:
        process.terminate()
        process.wait(15)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--host", "127.0.0.1"], "--class"),
        (["--class", "--no-build", "--host", "sala"], "IPv4"),
        (["--class", "--no-build", "--host", "203.0.113.7"], "não é desta máquina"),
        (["--chat-url", "ftp://x"], "--chat-url"),
        (["--chat-url", "http://gpu:8000", "--chat-token-env", "NAO_HA"], "NAO_HA"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(tmp_path, arguments, sentence):
    ran = subprocess.run(
        [sys.executable, "-m", "helpers", "serve", *arguments],
        env={**os.environ, "COURSE_CACHE": str(tmp_path), "COURSE_NO_VENV": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        cwd=ROOT,
    )
    assert ran.returncode == 1
    assert sentence in ran.stderr and "Traceback" not in ran.stderr


def test_a_class_token_is_easy_to_read_and_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    token = auth.class_token()
    assert token == auth.class_token()
    assert token.startswith("hf_turma") and len(token) == 20
    assert not set(token.removeprefix("hf_turma")) & set("il1o0")
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "other"))
    (tmp_path / "other").mkdir()
    assert auth.class_token() != token


def test_the_address_for_others_is_never_this_machines_own():
    address = network.lan_address()
    assert address is None or not address.startswith("127.")
    if address:
        assert address in network.own_names(network.ANY_ADDRESS)
    assert "evil.example" not in network.own_names(network.ANY_ADDRESS)
