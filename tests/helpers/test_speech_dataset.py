"""The speech clips: the sound, the rows, the card, and what its figures are made of."""

import io
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from huggingface_hub import DatasetCard

from helpers.embedded import store
from helpers.embedded.catalog import catalog
from helpers.embedded.recipes import speech

REPOSITORY = "curso/falas"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder():
    return store.ensure(REPOSITORY)


@pytest.fixture(scope="module")
def rows(folder):
    return pq.read_table(folder / "data").to_pylist()


@pytest.fixture(scope="module")
def benchmark():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import speech_clips

    sys.path.remove(str(ROOT / "benchmarks"))
    return speech_clips


def sound(row):
    return soundfile.read(io.BytesIO(row["audio"]["bytes"]), dtype="float32")


def test_every_clip_is_short_clean_speech_at_16_khz(rows):
    for row in rows:
        samples, rate = sound(row)
        assert rate == speech.SAMPLING_RATE and samples.ndim == 1
        assert 2 < len(samples) / rate < 8, row["audio"]["path"]
        assert 0.1 < np.abs(samples).max() < 1.0  # heard, and not cut off at the top
    assert sum(len(row["audio"]["bytes"]) for row in rows) < 1_500_000


def test_the_noisy_clip_is_the_quiet_one_with_noise(rows):
    clips = {row["audio"]["path"]: row for row in rows}
    quiet, noisy = clips["rio-dora.flac"], clips["rio-dora-ruido.flac"]
    assert quiet["text"] == noisy["text"]
    start = int(0.15 * speech.SAMPLING_RATE)  # before the speech begins
    assert np.abs(sound(quiet)[0][:start]).max() < 0.01
    assert sound(noisy)[0][:start].std() > 0.02


def test_rows_say_who_speaks(rows):
    assert len({row["audio"]["path"] for row in rows}) == len(rows)
    for row in rows:
        assert row["language"] == ("pt" if row["synthetic"] else "en")
        assert row["text"][0].isupper() and row["text"].endswith(".")
        program = row["source"].split()[0].rstrip(",")
        assert program in ({"Kokoro-82M", "espeak-ng"} if row["synthetic"] else {"LibriVox"})
        assert row["licence"] == ("CC BY 4.0" if row["synthetic"] else "domínio público")
        assert ("ruído" in row["source"]) == ("ruido" in row["audio"]["path"])


def test_no_clip_is_left_out():
    source = catalog().repository(REPOSITORY).source
    kept = {path.name for path in (source / "clips").iterdir()}
    assert kept == {row["audio"]["path"] for row in speech.rows(source)}


def test_load_dataset_gives_bytes_without_a_decoder(folder, tmp_path):
    from datasets import Audio, load_dataset

    data = load_dataset(str(folder), split="train", cache_dir=str(tmp_path))
    assert data.features["audio"].sampling_rate == speech.SAMPLING_RATE
    raw = data.cast_column("audio", Audio(decode=False))
    assert soundfile.info(io.BytesIO(raw[0]["audio"]["bytes"])).format == "FLAC"
    streamed = load_dataset(str(folder), split="train", cache_dir=str(tmp_path), streaming=True)
    first = next(iter(streamed.cast_column("audio", Audio(decode=False))))
    assert first["audio"]["bytes"] == raw[0]["audio"]["bytes"]


def test_card_describes_columns_and_counts(rows):
    repository = catalog().repository(REPOSITORY)
    card = DatasetCard.load(repository.card)
    info = card.data.dataset_info
    assert [feature["name"] for feature in info["features"]] == list(speech.FEATURES)
    assert [split["num_examples"] for split in info["splits"]] == [len(rows)]
    assert card.data.task_categories == [repository.task]


def test_error_rates_of_the_card_follow_from_its_transcriptions(rows, benchmark):
    texts = {Path(row["audio"]["path"]).stem: row["text"] for row in rows}
    card = catalog().repository(REPOSITORY).card.read_text(encoding="utf-8")
    lines = [line.strip("| ").split(" | ") for line in card.splitlines() if " % | " in line]
    assert {line[0].strip("`") for line in lines} == texts.keys()
    for name, _, stated, heard in lines:
        rate = 100 * benchmark.word_error_rate(texts[name.strip("`")], heard)
        assert stated == f"{rate:.1f} %".replace(".", ","), name


@pytest.mark.parametrize(
    ("reference", "heard", "rate"),
    [
        ("a casa", "A casa!", 0),
        ("a casa azul", "a cama azul", 1 / 3),
        ("a casa azul", "casa azul", 1 / 3),
        ("a casa", "a minha casa nova", 1),
        ("a casa", "", 1),
    ],
)
def test_word_error_rate(benchmark, reference, heard, rate):
    assert benchmark.word_error_rate(reference, heard) == pytest.approx(rate)


@pytest.mark.slow  # a minute on two cores
@pytest.mark.parametrize("name", ["casaco-alex", "sense-and-sensibility-0880", "feriado-espeak"])
def test_whisper_hears_what_the_card_says(name, benchmark):
    from transformers import AutoModelForSpeechSeq2Seq, AutoProcessor

    repository = catalog().repository(REPOSITORY)
    model_folder = store.ensure("curso/whisper-base")
    processor = AutoProcessor.from_pretrained(model_folder)
    model = AutoModelForSpeechSeq2Seq.from_pretrained(model_folder)
    language = "en" if name.startswith("sense") else "pt"
    path = repository.source / "clips" / f"{name}.flac"
    heard = benchmark.transcribe(processor, model, path, language)
    assert f"| {heard} |" in repository.card.read_text(encoding="utf-8")
