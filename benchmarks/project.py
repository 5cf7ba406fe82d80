"""Measure the assistant of notebook 11 over 200 pages: time, search, answers and refusals.

Run with ``python benchmarks/project.py``. Prints Markdown. The weights and the threshold come from
``calibragem.json``; ``--calibrate`` fits them first, on the calibration questions alone, and writes
that file. ``--errors`` also prints what was answered wrongly or refused. ``--time-only`` skips the
questions of the evaluation set.

The 200 pages are the Space's documents and, to stand in their way, texts that the course already
has: the contexts of ``perguntas-pt``, the reviews of ``avaliacoes-pt``, the sentences written for
sentiment, the cards and the prose of the notebooks. A page has about 1500 characters; the Space's
own documents are shorter than that.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from helpers import documents
from helpers.embedded import store

ROOT = Path(__file__).resolve().parents[1]
HELPERS = ROOT / "helpers" / "embedded"
MODELS = ("curso/e5-pt-en", "curso/qa-pt")
PAGES = 200
PAGE_SIZE = 1500
TIMED = 40
CALIBRATED_AT = 0.05
"""Half of the 10 % wanted: a threshold chosen on a few dozen questions promises too much."""


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Measure the assistant for documents.")
    parser.add_argument("--calibrate", action="store_true", help="fit and write calibragem.json")
    parser.add_argument("--errors", action="store_true", help="print what went wrong")
    parser.add_argument("--time-only", action="store_true", help="only measure time")
    arguments = parser.parse_args()
    embedding_model, reader_model = (str(store.ensure(name)) for name in MODELS)
    with tempfile.TemporaryDirectory() as folder:
        assistant = documents.load(
            {
                "EMBEDDING_MODEL": embedding_model,
                "READER_MODEL": reader_model,
                "CACHE_FOLDER": f"{folder}/cache",
            }
        )
        library, seconds, reopening = open_pages(assistant, Path(folder))
    print("| Medida | Resultado | Limite |\n| --- | --- | --- |")
    print(
        f"| abrir {PAGES} páginas ({len(library.passages)} trechos, "
        f"{sum(len(part.text) for part in library.passages) / 1000:.0f} mil caracteres) | "
        f"{seconds:.0f} s | |\n| abrir de novo, do cache | {reopening:.2f} s | |"
    )
    if arguments.calibrate:
        calibrate(assistant, library)
    judge = saved_judge(assistant)
    measure_time(assistant, library, judge)
    if not arguments.time_only:
        measure_answers(assistant, library, judge, arguments.errors)


# --- the 200 pages ---------------------------------------------------------------------------


def open_pages(assistant: ModuleType, folder: Path) -> tuple[Any, float, float]:
    """Open the Space's documents and enough others for 200 pages; and once more, from the cache."""
    paths = sorted((documents.folder() / "documentos").iterdir())
    missing = PAGES - sum(path.read_text(encoding="utf-8").count("\f") + 1 for path in paths)
    for place, (title, pages) in enumerate(other_documents()):
        kept = pages[:missing]
        missing -= len(kept)
        if kept:
            name = re.sub(r"[^\w -]", " ", title)
            paths.append(folder / f"{place:03} {name}.txt")
            paths[-1].write_text("\f".join([f"{title}\n\n{kept[0]}", *kept[1:]]), encoding="utf-8")
    assert missing == 0, f"{missing} pages are missing"
    assistant.embed(["primeira vez"], "query")  # the model's loading is not the documents' time
    start = time.perf_counter()
    library = assistant.Library([assistant.open_document(path) for path in paths])
    opened = time.perf_counter()
    assistant.Library([assistant.open_document(path) for path in paths])
    return library, opened - start, time.perf_counter() - opened


def other_documents() -> Iterator[tuple[str, list[str]]]:
    """Yield the course's own texts, as a title and pages."""
    for split in ("train", "test"):
        data = tomllib.loads((HELPERS / f"datasets/perguntas-pt/{split}.toml").read_text("utf-8"))
        blocks = [f"{context['title']}\n\n{context['text']}" for context in data["context"]]
        yield f"Textos curtos, {split}", in_pages(blocks)
    groups: dict[str, list[str]] = {}
    for split in ("train", "test"):
        lines = (HELPERS / f"datasets/avaliacoes-pt/{split}.jsonl").read_text("utf-8").splitlines()
        for row in map(json.loads, lines):
            groups.setdefault(f"Avaliações: {row['category']}", []).append(row["text"])
    written = json.loads((ROOT / "training/sentimento_pt/frases.json").read_text("utf-8"))
    for family in written["families"]:
        sentences = [sentence for _, _, sentence in family["sentences"]]
        groups.setdefault(f"Opiniões: {family['family']}", []).extend(sentences)
    yield from ((title, in_pages(blocks)) for title, blocks in groups.items())
    cards = [*HELPERS.glob("cards/*.md"), *HELPERS.glob("adapters/*/README.md")]
    for path in sorted(cards):
        yield path.stem, in_pages(prose(path.read_text("utf-8")).split("\n\n"))
    for path in sorted((ROOT / "notebooks/pt").glob("*.ipynb")):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        told = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
        yield path.stem, in_pages(prose("\n\n".join(told)).split("\n\n"))


