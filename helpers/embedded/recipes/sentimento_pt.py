"""Merge the course's sentiment adapter into the e5 encoder.

The adapter (``helpers/embedded/adapters/sentimento-pt``, trained by ``training/sentimento_pt``) is
a LoRA and a classification head, of about two megabytes. The merged model is an ordinary
``BertForSequenceClassification`` that needs no ``peft``.
"""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import BertForSequenceClassification

VERSION = 1

ADAPTER = Path(__file__).parent.parent / "adapters" / "sentimento-pt"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
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
    from safetensors.torch import save_file

    model = merge(encoder, ADAPTER)
    save_file(model.state_dict(), target / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((encoder / "config.json").read_text(encoding="utf-8"))
    config |= _head_config()
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    (target / "config.json").write_text(text, encoding="utf-8")
    for name in TOKENIZER_FILES:
        shutil.copyfile(encoder / name, target / name)
    shutil.copyfile(ADAPTER / "README.md", target / "README.md")


def _head_config() -> dict[str, object]:
    return {
        "architectures": ["BertForSequenceClassification"],
        "id2label": {str(index): name for index, name in enumerate(LABELS)},
        "label2id": _ids(),
        "problem_type": "single_label_classification",
    }


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
    from peft import PeftModel

    model = base(encoder)
    with warnings.catch_warnings():
        # peft still asks transformers by a name that transformers renamed.
        warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
        return PeftModel.from_pretrained(model, adapter).merge_and_unload().eval()


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
