"""``curso/chat-ponte-pt`` on the wire: two translators around the English chat model.

Nothing is loaded for it. The translators are those that the translation task serves, the language
model is the one that chats under its own name, each in its own worker.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from helpers.bridge import EnglishMemory, SentenceBuffer
from helpers.embedded.chat.calls import ChatCall, ChatError
from helpers.embedded.chat.model import ChatModel, Delta, Generation, TextWriter, run
from helpers.embedded.inference import Residents
from helpers.embedded.recipes.chat_bridge import CHAT, TO_ENGLISH, TO_PORTUGUESE
from helpers.embedded.tasks import HANDLERS
from helpers.embedded.workers import ModelWorker

MODEL = "curso/chat-ponte-pt"
CHARACTERS_LIMIT = 8_000
"""Of all messages together: translating them is bounded too, before any token is counted."""


class Bridge:
    """The three models, and what was translated lately."""

    def __init__(self, residents: Residents, queue_limit: int) -> None:
        """Keep the workers; nothing is loaded yet."""
        load = HANDLERS["translation"].load
        self._to_english = residents.worker(TO_ENGLISH, load)
        self._to_portuguese = residents.worker(TO_PORTUGUESE, load)
        self._chat = residents.worker(CHAT, ChatModel.from_folder, queue_limit)
        self._memory = EnglishMemory()

    async def begin(self, call: ChatCall) -> tuple[BridgeGeneration, int]:
        """Translate the chat and start the answer.

        Returns:
            The answer under way and the number of English tokens of its prompt.

        Raises:
            WireError: 400, the chat is too long; 503, a model's queue is full.
        """
        english = replace(call, messages=await self._english(call.messages), stop=())
        ids = await run(self._chat, lambda model: model.prompt(english))
        generation = Generation(self._chat, ids, english)
        answer = BridgeGeneration(generation, self._to_portuguese, call.stop, self._memory)
        return answer, len(ids)

    async def _english(self, messages: list[dict[str, str]]) -> list[dict[str, str]]:
        texts = [message["content"] for message in messages]
        _check_length(texts)
        new = [text for text in dict.fromkeys(texts) if text.strip() and not self._memory.get(text)]
        known = {text: self._memory.get(text) or text for text in texts}
        if new:
            english = await run(self._to_english, lambda model: model.translator(new))
            known |= dict(zip(new, english, strict=True))
            for text in new:
                self._memory.put(text, known[text])
        return [{**message, "content": known[message["content"]]} for message in messages]


class BridgeGeneration:
    """An English generation, read in Portuguese, sentence by sentence."""

    def __init__(
        self,
        generation: Generation,
        to_portuguese: ModelWorker,
        stops: tuple[str, ...],
        memory: EnglishMemory,
    ) -> None:
        """Keep what generates, what translates, and what the answer is remembered in."""
        self._generation = generation
        self._to_portuguese = to_portuguese
        self._stops = stops
        self._memory = memory

    def cancel(self) -> None:
        """Stop generating: nobody reads any more."""
        self._generation.cancel()

    async def pieces(self) -> AsyncIterator[Delta]:
        """Yield the sentences; the last piece has the reason and the count of English tokens."""
        english = portuguese = ""
        ready: list[str] = []
        writer = TextWriter(self._stops, ready.append)
        buffer = SentenceBuffer()
        async for delta in self._generation.pieces():
            english += delta.text
            is_last = delta.finish_reason is not None
            for part in [*buffer.add(delta.text), *(buffer.close() if is_last else ())]:
                if writer.stopped:
                    break
                portuguese += await self._translated(part)
                writer.update(portuguese)
            if writer.stopped:
                self._generation.cancel()
            if is_last:
                writer.close()
            if ready:
                yield Delta("".join(ready))
                ready.clear()
            if is_last:
                self._remember(portuguese, english, whole=not writer.stopped)
                yield replace(delta, text="", finish_reason=_reason(writer, delta))

    async def _translated(self, part: str) -> str:
        return await run(self._to_portuguese, lambda model: model.translator(part))

    def _remember(self, portuguese: str, english: str, whole: bool) -> None:
        if whole and portuguese.strip():
            self._memory.put(portuguese, english)


def _reason(writer: TextWriter, last: Delta) -> str | None:
    return "stop" if writer.stopped else last.finish_reason


def _check_length(texts: list[str]) -> None:
    total = sum(map(len, texts))
    if total > CHARACTERS_LIMIT:
        raise ChatError(
            f"This model's maximum context length is {CHARACTERS_LIMIT} characters in all "
            f"messages. However, you sent {total}. Please reduce the length of the messages.",
            "messages",
            "context_length_exceeded",
        )
