"""The notebooks in the world of the Hub: their real cells, against answers in the Hub's shapes."""

import re

import hub_notebooks
import pytest
import replay_hub

from helpers.environment import cache_folder

SAYS_NOTHING = re.compile(r"\b(None|nan|NaN)\b")
"""What a learner must not be shown in the place of "it does not say"."""


def run(number, hub, folder, **variables):
    path = hub_notebooks.notebook(number)
    if path is None:
        pytest.skip(f"notebooks/pt has no notebook {number} yet")
    hub.asked.clear()
    return hub_notebooks.run(path, hub, folder, **variables)


@pytest.fixture(scope="module")
def tour(hub, tmp_path_factory):
    outcome = run("01", hub, tmp_path_factory.mktemp("tour"))
    return outcome, list(hub.asked)


@pytest.fixture(scope="module")
def local_or_api(hub, tmp_path_factory):
    outcome = run("03", hub, tmp_path_factory.mktemp("local_or_api"))
    return outcome, list(hub.asked)


@pytest.fixture(scope="module")
def applications(hub, tmp_path_factory):
    # The course's own datasets are not on the Hub: they are built in the course's folder.
    built = {"COURSE_CACHE": str(cache_folder())}
    outcome = run("02", hub, tmp_path_factory.mktemp("applications"), **built)
    return outcome, list(hub.asked)


def in_portuguese():
    return [item for item in replay_hub.recorded("models") if "pt" in item["tags"]]


def line(shown, name):
    """Return a table's line by what it begins with, its columns apart."""
    (found,) = [row for row in shown.splitlines() if row.startswith(f"{name} ")]
    return re.split(r"\s{2,}", found.strip())


def test_the_tour_leaves_out_only_what_runs_a_space(tour):
    outcome, _ = tour
    assert outcome.left_out and len(outcome.cells) > 5 * len(outcome.left_out)
    assert all("client" in source.lower() for source in outcome.left_out)
    assert not SAYS_NOTHING.search(outcome.shown)


def test_the_tour_uses_the_mirror_and_its_viewer(tour, hub):
    outcome, asked = tour
    assert hub.url in outcome.shown_by("helpers.setup(")
    assert hub_notebooks.TOKEN in hub.tokens and hub_notebooks.TOKEN not in outcome.shown
    paths = {request.split("?")[0] for request in asked}
    assert {"GET /api/models", "GET /api/datasets", "GET /api/spaces"} <= paths
    assert {f"GET {replay_hub.VIEWER}/{name}" for name in ("splits", "first-rows", "rows")} <= paths


def test_the_tour_counts_and_searches_models(tour):
    outcome, _ = tour
    models = in_portuguese()
    searches = outcome.shown_by("list_models(")
    assert re.search(rf"\b{len(models)}\b", searches)
    asked = [item for item in models if item["pipeline_tag"] == "question-answering"]
    positions = [
        searches.index(item["id"]) for item in sorted(asked, key=lambda i: -i["downloads"])
    ]
    assert positions == sorted(positions) and len(positions) > 1
    assert "19.112" in searches
    by_task = outcome.shown_by("Counter(")
    for task in {item["pipeline_tag"] for item in models} - {None}:
        count = sum(item["pipeline_tag"] == task for item in models)
        assert f"{task}: {count}" in by_task


def test_the_tour_reads_a_card_and_looks_inside(tour):
    outcome, asked = tour
    card = outcome.shown_by("ModelCard.load(")
    assert line(card, "license")[1] == "mit" and "multilingual" in card and "squad_v2" in card
    files = outcome.shown_by("files_metadata=True")
    assert line(files, "model.safetensors")[1] == "1.112,91"
    assert "278,2" in outcome.shown_by("get_safetensors_metadata(")
    assert not any(request.startswith("GET /cdn") and "tokenizer" in request for request in asked)


def test_the_tour_s_explorer_copes_with_every_card(tour):
    outcome, _ = tour
    shown = outcome.shown_by("explorer(")
    told = {item["id"].split("/")[1]: item for item in in_portuguese() if item["safetensors"]}
    rows = {name: line(shown, name) for name in told}
    one_language = rows["bert-base-cased-squad-v1.1-portuguese"]
    assert one_language[1:4] == ["question-answering", "pt", "mit"]
    assert rows["duas-licencas"][3] == "mit, cc-by-nc-4.0"
    bare = rows["cartao-sem-cabecalho"]
    assert bare[1] == bare[2] == bare[3] and float(bare[4].replace(",", ".")) == 3.0
    sizes = {name: float(row[4].replace(".", "").replace(",", ".")) for name, row in rows.items()}
    expected = {name: item["safetensors"]["total"] / 1e6 for name, item in told.items()}
    assert sizes == {name: pytest.approx(size, abs=0.06) for name, size in expected.items()}


