"""Answers from a causal language model: text in pieces, while it is generated."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.embedded.chat.calls import ChatCall, ChatError
from helpers.embedded.inference import OVERLOADED
from helpers.embedded.wire import WireError
from helpers.embedded.workers import ModelWorker, OverloadedError
from helpers.errors import CourseError

CONTEXT_LIMIT = 4096
"""Tokens of prompt and answer together; bounds the time and the memory of one call."""
DEFAULT_MAX_TOKENS = 512


@dataclass(frozen=True)
class Delta:
    """A piece of generated text; the last one has the reason and the count of tokens."""

    text: str
    finish_reason: str | None = None
    completion_tokens: int = 0


class ChatModel:
    """A causal language model with a chat template."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        """Keep a loaded model and its tokenizer."""
        self._model = model.eval()
        self._tokenizer = tokenizer
        positions = getattr(model.config, "max_position_embeddings", CONTEXT_LIMIT)
        self.context_limit = min(positions, CONTEXT_LIMIT)

    @classmethod
    def from_folder(cls, folder: Path) -> ChatModel:
        """Load the model that a built repository holds, in 32-bit floats."""
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        return cls(model, tokenizer)

    def prompt(self, call: ChatCall) -> list[int]:
        """Return the prompt's token ids.

        Raises:
            ChatError: The prompt and the tokens asked for do not fit the context.
        """
        text = self._tokenizer.apply_chat_template(
            call.messages, tokenize=False, add_generation_prompt=True
        )
        ids = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        requested = call.max_tokens or 1
        if len(ids) + requested > self.context_limit:
            raise ChatError(
                f"This model's maximum context length is {self.context_limit} tokens. However, you "
                f"requested {len(ids) + requested} tokens ({len(ids)} in the messages, {requested} "
                "in the completion). Please reduce the length of the messages or completion.",
                "messages",
                "context_length_exceeded",
            )
        return ids

    def generate(
        self, ids: list[int], call: ChatCall, emit: Callable[[Delta], None], gone: threading.Event
    ) -> None:
        """Generate an answer, handing out its text as it comes.

        Args:
            ids: What :meth:`prompt` returned.
            call: How to generate.
            emit: Called with each piece; the last one has a ``finish_reason``.
            gone: Set from outside when nobody reads any more; generation then stops.
        """
        import torch
        from transformers import StoppingCriteriaList

        room = self.context_limit - len(ids)
        most = min(call.max_tokens or DEFAULT_MAX_TOKENS, room)
        writer = _TokenWriter(self._decode, call.stop, emit)
        if call.temperature > 0:
            torch.manual_seed(secrets.randbits(63) if call.seed is None else call.seed)
            sampling: dict[str, Any] = {
                "temperature": call.temperature,
                "top_p": call.top_p,
                "top_k": 0,
            }
        else:
            sampling = {"temperature": None, "top_p": None, "top_k": None}
        inputs = torch.tensor([ids])
        with torch.inference_mode():
            self._model.generate(
                inputs,
                attention_mask=torch.ones_like(inputs),
                max_new_tokens=most,
                do_sample=call.temperature > 0,
                pad_token_id=self._tokenizer.eos_token_id,
                eos_token_id=self._tokenizer.eos_token_id,
                streamer=_TokenStream(writer, self._tokenizer.eos_token_id),
                stopping_criteria=StoppingCriteriaList(
                    [lambda *_args, **_kwargs: writer.stopped or gone.is_set()]
                ),
                **sampling,
            )
        writer.close()

    def _decode(self, ids: list[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=True)


class _TokenStream:
    """What ``generate`` hands new tokens to: the prompt first, then one token at a time."""

    def __init__(self, writer: _TokenWriter, eos_token_id: int) -> None:
        self._writer = writer
        self._eos_token_id = eos_token_id
        self._prompt_seen = False

    def put(self, value: Any) -> None:
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        for token in value.flatten().tolist():
            self._writer.add(token, token == self._eos_token_id)

    def end(self) -> None:
        """Nothing is kept back here."""


class TextWriter:
    """Hands out a growing text in pieces, holding back what may become a stop text."""

    def __init__(self, stops: tuple[str, ...], emit: Callable[[str], None]) -> None:
        """Keep the texts that end the answer and who takes the pieces."""
        self._stops = stops
        self._emit = emit
        self._text = ""
        self._sent = 0
        self.stopped = False

    def update(self, text: str) -> None:
        """Take the whole text so far; after a stop text nothing more is taken."""
        if self.stopped:
            return
        found = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        self.stopped = bool(found)
        self._text = text[: min(found)] if found else text
        if not found:
            self._send(self._text[: len(self._text) - self._held_back()])

    def close(self) -> None:
        """Hand out what was held back: nothing more will come."""
        self._send(self._text)

    def _send(self, text: str) -> None:
        if len(text) > self._sent:
            self._emit(text[self._sent :])
            self._sent = len(text)

    def _held_back(self) -> int:
        """Return how many characters at the end may still change or turn out to be a stop."""
        if self._text.endswith("\ufffd"):  # half a letter
            return len(self._text) - len(self._text.rstrip("\ufffd"))
        return max(
            (
                length
                for stop in self._stops
                for length in range(1, min(len(stop), len(self._text) + 1))
                if self._text.endswith(stop[:length])
            ),
            default=0,
        )


class _TokenWriter:
    """Turns tokens into pieces of text, and counts them."""

    def __init__(
        self,
        decode: Callable[[list[int]], str],
        stops: tuple[str, ...],
        emit: Callable[[Delta], None],
    ) -> None:
        self._decode = decode
        self._emit = emit
        self._writer = TextWriter(stops, lambda piece: emit(Delta(piece)))
        self._ids: list[int] = []
        self._ended = False

    @property
    def stopped(self) -> bool:
        """Whether a stop text was found."""
        return self._writer.stopped

    def add(self, token: int, is_end: bool) -> None:
        if self.stopped or self._ended:
            return
        if is_end:
            self._ended = True
            return
        self._ids.append(token)
        self._writer.update(self._decode(self._ids))

    def close(self) -> None:
        self._writer.close()
        reason = "stop" if self.stopped or self._ended else "length"
        self._emit(Delta("", reason, len(self._ids)))


class Generation:
    """One generation in a worker's thread, read as an asynchronous stream of pieces."""

    def __init__(self, worker: ModelWorker, ids: list[int], call: ChatCall) -> None:
        """Queue the generation.

        Raises:
            WireError: 503, the model's queue is full.
        """
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[Delta | BaseException] = asyncio.Queue()
        self._gone = threading.Event()
        try:
            future = worker.submit(lambda model: model.generate(ids, call, self._put, self._gone))
        except OverloadedError:
            raise WireError(503, OVERLOADED) from None
        future.add_done_callback(
            lambda done: (
                None
                if done.cancelled() or done.exception() is None
                else self._put(done.exception())
            )
        )

    def cancel(self) -> None:
        """Stop generating: nobody reads any more."""
        self._gone.set()

    async def pieces(self) -> AsyncIterator[Delta]:
        """Yield the pieces, up to and including the one with the finish reason."""
        while True:
            piece = await self._pieces.get()
            if isinstance(piece, BaseException):
                raise piece
            yield piece
            if piece.finish_reason is not None:
                return

    def _put(self, piece: Delta | BaseException | None) -> None:
        if piece is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._pieces.put_nowait, piece)


async def run(worker: ModelWorker, function: Callable[[Any], Any]) -> Any:
    """Call ``function(model)`` in a model's worker.

    Raises:
        WireError: 503, its queue is full or it could not be built.
    """
    try:
        return await worker.run(function)
    except OverloadedError:
        raise WireError(503, OVERLOADED) from None
    except CourseError as error:
        raise WireError(503, str(error)) from None
