"""Zero-shot classification, by the similarity of sentence embeddings."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import Any

from helpers.embedded.encoder import TextEncoder
from helpers.embedded.tasks.base import (
    Call,
    Handler,
    boolean,
    check_texts,
    check_tokens,
    is_texts,
    one_by_one,
)
from helpers.embedded.wire import WireError
from helpers.zero_shot import TEMPLATE, rank

LABELS_LIMIT = 100
SENTENCE_LIMIT = 500
"""Characters of a label, and of the template."""

_KEYS = (
    "zero-shot-classification expects `inputs` to be either a string or a dict containing the key "
    "`text` or `sequences`, and `parameters` to be a dict containing either `candidate_labels` or "
    "`candidateLabels`."
)
_NOTHING = "You must include at least one label and at least one sequence."


@dataclass(frozen=True)
class Choice:
    """A checked call.

    Attributes:
        texts: What to sort.
        labels: What to choose from.
        template: The sentence that stands for a label.
        multi_label: Whether several labels may be right.
        is_list: Whether the texts came in a list, which changes the answer's form.
    """

    texts: list[str]
    labels: list[str]
    template: str
    multi_label: bool
    is_list: bool


def _prepare(call: Call) -> Choice:
    sequences = _sequences(call.inputs)
    labels = call.parameters.get("candidateLabels", call.parameters.get("candidate_labels"))
    if sequences is None or labels is None:
        raise ValueError(_KEYS)
    texts = [sequences] if isinstance(sequences, str) else sequences
    labels = _split(labels) if isinstance(labels, str) else labels
    if not is_texts(texts) or not is_texts(labels):
        raise ValueError(_KEYS)
    if not all([*texts, *labels]) or not texts or not labels:
        raise ValueError(_NOTHING)
    check_texts(texts)
    return Choice(
        texts,
        _checked_labels(labels),
        _template(call.parameters),
        boolean(call.parameters, "multi_label", False),
        isinstance(sequences, list),
    )


def _sequences(inputs: Any) -> Any:
    if isinstance(inputs, dict):
        return inputs.get("text", inputs.get("sequences"))
    return inputs


def _split(labels: str) -> list[str]:
    return [label.strip() for label in labels.split(",") if label.strip()]


def _checked_labels(labels: list[str]) -> list[str]:
    if len(labels) > LABELS_LIMIT:
        raise WireError(
            413, f"{len(labels)} candidate labels were given, at most {LABELS_LIMIT} are accepted."
        )
    if max(map(len, labels)) > SENTENCE_LIMIT:
        raise WireError(
            413, f"A candidate label is too long: at most {SENTENCE_LIMIT} characters are accepted."
        )
    return labels


def _template(parameters: dict[str, Any]) -> str:
    template = parameters.get("hypothesis_template")
    if template is None:
        return TEMPLATE
    if not isinstance(template, str) or "{}" not in template:
        raise ValueError(
            f'The provided hypothesis_template "{_shown(template)}" was not able to be formatted '
            "with the target labels. Make sure the passed template includes formatting syntax such "
            "as {} where the label should go."
        )
    if len(template) > SENTENCE_LIMIT or template.count("{}") > 5:
        raise WireError(
            413,
            f"hypothesis_template is too long: at most {SENTENCE_LIMIT} characters and five places "
            "for the label are accepted.",
        )
    return template


def _shown(template: Any) -> str:
    return template[:SENTENCE_LIMIT] if isinstance(template, str) else reprlib.repr(template)


def _choose(encoder: TextEncoder, job: Choice) -> list[Any]:
    check_tokens(encoder.rows(job.texts + [job.template.replace("{}", one) for one in job.labels]))
    rankings = rank(encoder, job.texts, job.labels, job.template, job.multi_label)
    if not job.is_list:
        return rankings[0]
    # The API leaves several texts in the pipeline's own form.
    return [
        {
            "sequence": text,
            "labels": [entry["label"] for entry in ranking],
            "scores": [entry["score"] for entry in ranking],
        }
        for text, ranking in zip(job.texts, rankings, strict=True)
    ]


HANDLER = Handler(TextEncoder.from_folder, _prepare, one_by_one(_choose))
