"""Measuring time and memory, and comparing the results in one style of picture."""

from __future__ import annotations

import contextlib
import gc
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from helpers.display import BLUE, INK, Chart, bars, number
from helpers.errors import CourseError
from helpers.messages import text

if TYPE_CHECKING:
    import torch

MIB = 2**20
PROBE_BYTES = 512 * MIB
SAMPLE_SECONDS = 0.002


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


@dataclass(frozen=True)
class Decoding:
    """How fast a model writes.

    Attributes:
        first_token_seconds: from the call to the first token, the prompt's reading included.
        seconds_per_token: between one token and the next, in each text.
        tokens: how many tokens were written in each text.
        sequences: how many texts were written side by side.
    """

    first_token_seconds: float
    seconds_per_token: float
    tokens: int
    sequences: int = 1

    @property
    def tokens_per_second(self) -> float:
        """Tokens written in one second, all texts together, once the first token is there."""
        return self.sequences / self.seconds_per_token

    def __str__(self) -> str:
        return text(
            "measure.decoding",
            speed=number(self.tokens_per_second, 1),
            first=_milliseconds(self.first_token_seconds),
        )

    __repr__ = __str__


def latency(
    function: Callable[[], Any], *, repeats: int = 20, warmup: int = 2, device: str = "cpu"
) -> Timing:
    """Measure how long a call takes.

    Args:
        function: what to measure, called without arguments; use ``lambda: ...``.
        repeats: how many times to measure.
        warmup: how many calls come first, unmeasured (the first ones are always slower).
        device: where the work is done: ``"cpu"``, ``"cuda"`` or ``"mps"``. A GPU answers the call
            before its work is done, so the clock waits for it.

    Raises:
        CourseError: if there is nothing to repeat, or this machine has no such device.
    """
    if repeats < 1 or warmup < 0:
        raise CourseError(text("measure.bad_repeats"))
    for _ in range(warmup):
        function()
    seconds = []
    for _ in range(repeats):
        synchronize(device)
        start = time.perf_counter()
        function()
        synchronize(device)
        seconds.append(time.perf_counter() - start)
    return timing(seconds)


def synchronize(device: str) -> None:
    """Wait until a device has done all that it was asked for.

    Args:
        device: ``"cpu"`` (nothing to wait for), ``"cuda"`` or ``"mps"``.

    Raises:
        CourseError: if this machine has no such device.
    """
    if device == "cpu":
        return  # without importing PyTorch
    found = _device(device)
    import torch

    if found.type == "cuda":
        torch.cuda.synchronize(found)
    elif found.type == "mps":
        torch.mps.synchronize()


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


