"""The composed scenes: their boxes, their descriptions, the card and what the detector finds."""

import io
import json
import re
import shutil

import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard
from PIL import Image

from helpers.embedded import store
from helpers.embedded.catalog import catalog
from helpers.embedded.recipes import scenes
from training.detector import lesson_scenes
from training.detector.scenes import Material, compose
from training.detector.sources import LABELS

REPOSITORY, DETECTOR = lesson_scenes.DATASET, lesson_scenes.DETECTOR


@pytest.fixture(scope="module")
def folder():
    return store.ensure(REPOSITORY)


@pytest.fixture(scope="module")
def rows(folder):
    return pq.read_table(folder / "data").to_pylist()


@pytest.fixture(scope="module")
def listed():
    return lesson_scenes.read(catalog().repository(REPOSITORY).source)


def test_labels_are_those_of_the_detector():
    config = catalog().repository(DETECTOR).adapter / "adapter_config.json"
    names = json.loads(config.read_text(encoding="utf-8"))["id2label"]
    assert scenes.LABELS == LABELS == tuple(names.values())


def test_scenes_are_the_first_of_their_series(listed):
    first = lesson_scenes.FIRST_SCENE
    assert [scene["seed"] for scene in listed] == list(range(first, first + 8))
    assert all(3 <= len(scene["objects"]) <= 6 for scene in listed)


def test_larger_scenes_have_larger_drawings_and_enough_of_them():
    drawing = Image.new("RGBA", (320, 320), (200, 40, 40, 255))
    source = Material([[drawing]] * len(LABELS), [drawing], [Image.new("RGB", (300, 200))])
    sides = {256: [], 512: []}
    for size, found in sides.items():
        for number in range(12):
            scene = compose(source, number, size=size, fewest=3)
            assert scene.image.size == (size, size) and 1 <= len(scene.labels) <= 6
            assert all(0 <= left < right <= size for left, _, right, _ in scene.boxes)
            found += [right - left for left, _, right, _ in scene.boxes]
    small, large = (sum(found) / len(found) for found in sides.values())
    assert large == pytest.approx(2 * small, rel=0.1)


def test_pictures_open_and_are_small(rows):
    for row in rows:
        picture = Image.open(io.BytesIO(row["image"]["bytes"]))
        picture.load()
        assert picture.mode == "RGB" and picture.size == (row["width"], row["height"])
        assert picture.size == (scenes.SIZE, scenes.SIZE)
        assert len(row["image"]["bytes"]) <= 60 * 1024


def test_boxes_are_inside_and_objects_are_numbered(rows):
    ids = []
    for row in rows:
        objects = row["objects"]
        assert len(objects["id"]) == len(objects["bbox"]) == len(objects["category"])
        ids += objects["id"]
        for (left, top, width, height), area in zip(objects["bbox"], objects["area"], strict=True):
            assert width > 20 and height > 20 and area == width * height
            assert left >= 0 and left + width <= row["width"]
            assert top >= 0 and top + height <= row["height"]
    assert ids == list(range(33))


def test_the_red_car_is_where_its_box_is(rows):
    """It is red inside the box and not right above or below, so columns and rows are not mixed."""
    [plain] = [row for row in rows if row["image"]["path"] == "cena-3.webp"]
    picture = Image.open(io.BytesIO(plain["image"]["bytes"])).convert("RGB")
    [car] = [
        box
        for box, category in zip(
            plain["objects"]["bbox"], plain["objects"]["category"], strict=True
        )
        if scenes.LABELS[category] == "carro"
    ]
    left, top, width, height = map(int, car)

    def reddest(box):
        red, green, blue = picture.crop(box).resize((8, 8), Image.Resampling.BOX).split()
        pairs = zip(red.tobytes(), green.tobytes(), blue.tobytes(), strict=True)
        return max(r - max(g, b) for r, g, b in pairs)

    assert reddest((left, top, left + width, top + height)) > 60
    assert reddest((left, top - height, left + width, top)) < 30
    assert reddest((left, top + height, left + width, top + 2 * height)) < 30


def test_every_description_names_every_object(rows):
    assert len({row["description"] for row in rows}) == len(rows) == 8
    for row in rows:
        text = row["description"]
        assert text[0].isupper() and text.endswith(".") and 120 <= len(text) <= 300
        assert re.search("à esquerda|à direita|no alto|embaixo", text)
        for category in set(row["objects"]["category"]):
            assert scenes.LABELS[category] in text, row["image"]["path"]


