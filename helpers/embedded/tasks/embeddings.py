"""Embeddings of texts, and the similarity of one sentence to others."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from helpers.embedded.encoder import TextEncoder
from helpers.embedded.tasks.base import (
    Call,
    Handler,
    boolean,
    check_texts,
    check_tokens,
    company,
    is_texts,
    together,
)
from helpers.embedded.wire import WireError


@dataclass(frozen=True)
class Texts:
    """A checked call: texts to embed, and how."""

    texts: list[str]
    choices: dict[str, Any]
    normalize: bool


@dataclass(frozen=True)
class Comparison:
    """A checked call: a sentence and those it is compared with."""

    source: str
    sentences: list[str]


def _prepare_feature_extraction(call: Call) -> Texts:
    texts = [call.inputs] if isinstance(call.inputs, str) else call.inputs
    if not is_texts(texts):
        raise ValueError(
            "feature-extraction expects `inputs` to be either a `str` or a `List[str]`."
        )
    _check_texts(texts)
    options = call.options | call.parameters
    choices = {
        "truncate": boolean(options, "truncate", True),
        "prompt_name": options.get("prompt_name"),
        "truncation_direction": str(options.get("truncation_direction") or "right").lower(),
    }
    if not isinstance(choices["prompt_name"], str | None):
        raise ValueError("`prompt_name` must be a string.")
    if choices["truncation_direction"] not in ("left", "right"):
        raise ValueError("`truncation_direction` must be either `left` or `right`.")
    return Texts(texts, choices, boolean(options, "normalize", True))


def _read_texts(encoder: TextEncoder, job: Texts) -> list[list[int]]:
    rows = encoder.rows(job.texts, **job.choices)
    check_tokens(rows)
    return rows


def _embed(encoder: TextEncoder, jobs: list[Texts], rows: list[list[list[int]]]) -> list[Any]:
    groups = _grouped_vectors(encoder, rows, normalize=jobs[0].normalize)
    return [vectors.tolist() for vectors in groups]


def _grouped_vectors(
    encoder: TextEncoder, groups: list[list[list[int]]], *, normalize: bool
) -> list[Any]:
    """Embed the rows of several jobs at once; returns each job's vectors."""
    vectors = encoder.vectors([row for rows in groups for row in rows], normalize=normalize)
    ends = accumulate(map(len, groups), initial=0)
    return [vectors[start:end] for start, end in pairwise(ends)]


def _texts_key(job: Texts) -> Hashable | None:
    return company(job.texts, job.normalize)


def _prepare_sentence_similarity(call: Call) -> Comparison:
    inputs = call.inputs
    if not isinstance(inputs, dict):
        raise ValueError(f"inputs must be a dict, but a `{type(inputs)}` was provided instead.")
    for name in ("source_sentence", "sentences"):
        if inputs.get(name) is None:
            raise WireError(400, {"error": [f"Field required: received `{name}` in `parameters`"]})
    source, sentences = inputs["source_sentence"], inputs["sentences"]
    if not isinstance(source, str) or not is_texts(sentences):
        raise ValueError(
            "sentence-similarity expects `source_sentence` to be a `str` and `sentences` to be a "
            "`List[str]`."
        )
    _check_texts(sentences)
    check_texts([source])
    return Comparison(source, sentences)


def _read_comparison(encoder: TextEncoder, job: Comparison) -> list[list[int]]:
    rows = encoder.rows([job.source, *job.sentences])
    check_tokens(rows)
    return rows


def _compare(
    encoder: TextEncoder, _jobs: list[Comparison], rows: list[list[list[int]]]
) -> list[Any]:
    groups = _grouped_vectors(encoder, rows, normalize=True)
    return [(vectors[1:] @ vectors[0]).tolist() for vectors in groups]


def _comparison_key(job: Comparison) -> Hashable | None:
    return company([job.source, *job.sentences])


def _check_texts(texts: list[str]) -> None:
    if not texts:
        raise ValueError("`inputs` cannot be empty")
    check_texts(texts)


FEATURE_EXTRACTION = Handler(
    TextEncoder.from_folder, _prepare_feature_extraction, together(_read_texts, _embed), _texts_key
)
SENTENCE_SIMILARITY = Handler(
    TextEncoder.from_folder,
    _prepare_sentence_similarity,
    together(_read_comparison, _compare),
    _comparison_key,
)