def memory_bandwidth(device: str = "cpu", *, size_bytes: int = PROBE_BYTES) -> float:
    """Measure how fast a device reads its memory, with all the threads that PyTorch uses.

    Args:
        device: ``"cpu"``, ``"cuda"`` or ``"mps"``.
        size_bytes: how much is read. More than the processor's cache, or what is measured is the
            cache; the size of a model's weights shows how fast those weights can be read.

    Returns:
        Bytes per second: the best of several readings, because others may use the memory too.

    Raises:
        CourseError: if there is nothing to read, or this machine has no such device.
    """
    if size_bytes < MIB:
        raise CourseError(text("measure.small_probe", size=size_bytes))
    found = _device(device)
    import torch

    _require_memory(size_bytes, found)
    block = torch.ones(2, size_bytes // 8, device=found)
    # One stream and two at once: which is faster depends on the processor.
    readings = (block.sum, lambda: torch.dot(block[0], block[1]))
    fastest = min(_fastest(reading, device) for reading in readings)
    return block.nbytes / fastest


def _fastest(function: Callable[[], Any], device: str) -> float:
    """Seconds of the best of some calls: ten, or what fits in two seconds."""
    function()
    best, end = float("inf"), time.perf_counter() + 2
    for _ in range(10):
        synchronize(device)
        start = time.perf_counter()
        function()
        synchronize(device)
        now = time.perf_counter()
        best = min(best, now - start)
        if now > end:
            break
    return best


class PeakMemory:
    """How much memory a ``with`` block needed; see `peak_memory`.

    Attributes:
        bytes: the most that was newly held at once, in bytes; 0 until the block ends.
    """

    def __init__(self, device: str = "cpu") -> None:
        self.bytes = 0
        self._device = device
        self._type = "cpu" if device == "cpu" else _device(device).type
        self._start = 0
        self._highest = 0
        self._record = 0
        self._ended = threading.Event()
        self._sampler: threading.Thread | None = None

    def __enter__(self) -> PeakMemory:
        gc.collect()
        self.bytes = 0
        synchronize(self._device)
        if self._type == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats(self._device)
            self._start = torch.cuda.memory_allocated(self._device)
            return self
        self._start = self._highest = self._held()
        self._record = peak_memory_bytes()
        self._ended.clear()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        synchronize(self._device)
        if self._type == "cuda":
            import torch

            self._highest = torch.cuda.max_memory_allocated(self._device)
        elif self._sampler:
            self._ended.set()
            self._sampler.join()
            self._highest = max(self._highest, self._held(), self._new_record())
        self.bytes = max(0, self._highest - self._start)

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            self._highest = max(self._highest, self._held())

    def _held(self) -> int:
        if self._type == "mps":
            import torch

            return int(torch.mps.driver_allocated_memory())
        return _resident_bytes()

    def _new_record(self) -> int:
        """The system's own count of the peak, which misses nothing, if it was in this block."""
        peak = peak_memory_bytes() if self._type == "cpu" else 0
        return peak if peak > self._record else 0


def peak_memory(device: str = "cpu") -> PeakMemory:
    """Measure the most memory that a block newly holds.

    To be used as::

        with helpers.measure.peak_memory(course.device) as memory:
            model.generate(**inputs)
        print(memory.bytes)

    On CUDA it is what PyTorch's tensors take. Elsewhere it is what the whole process takes, looked
    at every few milliseconds; memory that the process already held and uses again is not counted.

    Args:
        device: ``"cpu"``, ``"cuda"`` or ``"mps"``.

    Raises:
        CourseError: if this machine has no such device.
    """
    return PeakMemory(device)


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
    gc.collect()
    before = _resident_bytes()
    second = _loaded_whole(load)
    gc.collect()
    grown = _resident_bytes() - before
    del first, second
    return grown


def weights_read_per_token(model: torch.nn.Module) -> int:
    """Return how many bytes of weights are read to write one token, one text at a time.

    All of them, but for embeddings, of which a token reads one row, unless they are also the
    output's weights (tied). Quantized weights count as they are stored. An encoder is not counted,
    since it reads the prompt once. In a mixture of experts each token reads only some of the
    experts, and this counts them all.

    Args:
        model: a PyTorch model; one on the ``"meta"`` device, without values, does too.

    Raises:
        CourseError: if the model has no weights.
    """
    skipped = _storages(_looked_up(model)) - _storages(_output_weights(model))
    read: dict[tuple[str, int], int] = {}
    for weights in _all_weights(model):
        for part in _stored_parts(weights):
            read[_storage(part)] = part.nbytes
    total = sum(size for storage, size in read.items() if storage not in skipped)
    if not total:
        raise CourseError(text("measure.no_weights"))
    return total


def _all_weights(module: torch.nn.Module) -> Iterable[torch.Tensor]:
    yield from module.parameters()
    yield from module.buffers()


def _looked_up(model: torch.nn.Module) -> Iterable[torch.Tensor]:
    """Weights of which a token reads only a row, or that only the prompt needs."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.Embedding):
            yield module.weight
    if getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        yield from _all_weights(model.get_encoder())


def _output_weights(model: torch.nn.Module) -> Iterable[torch.Tensor]:
    find = getattr(model, "get_output_embeddings", None)
    output = find() if find else None
    return _all_weights(output) if output is not None else ()


def _stored_parts(weights: torch.Tensor) -> list[torch.Tensor]:
    """The plain tensors that weights are made of: quantized ones have scales beside them."""
    if hasattr(weights, "__tensor_flatten__"):  # torchao
        names = weights.__tensor_flatten__()[0]
        return [part for name in names for part in _stored_parts(getattr(weights, name))]
    state = getattr(weights, "quant_state", None)  # bitsandbytes, 4 bits
    scales = [getattr(state, "absmax", None), getattr(weights, "SCB", None)]
    nested = getattr(state, "state2", None)
    scales.append(getattr(nested, "absmax", None))
    return [weights, *(scale for scale in scales if scale is not None)]


def _storage(tensor: torch.Tensor) -> tuple[str, int]:
    """What two names of the same weights have in common."""
    if tensor.is_meta:
        return "meta", id(tensor)
    return str(tensor.device), tensor.data_ptr()


def _storages(weights: Iterable[torch.Tensor]) -> set[tuple[str, int]]:
    return {_storage(part) for whole in weights for part in _stored_parts(whole)}


def decoding_limit(bytes_per_token: float, bandwidth: float) -> float:
    """Return how many tokens per second the memory allows, if nothing else took time.

    Args:
        bytes_per_token: what is read for each token; see `weights_read_per_token`.
        bandwidth: bytes per second; see `memory_bandwidth`.

    Raises:
        CourseError: if either is not positive.
    """
    if not (bytes_per_token > 0 and bandwidth > 0):
        raise CourseError(text("measure.bad_limit"))
    return bandwidth / bytes_per_token


def decoding(
    model: Any,
    inputs: Mapping[str, torch.Tensor],
    *,
    new_tokens: int = 64,
    repeats: int = 3,
    **generate_options: Any,
) -> Decoding:
    """Measure how fast a model writes with ``generate``: greedy, and never stopping early.

    The first call is not measured.

    Args:
        model: a model of transformers with ``generate``.
        inputs: what the tokenizer gave for the prompt, ``input_ids`` of shape
            ``(sequences, length)``, on the model's device.
        new_tokens: how many tokens to write, 2 or more.
        repeats: how many times to measure; the medians are returned.
        **generate_options: what else ``generate`` takes, as in ``cache_implementation="static"``.

    Raises:
        CourseError: if there is too little to measure, or ``inputs`` holds no prompt.
    """
    if repeats < 1:
        raise CourseError(text("measure.bad_repeats"))
    if new_tokens < 2:
        raise CourseError(text("measure.few_tokens", count=new_tokens))
    if "input_ids" not in inputs or not inputs["input_ids"].numel():
        raise CourseError(text("measure.no_prompt"))
    device = model.device.type
    options = {
        "do_sample": False,
        "max_new_tokens": new_tokens,
        # No token of the vocabulary, so nothing ends the text; forbidding the true one would take
        # time at every step.
        "eos_token_id": model.config.get_text_config(decoder=True).vocab_size,
        **generate_options,
    }
    firsts, gaps = [], []
    for run in range(repeats + 1):
        clock = _TokenClock(device)
        model.generate(**inputs, **options, stopping_criteria=[clock])
        if run:
            firsts.append(clock.first_token_seconds)
            gaps.append(clock.seconds_per_token)
    return Decoding(
        statistics.median(firsts), statistics.median(gaps), new_tokens, len(inputs["input_ids"])
    )


class _TokenClock:
    """Looks at the clock whenever ``generate`` asks whether to stop; it never says so."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._ticks: list[tuple[float, int]] = []
        synchronize(device)
        self._start = time.perf_counter()

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        import torch

        synchronize(self._device)
        self._ticks.append((time.perf_counter(), input_ids.shape[1]))
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)

    @property
    def first_token_seconds(self) -> float:
        return self._ticks[0][0] - self._start

    @property
    def seconds_per_token(self) -> float:
        (first, length), (last, longest) = self._ticks[0], self._ticks[-1]
        return (last - first) / max(1, longest - length)


