"""Chat completions in OpenAI's wire format, whole or as server-sent events."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from helpers.embedded.catalog import Repository, catalog
from helpers.embedded.chat import bridge
from helpers.embedded.chat.bridge import Bridge
from helpers.embedded.chat.calls import ChatCall, ChatError, parse_call, require_messages
from helpers.embedded.chat.events import DONE, EventStream, event, failure, stopping_with_reader
from helpers.embedded.chat.model import ChatModel, Delta, Generation, run
from helpers.embedded.chat.proxy import Engine
from helpers.embedded.inference import served_repository_tasks
from helpers.embedded.wire import WireError, read_json

TASK = "conversational"
QUEUE_LIMIT = 8

_ANY_MODEL = (None, "", "dummy", "tgi")
"""What clients send for "the model behind this address"."""


class Answering(Protocol):
    """An answer under way."""

    def cancel(self) -> None:
        """Stop: nobody reads any more."""

    def pieces(self) -> AsyncIterator[Delta]:
        """Yield its pieces, up to and including the one with the finish reason."""


# --- the endpoints ----------------------------------------------------------------------------


async def list_models(request: Request) -> Response:
    """List the models that chat, those of an engine elsewhere first."""
    engine = _engine(request)
    listed = [_listed(repository) for repository in _chat_repositories()]
    own = {model["id"] for model in listed}
    if engine is not None:
        theirs = [_listed_elsewhere(name, request) for name in await engine.names()]
        own -= {model["id"] for model in theirs}
        listed = [*theirs, *(model for model in listed if model["id"] in own)]
    return JSONResponse({"object": "list", "data": listed})


async def complete(request: Request) -> Response:
    """Answer ``POST .../v1/chat/completions``."""
    body, _ = await read_json(request)
    if not isinstance(body, dict):
        raise ChatError("The body must be a JSON object.", None)
    in_path = request.path_params.get("model_id")
    asked = in_path or body.get("model")
    engine = _engine(request)
    if engine is not None and await _is_for_engine(engine, asked):
        require_messages(body.get("messages"))
        return await engine.complete(request, {**body, "model": asked})
    model_id = _model_id(in_path, body.get("model"))
    call = parse_call(body)
    generation, prompt_tokens = await _begin(request, model_id, call)
    envelope = {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "created": int(time.time()),
        "model": model_id,
        "system_fingerprint": "curso-hf",
    }
    if call.stream:
        events = _events(generation, envelope, prompt_tokens, call.include_usage)
        return EventStream(events, generation)
    return await _whole(request, generation, envelope, prompt_tokens)


async def _begin(request: Request, model_id: str, call: ChatCall) -> tuple[Answering, int]:
    """Start an answer; return it and the tokens of its prompt."""
    residents = request.app.state.residents
    if model_id == bridge.MODEL:
        return await _bridge(request).begin(call)
    worker = residents.worker(model_id, ChatModel.from_folder, QUEUE_LIMIT)
    ids = await run(worker, lambda model: model.prompt(call))
    return Generation(worker, ids, call), len(ids)


def _bridge(request: Request) -> Bridge:
    state = request.app.state
    if not hasattr(state, "bridge"):
        state.bridge = Bridge(state.residents, QUEUE_LIMIT)
    return state.bridge


def _engine(request: Request) -> Engine | None:
    """Return the engine that ``--chat-url`` names, if there is one."""
    settings, state = request.app.settings, request.app.state
    if settings.chat_url is None:
        return None
    if not hasattr(state, "engine"):
        state.engine = Engine(settings.chat_url, settings.chat_model, settings.chat_token)
    return state.engine


async def _is_for_engine(engine: Engine, asked: Any) -> bool:
    if asked in _ANY_MODEL:
        return True
    try:
        return await engine.serves(asked)
    except WireError:
        if asked in {repository.id for repository in _chat_repositories()}:
            return False  # a model of this server answers even while the engine does not
        raise


async def _whole(
    request: Request, generation: Answering, envelope: dict[str, Any], prompt_tokens: int
) -> Response:
    parts, last = [], Delta("")
    async with stopping_with_reader(request, generation):
        async for piece in generation.pieces():
            parts.append(piece.text)
            last = piece
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


async def _events(
    generation: Answering, envelope: dict[str, Any], prompt_tokens: int, include_usage: bool
) -> AsyncIterator[str]:
    chunk: dict[str, Any] = {**envelope, "object": "chat.completion.chunk"}
    if include_usage:
        chunk["usage"] = None
    completion_tokens = 0
    yield event(chunk | {"choices": [_choice("", None)]})
    try:
        async for piece in generation.pieces():
            completion_tokens = piece.completion_tokens
            yield event(chunk | {"choices": [_choice(piece.text, piece.finish_reason)]})
    except WireError as error:  # the status is already sent
        yield failure(str(error.body["error"]))
        return
    if include_usage:
        yield event(chunk | {"choices": [], "usage": _usage(prompt_tokens, completion_tokens)})
    yield DONE


def _choice(text: str, finish_reason: str | None) -> dict[str, Any]:
    delta = {"role": "assistant", "content": text}
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


# --- which model ---------------------------------------------------------------------------------


def _chat_repositories() -> list[Repository]:
    repositories = catalog().repositories
    return [r for r in repositories.values() if TASK in served_repository_tasks(r.id)]


def _listed(repository: Repository) -> dict[str, Any]:
    created = int(repository.last_modified.timestamp())
    owner = repository.id.split("/")[0]
    return {"id": repository.id, "object": "model", "created": created, "owned_by": owner}


def _listed_elsewhere(name: str, request: Request) -> dict[str, Any]:
    created = int(request.app.started)
    return {"id": name, "object": "model", "created": created, "owned_by": name.split("/")[0]}


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
