"""Measure what notebook 08 states about the ``datasets`` library.

``python benchmarks/data_loading.py`` prints two tables, each measured in one run:

* ``map`` with ``batched=True`` against one row at a time, the two taken in turns, on the course's
  reviews repeated: a function that costs little, and the tokenization of Portuguese, with one
  thread and with all of them;
* a set of 1 GB, written for this and deleted afterwards, gone through with ``streaming=True`` in
  a process of its own, whose largest memory is the operating system's figure (``VmHWM``). PyTorch
  takes most of it, and ``datasets`` imports it wherever it is installed: so it is measured with
  and without.

The file is not called ``datasets.py``, which would hide the library from what stands beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")

from helpers import measure
from helpers.display import number
from helpers.embedded import store
from helpers.environment import cache_folder

GIGABYTE = 1_000_000_000
SHARDS = 40  # 25 MB each: a whole Parquet file may be held while it is read
DOCUMENT_CHARACTERS = 8_000
ROWS_IN_A_GROUP = 125  # 1 MB: what becomes rows at once


def reviews(folder: Path) -> Any:
    """Return the course's reviews for training, from its own files."""
    from datasets import load_dataset

    files = store.ensure("curso/avaliacoes-pt") / "data" / "train-*.parquet"
    return load_dataset("parquet", data_files=str(files), split="train", cache_dir=str(folder))


def measure_map(times: int, repeats: int) -> None:
    """Print seconds and ratios of ``map`` with and without batches."""
    from datasets import concatenate_datasets
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(store.ensure("curso/e5-pt-en")))
    cases: dict[str, tuple[Callable[..., Any], Callable[..., Any], str]] = {
        "contar palavras": (
            lambda row: {"words": len(row["text"].split())},
            lambda batch: {"words": [len(text.split()) for text in batch["text"]]},
            "false",
        ),
        "tokenizar, uma thread": (lambda row: tokenizer(row["text"]),) * 2 + ("false",),
        "tokenizar, todas as threads": (lambda row: tokenizer(row["text"]),) * 2 + ("true",),
    }
    with tempfile.TemporaryDirectory() as folder:
        data = concatenate_datasets([reviews(Path(folder))] * times)
        print(f"`map` sobre {number(len(data), 0)} avaliações, mediana de {repeats} vezes:\n")
        print("| o que a função faz | uma a uma | em lotes de 1.000 | razão |")
        print("| --- | --- | --- | --- |")
        for name, (one, many, threads) in cases.items():
            os.environ["TOKENIZERS_PARALLELISM"] = threads
            slow, fast = in_turns(data, one, many, repeats)
            print(
                f"| {name} | {number(slow, 2)} s | {number(fast, 2)} s "
                f"| {number(slow / fast, 1)} × |"
            )


def in_turns(
    data: Any, one: Callable[..., Any], many: Callable[..., Any], repeats: int
) -> tuple[float, float]:
    """Return the median seconds of ``map`` one by one and in batches, after a turn to warm up."""
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for turn in range(repeats + 1):
        for batched, function in ((False, one), (True, many)):
            start = time.perf_counter()
            data.map(function, batched=batched, load_from_cache_file=False)
            if turn:
                seconds[batched].append(time.perf_counter() - start)
    return statistics.median(seconds[False]), statistics.median(seconds[True])


def write_documents(folder: Path) -> None:
    """Write 1 GB of documents: pieces of the course's reviews, cut at random places."""
    import numpy
    import pyarrow
    from pyarrow import parquet

    random = numpy.random.default_rng(0)
    with tempfile.TemporaryDirectory() as cache:
        texts = reviews(Path(cache))["text"][:]
    pool = " ".join(texts[place] for place in random.integers(0, len(texts), 20_000))
    rows = GIGABYTE // SHARDS // DOCUMENT_CHARACTERS
    for shard in range(SHARDS):
        starts = random.integers(0, len(pool) - DOCUMENT_CHARACTERS, rows)
        documents = [pool[start : start + DOCUMENT_CHARACTERS] for start in starts]
        parquet.write_table(
            pyarrow.table({"text": documents}),
            folder / f"parte-{shard}.parquet",
            compression="none",
            use_dictionary=False,
            row_group_size=ROWS_IN_A_GROUP,
        )


def stream(folder: Path) -> None:
    """Go through the documents, and print as JSON what it took."""
    from datasets import load_dataset

    files = str(folder / "*.parquet")
    start = time.perf_counter()
    data = load_dataset("parquet", data_files=files, split="train", streaming=True)
    characters = rows = first = 0
    for row in data:
        rows += 1
        characters += len(row["text"])
        first = first or measure.peak_memory_bytes()
    seconds = time.perf_counter() - start
    peak = measure.peak_memory_bytes()
    print(json.dumps([rows, characters, seconds, first, peak, "torch" in sys.modules]))


def measure_streaming() -> None:
    """Print the largest memory of processes that go through 1 GB."""
    with tempfile.TemporaryDirectory(dir=cache_folder()) as name:
        folder = Path(name)
        start = time.perf_counter()
        _child("--write", folder)
        written = time.perf_counter() - start
        size = sum(path.stat().st_size for path in folder.glob("*.parquet"))
        print(
            f"\n`streaming=True` sobre {number(size / GIGABYTE, 2)} GB em Parquet, "
            f"gravados em {number(written, 1)} s:\n"
        )
        print(
            "| processo | documentos | tempo | memória na primeira linha | maior memória |\n"
            "| --- | --- | --- | --- | --- |"
        )
        for use_torch in ("NO", "AUTO"):
            answer = _child("--stream", folder, USE_TORCH=use_torch)
            rows, _, seconds, first, peak, has_torch = json.loads(answer)
            print(
                f"| {'com' if has_torch else 'sem'} PyTorch | {number(rows, 0)} "
                f"| {number(seconds, 1)} s | {number(first / 1e6, 0)} MB "
                f"| {number(peak / 1e6, 0)} MB |"
            )


def _child(option: str, folder: Path, **environment: str) -> str:
    """Run this file with one option in a process of its own, and return what it printed."""
    command = [sys.executable, __file__, option, str(folder)]
    done = subprocess.run(
        command, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=30, help="how often to repeat the reviews")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--write", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--stream", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:
        write_documents(arguments.write)
    elif arguments.stream:
        stream(arguments.stream)
    else:
        measure_map(arguments.times, arguments.repeats)
        measure_streaming()
