"""Measure the question-answering adapter on articles and questions that it never saw.

From the root of the repository::

    python -m training.qa_pt.evaluate --data DATA --encoder ENCODER --adapter ADAPTER

DATA and ENCODER are those of ``training.qa_pt.train``. The answers are those that learners get:
they come from ``helpers.question_answering``, with answers of up to 30 tokens unless told
otherwise. Prints a Markdown table; ``--output`` also writes the figures as JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from helpers.embedded.recipes.qa_pt import merge
from helpers.question_answering import Answer, QuestionAnswerer
from training.qa_pt.metrics import exact_match, f1
from training.qa_pt.squad import Example, read_squad, split, unanswerable
from training.qa_pt.train import HELD_OUT

PLAIN_QUESTIONS = Path(__file__).parent / "plain_questions.json"
SEED = 7
LATENCY_WORDS = 150
LATENCY_REPEATS = 20


@dataclass(frozen=True)
class Result:
    """Figures of one set, in percent.

    Attributes:
        name: Name of the set.
        questions: How many questions it has.
        exact: Share of answers that equal a reference.
        f1: Mean F1 of the words shared with the best reference.
        score: Median score of the answers, from 0 to 1.
    """

    name: str
    questions: int
    exact: float
    f1: float
    score: float


def plain_sets(path: Path = PLAIN_QUESTIONS) -> tuple[list[Example], list[Example]]:
    """Return the plain questions that have an answer, and those that have none.

    The offsets of the references are not known: they are given as -1.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    sets = []
    for kind in ("answerable", "unanswerable"):
        examples = []
        for number, entry in enumerate(content[kind]):
            answers = [(text, -1) for text in entry.get("answers", [])]
            identifier = f"{kind}-{number}"
            question, context = entry["question"], entry["context"]
            examples.append(
                Example(identifier, "plain", entry["language"], question, context, answers)
            )
        sets.append(examples)
    return sets[0], sets[1]


def held_out_sets(folder: Path) -> dict[str, list[Example]]:
    """Return the questions about the held-out articles whose offsets are exact."""
    sets = {}
    for source, titles in HELD_OUT.items():
        if titles:
            examples = read_squad(folder / f"{source}.json", source, recover=False)
            sets[source] = split(examples, titles)[1]
    return sets


def predict(
    answerer: QuestionAnswerer, examples: list[Example], max_answer_len: int
) -> list[Answer]:
    """Answer every question."""
    questions = [example.question for example in examples]
    contexts = [example.context for example in examples]
    answers = answerer.many(questions, contexts, batch_size=16, max_answer_len=max_answer_len)
    return cast("list[Answer]", answers)  # a list of lists only if top_k were above 1


def measure(name: str, examples: list[Example], answers: list[Answer]) -> Result:
    """Compare answers with references."""
    references = [[text for text, _ in example.answers] for example in examples]
    pairs = [(answer["answer"], texts) for answer, texts in zip(answers, references, strict=True)]
    exact = 100 * statistics.mean(exact_match(*pair) for pair in pairs)
    overlap = 100 * statistics.mean(f1(*pair) for pair in pairs)
    score = statistics.median(answer["score"] for answer in answers)
    return Result(name, len(examples), round(exact, 1), round(overlap, 1), round(score, 3))


def latency_ms(answerer: QuestionAnswerer, examples: list[Example]) -> float:
    """Return the median time of one answer about a context of 150 words, in milliseconds."""
    words = " ".join(example.context for example in examples[:20]).split()[:LATENCY_WORDS]
    context, question = " ".join(words), examples[0].question
    times = []
    for _ in range(LATENCY_REPEATS):
        began = time.perf_counter()
        answerer(question, context)
        times.append(1000 * (time.perf_counter() - began))
    return round(statistics.median(times), 1)


def evaluate(
    answerer: QuestionAnswerer, data: Path, max_answer_len: int, show_errors: bool
) -> dict[str, Any]:
    """Measure all sets.

    Args:
        answerer: The model.
        data: Folder of the question sets.
        max_answer_len: Longest answer, in tokens.
        show_errors: Whether to print the answers that match no reference.

    Returns:
        What is written as ``evaluation.json``.
    """
    sets = held_out_sets(data)
    real = [example for examples in sets.values() for example in examples]
    answerable, without_answer = plain_sets()
    for language in ("pt", "en"):
        sets[f"plain_{language}"] = [e for e in answerable if e.article == language]
    results, scores = [], {}
    for name, examples in sets.items():
        answers = predict(answerer, examples, max_answer_len)
        results.append(measure(name, examples, answers))
        scores[name] = [answer["score"] for answer in answers]
        if show_errors:
            _print_errors(examples, answers)
    impossible = {
        "held_out_wrong_paragraph": unanswerable(real, 200, random.Random(SEED)),
        "plain_unanswerable": without_answer,
    }
    for name, examples in impossible.items():
        scores[name] = [a["score"] for a in predict(answerer, examples, max_answer_len)]
    return {
        "max_answer_len": max_answer_len,
        "results": [vars(result) for result in results],
        "scores": {name: _quartiles(values) for name, values in scores.items()},
        "latency_ms": {"value": latency_ms(answerer, real), "machine": _machine()},
    }


def _quartiles(values: list[float]) -> dict[str, float]:
    low, median, high = statistics.quantiles(values, n=4)
    return {"q1": round(low, 3), "median": round(median, 3), "q3": round(high, 3)}


def _machine() -> str:
    return f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def _print_errors(examples: list[Example], answers: list[Answer]) -> None:
    for example, answer in zip(examples, answers, strict=True):
        references = [text for text, _ in example.answers]
        if not exact_match(answer["answer"], references):
            print(
                f"- {example.question} -> {answer['answer']!r} {answer['score']:.2f} {references}"
            )


def markdown(figures: dict[str, Any]) -> str:
    """Return the figures as two Markdown tables and a line on latency."""
    lines = ["| set | questions | exact match | F1 |", "|---|---|---|---|"]
    for row in figures["results"]:
        lines.append(f"| {row['name']} | {row['questions']} | {row['exact']} | {row['f1']} |")
    lines += ["", "| scores of | q1 | median | q3 |", "|---|---|---|---|"]
    for name, row in figures["scores"].items():
        lines.append(f"| {name} | {row['q1']} | {row['median']} | {row['q3']} |")
    latency = figures["latency_ms"]
    lines += ["", f"{latency['value']} ms for {LATENCY_WORDS} words ({latency['machine']})"]
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the adapter curso/qa-pt.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the question sets")
    parser.add_argument("--encoder", type=Path, required=True, help="folder of the e5 encoder")
    parser.add_argument("--adapter", type=Path, required=True, help="folder of the adapter")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    parser.add_argument("--max-answer-len", type=int, default=30, help="tokens (default 30)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--errors", action="store_true", help="print answers that are wrong")
    return parser.parse_args()


def main() -> None:
    """Run the command line."""
    from transformers import AutoTokenizer

    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    model = merge(arguments.encoder, arguments.adapter)
    answerer = QuestionAnswerer(model, AutoTokenizer.from_pretrained(arguments.encoder))
    figures = evaluate(answerer, arguments.data, arguments.max_answer_len, arguments.errors)
    print(markdown(figures))
    if arguments.output:
        text = json.dumps(figures, indent=2, ensure_ascii=False) + "\n"
        arguments.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
