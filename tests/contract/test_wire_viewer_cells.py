"""The dataset viewer on a dataset made to be difficult: pictures, sounds, holes and odd types."""

import asyncio
import json
import shutil
import sys
import threading
from contextlib import contextmanager
from datetime import date
from io import BytesIO
from types import ModuleType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
import shapes
import soundfile
import uvicorn
from PIL import Image
from wire_server import free_port

from helpers.embedded import catalog, store, viewer
from helpers.embedded import server as embedded_server
from helpers.embedded.viewer import endpoints, splits

DATASET = "curso/dificil"


def ask(server, path, **query):
    address = f"{server.url}{viewer.PREFIX}/{path}"
    return requests.get(address, params={"dataset": DATASET} | query, timeout=60)


def picture(kind, size=(3, 2)):
    stream = BytesIO()
    Image.new("RGB", size, "red").save(stream, kind)
    return stream.getvalue()


def sound():
    stream = BytesIO()
    soundfile.write(stream, [0.0, 0.5, -0.5] * 100, 16_000, format="WAV")
    return stream.getvalue()


PNG, JPEG, WAV = picture("PNG"), picture("JPEG", (20, 10)), sound()
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
FILE = {"bytes": pa.binary(), "path": pa.string()}
MEDIA_FEATURES = {
    "foto": {"_type": "Image"},
    "áudio 1": {"sampling_rate": 16_000, "_type": "Audio"},
    "n": {"dtype": "int64", "_type": "Value"},
}
MEDIA = pa.schema(
    [("foto", pa.struct(list(FILE.items()))), ("áudio 1", pa.struct(list(FILE.items())))]
    + [("n", pa.int64())],
    metadata={"huggingface": json.dumps({"info": {"features": MEDIA_FEATURES}})},
)
CARD = """---
license: mit
configs:
  - config_name: mídia
    data_files:
      - split: train
        path: "data/train-*"
      - split: ausente
        path: "data/ausente-*"
  - config_name: tipos
    data_files: tipos.parquet
---
# Difícil

Um conjunto de dados difícil.
"""


def write_difficult(target):
    """Write two files of several row groups, cells that are empty or broken, and odd types."""
    photos = [PNG, JPEG, None, b"not a picture", SVG, PNG, JPEG]
    rows = [
        {
            "foto": contents and {"bytes": contents, "path": "a.png"},
            "áudio 1": {"bytes": WAV if number % 2 else b"noise", "path": None},
            "n": number,
        }
        for number, contents in enumerate(photos)
    ]
    (target / "data").mkdir()
    for number, part in enumerate((rows[:4], rows[4:])):
        table = pa.Table.from_pylist(part, schema=MEDIA)
        pq.write_table(table, target / "data" / f"train-{number}-of-2.parquet", row_group_size=3)
    types = pa.table(
        {
            "real": pa.array([1.5, float("nan"), float("-inf")]),
            "dia": pa.array([date(2026, 11, 22), None, date(1, 1, 1)]),
            "bytes": pa.array([b"\x00\xff", b"", None]),
            "grupos": pa.array([[{"a": [1, 2]}], [], None]),
            "texto": pa.array(["ação 😀", "", None]),
        }
    )
    pq.write_table(types, target / "tipos.parquet")
    (target / ".segredo").write_text("escondido", encoding="utf-8")


class OddServer:
    """The embedded server in a thread of the test, over a catalog of the test's own."""

    def __init__(self, port, token):
        self.url = f"http://127.0.0.1:{port}"
        self.headers = {"Authorization": f"Bearer {token}"}


