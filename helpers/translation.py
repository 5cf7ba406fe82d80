"""Translate whole texts with models that were trained on single sentences.

A translation model of this size reads one sentence at a time; given a page, it skips parts of it.
So a text goes through four steps:

1. each line is taken apart into what is kept as it is (indentation, list marker, spaces between
   sentences) and sentences (:func:`split_sentences`);
2. the sentences of all texts are sorted by length, so that a batch holds little padding;
3. the model translates each batch greedily;
4. the translations go where their sentences were.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from helpers import messages
from helpers.errors import CourseError

if TYPE_CHECKING:
    import torch

# A sentence with more tokens than this is cut into pieces. Longer ones are rare in the texts that
# such models learn from, and come out shortened.
MAX_SOURCE_TOKENS = 192
# Marian allows a translation two and a half times as long as its source; a few tokens more serve
# the shortest ones.
LENGTH_FACTOR = 2.5
LENGTH_MARGIN = 16

# A model of several target languages reads first which one is wanted; this is Brazil's Portuguese.
BRAZILIAN = ">>pob<<"

# Words whose full stop does not end a sentence, in Portuguese and English. Words that often are
# the last of one (etc., Ltda., Jr., a.C.) are not here.
_ABBREVIATION = re.compile(
    r"""
    srs? | sras? | srta | drs? | dras? | profs? | profas? | enga? | arq | adv | exm[oa] | ilm[oa]
    | sto | sta | pe | fr | dom | cel | gen | ten | sgt | cap | maj | alm | brig | gov | sen | dep
    | des | ver | pres | av | rod | trav | pç | pça | lgo | arts? | inc | figs? | p[áa]gs? | vols?
    | núm | eds? | orgs? | cf | ex | p\.ex | obs | ref | tel | cód | depto? | aprox | máx | mín
    | mrs? | ms | messrs | st | mt | vs | rev | hon | col | lt | capt | e\.g | i\.e | viz
    """,
    re.VERBOSE | re.IGNORECASE,
)

# Where a sentence may end: its punctuation and closing marks, then space, then a new beginning.
_BOUNDARY = re.compile(
    r"""
    (?P<stop>[.!?…]+) [)\]}"'”’»]*
    (?P<gap>\s+)
    (?=[(\[{"'“‘«—–-]*\s*[A-ZÀ-ÖØ-Þ0-9¿¡])
    """,
    re.VERBOSE,
)
_LAST_WORD = re.compile(r"[\w.]*$")
_LIST_MARKER = re.compile(r"\s*(?:(?:[-*+•–—>]|\#{1,6}|\d{1,3}[.)]|\(?[a-zA-Z]\))\s+)*")
_PAUSE = re.compile(r"[;:,—–]\s+|\s+")


class _Piece(NamedTuple):
    """A stretch of a text: a sentence to translate, or something to keep as it is."""

    text: str
    is_sentence: bool


class Translator:
    """Translates texts with any ``AutoModelForSeq2SeqLM``.

    Args:
        model: a translation model.
        tokenizer: the model's tokenizer.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        codes = getattr(tokenizer, "supported_language_codes", ())
        self._target = f"{BRAZILIAN} " if BRAZILIAN in codes else ""

    @classmethod
    def from_pretrained(
        cls,
        model_id: str,
        revision: str | None = None,
        device: str | torch.device | None = None,
    ) -> Translator:
        """Load a model and its tokenizer from the Hub or from a folder.

        Args:
            model_id: the Hub id, such as ``"curso/traducao-pt-en"``, or a local folder.
            revision: branch, tag or commit; by default, the repository's main branch.
            device: where to run; by default a GPU if there is one.

        Raises:
            CourseError: if there is no such model, or it is not one that translates.
        """
        from helpers.architectures import register

        register()
        import torch
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        from helpers.question_answering import best_device

        options: dict[str, Any] = {"revision": revision} if revision else {}
        try:
            tokenizer = AutoTokenizer.from_pretrained(model_id, **options)
            model = AutoModelForSeq2SeqLM.from_pretrained(model_id, dtype=torch.float32, **options)
        except (OSError, ValueError) as error:
            raise CourseError(_not_loaded(model_id)) from error
        return cls(model.to(device or best_device()), tokenizer)

    def __call__(
        self, text: str | Sequence[str], *, batch_size: int = 16, max_new_tokens: int = 256
    ) -> str | list[str]:
        """Translate one text or several.

        Line breaks, indentation and list markers stay; what holds no letters is not translated.

        Args:
            text: a text of any length, or a sequence of texts.
            batch_size: how many sentences the model reads at once.
            max_new_tokens: longest translation of one sentence, in tokens.

        Returns:
            The translation, or one per text, in the same order.

        Raises:
            ValueError: if something that is not a text is given, or a number is below 1.
        """
        if min(batch_size, max_new_tokens) < 1:
            raise ValueError(messages.text("translation.not_positive"))
        if isinstance(text, str):
            return self._translate([text], batch_size, max_new_tokens)[0]
        texts = list(text)
        if not all(isinstance(item, str) for item in texts):
            raise ValueError(messages.text("translation.not_text"))
        return self._translate(texts, batch_size, max_new_tokens)

    def sentences(self, text: str) -> list[str]:
        """Return the sentences that the model is given for a text, in order.

        Args:
            text: a text of any length.

        Returns:
            The sentences without what surrounds them; a very long one appears in pieces.
        """
        return [piece.text for piece in self._pieces(text) if piece.is_sentence]

    def _translate(self, texts: list[str], batch_size: int, max_new_tokens: int) -> list[str]:
        documents = [self._pieces(item) for item in texts]
        sentences = {piece.text for pieces in documents for piece in pieces if piece.is_sentence}
        # By length, then alphabetically: the same batches whatever the order of a set.
        ordered = sorted(sentences, key=lambda sentence: (len(sentence), sentence))
        translations: dict[str, str] = {}
        for start in range(0, len(ordered), batch_size):
            batch = ordered[start : start + batch_size]
            translations.update(
                zip(batch, self._translate_batch(batch, max_new_tokens), strict=True)
            )
        return [
            "".join(translations[part] if is_sentence else part for part, is_sentence in pieces)
            for pieces in documents
        ]

    def _translate_batch(self, sentences: list[str], max_new_tokens: int) -> list[str]:
        import torch

        sources = [f"{self._target}{sentence}" for sentence in sentences]
        inputs = self.tokenizer(sources, padding=True, return_tensors="pt")
        longest = inputs["input_ids"].shape[1]
        bound = int(LENGTH_FACTOR * longest) + LENGTH_MARGIN
        with torch.inference_mode():
            outputs = self.model.generate(
                input_ids=inputs["input_ids"].to(self.model.device),
                attention_mask=inputs["attention_mask"].to(self.model.device),
                do_sample=False,
                max_new_tokens=min(max_new_tokens, bound),
                num_beams=1,
            )
        decoded = self.tokenizer.batch_decode(outputs, skip_special_tokens=True)
        return [sentence.strip() for sentence in decoded]

    def _pieces(self, text: str) -> list[_Piece]:
        """Take a text apart; what the pieces hold, joined, is the text."""
        pieces = []
        for line in text.splitlines(keepends=True):
            marker = _LIST_MARKER.match(line)
            start = marker.end() if marker else 0
            pieces.append(_Piece(line[:start], is_sentence=False))
            for sentence in split_sentences(line[start:]):
                pieces += [_Piece(part, _has_letters(part)) for part in self._shorten(sentence)]
        return pieces

    def _shorten(self, sentence: str) -> list[str]:
        """Cut a sentence that is too long for the model near its middle, until it is not."""
        if not self._is_too_long(sentence):
            return [sentence]
        cut = _middle_pause(sentence)
        first = sentence[:cut].rstrip()
        return [
            *self._shorten(first),
            sentence[len(first) : cut],
            *self._shorten(sentence[cut:]),
        ]

    def _is_too_long(self, sentence: str) -> bool:
        # Cut there, the tokenizer does not warn that the sentence exceeds the model's limit.
        limit = MAX_SOURCE_TOKENS + 1
        tokens = self.tokenizer(sentence, truncation=True, max_length=limit)["input_ids"]
        return len(tokens) == limit


def split_sentences(line: str) -> list[str]:
    """Split a line into sentences and the spaces between and after them.

    A full stop ends a sentence when space and a capital letter, a digit or an opening mark follow,
    unless the word before it is an abbreviation (``Sr.``, ``p. ex.``), an initial
    (``J. K. Rowling``) or part of a number. "Ele disse: “Vá!” e saiu." is one sentence.

    Args:
        line: text without line breaks inside.

    Returns:
        Sentences and spaces in turn; joined, they are the line.
    """
    pieces, start = [], 0
    for match in _BOUNDARY.finditer(line):
        if match["stop"] == "." and _is_abbreviation(line[start : match.start()]):
            continue
        pieces += [line[start : match.start("gap")], match["gap"]]
        start = match.end()
    rest = line[start:]
    body = rest.rstrip()
    return [piece for piece in (*pieces, body, rest[len(body) :]) if piece]


def _is_abbreviation(before: str) -> bool:
    """Tell whether the full stop after this text belongs to its last word."""
    match = _LAST_WORD.search(before)
    word = match[0] if match else ""
    is_initial = len(word) == 1 and word.isascii() and word.isalpha()  # "É." is a sentence
    return is_initial or _ABBREVIATION.fullmatch(word) is not None


def _middle_pause(sentence: str) -> int:
    """Return where to cut a sentence in two: after the punctuation or space nearest its middle."""
    middle = len(sentence) / 2
    pauses = [match for match in _PAUSE.finditer(sentence) if 0 < match.end() < len(sentence)]
    marks = [match.end() for match in pauses if not match[0].isspace()]
    central = [end for end in marks if 0.25 < end / len(sentence) < 0.75]
    ends = central or [match.end() for match in pauses]
    return min(ends, key=lambda end: abs(end - middle), default=len(sentence) // 2)


def _not_loaded(model_id: str) -> str:
    """Say why a model may not have loaded."""
    told = messages.text("translation.not_loaded", model=model_id)
    if importlib.util.find_spec("sentencepiece") is None:
        told += " " + messages.text("translation.no_sentencepiece")
    return told


def _has_letters(piece: str) -> bool:
    return any(character.isalpha() for character in piece)
