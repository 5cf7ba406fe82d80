"""Make the sources of ``curso/frases-avaliadas-pt`` from the rated sentences of the VADER project.

From the root of the repository::

    pip download --no-deps --no-binary :all: vaderSentiment==3.3.2
    tar -xzf vaderSentiment-3.3.2.tar.gz
    python -m training.frases_avaliadas.prepare \\
        --archive vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz \\
        --output helpers/embedded/datasets/frases-avaliadas-pt

Only sentences of product reviews (Amazon) are taken: tweets were written by people who did not
choose to be in a dataset, editorials belong to a newspaper, and film reviews have hardly any
sentence that raters agree is neutral. The class of a sentence is the one for which most of its
raters voted (a rating below, at or above zero), and a sentence on which they disagree is left out,
so that what is asked of a model is what people agree on.

A whole review goes to one split, by the hash that ``curso/sentimento-pt`` uses, and what is held
out and repeats most words of another split, in English or once translated, is dropped. The
translator is the course's own, ``curso/traducao-en-pt``, decoding greedily.
"""

from __future__ import annotations

import argparse
import ast
import json
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from training.sentimento_pt.prepare import CHUNK, course_translator
from training.sentimento_pt.vader import Rated, percentile, read, without_near_duplicates

MEMBER = "hutto_ICWSM_2014/amazonReviewSnippets_anonDataRatings.txt"
SOURCE = "amazon"
LABELS = ("negativo", "neutro", "positivo")

AGREEMENT = 0.6  # share of the raters
# Percent of the reviews that are held out.
TEST_PERCENT = 20
VALIDATION_PERCENT = 10
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Vote:
    """What the raters of a sentence said.

    Attributes:
        label: The class that most of them chose.
        agreement: The share that chose it, from 0 to 1.
    """

    label: str
    agreement: float


def read_votes(archive: Path) -> dict[str, Vote]:
    """Read how the raters of each sentence about a product voted.

    Args:
        archive: Path of ``hutto_ICWSM_2014.tar.gz``.

    Returns:
        A vote for each identifier, as in :class:`Rated`.
    """
    votes = {}
    with tarfile.open(archive) as tar:
        member = tar.extractfile(MEMBER)
        assert member is not None
        for line in member.read().decode("utf-8-sig").splitlines():
            number, _, _, ratings = line.split("\t")
            votes[f"{SOURCE}-{number}"] = vote(ast.literal_eval(ratings))
    return votes


def vote(ratings: list[float]) -> Vote:
    """Return the class that most ratings fall in; the side of zero is the class."""
    counts = Counter(LABELS[(rating > 0) - (rating < 0) + 1] for rating in ratings)
    label = max(LABELS, key=counts.__getitem__)
    return Vote(label, counts[label] / len(ratings))


def choose(rated: Iterable[Rated], votes: Mapping[str, Vote]) -> list[Rated]:
    """Take the sentences of the dataset, and put each in its split.

    Args:
        rated: All sentences of the archive.
        votes: How each was rated.

    Returns:
        Those on which raters agree.
    """
    chosen = [
        replace(sentence, split=split_of(sentence))
        for sentence in rated
        if sentence.source == SOURCE
        and sentence.identifier in votes
        and votes[sentence.identifier].agreement >= AGREEMENT
    ]
    return without_near_duplicates(chosen)


def review_of(sentence: Rated) -> str:
    """Return the review that a sentence belongs to, such as ``amazon-62``."""
    return sentence.identifier.split("_")[0]


def split_of(sentence: Rated) -> str:
    """Return the split of a sentence: that of its whole review."""
    place = percentile(SOURCE, review_of(sentence).removeprefix(f"{SOURCE}-"))
    if place < TEST_PERCENT:
        return "test"
    return "validation" if place < TEST_PERCENT + VALIDATION_PERCENT else "train"


def write(
    sentences: list[Rated],
    votes: Mapping[str, Vote],
    output: Path,
    translate: Callable[[list[str]], list[str]],
) -> None:
    """Translate the sentences and write ``{train,validation,test}.jsonl``.

    Args:
        sentences: What :func:`choose` returned.
        votes: How each was rated.
        output: Folder; made if need be.
        translate: From English to Portuguese, many sentences at a time.
    """
    # Sentences of like length make batches without padding.
    ordered = sorted(sentences, key=lambda sentence: len(sentence.text))
    translated: list[Rated] = []
    for first in range(0, len(ordered), CHUNK):
        chunk = ordered[first : first + CHUNK]
        texts = translate([sentence.text for sentence in chunk])
        translated += [replace(s, text=text) for s, text in zip(chunk, texts, strict=True)]
        print(f"{len(translated)} of {len(ordered)} translated", flush=True)
    # Sentences that differ in English may be the same in Portuguese.
    kept = sorted(without_near_duplicates(translated), key=_natural)
    output.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        lines = [_line(s, votes[s.identifier]) for s in kept if s.split == split]
        (output / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8", newline="\n")


def _natural(sentence: Rated) -> list[int]:
    """Order sentences as a person would: sentence 2 of a review before its sentence 10."""
    return [int(part) for part in sentence.identifier.removeprefix(f"{SOURCE}-").split("_")]


def _line(sentence: Rated, found: Vote) -> str:
    row = {
        "text": sentence.text,
        "label": found.label,
        "review": review_of(sentence),
        "agreement": round(found.agreement, 2),
    }
    return json.dumps(row, ensure_ascii=False) + "\n"


def main() -> None:
    """Run the command line."""
    import torch

    parser = argparse.ArgumentParser(description="Prepare the data of curso/frases-avaliadas-pt.")
    parser.add_argument("--archive", type=Path, required=True, help="hutto_ICWSM_2014.tar.gz")
    parser.add_argument("--output", type=Path, required=True, help="folder of the dataset")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    votes = read_votes(arguments.archive)
    write(choose(read(arguments.archive), votes), votes, arguments.output, course_translator())


if __name__ == "__main__":
    main()
