"""Read questions in SQuAD's JSON form: clean them, split them, turn them into windows of tokens."""

from __future__ import annotations

import html
import json
import random
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

MAX_LENGTH = 384
STRIDE = 128
# What no answer begins or ends with.
TRAILING = " \t\n.,;:!?"
MIN_RECOVERED = 2


@dataclass(frozen=True)
class Example:
    """A question about a context.

    Attributes:
        identifier: Unique in its set.
        source: Name of the set.
        article: Title of the article; whole articles are held out.
        question: The question.
        context: The text that holds the answer.
        answers: (text, offset in characters) of every reference; empty if there is no answer.
    """

    identifier: str
    source: str
    article: str
    question: str
    context: str
    answers: list[tuple[str, int]] = field(default_factory=list)


def trim_span(text: str, start: int, end: int) -> tuple[int, int]:
    """Drop outer whitespace and trailing punctuation from ``text[start:end]``.

    Args:
        text: The context.
        start: First character of the span.
        end: One past its last character.

    Returns:
        The trimmed start and end. A span of nothing but punctuation is returned unchanged.
    """
    first, last = start, end
    while last > first and text[last - 1] in TRAILING:
        last -= 1
    while first < last and text[first] in TRAILING:
        first += 1
    return (first, last) if first < last else (start, end)


def read_squad(path: Path, source: str, recover: bool) -> list[Example]:
    """Read a file in SQuAD's form.

    Args:
        path: The JSON file.
        source: Name to give to the set.
        recover: Whether to look for an answer that is not at its offset. If not, such answers
            are dropped. A question left without an answer is dropped.

    Returns:
        Its questions, in the order of the file.
    """
    data = json.loads(path.read_text(encoding="utf-8"))["data"]
    examples = []
    for article in data:
        for paragraph in article["paragraphs"]:
            for entry in paragraph["qas"]:
                example = _example(article["title"], paragraph["context"], entry, source, recover)
                if example.answers:
                    examples.append(example)
    return examples


def _example(
    title: str, context: str, entry: dict[str, Any], source: str, recover: bool
) -> Example:
    clean = html.unescape(context)
    answers = []
    for answer in entry["answers"]:
        span = _locate(context, clean, answer, recover)
        if span:
            start, end = trim_span(clean, *span)
            answers.append((clean[start:end], start))
    question = html.unescape(entry["question"]).strip()
    return Example(str(entry["id"]), source, title, question, clean, answers)


def _locate(
    context: str, clean: str, answer: dict[str, Any], recover: bool
) -> tuple[int, int] | None:
    text, offset = answer["text"], answer["answer_start"]
    if context[offset : offset + len(text)] == text and text.strip():
        # Entities before the answer have become shorter.
        start = len(html.unescape(context[:offset]))
        end = start + len(html.unescape(text))
        if clean[start:end] == html.unescape(text):
            return start, end
    return _search(clean, html.unescape(text), offset) if recover else None


def _search(context: str, text: str, offset: int) -> tuple[int, int] | None:
    """Find an answer whose offset is wrong: its only occurrence, or clearly the nearest one."""
    words = text.strip(TRAILING).split()
    if not words or len("".join(words)) < MIN_RECOVERED:
        return None
    pattern = r"\s+".join(re.escape(word) for word in words)
    found = [m.span() for m in re.finditer(rf"(?<!\w){pattern}(?!\w)", context, re.IGNORECASE)]
    if len(found) == 1:
        return found[0]
    if not found or offset == 0:
        return None
    nearest, second = sorted(found, key=lambda span: abs(span[0] - offset))[:2]
    is_clear = 3 * abs(nearest[0] - offset) < abs(second[0] - offset)
    return nearest if is_clear else None


def split(examples: list[Example], held_out: set[str]) -> tuple[list[Example], list[Example]]:
    """Split by article.

    Args:
        examples: Questions of one set.
        held_out: Titles that are never trained on.

    Returns:
        Questions for training, and held-out questions.

    Raises:
        ValueError: A title is not in the set.
    """
    unknown = held_out - {example.article for example in examples}
    if unknown:
        raise ValueError(f"No such article: {', '.join(sorted(unknown))}")
    train = [example for example in examples if example.article not in held_out]
    test = [example for example in examples if example.article in held_out]
    return train, test


def unanswerable(examples: list[Example], count: int, rng: random.Random) -> list[Example]:
    """Pair questions with another paragraph of the same article.

    Args:
        examples: Questions with answers.
        count: How many to make.
        rng: Source of the choice.

    Returns:
        Questions without answers. The new context holds none of the reference answers.
    """
    contexts: dict[tuple[str, str], list[str]] = {}
    for example in examples:
        paragraphs = contexts.setdefault((example.source, example.article), [])
        if example.context not in paragraphs:
            paragraphs.append(example.context)
    pairs: list[Example] = []
    while len(pairs) < count:
        example = rng.choice(examples)
        other = rng.choice(contexts[example.source, example.article])
        answers = [text.lower() for text, _ in example.answers]
        if other != example.context and not any(text in other.lower() for text in answers):
            pairs.append(replace(example, context=other, answers=[]))
    return pairs


@dataclass(frozen=True)
class Feature:
    """One window of a question and its context, as token ids.

    Attributes:
        ids: Token ids.
        start: Index of the answer's first token; 0 (``<s>``) if the window holds no answer.
        end: Index of the answer's last token.
    """

    ids: list[int]
    start: int
    end: int


def features(tokenizer: Any, example: Example, answer: tuple[str, int] | None) -> list[Feature]:
    """Cut an example into windows.

    Args:
        tokenizer: Fast tokenizer of the encoder.
        example: The question.
        answer: The reference to learn, or None for "no answer here".

    Returns:
        One feature a window of at most ``MAX_LENGTH`` tokens.
    """
    encoded = tokenizer(
        example.question,
        example.context,
        truncation="only_second",
        max_length=MAX_LENGTH,
        stride=STRIDE,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    windows = []
    for index, ids in enumerate(encoded["input_ids"]):
        owners = encoded.sequence_ids(index)
        start, end = _token_span(encoded["offset_mapping"][index], owners, answer)
        windows.append(Feature(ids, start, end))
    return windows


def _token_span(
    offsets: list[tuple[int, int]], owners: list[int | None], answer: tuple[str, int] | None
) -> tuple[int, int]:
    if answer is None:
        return 0, 0
    first, last = answer[1], answer[1] + len(answer[0])
    tokens = [i for i, owner in enumerate(owners) if owner == 1]
    if first < offsets[tokens[0]][0] or last > offsets[tokens[-1]][1]:
        return 0, 0
    covered = [i for i in tokens if offsets[i][0] < last and offsets[i][1] > first]
    return covered[0], covered[-1]
