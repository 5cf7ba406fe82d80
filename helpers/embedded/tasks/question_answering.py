"""Extractive question answering: the span of a context that answers a question."""

from __future__ import annotations

import reprlib
from collections.abc import Hashable
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from helpers.embedded.tasks.base import Call, Handler, company, is_texts, together
from helpers.embedded.wire import WireError

CONTEXT_LIMIT = 100_000
"""Characters of question and context accepted in one request."""
WINDOW_LIMIT = 48
"""Windows that one request may fill: some 35 000 characters of prose, a few seconds' work."""
_SURELY_FEW = 2_000
"""Characters that cannot fill too many windows, however they overlap by default."""
PAIR_LIMIT = 64
BATCH_SIZE = 16
"""Windows that go through the model together."""

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


@dataclass(frozen=True)
class Questions:
    """A checked call: as many questions as contexts, and how to answer them."""

    questions: list[str]
    contexts: list[str]
    parameters: dict[str, Any]


def _prepare(call: Call) -> Questions:
    questions, contexts = _question_pairs(call.inputs)
    parameters = {name: call.parameters.get(name) for name in _QA_PARAMETERS}
    for name in _QA_PARAMETERS:
        is_flag = name in ("handle_impossible_answer", "align_to_words")
        if not isinstance(parameters[name], bool | None if is_flag else int | None):
            kind = "a boolean" if is_flag else "an integer"
            shown = reprlib.repr(parameters[name])
            raise ValueError(f"{name} parameter should be {kind} (got {shown})")
    _check_work(questions, contexts, parameters)
    return Questions(questions, contexts, parameters)


def _read(answerer: Any, job: Questions) -> None:
    _check_windows(answerer.tokenizer, job.questions, job.contexts, job.parameters)


def _answer(answerer: Any, jobs: list[Questions], _checked: list[None]) -> list[Any]:
    answers = answerer.many(
        [question for job in jobs for question in job.questions],
        [context for job in jobs for context in job.contexts],
        batch_size=BATCH_SIZE,
        **jobs[0].parameters,
    )
    ends = accumulate((len(job.questions) for job in jobs), initial=0)
    groups = [answers[start:end] for start, end in pairwise(ends)]
    return [group[0] if len(group) == 1 else group for group in groups]


def _batch_key(job: Questions) -> Hashable | None:
    # repr, because True equals 1 and means something else.
    return company(job.questions + job.contexts, *map(repr, job.parameters.values()))


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
    for name, texts in (("question", questions), ("context", contexts)):
        if not all(map(str.strip, texts)):
            raise ValueError(f"`{name}` cannot be empty")
    return questions, contexts


def _as_texts(value: Any) -> list[str] | None:
    texts = [value] if isinstance(value, str) else value
    return texts if is_texts(texts) else None


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


HANDLER = Handler(_load_answerer, _prepare, together(_read, _answer), _batch_key)
