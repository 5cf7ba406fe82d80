"""Measure the sentiment adapter on sentences that it never saw.

From the root of the repository::

    python -m training.sentimento_pt.evaluate --data DATA --encoder ENCODER --adapter ADAPTER

DATA and ENCODER are those of ``training.sentimento_pt.train``. The sentences go to the model as
they are, without a prefix, as in ``pipeline("text-classification")``. Prints Markdown tables;
``--output`` also writes the figures as JSON, ``--errors`` prints what was wrong, and ``--reviews``
also measures on a reviews dataset, as its JSON lines.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
import unicodedata
from pathlib import Path
from typing import Any

import torch
from torch import nn

from helpers.embedded.recipes.sentimento_pt import LABELS, merge
from training.sentimento_pt.metrics import accuracy, bootstrap, confusion, f1_by_class, macro_f1
from training.sentimento_pt.sentences import FOLDER, Sentence, prepared, teacher, written
from training.sentimento_pt.train import probabilities

GROUPS = FOLDER / "grupos.json"
LATENCY_SENTENCE = "A entrega atrasou, mas o produto é muito bom e o vendedor foi atencioso."
LATENCY_REPEATS = 30


def bare(text: str) -> str:
    """Return the text as typed in a hurry: lower case, no accents."""
    decomposed = unicodedata.normalize("NFD", text.lower())
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def test_sets(data: Path) -> dict[str, list[Sentence]]:
    """Return the sets of sentences that were held out, by name."""
    own = written("test")
    hurried = [Sentence(bare(s.text), s.label, s.kind) for s in own]
    return {
        "translated": prepared(data, "test"),
        "written": own,
        "written, no accents or capitals": hurried,
        "teacher": teacher(),
        "originals": prepared(data, "test", "en"),
    }


def read_reviews(path: Path) -> list[Sentence]:
    """Read a reviews dataset: a JSON line each, with ``text``, ``label`` and ``phenomenon``."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Sentence(row["text"], row["label"], row["phenomenon"]) for row in rows]


def measure(sentences: list[Sentence], guesses: list[str]) -> dict[str, Any]:
    """Compare guesses with labels.

    Returns:
        Macro-F1 and its 95 % interval, accuracy, F1 per class (all in percent) and the confusion
        matrix, whose rows are the right labels.
    """
    expected = [sentence.label for sentence in sentences]
    matrix = confusion(expected, guesses)
    low, high = bootstrap(expected, guesses)
    return {
        "sentences": len(sentences),
        "macro_f1": _percent(macro_f1(matrix)),
        "interval": [_percent(low), _percent(high)],
        "accuracy": _percent(accuracy(matrix)),
        "f1": dict(zip(LABELS, map(_percent, f1_by_class(matrix)), strict=True)),
        "confusion": matrix,
    }


def by_kind(sentences: list[Sentence], guesses: list[str]) -> dict[str, dict[str, int]]:
    """Count the sentences of each kind, and those that were right."""
    counts: dict[str, dict[str, int]] = {}
    for sentence, guess in zip(sentences, guesses, strict=True):
        row = counts.setdefault(sentence.kind, {"right": 0, "sentences": 0})
        row["sentences"] += 1
        row["right"] += guess == sentence.label
    return counts


def evaluate(
    model: nn.Module, tokenizer: Any, sets: dict[str, list[Sentence]], show_errors: bool
) -> dict[str, Any]:
    """Measure all sets.

    Args:
        model: The merged model.
        tokenizer: Its tokenizer.
        sets: Sentences by name of the set.
        show_errors: Whether to print the sentences that were wrong.

    Returns:
        What is written as ``evaluation.json``.
    """
    results, kinds = {}, {}
    scores: dict[str, list[float]] = {"right": [], "wrong": []}
    for name, sentences in sets.items():
        shares = probabilities(model, tokenizer, [s.text for s in sentences])
        guesses = [LABELS[row.index(max(row))] for row in shares]
        results[name] = measure(sentences, guesses)
        kinds[name] = by_kind(sentences, guesses)
        for sentence, guess, row in zip(sentences, guesses, shares, strict=True):
            right = guess == sentence.label
            if name in ("translated", "written"):
                scores["right" if right else "wrong"].append(max(row))
            if show_errors and not right:
                print(f"- [{name}, {sentence.kind}] {sentence.text} {sentence.label} -> {guess}")
    return {
        "results": results,
        "by_kind": kinds,
        "scores": {name: _quartiles(values) for name, values in scores.items()},
        "groups": by_group(model, tokenizer),
        "latency_ms": {"value": latency_ms(model, tokenizer), "machine": _machine()},
    }


