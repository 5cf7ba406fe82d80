"""The inference API: one table from task to handler, and the models kept in memory behind it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from helpers.embedded.catalog import catalog
from helpers.embedded.encoder import TextEncoder
from helpers.embedded.wire import WireError, read_json
from helpers.embedded.workers import (
    ONE_AT_A_TIME,
    QUEUE_LIMIT,
    ModelWorker,
    OverloadedError,
    warm_imports,
)
from helpers.errors import CourseError

SERVED_TASKS: dict[str, tuple[str, ...]] = {
    "question-answering": ("question-answering",),
    "feature-extraction": ("feature-extraction", "sentence-similarity"),
    "sentence-similarity": ("feature-extraction", "sentence-similarity"),
    "text-generation": ("conversational",),
}
"""For a repository's own task: the tasks it is served for, the usual one first."""

PROVIDER_TASKS = {"text-generation": "conversational"}
"""The Hub's task names that the provider calls otherwise."""

CONTEXT_LIMIT = 100_000
"""Characters of question and context accepted in one request."""
WINDOW_LIMIT = 128
"""Windows that one request may fill: some 90 000 characters of prose, a few seconds' work."""
_SURELY_FEW = 2_000
"""Characters that cannot fill too many windows, however they overlap by default."""
PAIR_LIMIT = 64
TEXTS_LIMIT = 128
"""Texts embedded in one request."""

NOT_SUPPORTED = "Model not supported by provider hf-inference"
OVERLOADED = "Service temporarily unavailable, overload detected"


@dataclass(frozen=True)
class Call:
    """One inference request, its JSON checked as far as every task shares it.

    Attributes:
        inputs: The value under ``inputs``.
        parameters: The object under ``parameters``.
        options: The other keys at the top of the body; some tasks take their parameters there.
    """

    inputs: Any
    parameters: dict[str, Any]
    options: dict[str, Any]


@dataclass(frozen=True)
class Handler:
    """How a task is served.

    Attributes:
        load: Makes the model from a repository's folder; models loaded alike are shared by tasks.
        prepare: Checks a call and returns what is to be done with the model. Raises
            :class:`WireError` or ValueError, whose text is then the answer's error.
    """

    load: Callable[[Path], Any]
    prepare: Callable[[Call], Callable[[Any], Any]]


# --- question answering -----------------------------------------------------------------------

_QA_KEYS = (
    "question-answering expects `inputs` to be a dict containing both `question` and `context` "
    "as the keys, both of them being either a `str` or a `List[str]`."
)
_QA_PARAMETERS = (
    "top_k",
    "doc_stride",
    "max_answer_len",
    "max_seq_len",
    "max_question_len",
    "handle_impossible_answer",
    "align_to_words",
)


def _load_answerer(folder: Path) -> Any:
    from helpers.question_answering import QuestionAnswerer

    return QuestionAnswerer.from_pretrained(str(folder), device="cpu")


def _prepare_question_answering(call: Call) -> Callable[[Any], Any]:
    questions, contexts = _question_pairs(call.inputs)
    parameters = {name: call.parameters.get(name) for name in _QA_PARAMETERS}
    for name in ("handle_impossible_answer", "align_to_words"):
        if not isinstance(parameters[name], bool | None):
            raise ValueError(f"{name} parameter should be a boolean (got {parameters[name]!r})")
    _check_work(questions, contexts, parameters)

    def answer(answerer: Any) -> Any:
        _check_windows(answerer.tokenizer, questions, contexts, parameters)
        answers = answerer.many(questions, contexts, **parameters)
        return answers[0] if len(answers) == 1 else answers

    return answer


def _question_pairs(inputs: Any) -> tuple[list[str], list[str]]:
    """Return as many questions as contexts; one context serves every question."""
    if not isinstance(inputs, dict):
        raise ValueError(f"inputs must be a dict, but a `{type(inputs)}` was provided instead.")
    questions, contexts = _as_texts(inputs.get("question")), _as_texts(inputs.get("context"))
    if questions is None or contexts is None:
        raise ValueError(_QA_KEYS)
    if isinstance(inputs["context"], str):
        contexts = contexts * len(questions)
    if len(questions) != len(contexts):
        raise ValueError("Questions and contexts don't have the same lengths")
    if not questions:
        raise ValueError("`question` cannot be empty")
    return questions, contexts


