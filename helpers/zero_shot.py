"""Zero-shot classification by similarity: the label whose sentence is nearest to the text.

The models usually used for this were trained to say whether one sentence follows from another, and
read the text once for each label. Here an encoder turns the text and one sentence for each label
(``"Este texto é sobre esporte."``) into vectors, and the nearest sentence wins: a fast
approximation, good at subjects, poor at tone ("isto é irônico") and at negation.

The constants that turn cosines into scores were chosen on 30 sentences by
``benchmarks/zero_shot.py``, which judges them on 27 others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypedDict, overload

from helpers.embedded.encoder import TextEncoder
from helpers.errors import CourseError
from helpers.messages import text

if TYPE_CHECKING:
    import numpy.typing as npt

TEMPLATE = "Este texto é sobre {}."
TEXT_PROMPT, LABEL_PROMPT = "query: ", "passage: "
"""What goes before a text and before a label's sentence. The E5 models were trained with these two
words; this way round told the labels apart best."""
TEMPERATURE = 0.0033
"""By which cosines are divided before the softmax over the labels."""
THRESHOLD = 0.845
"""The cosine at which a label alone is as likely right as wrong."""
SCALE = 0.007
"""By which the distance from the threshold is divided before the logistic function."""


class Label(TypedDict):
    """A label and its score, between 0 and 1, as the API returns them."""

    label: str
    score: float


class ZeroShotClassifier:
    """Sorts texts into labels that no model was trained for, with any sentence encoder.

    The scores are calibrated for the E5 family (``curso/e5-pt-en`` and
    ``intfloat/multilingual-e5-small``); with another encoder the order of the labels still means
    something, the scores do not.

    Args:
        encoder_model: an ``AutoModel`` with ``last_hidden_state`` in its output.
        tokenizer: its fast tokenizer.
    """

    def __init__(self, encoder_model: Any, tokenizer: Any) -> None:
        self._encoder = TextEncoder(encoder_model, tokenizer, {})

    @classmethod
    def from_pretrained(cls, model_id: str, revision: str | None = None) -> ZeroShotClassifier:
        """Load an encoder and its tokenizer from the Hub or from a folder.

        Args:
            model_id: the Hub id, such as ``"curso/e5-pt-en"``, or a local folder.
            revision: branch, tag or commit; by default, the repository's main branch.

        Raises:
            CourseError: if there is no such model.
        """
        import torch
        from transformers import AutoModel, AutoTokenizer

        options: dict[str, Any] = {"revision": revision} if revision else {}
        try:
            tokenizer = AutoTokenizer.from_pretrained(model_id, **options)
            model = AutoModel.from_pretrained(
                model_id, dtype=torch.float32, add_pooling_layer=False, **options
            )
        except (OSError, ValueError) as error:
            raise CourseError(text("zero_shot.not_loaded", model=model_id)) from error
        return cls(model, tokenizer)

    @overload
    def __call__(
        self,
        texts: str,
        candidate_labels: Sequence[str],
        *,
        hypothesis_template: str = ...,
        multi_label: bool = ...,
    ) -> list[Label]: ...

    @overload
    def __call__(
        self,
        texts: list[str] | tuple[str, ...],
        candidate_labels: Sequence[str],
        *,
        hypothesis_template: str = ...,
        multi_label: bool = ...,
    ) -> list[list[Label]]: ...

    def __call__(
        self,
        texts: str | list[str] | tuple[str, ...],
        candidate_labels: Sequence[str],
        *,
        hypothesis_template: str = TEMPLATE,
        multi_label: bool = False,
    ) -> list[Label] | list[list[Label]]:
        """Score every label for a text.

        Args:
            texts: one text, or several.
            candidate_labels: the labels to choose from; at least one.
            hypothesis_template: the sentence that stands for a label, with ``{}`` in its place.
            multi_label: whether several labels may be right. If not, the scores sum to 1; if so,
                or with a single label, each says how likely that label is by itself.

        Returns:
            The labels with their scores, best first; for several texts, one such list each.

        Raises:
            CourseError: there is no text or no label, or the template has no ``{}``.
        """
        single = isinstance(texts, str)
        rows = [texts] if isinstance(texts, str) else list(texts)
        labels = _checked_labels(candidate_labels)
        if not rows or not all(isinstance(row, str) and row.strip() for row in rows):
            raise CourseError(text("zero_shot.no_text"))
        if not isinstance(hypothesis_template, str) or "{}" not in hypothesis_template:
            raise CourseError(text("zero_shot.no_place", template=hypothesis_template))
        rankings = rank(self._encoder, rows, labels, hypothesis_template, multi_label)
        return rankings[0] if single else rankings


def rank(
    encoder: TextEncoder,
    texts: Sequence[str],
    labels: Sequence[str],
    template: str = TEMPLATE,
    multi_label: bool = False,
) -> list[list[Label]]:
    """Do what :class:`ZeroShotClassifier` does, with an encoder and checked arguments.

    Returns:
        For each text, the labels with their scores, best first.
    """
    cosines = similarities(encoder, texts, labels, template)
    scores = each(cosines) if multi_label or len(labels) == 1 else one_of(cosines)
    return [
        [Label(label=labels[index], score=float(row[index])) for index in (-row).argsort()]
        for row in scores
    ]


def similarities(
    encoder: TextEncoder, texts: Sequence[str], labels: Sequence[str], template: str = TEMPLATE
) -> npt.NDArray[Any]:
    """Compare texts with the sentences that stand for the labels.

    Returns:
        Cosines of shape ``(texts, labels)``.
    """
    # Not str.format: a template from a client could reach into objects, or ask for a long padding.
    hypotheses = [LABEL_PROMPT + template.replace("{}", label) for label in labels]
    vectors = encoder.encode([TEXT_PROMPT + row for row in texts] + hypotheses)
    return vectors[: len(texts)] @ vectors[len(texts) :].T


def one_of(cosines: npt.NDArray[Any], temperature: float = TEMPERATURE) -> npt.NDArray[Any]:
    """Turn cosines into scores of which one is right: a softmax over the last axis."""
    import numpy as np

    exponents = (cosines - cosines.max(axis=-1, keepdims=True)).astype(np.float64) / temperature
    weights = np.exp(exponents)
    return weights / weights.sum(axis=-1, keepdims=True)


def each(
    cosines: npt.NDArray[Any], threshold: float = THRESHOLD, scale: float = SCALE
) -> npt.NDArray[Any]:
    """Turn each cosine into the score of that label by itself."""
    import numpy as np

    return 1 / (1 + np.exp((threshold - cosines.astype(np.float64)) / scale))


def _checked_labels(labels: Sequence[str]) -> list[str]:
    if isinstance(labels, str):  # would be taken for a list of letters
        labels = [label.strip() for label in labels.split(",")]
    checked = list(dict.fromkeys(labels))
    if not checked or not all(isinstance(label, str) and label.strip() for label in checked):
        raise CourseError(text("zero_shot.no_labels"))
    return checked
