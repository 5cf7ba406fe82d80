"""Counting the work that batches cost: passes through a model, and places filled with padding."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from helpers.errors import CourseError
from helpers.messages import text

if TYPE_CHECKING:
    import torch


class ForwardPasses:
    """How often a model was called in a ``with`` block, and on how much; see `forward_passes`.

    Attributes:
        count: how many times.
        positions: how many tokens it read in all, padding included.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self.count = 0
        self.positions = 0
        self._model = model

    def __enter__(self) -> ForwardPasses:
        self.count = self.positions = 0
        self._hook = self._model.register_forward_pre_hook(self._saw, with_kwargs=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._hook.remove()

    def _saw(self, _: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        input_ids = named.get("input_ids")
        if input_ids is None and arguments:
            input_ids = arguments[0]
        self.count += 1
        self.positions += 0 if input_ids is None else int(input_ids.numel())


def forward_passes(model: torch.nn.Module) -> ForwardPasses:
    """Count what a ``with`` block asks of a model: unlike time, the same on every machine.

    Args:
        model: a model of transformers.
    """
    return ForwardPasses(model)


def padding_share(lengths: Sequence[int], batches: Sequence[Sequence[int]]) -> float:
    """Return which share of what a model reads is padding, from 0 to 1.

    Each batch is a rectangle: as wide as its longest text.

    Args:
        lengths: tokens of each text.
        batches: for each batch, the places of its texts in ``lengths``.

    Raises:
        CourseError: if a batch is empty, or names a text that is not there.
    """
    if not batches or any(not batch for batch in batches):
        raise CourseError(text("batching.empty_batch"))
    if any(not 0 <= place < len(lengths) for batch in batches for place in batch):
        raise CourseError(text("batching.no_such_text", count=len(lengths)))
    read = sum(len(batch) * max(lengths[place] for place in batch) for batch in batches)
    wanted = sum(lengths[place] for batch in batches for place in batch)
    return 1 - wanted / read
