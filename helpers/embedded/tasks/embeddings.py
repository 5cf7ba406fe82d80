"""Embeddings of texts, and the similarity of one sentence to others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from helpers.embedded.encoder import TextEncoder
from helpers.embedded.tasks.base import Call, Handler, boolean, is_texts, one_by_one
from helpers.embedded.wire import WireError

TEXTS_LIMIT = 128
"""Texts embedded in one request."""


@dataclass(frozen=True)
class Texts:
    """A checked call: texts to embed, and how."""

    texts: list[str]
    choices: dict[str, Any]


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
        "normalize": boolean(options, "normalize", True),
        "truncate": boolean(options, "truncate", True),
        "prompt_name": options.get("prompt_name"),
        "truncation_direction": str(options.get("truncation_direction") or "right").lower(),
    }
    if not isinstance(choices["prompt_name"], str | None):
        raise ValueError("`prompt_name` must be a string.")
    if choices["truncation_direction"] not in ("left", "right"):
        raise ValueError("`truncation_direction` must be either `left` or `right`.")
    return Texts(texts, choices)


def _embed(encoder: TextEncoder, job: Texts) -> list[list[float]]:
    return encoder.encode(job.texts, **job.choices).tolist()


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
    return Comparison(source, sentences)


def _compare(encoder: TextEncoder, job: Comparison) -> list[float]:
    vectors = encoder.encode([job.source, *job.sentences])
    return (vectors[1:] @ vectors[0]).tolist()


def _check_texts(texts: list[str]) -> None:
    if not texts:
        raise ValueError("`inputs` cannot be empty")
    if len(texts) > TEXTS_LIMIT:
        raise WireError(413, f"batch size {len(texts)} > maximum allowed batch size {TEXTS_LIMIT}")


FEATURE_EXTRACTION = Handler(
    TextEncoder.from_folder, _prepare_feature_extraction, one_by_one(_embed)
)
SENTENCE_SIMILARITY = Handler(
    TextEncoder.from_folder, _prepare_sentence_similarity, one_by_one(_compare)
)
