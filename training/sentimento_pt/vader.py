"""The human-rated English sentences of the VADER project, labelled and split.

``hutto_ICWSM_2014.tar.gz``, in the source package ``vaderSentiment==3.3.2``, holds tweets, snippets
of movie reviews, sentences of New York Times editorials and sentences of Amazon reviews. At least
20 people rated each from -4 (extremely negative) to 4 (extremely positive), 0 being neutral or
neither; the file gives the mean.

The mean becomes one of three classes. Within half a step of zero it rounds to "neutral". From one
full step on, the average rater called the sentence positive or negative. In between, raters lean
to one side without agreeing that there is an opinion: such sentences are left out of training and
of the main test (:func:`label` gives ``None``).

Sentences are split by where they come from: a whole Amazon review or editorial is either trained on
or held out, and so is each movie snippet or tweet; the 200 tweets made up as variants of each other
are only trained on. :func:`without_near_duplicates` then drops what is held out and nearly the same
as something that is not.
"""

from __future__ import annotations

import hashlib
import html
import re
import tarfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ARCHIVE_SHA256 = "d5bb07d87474b3eb8d30b4deccbc23f19d742a6c5718fbacc65485b70b95c5fa"
MEMBER = "hutto_ICWSM_2014/{}_GroundTruth.txt"
SOURCES = {
    "amazon": "amazonReviewSnippets",
    "filmes": "movieReviewSnippets",
    "editoriais": "nytEditorialSnippets",
    "tweets": "tweets",
}
NEUTRAL_UP_TO = 0.5
OPINION_FROM = 1.0
FIRST_CONTRIVED_TWEET = 4001
# Percent of the groups that are held out, for choosing settings and for the final figures.
VALIDATION_PERCENT = 5
TEST_PERCENT = 10
NEAR_DUPLICATE = 0.6

_PLACEHOLDERS = re.compile(r"@anonymous\b:?|http://url_removed|\bRT\b")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Rated:
    """A rated sentence.

    Attributes:
        identifier: Unique, such as ``amazon-62_7``.
        source: ``amazon``, ``filmes``, ``editoriais`` or ``tweets``.
        rating: Mean of the ratings, from -4 to 4.
        text: The sentence, in English.
        split: ``train``, ``validation`` or ``test``.
    """

    identifier: str
    source: str
    rating: float
    text: str
    split: str


def label(rating: float) -> str | None:
    """Return the class of a mean rating; ``None`` for a weak leaning, which is no class."""
    if abs(rating) <= NEUTRAL_UP_TO:
        return "neutro"
    if abs(rating) < OPINION_FROM:
        return None
    return "positivo" if rating > 0 else "negativo"


def read(archive: Path) -> list[Rated]:
    """Read every sentence of the archive.

    Args:
        archive: Path of ``hutto_ICWSM_2014.tar.gz``.

    Returns:
        The sentences in the archive's order, split, near-duplicates included. Empty ones are left
        out: a tweet may consist of nothing but a mention and an address.

    Raises:
        ValueError: The archive is not the one that the course was trained on.
    """
    if hashlib.sha256(archive.read_bytes()).hexdigest() != ARCHIVE_SHA256:
        raise ValueError(f"{archive.name} is not the archive of vaderSentiment 3.3.2.")
    rated = []
    with tarfile.open(archive) as tar:
        for source, name in SOURCES.items():
            member = tar.extractfile(MEMBER.format(name))
            assert member is not None
            rated += _read(source, member)
    return rated


def _read(source: str, file: IO[bytes]) -> list[Rated]:
    rated = []
    for line in file.read().decode("utf-8").splitlines():
        number, rating, raw = line.split("\t")
        text = clean(raw)
        if _WORD.search(text):
            split = split_of(source, number)
            rated.append(Rated(f"{source}-{number}", source, float(rating), text, split))
    return rated


def clean(raw: str) -> str:
    """Undo HTML entities; drop mentions, addresses and extra spaces, which carry no sentiment."""
    return " ".join(_PLACEHOLDERS.sub(" ", html.unescape(raw)).split())


def split_of(source: str, number: str) -> str:
    """Return the split of a sentence, by a hash of the text it comes from.

    Args:
        source: As in :class:`Rated`.
        number: ``text_sentence`` where a source gives whole texts, otherwise ``sentence``.
    """
    group = number.split("_")[0]
    if source == "tweets" and int(group) >= FIRST_CONTRIVED_TWEET:
        return "train"
    place = percentile(source, group)
    if place < TEST_PERCENT:
        return "test"
    return "validation" if place < TEST_PERCENT + VALIDATION_PERCENT else "train"


def percentile(source: str, group: str) -> int:
    """Return a number from 0 to 99 that is fixed for a text but tells nothing about it."""
    return int(hashlib.sha256(f"{source}/{group}".encode()).hexdigest(), 16) % 100


def without_near_duplicates(rated: Iterable[Rated]) -> list[Rated]:
    """Drop what is held out and shares most of its words with a sentence of another split.

    Two sentences are near-duplicates if the Jaccard index of their sets of words is at least 0.6.
    A test sentence is compared with training and validation, a validation sentence with training.
    """
    sentences = list(rated)
    postings: dict[str, list[int]] = defaultdict(list)
    bags = [frozenset(_WORD.findall(sentence.text.lower())) for sentence in sentences]
    kept = []
    rank = {"train": 0, "validation": 1, "test": 2}
    for index in sorted(range(len(sentences)), key=lambda i: rank[sentences[i].split]):
        split = sentences[index].split
        if split == "train" or not _has_twin(index, bags, postings, sentences):
            kept.append(index)
        for word in bags[index]:
            postings[word].append(index)
    return [sentences[index] for index in sorted(kept)]


def _has_twin(
    index: int,
    bags: list[frozenset[str]],
    postings: dict[str, list[int]],
    sentences: list[Rated],
) -> bool:
    bag = bags[index]
    # A twin shares at least 60 % of this bag, so it has at least one of the 40 % rarest words, plus
    # one: only the sentences that have one of those need comparing.
    needed = int(NEAR_DUPLICATE * len(bag))
    rarest = sorted(bag, key=lambda word: len(postings[word]))[: len(bag) - needed + 1]
    candidates = {other for word in rarest for other in postings[word]}
    return any(
        len(bag & bags[other]) >= NEAR_DUPLICATE * len(bag | bags[other])
        for other in candidates
        if sentences[other].split != sentences[index].split
    )
