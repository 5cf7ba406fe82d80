"""Time and memory."""

import subprocess
import sys
import time

import pytest

from helpers import measure
from helpers.errors import CourseError


def test_latency_of_a_known_wait():
    timing = measure.latency(lambda: time.sleep(0.01), repeats=5, warmup=1)
    assert 0.01 <= timing.low <= timing.median <= timing.high < 0.1
    assert timing.repeats == 5


def test_warm_up_is_not_measured():
    calls = []

    def slow_at_first():
        calls.append(None)
        time.sleep(0.2 if len(calls) <= 2 else 0)

    assert measure.latency(slow_at_first, repeats=10, warmup=2).high < 0.1
    assert len(calls) == 12


def test_summary_of_known_times():
    timing = measure.timing([i / 1000 for i in range(11)])
    assert (timing.median, timing.low, timing.high) == pytest.approx((0.005, 0.001, 0.009))
    assert str(timing) == "5,0 ms (de 1,0 a 9,0 ms em 11 medidas)"
    assert measure.timing([0.2]).high == 0.2


def test_nothing_to_repeat():
    with pytest.raises(CourseError, match="repeats=1"):
        measure.latency(lambda: None, repeats=0)


def test_compare_draws_milliseconds():
    pytest.importorskip("matplotlib")
    chart = measure.compare(
        {"local": measure.Timing(0.02, 0.015, 0.03, 20), "API": measure.Timing(0.1, 0.09, 0.2, 20)}
    )
    assert "local: 20,0 ms (de 15,0 ms a 30,0 ms)" in chart.alt
    assert "API: 100,0 ms (de 90,0 ms a 200,0 ms)" in chart.alt


def test_peak_memory_grows_with_what_is_held():
    code = (
        "from helpers.measure import peak_memory_bytes as peak; before = peak();"
        "block = bytearray(b'x') * 80_000_000; print(before, peak())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    before, after = map(int, result.stdout.split())
    assert 5e6 < before < 2e8 and 70e6 < after - before < 120e6


def test_memory_of_weights_is_their_size(tmp_path):
    from safetensors.torch import load_file, save_file
    from torch import nn, ones

    save_file({"weight": ones(4096, 4096)}, tmp_path / "model.safetensors")

    def load():
        model = nn.Linear(4096, 4096, bias=False)
        model.load_state_dict(load_file(tmp_path / "model.safetensors"), assign=True)
        return model

    assert measure.weights_memory_bytes(load) == pytest.approx(4096 * 4096 * 4, rel=0.05)
