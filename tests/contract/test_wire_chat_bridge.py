"""``curso/chat-ponte-pt``: a chat in Portuguese over two translators and an English model."""

import asyncio
import json
from pathlib import Path

import openai
import pytest
import requests
import shapes
from huggingface_hub import HfApi, InferenceClient

from helpers.embedded.chat import endpoints as chat_endpoints
from helpers.embedded.chat.bridge import CHARACTERS_LIMIT
from helpers.embedded.chat.model import Delta
from helpers.embedded.inference import OVERLOADED
from helpers.embedded.wire import WireError

BRIDGE = "curso/chat-ponte-pt"
QUESTION = {"role": "user", "content": "Qual é a capital da França?"}
ANSWER = "A capital da França é Paris."
STORY = {"role": "user", "content": "Escreva uma história curta sobre um dragão e um castelo."}


def marked(client, *direction):
    return pytest.mark.contract(task="conversational", client=client, direction=direction)


@pytest.fixture
def chat(server):
    def post(*messages, **body):
        body = {"model": BRIDGE, "messages": messages or [QUESTION], "max_tokens": 24, **body}
        url = f"{server.url}/v1/chat/completions"
        return server.post(url, body, stream=bool(body.get("stream")))

    return post


def said(response):
    return response.json()["choices"][0]["message"]["content"]


def pieces(response):
    lines = [line.decode() for line in response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


@marked("requests", "answer")
def test_an_answer_in_portuguese_and_an_honest_count(chat):
    answer = chat().json()
    shapes.check(shapes.COMPLETION, answer)
    assert answer["choices"][0]["message"]["content"] == ANSWER
    assert (answer["model"], answer["choices"][0]["finish_reason"]) == (BRIDGE, "stop")
    # What the English model read and wrote: "What is the capital of France?" in its template.
    english = {"role": "user", "content": "What is the capital of France?"}
    direct = chat(english, model="curso/smollm2-135m-instruct").json()
    assert answer["usage"] == direct["usage"]


@marked("requests", "stream")
def test_sentences_are_sent_as_they_are_complete(chat):
    options = {"max_tokens": 60}
    whole = chat(STORY, **options).json()
    chunks = pieces(chat(STORY, stream=True, stream_options={"include_usage": True}, **options))
    for chunk in chunks:
        shapes.check(shapes.CHUNK, chunk)
    texts = [c["choices"][0]["delta"]["content"] for c in chunks if c["choices"]]
    sentences = [text for text in texts if text]
    assert "".join(sentences) == whole["choices"][0]["message"]["content"]
    assert len(sentences) > 1 and all(text.rstrip()[-1] in ".!?:" for text in sentences[:-1])
    assert chunks[-1]["usage"] == whole["usage"]


@marked("requests", "request")
def test_stop_is_a_portuguese_text(chat):
    response = chat(stop=["França"])
    assert said(response) == "A capital da "
    assert response.json()["choices"][0]["finish_reason"] == "stop"
    chunks = pieces(chat(stop="França", stream=True))
    texts = [chunk["choices"][0]["delta"]["content"] for chunk in chunks]
    assert "".join(texts) == "A capital da "


@marked("requests", "request")
def test_length_seed_and_temperature(chat):
    answer = chat(STORY, max_tokens=7).json()
    assert answer["usage"]["completion_tokens"] == 7
    assert answer["choices"][0]["finish_reason"] == "length"
    drawn = {
        seed: said(chat(STORY, max_tokens=12, temperature=1.0, seed=seed)) for seed in (1, 2, 3)
    }
    assert said(chat(STORY, max_tokens=12, temperature=1.0, seed=1)) == drawn[1]
    assert len(set(drawn.values())) > 1


@marked("requests", "request")
def test_the_history_and_the_system_prompt_are_read(chat):
    history = [
        {"role": "system", "content": "Você é um assistente útil."},
        QUESTION,
        {"role": "assistant", "content": ANSWER},
    ]
    response = chat(*history, {"role": "user", "content": "E qual é a capital do Japão?"})
    assert "Tóquio" in said(response)
    longer = response.json()["usage"]["prompt_tokens"]
    assert longer > chat().json()["usage"]["prompt_tokens"] + 10


@marked("requests", "error")
def test_more_than_is_translated_in_one_call(chat):
    response = chat({"role": "user", "content": "palavra " * (CHARACTERS_LIMIT // 8 + 1)})
    assert response.status_code == 400
    shapes.check(shapes.OPENAI_ERROR, response.json())
    assert response.json()["error"]["code"] == "context_length_exceeded"
    assert chat({"role": "user", "content": ""}).status_code == 200


@marked(("openai", "InferenceClient"), "answer", "stream")
def test_clients(server):
    openai_client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.token, max_retries=0)
    hub_client = InferenceClient(model=server.model_url(BRIDGE), token=server.token)
    options = {"messages": [QUESTION], "max_tokens": 24}
    for create, named in (
        (openai_client.chat.completions.create, {"model": BRIDGE}),
        (hub_client.chat_completion, {}),
    ):
        assert create(**options, **named).choices[0].message.content == ANSWER
        stream = create(**options, **named, stream=True)
        assert "".join(chunk.choices[0].delta.content for chunk in stream) == ANSWER


class Interrupted:
    """An answer whose translator turns out to be overloaded."""

    async def pieces(self):
        yield Delta("Era uma vez ")
        raise WireError(503, OVERLOADED)


def test_a_stream_that_cannot_go_on_says_so():
    async def collect():
        return [event async for event in chat_endpoints._events(Interrupted(), {}, 3, False)]

    *_, text, error = asyncio.run(collect())
    assert "Era uma vez" in text
    assert json.loads(error.removeprefix("data: "))["error"]["message"] == OVERLOADED


def test_each_model_is_in_memory_once(server, chat):
    text = {"inputs": "Bom dia."}
    assert server.post(server.model_url("curso/traducao-pt-en"), text).status_code == 200
    assert said(chat()) == ANSWER
    health = requests.get(f"{server.url}/course/health", headers=server.headers, timeout=30)
    loaded = health.json()["loaded"]
    parts = {"curso/traducao-pt-en", "curso/traducao-en-pt", "curso/smollm2-135m-instruct"}
    assert parts <= set(loaded) and BRIDGE not in loaded


@pytest.mark.contract(task="hub-models", client="HfApi", direction="answer")
def test_the_repository_on_the_hub(server, tmp_path):
    api = HfApi(endpoint=server.url, token=server.token)
    info = api.model_info(BRIDGE)
    assert {file.rfilename for file in info.siblings} == {"README.md", "composition.json"}
    assert info.safetensors is None and "composition" in info.tags
    path = api.hf_hub_download(BRIDGE, "composition.json", local_dir=tmp_path)
    assert json.loads(Path(path).read_text(encoding="utf-8"))["type"] == "composition"
