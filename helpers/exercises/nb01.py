"""Exercises of notebook 01, `tour_pela_plataforma`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from helpers.exercises import Exercise, Wrong, WrongAnswer, expect_equal, expect_type, run_cases

SHELF = [
    {"modelo": "alfa", "tarefa": "translation", "idiomas": ["pt", "en"],
     "milhões de parâmetros": 40.5},
    {"modelo": "beta", "tarefa": "translation", "idiomas": ["pt"],
     "milhões de parâmetros": 17.0},
    {"modelo": "gama", "tarefa": "translation", "idiomas": ["en"],
     "milhões de parâmetros": 3.0},
    {"modelo": "delta", "tarefa": "summarization", "idiomas": ["pt", "es"],
     "milhões de parâmetros": 8.0},
]  # fmt: skip

SMALLEST: list[tuple[tuple[Sequence[Mapping[str, Any]], str, str], str | None]] = [
    ((SHELF, "translation", "pt"), "beta"),
    ((SHELF, "translation", "en"), "gama"),
    ((SHELF, "summarization", "es"), "delta"),
    ((SHELF, "summarization", "en"), None),
    (([], "translation", "pt"), None),
]


def check_translators(translators: Any) -> None:
    """The Hub's own list, whatever its order."""
    from huggingface_hub import HfApi

    expect_type(translators, list, tuple, set)
    chosen = list(translators)
    if any(not isinstance(model, str) for model in chosen):
        raise Wrong("not_ids", got=chosen[0])
    right = {model.id for model in HfApi().list_models(pipeline_tag="translation", filter="pt")}
    if extra := sorted(set(chosen) - right):
        raise Wrong("should_not", model=extra[0])
    if missing := sorted(right - set(chosen)):
        raise Wrong("should_too", model=missing[0])


def check_licence(licence: Any) -> None:
    """The licence of the embedded model, as its card says it."""
    from huggingface_hub import ModelCard

    from helpers.course import current

    expect_type(licence, str)
    card = ModelCard.load(current().model("question-answering"))
    expect_equal(licence, card.data.license, key="other_licence")


def check_total_rows(rows: Any, dataset_id: str) -> None:
    """All parts of the dataset together, as the viewer counts them."""
    import requests

    from helpers.course import current

    expect_type(rows, int)
    viewer = current().viewer_url
    query: dict[str, Any] = {"dataset": dataset_id}
    parts = requests.get(f"{viewer}/splits", params=query, timeout=30).json()["splits"]
    totals = []
    for part in parts:
        page = {**query, "config": part["config"], "split": part["split"], "length": 1}
        found = requests.get(f"{viewer}/rows", params=page, timeout=30).json()
        totals.append(found["num_rows_total"])
    if rows in totals and len(totals) > 1:
        raise Wrong("one_part", got=rows)
    expect_equal(rows, sum(totals), key="other_count")


def check_smallest(function: Callable[..., Any]) -> None:
    """Fewest parameters among those that do the task in the language."""
    run_cases(function, SMALLEST)


EXERCISES = (
    Exercise(
        id="01.1",
        level="direto",
        objective=2,
        check=check_translators,
        solution=(
            'translators = [m.id for m in api.list_models(pipeline_tag="translation", filter="pt")]'
        ),
        wrong=(
            WrongAnswer('translators = api.list_models(pipeline_tag="translation")', expect="list"),
            WrongAnswer(
                'translators = list(api.list_models(pipeline_tag="translation", filter="pt"))',
                expect="ids",
            ),
            WrongAnswer('translators = [m.id for m in api.list_models(filter="pt")]', expect="não"),
        ),
    ),
    Exercise(
        id="01.2",
        level="direto",
        objective=3,
        check=check_licence,
        solution="licence = card.data.license",
        wrong=(
            WrongAnswer('licence = "mit"', expect="cartão"),
            WrongAnswer("licence = card.data", expect="texto"),
        ),
    ),
    Exercise(
        id="01.3",
        level="desafio",
        objective=5,
        check=check_total_rows,
        solution="""
total_rows = 0
for part in parts:
    page = {"dataset": dataset_id, "config": part["config"], "split": part["split"]}
    found = requests.get(f"{course.viewer_url}/rows", params=page, timeout=30).json()
    total_rows += found["num_rows_total"]
""",
        wrong=(
            WrongAnswer("total_rows = examples.num_rows", expect="parte"),
            WrongAnswer('total_rows = len(answer["rows"])', expect="num_rows_total"),
        ),
    ),
    Exercise(
        id="01.4",
        level="desafio",
        objective=2,
        check=check_smallest,
        solution="""
def smallest(rows, task, language):
    fitting = [row for row in rows if row["tarefa"] == task and language in row["idiomas"]]
    fitting.sort(key=lambda row: row["milhões de parâmetros"])
    return fitting[0]["modelo"] if fitting else None
""",
        wrong=(
            WrongAnswer(
                "def smallest(rows, task, language):\n"
                '    fitting = [row for row in rows if row["tarefa"] == task]\n'
                '    best = min(fitting, key=lambda row: row["milhões de parâmetros"])\n'
                '    return best["modelo"]',
                expect="Esperado",
            ),
            WrongAnswer(
                "def smallest(rows, task, language):\n"
                "    fitting = [row for row in rows\n"
                '               if row["tarefa"] == task and language in row["idiomas"]]\n'
                '    return min(fitting, key=lambda row: row["milhões de parâmetros"])["modelo"]',
                expect="ValueError",
            ),
        ),
    ),
)
