"""Measure what notebook 09 trains: time, and macro-F1 beside what has to be beaten.

Run with ``python benchmarks/training.py``; ``--seeds 1 2 3`` trains once for each seed and prints
their spread. Figures are of the held-out sentences of ``curso/frases-avaliadas-pt``, and of the
reviews of ``curso/avaliacoes-pt``, which nothing here was trained on; with ``--on validation``, by
which layers and epochs are to be chosen, of the validation sentences alone. On the CPU, in the
precision that the notebook would choose.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import disable_progress_bars, load_dataset
from transformers.utils import logging

from helpers import evaluation, training
from helpers.embedded import store
from helpers.evaluation import Evaluation

ENCODER = "curso/e5-pt-en"
RATED = "curso/frases-avaliadas-pt"
REVIEWS = "curso/avaliacoes-pt"
STRENGTHS = (0.0001, 0.001, 0.01, 0.1, 1)
LIMIT_SECONDS = 300
LIMIT_MACRO_F1 = 0.75


@dataclass(frozen=True)
class Data:
    """What is trained on and judged: tokenized, with the labels' names."""

    rated: Any
    reviews: Any
    labels: list[str]
    tokenizer: Any


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Measure the training of notebook 09.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[7], help="one training for each")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument(
        "--layers", type=int, default=4, help="layers with an adapter, from the top"
    )
    parser.add_argument("--on", choices=("test", "validation"), default="test")
    parser.add_argument("--float32", action="store_true", help="as on a processor without AMX")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.filterwarnings("ignore", category=FutureWarning)
    logging.set_verbosity_error()
    disable_progress_bars()
    precision = {"use_cpu": True} if arguments.float32 else training.precision("cpu")
    print(
        f"precision: {precision or 'float32'}, threads: {arguments.threads}, "
        f"layers: {arguments.layers}, epochs: {arguments.epochs}, judged on: {arguments.on}"
    )
    data = read()
    judged = data.rated[arguments.on]
    truth = list(judged["label"])
    ((most, _),) = Counter(data.rated["train"]["label"]).most_common(1)
    report("always the most frequent", judge(truth, [most] * len(truth), data), 0.0)
    began = time.perf_counter()
    answers = frozen(data, judged)
    report("frozen encoder + regression", judge(truth, answers, data), time.perf_counter() - began)
    found = []
    for seed in arguments.seeds:
        trainer, seconds = train(data, seed, arguments.epochs, arguments.layers, precision)
        found.append(judge(truth, predicted(trainer, data, judged), data))
        report(f"adapter, seed {seed}", found[-1], seconds)
        if arguments.on == "validation":
            continue
        outside = predicted(trainer, data, data.reviews)
        report("  the same, other reviews", judge(data.reviews["label"], outside, data), None)
        check(found[-1], seconds)
    if len(found) > 1:
        scores = [100 * one.macro_f1 for one in found]
        print(
            f"{len(scores)} seeds: from {min(scores):.1f} to {max(scores):.1f}, "
            f"mean {statistics.mean(scores):.1f}, deviation {statistics.stdev(scores):.1f}"
        )


def read() -> Data:
    """Load and tokenize both datasets."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(store.ensure(ENCODER))

    def tokenize(batch: dict[str, list[Any]]) -> Any:
        return tokenizer(batch["text"], truncation=True, max_length=128)

    rated = load_dataset(str(store.ensure(RATED))).map(tokenize, batched=True)
    reviews = load_dataset(str(store.ensure(REVIEWS)), split="test").map(tokenize, batched=True)
    return Data(rated, reviews, rated["train"].features["label"].names, tokenizer)


def batches(data: Data, texts: list[str], size: int = 64) -> Iterator[tuple[list[int], Any]]:
    """Yield texts of like length together, each batch with its places in the list."""
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    for first in range(0, len(order), size):
        chosen = order[first : first + size]
        batch = data.tokenizer(
            [texts[place] for place in chosen],
            padding=True,
            truncation=True,
            max_length=128,
            return_tensors="pt",
        )
        yield chosen, batch


def frozen(data: Data, judged: Any) -> list[int]:
    """Answer what is judged with a logistic regression on the encoder's own embeddings.

    Its strength is chosen on the validation sentences, as in notebook 09.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from transformers import AutoModel

    encoder = AutoModel.from_pretrained(store.ensure(ENCODER)).eval()

    def embed(texts: list[str]) -> Any:
        rows = torch.empty(len(texts), encoder.config.hidden_size)
        for chosen, batch in batches(data, texts):
            with torch.inference_mode():
                hidden = encoder(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1)
            rows[chosen] = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        return rows.numpy()

    train_rows, check_rows = data.rated["train"], data.rated["validation"]
    vectors, check_vectors = embed(list(train_rows["text"])), embed(list(check_rows["text"]))

    def fitted(strength: float) -> Any:
        regression = LogisticRegression(C=strength, max_iter=1000)
        return make_pipeline(StandardScaler(), regression).fit(vectors, list(train_rows["label"]))

    def validation_score(strength: float) -> float:
        answers = fitted(strength).predict(check_vectors).tolist()
        return judge(check_rows["label"], answers, data).macro_f1

    best = fitted(max(STRENGTHS, key=validation_score))
    return [int(label) for label in best.predict(embed(list(judged["text"])))]


