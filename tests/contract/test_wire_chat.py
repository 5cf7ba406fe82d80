"""Chat in OpenAI's wire format, with requests, openai and huggingface_hub."""

import json
import time

import openai
import psutil
import pytest
import requests
import shapes
from huggingface_hub import InferenceClient

MODEL = "curso/smollm2-135m-instruct"
BRIDGE = "curso/chat-ponte-pt"
MESSAGES = [{"role": "user", "content": "What is the capital of France?"}]
LONG = [{"role": "user", "content": "Write a very long story about a dragon and a castle."}]


@pytest.fixture
def chat(server):
    def post(path="/v1/chat/completions", **body):
        body = {"model": MODEL, "messages": MESSAGES, "max_tokens": 24, **body}
        return server.post(f"{server.url}{path}", body, stream=bool(body.get("stream")))

    return post


@pytest.fixture
def openai_client(server):
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.token, max_retries=0)


def events(response):
    lines = [line.decode() for line in response.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def content(chunks):
    return "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks if chunk["choices"])


@pytest.mark.contract(task="conversational", client="requests", direction="answer")
def test_a_whole_answer(chat):
    answer = chat().json()
    shapes.check(shapes.COMPLETION, answer)
    choice = answer["choices"][0]
    assert "Paris" in choice["message"]["content"]
    assert choice["finish_reason"] == "stop"
    assert answer["model"] == MODEL
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


@pytest.mark.contract(task="conversational", client="requests", direction="request")
def test_without_temperature_the_answer_is_always_the_same(chat):
    whole = [chat(**extra).json() for extra in ({}, {"temperature": 0}, {"temperature": 0.0})]
    texts = {answer["choices"][0]["message"]["content"] for answer in whole}
    assert len(texts) == 1
    assert len({answer["id"] for answer in whole}) == 3


@pytest.mark.contract(task="conversational", client="requests", direction="stream")
def test_a_streamed_answer_is_the_whole_one_in_pieces(chat):
    whole = chat().json()
    chunks = events(chat(stream=True, stream_options={"include_usage": True}))
    for chunk in chunks:
        shapes.check(shapes.CHUNK, chunk)
    assert content(chunks) == whole["choices"][0]["message"]["content"]
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"] == whole["usage"]
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]]
    assert reasons[-1] == "stop" and set(reasons[:-1]) == {None}
    assert len({chunk["id"] for chunk in chunks}) == 1


@pytest.mark.contract(task="conversational", client="requests", direction="stream")
def test_usage_is_streamed_only_when_asked_for(chat):
    assert all("usage" not in chunk for chunk in events(chat(stream=True)))


@pytest.mark.contract(task="conversational", client="requests", direction="request")
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_length(chat, name):
    answer = chat(messages=LONG, **{"max_tokens": None, name: 5}).json()
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 5


@pytest.mark.contract(task="conversational", client="requests", direction=("request", "stream"))
@pytest.mark.parametrize("stream", [False, True])
def test_stop_texts_end_the_answer_and_are_not_in_it(chat, stream):
    response = chat(stop=["Paris", "nunca"], stream=stream)
    if stream:
        chunks = events(response)
        text, reason = content(chunks), chunks[-1]["choices"][0]["finish_reason"]
    else:
        choice = response.json()["choices"][0]
        text, reason = choice["message"]["content"], choice["finish_reason"]
    assert text == "The capital of France is "
    assert reason == "stop"


@pytest.mark.contract(task="conversational", client="requests", direction="request")
def test_sampling_repeats_with_a_seed(chat):
    options = {"messages": LONG, "temperature": 1.0, "top_p": 0.9, "max_tokens": 12}

    def sample(seed):
        return chat(seed=seed, **options).json()["choices"][0]["message"]["content"]

    assert sample(7) == sample(7)
    assert len({sample(seed) for seed in range(4)}) > 1


@pytest.mark.contract(task="conversational", client="requests", direction="request")
def test_text_parts_and_system_messages(chat):
    parts = [
        {"type": "text", "text": "What is the capital "},
        {"type": "text", "text": "of France?"},
    ]
    answer = chat(messages=[{"role": "user", "content": parts}]).json()
    assert answer["choices"][0]["message"] == chat().json()["choices"][0]["message"]
    system = {"role": "system", "content": "You answer in one word."}
    shapes.check(shapes.COMPLETION, chat(messages=[system, *MESSAGES]).json())


@pytest.mark.contract(task="conversational", client="requests", direction=("request", "error"))
def test_the_models_own_address_needs_no_name(chat):
    path = f"/hf-inference/models/{MODEL}/v1/chat/completions"
    for named in ("dummy", None, MODEL):
        assert "Paris" in chat(path, model=named).json()["choices"][0]["message"]["content"]
    refused = chat("/hf-inference/models/curso/qa-pt/v1/chat/completions")
    assert refused.status_code == 400
    assert chat("/hf-inference/models/curso/nada/v1/chat/completions").status_code == 404


