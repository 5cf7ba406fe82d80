"""Chat completions in OpenAI's wire format, whole or as server-sent events."""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from helpers.embedded.catalog import Repository, catalog
from helpers.embedded.inference import OVERLOADED, served_repository_tasks
from helpers.embedded.wire import WireError, read_json
from helpers.embedded.workers import ModelWorker, OverloadedError
from helpers.errors import CourseError

TASK = "conversational"
CONTEXT_LIMIT = 4096
"""Tokens of prompt and answer together; bounds the time and the memory of one call."""
DEFAULT_MAX_TOKENS = 512
QUEUE_LIMIT = 8
MAX_STOPS = 4
CHECK_SECONDS = 0.25

_ANY_MODEL = (None, "", "dummy", "tgi")
"""What clients send for "the model behind this address"."""


class ChatError(WireError):
    """An error in OpenAI's shape."""

    def __init__(self, message: str, param: str | None, code: str | None = None) -> None:
        """Keep the sentence, the parameter at fault and the machine-readable code."""
        error = {
            "message": message,
            "type": "invalid_request_error",
            "param": param,
            "code": code,
        }
        super().__init__(400, {"error": error})


@dataclass(frozen=True)
class ChatCall:
    """A checked request.

    Attributes:
        messages: ``role`` and ``content`` (text) of each message.
        max_tokens: Most tokens to generate, or ``None`` for the default.
        temperature: 0 for greedy decoding.
        top_p: Probability mass that sampling keeps.
        stop: Texts that end the answer.
        seed: For sampling; ``None`` for a fresh one.
        stream: Whether to answer with events.
        include_usage: Whether the last event counts tokens.
    """

    messages: list[dict[str, str]]
    max_tokens: int | None
    temperature: float
    top_p: float
    stop: tuple[str, ...]
    seed: int | None
    stream: bool
    include_usage: bool


@dataclass(frozen=True)
class Delta:
    """A piece of generated text; the last one has the reason and the count of tokens."""

    text: str
    finish_reason: str | None = None
    completion_tokens: int = 0


# --- the model --------------------------------------------------------------------------------


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
        writer = _TextWriter(self._decode, call.stop, emit)
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

    def __init__(self, writer: _TextWriter, eos_token_id: int) -> None:
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


class _TextWriter:
    """Turns tokens into text pieces, holding back what may become a stop text or half a letter."""

    def __init__(
        self,
        decode: Callable[[list[int]], str],
        stops: tuple[str, ...],
        emit: Callable[[Delta], None],
    ) -> None:
        self._decode = decode
        self._stops = stops
        self._emit = emit
        self._ids: list[int] = []
        self._text = ""
        self._sent = 0
        self._ended = False
        self.stopped = False

    def add(self, token: int, is_end: bool) -> None:
        if self.stopped or self._ended:
            return
        if is_end:
            self._ended = True
            return
        self._ids.append(token)
        self._text = self._decode(self._ids)
        found = [at for stop in self._stops if (at := self._text.find(stop)) >= 0]
        if found:
            self.stopped = True
            self._text = self._text[: min(found)]
        else:
            self._send(self._text[: len(self._text) - self._held_back()])

    def close(self) -> None:
        self._send(self._text)
        reason = "stop" if self.stopped or self._ended else "length"
        self._emit(Delta("", reason, len(self._ids)))

    def _send(self, text: str) -> None:
        if len(text) > self._sent:
            self._emit(Delta(text[self._sent :]))
            self._sent = len(text)

    def _held_back(self) -> int:
        """Return how many characters at the end may still change or turn out to be a stop."""
        if self._text.endswith("\ufffd"):
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


# --- the endpoints ----------------------------------------------------------------------------


async def list_models(_request: Request) -> Response:
    """List the models that chat."""
    models = [
        {
            "id": repository.id,
            "object": "model",
            "created": int(repository.last_modified.timestamp()),
            "owned_by": repository.id.split("/")[0],
        }
        for repository in _chat_repositories()
    ]
    return JSONResponse({"object": "list", "data": models})


