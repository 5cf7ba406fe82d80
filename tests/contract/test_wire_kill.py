"""``kill -9`` at any moment of a build or of a request; then a restart, and everything works.

Two rounds of each in every run, at moments that a seed decides; ``COURSE_KILL_ROUNDS`` for more.
"""

import contextlib
import os
import random
import shutil
import threading
import time

import pytest
import requests
from wire_server import running_server

from helpers.embedded import store
from tests.caches import share

ROUNDS = int(os.environ.get("COURSE_KILL_ROUNDS", "2"))
MODEL = "curso/efficientnet-lite0"
FILE = f"/{MODEL}/resolve/main/model.safetensors"


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    share("wheels", tmp_path)
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    return tmp_path


def build_seconds(cache):
    """Build once, to know between which moments to kill."""
    with running_server(cache) as server:
        start = time.monotonic()
        assert requests.head(server.url + FILE, timeout=120).status_code == 200
        seconds = time.monotonic() - start
    shutil.rmtree(cache / "models")
    return seconds


def expect_whole(cache):
    """A new server on the same folder gives the whole model, bit by bit what a build gives."""
    with running_server(cache) as server:
        response = requests.get(server.url + FILE, timeout=120)
        assert response.status_code == 200
        assert len(response.content) == store.manifest(MODEL).files["model.safetensors"].size
    assert store.verify(MODEL) == []
    left = [path for path in (cache / "partial").iterdir() if not path.name.endswith(".lock")]
    assert left == []


def test_a_build_killed_at_any_moment(own_cache):
    seconds = build_seconds(own_cache)
    chance = random.Random(3)
    for _ in range(ROUNDS):
        with running_server(own_cache) as server:
            caller = threading.Thread(target=ignoring_errors, args=(server.url + FILE,))
            caller.start()
            time.sleep(chance.uniform(0.05, 1.0) * seconds)
            server.process.kill()
            server.process.wait(10)
            caller.join(30)
            assert not caller.is_alive()
        assert not store.is_built(MODEL) or store.verify(MODEL) == []
        expect_whole(own_cache)
        shutil.rmtree(own_cache / "models")


def ignoring_errors(url):
    with contextlib.suppress(requests.RequestException):
        requests.get(url, timeout=120)


def test_requests_cut_by_a_kill(tmp_path):
    for name in ("models", "wheels", "partial"):
        share(name, tmp_path)
    chance = random.Random(5)
    for _ in range(ROUNDS):
        with running_server(tmp_path) as server:
            outcomes = []
            callers = [
                threading.Thread(target=until_cut, args=(server, number, outcomes))
                for number in range(8)
            ]
            for caller in callers:
                caller.start()
            time.sleep(chance.uniform(0.0, 6.0))
            server.process.kill()
            for caller in callers:
                caller.join(30)
                assert not caller.is_alive(), "a client was left waiting"
            assert set(outcomes) <= {200}
        with running_server(tmp_path) as again:
            assert again.ask().status_code == 200
    assert store.verify("curso/qa-pt") == []


def until_cut(server, number, outcomes):
    """Ask and download until the connection breaks; note what was answered."""
    large = f"{server.url}/curso/qa-pt/resolve/main/model.safetensors"
    try:
        while True:
            if number % 4 == 0:
                outcomes.append(requests.get(large, timeout=30).status_code)
            else:
                context = f"Meu nome é Aluna {number} e moro aqui."
                outcomes.append(server.ask(context=context).status_code)
    except requests.RequestException:
        pass


def test_a_server_killed_comes_back_where_it_was(tmp_path, monkeypatch):
    """The record left by a dead server misleads nobody: the next one takes its port."""
    from helpers.embedded import lifecycle

    share("models", tmp_path)
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    first = lifecycle.ensure_server()
    try:
        for _ in range(ROUNDS):
            process = lifecycle._process(first.pid)
            process.kill()
            process.wait(10)
            second = lifecycle.ensure_server()
            assert (second.port, second.pid != first.pid) == (first.port, True)
            assert requests.get(f"{second.url}/course/health", timeout=10).ok
            first = second
    finally:
        lifecycle.stop_server()
