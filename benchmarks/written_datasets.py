"""Measure the course's models on the datasets that the course wrote, as the cards state it.

Run with ``python benchmarks/written_datasets.py``. Prints one line a figure; ``--errors`` also
prints the questions that were not answered exactly. Float32 on the CPU: the figures are the same
everywhere.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any, cast

from helpers import QuestionAnswerer
from helpers.embedded import store
from helpers.embedded.catalog import catalog
from helpers.embedded.recipes import written_dataset
from helpers.question_answering import Answer
from training.qa_pt.metrics import exact_match, f1

MAX_ANSWER_TOKENS = (15, 30)  # the API's default, and what qa-pt's own card uses


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Measure models on the written datasets.")
    parser.add_argument("--errors", action="store_true", help="print answers that are not exact")
    arguments = parser.parse_args()
    source = catalog().repository("curso/perguntas-pt").source
    assert source is not None
    answerer = QuestionAnswerer.from_pretrained(str(store.ensure("curso/qa-pt")), device="cpu")
    for split in written_dataset.SPLITS:
        rows = list(written_dataset.questions(source, split))
        for limit in MAX_ANSWER_TOKENS:
            measure_answers(answerer, rows, split, limit, arguments.errors)
        measure_refusals(answerer, rows, split)


def ask(answerer: QuestionAnswerer, rows: list[dict[str, Any]], **parameters: Any) -> list[Answer]:
    """Answer the questions of some rows."""
    questions = [row["question"] for row in rows]
    contexts = [row["context"] for row in rows]
    # A list of lists only if top_k were above 1.
    return cast("list[Answer]", answerer.many(questions, contexts, batch_size=16, **parameters))


def measure_answers(
    answerer: QuestionAnswerer, rows: list[dict[str, Any]], split: str, limit: int, errors: bool
) -> None:
    """Print exact match and F1 on the questions that have an answer."""
    rows = [row for row in rows if not row["is_impossible"]]
    answers = ask(answerer, rows, max_answer_len=limit)
    pairs = [(a["answer"], row["answers"]["text"]) for a, row in zip(answers, rows, strict=True)]
    exact = 100 * statistics.mean(exact_match(*pair) for pair in pairs)
    overlap = 100 * statistics.mean(f1(*pair) for pair in pairs)
    score = statistics.median(answer["score"] for answer in answers)
    print(
        f"qa-pt, {split}, up to {limit} tokens: {len(rows)} questions, "
        f"exact {exact:.1f}, F1 {overlap:.1f}, median score {score:.2f}"
    )
    if errors:
        for row, answer in zip(rows, answers, strict=True):
            if not exact_match(answer["answer"], row["answers"]["text"]):
                found = f"{answer['answer']!r} {answer['score']:.2f}"
                print(f"- {row['question']} -> {found} {row['answers']['text']}")


def measure_refusals(answerer: QuestionAnswerer, rows: list[dict[str, Any]], split: str) -> None:
    """Print how often "no answer" wins where there is none, and where there is one."""
    for impossible in (True, False):
        group = [row for row in rows if row["is_impossible"] is impossible]
        answers = ask(answerer, group, handle_impossible_answer=True)
        refused = sum(not answer["answer"] for answer in answers)
        kind = "without" if impossible else "with"
        print(f"qa-pt, {split}, {kind} an answer: refused {refused} of {len(group)}")


if __name__ == "__main__":
    main()
