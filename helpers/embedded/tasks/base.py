"""What every task of the inference API has: a call to check, a batch of jobs to answer."""

from __future__ import annotations

import base64
import binascii
import reprlib
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.embedded.wire import WireError

TEXTS_LIMIT = 128
"""Texts accepted in one request."""
CHARACTERS_LIMIT = 200_000
"""Characters accepted in one request, most of which may be cut off by the model's own limit."""
TOKENS_LIMIT = 8_192
"""Tokens that one request may put through a small encoder: a few seconds' work."""
COMPANY_LIMIT = 4_000
"""Characters of a job that may share a batch. A longer one would only make the others wait."""


@dataclass(frozen=True)
class Call:
    """One inference request, checked as far as every task shares it.

    Attributes:
        inputs: The value under ``inputs``; the whole body when it is not JSON.
        parameters: The object under ``parameters``.
        options: The other keys at the top of the body; some tasks take their parameters there.
        content_type: The body's media type when it is not JSON, such as ``audio/flac``.
    """

    inputs: Any
    parameters: dict[str, Any]
    options: dict[str, Any]
    content_type: str | None = None


@dataclass(frozen=True)
class Handler:
    """How a task is served.

    Attributes:
        load: Makes the model from a repository's folder; models loaded alike are shared by tasks.
        prepare: Checks a call and returns a job: all that the answer depends on. Raises
            :class:`~helpers.embedded.wire.WireError`, or ValueError for what is answered 400.
        answer: Given the model and the jobs of one batch, returns their answers in order. An
            exception in the place of an answer is that job's alone.
        batch_key: Jobs with the same key may share a batch; a job whose key is None, and every job
            of a task without this function, is answered alone.
        accepts: Beginnings of the media types that the task takes besides JSON.
    """

    load: Callable[[Path], Any]
    prepare: Callable[[Call], Any]
    answer: Callable[[Any, list[Any]], list[Any]]
    batch_key: Callable[[Any], Hashable | None] | None = None
    accepts: tuple[str, ...] = ()


