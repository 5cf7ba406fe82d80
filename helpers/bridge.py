"""A chat in Portuguese made of three models: Portuguese to English, an English LLM, and back.

No model here speaks Portuguese and reasons in it. The composition reads well because translators
are good at reading well; what it says is as right or wrong as what the English model says, and a
mistake of either translator comes on top. :class:`PortugueseBridge` shows every step.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from helpers.errors import CourseError
from helpers.messages import text

if TYPE_CHECKING:
    from helpers.course import Course

Translate = Callable[[str], Any]  # a text for a text; a Translator takes lists too
Message = Mapping[str, str]
Chat = Callable[..., Iterator[str]]

ROLES = ("system", "user", "assistant")
REMEMBERED_TEXTS = 512


@dataclass(frozen=True)
class BridgeReply:
    """One answer, with what happened on the way.

    Attributes:
        text: the answer in Portuguese.
        english_prompt: the last message, as the English model read it.
        english_answer: what the English model wrote.
    """

    text: str
    english_prompt: str
    english_answer: str


class SentenceBuffer:
    """Collects a text that arrives in pieces, and gives it back sentence by sentence.

    What it gives back, joined, is the text: each sentence keeps the spaces around it.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._text = ""

    def add(self, piece: str) -> list[str]:
        """Take a piece; return the sentences that it completes."""
        self._text += piece
        lines, newline, line = self._text.rpartition("\n")
        complete = [f"{lines}{newline}"] if newline else []
        *sentences, rest = _with_spaces(line)
        self._text = rest
        return [*complete, *sentences]

    def close(self) -> list[str]:
        """Return what is left, complete or not."""
        left, self._text = self._text, ""
        return [left] if left else []


class EnglishMemory:
    """Remembers what was translated to English: in a chat every call repeats the history.

    For an answer it remembers the English that it came from, so that the model reads its own words
    again and not their translation back.
    """

    def __init__(self, limit: int = REMEMBERED_TEXTS) -> None:
        """Keep room for so many texts; the one not used for longest gives way."""
        self._limit = limit
        self._english: OrderedDict[str, str] = OrderedDict()

    def get(self, portuguese: str) -> str | None:
        """Return the English of a text, if it is remembered."""
        if portuguese in self._english:
            self._english.move_to_end(portuguese)
        return self._english.get(portuguese)

    def put(self, portuguese: str, english: str) -> None:
        """Remember the English of a text."""
        self._english[portuguese] = english
        self._english.move_to_end(portuguese)
        while len(self._english) > self._limit:
            self._english.popitem(last=False)


class PortugueseBridge:
    """A chat in Portuguese through an English model.

    Example:
        >>> bridge = PortugueseBridge.from_course(course)
        >>> print(bridge.reply("Qual é a capital da França?").text)
    """

    def __init__(self, to_english: Translate, chat: Chat, to_portuguese: Translate) -> None:
        """Join three models.

        Args:
            to_english: translates a text from Portuguese and keeps its spaces, such as a
                ``helpers.Translator``.
            chat: called as ``chat(messages, max_tokens=..., ...)``, gives an English answer in
                pieces, such as a :class:`LocalChat`.
            to_portuguese: translates a text from English, likewise.
        """
        self._to_english = to_english
        self._chat = chat
        self._to_portuguese = to_portuguese
        self._memory = EnglishMemory()
        self._english_answer = ""

    @classmethod
    def from_course(cls, course: Course) -> PortugueseBridge:
        """Load the course's two translators and its language model on this machine.

        Args:
            course: what ``helpers.setup()`` returned.

        Raises:
            CourseError: if a model cannot be loaded.
        """
        from helpers.translation import Translator

        to_english, to_portuguese = (
            Translator.from_pretrained(course.model(task), revision=course.revision(task))
            for task in ("translation-pt-en", "translation-en-pt")
        )
        task = "text-generation"
        chat = LocalChat.from_pretrained(
            course.model(task), revision=course.revision(task), device=course.device
        )
        return cls(to_english, chat, to_portuguese)

    def reply(
        self, messages: str | Sequence[Message], *, max_tokens: int = 128, **options: Any
    ) -> BridgeReply:
        """Answer a question, or the last message of a chat.

        Args:
            messages: a question, or a list of ``{"role": ..., "content": ...}`` in Portuguese.
            max_tokens: the most tokens of English to write.
            **options: passed on to the chat model, such as ``temperature`` and ``seed``.

        Raises:
            CourseError: if the messages are not as above.
        """
        english = self.english(messages)
        sentences = list(self._stream(english, max_tokens, options))
        answer = self._english_answer
        self._memory.put("".join(sentences), answer)
        return BridgeReply("".join(sentences), english[-1]["content"], answer)

    def stream(
        self, messages: str | Sequence[Message], *, max_tokens: int = 128, **options: Any
    ) -> Iterator[str]:
        """Answer sentence by sentence: each is translated as soon as the English one is complete.

        Args:
            messages: as in :meth:`reply`.
            max_tokens: as in :meth:`reply`.
            **options: as in :meth:`reply`.

        Yields:
            Pieces of the Portuguese answer, with the spaces between them.

        Raises:
            CourseError: if the messages are not as above.
        """
        sentences = []
        for sentence in self._stream(self.english(messages), max_tokens, options):
            sentences.append(sentence)
            yield sentence
        self._memory.put("".join(sentences), self._english_answer)

    def english(self, messages: str | Sequence[Message]) -> list[dict[str, str]]:
        """Return the messages as the English model will read them.

        Raises:
            CourseError: if there is no message, or one lacks its role or its text.
        """
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        if not messages or not all(_is_message(message) for message in messages):
            raise CourseError(text("bridge.bad_messages"))
        return [
            {"role": message["role"], "content": self._in_english(message["content"])}
            for message in messages
        ]

    def _in_english(self, portuguese: str) -> str:
        english = self._memory.get(portuguese)
        if english is None:
            english = self._to_english(portuguese)
            self._memory.put(portuguese, english)
        return english

    def _stream(
        self, english: list[dict[str, str]], max_tokens: int, options: Mapping[str, Any]
    ) -> Iterator[str]:
        pieces, buffer = [], SentenceBuffer()
        for piece in self._chat(english, max_tokens=max_tokens, **options):
            pieces.append(piece)
            yield from map(self._to_portuguese, buffer.add(piece))
        yield from map(self._to_portuguese, buffer.close())
        self._english_answer = "".join(pieces)


