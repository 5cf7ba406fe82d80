"""The dataset viewer on the course's datasets: every answer, and every error as the real one's."""

import pandas
import pyarrow.parquet as pq
import pytest
import requests
import shapes
from datasets import Features
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.embedded import store

DATASET = "curso/perguntas-pt"
VIEWER = "/datasets-server"
TRAIN = {"dataset": DATASET, "config": "default", "split": "train"}


def ask(server, path, headers=None, **query):
    return requests.get(f"{server.url}{VIEWER}/{path}", params=query, headers=headers, timeout=60)


@pytest.mark.contract(task="dataset-viewer", client="requests", direction="answer")
def test_what_the_viewer_offers(server):
    response = ask(server, "is-valid", dataset=DATASET)
    shapes.check(shapes.VALIDITY, response.json())
    assert response.headers["X-Revision"] == store.manifest(DATASET).commit


@pytest.mark.contract(task="dataset-viewer", client="requests", direction="answer")
def test_splits(server):
    answer = ask(server, "splits", dataset=DATASET).json()
    shapes.check(shapes.SPLITS, answer)
    assert answer["splits"] == [
        {"dataset": DATASET, "config": "default", "split": split} for split in ("train", "test")
    ]
    assert ask(server, "splits", dataset=DATASET, config="default").json() == answer


@pytest.mark.contract(task="dataset-viewer", client="requests", direction="request")
@pytest.mark.parametrize(
    ("offset", "length"), [(0, 100), (7, 3), (0, 0), (270, 100), (10**9, 100), (None, None)]
)
def test_rows_are_those_of_the_file(server, offset, length):
    answer = ask(server, "rows", **TRAIN, offset=offset, length=length).json()
    shapes.check(shapes.ROWS, answer)
    file = store.ensure(DATASET) / "data" / "train-00000-of-00001.parquet"
    expected = pq.read_table(file).to_pylist()
    start = offset or 0
    wanted = expected[start : start + (100 if length is None else length)]
    assert [item["row"] for item in answer["rows"]] == wanted
    assert [item["row_idx"] for item in answer["rows"]] == [*range(start, start + len(wanted))]
    assert answer["num_rows_total"] == len(expected)


@pytest.mark.contract(task="dataset-viewer", client=("requests", "datasets"), direction="answer")
def test_features_are_those_of_datasets(server):
    answer = ask(server, "rows", dataset="curso/avaliacoes-pt", config="default", split="test")
    told = {item["name"]: item["type"] for item in answer.json()["features"]}
    file = store.ensure("curso/avaliacoes-pt") / "data" / "test-00000-of-00001.parquet"
    assert Features.from_dict(told) == Features.from_arrow_schema(pq.read_schema(file))
    assert told["label"] == {"names": ["negativo", "neutro", "positivo"], "_type": "ClassLabel"}


@pytest.mark.contract(task="dataset-viewer", client="requests", direction="answer")
def test_first_rows(server):
    answer = ask(server, "first-rows", **TRAIN).json()
    shapes.check(shapes.FIRST_ROWS, answer)
    assert answer["rows"] == ask(server, "rows", **TRAIN).json()["rows"]
    assert answer["truncated"]  # there are more than a hundred


@pytest.mark.contract(task="dataset-viewer", client="requests", direction="answer")
def test_size_info_and_parquet_agree_with_the_files(server):
    size = ask(server, "size", dataset=DATASET).json()
    shapes.check(shapes.SIZE, size)
    of_config = ask(server, "size", dataset=DATASET, config="default").json()
    shapes.check(shapes.CONFIG_SIZE, of_config)
    assert of_config["size"]["config"] == size["size"]["configs"][0]
    rows = {item["split"]: item["num_rows"] for item in size["size"]["splits"]}
    infos = ask(server, "info", dataset=DATASET).json()["dataset_info"]
    shapes.check(shapes.DATASET_INFO_OF_CONFIG, infos["default"])
    one = ask(server, "info", dataset=DATASET, config="default").json()
    assert one == {"dataset_info": infos["default"], "partial": False}
    splits_told = infos["default"]["splits"]
    assert {name: split["num_examples"] for name, split in splits_told.items()} == rows
    parquet = ask(server, "parquet", dataset=DATASET).json()
    shapes.check(shapes.PARQUET, parquet)
    for item in parquet["parquet_files"]:
        assert len(pandas.read_parquet(item["url"])) == rows[item["split"]]


@pytest.mark.contract(task="dataset-viewer", client="requests", direction="answer")
@pytest.mark.parametrize(
    ("dataset", "column"), [("curso/imagens", "image"), ("curso/falas", "audio")]
)
def test_pictures_and_sounds_are_those_of_the_file(server, dataset, column):
    page = ask(server, "rows", dataset=dataset, config="default", split="train").json()
    shapes.check(shapes.ROWS, page)
    [file] = (store.ensure(dataset) / "data").glob("train-*.parquet")
    expected = pq.read_table(file, columns=[column]).column(column).to_pylist()
    for item, kept in zip(page["rows"], expected, strict=True):
        cell = item["row"][column]
        source = cell["src"] if column == "image" else cell[0]["src"]
        response = requests.get(source, timeout=30)
        assert response.content == kept["bytes"]
        assert response.headers["Content-Type"].startswith(column)


