"""Train the sentiment adapter ``curso/sentimento-pt`` on the e5 encoder.

From the root of the repository, with the encoder built by ``helpers/embedded/recipes/e5.py`` and
the data by ``training/sentimento_pt/prepare.py``::

    python -m training.sentimento_pt.prepare --archive ARCHIVE --output DATA [--engine package]
    python -m training.sentimento_pt.train --data DATA --encoder ENCODER --output OUTPUT
    python -m training.sentimento_pt.evaluate --data DATA --encoder ENCODER --adapter OUTPUT

An epoch sees each translated sentence once (but only a share of the movie reviews, which are half
of all opinions), a share of the English originals and each of the course's own sentences several
times. Shares are drawn anew each time. Portuguese sentences are at times stripped of what people
leave out when they type in a hurry: accents, capitals, the full stop.
After each epoch OUTPUT holds the adapter in the form of the ``peft`` library, and the macro-F1 on
the validation sentences is printed.

The seed fixes the data of each step and the initial weights. The schedule of the learning rate
follows the steps, or the clock if that is well ahead of them: a run ends by ``--max-minutes``,
however busy the machine is. Give it plenty of minutes and the same command gives the same adapter.
"""

from __future__ import annotations

import argparse
import random
import time
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from helpers.embedded.recipes.sentimento_pt import LABELS, base
from training.qa_pt.lora import CLASSIFICATION, add_lora, save_adapter, share_dropout
from training.qa_pt.train import learning_rate_factor
from training.sentimento_pt.metrics import confusion, macro_f1
from training.sentimento_pt.sentences import Sentence, prepared, written

MAX_TOKENS = 128
BARE_SHARE = 0.12
LOWER_SHARE = 0.2
NO_STOP_SHARE = 0.3
# How far the clock has to be ahead of the steps, as a share of the run, before it sets the pace.
CLOCK_SLACK = 0.02


@dataclass(frozen=True)
class Settings:
    """What decides a run besides its data: see the command line."""

    epochs: int
    seed: int
    rank: int
    alpha: int
    learning_rate: float
    head_learning_rate: float
    warmup: float
    tokens_per_batch: int
    movie_share: float
    english_share: float
    written_repeats: int
    smoothing: float
    dropout: float
    max_minutes: float


@dataclass(frozen=True)
class Corpus:
    """What is trained on: translations, their originals, and the course's own sentences."""

    portuguese: list[Sentence]
    english: list[Sentence]
    own: list[Sentence]


def read_corpus(data: Path) -> Corpus:
    """Read the training split of everything."""
    return Corpus(prepared(data, "train"), prepared(data, "train", "en"), written("train"))


def hurried(text: str, rng: random.Random) -> str:
    """Return the text as it is or, at times, without accents, capitals or the final full stop."""
    if rng.random() < BARE_SHARE:
        decomposed = unicodedata.normalize("NFD", text)
        text = "".join(c for c in decomposed if not unicodedata.combining(c))
    if rng.random() < LOWER_SHARE:
        text = text.lower()
    if rng.random() < NO_STOP_SHARE and text.endswith(".") and not text.endswith(".."):
        text = text[:-1]
    return text


def epoch_sentences(
    corpus: Corpus, settings: Settings, rng: random.Random
) -> list[tuple[str, str]]:
    """Draw the (text, label) pairs of one epoch."""
    films = [s for s in corpus.portuguese if s.kind == "filmes"]
    translated = [s for s in corpus.portuguese if s.kind != "filmes"]
    translated += rng.sample(films, round(settings.movie_share * len(films)))
    english = rng.sample(corpus.english, round(settings.english_share * len(corpus.english)))
    own = corpus.own * settings.written_repeats
    portuguese = [(hurried(s.text, rng), s.label) for s in [*translated, *own]]
    return portuguese + [(s.text, s.label) for s in english]


def class_weights(corpus: Corpus) -> Tensor:
    """Return a weight per class, in ``LABELS``' order, of mean 1: rarer classes weigh more.

    The weight goes with the inverse square root of the count, half-way between ignoring the
    imbalance and undoing it.
    """
    counts = Counter(sentence.label for sentence in [*corpus.portuguese, *corpus.own])
    weights = torch.tensor([counts[name] ** -0.5 for name in LABELS])
    return weights / weights.mean()


