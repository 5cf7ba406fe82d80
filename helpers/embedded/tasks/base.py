"""What every task of the inference API has: a call to check, a batch of jobs to answer."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


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
        batch_key: Jobs with the same key may share a batch; without it each is answered alone.
        accepts: Beginnings of the media types that the task takes besides JSON.
    """

    load: Callable[[Path], Any]
    prepare: Callable[[Call], Any]
    answer: Callable[[Any, list[Any]], list[Any]]
    batch_key: Callable[[Any], Hashable] | None = None
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
        raise ValueError(f"{name} parameter should be a boolean (got {value!r})")
    return default if value is None else value


def one_by_one(answer: Callable[[Any, Any], Any]) -> Callable[[Any, list[Any]], list[Any]]:
    """Turn a function that answers one job into one that answers a batch, each by itself."""

    def answer_each(model: Any, jobs: list[Any]) -> list[Any]:
        return [_outcome(answer, model, job) for job in jobs]

    return answer_each


def _outcome(answer: Callable[[Any, Any], Any], model: Any, job: Any) -> Any:
    try:
        return answer(model, job)
    except Exception as error:
        return error