async def complete(request: Request) -> Response:
    """Answer ``POST .../v1/chat/completions``."""
    body, _ = await read_json(request)
    if not isinstance(body, dict):
        raise ChatError("The body must be a JSON object.", None)
    model_id = _model_id(request.path_params.get("model_id"), body.get("model"))
    call = parse_call(body)
    worker = request.app.state.residents.worker(model_id, ChatModel.from_folder, QUEUE_LIMIT)
    ids = await _run(worker, lambda model: model.prompt(call))
    envelope = {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "created": int(time.time()),
        "model": model_id,
        "system_fingerprint": "curso-hf",
    }
    generation = Generation(worker, ids, call)
    if call.stream:
        events = _events(generation, envelope, len(ids), call.include_usage)
        return EventStream(events, generation)
    return await _whole(request, generation, envelope, len(ids))


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


class EventStream(StreamingResponse):
    """Server-sent events; when the reader leaves, the generation stops."""

    def __init__(self, events: AsyncIterator[str], generation: Generation) -> None:
        """Keep what is sent and what makes it."""
        headers = {"Cache-Control": "no-cache"}
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._generation = generation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events, for as long as somebody reads them."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._generation.cancel()


async def _run(worker: ModelWorker, function: Callable[[Any], Any]) -> Any:
    try:
        return await worker.run(function)
    except OverloadedError:
        raise WireError(503, OVERLOADED) from None
    except CourseError as error:
        raise WireError(503, str(error)) from None


async def _whole(
    request: Request, generation: Generation, envelope: dict[str, Any], prompt_tokens: int
) -> Response:
    watcher = asyncio.create_task(_cancel_when_gone(request, generation))
    parts, last = [], Delta("")
    try:
        async for piece in generation.pieces():
            parts.append(piece.text)
            last = piece
    finally:
        watcher.cancel()
        generation.cancel()
    message = {"role": "assistant", "content": "".join(parts)}
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": last.finish_reason,
    }
    return JSONResponse(
        {
            **envelope,
            "object": "chat.completion",
            "choices": [choice],
            "usage": _usage(prompt_tokens, last.completion_tokens),
        }
    )


async def _cancel_when_gone(request: Request, generation: Generation) -> None:
    while not await request.is_disconnected():
        await asyncio.sleep(CHECK_SECONDS)
    generation.cancel()


async def _events(
    generation: Generation, envelope: dict[str, Any], prompt_tokens: int, include_usage: bool
) -> AsyncIterator[str]:
    chunk: dict[str, Any] = {**envelope, "object": "chat.completion.chunk"}
    if include_usage:
        chunk["usage"] = None
    completion_tokens = 0
    yield _event(chunk | {"choices": [_choice("", None)]})
    async for piece in generation.pieces():
        completion_tokens = piece.completion_tokens
        yield _event(chunk | {"choices": [_choice(piece.text, piece.finish_reason)]})
    if include_usage:
        yield _event(chunk | {"choices": [], "usage": _usage(prompt_tokens, completion_tokens)})
    yield "data: [DONE]\n\n"


def _choice(text: str, finish_reason: str | None) -> dict[str, Any]:
    delta = {"role": "assistant", "content": text}
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _event(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}\n\n"


def _usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


# --- checking a request -----------------------------------------------------------------------


def _chat_repositories() -> list[Repository]:
    repositories = catalog().repositories
    return [r for r in repositories.values() if TASK in served_repository_tasks(r.id)]


def _model_id(in_path: str | None, in_body: Any) -> str:
    """Find the model: the address names it, or the body does, or there is only one to mean."""
    if in_path is not None:
        if TASK not in served_repository_tasks(in_path):
            raise WireError(400, "Model not supported by provider hf-inference")
        return in_path
    if in_body in _ANY_MODEL:
        return _chat_repositories()[0].id
    name = str(in_body).partition(":")[0]  # "model:provider" is the router's notation
    if name not in {repository.id for repository in _chat_repositories()}:
        raise ChatError(
            f"The requested model '{in_body}' is not supported by any provider you have enabled.",
            "model",
            "model_not_supported",
        )
    return name


