"""curso/sentimento-pt on the real encoder, as learners load it."""

import json

import pytest

from helpers.embedded import store
from helpers.embedded.catalog import catalog
from helpers.embedded.recipes import sentimento_pt as recipe
from training.sentimento_pt import sentences

MODEL = "curso/sentimento-pt"
ENCODER = "curso/e5-pt-en"
LABELS = {"negativo", "neutro", "positivo"}
CLEAR = {
    "Gostei muito, recomendo!": "positivo",
    "Não gostei nem um pouco.": "negativo",
    "A loja abre às nove horas.": "neutro",
    "I loved it, thank you!": "positivo",
    "The worst product I have ever bought.": "negativo",
}


@pytest.fixture(scope="module")
def folder():
    return store.ensure(MODEL)


@pytest.fixture(scope="module")
def classify(folder):
    from transformers import pipeline

    return pipeline("text-classification", model=str(folder), device="cpu")


def test_the_folder_is_an_ordinary_classifier(folder):
    from transformers import AutoModelForSequenceClassification

    model, info = AutoModelForSequenceClassification.from_pretrained(
        folder, output_loading_info=True
    )
    assert type(model).__name__ == "BertForSequenceClassification"
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert model.config.id2label == {0: "negativo", 1: "neutro", 2: "positivo"}
    assert model.config.label2id == {"negativo": 0, "neutro": 1, "positivo": 2}
    assert "pipeline_tag: text-classification" in (folder / "README.md").read_text("utf-8")


def test_sentences_of_a_teacher(classify):
    judged = sentences.teacher()
    answers = classify([sentence.text for sentence in judged], batch_size=8)
    right = [a["label"] == s.label for a, s in zip(answers, judged, strict=True)]
    assert len(right) == 24 and sum(right) >= 20


@pytest.mark.parametrize(("text", "label"), CLEAR.items())
def test_clear_sentences_are_clear(classify, text, label):
    (answer,) = classify([text])
    assert answer["label"] == label and answer["score"] > 0.6


def test_all_classes_share_one(classify):
    (rows,) = classify(["A comida é boa, mas o preço é alto."], top_k=None)
    assert {row["label"] for row in rows} == LABELS
    assert sum(row["score"] for row in rows) == pytest.approx(1, abs=1e-5)
    assert [row["score"] for row in rows] == sorted((r["score"] for r in rows), reverse=True)


def test_a_batch_answers_like_one_at_a_time(classify):
    texts = ["", "Ok", "😡😡😡", "Adorei! " * 30, "Que demora...", "a b c", "São Paulo", "\n\t"]
    together = classify(texts, batch_size=len(texts), top_k=None)
    for text, rows in zip(texts, together, strict=True):
        (alone,) = classify([text], top_k=None)
        scores = {row["label"]: row["score"] for row in alone}
        assert {row["label"]: row["score"] for row in rows} == pytest.approx(scores, abs=1e-4)


def test_a_text_too_long_can_be_cut(classify):
    (answer,) = classify(["Péssimo atendimento, não recomendo. " * 200], truncation=True)
    assert answer["label"] == "negativo"


def test_the_adapter_is_small_and_in_half_precision():
    safetensors = pytest.importorskip("safetensors.torch")
    path = recipe.ADAPTER / "adapter_model.safetensors"
    assert path.stat().st_size <= 3_000_000
    tensors = safetensors.load_file(path)
    assert {str(tensor.dtype) for tensor in tensors.values()} == {"torch.float16"}
    assert all(tensor.isfinite().all() for tensor in tensors.values())
    assert "base_model.model.classifier.weight" in tensors
    assert (
        json.loads((recipe.ADAPTER / "adapter_config.json").read_text())["task_type"] == "SEQ_CLS"
    )


def test_building_again_gives_the_same_weights(folder, tmp_path):
    recipe.build(store.ensure(ENCODER), tmp_path)
    for name in ("config.json", "model.safetensors", "tokenizer.json", "README.md"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_the_card_has_the_measured_figures():
    figures = json.loads((recipe.ADAPTER / "evaluation.json").read_text("utf-8"))["results"]
    card = (recipe.ADAPTER / "README.md").read_text("utf-8")
    for name in ("translated", "written", "reviews"):
        assert f"{figures[name]['macro_f1']:.1f}".replace(".", ",") in card
    assert figures["written"]["macro_f1"] >= 75
    teacher = figures["teacher"]["confusion"]
    assert sum(teacher[i][i] for i in range(3)) >= 20
    assert catalog().repository(MODEL).licence == "mit"


def test_an_encoder_cut_short_is_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    source = store.ensure(ENCODER)
    weights = load_file(source / "model.safetensors")
    weights.pop("encoder.layer.11.output.dense.weight")
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((source / "config.json").read_bytes())
    with pytest.raises(RuntimeError, match="layer.11"):
        recipe.base(tmp_path)
