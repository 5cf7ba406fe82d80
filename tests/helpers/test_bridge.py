"""The composition: sentences in pieces, what is remembered, and the three real models."""

import json

import pytest

from helpers import models
from helpers.bridge import BridgeReply, EnglishMemory, PortugueseBridge, SentenceBuffer
from helpers.embedded import store
from helpers.embedded.recipes import chat_bridge
from helpers.errors import CourseError

TEXT = "Dr. Silva is here. He said: 1.5 is fine! Is it?\n1. Paris\n2. Rome\n\nBye for now"


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_sentences_come_as_soon_as_they_are_complete(size):
    buffer = SentenceBuffer()
    parts = []
    for start in range(0, len(TEXT), size):
        parts += buffer.add(TEXT[start : start + size])
    parts += buffer.close()
    assert "".join(parts) == TEXT
    if size == 1:
        assert parts[:3] == ["Dr. Silva is here. ", "He said: 1.5 is fine! ", "Is it?\n"]
        assert parts[-1] == "Bye for now"
    assert buffer.close() == []


def test_nothing_is_held_back_longer_than_needed():
    buffer = SentenceBuffer()
    assert buffer.add("The sky is blue.") == []
    assert buffer.add(" ") == []
    assert buffer.add("T") == ["The sky is blue. "]
    assert buffer.close() == ["T"]


def test_the_memory_forgets_what_was_not_used_for_longest():
    memory = EnglishMemory(limit=2)
    memory.put("um", "one")
    memory.put("dois", "two")
    assert memory.get("um") == "one"
    memory.put("três", "three")
    assert (memory.get("um"), memory.get("dois"), memory.get("três")) == ("one", None, "three")


class Recorder:
    """Stands for one step, to see what it is given."""

    def __init__(self, answer):
        self.answer = answer
        self.calls = []

    def __call__(self, given, **options):
        self.calls.append((given, options))
        return self.answer(given)


def test_the_history_is_translated_once_and_the_model_reads_its_own_words():
    to_english = Recorder(str.upper)
    chat = Recorder(lambda messages: iter(["Paris is ", "nice. It", " is big."]))
    to_portuguese = Recorder(str.lower)
    bridge = PortugueseBridge(to_english, chat, to_portuguese)
    reply = bridge.reply("oi", max_tokens=9, seed=3)
    assert reply == BridgeReply("paris is nice. it is big.", "OI", "Paris is nice. It is big.")
    assert [given for given, _ in to_portuguese.calls] == ["Paris is nice. ", "It is big."]
    messages = [
        {"role": "system", "content": "seja breve"},
        {"role": "user", "content": "oi"},
        {"role": "assistant", "content": reply.text},
        {"role": "user", "content": "e?"},
    ]
    assert list(bridge.stream(messages)) == ["paris is nice. ", "it is big."]
    assert [given for given, _ in to_english.calls] == ["oi", "seja breve", "e?"]
    english, options = chat.calls[-1]
    assert [m["content"] for m in english] == ["SEJA BREVE", "OI", reply.english_answer, "E?"]
    assert options == {"max_tokens": 128} and chat.calls[0][1] == {"max_tokens": 9, "seed": 3}


@pytest.mark.parametrize(
    "messages",
    [[], [{"role": "user"}], [{"role": "rei", "content": "oi"}], [{"content": "oi"}], ["oi"]],
)
def test_what_is_no_chat_is_a_sentence(messages):
    bridge = PortugueseBridge(str, iter, str)
    with pytest.raises(CourseError, match='"role"'):
        bridge.reply(messages)


class EmbeddedCourse:
    """What the bridge asks of a course, with no server around it."""

    device = "cpu"

    def model(self, task):
        return str(store.ensure(models.pick(task).embedded_id))

    def revision(self, task):
        return "main"


def test_the_three_models_together():
    bridge = PortugueseBridge.from_course(EmbeddedCourse())
    reply = bridge.reply("Qual é a capital da França?", max_tokens=24)
    assert reply.english_prompt == "What is the capital of France?"
    assert reply.english_answer == "The capital of France is Paris."
    assert reply.text == "A capital da França é Paris."
    drawn = [
        bridge.reply("Conte uma história.", max_tokens=8, temperature=1.0, seed=seed).english_answer
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_repository_says_what_it_is_made_of_and_holds_no_weights():
    folder = store.ensure("curso/chat-ponte-pt")
    steps = json.loads((folder / "composition.json").read_text(encoding="utf-8"))["steps"]
    assert [step["model"] for step in steps] == [
        "curso/traducao-pt-en",
        "curso/smollm2-135m-instruct",
        "curso/traducao-en-pt",
    ]
    files = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert files == {"README.md", "composition.json"}


def test_a_part_that_is_missing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no model"):
        chat_bridge.build(tmp_path, tmp_path, tmp_path, tmp_path)
