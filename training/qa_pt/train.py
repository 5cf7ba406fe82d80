"""Train the question-answering adapter ``curso/qa-pt`` on the e5 encoder.

From the root of the repository, with the encoder built by ``helpers/embedded/recipes/e5.py``::

    python -m training.qa_pt.train --data DATA --encoder ENCODER --output OUTPUT

DATA holds ``faquad_train.json``, ``squadpt_sample.json``, ``xquad_en.json`` and ``xquad_es.json``
(SQuAD's JSON form). After each epoch OUTPUT holds the adapter in the form of the ``peft`` library.
Whole articles are held out (``HELD_OUT``); ``python -m training.qa_pt.evaluate`` measures on them.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.qa_pt.lora import add_lora, load_adapter, save_adapter, share_dropout
from training.qa_pt.plain import generate
from training.qa_pt.squad import (
    Example,
    Feature,
    features,
    read_squad,
    split,
    unanswerable,
)

HELD_OUT = {
    "faquad_train": {
        "MEC",
        "ENGENHARIA_DE_SOFTWARE",
        "EXERCICIOS_DOMICILIARES",
        "HISTORIA_DA_FACOM",
    },
    "squadpt_sample": {"Montana", "Genocide"},
    "xquad_en": set(),
    "xquad_es": set(),
}
# How many times an epoch sees each question of a set. FaQuAD is the only set written in
# Portuguese by people; Spanish helps less and its words cost more tokens.
REPEATS = {"faquad_train": 2.0, "squadpt_sample": 1.0, "xquad_en": 1.0, "xquad_es": 0.5}


@dataclass(frozen=True)
class Settings:
    """What decides a run besides its data: see the command line."""

    epochs: int
    seed: int
    rank: int
    alpha: int
    learning_rate: float
    warmup: float
    tokens_per_batch: int
    plain: int
    unanswerable_share: float
    dropout: float
    max_minutes: float


def training_examples(folder: Path) -> dict[str, list[Example]]:
    """Read every set of the folder, without its held-out articles."""
    sets = {}
    for source, held_out in HELD_OUT.items():
        examples = read_squad(folder / f"{source}.json", source, recover=True)
        sets[source] = split(examples, held_out)[0]
    return sets


def epoch_features(
    sets: dict[str, list[Example]], tokenizer: Any, settings: Settings, rng: random.Random
) -> list[Feature]:
    """Draw the questions of one epoch and turn them into windows.

    Unanswerable questions, plain questions and the reference to learn (where annotators
    disagree) are drawn anew each time.
    """
    chosen: list[Example] = []
    for source, examples in sets.items():
        whole, part = divmod(REPEATS[source], 1)
        chosen += examples * int(whole) + rng.sample(examples, int(part * len(examples)))
    share = settings.unanswerable_share
    impossible = unanswerable(chosen, int(len(chosen) * share / (1 - share)), rng)
    chosen += impossible + generate(settings.plain, rng.randrange(2**31))
    windows = []
    for example in chosen:
        answer = rng.choice(example.answers) if example.answers else None
        windows += features(tokenizer, example, answer)
    return windows


def batches(windows: list[Feature], tokens: int, rng: random.Random) -> list[list[Feature]]:
    """Group windows of like length into batches of at most ``tokens`` tokens, in random order."""
    shuffled = sorted(rng.sample(windows, len(windows)), key=lambda window: len(window.ids) // 8)
    groups: list[list[Feature]] = [[]]
    for window in shuffled:
        longest = max([len(window.ids), *(len(w.ids) for w in groups[-1])])
        if groups[-1] and longest * (len(groups[-1]) + 1) > tokens:
            groups.append([])
        groups[-1].append(window)
    rng.shuffle(groups)
    return groups


def collate(group: list[Feature], pad: int) -> dict[str, Tensor]:
    """Pad a batch; shapes ``[batch, longest]`` for ids and mask, ``[batch]`` for the targets."""
    longest = max(len(window.ids) for window in group)
    ids = torch.full((len(group), longest), pad)
    mask = torch.zeros(len(group), longest, dtype=torch.long)
    for row, window in enumerate(group):
        ids[row, : len(window.ids)] = torch.tensor(window.ids)
        mask[row, : len(window.ids)] = 1
    start = torch.tensor([window.start for window in group])
    end = torch.tensor([window.end for window in group])
    return {"ids": ids, "mask": mask, "start": start, "end": end}


def loss_of(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """Mean cross-entropy of start and end over the positions that are not padding."""
    output = model(input_ids=batch["ids"], attention_mask=batch["mask"])
    padding = batch["mask"] == 0
    losses = [
        functional.cross_entropy(logits.float().masked_fill(padding, -1e4), batch[target])
        for logits, target in ((output.start_logits, "start"), (output.end_logits, "end"))
    ]
    return (losses[0] + losses[1]) / 2


def learning_rate_factor(progress: float, warmup: float) -> float:
    """Linear warm-up, then a cosine down to zero; ``progress`` goes from 0 to 1."""
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - warmup) / (1 - warmup))))


def train(
    data: Path, encoder: Path, output: Path, settings: Settings, start: Path | None = None
) -> None:
    """Train, and save the adapter after every epoch.

    Args:
        data: Folder of the question sets.
        encoder: Folder of the encoder.
        output: Folder of the adapter; made if need be.
        settings: The rest.
        start: Folder of an adapter to go on from; by default training starts afresh.
    """
    from transformers import AutoTokenizer

    torch.manual_seed(settings.seed)
    rng = random.Random(settings.seed)
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    sets = training_examples(data)
    for source, examples in sets.items():
        articles = {example.article for example in examples}
        print(f"{source}: {len(examples)} questions, {len(articles)} articles", flush=True)
    model = _model(encoder, settings)
    if start:
        load_adapter(model, start)
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad],
        lr=settings.learning_rate,
        weight_decay=0.01,
    )
    output.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    for epoch in range(settings.epochs):
        windows = epoch_features(sets, tokenizer, settings, rng)
        groups = batches(windows, settings.tokens_per_batch, rng)
        _epoch(model, optimizer, _collated(groups, tokenizer), len(groups), epoch, settings, began)
        save_adapter(model, output, settings.rank, settings.alpha)
        minutes = (time.monotonic() - began) / 60
        print(f"epoch {epoch + 1} saved, {len(windows)} windows, {minutes:.1f} min", flush=True)
        if minutes >= settings.max_minutes:
            return


def _model(encoder: Path, settings: Settings) -> nn.Module:
    from transformers import BertForQuestionAnswering

    # Eager attention: the backward pass of the fused kernel is slower on a CPU at this length.
    model = BertForQuestionAnswering.from_pretrained(
        encoder, attention_probs_dropout_prob=0.0, attn_implementation="eager"
    )
    share_dropout(model, settings.dropout)
    add_lora(model, settings.rank, settings.alpha)
    return model.train()


def _collated(groups: list[list[Feature]], tokenizer: Any) -> Iterator[dict[str, Tensor]]:
    return (collate(group, tokenizer.pad_token_id) for group in groups)


def _epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    stream: Iterator[dict[str, Tensor]],
    steps: int,
    epoch: int,
    settings: Settings,
    began: float,
) -> None:
    """Run one epoch. The schedule follows the steps, or the clock if that is ahead of them."""
    recent = 0.0
    for step, batch in enumerate(stream):
        clock = (time.monotonic() - began) / (60 * settings.max_minutes)
        progress = max((epoch + step / steps) / settings.epochs, clock)
        if clock >= 1:
            return
        factor = learning_rate_factor(progress, settings.warmup)
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * factor
        loss = loss_of(model, batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        recent = loss.item() if step == 0 else 0.95 * recent + 0.05 * loss.item()
        if step % 50 == 0:
            minutes = (time.monotonic() - began) / 60
            print(
                f"epoch {epoch + 1} step {step}/{steps} loss {recent:.3f} {minutes:.1f} min",
                flush=True,
            )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train the adapter curso/qa-pt.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the question sets")
    parser.add_argument("--encoder", type=Path, required=True, help="folder of the e5 encoder")
    parser.add_argument("--output", type=Path, required=True, help="folder of the adapter")
    parser.add_argument("--start", type=Path, help="folder of an adapter to go on from")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--alpha", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=7e-4)
    parser.add_argument("--warmup", type=float, default=0.05, help="share of the run")
    parser.add_argument("--tokens-per-batch", type=int, default=2048)
    parser.add_argument("--plain", type=int, default=500, help="plain questions an epoch")
    parser.add_argument("--unanswerable-share", type=float, default=0.1)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--max-minutes", type=float, default=60.0, help="the run ends by then")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def main() -> None:
    """Run the command line."""
    arguments = vars(_arguments())
    torch.set_num_threads(arguments.pop("threads"))
    names = ("data", "encoder", "output", "start")
    data, encoder, output, start = (arguments.pop(name) for name in names)
    train(data, encoder, output, Settings(**arguments), start)


if __name__ == "__main__":
    main()
