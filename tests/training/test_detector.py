"""The training program of curso/detector-de-figuras: measure, targets, losses, scenes."""

import math

import pytest

from training.detector import metrics
from training.detector.metrics import Found, Truth

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

from training.detector import evaluate, scenes, train  # noqa: E402

BOX = (0.0, 0.0, 10.0, 10.0)
FAR = (50.0, 50.0, 60.0, 60.0)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (BOX, 1.0),
        (FAR, 0.0),
        ((5.0, 0.0, 15.0, 10.0), 1 / 3),
        ((2.0, 2.0, 4.0, 4.0), 0.04),
        ((10.0, 0.0, 20.0, 10.0), 0.0),
    ],
)
def test_overlap(second, expected):
    assert metrics.overlap(BOX, second) == metrics.overlap(second, BOX) == pytest.approx(expected)


def test_perfect_detections_score_one():
    truths = [Truth([0, 1], [BOX, FAR]), Truth([1], [BOX])]
    found = [[Found(1, 0.4, FAR), Found(0, 0.9, BOX)], [Found(1, 0.2, BOX)]]
    assert metrics.mean_average_precision(found, truths) == pytest.approx(1)


def test_average_precision_by_hand():
    """Right, wrong, right of three objects: precision 1 up to a third, 2/3 up to two thirds."""
    truths = [Truth([0, 0, 0], [BOX, FAR, (80.0, 0.0, 90.0, 9.0)])]
    found = [[Found(0, 0.9, BOX), Found(0, 0.8, (20.0, 0.0, 30.0, 9.0)), Found(0, 0.7, FAR)]]
    recalls = [place / 100 for place in range(101)]
    expected = sum(1 if r <= 1 / 3 else 2 / 3 if r <= 2 / 3 else 0 for r in recalls) / 101
    assert metrics.average_precision(found, truths, 0, 0.5) == pytest.approx(expected)


def test_a_second_detection_of_the_same_object_is_wrong():
    truths = [Truth([0, 0], [BOX, FAR])]
    twice = [[Found(0, 0.9, BOX), Found(0, 0.8, BOX), Found(0, 0.7, FAR)]]
    once = [[Found(0, 0.9, BOX), Found(0, 0.7, FAR)]]
    assert metrics.average_precision(once, truths, 0, 0.5) == pytest.approx(1)
    assert metrics.average_precision(twice, truths, 0, 0.5) == pytest.approx(
        (51 + 50 * 2 / 3) / 101
    )


def test_label_and_overlap_must_fit_and_missing_classes_do_not_count():
    truths = [Truth([0], [BOX])]
    assert metrics.average_precision([[Found(1, 0.9, BOX)]], truths, 0, 0.5) == 0
    assert metrics.average_precision([[]], truths, 0, 0.5) == 0
    assert metrics.average_precision([[]], truths, 1, 0.5) is None
    loose = [[Found(0, 0.9, (0.0, 0.0, 10.0, 7.2))]]
    assert metrics.mean_average_precision(loose, truths) == pytest.approx(0.5)  # 0.5 to 0.7 of 10


def drawing(shade, size=60):
    image = Image.new("RGBA", (size, size))
    image.paste((shade, 255 - shade, 90, 255), (10, 10, size - 10, size - 10))
    return image


def tiny_material():
    objects = [[drawing(10 * place)] for place in range(len(scenes.LABELS))]
    return scenes.Material(objects, [drawing(200)], [Image.new("RGB", (300, 200), "olive")])


def test_scenes_are_the_same_for_the_same_number():
    source = tiny_material()
    first, again, other = (scenes.compose(source, number) for number in (3, 3, 4))
    assert (first.labels, first.boxes) == (again.labels, again.boxes)
    assert np.array_equal(np.asarray(first.image), np.asarray(again.image))
    assert not np.array_equal(np.asarray(first.image), np.asarray(other.image))


def test_boxes_lie_inside_and_around_something_visible():
    source = tiny_material()
    count = 0
    for number in range(60):
        scene = scenes.compose(source, number)
        assert scene.image.size == (scenes.SIZE, scenes.SIZE)
        for left, top, right, bottom in scene.boxes:
            assert 0 <= left < right <= scenes.SIZE and 0 <= top < bottom <= scenes.SIZE
            assert right - left > 8 and bottom - top > 8
            count += 1
    assert count > 100


def truth_of_two():
    return [{"labels": [2, 7], "boxes": [[10, 20, 90, 120], [200, 190, 250, 256]]}]


def maps_for(centres, boxes):
    """Return the maps that a perfect network would give: sure centres, exact distances."""
    cells = train.CELLS
    middle = (torch.arange(cells) + 0.5) / cells
    left, top, right, bottom = boxes.unbind(1)
    distances = torch.stack(
        (middle - left, middle[:, None] - top, right - middle, bottom - middle[:, None]), dim=1
    )
    return torch.where(centres == 1, 9.0, -9.0), (distances * cells).clamp(min=0)


def test_perfect_maps_are_decoded_into_the_truth_and_cost_nothing():
    truth = truth_of_two()
    centres, boxes, weights = train.targets(truth)
    assert int((centres == 1).sum()) == 2
    logits, distances = maps_for(centres, boxes)
    output = evaluate.decode(logits, distances, 5)
    scores, labels = output.logits.sigmoid().max(2)
    assert labels[0, :2].sort().values.tolist() == [2, 7] and scores[0, 1] > 0.99 > scores[0, 2]
    found = {int(a): b.tolist() for a, b in zip(labels[0, :2], output.pred_boxes[0], strict=False)}
    for label, box in zip(truth[0]["labels"], truth[0]["boxes"], strict=True):
        left, top, right, bottom = (side / scenes.SIZE for side in box)
        expected = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
        assert found[label] == pytest.approx(expected, abs=1e-4)
    assert train.focal_loss(logits, centres) < 0.01
    assert train.box_loss(train.box_maps(distances), boxes, weights) < 0.01


def test_losses_grow_with_the_error():
    centres, boxes, weights = train.targets(truth_of_two())
    logits, distances = maps_for(centres, boxes)
    assert train.focal_loss(-logits, centres) > 5
    near, far = (
        train.box_loss(train.box_maps(distances + shift), boxes, weights) for shift in (0.5, 3)
    )
    assert 0.01 < near < far < 2


def test_head_learns_a_scene_by_heart(tmp_path):
    truth = truth_of_two()
    torch.manual_seed(0)
    maps = [torch.rand(1, width, side, side) for width, side in ((40, 32), (112, 16), (320, 8))]

    class OneScene:
        def __len__(self):
            return train.BATCH * 30

        def batches(self, order):
            for _ in range(0, len(order), train.BATCH):
                yield maps, truth

    head = train.train(OneScene(), tmp_path, epochs=1, rate=3e-3, seed=0)
    loaded = evaluate.load_head(tmp_path / "detector.safetensors").train()
    with torch.inference_mode():
        output = evaluate.decode(*loaded(maps), 2)
    assert sorted(output.logits.argmax(2)[0].tolist()) == [2, 7]
    assert output.logits.max() > 0 and math.isfinite(float(output.pred_boxes.sum()))
    assert not head.training
    assert (tmp_path / "detector.safetensors").stat().st_size < 1_000_000
