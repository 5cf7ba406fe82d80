"""A small object detector: centres as peaks of a map, on the features of EfficientNet-Lite.

After CenterNet ("Objects as Points", 2019): for each class, a map says where the centres of its
objects are; at each centre, four numbers say how far the sides of the box lie. What counts as an
object is a cell of the map that is higher than its neighbours, so no overlapping boxes have to be
removed afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.modeling_outputs import ModelOutput
from transformers.modeling_utils import PreTrainedModel

from helpers.architectures.efficientnet_lite import EfficientNetLiteModel
from helpers.architectures.figure_detector_config import FigureDetectorConfig

# Places in EfficientNet-Lite's stages, of strides 8, 16 and 32.
STAGES = (2, 4, 6)
STRIDE = 8
NOTHING = -50.0  # a logit whose probability is zero


@dataclass
class FigureDetectorOutput(ModelOutput):
    """What the detector found, in the form that transformers' post-processing takes.

    Attributes:
        logits: ``[batch, max_detections, num_labels]``; in a row, one class at most counts.
        pred_boxes: ``[batch, max_detections, 4]``: centre, width and height of each box, between
            0 and 1.
    """

    logits: Tensor | None = None
    pred_boxes: Tensor | None = None


class NeckConv(nn.Sequential):
    """A convolution of 3 x 3 that keeps the size, its batch normalisation and ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )


class Neck(nn.Module):
    """Bring the features of three strides together, from the coarsest to the finest."""

    def __init__(self, inputs: list[int], channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in inputs)
        self.merge = nn.ModuleList(NeckConv(channels) for _ in inputs)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Map the features, the finest first, to ``[batch, channels, height / 8, width / 8]``."""
        merged = None
        for place in reversed(range(len(maps))):
            hidden = self.lateral[place](maps[place])
            if merged is not None:
                size = hidden.shape[-2:]
                hidden = hidden + functional.interpolate(merged, size=size, mode="nearest")
            merged = self.merge[place](hidden)
        assert merged is not None
        return merged


class DetectionHead(nn.Module):
    """Neck and head: feature maps in, maps of centres and of boxes out."""

    def __init__(self, config: FigureDetectorConfig) -> None:
        super().__init__()
        channels = config.neck_channels
        self.neck = Neck([config.stages[place][-1] for place in STAGES], channels)
        self.tower = nn.Sequential(NeckConv(channels), NeckConv(channels))
        self.centre = nn.Conv2d(channels, config.num_labels, 1)
        self.distance = nn.Conv2d(channels, 4, 1)

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Look for centres.

        Args:
            maps: Features of strides 8, 16 and 32, ``[batch, channels, rows, columns]`` each.

        Returns:
            For each cell of stride 8, a logit a class, ``[batch, num_labels, rows, columns]``, and
            how far left, up, right and down its object reaches, in cells,
            ``[batch, 4, rows, columns]``.
        """
        hidden = self.tower(self.neck(maps))
        return self.centre(hidden), functional.softplus(self.distance(hidden))


class FigureDetectorForObjectDetection(PreTrainedModel):
    """EfficientNet-Lite, without its classifier, and the detector on top."""

    config_class = FigureDetectorConfig
    base_model_prefix = "figure_detector"
    main_input_name = "pixel_values"
    input_modalities = ("image",)

    def __init__(self, config: FigureDetectorConfig) -> None:
        super().__init__(config)
        self.backbone = EfficientNetLiteModel(config)
        self.backbone.head = nn.Identity()  # only the stages are used
        self.detector = DetectionHead(config)
        self.post_init()

    def features(self, pixel_values: Tensor) -> list[Tensor]:
        """Return the backbone's features of strides 8, 16 and 32.

        Args:
            pixel_values: ``[batch, num_channels, height, width]``, normalised.
        """
        maps = self.backbone.feature_maps(pixel_values)
        return [maps[place] for place in STAGES]

    def forward(
        self, pixel_values: Tensor, return_dict: bool | None = None, **_: Any
    ) -> FigureDetectorOutput | tuple[Any, ...]:
        """Find objects.

        Args:
            pixel_values: ``[batch, num_channels, height, width]``, normalised.
            return_dict: False for a plain tuple.

        Returns:
            The logits and boxes of ``max_detections`` places, the surest first.
        """
        centres, distances = self.detector(self.features(pixel_values))
        output = decode(centres, distances, self.config.max_detections)
        return output.to_tuple() if return_dict is False else output


def decode(centres: Tensor, distances: Tensor, count: int) -> FigureDetectorOutput:
    """Read the objects off the maps.

    Args:
        centres: Logits, ``[batch, num_labels, rows, columns]``.
        distances: Left, up, right and down, in cells, ``[batch, 4, rows, columns]``.
        count: How many peaks to keep.

    Returns:
        One row a peak. Where there are fewer peaks, the other rows' logits are very low.
    """
    batch, classes, rows, columns = centres.shape
    count = min(count, classes * rows * columns)
    is_peak = centres == functional.max_pool2d(centres, 3, stride=1, padding=1)
    peaks = centres.masked_fill(~is_peak, NOTHING).flatten(1)
    scores, places = peaks.topk(count, dim=1)
    labels, cells = places // (rows * columns), places % (rows * columns)
    logits = centres.new_full((batch, count, classes), NOTHING)
    logits.scatter_(2, labels.unsqueeze(2), scores.unsqueeze(2))
    boxes = box_maps(distances).flatten(2)
    chosen = boxes.gather(2, cells.unsqueeze(1).expand(-1, 4, -1)).transpose(1, 2)
    left, top, right, bottom = chosen.clamp(0, 1).unbind(2)
    centred = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
    return FigureDetectorOutput(logits=logits, pred_boxes=torch.stack(centred, dim=2))


def box_maps(distances: Tensor) -> Tensor:
    """Turn distances into the sides of boxes.

    Args:
        distances: Left, up, right and down from each cell, in cells, ``[batch, 4, rows, columns]``.

    Returns:
        Left, top, right and bottom, between 0 and 1 inside the picture,
        ``[batch, 4, rows, columns]``.
    """
    rows, columns = distances.shape[-2:]
    y = torch.arange(rows, device=distances.device) + 0.5
    x = torch.arange(columns, device=distances.device) + 0.5
    left, up, right, down = distances.unbind(1)
    return torch.stack(
        (
            (x - left) / columns,
            (y[:, None] - up) / rows,
            (x + right) / columns,
            (y[:, None] + down) / rows,
        ),
        dim=1,
    )
