"""Merge the course's question-answering adapter into the e5 encoder.

The adapter (``helpers/embedded/adapters/qa-pt``, trained by ``training/qa_pt``) is a LoRA of a few
megabytes. The merged model is an ordinary ``BertForQuestionAnswering`` that needs no ``peft``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from helpers.embedded.recipes import adapters

if TYPE_CHECKING:
    from transformers import BertForQuestionAnswering

VERSION = 1

ADAPTER = Path(__file__).parent.parent / "adapters" / "qa-pt"


def build(encoder: Path, target: Path) -> None:
    """Write the model as a Hugging Face folder.

    The folder loads with ``AutoModelForQuestionAnswering`` and ``AutoTokenizer``.

    Args:
        encoder: Folder of ``curso/e5-pt-en``, as the recipe ``e5`` builds it.
        target: Existing empty folder. It gets ``config.json``, ``model.safetensors`` (float32),
            the tokenizer's files and the model card as ``README.md``.
    """
    settings = {"architectures": ["BertForQuestionAnswering"]}
    adapters.write(merge(encoder, ADAPTER), encoder, ADAPTER, settings, target)


def merge(encoder: Path, adapter: Path) -> BertForQuestionAnswering:
    """Return the encoder with an adapter merged into its weights.

    Args:
        encoder: Folder of ``curso/e5-pt-en``.
        adapter: Folder of the adapter, in the form of the ``peft`` library.

    Returns:
        The float32 model on the CPU, in evaluation mode.

    Raises:
        RuntimeError: The encoder's weights do not fit its configuration.
    """
    from safetensors.torch import load_file
    from transformers import AutoConfig, BertForQuestionAnswering

    model = BertForQuestionAnswering(AutoConfig.from_pretrained(encoder))
    weights = load_file(encoder / "model.safetensors")
    model.bert.load_state_dict(weights, strict=True)
    merged: BertForQuestionAnswering = adapters.merge(model, adapter)
    return merged