def train(
    data: Data, seed: int, epochs: int, layers: int, precision: dict[str, bool]
) -> tuple[Any, float]:
    """Train as notebook 09 does.

    Returns:
        The trainer, and how long it took, in seconds, judging the validation sentences included.
    """
    from peft import LoraConfig, get_peft_model
    from transformers import (
        AutoModelForSequenceClassification,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    set_seed(seed)
    base = AutoModelForSequenceClassification.from_pretrained(
        store.ensure(ENCODER), num_labels=len(data.labels)
    )
    adapter = LoraConfig(
        task_type="SEQ_CLS",
        r=16,
        lora_alpha=32,
        target_modules=["query", "key", "value", "dense"],
        layers_to_transform=list(range(12 - layers, 12)),
        layers_pattern="layer",
        modules_to_save=["pooler", "classifier"],
    )
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=str(Path(folder)),
            num_train_epochs=epochs,
            learning_rate=1e-3,
            warmup_steps=0.06,
            per_device_train_batch_size=32,
            per_device_eval_batch_size=64,
            train_sampling_strategy="group_by_length",
            logging_steps=10,
            eval_strategy="epoch",
            save_strategy="epoch",
            save_total_limit=1,
            report_to="none",
            disable_tqdm=True,
            seed=seed,
            **precision,
        )
        trainer = Trainer(
            model=get_peft_model(base, adapter),
            args=arguments,
            train_dataset=data.rated["train"],
            eval_dataset=data.rated["validation"],
            processing_class=data.tokenizer,
        )
        return trainer, training.fit(trainer, live=False).seconds


def predicted(trainer: Any, data: Data, rows: Any) -> list[int]:
    """Return the class answered for each row; ``Trainer.predict`` would change their order."""
    texts = list(rows["text"])
    answers = [0] * len(texts)
    model = trainer.model.eval()
    for chosen, batch in batches(data, texts):
        with torch.inference_mode():
            places = model(**batch).logits.argmax(dim=-1).tolist()
        for row, place in zip(chosen, places, strict=True):
            answers[row] = place
    return answers


def judge(truth: Any, answers: list[int], data: Data) -> Evaluation:
    """Compare answers with the labels."""
    return evaluation.evaluate(list(truth), answers, data.labels)


def report(name: str, found: Evaluation, seconds: float | None) -> None:
    """Print a line."""
    f1 = ", ".join(f"{100 * score:.1f}" for score in found.f1)
    taken = "" if seconds is None else f", {seconds:.1f} s"
    print(
        f"{name}: {found.count} sentences, macro-F1 {100 * found.macro_f1:.1f} "
        f"({100 * found.low:.1f} to {100 * found.high:.1f}), "
        f"accuracy {100 * found.accuracy:.1f}, F1 {f1}{taken}",
        flush=True,
    )


def check(found: Evaluation, seconds: float) -> None:
    """Say whether the course's own limits were kept."""
    quality = "kept" if found.macro_f1 >= LIMIT_MACRO_F1 else "MISSED"
    speed = "kept" if seconds <= LIMIT_SECONDS else "MISSED"
    print(
        f"  limits: macro-F1 of at least {LIMIT_MACRO_F1:.0%} {quality}, "
        f"at most {LIMIT_SECONDS} s {speed}",
        flush=True,
    )


if __name__ == "__main__":
    main()
