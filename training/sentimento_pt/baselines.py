"""Measure what the sentiment adapter has to beat, on the same held-out sentences.

From the root of the repository, with ``pip install vaderSentiment==3.3.2`` for the last row::

    python -m training.sentimento_pt.baselines --data DATA --encoder ENCODER

- *majority*: always the most frequent class of the set;
- *frozen*: a logistic regression on the encoder's embeddings (prefix ``query: ``, mean pooling,
  normalised), trained on the same Portuguese sentences, with the encoder left as it is;
- *vader*: the lexicon and rules of VADER on the English **originals**, with the thresholds that its
  authors recommend (compound score of at least 0.05 either way). It reads the language that the
  raters read, so it is a reference from above for what is lost in translation, not a rival.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from helpers.embedded.recipes.sentimento_pt import LABELS
from training.sentimento_pt.evaluate import measure
from training.sentimento_pt.sentences import Sentence, prepared, teacher, written

VADER_THRESHOLD = 0.05


def majority(sentences: list[Sentence]) -> list[str]:
    """Guess the most frequent class of the set for each sentence."""
    ((label, _),) = Counter(sentence.label for sentence in sentences).most_common(1)
    return [label] * len(sentences)


def embed(encoder: nn.Module, tokenizer: Any, texts: list[str], batch_size: int = 64) -> Tensor:
    """Return normalised sentence embeddings, ``[texts, hidden]``."""
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    rows: dict[int, Tensor] = {}
    for first in range(0, len(order), batch_size):
        chosen = order[first : first + batch_size]
        prefixed = [f"query: {texts[index]}" for index in chosen]
        batch = tokenizer(prefixed, padding=True, truncation=True, return_tensors="pt")
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            hidden = encoder(**batch).last_hidden_state.float()
        mask = batch["attention_mask"].unsqueeze(-1)
        means = (hidden * mask).sum(1) / mask.sum(1)
        rows.update(zip(chosen, functional.normalize(means, dim=1), strict=True))
    return torch.stack([rows[index] for index in range(len(texts))])


def fit(features: Tensor, labels: list[str], penalty: float) -> nn.Linear:
    """Fit a logistic regression to standardised features, to convergence.

    Args:
        features: ``[sentences, hidden]``.
        labels: Class of each.
        penalty: Weight of the squared norm of the coefficients.
    """
    target = torch.tensor([LABELS.index(label) for label in labels])
    counts = torch.bincount(target, minlength=len(LABELS))
    weights = len(labels) / (len(LABELS) * counts)
    linear = nn.Linear(features.shape[1], len(LABELS))
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    optimizer = torch.optim.LBFGS(linear.parameters(), max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(linear(features), target, weight=weights)
        loss = loss + penalty * linear.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return linear


def frozen(
    encoder_folder: Path, data: Path, sets: dict[str, list[Sentence]], count: int
) -> dict[str, list[str]]:
    """Train the regression and guess the sentences of each set.

    Args:
        encoder_folder: Folder of ``curso/e5-pt-en``.
        data: Folder of the prepared data.
        sets: What to guess.
        count: How many of the translated training sentences to take, besides the written ones.
    """
    from transformers import AutoModel, AutoTokenizer

    encoder = AutoModel.from_pretrained(encoder_folder, add_pooling_layer=False).eval()
    tokenizer = AutoTokenizer.from_pretrained(encoder_folder)
    translated = prepared(data, "train")
    chosen = random.Random(7).sample(translated, min(count, len(translated)))
    training = chosen + written("train")
    features = embed(encoder, tokenizer, [s.text for s in training])
    mean, spread = features.mean(0), features.std(0)
    linear = fit((features - mean) / spread, [s.label for s in training], penalty=1e-3)
    guesses = {}
    for name, sentences in sets.items():
        held = embed(encoder, tokenizer, [s.text for s in sentences])
        with torch.inference_mode():
            best = linear((held - mean) / spread).argmax(1).tolist()
        guesses[name] = [LABELS[index] for index in best]
    return guesses


def vader(originals: list[Sentence]) -> list[str]:
    """Guess English sentences with VADER's lexicon and rules."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyser = SentimentIntensityAnalyzer()
    guesses = []
    for sentence in originals:
        compound = analyser.polarity_scores(sentence.text)["compound"]
        if abs(compound) < VADER_THRESHOLD:
            guesses.append("neutro")
        else:
            guesses.append("positivo" if compound > 0 else "negativo")
    return guesses


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Baselines of curso/sentimento-pt.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the prepared data")
    parser.add_argument("--encoder", type=Path, required=True, help="folder of the e5 encoder")
    parser.add_argument("--count", type=int, default=20000, help="translations to train on")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = arguments.data
    sets = {"translated": prepared(data, "test"), "written": written("test"), "teacher": teacher()}
    figures = {f"majority, {name}": measure(s, majority(s)) for name, s in sets.items()}
    originals = prepared(data, "test", "en")
    figures["vader, originals"] = measure(originals, vader(originals))
    for name, guesses in frozen(arguments.encoder, data, sets, arguments.count).items():
        figures[f"frozen, {name}"] = measure(sets[name], guesses)
    for name, row in figures.items():
        low, high = row["interval"]
        print(f"{name}: macro-F1 {row['macro_f1']} ({low} to {high}), F1 {row['f1']}")
    if arguments.output:
        text = json.dumps(figures, indent=2, ensure_ascii=False) + "\n"
        arguments.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
