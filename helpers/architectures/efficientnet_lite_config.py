"""The sizes of an EfficientNet-Lite, as ``config.json`` holds them."""

from __future__ import annotations

from transformers.configuration_utils import PreTrainedConfig

# Of EfficientNet-Lite0: repeats, kernel size, stride of the first, expansion, output channels.
LITE0_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class EfficientNetLiteConfig(PreTrainedConfig):
    """Sizes of an EfficientNet-Lite; the defaults are Lite0's.

    Attributes:
        num_channels: Channels of the picture.
        image_size: Height and width of the picture, in pixels. Other sizes work too.
        stem_channels: Channels after the first convolution.
        stages: For each stage, how many blocks, their kernel size, the stride of the first one,
            the factor by which a block widens its input inside, and the channels of its output.
        head_channels: Channels of the last convolution, and numbers in the pooled vector.
        batch_norm_eps: Epsilon of the batch normalisations.
        batch_norm_momentum: Share of the new batch in their running statistics, when training.
        dropout: Share of the pooled vector that is dropped, when training.
    """

    model_type = "efficientnet_lite"

    num_channels: int = 3
    image_size: int = 224
    stem_channels: int = 32
    stages: list[list[int]] | tuple[tuple[int, ...], ...] = LITE0_STAGES
    head_channels: int = 1280
    batch_norm_eps: float = 1e-3
    batch_norm_momentum: float = 0.01
    dropout: float = 0.2
