"""Text classification: how likely each of a model's labels is for a text."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from helpers.embedded.tasks.base import (
    Call,
    Handler,
    activation,
    check_texts,
    check_tokens,
    company,
    integer,
    is_texts,
    stock_pipeline,
    together,
)

DEFAULT_TOP_K = 5
"""Labels returned for a single text, as the API does; for a list of texts it is one."""
BATCH_SIZE = 16


@dataclass(frozen=True)
class Texts:
    """A checked call.

    Attributes:
        texts: What to classify.
        top_k: How many labels to return for each, best first; None for all.
        function: What turns the model's outputs into scores; None for what the model asks for.
    """

    texts: list[str]
    top_k: int | None
    function: str | None


def _prepare(call: Call) -> Texts:
    texts = [call.inputs] if isinstance(call.inputs, str) else call.inputs
    if not is_texts(texts):
        raise ValueError(
            "text-classification expects `inputs` to be either a `str` or a `List[str]`."
        )
    check_texts(texts)
    default = DEFAULT_TOP_K if isinstance(call.inputs, str) else 1
    asks_for_all = "top_k" in call.parameters and call.parameters["top_k"] is None
    top_k = None if asks_for_all else integer(call.parameters, "top_k", default)
    return Texts(texts, top_k, activation(call.parameters))


def _read(classifier: Any, job: Texts) -> list[str]:
    if job.texts:
        check_tokens(classifier.tokenizer(job.texts, truncation=True)["input_ids"])
    return job.texts


def _classify(classifier: Any, jobs: list[Texts], texts: list[list[str]]) -> list[Any]:
    # Texts of similar length together: less padding, less work.
    different = sorted({text for group in texts for text in group}, key=len)
    if not different:  # the pipeline fails on an empty list
        return [[] for _ in jobs]
    answers = classifier(
        different,
        top_k=None,
        function_to_apply=jobs[0].function,
        truncation=True,
        batch_size=BATCH_SIZE,
    )
    rankings = dict(zip(different, answers, strict=True))
    return [
        [rankings[text][: job.top_k] for text in group]
        for job, group in zip(jobs, texts, strict=True)
    ]


def _batch_key(job: Texts) -> Hashable | None:
    return company(job.texts, job.function)


HANDLER = Handler(
    stock_pipeline("text-classification"), _prepare, together(_read, _classify), _batch_key
)
