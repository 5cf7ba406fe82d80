from types import SimpleNamespace

import pytest

from helpers import decision
from helpers.decision import cache_bytes, decide, weights_bytes
from helpers.errors import CourseError

GB = 1e9


@pytest.mark.parametrize(
    ("precision", "expected"),
    [("float32", 28e9), ("bfloat16", 14e9), ("float16", 14e9), ("int8", 7e9), ("int4", 3.5e9)],
)
def test_weights_are_parameters_times_bytes(precision, expected):
    assert weights_bytes(7e9, precision) == expected


def test_cache_counts_the_heads_that_keep_keys_and_values():
    # SmolLM2-135M: 30 layers, 3 key-value heads of 64 numbers.
    config = SimpleNamespace(
        num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3, hidden_size=576
    )
    assert cache_bytes(config, tokens=1) == 2 * 30 * 3 * 64 * 2
    assert cache_bytes(config, tokens=1000, bytes_per_number=4) == 2 * 30 * 3 * 64 * 1000 * 4
    config.head_dim = 128
    assert cache_bytes(config, tokens=1) == 2 * 30 * 3 * 128 * 2
    del config.num_key_value_heads
    assert cache_bytes(config, tokens=1) == 2 * 30 * 9 * 128 * 2


@pytest.mark.parametrize(
    ("situation", "place", "words"),
    [
        ({"parameters": 1e8}, "here", "o modelo cabe"),
        ({"parameters": 3e9, "data": "personal"}, "here", "dados são pessoais"),
        ({"parameters": 70e9, "data": "personal"}, "rented", "3 GPUs A100"),
        ({"parameters": 8e9, "data": "personal"}, "rented", "uma L4"),
        ({"parameters": 70e9}, "api", "pede 168 GB"),
        ({"parameters": 7e9, "requests_per_day": 40_000}, "rented", "ocupada 46% do dia"),
        ({"parameters": 1e8, "requests_per_day": 200_000}, "api", "uma só não dá conta"),
        ({"parameters": 3e9, "requests_per_day": 2}, "api", "download de 6,0 GB"),
        ({"parameters": 3e9, "requests_per_day": 2, "data": "internal"}, "here", "o modelo cabe"),
        ({"parameters": 1e8, "requests_per_day": 2}, "here", "o modelo cabe"),
        ({"parameters": 7e9, "precision": "int4"}, "here", "pede 4,2 GB"),
    ],
)
def test_decision(situation, place, words):
    decided = decide(**situation, memory_bytes=16 * GB)
    assert (decided.place, words in decided.sentence) == (place, True), decided.sentence
    assert repr(decided) == decided.sentence


def test_exact_fit_is_a_fit():
    needed = weights_bytes(1e9, "bfloat16") * decision.WORKING_MEMORY
    assert decide(1e9, memory_bytes=needed).place == "here"
    assert decide(1e9, memory_bytes=needed - 1).place == "api"


def test_chart_tells_every_machine():
    alt = decide(7e9, memory_bytes=16 * GB).chart().alt
    for words in ("o modelo, trabalhando: 16,8 GB", "esta máquina: 16,0 GB", "T4", "L4", "A100"):
        assert words in alt


def test_memory_of_this_machine_is_the_default():
    assert decide(1e6).available_bytes == decision.this_memory() > 0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"precision": "float7"}, "float7"),
        ({"parameters": 0}, "parameters"),
        ({"data": "secretos"}, "secretos"),
        ({"requests_per_day": -1}, "requests_per_day"),
        ({"seconds_per_request": -1}, "seconds_per_request"),
    ],
)
def test_wrong_values_are_explained(wrong, words):
    with pytest.raises(CourseError, match=words):
        decide(**{"parameters": 1e9, "memory_bytes": GB, **wrong})
