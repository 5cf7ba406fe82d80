"""What the recipes share that merge one of the course's LoRA adapters into the e5 encoder."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.embedded.recipes.files import save_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def merge(model: PreTrainedModel, adapter: Path) -> Any:
    """Return the model with an adapter merged into its weights.

    Args:
        model: The encoder with the head that the adapter was trained with; changed in place.
        adapter: Folder of the adapter, in the form of the ``peft`` library.

    Returns:
        The same kind of model, in evaluation mode.
    """
    from peft import PeftModel

    with warnings.catch_warnings():
        # peft still asks transformers by a name that transformers renamed.
        warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
        return PeftModel.from_pretrained(model, adapter).merge_and_unload().eval()


def write(
    model: PreTrainedModel,
    encoder: Path,
    adapter: Path,
    settings: Mapping[str, object],
    target: Path,
) -> None:
    """Write a merged model as a Hugging Face folder.

    Args:
        model: What :func:`merge` returned.
        encoder: Folder of ``curso/e5-pt-en``: its configuration and tokenizer serve here too.
        adapter: Folder of the adapter, which holds the card.
        settings: What the model's configuration says otherwise than the encoder's, or besides.
        target: Existing empty folder. It gets ``config.json``, ``model.safetensors``, the
            tokenizer's files and the model card as ``README.md``.
    """
    from safetensors.torch import save_file

    save_file(model.state_dict(), target / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((encoder / "config.json").read_text(encoding="utf-8"))
    save_json({**config, **settings}, target / "config.json")
    for name in TOKENIZER_FILES:
        shutil.copyfile(encoder / name, target / name)
    shutil.copyfile(adapter / "README.md", target / "README.md")
