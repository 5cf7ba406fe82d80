"""Merge the course's question-answering adapter into the e5 encoder.

The adapter (``helpers/embedded/adapters/qa-pt``, trained by ``training/qa_pt``) is a LoRA of a few
megabytes. The merged model is an ordinary ``BertForQuestionAnswering`` that needs no ``peft``.
"""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import BertForQuestionAnswering

VERSION = 1

ADAPTER = Path(__file__).parent.parent / "adapters" / "qa-pt"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def build(encoder: Path, target: Path) -> None:
    """Write the model as a Hugging Face folder.

    The folder loads with ``AutoModelForQuestionAnswering`` and ``AutoTokenizer``.

    Args:
        encoder: Folder of ``curso/e5-pt-en``, as the recipe ``e5`` builds it.
        target: Existing empty folder. It gets ``config.json``, ``model.safetensors`` (float32),
            the tokenizer's files and the model card as ``README.md``.
    """
    from safetensors.torch import save_file

    model = merge(encoder, ADAPTER)
    save_file(model.state_dict(), target / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((encoder / "config.json").read_text(encoding="utf-8"))
    config["architectures"] = ["BertForQuestionAnswering"]
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    (target / "config.json").write_text(text, encoding="utf-8")
    for name in TOKENIZER_FILES:
        shutil.copyfile(encoder / name, target / name)
    shutil.copyfile(ADAPTER / "README.md", target / "README.md")


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
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import AutoConfig, BertForQuestionAnswering

    model = BertForQuestionAnswering(AutoConfig.from_pretrained(encoder))
    weights = load_file(encoder / "model.safetensors")
    model.bert.load_state_dict(weights, strict=True)
    with warnings.catch_warnings():
        # peft still asks transformers by a name that transformers renamed.
        warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
        return PeftModel.from_pretrained(model, adapter).merge_and_unload().eval()
