"""Read sound files into what speech models take: one channel of float32 at 16 kHz."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.display import number
from helpers.errors import CourseError
from helpers.messages import text

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SAMPLING_RATE = 16000  # what Whisper was trained on, in samples a second
MAX_BYTES = 32 << 20
MAX_SECONDS = 300.0
MAX_CHANNELS = 8
RATES = range(1000, 384_001)  # samples a second of a file that is believed
BLOCK = 1 << 18  # samples of each channel that are decoded at once

# soundfile's names. Raw samples without a header are not here: any bytes at all would do.
FORMATS = frozenset({"WAV", "WAVEX", "FLAC", "OGG", "MP3", "AIFF", "AU", "CAF", "W64", "RF64"})


class MalformedSoundfile(CourseError):
    """The data is no sound that can be read; the inference API says "Malformed soundfile"."""


@dataclass(frozen=True)
class Recording:
    """A sound, ready for a speech model.

    Attributes:
        samples: float32, full scale from -1 to 1, one channel, shape ``(samples,)``.
        sampling_rate: samples a second.
    """

    samples: npt.NDArray[np.float32]
    sampling_rate: int

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.samples) / self.sampling_rate

    def __repr__(self) -> str:
        return text("audio.recording", seconds=number(self.seconds, 1))

    def ogg(self) -> bytes:
        """Return the sound as an OGG file's bytes, small enough to be kept in a notebook."""
        import soundfile

        buffer = BytesIO()
        soundfile.write(buffer, self.samples, self.sampling_rate, format="OGG", subtype="VORBIS")
        return buffer.getvalue()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """A player with its name for screen readers, and a line of text where nothing sounds."""
        encoded = base64.b64encode(self.ogg()).decode()
        source = f"data:audio/ogg;base64,{encoded}"
        player = f'<audio controls aria-label="{escape(repr(self))}" src="{source}"></audio>'
        return {"text/html": player, "text/plain": repr(self)}


def decode(
    data: bytes | str | os.PathLike[str],
    sampling_rate: int = SAMPLING_RATE,
    *,
    max_bytes: int = MAX_BYTES,
    max_seconds: float = MAX_SECONDS,
) -> Recording:
    """Read a WAV, FLAC, OGG or MP3 file.

    Args:
        data: the bytes of the file, or its path.
        sampling_rate: samples a second of the result; the sound is resampled if it has another.
        max_bytes: largest file accepted.
        max_seconds: longest recording accepted. No more than this is ever decoded, whatever the
            file claims.

    Returns:
        The recording, its channels averaged into one.

    Raises:
        MalformedSoundfile: if the data is no sound, is damaged, or holds no sample.
        CourseError: if the file cannot be opened, or is larger or longer than accepted.
    """
    contents = data if isinstance(data, bytes) else _contents(Path(data), max_bytes)
    _check_size(len(contents), max_bytes)
    samples, found_rate = _samples(contents, max_seconds)
    if found_rate != sampling_rate:
        import soxr

        samples = soxr.resample(samples, found_rate, sampling_rate)
    return Recording(samples, sampling_rate)


def _contents(path: Path, max_bytes: int) -> bytes:
    try:
        _check_size(path.stat().st_size, max_bytes)
        return path.read_bytes()
    except OSError as error:
        raise CourseError(text("audio.unreadable", path=path)) from error


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        limit, size = max_bytes >> 20, -(-size >> 20)
        raise CourseError(text("audio.too_big", size=size, limit=limit))


def _samples(contents: bytes, max_seconds: float) -> tuple[npt.NDArray[np.float32], int]:
    """Decode to one channel, stopping as soon as it proves too long."""
    import numpy as np
    import soundfile

    try:
        with soundfile.SoundFile(BytesIO(contents)) as sound:
            _check_header(sound)
            blocks = _blocks(sound, max_seconds)
            rate = sound.samplerate
    except (soundfile.SoundFileError, ValueError, TypeError) as error:
        raise MalformedSoundfile(text("audio.not_audio")) from error
    if not sum(map(len, blocks)):
        raise MalformedSoundfile(text("audio.empty"))
    return np.concatenate(blocks), rate


def _check_header(sound: Any) -> None:
    is_known = sound.format in FORMATS and sound.samplerate in RATES
    if not is_known or sound.channels > MAX_CHANNELS:
        raise MalformedSoundfile(text("audio.not_audio"))


def _blocks(sound: Any, max_seconds: float) -> list[npt.NDArray[np.float32]]:
    """Read the channels' average, block by block.

    The header's count of samples is not trusted: in a damaged or hostile file it can be anything.
    """
    import numpy as np

    blocks: list[npt.NDArray[np.float32]] = []
    left = int(max_seconds * sound.samplerate)
    while True:
        block = sound.read(BLOCK, dtype="float32", always_2d=True)
        if not len(block):
            return blocks
        left -= len(block)
        if left < 0:
            raise CourseError(text("audio.too_long", limit=f"{max_seconds:g}"))
        blocks.append(np.nan_to_num(block.mean(axis=1), posinf=1.0, neginf=-1.0))