def roofline(
    measured: Mapping[str, float],
    limits: Mapping[str, float] | float,
    *,
    title: str | None = None,
    unit: str | None = None,
) -> Chart:
    """Draw what was reached beside what the memory allows.

    Args:
        measured: a name for each way of writing and its tokens per second.
        limits: the tokens per second that memory allows to each of them, or to all.
        title: what is shown.
        unit: what the numbers are; tokens per second unless given.

    Raises:
        CourseError: if there is nothing to draw, a limit is missing, or a number is not positive.
    """
    if not isinstance(limits, Mapping):
        limits = dict.fromkeys(measured, limits)
    if missing := [name for name in measured if name not in limits]:
        raise CourseError(text("measure.missing_limit", names=", ".join(missing)))
    ceilings = [limits[name] for name in measured]
    if not measured or not all(value > 0 for value in [*measured.values(), *ceilings]):
        raise CourseError(text("measure.bad_roofline"))
    unit = unit or text("measure.tokens_per_second")
    title = title or text("measure.roofline_title")
    told = [
        text(
            "measure.share",
            value=number(value, _digits(value)),
            unit=unit,
            share=number(100 * value / ceiling, 0),
        )
        for value, ceiling in zip(measured.values(), ceilings, strict=True)
    ]
    figure = _draw_roofline(list(measured), list(measured.values()), ceilings, told, title)
    lines = [
        text("measure.under_limit", name=name, told=what, limit=number(limit, _digits(limit)))
        for name, what, limit in zip(measured, told, ceilings, strict=True)
    ]
    return Chart(figure, text("measure.roofline", title=title.rstrip("."), lines="; ".join(lines)))


