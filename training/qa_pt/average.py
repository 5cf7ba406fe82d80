"""Average adapters that were trained one from the other, weight by weight.

The stages of one training end at different points of the same valley: their mean answers as well
as the best of them on each set, and no stage has to be chosen by the questions that measure it.

    python -m training.qa_pt.average STAGE1 STAGE2 STAGE3 --output ADAPTER
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"


def average(adapters: list[Path], output: Path) -> None:
    """Write the mean of some adapters.

    Args:
        adapters: Folders in the layout of ``peft``, all of the same shape.
        output: Folder to write; its card, if there is one, is left alone.

    Raises:
        ValueError: The adapters do not hold the same weights.
    """
    stages = [load_file(folder / WEIGHTS) for folder in adapters]
    if any(stage.keys() != stages[0].keys() for stage in stages):
        raise ValueError("The adapters do not hold the same weights.")
    mean = {
        name: torch.stack([stage[name].float() for stage in stages]).mean(dim=0).to(weight.dtype)
        for name, weight in stages[0].items()
    }
    output.mkdir(parents=True, exist_ok=True)
    save_file(mean, output / WEIGHTS, metadata={"format": "pt"})
    shutil.copyfile(adapters[0] / CONFIG, output / CONFIG)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Average adapters, weight by weight.")
    parser.add_argument("adapters", type=Path, nargs="+", help="folders of the adapters")
    parser.add_argument("--output", type=Path, required=True, help="folder of the mean")
    options = parser.parse_args()
    average(options.adapters, options.output)


if __name__ == "__main__":
    main()