class LocalChat:
    """An English chat model on this machine, writing piece by piece."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        """Keep a causal language model and its tokenizer, which has a chat template."""
        self._model = model.eval()
        self._tokenizer = tokenizer

    @classmethod
    def from_pretrained(
        cls, model_id: str, *, revision: str | None = None, device: str | None = None
    ) -> LocalChat:
        """Load a model by its id.

        Args:
            model_id: such as ``"curso/smollm2-135m-instruct"``.
            revision: its commit; None for the newest.
            device: such as ``"cuda"``; None for the processor.
        """
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        dtype = torch.float32 if device in (None, "cpu") else torch.bfloat16
        model = AutoModelForCausalLM.from_pretrained(model_id, revision=revision, dtype=dtype)
        tokenizer = AutoTokenizer.from_pretrained(model_id, revision=revision)
        return cls(model.to(device or "cpu"), tokenizer)

    def __call__(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int = 128,
        temperature: float = 0.0,
        seed: int | None = None,
    ) -> Iterator[str]:
        """Answer the last message.

        Args:
            messages: the chat in English.
            max_tokens: the most tokens to write.
            temperature: 0 always takes the likeliest token.
            seed: makes what is drawn by lot repeatable.

        Yields:
            Pieces of the answer.
        """
        import threading

        import torch
        from transformers import TextIteratorStreamer

        inputs = self._tokenizer.apply_chat_template(
            list(messages), add_generation_prompt=True, return_tensors="pt", return_dict=True
        ).to(self._model.device)
        streamer = TextIteratorStreamer(
            self._tokenizer, skip_prompt=True, skip_special_tokens=True, timeout=120
        )
        if temperature > 0 and seed is not None:
            torch.manual_seed(seed)
        sampling: dict[str, Any] = {"do_sample": temperature > 0}
        if temperature > 0:
            sampling |= {"temperature": temperature, "top_k": 0}
        options = {**inputs, **sampling, "max_new_tokens": max_tokens, "streamer": streamer}
        thread = threading.Thread(target=self._model.generate, kwargs=options, daemon=True)
        thread.start()
        yield from streamer
        thread.join()


def _is_message(message: Any) -> bool:
    return (
        isinstance(message, Mapping)
        and message.get("role") in ROLES
        and isinstance(message.get("content"), str)
    )


def _with_spaces(line: str) -> list[str]:
    """Split a line into sentences, each with the spaces after it; the last one may go on."""
    from helpers.translation import split_sentences

    parts: list[str] = []
    for part in split_sentences(line):
        if parts and part.isspace():
            parts[-1] += part
        else:
            parts.append(part)
    return parts or [line]