def is_texts(value: Any) -> bool:
    """Whether a value is a list of strings."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def boolean(options: dict[str, Any], name: str, default: bool) -> bool:
    """Return an optional true or false.

    Raises:
        ValueError: It is something else.
    """
    value = options.get(name)
    if not isinstance(value, bool | None):
        raise ValueError(f"{name} parameter should be a boolean (got {reprlib.repr(value)})")
    return default if value is None else value


def integer(
    options: dict[str, Any], name: str, default: int, lowest: int = 1, highest: int | None = None
) -> int:
    """Return an optional whole number between two bounds, both included.

    Raises:
        ValueError: It is something else.
    """
    value = options.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} parameter should be an integer (got {reprlib.repr(value)})")
    if value < lowest:
        raise ValueError(f"{name} parameter should be >= {lowest} (got {reprlib.repr(value)})")
    if highest is not None and value > highest:
        raise ValueError(f"{name} parameter should be <= {highest} (got {reprlib.repr(value)})")
    return value


def activation(options: dict[str, Any]) -> str | None:
    """Return the name of the function that turns a classifier's outputs into scores.

    Returns:
        ``"sigmoid"``, ``"softmax"`` or ``"none"``; None for the one that the model asks for.

    Raises:
        ValueError: It is something else.
    """
    value = options.get("function_to_apply")
    if value is None:
        return None
    if not isinstance(value, str) or value.lower() not in ("sigmoid", "softmax", "none"):
        raise ValueError(f"{reprlib.repr(value)} is not a valid ClassificationFunction")
    return value.lower()


def only(options: dict[str, Any], known: Iterable[str], pipeline: str) -> None:
    """Refuse, in Python's words, parameters that a pipeline does not know.

    Raises:
        ValueError: There is one.
    """
    unknown = [name for name in options if name not in set(known)]
    if unknown:
        raise ValueError(
            f"{pipeline}._sanitize_parameters() got an unexpected keyword argument "
            f"{reprlib.repr(unknown[0])}"
        )


def only_for_generation(options: dict[str, Any], known: Iterable[str]) -> None:
    """Refuse, in the words of ``generate``, parameters that it does not know.

    Raises:
        ValueError: There are some.
    """
    unknown = [name for name in options if name not in set(known)]
    if unknown:
        raise ValueError(
            f"The following `model_kwargs` are not used by the model: {reprlib.repr(unknown)} "
            "(note: typos in the generate arguments will also show up in this list)"
        )


def check_texts(texts: list[str]) -> None:
    """Refuse too many texts, or too long ones.

    Raises:
        WireError: 413.
    """
    if len(texts) > TEXTS_LIMIT:
        raise WireError(413, f"batch size {len(texts)} > maximum allowed batch size {TEXTS_LIMIT}")
    length = sum(map(len, texts))
    if length > CHARACTERS_LIMIT:
        raise WireError(
            413,
            f"The request is too long: {length} characters, at most {CHARACTERS_LIMIT} are "
            "accepted.",
        )


def check_tokens(rows: Iterable[list[int]]) -> None:
    """Refuse what would keep an encoder busy for much more than a few seconds.

    Raises:
        WireError: 413.
    """
    count = sum(map(len, rows))
    if count > TOKENS_LIMIT:
        raise WireError(
            413, f"The request is too long: {count} tokens, at most {TOKENS_LIMIT} are accepted."
        )


def company(texts: Iterable[str], *key: Hashable) -> Hashable | None:
    """Return a batch key that short jobs share, or None for a long one."""
    return key if sum(map(len, texts)) <= COMPANY_LIMIT else None


def media_bytes(call: Call, task: str, malformed: str) -> bytes:
    """Return the bytes of a picture or a recording, from a binary body or base64 in JSON.

    Args:
        call: The call.
        task: Its name, for the message.
        malformed: What to answer when the input is no string.

    Raises:
        ValueError: There are no bytes. A path or an address is never opened.
    """
    if call.content_type is not None:
        return call.inputs
    if not isinstance(call.inputs, str):
        raise ValueError(malformed)
    try:
        return base64.b64decode(call.inputs, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(
            f"{media_sentence(task)} The provided string could not be decoded as base64 ({error})."
        ) from error


def media_sentence(task: str) -> str:
    """Return the API's sentence about what the input of a task with media must be."""
    return (
        f"'inputs' for task '{task}' must be the media content itself: either raw bytes sent with "
        "a matching audio/* or image/* Content-Type, or a base64-encoded string in a JSON body."
    )


def stock_pipeline(task: str) -> Callable[[Path], Any]:
    """Return a function that loads a repository's folder with the pipeline of transformers."""

    def load(folder: Path) -> Any:
        import torch
        from transformers import pipeline

        from helpers import architectures

        architectures.register()
        return pipeline(
            task, model=str(folder), device="cpu", dtype=torch.float32, trust_remote_code=False
        )

    return load


def one_by_one(answer: Callable[[Any, Any], Any]) -> Callable[[Any, list[Any]], list[Any]]:
    """Turn a function that answers one job into one that answers a batch, each by itself."""

    def answer_each(model: Any, jobs: list[Any]) -> list[Any]:
        return [outcome(answer, model, job) for job in jobs]

    return answer_each


def together(
    read: Callable[[Any, Any], Any], answer: Callable[[Any, list[Any], list[Any]], list[Any]]
) -> Callable[[Any, list[Any]], list[Any]]:
    """Turn a reader and a function for many into one whose errors are each a job's own.

    Args:
        read: Given the model and a job, returns what the model reads, such as tokens; raises for
            what this job cannot have.
        answer: Given the model, the jobs and what was read of each, returns their answers.

    Returns:
        A function for :attr:`Handler.answer`.
    """

    def answer_all(model: Any, jobs: list[Any]) -> list[Any]:
        outcomes = [outcome(read, model, job) for job in jobs]
        good = [index for index, read_ in enumerate(outcomes) if not isinstance(read_, Exception)]
        if good:
            answers = answer(model, [jobs[i] for i in good], [outcomes[i] for i in good])
            for index, answered in zip(good, answers, strict=True):
                outcomes[index] = answered
        return outcomes

    return answer_all


def outcome(function: Callable[[Any, Any], Any], model: Any, job: Any) -> Any:
    """Return what a function gives for a job, or the exception that it raises."""
    try:
        return function(model, job)
    except Exception as error:
        return error
