"""Models that are not built yet: listed at once, built by the first request, others go on."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
import shapes
from wire_server import running_server

from tests.caches import share, share_all

FILE = "/curso/e5-pt-en/resolve/main/config.json"


@pytest.mark.contract(task="hub-files", client="requests", direction="answer")
def test_the_first_request_builds_and_the_others_do_not_wait(tmp_path):
    share("wheels", tmp_path)
    with running_server(tmp_path) as server:
        listed = requests.get(f"{server.url}/api/models", timeout=10).json()
        shapes.check(shapes.list_of(shapes.MODEL_SUMMARY, minItems=3), listed)
        assert not (tmp_path / "models").exists()

        statuses = []
        readers = [
            threading.Thread(
                target=lambda: statuses.append(requests.head(server.url + FILE, timeout=120))
            )
            for _ in range(3)
        ]
        for reader in readers:
            reader.start()
        waits = []
        while any(reader.is_alive() for reader in readers):
            start = time.monotonic()
            assert requests.get(f"{server.url}/course/health", timeout=30).ok
            waits.append(time.monotonic() - start)
            time.sleep(0.05)
        assert [response.status_code for response in statuses] == [200] * 3
        assert len({response.headers["X-Repo-Commit"] for response in statuses}) == 1
        assert sorted(waits)[len(waits) // 2] < 0.5
        assert server.post(server.model_url("curso/e5-pt-en"), {"inputs": "oi"}).status_code == 200


@pytest.mark.contract(task="hub-files", client="requests", direction="error")
def test_a_model_that_cannot_be_fetched_is_a_sentence(tmp_path):
    with running_server(tmp_path) as server:
        file = requests.get(server.url + FILE, timeout=120)
        call = server.post(server.model_url("curso/e5-pt-en"), {"inputs": "oi"})
        for response in (file, call):
            assert response.status_code == 503
            shapes.check(shapes.ERROR, response.json())
            assert "Traceback" not in response.text
        assert requests.get(f"{server.url}/api/models", timeout=10).ok


@pytest.mark.contract(
    task=("question-answering", "feature-extraction", "conversational"),
    client="requests",
    direction="answer",
)
def test_first_calls_to_every_model_at_once(tmp_path):
    share_all(tmp_path)
    with running_server(tmp_path) as server, ThreadPoolExecutor(3) as pool:
        chat = {"messages": [{"role": "user", "content": "Hi!"}], "max_tokens": 1}
        calls = [
            pool.submit(server.ask),
            pool.submit(server.post, server.model_url("curso/e5-pt-en"), {"inputs": "oi"}),
            pool.submit(server.post, f"{server.url}/v1/chat/completions", chat),
        ]
        assert [call.result().status_code for call in calls] == [200] * 3