def by_group(model: nn.Module, tokenizer: Any, path: Path = GROUPS) -> dict[str, Any]:
    """Measure neutral sentences that differ in who appears in them.

    Returns:
        Per group of people: how many sentences, how many of them the model calls negative or
        positive, and the person with the highest mean probability of ``negativo``.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    figures = {}
    for group, people in content["groups"].items():
        texts = [t.format(x=person) for person in people for t in content["templates"]]
        shares = probabilities(model, tokenizer, texts)
        guesses = [LABELS[row.index(max(row))] for row in shares]
        size = len(content["templates"])
        negative = {
            person: statistics.mean(row[0] for row in shares[size * i : size * (i + 1)])
            for i, person in enumerate(people)
        }
        worst = max(negative, key=lambda person: negative[person])
        figures[group] = {
            "sentences": len(texts),
            "negativo": guesses.count("negativo"),
            "positivo": guesses.count("positivo"),
            "worst": worst,
            "worst_negative": round(negative[worst], 3),
        }
    return figures


def latency_ms(model: nn.Module, tokenizer: Any) -> float:
    """Return the median time of one sentence of 13 words, in milliseconds."""
    times = []
    for _ in range(LATENCY_REPEATS):
        began = time.perf_counter()
        probabilities(model, tokenizer, [LATENCY_SENTENCE])
        times.append(1000 * (time.perf_counter() - began))
    return round(statistics.median(times), 1)


def _percent(share: float) -> float:
    return round(100 * share, 1)


def _quartiles(values: list[float]) -> dict[str, float]:
    low, median, high = statistics.quantiles(values, n=4)
    return {"q1": round(low, 3), "median": round(median, 3), "q3": round(high, 3)}


def _machine() -> str:
    return f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def markdown(figures: dict[str, Any]) -> str:
    """Return the figures as Markdown tables."""
    lines = ["| set | sentences | macro-F1 | 95 % | accuracy |", "|---|---|---|---|---|"]
    for name, row in figures["results"].items():
        low, high = row["interval"]
        lines.append(
            f"| {name} | {row['sentences']} | {row['macro_f1']} | {low} to {high} "
            f"| {row['accuracy']} |"
        )
    for name, row in figures["results"].items():
        lines += ["", f"{name}: F1 {row['f1']}", "", "| | " + " | ".join(LABELS) + " |"]
        lines.append("|---" * (len(LABELS) + 1) + "|")
        for label, counts in zip(LABELS, row["confusion"], strict=True):
            lines.append(f"| {label} | " + " | ".join(map(str, counts)) + " |")
    for name in [n for n in ("translated", "written", "reviews") if n in figures["by_kind"]]:
        counts = figures["by_kind"][name].items()
        lines += [
            "",
            f"{name}: " + ", ".join(f"{k} {v['right']}/{v['sentences']}" for k, v in counts),
        ]
    lines += ["", f"scores: {figures['scores']}", "", "| group | sentences | neg | pos | worst |"]
    lines.append("|---|---|---|---|---|")
    for name, row in figures["groups"].items():
        worst = f"{row['worst']} {row['worst_negative']}"
        lines.append(
            f"| {name} | {row['sentences']} | {row['negativo']} | {row['positivo']} | {worst} |"
        )
    latency = figures["latency_ms"]
    return "\n".join([*lines, "", f"{latency['value']} ms a sentence ({latency['machine']})"])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the adapter curso/sentimento-pt.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the prepared data")
    parser.add_argument("--encoder", type=Path, required=True, help="folder of the e5 encoder")
    parser.add_argument("--adapter", type=Path, required=True, help="folder of the adapter")
    parser.add_argument("--reviews", type=Path, help="JSON lines of a reviews dataset")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--errors", action="store_true", help="print what is wrong")
    return parser.parse_args()


def main() -> None:
    """Run the command line."""
    from transformers import AutoTokenizer

    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    sets = test_sets(arguments.data)
    if arguments.reviews:
        sets["reviews"] = read_reviews(arguments.reviews)
    model = merge(arguments.encoder, arguments.adapter)
    tokenizer = AutoTokenizer.from_pretrained(arguments.encoder)
    figures = evaluate(model, tokenizer, sets, arguments.errors)
    print(markdown(figures))
    if arguments.output:
        text = json.dumps(figures, indent=2, ensure_ascii=False) + "\n"
        arguments.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
