"""Put the course's detector of drawings together: EfficientNet-Lite0's stages and its own head.

The head (``helpers/embedded/adapters/detector-de-figuras``, trained by ``training/detector``) is
half a megabyte. The stages come, unchanged, from ``curso/efficientnet-lite0``.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from helpers.embedded.recipes.files import save_json

VERSION = 1

ADAPTER = Path(__file__).parent.parent / "adapters" / "detector-de-figuras"
STAGES = ("efficientnet_lite.stem.", "efficientnet_lite.blocks.")
CONFIG_FILE = "adapter_config.json"


def build(classifier: Path, target: Path) -> None:
    """Write the detector as a Hugging Face folder.

    The folder loads with ``pipeline("object-detection")`` once
    ``helpers.architectures.register()`` was called.

    Args:
        classifier: Folder of ``curso/efficientnet-lite0``.
        target: Existing empty folder. It gets ``config.json``, ``model.safetensors`` (float32)
            and ``preprocessor_config.json``.
    """
    from safetensors.torch import load_file, save_file

    weights = {
        f"backbone.{name.removeprefix('efficientnet_lite.')}": value
        for name, value in load_file(classifier / "model.safetensors").items()
        if name.startswith(STAGES)
    }
    head = load_file(ADAPTER / "detector.safetensors")
    weights |= {
        name: value.float() if value.is_floating_point() else value for name, value in head.items()
    }
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    shutil.copyfile(ADAPTER / CONFIG_FILE, target / "config.json")
    prepared = json.loads((classifier / "preprocessor_config.json").read_text(encoding="utf-8"))
    config = json.loads((ADAPTER / CONFIG_FILE).read_text(encoding="utf-8"))
    save_json(
        {
            # A stock class that squeezes the picture to a square and reads boxes given as shares
            # of it; the colours are prepared as for the classifier.
            "image_processor_type": "RTDetrImageProcessor",
            "do_convert_annotations": True,
            "do_convert_rgb": True,
            "do_resize": True,
            "size": {"height": config["image_size"], "width": config["image_size"]},
            "resample": 2,  # bilinear
            "do_rescale": True,
            "rescale_factor": prepared["rescale_factor"],
            "do_normalize": True,
            "image_mean": prepared["image_mean"],
            "image_std": prepared["image_std"],
            "do_pad": False,
        },
        target / "preprocessor_config.json",
    )
