"""Merge the course's sentiment adapter into the e5 encoder.

The adapter (``helpers/embedded/adapters/sentimento-pt``, trained by ``training/sentimento_pt``) is
a LoRA and a classification head, of about two megabytes. The merged model is an ordinary
``BertForSequenceClassification`` that needs no ``peft``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.embedded.recipes import adapters

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import BertForSequenceClassification

VERSION = 1

ADAPTER = Path(__file__).parent.parent / "adapters" / "sentimento-pt"
LABELS = ("negativo", "neutro", "positivo")


def build(encoder: Path, target: Path) -> None:
    """Write the model as a Hugging Face folder.

    The folder loads with ``AutoModelForSequenceClassification`` and ``AutoTokenizer``, and so with
    ``pipeline("text-classification")``.

    Args:
        encoder: Folder of ``curso/e5-pt-en``, as the recipe ``e5`` builds it.
        target: Existing empty folder. It gets ``config.json``, ``model.safetensors`` (float32),
            the tokenizer's files and the model card as ``README.md``.
    """
    settings = {
        "architectures": ["BertForSequenceClassification"],
        "id2label": {str(index): name for index, name in enumerate(LABELS)},
        "label2id": _ids(),
        "problem_type": "single_label_classification",
    }
    adapters.write(merge(encoder, ADAPTER), encoder, ADAPTER, settings, target)


def merge(encoder: Path, adapter: Path) -> BertForSequenceClassification:
    """Return the encoder with an adapter merged into its weights and the adapter's head on top.

    Args:
        encoder: Folder of ``curso/e5-pt-en``.
        adapter: Folder of the adapter, in the form of the ``peft`` library.

    Returns:
        The float32 model on the CPU, in evaluation mode.

    Raises:
        RuntimeError: The encoder's weights do not fit its configuration.
    """
    merged: BertForSequenceClassification = adapters.merge(base(encoder), adapter)
    return merged


def base(encoder: Path, **options: Any) -> BertForSequenceClassification:
    """Return the encoder with the course's three classes and a head that knows nothing yet.

    Args:
        encoder: Folder of ``curso/e5-pt-en``.
        **options: Further settings of the model's configuration.

    Raises:
        RuntimeError: The encoder's weights do not fit its configuration.
    """
    from safetensors.torch import load_file
    from transformers import AutoConfig, BertForSequenceClassification

    labels = {"id2label": dict(enumerate(LABELS)), "label2id": _ids()}
    model = BertForSequenceClassification(AutoConfig.from_pretrained(encoder, **labels, **options))
    weights = load_file(encoder / "model.safetensors")
    # e5 has no pooling layer: the adapter brings one, as it brings the classifier.
    model.bert.embeddings.load_state_dict(_part(weights, "embeddings."), strict=True)
    model.bert.encoder.load_state_dict(_part(weights, "encoder."), strict=True)
    return model


def _ids() -> dict[str, int]:
    return {name: index for index, name in enumerate(LABELS)}


def _part(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the weights whose names start with the prefix, under the rest of their names."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in weights.items()
        if name.startswith(prefix)
    }
