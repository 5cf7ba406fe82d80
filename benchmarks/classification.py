"""A thousand Portuguese classifications: the loop of tutorials against batches; processes.

Run it on a quiet machine: `python benchmarks/classification.py`. It prints a Markdown table. Every
ratio is the median of rounds in which both sides take turns.
"""

import argparse
import copy
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from helpers.environment import share_processors  # noqa: E402

share_processors()  # as in the notebook; read when PyTorch is imported

import torch  # noqa: E402
from datasets import load_dataset  # noqa: E402
from reporting import LIMITS, print_heading, print_table  # noqa: E402
from transformers import pipeline  # noqa: E402
from transformers.utils import logging  # noqa: E402

from helpers import processes  # noqa: E402
from helpers.batching import padding_share  # noqa: E402
from helpers.display import number  # noqa: E402
from helpers.embedded import store  # noqa: E402

MODEL, REVIEWS = "curso/sentimento-pt", "curso/avaliacoes-pt"
COUNT = 1000
BATCH = 32
# The first argument is the model's folder, the second the texts', the third how many at a time.
SCRIPT = """
import json, sys, time, torch
from accelerate import PartialState
from transformers import AutoModelForSequenceClassification, AutoTokenizer

folder, path, size, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
state = PartialState(cpu=not torch.cuda.is_available())
texts = sorted(json.load(open(path, encoding="utf-8")), key=len)
mine = texts[state.process_index :: state.num_processes]
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
model = model.to(state.device).eval()

@torch.inference_mode()
def work():
    for start in range(0, len(mine), size):
        inputs = tokenizer(
            mine[start : start + size], padding=True, truncation=True, max_length=512,
            return_tensors="pt",
        )
        model(**inputs.to(state.device)).logits.argmax(-1).tolist()

work()
seconds = []
for _ in range(rounds):
    state.wait_for_everyone()
    start = time.perf_counter()
    work()
    state.wait_for_everyone()
    seconds.append(time.perf_counter() - start)
if state.is_main_process:
    print(json.dumps(seconds))
state.destroy_process_group()
"""