def batches(lengths: list[int], tokens: int, rng: random.Random) -> list[list[int]]:
    """Group like lengths into batches of at most ``tokens`` padded tokens, in random order.

    Args:
        lengths: Tokens of each sentence.
        tokens: Limit of the padded batch.
        rng: What shuffles.

    Returns:
        Indices into ``lengths``, a list for each batch.
    """
    order = sorted(rng.sample(range(len(lengths)), len(lengths)), key=lambda i: lengths[i] // 4)
    groups: list[list[int]] = [[]]
    longest = 0
    for index in order:
        longest = max(longest, lengths[index])
        if groups[-1] and longest * (len(groups[-1]) + 1) > tokens:
            groups.append([])
            longest = lengths[index]
        groups[-1].append(index)
    rng.shuffle(groups)
    return groups


def train(data: Path, encoder: Path, output: Path, settings: Settings) -> None:
    """Train, and save the adapter after every epoch.

    Args:
        data: Folder that ``training.sentimento_pt.prepare`` wrote.
        encoder: Folder of the encoder.
        output: Folder of the adapter; made if need be.
        settings: The rest.
    """
    from transformers import AutoTokenizer

    torch.manual_seed(settings.seed)
    rng = random.Random(settings.seed)
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    corpus = read_corpus(data)
    # Eager attention: the backward pass of the fused kernel is slower on a CPU at this length.
    model = base(encoder, attention_probs_dropout_prob=0.0, attn_implementation="eager")
    share_dropout(model.get_submodule("bert"), settings.dropout)
    add_lora(model, settings.rank, settings.alpha, CLASSIFICATION)
    optimizer = _optimizer(model, settings)
    weights = class_weights(corpus)
    print(f"{vars(settings)}\nclass weights {weights.tolist()}", flush=True)
    output.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    for epoch in range(settings.epochs):
        pairs = epoch_sentences(corpus, settings, rng)
        _epoch(model, optimizer, tokenizer, pairs, weights, epoch, settings, rng, began)
        save_adapter(model, output, settings.rank, settings.alpha, CLASSIFICATION)
        minutes = (time.monotonic() - began) / 60
        print(f"epoch {epoch + 1} saved, {len(pairs)} sentences, {minutes:.1f} min", flush=True)
        _print_validation(model, tokenizer, data)
        if minutes >= settings.max_minutes:
            return


def _optimizer(model: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    head = [p for name, p in trained if name.startswith(CLASSIFICATION.modules)]
    updates = [p for name, p in trained if not name.startswith(CLASSIFICATION.modules)]
    groups = [
        {"params": updates, "top": settings.learning_rate},
        {"params": head, "top": settings.head_learning_rate},
    ]
    return torch.optim.AdamW(groups, weight_decay=0.01)


def _epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    tokenizer: Any,
    pairs: list[tuple[str, str]],
    weights: Tensor,
    epoch: int,
    settings: Settings,
    rng: random.Random,
    began: float,
) -> None:
    texts = [text for text, _ in pairs]
    encoded = tokenizer(texts, truncation=True, max_length=MAX_TOKENS)["input_ids"]
    groups = batches([len(ids) for ids in encoded], settings.tokens_per_batch, rng)
    model.train()
    recent = 0.0
    for step, group in enumerate(groups):
        minutes = (time.monotonic() - began) / 60
        if minutes >= settings.max_minutes:
            return
        steps = (epoch + step / len(groups)) / settings.epochs
        clock = minutes / settings.max_minutes
        progress = clock if clock > steps + CLOCK_SLACK else steps
        factor = learning_rate_factor(progress, settings.warmup)
        for parameters in optimizer.param_groups:
            parameters["lr"] = parameters["top"] * factor
        batch = tokenizer.pad({"input_ids": [encoded[i] for i in group]}, return_tensors="pt")
        target = torch.tensor([LABELS.index(pairs[i][1]) for i in group])
        loss = functional.cross_entropy(
            model(**batch).logits.float(),
            target,
            weight=weights,
            label_smoothing=settings.smoothing,
        )
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        recent = loss.item() if step == 0 else 0.97 * recent + 0.03 * loss.item()
        if step % 50 == 0:
            state = f"step {step}/{len(groups)} loss {recent:.3f} {minutes:.1f} min"
            print(f"epoch {epoch + 1} {state}", flush=True)


def probabilities(
    model: nn.Module, tokenizer: Any, texts: list[str], batch_size: int = 64
) -> list[list[float]]:
    """Return the probability of each class for each text, in ``LABELS``' order."""
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    rows: list[list[float]] = [[] for _ in texts]
    model.eval()
    for first in range(0, len(order), batch_size):
        chosen = order[first : first + batch_size]
        batch = tokenizer(
            [texts[i] for i in chosen],
            padding=True,
            truncation=True,
            max_length=MAX_TOKENS,
            return_tensors="pt",
        )
        with torch.inference_mode():
            shares = model(**batch).logits.float().softmax(1).tolist()
        for index, row in zip(chosen, shares, strict=True):
            rows[index] = row
    return rows


def predict(model: nn.Module, tokenizer: Any, texts: list[str]) -> list[str]:
    """Return the most probable class of each text."""
    rows = probabilities(model, tokenizer, texts)
    return [LABELS[row.index(max(row))] for row in rows]


def _print_validation(model: nn.Module, tokenizer: Any, data: Path) -> None:
    sets = {"translated": prepared(data, "validation"), "written": written("validation")}
    for name, sentences in sets.items():
        guesses = predict(model, tokenizer, [s.text for s in sentences])
        score = macro_f1(confusion([s.label for s in sentences], guesses))
        print(f"validation, {name}: macro-F1 {100 * score:.1f} of {len(sentences)}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train the adapter curso/sentimento-pt.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the prepared data")
    parser.add_argument("--encoder", type=Path, required=True, help="folder of the e5 encoder")
    parser.add_argument("--output", type=Path, required=True, help="folder of the adapter")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--rank", type=int, default=12)
    parser.add_argument("--alpha", type=int, default=24)
    parser.add_argument("--learning-rate", type=float, default=8e-4)
    parser.add_argument("--head-learning-rate", type=float, default=8e-4)
    parser.add_argument("--warmup", type=float, default=0.06, help="share of the run")
    parser.add_argument("--tokens-per-batch", type=int, default=1024)
    parser.add_argument("--movie-share", type=float, default=0.6, help="movie reviews an epoch")
    parser.add_argument("--english-share", type=float, default=0.2, help="originals an epoch")
    parser.add_argument("--written-repeats", type=int, default=4)
    parser.add_argument("--smoothing", type=float, default=0.05, help="of the labels")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--max-minutes", type=float, default=120.0, help="the run ends by then")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def main() -> None:
    """Run the command line."""
    arguments = vars(_arguments())
    torch.set_num_threads(arguments.pop("threads"))
    data, encoder, output = (arguments.pop(name) for name in ("data", "encoder", "output"))
    train(data, encoder, output, Settings(**arguments))


if __name__ == "__main__":
    main()
