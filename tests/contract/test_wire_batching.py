"""Many at once: the same answers as alone, the contract's 503 when it is too much, no hang."""

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import shapes
from wire_server import running_server, wait_for

from tests.caches import share

OVERLOADED = {"error": "Service temporarily unavailable, overload detected"}
NAMES = [f"Aluna {chr(ord('A') + n // 26)}{chr(ord('a') + n % 26)}" for n in range(40)]
QUESTION = "Quem mora na casa?"


def contexts():
    """Texts of different lengths, each with its own answer."""
    rest = "O portão é azul e fica aberto. "
    return [
        f"{rest * (number % 5)}{name} mora na casa da esquina." for number, name in enumerate(NAMES)
    ]


@pytest.fixture
def cold_server(tmp_path):
    """A server that has not loaded its models: for a second or more, calls can only wait."""
    for name in ("models", "wheels", "partial"):
        share(name, tmp_path)
    with running_server(tmp_path) as started:
        yield started


@pytest.mark.contract(task="question-answering", client="requests", direction="answer")
def test_forty_clients_get_the_answers_they_would_get_alone(server):
    asked = contexts()
    alone = [server.ask(QUESTION, context).json() for context in asked]
    with ThreadPoolExecutor(40) as pool:
        together = list(pool.map(lambda context: server.ask(QUESTION, context), asked))
    assert {response.status_code for response in together} == {200}
    for one, other in zip(alone, (response.json() for response in together), strict=True):
        shapes.check(shapes.ANSWER, other)
        assert {**other, "score": None} == {**one, "score": None}
        assert other["score"] == pytest.approx(one["score"], abs=1e-4)
    found = sum(answer["answer"] in context for answer, context in zip(alone, asked, strict=True))
    assert found == 40


@pytest.mark.contract(task="question-answering", client="requests", direction="answer")
def test_the_same_question_of_forty(server):
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda _: server.ask(), range(40)))
    assert {answer.text for answer in answers} == {server.ask().text}


@pytest.mark.contract(task="question-answering", client="requests", direction="request")
def test_parameters_of_one_do_not_reach_another(server):
    wanted = [None, {"top_k": 2}, {"max_answer_len": 1}, {"top_k": 3}] * 6
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda chosen: server.ask(**(chosen or {})).json(), wanted))
    for chosen, answer in zip(wanted, answers, strict=True):
        assert isinstance(answer, list) == ("top_k" in (chosen or {}))
        if isinstance(answer, list):
            assert 1 <= len(answer) <= chosen["top_k"]


@pytest.mark.contract(task="question-answering", client="requests", direction="error")
def test_an_impossible_call_fails_alone(server):
    def ask(number):
        if number % 4 == 0:  # no room for the context: only the model's thread finds out
            return server.ask(QUESTION + " " + "a" * number, contexts()[number], max_seq_len=5)
        return server.ask(QUESTION, contexts()[number], max_seq_len=300)

    with ThreadPoolExecutor(24) as pool:
        statuses = [response.status_code for response in pool.map(ask, range(24))]
    for number, status in enumerate(statuses):
        assert status in ((400, 413) if number % 4 == 0 else (200,))


@pytest.mark.contract(task="question-answering", client="requests", direction="error")
def test_more_calls_than_the_queue_holds_are_turned_away(cold_server):
    with ThreadPoolExecutor(170) as pool:
        calls = [
            pool.submit(cold_server.ask, QUESTION, f"Dona {number} mora na casa.")
            for number in range(170)
        ]
        answers = [call.result() for call in calls]
    refused = [answer for answer in answers if answer.status_code == 503]
    assert {answer.status_code for answer in answers} == {200, 503}
    assert len(answers) - len(refused) >= 100
    assert all(answer.json() == OVERLOADED for answer in refused)
    assert cold_server.ask().status_code == 200


def test_who_left_is_not_answered(cold_server):
    body = json.dumps({"inputs": {"question": QUESTION, "context": contexts()[0]}}).encode()
    host, port = cold_server.url.removeprefix("http://").split(":")
    head = (
        f"POST /hf-inference/models/curso/qa-pt HTTP/1.1\r\nHost: {host}\r\n"
        f"Authorization: Bearer {cold_server.token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    leavers = [socket.create_connection((host, int(port)), timeout=30) for _ in range(100)]
    for connection in leavers:
        connection.sendall(head + body)
    time.sleep(0.3)
    for connection in leavers:
        connection.close()
    assert cold_server.ask().status_code == 200
    log = cold_server.cache / "server.log"
    wait_for(lambda: log.read_text(encoding="utf-8").count("qa-pt 204") >= 90, log)
