"""The inference API's endpoint, and the models kept in memory behind it."""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from helpers.embedded.catalog import catalog
from helpers.embedded.hub import holdings
from helpers.embedded.hub.descriptions import served_tasks
from helpers.embedded.hub.snapshots import Snapshot
from helpers.embedded.learners import loading
from helpers.embedded.tasks import HANDLERS, SERVED_TASKS
from helpers.embedded.tasks.base import Call, Handler
from helpers.embedded.wire import (
    MEDIA_BODY_LIMIT,
    MEDIA_JSON_LIMIT,
    TEXT_BODY_LIMIT,
    WireError,
    read_body,
    read_json,
)
from helpers.embedded.workers import (
    ONE_AT_A_TIME,
    QUEUE_LIMIT,
    ModelWorker,
    OverloadedError,
    Ticket,
    warm_imports,
)
from helpers.environment import cache_folder
from helpers.errors import CourseError

NOT_SUPPORTED = "Model not supported by provider hf-inference"
IN_BFLOAT16 = "question-answering"
"""The task that ``--fast`` is for: the one that forty notebooks ask for at once."""
BFLOAT16_FROM = 4
LEARNERS_MODELS = 3
"""Models of learners in memory at once."""
ERROR_LIMIT = 300
OVERLOADED = "Service temporarily unavailable, overload detected"


# --- the models in memory ---------------------------------------------------------------------


class Residents:
    """One worker for each model and way of loading it, made when first asked for."""

    def __init__(self, ensure: Callable[[str], Path]) -> None:
        """Keep the function that returns a repository's folder, building it if needed."""
        self._ensure = ensure
        self._workers: dict[tuple[str, Callable[[Path], Any]], ModelWorker] = {}
        self._learners: dict[tuple[str, Callable[[Path], Any]], tuple[Any, ModelWorker]] = {}
        """Of learners' models, those used last at the end, each with what it was loaded from."""

    def worker(
        self, repo_id: str, load: Callable[[Path], Any], limit: int = QUEUE_LIMIT
    ) -> ModelWorker:
        """Return the worker of a model; nothing is loaded until its first call."""
        key = (repo_id, load)
        if key not in self._workers:
            name = repo_id.split("/")[-1]
            self._workers[key] = ModelWorker(name, lambda: self._load(*key), limit)
        return self._workers[key]

    def learners_worker(self, snapshot: Snapshot, load: Callable[[Path], Any]) -> ModelWorker:
        """Return the worker of a learner's model as it is now.

        A worker of other weights, and the one unused for longest beyond :data:`LEARNERS_MODELS`,
        answer what they were asked and are gone.
        """
        key, contents = (snapshot.about.id, load), loading.contents(snapshot)
        kept, worker = self._learners.pop(key, (None, None))
        if worker is None or kept != contents:
            if worker is not None:
                worker.retire()
            name = snapshot.about.id.split("/")[-1]
            worker = ModelWorker(name, lambda: _load_learners(snapshot, load))
        self._learners[key] = contents, worker
        while len(self._learners) > LEARNERS_MODELS:
            _, oldest = self._learners.pop(next(iter(self._learners)))
            oldest.retire()
        return worker

    def forget(self, repo_id: str) -> None:
        """Free the memory of a learner's model that was deleted."""
        for key in [key for key in self._learners if key[0] == repo_id]:
            _, worker = self._learners.pop(key)
            worker.retire()

    def loaded(self) -> list[str]:
        """Return the ids of the models in memory."""
        learners = {key: worker for key, (_, worker) in self._learners.items()}
        workers = {**self._workers, **learners}
        return sorted({repo_id for (repo_id, _), w in workers.items() if w.loaded})

    def close(self) -> None:
        """Drop the calls that wait."""
        for worker in [*self._workers.values(), *(w for _, w in self._learners.values())]:
            worker.close()

    def _load(self, repo_id: str, load: Callable[[Path], Any]) -> Any:
        warm_imports()
        with ONE_AT_A_TIME:
            return load(self._ensure(repo_id))


def _load_learners(snapshot: Snapshot, load: Callable[[Path], Any]) -> Any:
    """Load a model that nobody checked; whatever is wrong with it is its owner's to know."""
    warm_imports()
    try:
        with ONE_AT_A_TIME, loading.folder(snapshot) as folder:
            loading.check_size(folder)
            return load(folder)
    except Exception as error:
        detail = " ".join(str(error).split())[:ERROR_LIMIT].replace(str(cache_folder()), "")
        raise WireError(
            400, f"{snapshot.about.id} could not be loaded: {type(error).__name__}: {detail}"
        ) from error


# --- the endpoint -----------------------------------------------------------------------------


async def infer(request: Request) -> Response:
    """Answer ``POST /hf-inference/models/{id}`` and ``.../pipeline/{task}``."""
    model_id = request.path_params["model_id"]
    snapshot = await _learners_model(request, model_id)
    tasks = served_repository_tasks(model_id) if snapshot is None else served_tasks(snapshot)
    handler = _handler(tasks, request.path_params.get("task"))
    call, digest = await _read_call(request, handler)
    started = time.perf_counter()
    try:
        ticket = await _ticket(request, handler, call, digest)
        residents: Residents = request.app.state.residents
        if snapshot is None:
            worker = residents.worker(model_id, handler.load)
        else:
            worker = residents.learners_worker(snapshot, handler.load)
        answer = await while_connected(request, worker.add(ticket))
    except OverloadedError:
        raise WireError(503, OVERLOADED) from None
    except CourseError as error:
        raise WireError(503, str(error)) from None
    except ValueError as error:
        raise WireError(400, str(error)) from None
    headers = {
        "x-compute-type": "cpu",
        "x-compute-time": f"{time.perf_counter() - started:.3f}",
        "access-control-expose-headers": "x-compute-type, x-compute-time",
    }
    return JSONResponse(answer, headers=headers)


