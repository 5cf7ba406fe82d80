"""Chat handed to an engine elsewhere (``--chat-url``): one with odd manners, one dead, two real."""

import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import openai
import pytest
import requests
import shapes
from huggingface_hub import InferenceClient
from wire_server import free_port, running_server, wait_for

from helpers.embedded import store
from helpers.embedded.chat import proxy
from tests.caches import share_all

SMALL = "curso/smollm2-135m-instruct"
PARIS = [{"role": "user", "content": "What is the capital of France?"}]
ENGINE_TOKEN = "segredo-do-motor"
FOLDER = "/srv/modelos/curso/grande"
ANSWER = {
    "id": "x-1",
    "object": "chat.completion",
    "created": 1,
    "model": f"{FOLDER}@main",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Olá é ☕"},
            "finish_reason": "stop",
        }
    ],
}
CHUNK = b'data: {"id":"x-1","model":"/srv/modelos/curso/grande","choices":[]}\n\n'
RENAMED = CHUNK.replace(FOLDER.encode(), b"curso/grande")
DONE = b"data: [DONE]\n\n"

# What the engine with odd manners refuses with: status, body, more headers.
REFUSALS = {
    "detail": (422, {"detail": f"'{FOLDER}' says no to {ENGINE_TOKEN}"}, {}),
    "details": (422, {"detail": [{"loc": ["body"], "msg": "Field required"}]}, {}),
    "object": (400, {"error": {"message": "too long", "code": "context_length_exceeded"}}, {}),
    "older": (404, {"object": "error", "message": "no such model", "code": 404}, {}),
    "word": (400, {"error": "bad request"}, {}),
    "busy": (429, {"error": "slow down"}, {"Retry-After": "7"}),
    "page": (400, "<html>nginx</html>", {}),
    "token": (401, {"error": f"{ENGINE_TOKEN} is wrong"}, {}),
    "broken": (500, "Internal Server Error", {}),
    "elsewhere": (307, "", {"Location": "http://127.0.0.1:1/v1/chat/completions"}),
}


