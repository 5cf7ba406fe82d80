"""The detector of drawings: its class, its recipe, and the stock pipeline on top of them."""

import json

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from helpers import architectures  # noqa: E402
from helpers.embedded import store  # noqa: E402
from helpers.embedded.catalog import catalog  # noqa: E402
from helpers.embedded.recipes import detector  # noqa: E402
from training.detector.metrics import overlap  # noqa: E402

MODEL = "curso/detector-de-figuras"
CLASSIFIER = "curso/efficientnet-lite0"
STAGES = [[1, 3, s, 1, c] for s, c in ((1, 4), (2, 4), (2, 6), (2, 6), (1, 6), (2, 8), (1, 8))]


def tiny_model():
    from helpers.architectures.figure_detector import FigureDetectorForObjectDetection
    from helpers.architectures.figure_detector_config import FigureDetectorConfig

    torch.manual_seed(0)
    sizes = {"stem_channels": 4, "stages": STAGES, "neck_channels": 8, "max_detections": 7}
    return FigureDetectorForObjectDetection(FigureDetectorConfig(**sizes, num_labels=3)).eval()


def test_output_has_the_form_that_transformers_reads():
    output = tiny_model()(torch.randn(2, 3, 64, 96))
    assert output.logits.shape == (2, 7, 3) and output.pred_boxes.shape == (2, 7, 4)
    assert output.pred_boxes.min() >= 0 and output.pred_boxes.max() <= 1
    plain = tiny_model()(torch.randn(1, 3, 32, 32), return_dict=False)
    assert [tuple(one.shape) for one in plain] == [(1, 7, 3), (1, 7, 4)]


def test_neighbouring_cells_of_one_object_count_once():
    from helpers.architectures.figure_detector import NOTHING, decode

    centres = torch.full((1, 2, 8, 8), -9.0)
    centres[0, 1, 3:6, 2:5] = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]])
    centres[0, 0, 4, 3] = 3.0  # another class in the same place stays
    output = decode(centres, torch.ones(1, 4, 8, 8), 4)
    scores, labels = output.logits[0].max(1)
    assert labels[:2].tolist() == [1, 0] and scores[:2].tolist() == [4, 3]
    assert (scores[2:] <= -9).all() and (output.logits[0] == NOTHING).sum() >= 4
    assert output.pred_boxes[0, 0].tolist() == pytest.approx([3.5 / 8, 4.5 / 8, 2 / 8, 2 / 8])


def test_saved_model_is_loaded_by_the_auto_class(tmp_path):
    architectures.register()
    model = tiny_model()
    model.save_pretrained(tmp_path)
    loaded = transformers.AutoModelForObjectDetection.from_pretrained(tmp_path)
    assert type(loaded) is type(model)
    picture = torch.randn(1, 3, 64, 64)
    assert torch.equal(loaded(picture).pred_boxes, model(picture).pred_boxes)


@pytest.fixture(scope="module")
def folder():
    if not store.is_built(MODEL):
        pytest.skip(f"{MODEL} is not built: python -m helpers models builds it")
    architectures.register()
    return store.ensure(MODEL)


def test_built_model_has_every_weight(folder):
    model, info = transformers.AutoModelForObjectDetection.from_pretrained(
        folder, output_loading_info=True
    )
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert len(set(model.config.id2label.values())) == model.config.num_labels == 15


def test_stages_are_the_classifiers_own(folder):
    from safetensors.torch import load_file

    ours = load_file(folder / "model.safetensors")
    theirs = load_file(store.ensure(CLASSIFIER) / "model.safetensors")
    stages = {name: value for name, value in ours.items() if name.startswith("backbone.")}
    assert len(stages) > 200
    for name, value in stages.items():
        assert torch.equal(value, theirs[name.replace("backbone.", "efficientnet_lite.")]), name


def test_head_is_small():
    size = (detector.ADAPTER / "detector.safetensors").stat().st_size
    assert size < 4_000_000


def test_pipeline_finds_a_drawn_fir_without_complaints(folder, complaints):
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (512, 512), "white")
    canvas = ImageDraw.Draw(picture)
    canvas.rectangle((236, 400, 276, 460), fill=(110, 65, 30))
    for top, half in ((80, 80), (170, 116), (260, 152)):
        corners = [(256, top), (256 - half, top + 150), (256 + half, top + 150)]
        canvas.polygon(corners, fill=(40, 140, 60))
    finder = transformers.pipeline("object-detection", model=str(folder))
    found = finder(picture, threshold=0.25)
    assert [record.getMessage() for record in complaints] == []
    assert found[0]["label"] == "árvore"
    box = found[0]["box"]
    sides = tuple(float(box[side]) for side in ("xmin", "ymin", "xmax", "ymax"))
    assert overlap(sides, (104, 80, 408, 460)) > 0.4
    assert all(one["score"] >= 0.25 for one in found)


def test_size_in_the_catalog_is_about_right(folder):
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert size == pytest.approx(catalog().repository(MODEL).size, rel=0.05)


def test_evaluation_is_what_the_card_says():
    report = json.loads((detector.ADAPTER / "evaluation.json").read_text(encoding="utf-8"))
    card = (detector.ADAPTER / "README.md").read_text(encoding="utf-8")
    for scenes in report.values():
        for measure in ("mAP@0.5", "mAP@[.5:.95]"):
            assert f"{scenes[measure]:.2f}".replace(".", ",") in card
    assert report["unseen-style"]["mAP@0.5"] >= 0.5
