"""The API client against a real HTTP server that misbehaves on demand."""

import json
import pickle
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("requests")

from helpers import api
from helpers.errors import CourseError
from helpers.tokens import Token

SECRET = "hf_AbCdEfGh0123456789"
MODEL = "curso/qa-pt"
ANSWER = {"score": 0.97, "start": 11, "end": 20, "answer": "Marcundes"}
QUESTION, CONTEXT = "Qual é o meu nome?", "Meu nome é Marcundes."


class Server:
    """Answers each request with the next of its planned replies, then with ANSWER."""

    def __init__(self):
        server = self
        self.plan = []
        self.requests = []
        self.connections = set()
        self.delay = 0.0
        self.busy = self.busiest = 0
        self.lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with server.lock:
                    server.requests.append((self.path, dict(self.headers), body))
                    server.connections.add(self.client_address)
                    reply = server.plan.pop(0) if server.plan else json_reply(200, ANSWER)
                    server.busy += 1
                    server.busiest = max(server.busiest, server.busy)
                try:
                    time.sleep(server.delay)
                    reply(self, body)
                finally:
                    with server.lock:
                        server.busy -= 1

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


def raw_reply(status, body, content_type, headers=()):
    def reply(handler, _):
        handler.send_response(status)
        handler.send_header("Content-Type", content_type)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return reply


def json_reply(status, body, **headers):
    names = [(name.replace("_", "-"), str(value)) for name, value in headers.items()]
    return raw_reply(status, json.dumps(body).encode(), "application/json", names)


def echo(handler, body):
    json_reply(200, {"echo": json.loads(body)["inputs"]})(handler, body)


def drop(handler, _):
    handler.close_connection = True
    handler.connection.close()


def cut_short(handler, _):
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "500")
    handler.end_headers()
    handler.wfile.write(b'{"score": 0.9')
    handler.close_connection = True


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def session(server):
    with api.InferenceSession(server.url, Token(SECRET), backoff=0.01, seed=0) as session:
        yield session


def ask(session):
    return session.question_answering(QUESTION, CONTEXT, MODEL)


def test_what_is_sent_and_what_comes_back(server, session):
    assert session.question_answering(QUESTION, CONTEXT, MODEL, top_k=1) == ANSWER
    path, headers, body = server.requests[0]
    assert path == "/hf-inference/models/curso/qa-pt"
    assert headers["Authorization"] == f"Bearer {SECRET}"
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == {
        "inputs": {"question": QUESTION, "context": CONTEXT},
        "parameters": {"top_k": 1},
    }


def test_no_parameters_and_no_token(server):
    with api.InferenceSession(server.url) as session:
        ask(session)
    _, headers, body = server.requests[0]
    assert "Authorization" not in headers and "parameters" not in json.loads(body)


def test_connections_are_reused(server, session):
    for _ in range(5):
        ask(session)
    assert len(server.connections) == 1


OVERLOAD = json_reply(503, {"error": "Service temporarily unavailable, overload detected"})
PAGE = b"<html><head><title>504</title></head><body>Gateway Time-out</body></html>"


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ([OVERLOAD, OVERLOAD], "ocupado (503)"),
        ([raw_reply(504, PAGE, "text/html")], "demorou demais"),
        ([raw_reply(502, b"Bad Gateway", "text/plain")], "intermediário falhou (502)"),
        ([json_reply(429, {"error": "Rate limit reached"}, Retry_After=0)], "Pedidos demais"),
        ([json_reply(503, {"error": "loading", "estimated_time": 0.01})], "carregado"),
        ([drop], "conexão caiu"),
        ([cut_short], "cortada"),
        ([raw_reply(200, b'{"score": 0.9', "application/json")], "cortada"),
        ([raw_reply(200, PAGE, "text/html")], "cortada"),
        ([OVERLOAD, drop, raw_reply(504, PAGE, "text/html"), cut_short], "ocupado"),
    ],
)
def test_passing_troubles_are_ridden_out(server, plan, said):
    server.plan = list(plan)
    heard = []
    with api.InferenceSession(server.url, SECRET, backoff=0.01, on_retry=heard.append) as session:
        assert ask(session) == ANSWER
    assert len(heard) == len(plan) == len(server.requests) - 1
    assert said in heard[0] and "Nova tentativa em" in heard[0]
    assert f"(1 de {session.retries})" in heard[0]


def test_retry_after_is_honoured(server, session):
    server.plan = [json_reply(429, {"error": "slow down"}, Retry_After=1)]
    before = time.perf_counter()
    ask(session)
    assert 0.95 < time.perf_counter() - before < 3


def test_a_wait_too_long_is_not_begun(server, session):
    server.plan = [json_reply(429, {"error": "slow down"}, Retry_After=3600)]
    with pytest.raises(api.ApiError, match="3600 s de espera") as raised:
        ask(session)
    assert raised.value.status == 429 and len(server.requests) == 1