# --- errors, as the real viewer words them


@pytest.mark.contract(task="dataset-viewer", client="requests", direction="error")
@pytest.mark.parametrize(
    ("path", "query", "message"),
    [
        ("is-valid", "", "Parameter 'dataset' is required"),
        ("splits", "dataset=", "Parameter 'dataset' is required"),
        ("size", "dataset=%20", "Parameter 'dataset' is required"),
        ("rows", "config=default&split=train", "Parameter 'dataset' is required"),
        ("rows", f"dataset={DATASET}&split=train", "Parameter 'config' is required"),
        ("first-rows", f"dataset={DATASET}&config=default", "Parameter 'split' is required"),
    ],
)
def test_a_missing_parameter(server, path, query, message):
    response = requests.get(f"{server.url}{VIEWER}/{path}?{query}", timeout=30)
    assert (response.status_code, response.json()) == (422, {"error": message})
    assert response.headers["X-Error-Code"] == "MissingRequiredParameter"


@pytest.mark.contract(task="dataset-viewer", client="requests", direction="error")
@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"length": 101}, "Parameter 'length' must not be greater than 100"),
        ({"length": -1}, "Parameter 'length' must be positive"),
        ({"length": "dez"}, "Parameter 'length' must be integer"),
        ({"length": "9" * 5000}, "Parameter 'length' must be integer"),
        ({"offset": -1}, "Parameter 'offset' must be positive"),
        ({"offset": "1.5"}, "Parameter 'offset' must be integer"),
    ],
)
def test_a_bad_parameter(server, query, message):
    response = ask(server, "rows", **TRAIN, **query)
    assert (response.status_code, response.json()) == (422, {"error": message})
    assert response.headers["X-Error-Code"] == "InvalidParameter"


@pytest.mark.contract(task="dataset-viewer", client="requests", direction="error")
@pytest.mark.parametrize(
    "dataset", ["curso/nada", "curso/qa-pt", "../perguntas-pt", "a\0b", "x" * 999]
)
@pytest.mark.parametrize(
    "path", ["is-valid", "splits", "rows", "first-rows", "size", "info", "parquet"]
)
def test_an_unknown_dataset(server, path, dataset):
    query = {"dataset": dataset, "config": "default", "split": "train"}
    without, with_token = (ask(server, path, headers, **query) for headers in ({}, server.headers))
    for response, status, code in (
        (without, 401, "ExternalUnauthenticatedError"),
        (with_token, 404, "ExternalAuthenticatedError"),
    ):
        assert response.status_code == status
        assert response.headers["X-Error-Code"] == code
        shapes.check(shapes.ERROR, response.json())
        assert response.json()["error"].startswith(
            "The dataset does not exist, or is not accessible"
        )


@pytest.mark.contract(task="dataset-viewer", client="requests", direction="error")
@pytest.mark.parametrize(
    ("path", "changed"),
    [
        ("rows", {"split": "nada"}),
        ("rows", {"config": "nada"}),
        ("first-rows", {"split": "../train"}),
        ("info", {"config": "nada"}),
        ("size", {"config": "nada"}),
    ],
)
def test_an_unknown_config_or_split(server, path, changed):
    response = ask(server, path, **(TRAIN | changed))
    assert (response.status_code, response.json()) == (404, {"error": "Not found."})
    assert response.headers["X-Error-Code"] == "ResponseNotFound"


@pytest.mark.contract(task="dataset-viewer", client="requests", direction="error")
def test_a_wrong_token(server):
    response = ask(server, "rows", {"Authorization": "Bearer hf_errado"}, **TRAIN)
    assert response.status_code == 401


words = st.text(st.characters(codec="utf-8"), max_size=40) | st.sampled_from(
    [DATASET, "default", "train", "0", "10", "-1", "1e3", "../..", "%2e%2e", ".manifest.json"]
)


@pytest.mark.contract(task="dataset-viewer", client="requests", direction="error")
@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    path=st.sampled_from(["is-valid", "splits", "rows", "first-rows", "size", "info", "parquet"])
    | st.lists(words, min_size=1, max_size=9).map(lambda parts: "cached-assets/" + "/".join(parts)),
    query=st.dictionaries(
        st.sampled_from(["dataset", "config", "split", "offset", "length"]), words, max_size=5
    ),
)
def test_odd_requests_are_answered_cleanly(server, path, query):
    response = ask(server, requests.utils.quote(path), **query)
    assert response.status_code in (200, 401, 404, 422), response.text
    assert "Traceback" not in response.text
