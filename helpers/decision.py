"""On one's own machine or through an API? The arithmetic behind the answer, and the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from helpers.display import Chart, bars, number
from helpers.errors import CourseError
from helpers.messages import text
from helpers.models import WORKING_MEMORY

BYTES_PER_PARAMETER = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0, "int8": 1.0, "int4": 0.5}

GPU_MEMORY = {"T4": 16e9, "L4": 24e9, "A100": 80e9}
"""Bytes of memory of GPUs that can be rented, as their maker states them, smallest first."""

DATA_KINDS = ("public", "internal", "personal")
A_FEW_REQUESTS = 10
"""Requests a day below which one is trying a model out."""
WORTH_DOWNLOADING = 1e9
"""Bytes of weights from which a download is worth avoiding just to try a model out."""
WORTH_RENTING = 0.25
"""Share of the day that a rented GPU must be busy: it is paid for while idle, too."""
SECONDS_PER_DAY = 24 * 60 * 60


@dataclass(frozen=True)
class Decision:
    """Where a model had better run, and why.

    Attributes:
        place: ``"here"``, ``"api"`` or ``"rented"``.
        sentence: the answer and its reason.
        needed_bytes: memory that the model takes while it works.
        available_bytes: memory of this machine.
        busy: share of a day that the requests keep one machine busy.
    """

    place: str
    sentence: str
    needed_bytes: float
    available_bytes: float
    busy: float

    def __repr__(self) -> str:
        return self.sentence

    def chart(self) -> Chart:
        """Draw the memory that the model needs beside that of each machine."""
        sizes = {
            text("decision.the_model"): self.needed_bytes,
            text("decision.this_machine"): self.available_bytes,
            **GPU_MEMORY,
        }
        return bars(
            list(sizes),
            [size / 1e9 for size in sizes.values()],
            title=text("decision.chart_title"),
            unit="GB",
            digits=1,
        )


def weights_bytes(parameters: float, precision: str) -> float:
    """Return the memory of a model's weights.

    Args:
        parameters: how many numbers the model has.
        precision: a key of ``BYTES_PER_PARAMETER``, such as ``"bfloat16"``.

    Raises:
        CourseError: for an unknown precision, or no parameters.
    """
    if precision not in BYTES_PER_PARAMETER:
        known = ", ".join(BYTES_PER_PARAMETER)
        raise CourseError(text("decision.bad_precision", precision=precision, known=known))
    if parameters <= 0:
        raise CourseError(text("decision.bad_number", name="parameters"))
    return parameters * BYTES_PER_PARAMETER[precision]


def cache_bytes(config: Any, tokens: int, bytes_per_number: int = 2) -> int:
    """Return the memory of a language model's key-value cache for one conversation.

    Args:
        config: the model's configuration, as ``AutoConfig.from_pretrained`` gives it.
        tokens: length of the conversation, question and answer together.
        bytes_per_number: 2 for bfloat16 and float16, 4 for float32.
    """
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    head_size = getattr(config, "head_dim", None)
    head_size = head_size or config.hidden_size // config.num_attention_heads
    keys_and_values = 2
    layers = config.num_hidden_layers
    return keys_and_values * layers * heads * head_size * tokens * bytes_per_number


def decide(
    parameters: float,
    precision: str = "bfloat16",
    *,
    requests_per_day: float = 100,
    seconds_per_request: float = 1.0,
    data: str = "public",
    memory_bytes: float | None = None,
) -> Decision:
    """Say where a model had better run.

    The rules, in order: personal data stays with whoever answers for it; a model that does not
    fit goes to an API, or to a rented GPU if it would keep one busy; one that fits runs here,
    unless it is only being tried out or one machine is not enough.

    Args:
        parameters: how many numbers the model has.
        precision: a key of ``BYTES_PER_PARAMETER``.
        requests_per_day: how often it is called.
        seconds_per_request: how long one call keeps the machine busy.
        data: ``"public"``, ``"internal"`` or ``"personal"``.
        memory_bytes: memory to count on; by default the GPU's, or this machine's without one.

    Raises:
        CourseError: for an unknown precision or kind of data, or a number below zero.
    """
    weights = weights_bytes(parameters, precision)
    if data not in DATA_KINDS:
        raise CourseError(text("decision.bad_data", data=data, known=", ".join(DATA_KINDS)))
    for name, value in {
        "requests_per_day": requests_per_day,
        "seconds_per_request": seconds_per_request,
    }.items():
        if value < 0:
            raise CourseError(text("decision.bad_number", name=name))
    needed = weights * WORKING_MEMORY
    available = this_memory() if memory_bytes is None else memory_bytes
    busy = requests_per_day * seconds_per_request / SECONDS_PER_DAY
    fits = needed <= available
    trying = requests_per_day < A_FEW_REQUESTS and weights >= WORTH_DOWNLOADING
    place, reason = _rule(data, fits=fits, busy=busy, trying=trying)
    sentence = text(
        f"decision.{reason}",
        needed=_gigabytes(needed),
        available=_gigabytes(available),
        download=_gigabytes(weights),
        gpu=_smallest_gpu(needed),
        busy=number(busy * 100, 0 if busy >= 0.1 else 1),
    )
    return Decision(place, sentence, needed, available, busy)


def this_memory() -> float:
    """Return the memory that a model can count on here: the GPU's, or the machine's without one."""
    from helpers.environment import inspect

    environment = inspect()
    return float(environment.device_memory_bytes or environment.memory_bytes)


def _rule(data: str, *, fits: bool, busy: float, trying: bool) -> tuple[str, str]:
    """Return the place and the reason's key."""
    if data == "personal":
        return ("here", "personal_here") if fits else ("rented", "personal_rented")
    if not fits:
        return ("rented", "busy_rented") if busy >= WORTH_RENTING else ("api", "too_big_api")
    if busy > 1:
        return "api", "too_busy_api"
    if trying and data == "public":
        return "api", "trying_api"
    return "here", "fits_here"


def _smallest_gpu(needed: float) -> str:
    """Name the smallest GPU, or the fewest of the largest, that holds a model."""
    for name, memory in GPU_MEMORY.items():
        if needed <= memory:
            return text("decision.one_gpu", name=name)
    name, memory = list(GPU_MEMORY.items())[-1]
    return text("decision.several_gpus", count=-int(-needed // memory), name=name)


def _gigabytes(size: float) -> str:
    return f"{number(size / 1e9, 1 if size < 1e11 else 0)} GB"