Row = tuple[str, str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each comparison")
    parser.add_argument(
        "--sample", type=int, default=125, help="texts of the thousand that the slow ways read"
    )
    parser.add_argument(
        "--only", choices=("batches", "processes"), help="measure one of the two halves"
    )
    options = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    folder = store.ensure(MODEL)
    rows = []
    if options.only != "processes":
        rows += classification_rows(folder, sentences(), options.rounds, options.sample)
    if options.only != "batches":
        rows += process_rows(folder, sentences(), options.rounds)
    print_heading("torch", "transformers", "accelerate")
    print_table(LIMITS, rows)


def sentences() -> list[str]:
    data = load_dataset(str(store.ensure(REVIEWS)))
    return [*data["train"]["text"], *data["test"]["text"]]


def thousand(pool: list[str]) -> list[str]:
    """The same texts as in notebook 07: most have one sentence, a few are long."""
    generator = random.Random(7)
    return [
        " ".join(generator.sample(pool, generator.choice([1, 1, 1, 1, 1, 1, 2, 2, 3, 8])))
        for _ in range(COUNT)
    ]


# --- one process ------------------------------------------------------------------------------


def classification_rows(folder: Path, pool: list[str], rounds: int, sample: int) -> list[Row]:
    texts = thousand(pool)
    model = pipeline("text-classification", model=str(folder), dtype=torch.float32)
    tokenizer = model.tokenizer
    half = copy.deepcopy(model.model).to(torch.bfloat16)
    lengths = [len(ids) for ids in tokenizer(texts, truncation=True, max_length=512)["input_ids"]]
    by_length = sorted(range(COUNT), key=lambda place: lengths[place])
    # Of every length alike, in the order in which they came.
    places = sorted(by_length[:: max(1, COUNT // sample)])
    sampled = [texts[place] for place in places]

    def loop() -> list[str]:
        return [model(text)[0]["label"] for text in sampled]

    def unsorted() -> list[str]:
        return [result["label"] for result in model(sampled, batch_size=BATCH)]

    def in_batches(weights: torch.nn.Module) -> list[str]:
        labels = [""] * COUNT
        for batch in split(by_length):
            inputs = tokenizer(
                [texts[place] for place in batch],
                padding=True,
                truncation=True,
                max_length=512,
                return_tensors="pt",
            )
            with torch.inference_mode():
                best = weights(**inputs).logits.argmax(-1).tolist()
            for place, label in zip(batch, best, strict=True):
                labels[place] = model.model.config.id2label[label]
        return labels

    ways: dict[str, Callable[[], list[str]]] = {
        "laço, um texto por chamada": loop,
        f"pipeline com batch_size={BATCH}, na ordem de chegada": unsorted,
        f"lotes de {BATCH} por comprimento": lambda: in_batches(model.model),
        f"lotes de {BATCH} por comprimento, em bfloat16": lambda: in_batches(half),
    }
    seconds, labels = taking_turns(ways, rounds)
    first, *others = ways
    each = {name: [one / len(labels[name]) for one in found] for name, found in seconds.items()}
    naive = statistics.median(each[first])
    rows = [(f"{first} ({len(places)} textos): textos por segundo", number(1 / naive, 1), "")]
    for name in others:
        ratios = [one / other for one, other in zip(each[first], each[name], strict=True)]
        aim = "3 ×" if "comprimento" in name else ""
        speed = number(1 / statistics.median(each[name]), 1)
        found = labels[name]
        if len(found) == COUNT:
            found = [found[place] for place in places]
        same = sum(one == other for one, other in zip(labels[first], found, strict=True))
        shown = f"{spread(ratios)}, {speed} por segundo, {same} de {len(places)} rótulos iguais"
        rows.append((f"— {name} / laço", shown, aim))
    arrival = list(range(COUNT))
    shares = [padding_share(lengths, split(order)) for order in (arrival, by_length)]
    told = " e ".join(f"{number(100 * share, 0)} %" for share in shares)
    rows.append(("enchimento nos mil textos: na ordem de chegada e por comprimento", told, ""))
    whole = f"{min(lengths)} a {max(lengths)}, mediana {statistics.median(lengths):.0f}"
    return [*rows, ("tokens por texto", whole, "")]


def split(order: list[int]) -> list[list[int]]:
    return [order[start : start + BATCH] for start in range(0, len(order), BATCH)]


def taking_turns(
    ways: dict[str, Callable[[], list[str]]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[str]]]:
    """Measure each way once a round, so that all meet the same weather; the first is a warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    labels = {}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            labels[name] = way()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds, labels


# --- several processes ------------------------------------------------------------------------


def process_rows(folder: Path, pool: list[str], rounds: int) -> list[Row]:
    """One process with two threads against two with one each, on the same texts."""
    generator = random.Random(7)
    long = [" ".join(generator.sample(pool, generator.randint(16, 24))) for _ in range(48)]
    short = generator.sample(pool, 96)
    with tempfile.TemporaryDirectory() as place:
        script = Path(place, "script.py")
        script.write_text(SCRIPT, encoding="utf-8")
        return [
            process_row("textos longos, lotes de 16", script, folder, long, 16, rounds, "1,5 ×"),
            process_row("textos de uma frase, um a um", script, folder, short, 1, rounds, ""),
        ]


def process_row(
    name: str, script: Path, folder: Path, texts: list[str], size: int, rounds: int, aim: str
) -> Row:
    path = script.with_name("texts.json")
    path.write_text(json.dumps(texts), encoding="utf-8")
    ratios = []
    for _ in range(2):  # each start anew, turn about
        one = launch(script, folder, path, size, rounds, count=1, threads=2)
        two = launch(script, folder, path, size, rounds, count=2, threads=1)
        ratios.append(statistics.median(one) / statistics.median(two))
    what = f"accelerate, {name}: dois processos de uma thread / um processo de duas"
    return what, spread(ratios), aim


def launch(
    script: Path, folder: Path, path: Path, size: int, rounds: int, *, count: int, threads: int
) -> list[float]:
    several = "--multi_gpu" if count > 1 else ""
    printed = processes.run(
        f"accelerate launch {several} --num_processes {count} --num_machines 1 "
        f"--num_cpu_threads_per_process {threads} --mixed_precision no --dynamo_backend no "
        f"--main_process_port {processes.free_port()} {script} {folder} {path} {size} {rounds}"
    )
    found: list[float] = json.loads(printed.splitlines()[-1])
    return found


# --- showing ----------------------------------------------------------------------------------


def spread(ratios: list[float]) -> str:
    middle = number(statistics.median(ratios))
    return f"{middle} × ({number(min(ratios))} a {number(max(ratios))})"


if __name__ == "__main__":
    main()