@pytest.mark.contract(task="conversational", client="requests", direction="error")
@pytest.mark.parametrize("name", ["gpt-4o", "curso/qa-pt", 7, ["a"]])
def test_a_model_that_does_not_chat(chat, name):
    response = chat(model=name)
    assert response.status_code == 400
    shapes.check(shapes.OPENAI_ERROR, response.json())
    error = response.json()["error"]
    assert (error["param"], error["code"]) == ("model", "model_not_supported")
    message = f"The requested model '{name}' is not supported by any provider you have enabled."
    assert error["message"] == message


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "oi"}, "messages"),
        ({"messages": ["oi"]}, "messages[0]"),
        ({"messages": [{"role": "rei", "content": "oi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content",
        ),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "dez"}, "max_tokens"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"stop": [""]}, "stop"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"seed": -1}, "seed"),
        ({"stream": "sim"}, "stream"),
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
    ],
)
@pytest.mark.contract(task="conversational", client="requests", direction="error")
def test_what_is_wrong_names_the_parameter(chat, body, param):
    response = chat(**body)
    assert response.status_code == 400
    shapes.check(shapes.OPENAI_ERROR, response.json())
    assert response.json()["error"]["param"] == param


@pytest.mark.parametrize(
    "body",
    [{"max_tokens": 100_000}, {"messages": [{"role": "user", "content": "word " * 100_000}]}],
)
@pytest.mark.contract(task="conversational", client="requests", direction="error")
def test_more_than_the_context_holds(chat, body):
    response = chat(stream=True, **body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["code"] == "context_length_exceeded"
    assert "maximum context length is 4096 tokens" in error["message"]
    assert response.elapsed.total_seconds() < 10


def leave_after_the_first_piece(server, url, body):
    with server.post(url, {**body, "stream": True}, stream=True) as response:
        assert next(response.iter_lines()).startswith(b"data: ")


def leave_while_waiting(server, url, body):
    with pytest.raises(requests.Timeout):
        server.post(url, body, timeout=1)


@pytest.mark.contract(task="conversational", client="requests", direction="stream")
@pytest.mark.parametrize("leave", [leave_after_the_first_piece, leave_while_waiting])
def test_generation_stops_when_the_reader_leaves(server, chat, leave):
    chat(max_tokens=1)  # the model is loaded
    body = {"model": MODEL, "messages": LONG, "max_tokens": 2000}
    leave(server, f"{server.url}/v1/chat/completions", body)
    start = time.monotonic()
    assert chat(max_tokens=2).status_code == 200
    assert time.monotonic() - start < 10  # it did not wait for 2000 tokens
    process = psutil.Process(server.process.pid)
    before = sum(process.cpu_times()[:2])
    time.sleep(1)
    assert sum(process.cpu_times()[:2]) - before < 0.5


@pytest.mark.contract(task="conversational", client="requests", direction="answer")
def test_models(server):
    listing = requests.get(f"{server.url}/v1/models", headers=server.headers, timeout=30).json()
    assert [model["id"] for model in listing["data"]] == [MODEL, BRIDGE]


@pytest.mark.contract(task="conversational", client="openai", direction=("answer", "stream"))
def test_openai_client(openai_client):
    assert [model.id for model in openai_client.models.list()] == [MODEL, BRIDGE]
    answer = openai_client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=24)
    assert "Paris" in answer.choices[0].message.content
    stream = openai_client.chat.completions.create(
        model=MODEL, messages=MESSAGES, max_tokens=24, stream=True
    )
    text = "".join(chunk.choices[0].delta.content for chunk in stream)
    assert text == answer.choices[0].message.content


@pytest.mark.contract(task="conversational", client="openai", direction="error")
def test_openai_client_errors(server, openai_client):
    with pytest.raises(openai.BadRequestError) as raised:
        openai_client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert raised.value.code == "model_not_supported"
    stranger = openai.OpenAI(base_url=f"{server.url}/v1", api_key="hf_errado", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        stranger.chat.completions.create(model=MODEL, messages=MESSAGES)


@pytest.mark.contract(
    task="conversational", client="InferenceClient", direction=("answer", "stream")
)
@pytest.mark.parametrize("address", ["base_url", "model"])
def test_hub_client(server, address):
    if address == "base_url":
        client = InferenceClient(base_url=f"{server.url}/v1", api_key=server.token)
    else:
        client = InferenceClient(model=server.model_url(MODEL), token=server.token)
    answer = client.chat_completion(MESSAGES, max_tokens=24)
    assert "Paris" in answer.choices[0].message.content
    stream = client.chat_completion(MESSAGES, max_tokens=24, stream=True)
    text = "".join(chunk.choices[0].delta.content for chunk in stream)
    assert text == answer.choices[0].message.content