def test_the_tour_looks_into_datasets(tour):
    outcome, _ = tour
    datasets = outcome.shown_by("list_datasets(")
    assert line(datasets, "eraldoluis/faquad")[-1] == "cc-by-4.0"
    assert line(datasets, "exemplo/conversas")[-1] == "mit"
    assert "['" not in datasets
    assert "('default', 'train')" in outcome.shown_by("/splits")
    assert "'act', 'prompt'" in outcome.shown_by("/first-rows")
    middle = outcome.shown_by('"offset"')
    assert "100" in middle and "101" in middle and "assistant number 101" in middle
    assert str(replay_hub.PROMPT_ROWS) in outcome.shown_by("load_dataset(")


def test_the_tour_finds_spaces(tour):
    outcome, _ = tour
    assert "exemplo/Pergunte-ao-PDF" in outcome.shown_by("list_spaces(")


def test_local_or_api_counts_without_weights(local_or_api):
    outcome, asked = local_or_api
    assert "278220290" in outcome.shown_by("get_safetensors_metadata(")
    assert "1.113" in outcome.shown_by("weights_bytes(parameters, ")
    assert not SAYS_NOTHING.search(outcome.shown)
    assert "(30, 3, 64)" in outcome.shown_by("AutoConfig.from_pretrained(")
    heads = [request for request in asked if request.startswith("GET /cdn")]
    assert heads and all(request.endswith("model.safetensors") for request in heads)


def test_local_or_api_asks_what_is_served(local_or_api):
    outcome, _ = local_or_api
    served = outcome.shown_by('inference_provider="hf-inference"')
    assert line(served, "deepset/roberta-base-squad2")[1] == "question-answering"
    assert line(served, "facebook/bart-large-mnli")[1] == "zero-shot-classification"
    assert "Qwen" not in served  # others serve it, not this provider
    # Nobody serves the model at hand, and the Hub then leaves the field out: the cell says so.
    assert outcome.shown_by("inferenceProviderMapping").strip()


def test_local_or_api_decides(local_or_api):
    outcome, _ = local_or_api
    assert "GB" in outcome.shown_by("decide(") and "GB" in outcome.shown_by("decision_aid(")


def test_local_or_api_leaves_out_no_question_to_the_hub(local_or_api):
    outcome, _ = local_or_api
    questions = ("HfApi", "list_models", "model_info", "safetensors_metadata", "AutoConfig.")
    assert outcome.left_out
    assert not [q for q in questions for source in outcome.left_out if q in source]


def test_applications_take_the_course_s_datasets_from_this_machine(applications):
    outcome, asked = applications
    assert not [request for request in asked if "curso/" in request]
    shown = re.findall(r"\[\('.*?\)\]", outcome.shown, flags=re.DOTALL)
    counters = [dict(re.findall(r"\('(\w+)', (\d+)\)", counter)) for counter in shown]
    assert [counter for counter in counters if counter.get("animal") == "2"]
    labels = {"positivo", "neutro", "negativo"}
    assert [c for c in counters if c.keys() == labels and sum(map(int, c.values())) == 20]
    assert len([source for source, _ in outcome.cells if "helpers.exercise(" in source]) >= 2


def test_applications_tell_the_hub_s_labels_in_portuguese(applications):
    outcome, _ = applications
    told = outcome.shown_by("classifier(")
    assert "positivo" in told and "positive" not in told


CHOSEN = """
import helpers
course = helpers.setup()
---
from transformers import AutoConfig, AutoModel
config = AutoConfig.from_pretrained("a/b")
---
model = AutoModel.from_pretrained("a/b")
size = 3
---
def double():
    return 2 * size
---
size = 4
---
print(size, [model for model in "ab"])
---
print(model)
---
session = course.session()
---
%timeit 1 + 1
"""


def test_the_rule_that_leaves_cells_out():
    cells = [cell.strip() for cell in CHOSEN.split("---")]
    kept, left_out = hub_notebooks.choose(cells)
    assert left_out == [cells[2], cells[3], cells[6], cells[7]]
    assert kept == [cells[0], cells[1], cells[4], cells[5], cells[8]]
