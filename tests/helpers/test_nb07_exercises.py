"""The batches that exercise 07.3 takes as right, on more cases than it shows."""

import random

import pytest

from helpers.exercises import Wrong
from helpers.exercises.nb07 import check_token_batches, reference_batches


def test_the_reference_fills_batches_without_passing_the_limit():
    lengths = [random.Random(7).randint(1, 90) for _ in range(500)]
    batches = reference_batches(lengths, 256)
    assert sorted(place for batch in batches for place in batch) == list(range(500))
    assert all(len(batch) * max(lengths[place] for place in batch) <= 256 for batch in batches)


def test_another_order_of_the_same_batches_is_right():
    check_token_batches(lambda lengths, most: reference_batches(lengths, most)[::-1])


@pytest.mark.parametrize(
    ("answer", "key"),
    [
        (lambda lengths, most: [*reference_batches(lengths, most), []], "empty_batch"),
        (lambda lengths, most: reference_batches(lengths, most)[1:], "not_each_once"),
        (lambda lengths, most: reference_batches(lengths, 2 * most), "too_big"),
        (lambda lengths, most: [[place] for place in range(len(lengths))], "wasteful"),
        (lambda lengths, most: 3, "exercises.wrong_type"),
    ],
)
def test_each_mistake_has_its_sentence(answer, key):
    with pytest.raises(Wrong) as caught:
        check_token_batches(answer)
    assert caught.value.key == key