def test_retry_after_in_every_shape():
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    later = format_datetime(now + timedelta(seconds=90), usegmt=True)
    assert api.retry_after("7") == 7
    assert api.retry_after("0.5") == 0.5
    assert api.retry_after(later, now) == 90
    assert api.retry_after("Sat, 21 Nov 2026 12:00:05", now) == 5
    assert api.retry_after(format_datetime(now - timedelta(days=1)), now) == 0
    assert api.retry_after("-3") == 0
    for nonsense in (None, "", "amanhã", "nan", "inf"):
        assert api.retry_after(nonsense) is None


def test_waits_double_and_are_repeatable():
    problem = api._Problem(api.ApiError("x"), "x")

    def waits(seed):
        session = api.InferenceSession("http://127.0.0.1:9", backoff=1, max_wait=5, seed=seed)
        return [session._wait(problem, attempt) for attempt in range(5)]

    first = waits(1)
    assert first == waits(1) != waits(2)
    for wait, longest in zip(first, (1, 2, 4, 5), strict=False):
        assert longest / 2 <= wait <= longest
    assert first[4] is None


CREDITS = "You have depleted your monthly included credits."
UNSUPPORTED = "Model not supported by provider hf-inference"
PERMISSION = "This authentication method does not have sufficient permissions"


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (400, {"error": "`context` cannot be empty"}, "`context` cannot be empty"),
        (400, {"error": ["one", "two"]}, "one; two"),
        (400, {"error": UNSUPPORTED}, "não está disponível nesta API"),
        (400, {"error": {"message": "Not supported by any", "code": "x"}}, "Not supported by any"),
        (401, {"error": "Invalid username or password."}, "não reconheceu o seu token"),
        (402, {"error": CREDITS}, "créditos"),
        (403, {"error": PERMISSION}, "Make calls to Inference Providers"),
        (404, "Not Found", "Confira o nome do modelo (curso/qa-pt)"),
        (410, {"error": "The requested model is deprecated"}, "saiu do ar"),
        (413, {"error": "Payload too large"}, "grande demais"),
        (422, {"error": "bad shape"}, "bad shape"),
        (500, {"error": "boom"}, "problema interno (500)"),
        (418, {"detail": "I'm a teapot"}, "I'm a teapot"),
    ],
)
def test_final_refusals_are_sentences_and_are_not_repeated(server, session, status, body, said):
    server.plan = [json_reply(status, body)]
    with pytest.raises(api.ApiError) as raised:
        ask(session)
    error = raised.value
    assert said in str(error) and error.status == status and error.detail
    assert len(server.requests) == 1
    assert "\n" not in str(error) and "{" not in str(error)
    assert ask(session) == ANSWER  # the next call works


def test_no_token_at_all(server):
    server.plan = [json_reply(401, {"error": "Invalid username or password."})]
    with (
        api.InferenceSession(server.url) as session,
        pytest.raises(api.ApiError, match="nenhum foi enviado"),
    ):
        ask(session)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_lasting_trouble_ends(server, session, status):
    server.plan = [raw_reply(status, b"<html>no</html>", "text/html")] * 9
    with pytest.raises(api.ApiError) as raised:
        ask(session)
    assert raised.value.status == status
    assert len(server.requests) == 1 + session.retries


def test_slow_answers_time_out(server):
    server.delay = 0.4
    with (
        api.InferenceSession(server.url, timeout=0.1, retries=1, backoff=0.01) as session,
        pytest.raises(api.ApiError, match="não respondeu em 0,1 s") as raised,
    ):
        ask(session)
    assert raised.value.status is None and len(server.requests) == 2


def test_nobody_there():
    session = api.InferenceSession("http://127.0.0.1:9", retries=1, backoff=0.01)
    with pytest.raises(api.ApiError, match="Não consegui falar com 127.0.0.1:9"):
        ask(session)


def test_a_name_that_does_not_exist():
    session = api.InferenceSession("http://nada.invalid", retries=0)
    with pytest.raises(api.ApiError, match="Não consegui falar com nada.invalid"):
        ask(session)


def test_the_token_is_in_no_message(server, session, caplog):
    caplog.set_level("DEBUG")
    leak = f"Authorization: Bearer {SECRET} is not valid"
    server.plan = [json_reply(400, {"error": leak})]
    with pytest.raises(api.ApiError) as raised:
        ask(session)
    seen = [str(raised.value), repr(raised.value), raised.value.detail, repr(session)]
    assert SECRET not in " ".join(seen) + caplog.text
    assert "hf_…" in raised.value.detail


