"""Measuring time and memory, and comparing the results in one style of picture."""

from __future__ import annotations

import contextlib
import gc
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.display import Chart, bars, number
from helpers.errors import CourseError
from helpers.messages import text


@dataclass(frozen=True)
class Timing:
    """How long something takes, in seconds.

    Attributes:
        median: half of the runs were faster, half slower.
        low: one run in ten was faster than this.
        high: one run in ten was slower than this.
        repeats: how many runs there were.
    """

    median: float
    low: float
    high: float
    repeats: int

    def __str__(self) -> str:
        return text(
            "measure.timing",
            median=_milliseconds(self.median),
            low=_milliseconds(self.low),
            high=_milliseconds(self.high),
            repeats=self.repeats,
        )

    __repr__ = __str__


def latency(function: Callable[[], Any], *, repeats: int = 20, warmup: int = 2) -> Timing:
    """Measure how long a call takes.

    Args:
        function: what to measure, called without arguments; use ``lambda: ...``.
        repeats: how many times to measure.
        warmup: how many calls come first, unmeasured (the first ones are always slower).

    Raises:
        CourseError: if there is nothing to repeat.
    """
    if repeats < 1 or warmup < 0:
        raise CourseError(text("measure.bad_repeats"))
    for _ in range(warmup):
        function()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return timing(seconds)


def timing(seconds: list[float]) -> Timing:
    """Summarise measured times.

    Args:
        seconds: at least one measured time.
    """
    ordered = sorted(seconds)
    return Timing(
        statistics.median(ordered), _quantile(ordered, 0.1), _quantile(ordered, 0.9), len(ordered)
    )


def compare(timings: Mapping[str, Timing], title: str | None = None) -> Chart:
    """Draw timings side by side, in milliseconds.

    Args:
        timings: a name for each.
        title: what is compared.
    """
    return bars(
        list(timings),
        [item.median * 1e3 for item in timings.values()],
        title=title or text("measure.compare_title"),
        unit=text("measure.milliseconds"),
        digits=1,
        ranges=[(item.low * 1e3, item.high * 1e3) for item in timings.values()],
    )


def peak_memory_bytes() -> int:
    """Return the most memory this process has held so far, in bytes."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    # Linux's own counter first: getrusage also counts what the parent process held.
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # kibibytes, except on a Mac


def weights_memory_bytes(load: Callable[[], Any]) -> int:
    """Measure how much memory a model's weights take in this process.

    The model is loaded twice and the second time is measured, with the first still there: the
    first also imports code, and what it would free could be used again unseen. Weights that come
    straight from a safetensors file enter memory only when read, so they are read.

    Args:
        load: returns the model, as in ``lambda: AutoModel.from_pretrained(...)``.

    Returns:
        How many bytes this process holds more with the second model than without it.
    """
    first = _loaded_whole(load)
    before = _resident_bytes()
    second = _loaded_whole(load)
    grown = _resident_bytes() - before
    del first, second
    return grown


def _loaded_whole(load: Callable[[], Any]) -> Any:
    model = load()
    for weights in model.parameters():
        weights.sum()
    return model


def _resident_bytes() -> int:
    import psutil

    gc.collect()
    return int(psutil.Process().memory_info().rss)


def _quantile(ordered: list[float], share: float) -> float:
    """Read a quantile off sorted values, between two of them if need be."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _milliseconds(seconds: float) -> str:
    value = seconds * 1e3
    return number(value, 0 if value >= 100 else 1 if value >= 1 else 3)
