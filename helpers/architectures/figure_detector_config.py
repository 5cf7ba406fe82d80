"""The sizes of the course's detector of drawings, as ``config.json`` holds them."""

from __future__ import annotations

from helpers.architectures.efficientnet_lite_config import EfficientNetLiteConfig


class FigureDetectorConfig(EfficientNetLiteConfig):
    """Sizes of an EfficientNet-Lite and of the detector on top of it.

    Attributes:
        neck_channels: Channels of the feature maps that the detector makes.
        max_detections: Most objects to find in a picture.
    """

    model_type = "figure_detector"

    image_size: int = 256
    neck_channels: int = 64
    max_detections: int = 50