def test_a_redirect_elsewhere_does_not_carry_the_token(server, session):
    other = Server()
    moved = raw_reply(307, b"", "text/plain", [("Location", f"{other.url}/elsewhere")])
    server.plan = [moved]
    ask(session)
    path, headers, _ = other.requests[0]
    assert path == "/elsewhere" and "Authorization" not in headers
    other.close()


def test_netrc_does_not_replace_the_token(server, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    session = api.InferenceSession(server.url, SECRET)
    session._session.trust_env = True
    ask(session)
    assert server.requests[0][1]["Authorization"] == f"Bearer {SECRET}"


def test_a_proxy_is_not_asked_about_this_machine(server, session, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert ask(session) == ANSWER


@pytest.mark.parametrize(
    ("question", "context", "said"),
    [
        ("", CONTEXT, "pergunta está vazia"),
        (" \n", CONTEXT, "pergunta está vazia"),
        (QUESTION, "", "contexto está vazio"),
        (None, CONTEXT, "veio um NoneType"),
        (QUESTION, b"bytes", "veio um bytes"),
        (["a"], CONTEXT, "veio um list"),
        (QUESTION, "a" * 1_100_000, "1,1 MB"),
        (QUESTION, "quebrado \ud800", "codificação"),
    ],
)
def test_bad_input_is_not_sent(server, session, question, context, said):
    with pytest.raises(CourseError, match=said):
        session.question_answering(question, context, MODEL)
    assert server.requests == []


@pytest.mark.parametrize("inputs", [{1, 2}, object(), float("nan"), {"a": b"b"}])
def test_what_is_no_json_is_not_sent(server, session, inputs):
    with pytest.raises(CourseError, match="não pode virar JSON"):
        session.post(MODEL, inputs)
    assert server.requests == []


@pytest.mark.parametrize("url", ["", "router.huggingface.co", "ftp://x", "http://"])
def test_bad_addresses(url):
    with pytest.raises(CourseError, match="não é válido"):
        api.InferenceSession(url)


@pytest.mark.parametrize("model", ["", None, 3])
def test_bad_models(session, model):
    with pytest.raises(CourseError, match="dono/nome"):
        session.post(model, "x")


def test_an_answer_of_another_task(server, session):
    server.plan = [json_reply(200, [[0.1, 0.2]])]
    with pytest.raises(api.ApiError, match="não com uma resposta a uma pergunta"):
        ask(session)


def test_several_answers(server, session):
    server.plan = [json_reply(200, [ANSWER, ANSWER])]
    assert session.question_answering(QUESTION, CONTEXT, MODEL, top_k=2) == [ANSWER, ANSWER]


def test_map_keeps_the_order_and_works_in_parallel(server, session):
    server.plan = [echo] * 20
    server.delay = 0.05
    before = time.perf_counter()
    answers = session.map(MODEL, [f"texto {number}" for number in range(20)], concurrency=5)
    assert time.perf_counter() - before < 0.05 * 20
    assert [answer["echo"] for answer in answers] == [f"texto {number}" for number in range(20)]
    assert 1 < server.busiest <= 5


def test_map_rides_out_troubles(server, session):
    server.plan = [OVERLOAD, drop, echo, echo, echo]
    answers = session.map(MODEL, ["a", "b", "c"], concurrency=2)
    assert [answer["echo"] for answer in answers] == ["a", "b", "c"]


def test_map_gives_errors_in_place(server, session):
    inputs = [{"question": "", "context": "c"}, {"question": "q", "context": "c"}]
    first, second = session.map(MODEL, inputs, return_errors=True)
    assert isinstance(first, CourseError) and second == ANSWER
    server.plan = [json_reply(422, {"error": "bad"})]
    (only,) = session.map(MODEL, ["x"], return_errors=True)
    assert isinstance(only, api.ApiError) and only.status == 422


def test_map_stops_at_the_first_error(server, session):
    server.plan = [json_reply(402, {"error": CREDITS})] * 50
    with pytest.raises(api.ApiError, match="créditos"):
        session.map(MODEL, ["x"] * 50, concurrency=2)
    assert len(server.requests) < 50


def test_map_of_nothing(session):
    assert session.map(MODEL, []) == []
    with pytest.raises(CourseError, match="número inteiro"):
        session.map(MODEL, ["x"], concurrency=0)


def test_errors_survive_pickling():
    error = pickle.loads(pickle.dumps(api.ApiError("frase", 402, "words")))
    assert (str(error), error.status, error.detail) == ("frase", 402, "words")


def test_verbose_prints(server, capsys):
    server.plan = [OVERLOAD]
    with api.InferenceSession(server.url, backoff=0.01, verbose=True) as session:
        ask(session)
    assert "Nova tentativa" in capsys.readouterr().out


def test_the_default_is_silent(server, session, capsys):
    server.plan = [OVERLOAD]
    ask(session)
    assert capsys.readouterr().out == ""