class OddEngine(BaseHTTPRequestHandler):
    """Does what the last message's text says."""

    protocol_version = "HTTP/1.1"
    seen: list = []
    left = threading.Event()

    def do_GET(self):
        names = [FOLDER, "outra/miúda:7b"]
        self.reply(200, {"object": "list", "data": [{"id": name} for name in names]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append((self.path, body, dict(self.headers)))
        order = body["messages"][-1]["content"]
        if order in REFUSALS:
            status, answer, headers = REFUSALS[order]
            self.reply(status, answer, headers)
        elif order == "not json":
            self.reply(200, "olá")
        elif body.get("stream"):
            self.stream(order)
        else:
            self.reply(200, ANSWER)

    def reply(self, status, body, headers=()):
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def stream(self, order):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if order == "endless":
            self.stream_until_nobody_reads()
            return
        middle = len(CHUNK) // 2  # a chunk that ends inside a line, even inside the model's name
        self.chunk(CHUNK[:middle])
        self.chunk(CHUNK[middle:])
        if order == "cut":
            self.close_connection = True
            return
        self.chunk(DONE if order == "done" else b"")
        if order == "done":
            self.chunk(b"")

    def stream_until_nobody_reads(self):
        try:
            while True:
                self.chunk(CHUNK)
                time.sleep(0.02)
        except OSError:
            self.close_connection = True
            self.left.set()

    def chunk(self, data):
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def log_message(self, *_):
        pass


@contextmanager
def front(folder, url, model=None, token=None):
    """A course server in front of an engine."""
    share_all(folder)
    arguments = ["--chat-url", url, *(["--chat-model", model] if model else [])]
    variables = {"ENGINE_TOKEN": token} if token else {}
    arguments += ["--chat-token-env", "ENGINE_TOKEN"] if token else []
    with running_server(folder, *arguments, **variables) as started:
        yield started


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    engine = ThreadingHTTPServer(("127.0.0.1", 0), OddEngine)
    threading.Thread(target=engine.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{engine.server_port}"
    with front(tmp_path_factory.mktemp("odd"), url, token=ENGINE_TOKEN) as started:
        yield started
    engine.shutdown()
    engine.server_close()


@pytest.fixture(scope="module")
def relayed(tmp_path_factory):
    """A course server whose engine is another course server, with a token of its own."""
    engine_folder = tmp_path_factory.mktemp("engine")
    share_all(engine_folder)
    token = f"hf_{ENGINE_TOKEN.replace('-', '')}"
    with (
        running_server(engine_folder, "--token", token) as engine,
        front(tmp_path_factory.mktemp("relay"), f"{engine.url}/v1", SMALL, token) as started,
    ):
        yield started


def ask(server, order="oi", **body):
    body = {"messages": [{"role": "user", "content": order}], **body}
    url = f"{server.url}/v1/chat/completions"
    return server.post(url, body, stream=bool(body.get("stream")), timeout=60)


@pytest.mark.contract(task="chat-proxy", client="requests", direction=("request", "answer"))
def test_an_answer_is_passed_on_under_the_models_public_name(odd):
    response = ask(odd, model="curso/grande", tools=[], temperature=0.5)
    assert response.status_code == 200
    assert response.json() == {**ANSWER, "model": "curso/grande"}
    path, body, headers = OddEngine.seen[-1]
    messages = [{"role": "user", "content": "oi"}]
    sent = {"messages": messages, "tools": [], "temperature": 0.5, "model": FOLDER}
    assert (path, body) == ("/v1/chat/completions", sent)
    assert headers["Authorization"] == f"Bearer {ENGINE_TOKEN}"
    assert odd.token not in json.dumps(headers)


@pytest.mark.contract(task="chat-proxy", client="requests", direction="request")
@pytest.mark.parametrize(
    ("asked", "own"),
    [
        (None, FOLDER),
        ("tgi", FOLDER),
        ("curso/grande:motor", FOLDER),
        ("outra/miúda:7b", "outra/miúda:7b"),
    ],
)
def test_names_that_the_engine_answers_to(odd, asked, own):
    assert ask(odd, model=asked).status_code == 200
    assert OddEngine.seen[-1][1]["model"] == own


@pytest.mark.contract(task="chat-proxy", client="requests", direction="answer")
def test_the_engines_models_come_first_and_its_folders_stay_its_own(odd):
    listing = requests.get(f"{odd.url}/v1/models", headers=odd.headers, timeout=30)
    names = [model["id"] for model in listing.json()["data"]]
    assert names[:3] == ["curso/grande", "outra/miúda:7b", SMALL]
    assert FOLDER not in listing.text


@pytest.mark.contract(task="chat-proxy", client="requests", direction="error")
@pytest.mark.parametrize(("asked", "status"), [("gpt-4o", 400), ("curso/qa-pt", 400), (7, 400)])
def test_models_that_nobody_has(odd, asked, status):
    count = len(OddEngine.seen)
    response = ask(odd, model=asked)
    assert response.status_code == status
    shapes.check(shapes.OPENAI_ERROR, response.json())
    assert len(OddEngine.seen) == count


@pytest.mark.contract(task="chat-proxy", client="requests", direction="error")
@pytest.mark.parametrize("messages", [None, "oi", [], ["oi"]])
def test_what_is_no_chat_never_reaches_the_engine(odd, messages):
    count = len(OddEngine.seen)
    response = ask(odd, **{"messages": messages})
    assert response.status_code == 400
    shapes.check(shapes.OPENAI_ERROR, response.json())
    assert len(OddEngine.seen) == count


@pytest.mark.contract(task="chat-proxy", client="requests", direction="stream")
@pytest.mark.parametrize("order", ["done", "not done"])
def test_a_stream_is_passed_on_byte_by_byte_and_always_ended(odd, order):
    response = ask(odd, order, stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.content == RENAMED + DONE


@pytest.mark.contract(task="chat-proxy", client=("requests", "openai"), direction="error")
def test_a_stream_that_breaks_off_says_so(odd):
    lines = ask(odd, "cut", stream=True).content.split(b"\n\n")
    assert lines[0] + b"\n\n" == RENAMED and DONE.strip() not in lines
    error = json.loads(lines[-2].strip().removeprefix(b"data: "))["error"]
    assert "in the middle of an answer" in error["message"]
    client = openai.OpenAI(base_url=f"{odd.url}/v1", api_key=odd.token, max_retries=0)
    messages = [{"role": "user", "content": "cut"}]
    with pytest.raises(openai.APIError, match="in the middle of an answer"):
        list(client.chat.completions.create(model="curso/grande", messages=messages, stream=True))


@pytest.mark.contract(task="chat-proxy", client="requests", direction="stream")
def test_the_engine_stops_when_the_reader_leaves(odd):
    OddEngine.left.clear()
    with ask(odd, "endless", stream=True) as response:
        assert next(response.iter_lines()).startswith(b"data: ")
    assert OddEngine.left.wait(10)


@pytest.mark.contract(task="chat-proxy", client="requests", direction="error")
@pytest.mark.parametrize(
    ("order", "status", "message", "code"),
    [
        ("detail", 422, "'curso/grande' says no to ***", None),
        ("details", 422, "Field required", None),
        ("object", 400, "too long", "context_length_exceeded"),
        ("older", 404, "no such model", None),
        ("word", 400, "bad request", None),
        ("busy", 429, "slow down", None),
        ("page", 400, "<html>nginx</html>", None),
    ],
)
def test_refusals_take_the_shape_of_this_server(odd, order, status, message, code):
    for stream in (False, True):
        response = ask(odd, order, stream=stream)
        assert response.status_code == status
        shapes.check(shapes.OPENAI_ERROR, response.json())
        error = response.json()["error"]
        assert (error["message"], error["code"]) == (message, code)
    assert (response.headers.get("retry-after") == "7") is (order == "busy")


@pytest.mark.contract(task="chat-proxy", client="requests", direction="error")
@pytest.mark.parametrize(
    ("order", "said"),
    [
        ("token", "refused this server's own token"),
        ("broken", "failed (500): Internal Server Error"),
        ("elsewhere", "failed (307)"),
        ("not json", "not JSON"),
    ],
)
def test_the_engines_own_troubles_are_a_503(odd, order, said):
    response = ask(odd, order)
    assert response.status_code == 503
    shapes.check(shapes.ERROR, response.json())
    assert said in response.json()["error"] and ENGINE_TOKEN not in response.text


@pytest.mark.contract(task="chat-proxy", client="requests", direction="error")
def test_an_engine_that_does_not_answer(tmp_path):
    with front(tmp_path, f"http://127.0.0.1:{free_port()}") as server:
        start = time.monotonic()
        for response in (
            ask(server),
            ask(server, stream=True),
            ask(server, model="gpt-4o"),
            requests.get(f"{server.url}/v1/models", headers=server.headers, timeout=30),
        ):
            assert response.status_code == 503
            shapes.check(shapes.ERROR, response.json())
            assert "does not answer" in response.json()["error"]
        assert time.monotonic() - start < 20  # four refusals, on a busy machine too


@pytest.mark.contract(
    task="chat-proxy", client="openai", direction=("request", "answer", "stream", "error")
)
def test_openai_client_through_another_course_server(relayed):
    client = openai.OpenAI(base_url=f"{relayed.url}/v1", api_key=relayed.token, max_retries=0)
    assert [model.id for model in client.models.list()][0] == SMALL
    options = {"model": SMALL, "messages": PARIS, "max_tokens": 24}
    answer = client.chat.completions.create(**options)
    assert "Paris" in answer.choices[0].message.content and answer.model == SMALL
    stream = client.chat.completions.create(**options, stream=True)
    assert "".join(chunk.choices[0].delta.content for chunk in stream) == (
        answer.choices[0].message.content
    )
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(**{**options, "max_tokens": 100_000})
    assert raised.value.code == "context_length_exceeded"


@pytest.mark.contract(task="chat-proxy", client="InferenceClient", direction=("answer", "stream"))
def test_hub_client_through_another_course_server(relayed):
    client = InferenceClient(model=relayed.model_url(SMALL), token=relayed.token)
    answer = client.chat_completion(PARIS, max_tokens=24).choices[0].message.content
    assert "Paris" in answer
    stream = client.chat_completion(PARIS, max_tokens=24, stream=True)
    assert "".join(chunk.choices[0].delta.content for chunk in stream) == answer


@pytest.fixture(scope="module")
def transformers_serve(tmp_path_factory):
    """``transformers serve`` on the embedded model, and a course server in front of it."""
    if importlib.util.find_spec("fastapi") is None:
        pytest.skip("`transformers serve` needs the packages of transformers[serving]")
    model = str(store.ensure(SMALL))
    port = free_port()
    folder = tmp_path_factory.mktemp("transformers")
    program = "from transformers.cli.transformers import main; main()"
    options = ["serve", model, "--device", "cpu", "--port", str(port)]
    environment = {**os.environ, "HF_HOME": str(folder), "HF_HUB_OFFLINE": "1"}
    log = folder / "serve.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", program, *options], env=environment, stdout=stream, stderr=stream
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: requests.get(f"{url}/health", timeout=1).ok, log, seconds=120)
        with front(tmp_path_factory.mktemp("front"), url, model) as server:
            yield SimpleNamespace(server=server, url=url, model=model)
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.slow
@pytest.mark.contract(
    task="chat-proxy", client=("openai", "requests"), direction=("answer", "stream", "error")
)
def test_transformers_serve(transformers_serve):
    server = transformers_serve.server
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.token, max_retries=0)
    assert [model.id for model in client.models.list()][0] == SMALL
    options = {"model": SMALL, "messages": PARIS, "max_tokens": 24}
    answer = client.chat.completions.create(**options)
    assert "Paris" in answer.choices[0].message.content and answer.model == SMALL
    chunks = list(client.chat.completions.create(**options, stream=True))
    said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert said == answer.choices[0].message.content
    assert {chunk.model for chunk in chunks} == {SMALL}
    response = ask(server, messages=PARIS, stream=True, max_tokens=4)
    assert response.content.endswith(DONE) and response.content.count(DONE) == 1
    assert transformers_serve.model.encode() not in response.content
    refused = ask(server, messages=PARIS, nonsense=1)
    assert refused.status_code == 422
    shapes.check(shapes.OPENAI_ERROR, refused.json())
    assert "nonsense" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("http://gpu:8000", "http://gpu:8000/v1"),
        ("http://gpu:8000/v1/", "http://gpu:8000/v1"),
        (" https://escola.example/motor ", "https://escola.example/motor"),
    ],
)
def test_addresses_of_engines(given, expected):
    assert proxy.base_url(given) == expected


@pytest.mark.parametrize("given", ["", "gpu:8000", "ftp://gpu", "http://ana:123@gpu", "http://g:x"])
def test_what_is_no_address_of_an_engine(given):
    with pytest.raises(ValueError, match=r"address|[Pp]ort"):
        proxy.base_url(given)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("Qwen/Qwen3-4B", "Qwen/Qwen3-4B"),
        ("llama3:8b", "llama3:8b"),
        ("/root/.cache/curso-hf/models/curso/smollm2-135m-instruct", SMALL),
        ("C:\\modelos\\curso\\grande\\", "curso/grande"),
        ("./grande", "grande"),
    ],
)
def test_public_names(model, expected):
    assert proxy.public_name(model) == expected
