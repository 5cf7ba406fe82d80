"""Datasets, with the real clients: ``datasets``, ``huggingface_hub`` and ``pandas``."""

import pytest
import requests
from client_runs import run_client

from helpers.embedded import store
from helpers.embedded.catalog import repositories

DATASET = "curso/perguntas-pt"
TRAIN = "data/train-00000-of-00001.parquet"
KNOWN = [repository.id for repository in repositories() if repository.kind == "dataset"]
WRITTEN = ["curso/perguntas-pt", "curso/avaliacoes-pt"]


@pytest.mark.contract(
    task=("hub-datasets", "hub-files"),
    client=("datasets", "HfApi"),
    direction=("request", "answer", "error"),
)
def test_datasets_and_huggingface_hub(server, tmp_path):
    seen = run_client(server, tmp_path, "datasets_by_id.py")
    manifest = store.manifest(DATASET)
    files = {path: file.size for path, file in manifest.files.items()}
    assert list(seen["rows"]) == ["train", "test"]
    assert min(seen["rows"].values()) >= 100
    assert {"id", "context", "question", "answers"} <= set(seen["columns"])
    answers = seen["first"]["answers"]
    for answer, start in zip(answers["text"], answers["answer_start"], strict=True):
        assert seen["first"]["context"][start:].startswith(answer)
    assert seen["test_is_the_same"] and seen["streamed_is_the_same"]
    assert seen["shuffled"] == 3
    assert seen["labels"] == ["negativo", "neutro", "positivo"]
    assert seen["pictures_are_the_same"] and min(seen["picture"]) > 100
    assert seen["sounds"]
    assert seen["sha"] == manifest.commit and seen["commits"] == [manifest.commit]
    assert {"language:pt", "license:cc-by-4.0", "format:parquet"} <= set(seen["tags"])
    assert "task_categories:question-answering" in seen["tags"]
    assert seen["downloads"] == 0
    assert seen["siblings"] == seen["snapshot"] == sorted(files)
    assert seen["sizes"] == files
    assert {"tags", "main_size"} <= set(seen["expanded"])
    assert not {"sha", "siblings", "card_data"} & set(seen["expanded"])
    assert seen["listed"] == KNOWN
    assert set(WRITTEN) <= set(seen["in_portuguese"]) <= set(KNOWN)
    assert seen["questions"] == seen["named"] == [DATASET]
    assert seen["tree"] == sorted([*files, "data"])
    assert seen["commit_title"] == "Build perguntas-pt"
    assert seen["paths"] == [TRAIN]
    assert seen["branches"] == ["main"]
    assert seen["exists"] == [True, False, True, False, True, False]
    assert seen["auth_check"] == ["no error", "RepositoryNotFoundError"]
    assert seen["licence"] == "cc-by-4.0"
    assert seen["file_bytes"] == files[TRAIN]
    assert seen["ls"] == [f"datasets/{DATASET}/{name}" for name in ("README.md", "data")]
    assert seen["glob"] == sorted(
        f"datasets/{DATASET}/{path}" for path in files if path.endswith(".parquet")
    )
    assert seen["head"] == "PAR1"
    assert seen["pandas_rows"] == seen["rows"]["train"]
    assert seen["missing"] == "DatasetNotFoundError"


@pytest.mark.contract(task="hub-datasets", client="requests", direction="request")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            "filter=task_categories:text-classification&author=curso",
            ["curso/avaliacoes-pt", "curso/frases-avaliadas-pt"],
        ),
        ("filter=language:pt&filter=task_categories:question-answering", [DATASET]),
        ("filter=license:cc-by-4.0,task_categories:question-answering", [DATASET]),
        ("filter=size_categories:n%3C1K&search=perguntas", [DATASET]),
        ("filter=size_categories:1M%3Cn%3C10M", []),
        ("search=avaliacoes&limit=1", ["curso/avaliacoes-pt"]),
        ("author=outra", []),
    ],
)
def test_list_filters_by_tags(server, query, expected):
    response = requests.get(f"{server.url}/api/datasets?{query}", timeout=30)
    assert [item["id"] for item in response.json()] == expected


@pytest.mark.contract(task="hub-datasets", client="requests", direction="error")
def test_a_dataset_is_no_model_to_call(server):
    response = server.post(server.model_url(DATASET), {"inputs": "oi"})
    assert response.status_code == 400
    assert response.json() == {"error": "Model not supported by provider hf-inference"}