@contextmanager
def serving(token="hf_difficult"):
    port = free_port()
    app = embedded_server.create_app(embedded_server.Settings(port, token))
    config = uvicorn.Config(app, "127.0.0.1", port, log_config=None, lifespan="off", ws="none")
    running = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(running.serve()), daemon=True)
    thread.start()
    while not running.started:
        assert thread.is_alive()
    try:
        yield OddServer(port, token)
    finally:
        running.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    (folder / "catalog.toml").write_text(
        'package = []\n[[repository]]\nid = "curso/dificil"\nkind = "dataset"\ntask = "tabular"\n'
        'recipe = "difficult"\nlicence = "mit"\ncard = "README.md"\nsize = 1000\n'
        "last_modified = 2026-11-22T12:00:00Z\n",
        encoding="utf-8",
    )
    recipe = ModuleType("helpers.embedded.recipes.difficult")
    recipe.VERSION, recipe.build = 1, write_difficult
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, recipe.__name__, recipe)
        patch.setenv("COURSE_CACHE", str(folder / "cache"))
        patch.setattr(catalog, "FOLDER", folder)
        catalog.catalog.cache_clear()
        with serving() as started:
            yield started
    catalog.catalog.cache_clear()


def odd_rows(odd, config="mídia", **query):
    response = ask(odd, "rows", config=config, split="train", **query)
    shapes.check(shapes.ROWS, response.json())
    return response.json()


@pytest.mark.contract(task="dataset-viewer", client="requests", direction="answer")
def test_the_card_says_which_splits_there_are(odd):
    answer = ask(odd, "splits").json()
    named = [(item["config"], item["split"]) for item in answer["splits"]]
    assert named == [("mídia", "train"), ("tipos", "train")]


@pytest.mark.contract(task="dataset-viewer", client="requests", direction="request")
@pytest.mark.parametrize("offset", range(8))
@pytest.mark.parametrize("length", [1, 3, 100])
def test_slices_cross_row_groups_and_files(odd, offset, length):
    page = odd_rows(odd, offset=offset, length=length)
    expected = list(range(7))[offset : offset + length]
    assert [item["row_idx"] for item in page["rows"]] == expected
    assert [item["row"]["n"] for item in page["rows"]] == expected
    assert page["num_rows_total"] == 7


@pytest.mark.contract(task="dataset-viewer", client="requests", direction="answer")
def test_pictures_are_addresses_on_the_same_server(odd):
    cells = [item["row"]["foto"] for item in odd_rows(odd)["rows"]]
    assert cells[2:5] == [None, None, None]  # empty, broken, and a format that may hold a program
    for cell, contents, kind, size in (
        (cells[0], PNG, "image/png", (3, 2)),
        (cells[1], JPEG, "image/jpeg", (20, 10)),
        (cells[6], JPEG, "image/jpeg", (20, 10)),
    ):
        assert cell["src"].startswith(f"{odd.url}{viewer.PREFIX}/cached-assets/curso/dificil/--/")
        assert (cell["width"], cell["height"]) == size
        response = requests.get(cell["src"], timeout=30)
        assert response.content == contents
        assert response.headers["Content-Type"] == kind
        assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.contract(task="dataset-viewer", client="requests", direction="answer")
def test_sounds_are_addresses_too(odd):
    cells = [item["row"]["áudio 1"] for item in odd_rows(odd)["rows"]]
    assert cells[0] is None
    [source] = cells[1]
    assert source["type"] == "audio/wav"
    response = requests.get(source["src"], timeout=30)
    assert response.content == WAV and response.headers["Content-Type"] == "audio/wav"


@pytest.mark.contract(task="dataset-viewer", client="requests", direction="answer")
def test_odd_types_are_plain_json(odd):
    rows = [item["row"] for item in odd_rows(odd, config="tipos")["rows"]]
    assert rows == [
        {
            "real": 1.5,
            "dia": "2026-11-22",
            "bytes": None,
            "grupos": [{"a": [1, 2]}],
            "texto": "ação 😀",
        },
        {"real": None, "dia": None, "bytes": None, "grupos": [], "texto": ""},
        {"real": None, "dia": "0001-01-01", "bytes": None, "grupos": None, "texto": None},
    ]
    told = {item["name"]: item["type"] for item in odd_rows(odd, config="tipos")["features"]}
    assert told["real"] == {"dtype": "float64", "_type": "Value"}
    assert told["grupos"]["feature"]["a"]["_type"] == "List"


