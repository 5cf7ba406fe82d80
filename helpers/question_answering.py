"""Extractive question answering: from a model's logits to a stretch of the context.

The ``question-answering`` pipeline left transformers in version 5.3; the models and the hosted API
stayed. This module does the same work in the open, one step a function:

1. :func:`split` tokenises the question with as much context as fits, in overlapping windows.
2. The model gives two numbers a token: how likely an answer is to *start* and to *end* there.
3. :func:`spans` turns those logits into probabilities and picks the best (start, end) pairs.
4. :func:`character_span` says which characters of the original context those tokens came from.

:class:`QuestionAnswerer` runs the four steps and answers what the API answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import numpy as np

from helpers.errors import CourseError
from helpers.messages import text

if TYPE_CHECKING:
    import numpy.typing as npt
    import tokenizers
    import torch

CONTEXT = 1  # the question is sequence 0 of the pair, the context is sequence 1
NO_ANSWER = 0  # models trained with unanswerable questions point at the first token
DEFAULT_WINDOW = 384
DEFAULT_STRIDE = 128

SENTENCE_ENDS = ".,;:!?…"
CLOSES = {")": "(", "]": "[", "}": "{", "”": "“", "»": "«"}
BRACKETS_AND_QUOTES = "()[]{}<>\"'“”‘’«»`"


class Answer(TypedDict):
    """One answer, with the keys that the API uses.

    ``context[start:end] == answer`` always holds; ``score`` is between 0 and 1.
    """

    score: float
    start: int
    end: int
    answer: str


class Span(NamedTuple):
    """A candidate answer: first and last token (both included) and its probability."""

    start: int
    end: int
    score: float


@dataclass(frozen=True)
class Window:
    """The question and one piece of the context, tokenised to fit the model.

    Attributes:
        inputs: what the model takes (``input_ids``, ``attention_mask``...), lists of equal length.
        encoding: the tokenizer's record of which token came from which characters.
        is_context: for each token, whether it belongs to the context; shape ``(tokens,)``.
    """

    inputs: dict[str, list[int]]
    encoding: tokenizers.Encoding
    is_context: npt.NDArray[np.bool_]


class QuestionAnswerer:
    """Answers questions about a text with any ``AutoModelForQuestionAnswering``.

    Args:
        model: a model with a question-answering head.
        tokenizer: the model's fast tokenizer.
        device: where to run, such as ``"cpu"`` or ``"cuda"``; by default, where the model is.
    """

    def __init__(
        self, model: Any, tokenizer: Any, device: str | torch.device | None = None
    ) -> None:
        if not tokenizer.is_fast:
            raise CourseError(text("question_answering.slow_tokenizer"))
        self.model = model.eval() if device is None else model.eval().to(device)
        self.tokenizer = tokenizer

    @classmethod
    def from_pretrained(
        cls, model_id: str, revision: str | None = None, device: str | None = None
    ) -> QuestionAnswerer:
        """Load a model and its tokenizer from the Hub or from a folder.

        Args:
            model_id: the Hub id, such as ``"curso/qa-pt"``, or a local folder.
            revision: branch, tag or commit; by default, the repository's main branch.
            device: where to run; by default a GPU if there is one.

        Raises:
            CourseError: if there is no such model, or it was not trained to answer questions.
        """
        import torch
        from transformers import AutoModelForQuestionAnswering, AutoTokenizer

        options: dict[str, Any] = {"revision": revision} if revision else {}
        try:
            tokenizer = AutoTokenizer.from_pretrained(model_id, **options)
            model, info = AutoModelForQuestionAnswering.from_pretrained(
                model_id, dtype=torch.float32, output_loading_info=True, **options
            )
        except (OSError, ValueError) as error:
            raise CourseError(text("question_answering.not_loaded", model=model_id)) from error
        if any("qa_outputs" in key for key in info["missing_keys"]):
            raise CourseError(text("question_answering.no_head", model=model_id))
        return cls(model, tokenizer, device or best_device())

    def __call__(
        self,
        question: str,
        context: str,
        *,
        top_k: int | None = None,
        max_answer_len: int | None = None,
        max_seq_len: int | None = None,
        doc_stride: int | None = None,
        max_question_len: int | None = None,
        handle_impossible_answer: bool | None = None,
        align_to_words: bool | None = None,
    ) -> Answer | list[Answer]:
        """Find the answer to a question in a context.

        Args:
            question: what to ask.
            context: the text that holds the answer; as long as you like.
            top_k: how many answers to return, best first (default 1).
            max_answer_len: longest answer, in tokens (default 15).
            max_seq_len: longest window, in tokens (default 384, or the model's limit).
            doc_stride: how many tokens neighbouring windows share (default 128, or half a window).
            max_question_len: the question is cut after this many tokens (default 64).
            handle_impossible_answer: whether "there is no answer" may win (default no).
            align_to_words: whether an answer is widened to whole words (default yes).

        Returns:
            One answer, or a list of at most ``top_k`` when ``top_k`` is above 1. "No answer" is
            the empty string, from 0 to 0.

        Raises:
            ValueError: for an empty or non-text argument, or a parameter out of range.
        """
        return self.many(
            [question],
            [context],
            top_k=top_k,
            max_answer_len=max_answer_len,
            max_seq_len=max_seq_len,
            doc_stride=doc_stride,
            max_question_len=max_question_len,
            handle_impossible_answer=handle_impossible_answer,
            align_to_words=align_to_words,
        )[0]

    def many(
        self,
        questions: Sequence[str] | str,
        contexts: Sequence[str] | str,
        batch_size: int = 8,
        **parameters: Any,
    ) -> list[Answer | list[Answer]]:
        """Answer many questions, several windows at a time.

        Args:
            questions: the questions; a single one is asked of every context.
            contexts: as many contexts as questions; a single one serves them all.
            batch_size: how many windows go through the model together.
            **parameters: the same as when calling.

        Returns:
            One result for each pair, in order.

        Raises:
            ValueError: as when calling, or if the two lists have different lengths.
        """
        pairs = _pairs(questions, contexts)
        options = Options.checked(self._limit(), **parameters)
        windows = [split(self.tokenizer, question, context, options) for question, context in pairs]
        logits = iter(self.logits([window for group in windows for window in group], batch_size))
        return [
            best_answers(context, [(window, *next(logits)) for window in group], options)
            for (_, context), group in zip(pairs, windows, strict=True)
        ]

    def logits(
        self, windows: Sequence[Window], batch_size: int = 8
    ) -> list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
        """Run the model.

        Args:
            windows: what :func:`split` made.
            batch_size: how many windows go through the model together.

        Returns:
            For each window its start logits and its end logits, each of shape ``(tokens,)``.
        """
        import torch

        # Windows of similar length together: less padding, less work.
        order = sorted(range(len(windows)), key=lambda index: len(windows[index].is_context))
        results: dict[int, tuple[Any, Any]] = {}
        for first in range(0, len(order), batch_size):
            batch = order[first : first + batch_size]
            inputs = self._padded([windows[index] for index in batch])
            with torch.inference_mode():
                output = self.model(**inputs)
            starts = output.start_logits.double().cpu().numpy()
            ends = output.end_logits.double().cpu().numpy()
            for row, index in enumerate(batch):
                length = len(windows[index].is_context)
                results[index] = starts[row, :length], ends[row, :length]
        return [results[index] for index in range(len(windows))]

    def _padded(self, windows: Sequence[Window]) -> dict[str, torch.Tensor]:
        """Stack windows into tensors of shape ``(windows, longest window)``."""
        import torch

        longest = max(len(window.is_context) for window in windows)
        filler = {"input_ids": self.tokenizer.pad_token_id or 0}
        tensors = {}
        for name in windows[0].inputs:
            rows = np.full((len(windows), longest), filler.get(name, 0), dtype=np.int64)
            for row, window in zip(rows, windows, strict=True):
                row[: len(window.inputs[name])] = window.inputs[name]
            tensors[name] = torch.from_numpy(rows).to(self.model.device)
        return tensors

    def _limit(self) -> int:
        """The most tokens the model takes at once."""
        positions = getattr(self.model.config, "max_position_embeddings", None)
        return min(self.tokenizer.model_max_length, positions or self.tokenizer.model_max_length)


@dataclass(frozen=True)
class Options:
    """Checked parameters of one call.

    Attributes:
        top_k: how many answers to return, best first.
        max_answer_len: longest answer, in tokens.
        max_seq_len: longest window, in tokens.
        doc_stride: how many tokens neighbouring windows share.
        max_question_len: the question is cut after this many tokens.
        handle_impossible_answer: whether "there is no answer" may win.
        align_to_words: whether an answer is widened to whole words.
    """

    top_k: int
    max_answer_len: int
    max_seq_len: int
    doc_stride: int
    max_question_len: int
    handle_impossible_answer: bool
    align_to_words: bool

    @classmethod
    def checked(cls, limit: int, **parameters: Any) -> Options:
        """Fill in the API's defaults and refuse, in the API's words, what is out of range.

        Args:
            limit: the most tokens the model takes at once.
            **parameters: any of the attributes; None stands for the default.

        Raises:
            ValueError: for a value out of range or of the wrong type.
            TypeError: for a parameter that does not exist.
        """
        unknown = parameters.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise TypeError(f"unknown parameters: {', '.join(sorted(unknown))}")
        given = {name: value for name, value in parameters.items() if value is not None}
        window = min(_integer(given, "max_seq_len", DEFAULT_WINDOW), limit)
        stride = _integer(given, "doc_stride", min(window // 2, DEFAULT_STRIDE), lowest=0)
        if stride > window:
            raise ValueError(f"`doc_stride` ({stride}) is larger than `max_seq_len` ({window})")
        return cls(
            top_k=_integer(given, "top_k", 1),
            max_answer_len=_integer(given, "max_answer_len", 15),
            max_seq_len=window,
            doc_stride=stride,
            max_question_len=_integer(given, "max_question_len", 64),
            handle_impossible_answer=bool(given.get("handle_impossible_answer", False)),
            align_to_words=bool(given.get("align_to_words", True)),
        )


def split(
    tokenizer: Any, question: str, context: str, options: Options | None = None
) -> list[Window]:
    """Tokenise a question with its context, in as many overlapping windows as it takes.

    Args:
        tokenizer: a fast tokenizer.
        question: what to ask.
        context: where to look.
        options: window and question lengths; by default those of the API.

    Returns:
        One window for each piece of the context, in order.

    Raises:
        ValueError: if nothing of the context is left to look at.
    """
    options = options or Options.checked(tokenizer.model_max_length)
    question = _first_tokens(tokenizer, question, options.max_question_len)
    used = len(tokenizer(question, "").input_ids)
    room = options.max_seq_len - used
    if room < 1:
        raise ValueError(
            f"`max_seq_len` ({options.max_seq_len}) leaves no room for the context: "
            f"the question takes {used} tokens"
        )
    encoded = tokenizer(
        question,
        context,
        truncation="only_second",
        max_length=options.max_seq_len,
        # Windows must move forward, so they cannot share all they hold.
        stride=options.doc_stride if options.doc_stride < room else room // 2,
        return_overflowing_tokens=True,
        return_attention_mask=True,
        return_token_type_ids="token_type_ids" in tokenizer.model_input_names,
    )
    names = [name for name in tokenizer.model_input_names if name in encoded]
    windows = [
        Window(
            inputs={name: encoded[name][index] for name in names},
            encoding=encoded[index],
            is_context=np.array([part == CONTEXT for part in encoded.sequence_ids(index)]),
        )
        for index in range(len(encoded["input_ids"]))
    ]
    if not any(window.is_context.any() for window in windows):
        raise ValueError("`context` cannot be empty")
    return windows


def spans(
    start_logits: npt.ArrayLike,
    end_logits: npt.ArrayLike,
    is_context: npt.ArrayLike,
    *,
    top_k: int = 1,
    max_answer_len: int = 15,
) -> tuple[list[Span], float]:
    """Pick the most likely answers of one window.

    The probability of a span is that of its start times that of its end, among the spans that end
    after they start and are at most ``max_answer_len`` tokens long.

    Args:
        start_logits: one number a token, shape ``(tokens,)``.
        end_logits: one number a token, shape ``(tokens,)``.
        is_context: which tokens may be part of an answer, shape ``(tokens,)``.
        top_k: how many spans to return.
        max_answer_len: longest span, in tokens.

    Returns:
        The spans, best first, and the probability that there is no answer (the first token's).
    """
    allowed = np.asarray(is_context, dtype=bool).copy()
    candidates = allowed.copy()
    allowed[NO_ANSWER] = True
    starts = _softmax(np.where(allowed, start_logits, -np.inf))
    ends = _softmax(np.where(allowed, end_logits, -np.inf))
    no_answer = float(starts[NO_ANSWER] * ends[NO_ANSWER])

    scores = np.outer(starts * candidates, ends * candidates)
    scores = np.tril(np.triu(scores), max_answer_len - 1)
    flat = scores.ravel()
    best = np.arange(flat.size) if top_k >= flat.size else np.argpartition(-flat, top_k)[:top_k]
    best = best[np.lexsort((best, -flat[best]))]  # highest score first, then earliest
    return [
        Span(int(index // len(allowed)), int(index % len(allowed)), float(flat[index]))
        for index in best
        if flat[index] > 0
    ], no_answer


def character_span(
    context: str, encoding: tokenizers.Encoding, span: Span, align_to_words: bool = True
) -> tuple[int, int]:
    """Translate a span of tokens into a span of characters.

    A token may be the middle of a word, so the span grows to whole words. Words end at spaces for
    many tokenizers, so what grew may hold punctuation that the model did not choose: brackets and
    quotes around the span's own characters are left out again, and so are spaces and the
    punctuation that ends a sentence (but not the last dot of "S.A.").

    Args:
        context: the original text.
        encoding: the tokenizer's record for the window.
        span: first and last token.
        align_to_words: whether to grow to whole words.

    Returns:
        First character and the one after the last; equal if the tokens hold nothing but spaces.
    """
    chosen = encoding.offsets[span.start][0], encoding.offsets[span.end][1]
    start, end = _word_edges(encoding, span, chosen) if align_to_words else chosen
    while start < chosen[0] and context[start] in BRACKETS_AND_QUOTES:
        start += 1
    while end > chosen[1] and context[end - 1] in BRACKETS_AND_QUOTES + SENTENCE_ENDS:
        if CLOSES.get(context[end - 1], "none") in context[start : end - 1]:
            break  # this bracket closes one that is part of the answer
        end -= 1
    return trim(context, start, end)


def trim(context: str, start: int, end: int) -> tuple[int, int]:
    """Leave out the spaces around a span and the punctuation that ends a sentence.

    Args:
        context: the original text.
        start: first character.
        end: the one after the last.

    Returns:
        The narrower span; punctuation on its own is kept.
    """
    while start < end and context[start].isspace():
        start += 1
    while start < end and context[end - 1].isspace():
        end -= 1
    last = end
    while start < last and (context[last - 1] in SENTENCE_ENDS or context[last - 1].isspace()):
        last -= 1
    if last == start or _is_abbreviation(context[start:end]):
        return start, end
    return start, last


def best_answers(
    context: str,
    outputs: Iterable[tuple[Window, npt.NDArray[np.float64], npt.NDArray[np.float64]]],
    options: Options,
) -> Answer | list[Answer]:
    """Merge the windows of one context into its answers.

    The same stretch of text, found through other tokens or in another window, counts once, with
    its highest score.

    Args:
        context: the original text.
        outputs: each window with its start and end logits.
        options: how many answers, and of what kind.

    Returns:
        One answer, or a list when more than one was asked for.
    """
    found: dict[tuple[int, int], float] = {}
    no_answer = 1.0
    for window, start_logits, end_logits in outputs:
        # Some candidates fall together once they are whole words: ask for more.
        candidates, window_no_answer = spans(
            start_logits,
            end_logits,
            window.is_context,
            top_k=2 * options.top_k + 10,
            max_answer_len=options.max_answer_len,
        )
        no_answer = min(no_answer, window_no_answer)
        for span in candidates:
            place = character_span(context, window.encoding, span, options.align_to_words)
            if place[0] < place[1]:
                found[place] = max(span.score, found.get(place, 0.0))
    if options.handle_impossible_answer or not found:
        found[0, 0] = no_answer
    ranking = sorted(found.items(), key=lambda item: (-item[1], item[0]))[: options.top_k]
    answers = [
        Answer(score=score, start=start, end=end, answer=context[start:end])
        for (start, end), score in ranking
    ]
    return answers[0] if options.top_k == 1 else answers


def best_device() -> str:
    """Return ``"cuda"``, ``"mps"`` or ``"cpu"``: the fastest device PyTorch can use here."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    exponentials = np.exp(logits - logits.max())
    return exponentials / exponentials.sum()


def _word_edges(
    encoding: tokenizers.Encoding, span: Span, fallback: tuple[int, int]
) -> tuple[int, int]:
    """Return the characters of the words that hold the span's first and last token."""
    first, last = encoding.token_to_word(span.start), encoding.token_to_word(span.end)
    if first is None or last is None:  # some tokenizers know no words
        return fallback
    first_word = encoding.word_to_chars(first, sequence_index=CONTEXT)
    last_word = encoding.word_to_chars(last, sequence_index=CONTEXT)
    if first_word is None or last_word is None:
        return fallback
    # A word cut by the end of a window is known only up to there.
    return min(first_word[0], fallback[0]), max(last_word[1], fallback[1])


def _is_abbreviation(answer: str) -> bool:
    """Whether the answer ends in an abbreviation with dots inside, such as "S.A." or "a.C."."""
    last_word = answer.split()[-1]
    return last_word.endswith(".") and "." in last_word.rstrip(".") and last_word[0].isalpha()


def _pairs(questions: Sequence[str] | str, contexts: Sequence[str] | str) -> list[tuple[str, str]]:
    if isinstance(questions, str):
        questions = [questions] * (1 if isinstance(contexts, str) else len(contexts))
    if isinstance(contexts, str):
        contexts = [contexts] * len(questions)
    if len(questions) != len(contexts):
        raise ValueError("Questions and contexts don't have the same lengths")
    for pair in zip(questions, contexts, strict=True):
        for name, value in zip(("question", "context"), pair, strict=True):
            _check_text(name, value)
    return list(zip(questions, contexts, strict=True))


def _check_text(name: str, value: object) -> None:
    if value is None:
        raise ValueError(f"`{name}` cannot be None")
    if not isinstance(value, str):
        raise ValueError(f"`{name}` must be a str, but a `{type(value)}` was provided instead.")
    if not value.strip():
        raise ValueError(f"`{name}` cannot be empty")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(f"`{name}` must be valid Unicode text: it holds half of a character")


def _integer(given: Mapping[str, Any], name: str, default: int, lowest: int = 1) -> int:
    value = given.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} parameter should be an integer (got {value!r})")
    if value < lowest:
        # The API's own text for max_answer_len lacks the closing bracket.
        closing = "" if name == "max_answer_len" else ")"
        raise ValueError(f"{name} parameter should be >= {lowest} (got {value}{closing}")
    return value


def _first_tokens(tokenizer: Any, question: str, limit: int) -> str:
    """Cut a question after its first ``limit`` tokens."""
    encoded = tokenizer(question, add_special_tokens=False, return_offsets_mapping=True)
    offsets: Sequence[tuple[int, int]] = encoded["offset_mapping"]
    return question if len(offsets) <= limit else question[: offsets[limit - 1][1]]