def _draw_roofline(
    names: list[str], values: list[float], ceilings: list[float], told: list[str], title: str
) -> Any:
    """A filled bar for what was reached, inside an empty one that ends at the limit."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.7 + 0.6 * len(names)), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    places = list(range(len(names)))
    axes.barh(places, values, color=BLUE, height=0.36, label=text("measure.reached"))
    axes.barh(
        places, ceilings, height=0.64, facecolor="none", edgecolor=INK, linewidth=1.2,
        linestyle="--", label=text("measure.limit"),
    )  # fmt: skip
    for place, (value, ceiling, words) in enumerate(zip(values, ceilings, told, strict=True)):
        axes.annotate(
            words, (max(value, ceiling), place), xytext=(6, 0), textcoords="offset points",
            va="center", color=INK, fontsize=11,
        )  # fmt: skip
    axes.set_yticks(places, names, fontsize=11, color=INK)
    axes.invert_yaxis()
    axes.set_title(title, loc="left", fontsize=12, color=INK)
    axes.set_xlim(0, max([*values, *ceilings]) * 1.6)
    axes.xaxis.set_visible(False)
    axes.tick_params(left=False)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    figure.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=11, labelcolor=INK)
    return figure


def _digits(value: float) -> int:
    return 0 if value >= 100 else 1


def _device(name: str) -> torch.device:
    """Return a device that this machine has."""
    import torch

    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise CourseError(text("measure.unknown_device", name=name)) from error
    if device.type not in ("cpu", "cuda", "mps"):
        raise CourseError(text("measure.unknown_device", name=name))
    if device.type == "cuda" and not torch.cuda.is_available():
        raise CourseError(text("measure.no_cuda"))
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise CourseError(text("measure.no_such_gpu", name=name, count=torch.cuda.device_count()))
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise CourseError(text("measure.no_mps"))
    return device


def _require_memory(size_bytes: int, device: torch.device) -> None:
    """Refuse a probe that would not fit, before anything is asked for."""
    if device.type == "cuda":
        import torch

        free = torch.cuda.mem_get_info(device)[0]
    else:
        import psutil

        free = psutil.virtual_memory().available
    if size_bytes > free:
        raise CourseError(
            text("measure.big_probe", size=number(size_bytes / 1e9, 1), free=number(free / 1e9, 1))
        )


def _loaded_whole(load: Callable[[], Any]) -> Any:
    model = load()
    for weights in model.parameters():
        weights.sum()
    return model


def _resident_bytes() -> int:
    import psutil

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
