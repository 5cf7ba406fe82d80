"""What batches cost, counted by hand and by the helpers of notebook 07."""

import pytest
import torch

from helpers.batching import forward_passes, padding_share
from helpers.errors import CourseError


class Twice(torch.nn.Module):
    def forward(self, input_ids=None, scale=1):
        return None if input_ids is None else input_ids * scale


def test_passes_and_positions_are_counted_by_name_and_by_place():
    model = Twice()
    with forward_passes(model) as passes:
        model(torch.ones(2, 5))
        model(input_ids=torch.ones(1, 3), scale=2)
        model()
    assert (passes.count, passes.positions) == (3, 13)
    model(torch.ones(2, 5))
    assert passes.count == 3, "nothing is counted after the block"


def test_the_hook_is_removed_after_an_error():
    model = Twice()
    with pytest.raises(RuntimeError), forward_passes(model) as passes:
        raise RuntimeError
    model(torch.ones(1, 1))
    assert passes.count == 0


def test_padding_is_what_the_longest_text_imposes():
    assert padding_share([10, 2, 10, 2], [[0, 1], [2, 3]]) == pytest.approx(16 / 40)
    assert padding_share([10, 2, 10, 2], [[0, 2], [1, 3]]) == 0
    assert padding_share([7], [[0]]) == 0


@pytest.mark.parametrize("batches", [[], [[0], []]])
def test_an_empty_batch_is_told(batches):
    with pytest.raises(CourseError, match="lote vazio"):
        padding_share([3, 4], batches)


def test_a_text_that_is_not_there_is_told():
    with pytest.raises(CourseError, match="2 textos"):
        padding_share([3, 4], [[0, 2]])
