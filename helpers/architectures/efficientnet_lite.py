"""EfficientNet-Lite: the convolutional image classifier that transformers does not have.

It is EfficientNet without squeeze-and-excitation and with ReLU6 in place of swish, which makes it
fast on ordinary processors. Of the original training recipe, drop-connect is left out: it has no
part in inference.

Convolutions are padded the way TensorFlow does ("same"), because the published weights were
trained there: with stride 2, the odd row and column of zeros goes to the bottom and to the right.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.modeling_outputs import (
    BaseModelOutputWithPoolingAndNoAttention,
    ImageClassifierOutputWithNoAttention,
)
from transformers.modeling_utils import PreTrainedModel

from helpers.architectures.efficientnet_lite_config import EfficientNetLiteConfig


class SameConv2d(nn.Conv2d):
    """A convolution whose output has ``ceil(size / stride)`` rows and columns."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolve ``[batch, channels, height, width]``, padded with zeros as TensorFlow does."""
        height, width = (
            max((-(-size // stride) - 1) * stride + kernel - size, 0)
            for size, stride, kernel in zip(
                input.shape[-2:], self.stride, self.kernel_size, strict=True
            )
        )
        top, left = height // 2, width // 2
        return super().forward(functional.pad(input, (left, width - left, top, height - top)))


class ConvLayer(nn.Module):
    """A convolution, its batch normalisation and, perhaps, ReLU6."""

    def __init__(
        self,
        config: EfficientNetLiteConfig,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        activation: bool = True,
    ) -> None:
        super().__init__()
        self.convolution = SameConv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
        self.normalization = nn.BatchNorm2d(
            outputs, eps=config.batch_norm_eps, momentum=config.batch_norm_momentum
        )
        self.activation = nn.ReLU6() if activation else nn.Identity()

    def forward(self, hidden: Tensor) -> Tensor:
        """Map ``[batch, inputs, height, width]`` to ``[batch, outputs, height', width']``."""
        return self.activation(self.normalization(self.convolution(hidden)))


class Block(nn.Module):
    """An inverted residual: widen, filter each channel on its own, narrow, add the input."""

    def __init__(
        self,
        config: EfficientNetLiteConfig,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int,
        expansion: int,
    ) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expansion = ConvLayer(config, inputs, wide) if expansion > 1 else nn.Identity()
        self.depthwise = ConvLayer(config, wide, wide, kernel, stride, groups=wide)
        self.projection = ConvLayer(config, wide, outputs, activation=False)
        self.has_shortcut = stride == 1 and inputs == outputs

    def forward(self, hidden: Tensor) -> Tensor:
        """Map ``[batch, inputs, height, width]`` to ``[batch, outputs, height', width']``."""
        narrow = self.projection(self.depthwise(self.expansion(hidden)))
        return hidden + narrow if self.has_shortcut else narrow


class EfficientNetLitePreTrainedModel(PreTrainedModel):
    """What the models of this family share: how transformers saves and loads them."""

    config_class = EfficientNetLiteConfig
    base_model_prefix = "efficientnet_lite"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    _no_split_modules = ["Block"]


class EfficientNetLiteModel(EfficientNetLitePreTrainedModel):
    """The network without its classifier: a picture becomes feature maps and one vector."""

    def __init__(self, config: EfficientNetLiteConfig) -> None:
        super().__init__(config)
        self.stem = ConvLayer(config, config.num_channels, config.stem_channels, 3, 2)
        blocks = []
        channels = config.stem_channels
        for repeats, kernel, stride, expansion, outputs in config.stages:
            for place in range(repeats):
                step = stride if place == 0 else 1
                blocks.append(Block(config, channels, outputs, kernel, step, expansion))
                channels = outputs
        self.blocks = nn.ModuleList(blocks)
        self.head = ConvLayer(config, channels, config.head_channels)
        self.post_init()

    def feature_maps(self, pixel_values: Tensor) -> list[Tensor]:
        """Return what each stage makes of the pictures.

        Args:
            pixel_values: ``[batch, num_channels, height, width]``, normalised.

        Returns:
            One ``[batch, channels, height / stride, width / stride]`` a stage.
        """
        hidden = self.stem(pixel_values)
        blocks = iter(self.blocks)
        maps = []
        for repeats, *_ in self.config.stages:
            for _ in range(repeats):
                hidden = next(blocks)(hidden)
            maps.append(hidden)
        return maps

    def forward(
        self,
        pixel_values: Tensor,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> BaseModelOutputWithPoolingAndNoAttention | tuple[Any, ...]:
        """Look at pictures.

        Args:
            pixel_values: ``[batch, num_channels, height, width]``, normalised.
            output_hidden_states: Whether to return the feature maps of every stage too.
            return_dict: False for a plain tuple.

        Returns:
            ``last_hidden_state`` ``[batch, head_channels, height / 32, width / 32]``,
            ``pooler_output`` ``[batch, head_channels]`` and, if asked for, ``hidden_states``.
        """
        maps = self.feature_maps(pixel_values)
        last = self.head(maps[-1])
        wanted = self.config.output_hidden_states
        keep = wanted if output_hidden_states is None else output_hidden_states
        output = BaseModelOutputWithPoolingAndNoAttention(
            last_hidden_state=last,
            pooler_output=last.mean(dim=(2, 3)),
            hidden_states=tuple(maps) if keep else None,
        )
        return output.to_tuple() if return_dict is False else output


class EfficientNetLiteForImageClassification(EfficientNetLitePreTrainedModel):
    """The network with a linear layer that gives one logit a class."""

    def __init__(self, config: EfficientNetLiteConfig) -> None:
        super().__init__(config)
        self.efficientnet_lite = EfficientNetLiteModel(config)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.head_channels, config.num_labels)
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor,
        labels: torch.LongTensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> ImageClassifierOutputWithNoAttention | tuple[Any, ...]:
        """Classify pictures.

        Args:
            pixel_values: ``[batch, num_channels, height, width]``, normalised.
            labels: The right class of each picture, ``[batch]``; the loss is then computed.
            output_hidden_states: Whether to return the feature maps of every stage too.
            return_dict: False for a plain tuple.

        Returns:
            ``logits`` ``[batch, num_labels]`` and what was asked for of ``loss`` and
            ``hidden_states``.
        """
        base = self.efficientnet_lite(pixel_values, output_hidden_states)
        logits = self.classifier(self.dropout(base.pooler_output))
        loss = None if labels is None else self.loss_function(labels, logits, self.config)
        output = ImageClassifierOutputWithNoAttention(
            loss=loss, logits=logits, hidden_states=base.hidden_states
        )
        return output.to_tuple() if return_dict is False else output
