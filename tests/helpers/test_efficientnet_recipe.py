"""The EfficientNet-Lite recipe and class: exact weights, TensorFlow's padding, stock pipeline."""

import json

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from helpers import architectures  # noqa: E402
from helpers.embedded import store  # noqa: E402
from helpers.embedded.catalog import catalog  # noqa: E402
from helpers.embedded.recipes import efficientnet  # noqa: E402

MODEL = "curso/efficientnet-lite0"
TINY_STAGES = [[1, 3, 1, 1, 4], [2, 5, 2, 2, 6]]


def tiny_model(**changes):
    from helpers.architectures.efficientnet_lite import EfficientNetLiteForImageClassification
    from helpers.architectures.efficientnet_lite_config import EfficientNetLiteConfig

    torch.manual_seed(0)
    sizes = {"stem_channels": 4, "stages": TINY_STAGES, "head_channels": 8, "num_labels": 3}
    return EfficientNetLiteForImageClassification(EfficientNetLiteConfig(**sizes | changes)).eval()


@pytest.mark.parametrize("size", [1, 5, 8, 9])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_same_padding_follows_tensorflow(size, kernel, stride):
    """Against the definition: what lies outside counts as zero, the odd zero goes to the end."""
    from helpers.architectures.efficientnet_lite import SameConv2d

    convolution = SameConv2d(1, 1, kernel, stride, bias=False)
    torch.manual_seed(0)
    torch.nn.init.normal_(convolution.weight)
    picture = torch.randn(1, 1, size, size)
    outputs = -(-size // stride)
    start = max((outputs - 1) * stride + kernel - size, 0) // 2
    expected = torch.zeros(outputs, outputs)
    for row in range(outputs):
        for column in range(outputs):
            for y in range(kernel):
                for x in range(kernel):
                    v, u = row * stride - start + y, column * stride - start + x
                    if 0 <= v < size and 0 <= u < size:
                        expected[row, column] += (
                            convolution.weight[0, 0, y, x] * picture[0, 0, v, u]
                        )
    assert torch.allclose(convolution(picture)[0, 0], expected, atol=1e-5)


def test_shapes_of_what_the_model_returns():
    model = tiny_model()
    output = model(torch.randn(2, 3, 33, 20), output_hidden_states=True)
    assert output.logits.shape == (2, 3)
    assert [tuple(one.shape) for one in output.hidden_states] == [(2, 4, 17, 10), (2, 6, 9, 5)]
    base = model.efficientnet_lite(torch.randn(1, 3, 16, 16), return_dict=False)
    assert [tuple(one.shape) for one in base] == [(1, 8, 4, 4), (1, 8)]


def test_training_lowers_the_loss():
    model = tiny_model(dropout=0.0).train()
    pictures, labels = torch.randn(6, 3, 16, 16), torch.tensor([0, 1, 2, 0, 1, 2])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        loss = model(pictures, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_saved_model_is_loaded_by_the_auto_classes(tmp_path):
    architectures.register()
    model = tiny_model()
    model.save_pretrained(tmp_path)
    loaded = transformers.AutoModelForImageClassification.from_pretrained(tmp_path)
    assert type(loaded) is type(model)
    picture = torch.randn(1, 3, 16, 16)
    assert torch.equal(loaded(picture).logits, model(picture).logits)
    base, info = transformers.AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"]
    features = model.efficientnet_lite(picture).pooler_output
    assert torch.equal(base(picture).pooler_output, features)


@pytest.mark.parametrize(
    ("stored", "ours"),
    [
        ("_conv_stem.weight", "efficientnet_lite.stem.convolution.weight"),
        ("_bn0.running_var", "efficientnet_lite.stem.normalization.running_var"),
        ("_blocks.12._bn0.bias", "efficientnet_lite.blocks.12.expansion.normalization.bias"),
        ("_blocks.3._bn1.weight", "efficientnet_lite.blocks.3.depthwise.normalization.weight"),
        ("_bn1.weight", "efficientnet_lite.head.normalization.weight"),
        ("_fc.bias", "classifier.bias"),
    ],
)
def test_names_of_the_checkpoint_are_translated(stored, ours):
    assert efficientnet._name(stored) == ours


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04 not a checkpoint", b"cos\nsystem\n."],
    ids=["empty", "cut short", "pickle that would run code"],
)
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="cut short, altered or another model"):
        efficientnet.read(path)


def test_another_models_checkpoint_is_refused(tmp_path):
    path = tmp_path / "model.pth"
    torch.save({"features.0.weight": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="another model"):
        efficientnet.read(path)


@pytest.mark.parametrize("names", [["a"] * 1000, ["a", "b"], {"a": 1}])
def test_a_list_of_names_that_does_not_fit_is_refused(tmp_path, names):
    path = tmp_path / "names.json"
    path.write_text(json.dumps(names))
    with pytest.raises(ValueError, match="names|same name"):
        efficientnet.labels(path)


@pytest.fixture(scope="module")
def folder():
    if not store.is_built(MODEL):
        pytest.skip(f"{MODEL} is not built: python -m helpers models builds it")
    architectures.register()
    return store.ensure(MODEL)


def test_built_model_has_every_weight_and_a_thousand_names(folder):
    model, info = transformers.AutoModelForImageClassification.from_pretrained(
        folder, output_loading_info=True
    )
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert sum(value.numel() for value in model.parameters()) == 4_652_008
    labels = model.config.id2label
    assert len(set(labels.values())) == 1000
    assert (labels[0], labels[282], labels[967]) == ("tench", "tiger cat", "espresso")
    assert all(model.config.label2id[name] == place for place, name in labels.items())


def test_portuguese_names_are_of_the_models_classes(folder):
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    translated = json.loads((folder / "labels_pt.json").read_text(encoding="utf-8"))
    assert set(translated) <= set(config["label2id"])
    assert len(set(translated.values())) == len(translated) >= 100
    assert all(name == name.strip() and name for name in translated.values())


def test_pipeline_classifies_without_complaints(folder, complaints):
    """A picture with an answer beyond doubt: concentric squares are the class "maze"."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (300, 300), "white")
    for inset in range(0, 150, 10):
        sides = (inset, inset, 299 - inset, 299 - inset)
        ImageDraw.Draw(picture).rectangle(sides, outline=0, width=4)
    classifier = transformers.pipeline("image-classification", model=str(folder))
    answer = classifier(picture, top_k=2)
    assert [record.getMessage() for record in complaints] == []
    assert answer[0]["label"] == "maze", answer
    assert answer[0]["score"] > answer[1]["score"] > 0


def test_size_in_the_catalog_is_about_right(folder):
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert size == pytest.approx(catalog().repository(MODEL).size, rel=0.05)