def test_load_dataset_gives_pictures_and_boxes(folder, rows, tmp_path):
    from datasets import load_dataset

    data = load_dataset(str(folder), split="test", cache_dir=str(tmp_path))
    assert data.features["objects"]["category"].feature.names == list(LABELS)
    assert [one["objects"] for one in data] == [row["objects"] for row in rows]
    assert data[0]["image"].size == (512, 512) and data[0]["image_id"] == 0
    streamed = load_dataset(str(folder), split="test", cache_dir=str(tmp_path), streaming=True)
    first = next(iter(streamed))
    assert first["image"].tobytes() == data[0]["image"].tobytes()
    assert first["objects"] == data[0]["objects"]


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "cenas"
    shutil.copytree(catalog().repository(REPOSITORY).source, folder)
    return folder


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('label = "gato"', 'label = "onça"', "cena-2.webp: the label 'onça' is none of"),
        ("[55, 110, 189, 164]", "[400, 110, 189, 164]", "cena-2.webp: the box .* is not inside"),
        ("[55, 110, 189, 164]", "[55, 110, 0, 164]", "cena-2.webp: the box .* is not inside"),
    ],
)
def test_wrong_objects_are_refused(source, old, new, message):
    path = source / scenes.SCENES
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        scenes.rows(source)


def test_right_missed_and_wrong_are_counted():
    def seen(label, score, left):
        return {
            "label": label,
            "score": score,
            "box": {"xmin": left, "ymin": 0, "xmax": left + 10, "ymax": 10},
        }

    objects = [
        {"label": "gato", "bbox": [0, 0, 10, 10]},
        {"label": "gato", "bbox": [40, 0, 10, 10]},
        {"label": "bola", "bbox": [80, 0, 10, 10]},
    ]
    found = [
        seen("gato", 0.9, 2),  # overlap 2/3
        seen("gato", 0.8, 1),  # the same cat again
        seen("bola", 0.7, 40),  # a ball where the other cat is
        seen("bola", 0.6, 84),  # overlap 3/7
    ]
    assert lesson_scenes.compare(found, objects) == lesson_scenes.Result(1, 2, 3)
    assert lesson_scenes.compare([], objects) == lesson_scenes.Result(0, 3, 0)


def test_card_describes_columns_counts_and_credits(rows):
    repository = catalog().repository(REPOSITORY)
    card = DatasetCard.load(repository.card)
    info = card.data.dataset_info
    assert [feature["name"] for feature in info["features"]] == list(scenes.FEATURES)
    parts = {part["name"]: part for part in info["features"][-1]["struct"]}
    assert list(parts) == list(scenes.OBJECTS)
    names = parts["category"]["list"]["class_label"]["names"]
    assert list(names.values()) == list(scenes.LABELS)
    assert [split["num_examples"] for split in info["splits"]] == [len(rows)]
    assert card.data.license == repository.licence == "cc-by-4.0"
    assert repository.task in card.data.task_categories
    for credit in ("Twemoji", "Twitter, Inc. e outros colaboradores", "CC BY 4.0", "NASA"):
        assert credit in card.text


def test_card_states_what_the_detector_finds(listed):
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    if not store.is_built(DETECTOR):
        pytest.skip(f"{DETECTOR} is not built: python -m helpers models builds it")
    measured = lesson_scenes.measure()
    lines = []
    totals = [0] * 7
    for scene in listed:
        results = measured[scene["file"]]
        counts = [len(scene["objects"])]
        for threshold in lesson_scenes.THRESHOLDS:
            one = results[threshold]
            counts += [one.found, one.missed, one.wrong]
        totals = [total + count for total, count in zip(totals, counts, strict=True)]
        lines.append(_line(f"`{scene['file']}`", counts))
    card = catalog().repository(REPOSITORY).card.read_text(encoding="utf-8")
    for line in (*lines, _line("todas", totals)):
        assert line in card


def _line(name, counts):
    low, high = (", ".join(map(str, part)) for part in (counts[1:4], counts[4:]))
    return f"| {name} | {counts[0]} | {low} | {high} |"
