"""Pictures: what is in them, and where."""

from __future__ import annotations

import io
import reprlib
from dataclasses import dataclass
from typing import Any

from helpers import pictures
from helpers.embedded.tasks.base import (
    Call,
    Handler,
    activation,
    integer,
    media_bytes,
    media_sentence,
    one_by_one,
    only,
    stock_pipeline,
)
from helpers.embedded.wire import WireError
from helpers.errors import CourseError

CLASSIFICATION, DETECTION = "image-classification", "object-detection"
DEFAULT_TOP_K = 5
DEFAULT_THRESHOLD = 0.5
SIDES_LIMIT = 20
"""How many times as long as wide a picture may be: the short side is what a model scales to."""

_UNREADABLE = "cannot identify image file"


@dataclass(frozen=True)
class Picture:
    """A checked call.

    Attributes:
        data: A picture file's bytes.
        is_json: Whether they came as base64 in JSON.
        parameters: What the pipeline is called with.
    """

    data: bytes
    is_json: bool
    parameters: dict[str, Any]


def _prepare_classification(call: Call) -> Picture:
    only(call.parameters, ("top_k", "function_to_apply"), "ImageClassificationPipeline")
    parameters = {
        "top_k": integer(call.parameters, "top_k", DEFAULT_TOP_K),
        "function_to_apply": activation(call.parameters),
    }
    return _picture(call, CLASSIFICATION, parameters)


def _prepare_detection(call: Call) -> Picture:
    threshold = call.parameters.get("threshold")
    if isinstance(threshold, bool) or not isinstance(threshold, int | float | None):
        shown = reprlib.repr(threshold)
        raise ValueError(f"threshold parameter should be a number (got {shown})")
    if threshold is None:
        threshold = DEFAULT_THRESHOLD
    if not 0 <= threshold <= 1:
        shown = reprlib.repr(threshold)
        raise ValueError(f"threshold parameter should be between 0 and 1 (got {shown})")
    return _picture(call, DETECTION, {"threshold": threshold})


def _picture(call: Call, task: str, parameters: dict[str, Any]) -> Picture:
    malformed = f"{task} expects `inputs` to be a base64-encoded `str`."
    return Picture(media_bytes(call, task, malformed), call.content_type is None, parameters)


def _classify(classifier: Any, job: Picture) -> Any:
    return classifier(_decoded(job, CLASSIFICATION), **job.parameters)


def _detect(detector: Any, job: Picture) -> Any:
    return detector(_decoded(job, DETECTION), **job.parameters)


def _decoded(job: Picture, task: str) -> Any:
    """Return the picture in RGB.

    Raises:
        WireError: 413, it has too many pixels.
        ValueError: It is no picture.
    """
    try:
        _check_size(job.data)
        return pictures.decode(job.data)
    except CourseError as error:
        if job.is_json:
            raise ValueError(
                f"{media_sentence(task)} The decoded bytes are not valid media ({_UNREADABLE})."
            ) from error
        raise ValueError(_UNREADABLE) from error


def _check_size(data: bytes) -> None:
    """Look at the size that the file states, before anything is unfolded."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=pictures.FORMATS) as picture:
            width, height = picture.size
    except Image.DecompressionBombError as error:
        raise WireError(413, str(error)) from error
    except Exception as error:  # decoders fed with arbitrary bytes raise whatever they stumble on
        raise CourseError(_UNREADABLE) from error
    if width * height > pictures.MAX_PIXELS:
        raise WireError(
            413,
            f"Image size ({width * height} pixels) exceeds limit of {pictures.MAX_PIXELS} pixels, "
            "could be decompression bomb DOS attack.",
        )
    if max(width, height) > SIDES_LIMIT * min(width, height):
        raise WireError(
            413,
            f"Image of {width} x {height} pixels is too narrow: at most {SIDES_LIMIT} times as "
            "long as wide is accepted.",
        )


IMAGE_CLASSIFICATION = Handler(
    stock_pipeline(CLASSIFICATION),
    _prepare_classification,
    one_by_one(_classify),
    accepts=("image/", "application/octet-stream"),
)
OBJECT_DETECTION = Handler(
    stock_pipeline(DETECTION), _prepare_detection, one_by_one(_detect), accepts=("image/",)
)
