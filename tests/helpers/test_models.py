"""The registry of models."""

import re
import tomllib
from importlib.resources import files

import pytest

from helpers import models
from helpers.embedded.catalog import repositories
from helpers.embedded.tasks import SERVED_TASKS
from helpers.errors import CourseError

GB = 10**9
CHAT_TASKS = ("text-generation",)  # the provider's name for it is another
REGISTRY = tomllib.loads((files("helpers") / "models.toml").read_text(encoding="utf-8"))
ALL = [choice for task in models.tasks() for choice in models.choices(task)]


@pytest.mark.parametrize("choice", ALL, ids=lambda choice: choice.hub_id)
def test_every_model_is_fully_described(choice):
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", choice.hub_id)
    assert choice.licence in {"mit", "apache-2.0", "cc-by-4.0"}
    assert choice.languages and choice.size_bytes < choice.memory_bytes * 1.01


@pytest.mark.parametrize("task", models.tasks())
def test_revisions_are_commits_or_are_marked(task):
    for model in REGISTRY[task]["choices"]:
        is_commit = re.fullmatch(r"[0-9a-f]{40}", model["revision"]) is not None
        assert is_commit is model["revision_checked"]


@pytest.mark.parametrize("task", models.tasks())
def test_choices_go_from_small_to_large(task):
    sizes = [choice.memory_bytes for choice in models.choices(task)]
    assert sizes == sorted(sizes)


def test_embedded_models_are_in_the_catalog():
    catalog = {repository.id: repository.task for repository in repositories()}
    for task in models.tasks():
        choice = models.pick(task)
        if choice.embedded_id is not None:
            assert choice.hub_task in SERVED_TASKS[catalog[choice.embedded_id]] + CHAT_TASKS


def test_every_task_that_has_an_embedded_model_is_in_the_registry():
    served = {models.pick(task).embedded_id for task in models.tasks()}
    assert {r.id for r in repositories() if r.kind == "model"} <= served


def test_the_chat_in_portuguese_offers_only_models_that_speak_it():
    assert all("pt" in choice.languages for choice in models.choices("chat-pt"))
    larger = [c.hub_id for c in models.choices("text-generation") if "pt" in c.languages]
    assert [choice.hub_id for choice in models.choices("chat-pt")][1:] == larger


def test_a_task_of_two_directions_is_one_on_the_hub():
    assert models.pick("translation-pt-en").hub_task == "translation"
    assert models.pick("question-answering").hub_task == "question-answering"


def test_downloads_agree_with_the_number_of_parameters():
    for task in models.tasks():
        for model in REGISTRY[task]["choices"]:
            weights = model["parameters"] * model["bytes_per_parameter"]
            assert model["size"] == pytest.approx(weights, rel=0.01)


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        (None, "SmolLM2-135M"),
        (4 * GB, "SmolLM2-135M"),
        (15360 * 2**20, "Qwen3-4B"),  # T4
        (23034 * 2**20, "Qwen2.5-7B"),  # L4
        (81559 * 2**20, "Qwen2.5-32B"),  # H100
    ],
)
def test_chat_models_fit_the_gpu(memory, expected):
    choice = models.pick("text-generation", memory)
    assert expected in choice.hub_id
    assert memory is None or choice.memory_bytes <= memory


def test_one_choice_serves_every_machine():
    assert models.pick("question-answering") == models.pick("question-answering", 80 * GB)


def test_an_unknown_task():
    with pytest.raises(CourseError, match="question-answering"):
        models.pick("adivinhação")