def parse_call(body: dict[str, Any]) -> ChatCall:
    """Check a request's body.

    Raises:
        ChatError: 400 in OpenAI's shape, naming the parameter.
    """
    _refuse_unsupported(body)
    stream_options = _optional(body, "stream_options", dict) or {}
    newer_name = "max_completion_tokens"
    name = newer_name if body.get(newer_name) is not None else "max_tokens"
    return ChatCall(
        messages=_messages(body.get("messages")),
        max_tokens=_integer(body, name, 1, 2**31),
        temperature=_number(body, "temperature", 0.0, 0.0, 2.0),
        top_p=_number(body, "top_p", 1.0, 0.0, 1.0, above_lowest=True),
        stop=_stops(body.get("stop")),
        seed=_integer(body, "seed", 0, 2**63 - 1),
        stream=_optional(body, "stream", bool) or False,
        include_usage=stream_options.get("include_usage") is True,
    )


def _refuse_unsupported(body: dict[str, Any]) -> None:
    """Say so, rather than ignore a parameter that would change the answer."""
    response_format = body.get("response_format")
    asked = {
        "n": body.get("n") not in (None, 1),
        "logprobs": bool(body.get("logprobs")),
        "tools": bool(body.get("tools")),
        "frequency_penalty": bool(body.get("frequency_penalty")),
        "presence_penalty": bool(body.get("presence_penalty")),
        "logit_bias": bool(body.get("logit_bias")),
        "response_format": response_format not in (None, {"type": "text"}),
    }
    for name, is_asked in asked.items():
        if is_asked:
            raise ChatError(f"`{name}` is not supported by this server.", name, "unsupported")


def _messages(value: Any) -> list[dict[str, str]]:
    if not isinstance(value, list) or not value:
        raise ChatError("`messages` must be a list with at least one message.", "messages")
    return [_message(item, f"messages[{index}]") for index, item in enumerate(value)]


def _message(value: Any, name: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ChatError(f"`{name}` must be an object.", name)
    role = value.get("role")
    if role == "developer":  # OpenAI's newer name
        role = "system"
    if role not in ("system", "user", "assistant"):
        raise ChatError(f"`{name}.role` must be one of: system, user, assistant.", f"{name}.role")
    return {"role": role, "content": _content(value.get("content"), f"{name}.content")}


def _content(value: Any, name: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(_is_text_part(part) for part in value):
        return "".join(part["text"] for part in value)
    raise ChatError(f"`{name}` must be a text, or a list of parts of type text.", name)


def _is_text_part(part: Any) -> bool:
    return (
        isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)
    )


def _stops(value: Any) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value or []
    is_valid = isinstance(stops, list) and len(stops) <= MAX_STOPS
    if not is_valid or not all(isinstance(stop, str) and stop for stop in stops):
        raise ChatError(f"`stop` must be a text or a list of up to {MAX_STOPS} texts.", "stop")
    return tuple(stops)


def _optional(body: dict[str, Any], name: str, kind: type) -> Any:
    value = body.get(name)
    if value is not None and not isinstance(value, kind):
        raise ChatError(f"`{name}` must be of type {kind.__name__}.", name)
    return value


def _integer(body: dict[str, Any], name: str, lowest: int, highest: int) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise ChatError(f"`{name}` must be an integer of at least {lowest}.", name)
    return value


def _number(
    body: dict[str, Any],
    name: str,
    default: float,
    lowest: float,
    highest: float,
    above_lowest: bool = False,
) -> float:
    value = body.get(name)
    if value is None:
        return default
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not lowest <= value <= highest or (above_lowest and value == lowest):
        raise ChatError(f"`{name}` must be a number from {lowest:g} to {highest:g}.", name)
    return float(value)