def prose(markdown: str) -> str:
    """Return Markdown's words, without headers, code, link targets and marks."""
    text = re.sub(r"\A---\n.*?\n---\n", "", markdown, flags=re.DOTALL)
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    text = re.sub(r"^\|[-| :]+\|$", "", text, flags=re.MULTILINE)
    return re.sub(r"[*`#\[\]|]", " ", re.sub(r"\]\([^)]*\)", "]", text))


def in_pages(blocks: list[str]) -> list[str]:
    """Join paragraphs into pages."""
    pages: list[str] = []
    for block in filter(None, map(str.strip, blocks)):
        if pages and len(pages[-1]) + len(block) <= PAGE_SIZE:
            pages[-1] += f"\n\n{block}"
        else:
            pages.append(block)
    return pages


# --- what is measured ------------------------------------------------------------------------


def calibrate(assistant: ModuleType, library: Any) -> None:
    """Fit the confidence on the calibration questions and write it for these two models."""
    readings = documents.collect(assistant, library, documents.questions("calibragem"))
    judge = documents.fit(assistant, readings, CALIBRATED_AT)
    saved = {
        "models": MODELS,
        "weights": {name: round(weight, 4) for name, weight in judge.weights.items()},
        "bias": round(judge.bias, 4),
        "threshold": round(judge.threshold, 3),
    }
    written = json.dumps(saved, ensure_ascii=False, indent=2)
    (documents.folder() / "calibragem.json").write_text(f"{written}\n", encoding="utf-8")


def saved_judge(assistant: ModuleType) -> Any:
    """Read calibragem.json: the models were loaded by folder, so the program would not trust it."""
    saved = json.loads((documents.folder() / "calibragem.json").read_text(encoding="utf-8"))
    assert saved.pop("models") == list(MODELS)
    return assistant.Judge(**saved)


def measure_time(assistant: ModuleType, library: Any, judge: Any) -> None:
    """Print how long an answer takes, and the search alone."""
    asked = [question.text for question in documents.questions("teste")][:TIMED]
    assistant.ask(library, asked[0], judge)
    answers = [seconds(assistant.ask, library, text, judge) for text in asked]
    searches = [seconds(library.search, text) for text in asked]
    middle, high = statistics.median(answers), statistics.quantiles(answers, n=10)[-1]
    print(
        f"| uma resposta sobre {PAGES} páginas, mediana de {len(asked)} | {middle:.2f} s | 1,5 s |"
        f"\n| nove em cada dez respostas, até | {high:.2f} s | |"
        f"\n| só a busca, mediana | {1000 * statistics.median(searches):.0f} ms | |"
    )


def seconds(action: Callable[..., Any], *arguments: Any) -> float:
    """Time one call."""
    start = time.perf_counter()
    action(*arguments)
    return time.perf_counter() - start


def measure_answers(assistant: ModuleType, library: Any, judge: Any, errors: bool) -> None:
    """Print search, answers and refusals on the test questions."""
    asked = documents.questions("teste")
    having = [question for question in asked if question.answers]
    for k in (1, 3, 5):
        hits = [
            any(documents.holds_answer(part, question) for part, _ in found)
            for question in having
            for found in [library.search(question.text, k)]
        ]
        limit = "pelo menos 90 %" if k == 5 else ""
        print(f"| teste: busca@{k} | {share(statistics.mean(hits))} | {limit} |")
    outcomes = documents.judged(documents.collect(assistant, library, asked), judge)
    got = documents.score(outcomes)
    rows = [
        (
            f"sem resposta ({got.unanswerable}): respondidas mesmo assim",
            got.wrongly_answered,
            "10 %",
        ),
        (f"sem resposta ({got.unanswerable}): recusadas", got.refused_rightly, ""),
        (f"com resposta ({got.answerable}): respondidas e exatas", got.answered_right, ""),
        (f"com resposta ({got.answerable}): respondidas, não exatas", got.answered_wrong, ""),
        (f"com resposta ({got.answerable}): recusadas", got.refused, ""),
        ("sem recusar nunca: correspondência exata", got.exact, ""),
        ("sem recusar nunca: F1", got.f1, ""),
    ]
    for name, value, limit in rows:
        print(f"| teste: {name} | {share(value)} | {limit} |")
    if errors:
        print_errors(outcomes)


def share(value: float) -> str:
    """Write a share in percent, as in Brazil."""
    return f"{100 * value:.1f} %".replace(".", ",")


def print_errors(outcomes: list[documents.Outcome]) -> None:
    """Print what was answered wrongly, and what was refused although it has an answer."""
    for outcome in sorted(outcomes, key=lambda one: -one.confidence):
        right = outcome.said and outcome.exact
        refused_rightly = not outcome.said and not outcome.question.answers
        if not (right or refused_rightly):
            done = "disse" if outcome.said else "recusou"
            print(
                f"- {outcome.question.text} {done} {outcome.answer!r} "
                f"({outcome.confidence:.2f}); esperado: {list(outcome.question.answers)}"
            )


if __name__ == "__main__":
    main()
