"""A server of our own for these tests: another port, another secret, the models already built."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from helpers.embedded import auth
from helpers.processes import free_port

QUESTION = "Qual é o meu nome?"
CONTEXT = "Meu nome é Marcundes e estou gravando uma aula sobre Hugging Face."
START_SECONDS = 30


@dataclass(frozen=True)
class WireServer:
    """A running server and a client's way into it."""

    url: str
    token: str = field(repr=False)
    cache: Path
    process: subprocess.Popen

    @property
    def headers(self):
        return {"Authorization": f"Bearer {self.token}"}

    def model_url(self, model_id="curso/qa-pt", suffix=""):
        return f"{self.url}/hf-inference/models/{model_id}{suffix}"

    def post(self, url, body=None, headers=None, **options):
        options.setdefault("timeout", 120)
        return requests.post(url, json=body, headers=headers or self.headers, **options)

    def ask(self, question=QUESTION, context=CONTEXT, headers=None, **parameters):
        body = {"inputs": {"question": question, "context": context}}
        if parameters:
            body["parameters"] = parameters
        return self.post(self.model_url(), body, headers)


@contextmanager
def running_server(cache, *arguments, **variables):
    """Run a server in its own process, with more arguments and environment variables if given."""
    port = free_port()
    environment = {**os.environ, "COURSE_CACHE": str(cache), **variables}
    root = str(Path(__file__).parents[2])
    environment["PYTHONPATH"] = os.pathsep.join([root, environment.get("PYTHONPATH", "")])
    log = cache / "server.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "helpers.embedded.server", "--port", str(port), *arguments],
            env=environment,
            stdout=stream,
            stderr=stream,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: requests.get(f"{url}/course/health", timeout=1).ok, log)
        yield WireServer(url, token_for(cache, "aluna"), cache, process)
    finally:
        process.terminate()
        process.wait(10)
    written = log.read_text(encoding="utf-8")
    assert "Traceback" not in written, written
    assert "hf_" not in written, "a token in the log"


def token_for(cache, client_id, expires=None):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_CACHE", str(cache))
        return auth.client_token(client_id, expires)


def wait_for(condition, log, seconds=START_SECONDS):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except requests.RequestException:
            pass
        time.sleep(0.05)
    raise AssertionError(f"no server after {seconds} s:\n{log.read_text(encoding='utf-8')}")
