"""Automatic speech recognition: the words of a recording."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import Any

from helpers.audio import MalformedSoundfile, Recording, decode
from helpers.embedded.tasks.base import (
    Call,
    Handler,
    integer,
    media_bytes,
    one_by_one,
    only_for_generation,
    stock_pipeline,
)
from helpers.embedded.wire import WireError
from helpers.errors import CourseError

TASK = "automatic-speech-recognition"
SECONDS_LIMIT = 60
"""Seconds of speech in one request: two of the model's windows, a few seconds' work."""
WINDOW_SECONDS = 30
NEW_TOKENS = 224
"""Tokens of a window, at most and by the model's own default: twice what thirty seconds' speech
usually has, so that a model that repeats itself comes to an end."""
BEAMS_LIMIT = 2

_GENERATION = ("generation_parameters", "generate_kwargs")
_KNOWN = ("language", "task", "max_new_tokens", "num_beams", "do_sample", "temperature")


@dataclass(frozen=True)
class Speech:
    """A checked call.

    Attributes:
        recording: What was said; one channel, at the model's sampling rate.
        return_timestamps: ``True`` for a chunk a sentence, ``"word"`` for a chunk a word.
        generation: What ``generate`` is called with.
    """

    recording: Recording
    return_timestamps: bool | str
    generation: dict[str, Any]


def _prepare(call: Call) -> Speech:
    data = media_bytes(call, TASK, "Malformed soundfile")
    parameters = _flat(call.parameters)
    timestamps = parameters.pop("return_timestamps", None) or False
    if timestamps == "char":
        raise ValueError(
            "Whisper cannot return `char` timestamps, only word level or segment level timestamps. "
            "Use `return_timestamps='word'` or `return_timestamps=True` respectively."
        )
    if timestamps not in (True, False, "word"):
        raise ValueError(
            "return_timestamps parameter should be a boolean or 'word' "
            f"(got {reprlib.repr(timestamps)})"
        )
    generation = _generation(parameters)
    return Speech(_decoded(data), timestamps, generation)


def _flat(parameters: dict[str, Any]) -> dict[str, Any]:
    flat = {name: value for name, value in parameters.items() if name not in _GENERATION}
    for name in _GENERATION:
        inner = parameters.get(name)
        if not isinstance(inner, dict | None):
            raise ValueError(f"{name} parameter should be a dict (got {reprlib.repr(inner)})")
        flat.update(inner or {})
    return {name: value for name, value in flat.items() if value is not None}


def _generation(parameters: dict[str, Any]) -> dict[str, Any]:
    only_for_generation(parameters, _KNOWN)
    checked: dict[str, Any] = {
        name: integer(parameters, name, 1, highest=highest)
        for name, highest in (("max_new_tokens", NEW_TOKENS), ("num_beams", BEAMS_LIMIT))
        if name in parameters
    }
    for name in ("language", "task"):
        if name in parameters:
            value = parameters[name]
            if not isinstance(value, str):
                raise ValueError(f"{name} parameter should be a string (got {reprlib.repr(value)})")
            checked[name] = value[:40]
    for name in ("do_sample", "temperature"):
        if parameters.get(name):
            raise ValueError(
                f"{name} parameter is not supported here: words are not drawn by lot "
                f"(got {reprlib.repr(parameters[name])})"
            )
    return checked


def _recognise(recogniser: Any, job: Speech) -> dict[str, Any]:
    recording = job.recording
    is_long = recording.seconds > WINDOW_SECONDS
    answer = recogniser(
        {"raw": recording.samples, "sampling_rate": recording.sampling_rate},
        return_timestamps=job.return_timestamps or None,
        # Windows of a fixed length, as the API has them: left to find its own way, the model can
        # creep through a silence in dozens of them.
        chunk_length_s=WINDOW_SECONDS if is_long else 0,
        ignore_warning=True,
        generate_kwargs=job.generation,
    )
    if not job.return_timestamps:
        return {"text": answer["text"]}
    chunks = [
        {"text": chunk["text"], "timestamp": _interval(chunk["timestamp"], recording.seconds)}
        for chunk in answer["chunks"]
    ]
    return {"text": answer["text"], "chunks": chunks}


def _interval(timestamp: tuple[float, float | None], seconds: float) -> list[float]:
    """Return a chunk's start and end; one that the recording cuts off ends with it."""
    start, end = timestamp
    return [start, seconds if end is None else end]


def _decoded(data: bytes) -> Recording:
    """Return the recording, as the model takes it.

    Raises:
        WireError: 413, it is too long.
        ValueError: It is no recording.
    """
    try:
        return decode(data, max_seconds=SECONDS_LIMIT)
    except MalformedSoundfile as error:
        raise ValueError("Malformed soundfile") from error
    except CourseError as error:
        raise WireError(
            413, f"The recording is too long: at most {SECONDS_LIMIT} seconds are accepted."
        ) from error


HANDLER = Handler(
    stock_pipeline(TASK),
    _prepare,
    one_by_one(_recognise),
    accepts=("audio/", "application/octet-stream"),
)
