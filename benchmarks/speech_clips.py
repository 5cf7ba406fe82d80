"""Transcribe the clips of ``curso/falas`` with the course's Whisper, as the card states it.

Run with ``python benchmarks/speech_clips.py``. Prints one line a clip: word error rate, file and
transcription. Greedy and in float32 on the CPU, so the figures are the same everywhere.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import soundfile
import torch
from transformers import AutoModelForSpeechSeq2Seq, AutoProcessor

from helpers.embedded import store
from helpers.embedded.catalog import catalog
from helpers.embedded.recipes.speech import CLIPS

MAX_NEW_TOKENS = 60


def main() -> None:
    """Run the command line."""
    source = catalog().repository("curso/falas").source
    assert source is not None
    folder = store.ensure("curso/whisper-base")
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForSpeechSeq2Seq.from_pretrained(folder, dtype=torch.float32)
    for clip in tomllib.loads((source / CLIPS).read_text(encoding="utf-8"))["clip"]:
        heard = transcribe(processor, model, source / "clips" / clip["file"], clip["language"])
        rate = word_error_rate(clip["text"], heard)
        print(f"{100 * rate:5.1f} %  {clip['file']}: {heard}")


def transcribe(processor: Any, model: Any, path: Path, language: str) -> str:
    """Return what the model hears in a clip whose language is known."""
    samples, rate = soundfile.read(path, dtype="float32")
    inputs = processor(samples, sampling_rate=rate, return_tensors="pt", return_attention_mask=True)
    ids = model.generate(
        **inputs, language=language, task="transcribe", max_new_tokens=MAX_NEW_TOKENS
    )
    return processor.batch_decode(ids, skip_special_tokens=True)[0].strip()


def word_error_rate(reference: str, heard: str) -> float:
    """Return how many words were changed, added or lost, for each word of the reference.

    Case and punctuation do not count; "8" for "oito" does.
    """
    expected, found = words(reference), words(heard)
    costs = list(range(len(found) + 1))  # to turn nothing into each beginning of `found`
    for row, word in enumerate(expected, start=1):
        diagonal, costs[0] = costs[0], row
        for column, other in enumerate(found, start=1):
            best = min(costs[column] + 1, costs[column - 1] + 1, diagonal + (word != other))
            diagonal, costs[column] = costs[column], best
    return costs[-1] / len(expected)


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, hyphenated ones in parts."""
    return re.findall(r"\w+", text.lower())


if __name__ == "__main__":
    main()