@pytest.mark.contract(task="dataset-viewer", client="requests", direction="answer")
def test_first_rows_stop_before_they_are_too_long(odd, monkeypatch):
    query = {"config": "mídia", "split": "train"}
    assert not ask(odd, "first-rows", **query).json()["truncated"]
    for limit, count in ((1, 1), (800, 2)):
        monkeypatch.setattr(endpoints, "FIRST_ROWS_BYTES", limit)
        answer = ask(odd, "first-rows", **query).json()
        assert answer["truncated"] and len(answer["rows"]) == count


@pytest.mark.contract(task="dataset-viewer", client="requests", direction="error")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("image.png", "image.jpg"),
        ("image.png", "..%2Fimage.png"),
        ("/0/foto", "/2/foto"),
        ("/0/foto", "/-1/foto"),
        ("/0/foto", "/7/foto"),
        ("/0/foto", f"/{'9' * 5000}/foto"),
        ("/0/foto", "/٣/foto"),
        ("/0/foto", "/0/n"),
        ("/0/foto", "/0/nada"),
        ("/train/", "/test/"),
        ("m%C3%ADdia", "tipos"),
        ("dificil", "facil"),
    ],
)
def test_an_asset_that_is_not_there(odd, old, new):
    source = odd_rows(odd)["rows"][0]["row"]["foto"]["src"]
    assert old in source
    response = requests.get(source.replace(old, new, 1), headers=odd.headers, timeout=30)
    assert response.status_code == 404


@pytest.mark.contract(task="dataset-viewer", client="requests", direction="error")
def test_an_asset_of_another_commit(odd):
    source = odd_rows(odd)["rows"][0]["row"]["foto"]["src"]
    commit = source.split("/--/")[1]
    assert requests.get(source.replace(commit, "0" * 40), timeout=30).status_code == 404


def damage(folder):
    """Change bytes of a file and keep its size, which is what the server looks at."""
    file = folder / "data" / "train-0-of-2.parquet"
    contents = file.read_bytes()
    file.write_bytes(b"\0" * len(contents))


def shorten(folder):
    file = folder / "data" / "train-0-of-2.parquet"
    file.write_bytes(file.read_bytes()[:-10])


@pytest.mark.contract(task="dataset-viewer", client="requests", direction="answer")
@pytest.mark.parametrize("harm", [shutil.rmtree, shorten], ids=["deleted", "shortened"])
def test_a_dataset_that_is_gone_or_cut_is_built_again(odd, harm):
    before = odd_rows(odd)
    harm(store.ensure(DATASET))
    assert odd_rows(odd) == before


@pytest.mark.contract(task="dataset-viewer", client="requests", direction="error")
def test_a_damaged_file_is_no_crash(odd):
    folder = store.ensure(DATASET)
    splits._index.cache_clear()
    splits._table.cache_clear()
    damage(folder)
    response = ask(odd, "rows", config="mídia", split="train")
    assert response.status_code == 503
    assert response.headers["X-Error-Code"] == "ResponseNotReady"
    store.remove(DATASET)
    assert odd_rows(odd)["num_rows_total"] == 7


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["data/train-0-of-2.parquet", "data/train-1-of-2.parquet"], [("train", 2)]),
        (["test.parquet", "train.parquet", "README.md"], [("test", 1), ("train", 1)]),
        (["README.md", "dados.csv"], []),
    ],
)
def test_without_configs_the_names_tell_the_splits(files, expected):
    found = splits.find(files, {"license": "mit", "configs": None})
    assert [(split.name, len(split.files)) for split in found] == expected
    assert all(split.config == "default" for split in found)


@pytest.mark.parametrize(
    "configs", [[], [None], ["a"], [{"data_files": 3}], [{"data_files": [{"split": "train"}, 4]}]]
)
def test_a_card_that_makes_no_sense_has_no_splits(configs):
    assert splits.find(["train.parquet"], {"configs": configs}) == []
