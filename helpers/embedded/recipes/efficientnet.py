"""Convert the packaged EfficientNet-Lite0 checkpoint into a Hugging Face folder.

The checkpoint is a pickled dictionary of tensors. It is opened with ``weights_only=True``, which
builds tensors and nothing else: no code in the file can run. Its parameter names are those of the
package ``efficientnet_lite_pytorch``; they become the names of
:mod:`helpers.architectures.efficientnet_lite`, one to one, and no value changes.
"""

from __future__ import annotations

import json
import pickle
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.embedded.recipes.files import save_json

if TYPE_CHECKING:
    from torch import Tensor

VERSION = 1

CLASSES = 1000
LABELS_PT = "labels_pt.json"
MODEL = "efficientnet_lite"

# A block's `_bn0` belongs to the convolution that widens, `_bn1` to the one that filters each
# channel, `_bn2` to the one that narrows. Outside the blocks, `_bn0` is the stem's and `_bn1` the
# head's.
BLOCK_MODULES = {
    "_expand_conv": "expansion.convolution",
    "_bn0": "expansion.normalization",
    "_depthwise_conv": "depthwise.convolution",
    "_bn1": "depthwise.normalization",
    "_project_conv": "projection.convolution",
    "_bn2": "projection.normalization",
}
MODULES = {
    "_conv_stem": f"{MODEL}.stem.convolution",
    "_bn0": f"{MODEL}.stem.normalization",
    "_conv_head": f"{MODEL}.head.convolution",
    "_bn1": f"{MODEL}.head.normalization",
    "_fc": "classifier",
}
# Where the list of names repeats one or describes it, ImageNet's own word for the class.
OWN_WORDS = {282: "tiger cat", 744: "projectile", 836: "sunglass"}
NAME = re.compile(r"(?:_blocks\.(\d+)\.)?(\w+)\.(\w+)")

# As in training: the shorter side becomes 256 pixels and the middle 224 x 224 are kept. The class
# is a stock one, a plain "resize, crop, normalise", which works with and without torchvision.
PREPROCESSOR = {
    "image_processor_type": "BitImageProcessor",
    "do_convert_rgb": True,
    "do_resize": True,
    "size": {"shortest_edge": 256},
    "resample": 3,  # bicubic
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [127 / 255] * 3,
    "image_std": [128 / 255] * 3,
}


def read(checkpoint: Path) -> dict[str, Tensor]:
    """Read the checkpoint's tensors under the names of the course's own class.

    Args:
        checkpoint: Path of ``efficientnet-lite0-57934424.pth``.

    Returns:
        Parameter name to tensor, for ``EfficientNetLiteForImageClassification``.

    Raises:
        ValueError: The file is cut short, altered, or another model's.
    """
    import torch

    try:
        stored = torch.load(checkpoint, map_location="cpu", weights_only=True)
        return {_name(name): tensor.contiguous() for name, tensor in stored.items()}
    except (RuntimeError, EOFError, pickle.UnpicklingError, AttributeError, KeyError) as error:
        raise ValueError(f"{checkpoint.name} is cut short, altered or another model.") from error


def _name(name: str) -> str:
    """Translate one parameter's name; KeyError if it is not of this model."""
    match = NAME.fullmatch(name)
    if match is None:
        raise KeyError(name)
    block, module, kind = match.groups()
    if block is None:
        return f"{MODULES[module]}.{kind}"
    return f"{MODEL}.blocks.{block}.{BLOCK_MODULES[module]}.{kind}"


def labels(names: Path) -> list[str]:
    """Read the classes' names.

    Args:
        names: Path of ``imagenet1k_clean_names.json``, a list in the order of ImageNet's classes.

    Returns:
        The 1000 names in English, all different.

    Raises:
        ValueError: The file is not such a list.
    """
    found = json.loads(names.read_text(encoding="utf-8"))
    if not isinstance(found, list) or len(found) != CLASSES:
        raise ValueError(f"{names.name} is not a list of {CLASSES} names.")
    own = [OWN_WORDS.get(place, name) for place, name in enumerate(found)]
    if len(set(own)) != CLASSES:
        raise ValueError(f"{names.name} gives two classes the same name.")
    return own


def config(names: list[str]) -> dict[str, Any]:
    """Return the model's configuration, as plain JSON values."""
    return {
        "architectures": ["EfficientNetLiteForImageClassification"],
        "model_type": MODEL,
        "batch_norm_eps": 1e-3,
        "batch_norm_momentum": 0.01,
        "dropout": 0.2,
        "dtype": "float32",
        "head_channels": 1280,
        "id2label": {str(place): name for place, name in enumerate(names)},
        "image_size": 224,
        "label2id": {name: place for place, name in enumerate(names)},
        "num_channels": 3,
        "problem_type": "single_label_classification",
        "stages": [
            [1, 3, 1, 1, 16],
            [2, 3, 2, 6, 24],
            [2, 5, 2, 6, 40],
            [3, 3, 2, 6, 80],
            [3, 5, 1, 6, 112],
            [4, 5, 2, 6, 192],
            [1, 3, 1, 6, 320],
        ],
        "stem_channels": 32,
    }


def build(checkpoint: Path, names: Path, course: Path, target: Path) -> None:
    """Write the model as a Hugging Face folder.

    The folder loads with ``pipeline("image-classification")`` once
    ``helpers.architectures.register()`` was called.

    Args:
        checkpoint: Path of ``efficientnet-lite0-57934424.pth``.
        names: Path of ``imagenet1k_clean_names.json``.
        course: Folder of what the course wrote for this model, ``labels_pt.json``.
        target: Existing empty folder. It gets ``config.json``, ``model.safetensors`` (float32),
            ``preprocessor_config.json`` and ``labels_pt.json``, the Brazilian names of some of
            the classes.

    Raises:
        ValueError: A file is cut short, altered, or not the expected one.
    """
    from safetensors.torch import save_file

    weights = read(checkpoint)
    settings = config(labels(names))
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    save_json(settings, target / "config.json")
    save_json(PREPROCESSOR, target / "preprocessor_config.json")
    shutil.copyfile(course / LABELS_PT, target / LABELS_PT)
