"""Low-rank adapters in the layout of the ``peft`` library, trained with one product a layer.

``peft`` computes ``x W' + s (x A') B'``: three products and their casts for each linear layer. On
two CPU cores that takes 1.5 times as long as computing ``x (W + s B A)'``, because ``B A`` is small
next to a batch of tokens. The backward pass here gives the gradients of ``A`` and ``B`` without
ever forming that of ``W``. The result is saved as ``peft`` itself would save it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

TARGETS = ["query", "key", "value", "dense"]
PREFIX = "base_model.model."
WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class Head:
    """What is trained as a whole on top of the adapted encoder.

    Attributes:
        modules: Names of the modules. Linear layers inside them get no update of low rank.
        task_type: The name that ``peft`` gives to the task.
        excluded: Names of linear layers that end like one of ``TARGETS`` but lie in ``modules``.
    """

    modules: tuple[str, ...]
    task_type: str
    excluded: tuple[str, ...] = ()


QUESTION_ANSWERING = Head(("qa_outputs",), "QUESTION_ANS")
CLASSIFICATION = Head(("bert.pooler", "classifier"), "SEQ_CLS", ("bert.pooler.dense",))


class _MergedLinear(torch.autograd.Function):
    """``x (W + scale B A)' + bias`` with W and the bias frozen."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, a: Tensor, b: Tensor, scale: float
    ) -> Tensor:
        a, b = a.to(weight.dtype), b.to(weight.dtype)
        merged = torch.addmm(weight, b, a, alpha=scale)
        ctx.save_for_backward(x, merged, a, b)
        ctx.scale = scale
        return functional.linear(x, merged, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, merged, a, b = ctx.saved_tensors
        flat_grad = grads[0].reshape(-1, merged.shape[0])
        flat_x = x.reshape(-1, merged.shape[1])
        grad_b = flat_grad.T @ (flat_x @ a.T) * ctx.scale
        grad_a = (flat_grad @ b).T @ flat_x * ctx.scale
        return grads[0] @ merged, None, None, grad_a.float(), grad_b.float(), None


class LoraLinear(nn.Module):
    """A frozen bfloat16 linear layer with a trainable float32 low-rank update.

    Args:
        linear: Layer to adapt.
        rank: Rank of the update.
        alpha: The update is scaled by ``alpha / rank``.
    """

    def __init__(self, linear: nn.Linear, rank: int, alpha: int) -> None:
        super().__init__()
        self.register_buffer("weight", linear.weight.detach().bfloat16(), persistent=False)
        self.register_buffer("bias", linear.bias.detach().bfloat16(), persistent=False)
        self.scale = alpha / rank
        self.a = nn.Parameter(torch.empty(rank, linear.in_features))
        self.b = nn.Parameter(torch.zeros(linear.out_features, rank))
        nn.init.kaiming_uniform_(self.a, a=5**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to ``x`` of shape ``[..., in_features]``."""
        return _MergedLinear.apply(x, self.weight, self.bias, self.a, self.b, self.scale)


class SharedDropout(nn.Module):
    """Dropout whose mask is shared by all tokens of a sequence.

    It regularises like ordinary dropout, and draws one number a channel instead of one a value:
    on a CPU that drawing alone would take a tenth of the training time.

    Args:
        share: Share of the channels that is dropped.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.keep = 1 - share

    def forward(self, x: Tensor) -> Tensor:
        """Apply to ``x`` of shape ``[batch, tokens, channels]``."""
        if not self.training:
            return x
        mask = torch.empty(x.shape[0], 1, x.shape[2], dtype=x.dtype).bernoulli_(self.keep)
        return x * (mask / self.keep)


def share_dropout(model: nn.Module, share: float) -> None:
    """Replace the dropout after the embeddings, attention and feed-forward layers, in place."""
    for name, parent in list(model.named_modules()):
        if isinstance(getattr(parent, "dropout", None), nn.Dropout) and not name.endswith("self"):
            parent.dropout = SharedDropout(share)


def add_lora(model: nn.Module, rank: int, alpha: int, head: Head = QUESTION_ANSWERING) -> None:
    """Freeze a BERT model with a head and adapt its encoder in place.

    All goes to bfloat16 but what is trained: the updates and the head (float32).

    Args:
        model: The model.
        rank: Rank of the updates.
        alpha: Their scale is ``alpha / rank``.
        head: What is trained as a whole.
    """
    model.requires_grad_(False)
    for path, parent in list(model.named_modules()):
        if path in head.modules:
            continue
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear) and name in TARGETS:
                setattr(parent, name, LoraLinear(child, rank, alpha))
    model.bfloat16()
    for module in model.modules():
        if isinstance(module, LoraLinear):
            module.a.data, module.b.data = module.a.data.float(), module.b.data.float()
    for name in head.modules:
        module = model.get_submodule(name).float().requires_grad_(True)
        module.register_forward_pre_hook(lambda _, inputs: (inputs[0].float(),))


def save_adapter(
    model: nn.Module, target: Path, rank: int, alpha: int, head: Head = QUESTION_ANSWERING
) -> None:
    """Save what was trained as a ``peft`` adapter in float16.

    Args:
        model: Model prepared by :func:`add_lora`.
        target: Existing folder; gets ``adapter_config.json`` and ``adapter_model.safetensors``.
        rank: As given to :func:`add_lora`.
        alpha: As given to :func:`add_lora`.
        head: As given to :func:`add_lora`.
    """
    from safetensors.torch import save_file

    trained = _trained(model, head).items()
    halves = {name: tensor.detach().half().contiguous() for name, tensor in trained}
    save_file(halves, target / WEIGHTS, metadata={"format": "pt"})
    config = json.dumps(_config(rank, alpha, head), indent=2)
    (target / "adapter_config.json").write_text(config + "\n", encoding="utf-8")


def load_adapter(model: nn.Module, source: Path, head: Head = QUESTION_ANSWERING) -> None:
    """Go on from a saved adapter.

    Args:
        model: Model prepared by :func:`add_lora` with the rank and alpha of the adapter.
        source: Folder that :func:`save_adapter` wrote to.
        head: As given to :func:`add_lora`.

    Raises:
        ValueError: The adapter does not fit the model.
    """
    from safetensors.torch import load_file

    saved, trained = load_file(source / WEIGHTS), _trained(model, head)
    if {k: v.shape for k, v in saved.items()} != {k: v.shape for k, v in trained.items()}:
        raise ValueError(f"The adapter in {source} does not fit: is its rank another?")
    for name, parameter in trained.items():
        parameter.data.copy_(saved[name])


def _trained(model: nn.Module, head: Head) -> dict[str, nn.Parameter]:
    """Return the trained parameters under the names that ``peft`` gives them."""
    parameters = {}
    for name, module in model.named_modules():
        if isinstance(module, LoraLinear):
            parameters[f"{PREFIX}{name}.lora_A.weight"] = module.a
            parameters[f"{PREFIX}{name}.lora_B.weight"] = module.b
    for path in head.modules:
        for name, parameter in model.get_submodule(path).named_parameters():
            parameters[f"{PREFIX}{path}.{name}"] = parameter
    return parameters


def _config(rank: int, alpha: int, head: Head) -> dict[str, Any]:
    config = {
        "base_model_name_or_path": "curso/e5-pt-en",
        "bias": "none",
        "inference_mode": True,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "modules_to_save": [path.split(".")[-1] for path in head.modules],
        "peft_type": "LORA",
        "r": rank,
        "target_modules": TARGETS,
        "task_type": head.task_type,
    }
    if head.excluded:
        config["exclude_modules"] = list(head.excluded)
    return config
