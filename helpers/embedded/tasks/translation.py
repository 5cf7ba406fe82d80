"""Translation, sentence by sentence, by a model for one pair of languages."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Hashable
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from helpers.embedded.tasks.base import (
    Call,
    Handler,
    boolean,
    check_texts,
    company,
    integer,
    is_texts,
    only_for_generation,
    together,
)
from helpers.embedded.wire import WireError

LENGTH_LIMIT = 5_000
"""Characters translated in one request: some sixty sentences, a few seconds' work."""
SENTENCES_LIMIT = 100
NEW_TOKENS = 256
"""Tokens of a translated sentence, at most."""

_GENERATION = ("generate_parameters", "generation_parameters", "generate_kwargs")
"""What the schema, the API and the library call the object with parameters of ``generate``."""
_GREEDY = {"num_beams": 1, "do_sample": False}
_FOR_SAMPLING = ("temperature", "top_k", "top_p", "repetition_penalty", "length_penalty")
_OWN = ("src_lang", "tgt_lang", "clean_up_tokenization_spaces", "truncation")
_TRUNCATIONS = ("only_first", "only_second", "longest_first", "do_not_truncate")
_LANGUAGES = {"pt": ("pt", "por"), "en": ("en", "eng")}
"""The codes of a language: ISO 639-1 and 639-3; a country or a script may follow."""


@dataclass(frozen=True)
class Model:
    """A translator and what it translates.

    Attributes:
        translator: The course's ``Translator``.
        source: Code of the language that it reads.
        target: Code of the language that it writes.
    """

    translator: Any
    source: str
    target: str


@dataclass(frozen=True)
class Texts:
    """A checked call."""

    texts: list[str]
    source: str | None
    target: str | None
    max_new_tokens: int
    clean_up: bool


def _load(folder: Path) -> Model:
    from helpers.translation import Translator

    source, target = folder.name.split("-")[-2:]  # traducao-pt-en
    return Model(Translator.from_pretrained(str(folder), device="cpu"), source, target)


def _prepare(call: Call) -> Texts:
    texts = [call.inputs] if isinstance(call.inputs, str) else call.inputs
    if not is_texts(texts):
        shown = reprlib.repr(call.inputs)
        raise ValueError(
            f" `args[0]`: {shown} have the wrong format. The should be either of type `str` or "
            "type `list`"
        )
    check_texts(texts)
    length = sum(map(len, texts))
    if length > LENGTH_LIMIT:
        raise WireError(
            413,
            f"The text is too long: {length} characters, at most {LENGTH_LIMIT} are accepted.",
        )
    parameters = _flat(call.parameters)
    only_for_generation(
        parameters, (*_OWN, *_GREEDY, *_FOR_SAMPLING, "max_new_tokens", "max_length")
    )
    _check_greedy(parameters)
    _check_truncation(parameters.get("truncation"))
    longest = integer(parameters, "max_length", NEW_TOKENS, highest=NEW_TOKENS)
    return Texts(
        texts,
        _language(parameters, "src_lang"),
        _language(parameters, "tgt_lang"),
        integer(parameters, "max_new_tokens", longest, highest=NEW_TOKENS),
        boolean(parameters, "clean_up_tokenization_spaces", False),
    )


def _flat(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters with those of ``generate`` among them, as the API flattens them."""
    flat = {name: value for name, value in parameters.items() if name not in _GENERATION}
    for name in _GENERATION:
        inner = parameters.get(name)
        if not isinstance(inner, dict | None):
            raise ValueError(f"{name} parameter should be a dict (got {reprlib.repr(inner)})")
        flat.update(inner or {})
    return flat


def _check_greedy(parameters: dict[str, Any]) -> None:
    """Refuse what ``generate`` knows and this server does not do, rather than ignore it."""
    for name in (*_GREEDY, *_FOR_SAMPLING):
        value = parameters.get(name)
        if value is not None and value is not _GREEDY.get(name):
            raise ValueError(
                f"{name} parameter is not supported here: translations are greedy, with one beam "
                f"and no sampling (got {reprlib.repr(value)})"
            )


def _check_truncation(value: Any) -> None:
    """Check a parameter that changes nothing: a text is cut into sentences, never cut off."""
    if value is not None and value not in (True, False, *_TRUNCATIONS):
        raise ValueError(
            f"{reprlib.repr(value)} is not a valid TruncationStrategy, please select one of "
            f"{list(_TRUNCATIONS)}"
        )


def _language(parameters: dict[str, Any], name: str) -> str | None:
    """Return the code of a language without country or script: ``pt-BR`` and ``por_Latn``."""
    value = parameters.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError(f"{name} parameter should be a string (got {reprlib.repr(value)})")
    return re.split("[-_]", value.lower())[0]


def _check_work(model: Model, job: Texts) -> None:
    _check_languages(model, job)
    count = sum(len(model.translator.sentences(text)) for text in job.texts)
    if count > SENTENCES_LIMIT:
        raise WireError(
            413,
            f"The text is too long: {count} sentences, at most {SENTENCES_LIMIT} are accepted.",
        )


def _check_languages(model: Model, job: Texts) -> None:
    for name, asked, spoken in (
        ("src_lang", job.source, model.source),
        ("tgt_lang", job.target, model.target),
    ):
        if asked is not None and asked not in _LANGUAGES.get(spoken, (spoken,)):
            raise ValueError(
                f"{name} parameter should be {spoken!r}: this model translates from "
                f"{model.source!r} to {model.target!r} (got {reprlib.repr(asked)})"
            )


def _translate(model: Model, jobs: list[Texts], _checked: list[None]) -> list[Any]:
    texts = [text for job in jobs for text in job.texts]
    translated = model.translator(texts, max_new_tokens=jobs[0].max_new_tokens) if texts else []
    ends = accumulate((len(job.texts) for job in jobs), initial=0)
    return [
        [{"translation_text": _cleaned(text, job)} for text in translated[start:end]]
        for job, (start, end) in zip(jobs, pairwise(ends), strict=True)
    ]


def _cleaned(text: str, job: Texts) -> str:
    """Take out the space before punctuation and contractions, if asked to."""
    return re.sub(r" ([.,!?;:]|n't\b|'(?:s|m|ve|re|ll|d)\b)", r"\1", text) if job.clean_up else text


def _batch_key(job: Texts) -> Hashable | None:
    return company(job.texts, job.max_new_tokens)


HANDLER = Handler(_load, _prepare, together(_check_work, _translate), _batch_key)