def _as_texts(value: Any) -> list[str] | None:
    texts = [value] if isinstance(value, str) else value
    return texts if _is_texts(texts) else None


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _check_work(questions: list[str], contexts: list[str], parameters: dict[str, Any]) -> None:
    """Refuse what would keep the model busy for much more than a few seconds."""
    if len(questions) > PAIR_LIMIT:
        raise WireError(413, f"At most {PAIR_LIMIT} questions are accepted in one request.")
    length = sum(map(len, questions)) + sum(map(len, contexts))
    if length > CONTEXT_LIMIT:
        raise WireError(
            413,
            f"Question and context are too long: {length} characters, "
            f"at most {CONTEXT_LIMIT} are accepted.",
        )
    for name, most in (("top_k", 100), ("max_answer_len", 512), ("max_seq_len", 100_000)):
        value = parameters[name]
        if isinstance(value, int) and value > most:
            raise ValueError(f"{name} parameter should be <= {most} (got {value})")


def _check_windows(
    tokenizer: Any, questions: list[str], contexts: list[str], parameters: dict[str, Any]
) -> None:
    """Refuse contexts that are cut into too many windows."""
    numbers = {name: value for name, value in parameters.items() if isinstance(value, int)}
    if len(contexts) == 1 and len(contexts[0]) < _SURELY_FEW and not numbers:
        return
    size = min(tokenizer.model_max_length, numbers.get("max_seq_len", 384))
    stride = numbers.get("doc_stride", min(128, size // 2))
    longest_question = max(map(len, tokenizer(questions)["input_ids"]))
    room = max(1, size - min(longest_question, numbers.get("max_question_len", 64)) - 4)
    step = max(1, room - (stride if stride < room else room // 2))
    lengths = {text: len(tokenizer(text)["input_ids"]) for text in set(contexts)}
    windows = sum(1 + max(0, lengths[text] - room) // step for text in contexts)
    if windows > WINDOW_LIMIT:
        raise WireError(
            413,
            f"The context is too long: it fills {windows} windows of {size} tokens, at most "
            f"{WINDOW_LIMIT} are accepted.",
        )


# --- embeddings -------------------------------------------------------------------------------


def _prepare_feature_extraction(call: Call) -> Callable[[Any], Any]:
    texts = [call.inputs] if isinstance(call.inputs, str) else call.inputs
    if not _is_texts(texts):
        raise ValueError(
            "feature-extraction expects `inputs` to be either a `str` or a `List[str]`."
        )
    _check_texts(texts)
    options = call.options | call.parameters
    choices = {
        "normalize": _boolean(options, "normalize", True),
        "truncate": _boolean(options, "truncate", True),
        "prompt_name": options.get("prompt_name"),
        "truncation_direction": str(options.get("truncation_direction") or "right").lower(),
    }
    if not isinstance(choices["prompt_name"], str | None):
        raise ValueError("`prompt_name` must be a string.")
    if choices["truncation_direction"] not in ("left", "right"):
        raise ValueError("`truncation_direction` must be either `left` or `right`.")
    return lambda encoder: encoder.encode(texts, **choices).tolist()


def _prepare_sentence_similarity(call: Call) -> Callable[[Any], Any]:
    inputs = call.inputs
    if not isinstance(inputs, dict):
        raise ValueError(f"inputs must be a dict, but a `{type(inputs)}` was provided instead.")
    for name in ("source_sentence", "sentences"):
        if inputs.get(name) is None:
            raise WireError(400, {"error": [f"Field required: received `{name}` in `parameters`"]})
    source, sentences = inputs["source_sentence"], inputs["sentences"]
    if not isinstance(source, str) or not _is_texts(sentences):
        raise ValueError(
            "sentence-similarity expects `source_sentence` to be a `str` and `sentences` to be a "
            "`List[str]`."
        )
    _check_texts(sentences)

    def compare(encoder: TextEncoder) -> list[float]:
        vectors = encoder.encode([source, *sentences])
        return (vectors[1:] @ vectors[0]).tolist()

    return compare


def _check_texts(texts: list[str]) -> None:
    if not texts:
        raise ValueError("`inputs` cannot be empty")
    if len(texts) > TEXTS_LIMIT:
        raise WireError(413, f"batch size {len(texts)} > maximum allowed batch size {TEXTS_LIMIT}")


def _boolean(options: dict[str, Any], name: str, default: bool) -> bool:
    value = options.get(name)
    if not isinstance(value, bool | None):
        raise ValueError(f"{name} parameter should be a boolean (got {value!r})")
    return default if value is None else value


HANDLERS: dict[str, Handler] = {
    "question-answering": Handler(_load_answerer, _prepare_question_answering),
    "feature-extraction": Handler(TextEncoder.from_folder, _prepare_feature_extraction),
    "sentence-similarity": Handler(TextEncoder.from_folder, _prepare_sentence_similarity),
}
"""Every task answered at ``/hf-inference/models/{id}``. Chat has routes of its own."""


# --- the models in memory ---------------------------------------------------------------------


class Residents:
    """One worker for each model and way of loading it, made when first asked for."""

    def __init__(self, ensure: Callable[[str], Path]) -> None:
        """Keep the function that returns a repository's folder, building it if needed."""
        self._ensure = ensure
        self._workers: dict[tuple[str, Callable[[Path], Any]], ModelWorker] = {}

    def worker(
        self, repo_id: str, load: Callable[[Path], Any], limit: int = QUEUE_LIMIT
    ) -> ModelWorker:
        """Return the worker of a model; nothing is loaded until its first call."""
        key = (repo_id, load)
        if key not in self._workers:
            name = repo_id.split("/")[-1]
            self._workers[key] = ModelWorker(name, lambda: self._load(*key), limit)
        return self._workers[key]

    def loaded(self) -> list[str]:
        """Return the ids of the models in memory."""
        return sorted({repo_id for (repo_id, _), w in self._workers.items() if w.loaded})

    def close(self) -> None:
        """Drop the calls that wait."""
        for worker in self._workers.values():
            worker.close()

    def _load(self, repo_id: str, load: Callable[[Path], Any]) -> Any:
        warm_imports()
        with ONE_AT_A_TIME:
            return load(self._ensure(repo_id))


# --- the endpoint -----------------------------------------------------------------------------


async def infer(request: Request) -> Response:
    """Answer ``POST /hf-inference/models/{id}`` and ``.../pipeline/{task}``."""
    call_body, raw = await read_json(request)
    model_id = request.path_params["model_id"]
    handler = _handler(model_id, request.path_params.get("task"))
    call = _checked(call_body, raw)
    started = time.perf_counter()
    try:
        work = handler.prepare(call)
        worker = request.app.state.residents.worker(model_id, handler.load)
        answer = await worker.run(work)
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


def served_repository_tasks(model_id: str) -> tuple[str, ...]:
    """Return the tasks that a model is served for.

    Raises:
        WireError: 404, there is no such model.
    """
    repository = catalog().repositories.get(model_id)
    if repository is None:
        raise WireError(404, f"Model {model_id} does not exist")
    return SERVED_TASKS.get(repository.task, ())


def _handler(model_id: str, task: str | None) -> Handler:
    tasks = [task_ for task_ in served_repository_tasks(model_id) if task_ in HANDLERS]
    if not tasks or (task is not None and task not in tasks):
        raise WireError(400, NOT_SUPPORTED)
    return HANDLERS[task or tasks[0]]


def _checked(body: Any, raw: bytes) -> Call:
    if not isinstance(body, dict) or "inputs" not in body:
        shown = raw if len(raw) <= 1000 else raw[:1000] + b"..."
        raise WireError(400, f"Body needs to provide a inputs key, received: {shown!r}")
    parameters = body.get("parameters")
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, dict):
        found = type(parameters)
        raise WireError(400, f"parameters must be a dict, but a `{found}` was provided instead.")
    options = {key: body[key] for key in body if key not in ("inputs", "parameters")}
    return Call(body["inputs"], parameters, options)
