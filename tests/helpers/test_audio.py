import io
import struct

import numpy as np
import pytest
import soundfile

from helpers import audio
from helpers.errors import CourseError

SECOND = 16000


def tone(seconds=1.0, rate=SECOND, frequency=440.0):
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)


def encode(samples, rate=SECOND, kind="WAV", subtype=None):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, subtype=subtype)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        ("WAV", "PCM_16"),
        ("WAV", "FLOAT"),
        ("FLAC", "PCM_24"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", None),
    ],
)
def test_common_formats_are_read(kind, subtype):
    recording = audio.decode(encode(tone(), kind=kind, subtype=subtype))
    assert recording.samples.dtype == np.float32
    assert recording.sampling_rate == SECOND
    assert recording.seconds == pytest.approx(1, abs=0.08)
    middle = recording.samples[4000:12000]
    spectrum = np.abs(np.fft.rfft(middle))
    assert np.argmax(spectrum) * SECOND / len(middle) == pytest.approx(440, abs=2)
    assert middle.std() == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_the_sound_is_resampled(rate):
    recording = audio.decode(encode(tone(rate=rate), rate))
    assert len(recording.samples) == pytest.approx(SECOND, abs=2)
    middle = slice(2000, 14000)
    assert np.abs(recording.samples[middle] - tone()[: len(recording.samples)][middle]).max() < 0.01


def test_another_rate_can_be_asked_for():
    assert audio.decode(encode(tone()), sampling_rate=8000).samples.shape == (8000,)


def test_channels_are_averaged():
    stereo = np.stack([np.full(SECOND, 0.5), np.full(SECOND, -0.25)], axis=1)
    recording = audio.decode(encode(stereo))
    assert recording.samples.shape == (SECOND,)
    assert np.allclose(recording.samples, 0.125, atol=1e-4)


def test_a_path_is_read(tmp_path):
    path = tmp_path / "fala.wav"
    path.write_bytes(encode(tone()))
    assert np.array_equal(audio.decode(path).samples, audio.decode(path.read_bytes()).samples)
    assert np.array_equal(audio.decode(str(path)).samples, audio.decode(path).samples)


def test_a_missing_file_is_a_sentence(tmp_path):
    with pytest.raises(CourseError, match="não pôde ser aberto") as caught:
        audio.decode(tmp_path / "nada.wav")
    assert not isinstance(caught.value, audio.MalformedSoundfile)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        bytes(100_000),
        b"RIFF\xff\xff\xff\xffWAVE",
        b"<html>erro</html>" * 100,
        encode(tone())[:30],
        b"ID3" + bytes(500),
        b"\x89PNG\r\n\x1a\n" + bytes(1000),
    ],
    ids=["empty", "text", "zeros", "header", "html", "cut", "id3", "png"],
)
def test_what_is_no_sound_is_malformed(data):
    with pytest.raises(audio.MalformedSoundfile, match="WAV, FLAC, OGG ou MP3|vazia"):
        audio.decode(data)


def test_random_bytes_never_escape_as_another_error():
    random = np.random.default_rng(0)
    starts = [encode(tone(0.1), kind=kind)[:64] for kind in ("WAV", "FLAC", "OGG", "MP3")]
    refused = 0
    for index in range(200):
        data = starts[index % 4] + random.bytes(int(random.integers(1, 4000)))
        try:
            audio.decode(data)
        except CourseError:
            refused += 1
    assert refused > 0


def test_a_sound_without_samples_is_empty():
    with pytest.raises(audio.MalformedSoundfile, match="vazia"):
        audio.decode(encode(np.zeros(0)))


def test_a_long_recording_is_refused_whatever_its_header_says():
    silence = encode(np.zeros(20 * SECOND), kind="FLAC")
    assert len(silence) < 100_000
    with pytest.raises(CourseError, match="5 segundos"):
        audio.decode(silence, max_seconds=5)
    assert audio.decode(silence, max_seconds=20).seconds == 20


def test_a_big_file_is_refused_before_it_is_read(tmp_path):
    data = encode(tone())
    path = tmp_path / "grande.wav"
    path.write_bytes(data)
    for source in (data, path):
        with pytest.raises(CourseError, match="limite é de 0 MB"):
            audio.decode(source, max_bytes=1000)


def test_a_header_that_lies_about_the_rate_takes_no_memory():
    data = bytearray(encode(tone()))
    data[24:28] = struct.pack("<I", 4_000_000_000)
    with pytest.raises(audio.MalformedSoundfile):
        audio.decode(bytes(data))


def test_values_that_are_no_numbers_become_silence():
    samples = np.zeros(SECOND, np.float32)
    samples[100:200] = np.nan
    samples[300] = np.inf
    recording = audio.decode(encode(samples, subtype="FLOAT"))
    assert np.isfinite(recording.samples).all()
    assert recording.samples[150] == 0 and recording.samples[300] == 1


def test_recording_is_shown_as_a_player_that_plays_the_same_sound():
    sound = tone(1.5).astype(np.float32)
    recording = audio.Recording(sound, SECOND)
    shown = recording._repr_mimebundle_()
    assert shown["text/plain"] == "Gravação de 1,5 s"
    assert "<audio controls" in shown["text/html"] and "Gravação de 1,5 s" in shown["text/html"]
    played = audio.decode(recording.ogg())
    assert played.sampling_rate == SECOND
    assert abs(played.seconds - recording.seconds) < 0.01
    assert len(recording.ogg()) < 24_000