async def while_connected(request: Request, future: Future[Any]) -> Any:
    """Wait for a worker's answer, for as long as the client does.

    Args:
        request: A request whose body has been read.
        future: What the worker gave; it is cancelled, which costs the model nothing while the
            job waits, if the client leaves.

    Raises:
        ClientDisconnect: The client left.
    """
    answer = asyncio.wrap_future(future)
    gone = asyncio.ensure_future(_until_gone(request))
    try:
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientDisconnect
        return answer.result()
    finally:
        gone.cancel()
        answer.cancel()


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _ticket(request: Request, handler: Handler, call: Call, digest: bytes) -> Ticket:
    """Check a call; pictures and recordings are decoded away from the event loop."""
    if handler.accepts:
        job = await asyncio.to_thread(handler.prepare, call)
    else:
        job = handler.prepare(call)
    key = handler.batch_key(job) if handler.batch_key is not None else None
    in_a_hurry = request.app.settings.fast and handler is HANDLERS[IN_BFLOAT16]
    answer = _in_bfloat16 if in_a_hurry else handler.answer
    return Ticket(answer, job, key, same=digest, client=request.state.client_id)


def _in_bfloat16(model: Any, jobs: list[Any]) -> list[Any]:
    """Answer a batch with half the bits, twice as fast where the processor multiplies them.

    The answers are the same but for one in a hundred or so, their scores only to some 0.04: see
    ``benchmarks/README.md``. A job alone, which would gain nothing, is answered in full precision.
    """
    answer = HANDLERS[IN_BFLOAT16].answer
    if len(jobs) < BFLOAT16_FROM:
        return answer(model, jobs)
    import torch

    with torch.autocast("cpu", torch.bfloat16):
        return answer(model, jobs)


def served_repository_tasks(model_id: str) -> tuple[str, ...]:
    """Return the tasks that a model is served for.

    Raises:
        WireError: 404, there is no such model.
    """
    repository = catalog().repositories.get(model_id)
    if repository is None:
        raise WireError(404, f"Model {model_id} does not exist")
    return SERVED_TASKS.get(repository.task, ()) if repository.kind == "model" else ()


async def _learners_model(request: Request, model_id: str) -> Snapshot | None:
    """Return a learner's model as it is now; ``None`` for one of the catalog."""
    if model_id in catalog().repositories:
        return None
    try:
        holding = await asyncio.to_thread(holdings.find, request, "model", model_id)
        return await holding.snapshot()
    except WireError as error:
        if error.status != 404:
            raise
        raise WireError(404, f"Model {model_id} does not exist") from None


def _handler(served: tuple[str, ...], task: str | None) -> Handler:
    tasks = [task_ for task_ in served if task_ in HANDLERS]
    if not tasks or (task is not None and task not in tasks):
        raise WireError(400, NOT_SUPPORTED)
    return HANDLERS[task or tasks[0]]


async def _read_call(request: Request, handler: Handler) -> tuple[Call, bytes]:
    """Read a request's body: JSON, or a media type that the task takes as it is.

    Parameters may come in the address too, which is how they accompany a picture's bytes; those in
    the body win.

    Returns:
        The call, and a digest that only calls with the same address and bytes have.
    """
    query = {name: _number_or_flag(value) for name, value in request.query_params.items()}
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if handler.accepts and content_type.startswith(handler.accepts):
        body = await read_body(request, MEDIA_BODY_LIMIT)
        call = Call(body, query, {}, content_type)
    else:
        limit = MEDIA_JSON_LIMIT if handler.accepts else TEXT_BODY_LIMIT
        value, body = await read_json(request, limit)
        call = _checked(value, body, query)
    head = f"{content_type}\n{request.url.query}\n"
    return call, hashlib.sha256(head.encode() + body).digest()


def _number_or_flag(value: str) -> Any:
    """Read a parameter of an address as the API does: ``true``, ``3`` and ``0.5`` are no text."""
    if value in ("true", "false"):
        return value == "true"
    for kind in (int, float):
        try:
            number = kind(value)
        except ValueError:
            continue
        return number if math.isfinite(number) else value
    return value


def _checked(body: Any, raw: bytes, query: dict[str, Any]) -> Call:
    if not isinstance(body, dict) or "inputs" not in body:
        shown = raw if len(raw) <= 1000 else raw[:1000] + b"..."
        raise WireError(400, f"Body needs to provide a inputs key, received: {shown!r}")
    parameters = body.get("parameters")
    if parameters is None:
        parameters = query
    if not isinstance(parameters, dict):
        found = type(parameters)
        raise WireError(400, f"parameters must be a dict, but a `{found}` was provided instead.")
    options = {key: body[key] for key in body if key not in ("inputs", "parameters")}
    return Call(body["inputs"], parameters, options)
