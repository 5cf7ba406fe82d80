"""The pictures: their bytes, their descriptions and the card."""

import hashlib
import io
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard
from PIL import Image

from helpers.embedded import fetch, store
from helpers.embedded.catalog import catalog
from helpers.embedded.recipes import pictures

REPOSITORY = "curso/imagens"
FREE = {"CC0 1.0", "CC BY 2.0", "domínio público", "sem restrições conhecidas"}


@pytest.fixture(scope="module")
def folder():
    return store.ensure(REPOSITORY)


@pytest.fixture(scope="module")
def rows(folder):
    return pq.read_table(folder / "data").to_pylist()


def test_the_bytes_are_those_of_the_packages(rows):
    expected = {
        Path(file.member).name: file.sha256 for file in catalog().repository(REPOSITORY).files
    }
    found = {
        row["image"]["path"]: hashlib.sha256(row["image"]["bytes"]).hexdigest() for row in rows
    }
    assert found == expected and 15 <= len(rows) <= 30


def test_every_picture_opens_and_is_of_modest_size(rows):
    for row in rows:
        picture = Image.open(io.BytesIO(row["image"]["bytes"]))
        picture.load()
        assert min(picture.size) >= 150 and max(picture.size) <= 1500, row["name"]
        assert picture.convert("RGB").mode == "RGB"
    assert sum(len(row["image"]["bytes"]) for row in rows) < 10_000_000


def test_every_picture_is_described_and_free(rows):
    assert len({row["name"] for row in rows}) == len({row["description"] for row in rows}) == 18
    assert {row["label"] for row in rows} == set(range(len(pictures.LABELS)))
    for row in rows:
        assert row["licence"] in FREE and row["author"] and row["source"].startswith("scikit-")
        assert 40 <= len(row["description"]) <= 180, row["name"]
        assert row["description"][0].isupper() and row["description"].endswith(".")
        assert not row["description"].lower().startswith(("imagem", "foto de"))  # alt text is one


def test_load_dataset_gives_pictures(folder, tmp_path):
    from datasets import load_dataset

    data = load_dataset(str(folder), split="train", cache_dir=str(tmp_path))
    assert data.features["label"].names == list(pictures.LABELS)
    assert data[0]["name"] == "gata" and data[0]["image"].size == (451, 300)
    streamed = load_dataset(str(folder), split="train", cache_dir=str(tmp_path), streaming=True)
    first = next(iter(streamed))
    assert first["image"].tobytes() == data[0]["image"].tobytes()
    assert first["description"] == data[0]["description"]


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "imagens"
    shutil.copytree(catalog().repository(REPOSITORY).source, folder)
    return folder


def test_a_picture_without_a_description_is_refused(source, tmp_path):
    with pytest.raises(ValueError, match="differ: .*chelsea.png.*nova.png"):
        pictures.build(tmp_path / "nova.png", source, tmp_path / "target")


def test_an_unknown_label_is_refused(source, tmp_path):
    (source / "pictures.toml").write_text(
        '[[picture]]\nfile = "a.png"\nlabel = "bicho"\n', encoding="utf-8"
    )
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(ValueError, match="'bicho' is none of"):
        pictures.rows([tmp_path / "a.png"], source)


def test_card_describes_columns_counts_and_sources(rows):
    repository = catalog().repository(REPOSITORY)
    card = DatasetCard.load(repository.card)
    info = card.data.dataset_info
    assert [feature["name"] for feature in info["features"]] == list(pictures.FEATURES)
    names = info["features"][2]["dtype"]["class_label"]["names"]
    assert list(names.values()) == list(pictures.LABELS)
    assert [split["num_examples"] for split in info["splits"]] == [len(rows)]
    for row in rows:
        cells = (f"`{row['image']['path']}`", row["name"], row["author"], row["licence"])
        assert f"| {' | '.join(cells)} |" in card.text
    assert repository.task in card.data.task_categories


@pytest.mark.parametrize(
    ("filename", "options"),
    [
        ("a-1-py3-none-manylinux2014_x86_64.whl", []),
        ("a-1-cp38-abi3-manylinux2014_x86_64.whl", []),
        (
            "a-1-cp311-cp311-manylinux_2_28_x86_64.whl",
            ["--python-version", "311", "--implementation", "cp", "--abi", "cp311"],
        ),
    ],
)
def test_pip_is_told_the_python_of_a_wheel_only_where_it_matters(filename, options):
    assert fetch._python_options(filename) == options
