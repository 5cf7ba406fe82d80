"""Small pictures and recordings for the contract tests, and ways to spoil them."""

import io
import struct
import wave
import zlib

import numpy as np
from PIL import Image

from helpers import audio
from helpers.embedded.catalog import FOLDER

CLIPS = FOLDER / "datasets" / "falas" / "clips"
HOLIDAY = CLIPS / "feriado-dora.flac"
"""Amanhã não haverá aula, porque é feriado na cidade."""


def picture(width=160, height=120, file_format="PNG"):
    """The bytes of a picture: bands of colour with a disc."""
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = np.stack([columns * 255 // width, rows * 255 // height, (rows + columns) % 256], -1)
    disc = (rows - height / 2) ** 2 + (columns - width / 2) ** 2 < (min(width, height) / 3) ** 2
    pixels[disc] = (200, 30, 30)
    return encoded(Image.fromarray(pixels.astype(np.uint8)), file_format)


def encoded(image, file_format="PNG"):
    stream = io.BytesIO()
    image.save(stream, format=file_format)
    return stream.getvalue()


def png_that_claims(width, height):
    """A few bytes that say that they unfold into a picture of any size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def tone(seconds=1.0, rate=16_000):
    """The bytes of a WAV file: one note."""
    times = np.arange(int(seconds * rate)) / rate
    return wav(0.3 * np.sin(2 * np.pi * 440 * times), rate)


def then_silence(path, seconds):
    """The bytes of a WAV file: a recording, and silence after it."""
    recording = audio.decode(path)
    silence = np.zeros(seconds * recording.sampling_rate, dtype=np.float32)
    return wav(np.concatenate([recording.samples, silence]), recording.sampling_rate)


def wav(samples, rate):
    stream = io.BytesIO()
    with wave.open(stream, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes((samples * 32767).astype("<i2").tobytes())
    return stream.getvalue()
