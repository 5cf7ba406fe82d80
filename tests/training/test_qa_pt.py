"""The training program of curso/qa-pt, on a model small enough to train in a test."""

import json
import random

import pytest

from training.qa_pt import evaluate, metrics, plain, squad

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from safetensors.torch import load_file, save_file  # noqa: E402

from helpers.embedded import store  # noqa: E402
from training.qa_pt import average, lora, train  # noqa: E402

MODEL = "curso/qa-pt"


def tiny_model():
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return transformers.BertForQuestionAnswering(config)


def batch():
    windows = [
        squad.Feature([0, 5, 2, 2, 7, 8, 9, 2], 4, 5),
        squad.Feature([0, 6, 2, 2, 7, 2], 0, 0),
    ]
    return train.collate(windows, pad=1)


def squad_file(path, questions):
    entries = [
        {"id": str(i), "question": "?", "answers": [{"text": text, "answer_start": start}]}
        for i, (_, text, start) in enumerate(questions)
    ]
    paragraphs = [
        {"context": context, "qas": [entry]}
        for (context, _, _), entry in zip(questions, entries, strict=True)
    ]
    path.write_text(json.dumps({"data": [{"title": "t", "paragraphs": paragraphs}]}))
    return path


def test_training_learns_and_peft_reads_the_result(tmp_path):
    peft = pytest.importorskip("peft")
    base = tiny_model()
    model = tiny_model()
    lora.add_lora(model, rank=4, alpha=8)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.02)
    losses = []
    for _ in range(30):
        loss = train.loss_of(model, batch())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 4

    lora.save_adapter(model, tmp_path, rank=4, alpha=8)
    merged = peft.PeftModel.from_pretrained(base, tmp_path).merge_and_unload().eval()
    inputs = {"input_ids": batch()["ids"], "attention_mask": batch()["mask"]}
    with torch.inference_mode():
        trained, read = model.eval()(**inputs), merged(**inputs)
    assert torch.allclose(trained.start_logits.float(), read.start_logits, atol=0.15)
    assert trained.end_logits.argmax(1).tolist() == read.end_logits.argmax(1).tolist() == [5, 0]


def test_training_goes_on_from_a_saved_adapter(tmp_path):
    first, second = tiny_model(), tiny_model()
    for model in (first, second):
        lora.add_lora(model, rank=4, alpha=8)
    for parameter in first.parameters():
        if parameter.requires_grad:
            parameter.data.normal_(std=0.1)
    lora.save_adapter(first, tmp_path, rank=4, alpha=8)
    lora.load_adapter(second, tmp_path)
    inputs = {"input_ids": batch()["ids"], "attention_mask": batch()["mask"]}
    with torch.inference_mode():
        expected, result = first.eval()(**inputs), second.eval()(**inputs)
    assert torch.allclose(expected.start_logits, result.start_logits, atol=0.05)

    other = tiny_model()
    lora.add_lora(other, rank=2, alpha=4)
    with pytest.raises(ValueError, match="does not fit"):
        lora.load_adapter(other, tmp_path)


def test_gradients_of_the_merged_product_are_those_of_autograd():
    torch.manual_seed(0)
    layer = lora.LoraLinear(torch.nn.Linear(6, 5), rank=3, alpha=6)
    layer.weight, layer.bias = layer.weight.double(), layer.bias.double()
    layer.a.data = layer.a.data.double()
    layer.b.data = torch.randn(5, 3, dtype=torch.float64)
    x = torch.randn(2, 4, 6, dtype=torch.float64, requires_grad=True)
    expected = x @ (layer.weight + layer.scale * layer.b @ layer.a).T + layer.bias
    wanted = torch.autograd.grad(expected.square().sum(), [x, layer.a, layer.b])
    result = layer(x)
    assert torch.allclose(result, expected)
    got = torch.autograd.grad(result.square().sum(), [x, layer.a, layer.b])
    # The gradients of the trained matrices are handed over in float32.
    assert all(torch.allclose(g.double(), w, rtol=1e-5) for g, w in zip(got, wanted, strict=True))


def test_shared_dropout_drops_whole_channels_and_only_when_training():
    dropout = lora.SharedDropout(0.5)
    ones = torch.ones(3, 4, 64)
    dropped = dropout.train()(ones)
    assert (dropped == dropped[:, :1]).all()
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert (dropout.eval()(ones) == 1).all()


@pytest.mark.parametrize(
    ("context", "text", "start", "found"),
    [
        ("Foi em 1991.", "1991.", 7, "1991"),  # the full stop goes
        ("A &quot;lei&quot; de 1888", "1888", 24, "1888"),  # entities before it shrink
        ("Ouro e Prata", "ouro  e prata", 3, "Ouro e Prata"),  # wrong offset, one occurrence
        ("dois e dois", "dois", 3, None),  # wrong offset, two occurrences as near
        ("Montanhas", "Montanha", 1, None),  # only a part of a word
    ],
)
def test_answers_are_found_where_they_are(tmp_path, context, text, start, found):
    path = squad_file(tmp_path / "set.json", [(context, text, start)])
    examples = squad.read_squad(path, "set", recover=True)
    assert [answer for example in examples for answer, _ in example.answers] == [found][
        : bool(found)
    ]
    for example in examples:
        (answer, offset) = example.answers[0]
        assert example.context[offset : offset + len(answer)] == answer


def test_whole_articles_are_held_out():
    examples = [squad.Example(str(i), "s", "AB"[i % 2], "?", "c") for i in range(6)]
    kept, held = squad.split(examples, {"B"})
    assert {e.article for e in kept} == {"A"} and {e.article for e in held} == {"B"}
    with pytest.raises(ValueError, match="No such article: C"):
        squad.split(examples, {"C"})


def test_unanswerable_questions_meet_another_paragraph_without_their_answer():
    contexts = ["Ana mora em Natal.", "Ana mora em Salvador.", "Natal fica longe."]
    examples = [
        squad.Example("1", "s", "t", "Onde?", contexts[0], [("Natal", 12)]),
        squad.Example("2", "s", "t", "Onde?", contexts[1], [("Salvador", 12)]),
        squad.Example("3", "s", "t", "O quê?", contexts[2], [("Natal", 0)]),
    ]
    for pair in squad.unanswerable(examples, 30, random.Random(1)):
        original = examples[int(pair.identifier) - 1]
        assert not pair.answers and pair.context != original.context
        assert original.answers[0][0] not in pair.context


def test_plain_questions_repeat_and_are_exact():
    examples = plain.generate(400, seed=3)
    assert examples == plain.generate(400, seed=3)
    for example in examples:
        for text, start in example.answers:
            assert example.context[start : start + len(text)] == text
    unanswerable = sum(not example.answers for example in examples)
    assert 50 <= unanswerable <= 110
    assert not any("{" in example.question + example.context for example in examples)


def test_missing_questions_ask_about_what_the_passage_does_not_say():
    language = plain.read_templates()["pt"]
    rng = random.Random(0)
    slots = dict(language.missing)
    for template in language.templates:
        passage = plain._fill(rng, template, language.values)
        name = passage.values.get("nome", "")
        question = plain._missing_question(rng, language, [passage])
        pattern = question.replace(name, "{nome}") if name else question
        assert pattern in slots
        assert slots[pattern] not in {slot.rstrip("2") for slot in passage.values}


def test_plain_questions_for_the_test_were_not_trained_on():
    answerable, unanswerable = evaluate.plain_sets()
    assert len(answerable) >= 40 and len(unanswerable) >= 10
    trained = {e.question for e in plain.generate(3000, seed=1)}
    for example in answerable:
        assert any(text in example.context for text, _ in example.answers)
    assert not trained & {example.question for example in answerable + unanswerable}


def test_metrics_are_squads():
    assert metrics.exact_match("The year 1991.", ["o ano", "year 1991"]) == 1
    assert metrics.exact_match("o gato", ["gato"]) == 0  # Portuguese articles count
    assert metrics.f1("7 dias úteis", ["até 7 dias úteis"]) == pytest.approx(6 / 7)
    assert metrics.f1("sim", ["não"]) == 0


def test_learning_rate_rises_then_falls_to_zero():
    factors = [train.learning_rate_factor(step / 100, 0.1) for step in range(101)]
    assert factors[0] == 0 and factors[100] == pytest.approx(0)
    assert max(factors) == factors[10] == 1
    assert factors[:11] == sorted(factors[:11]) and factors[10:] == sorted(factors[10:])[::-1]


def test_batches_keep_every_window_within_the_limit():
    rng = random.Random(0)
    windows = [squad.Feature([0] * rng.randint(10, 90), 0, 0) for _ in range(50)]
    groups = train.batches(windows, 200, rng)
    assert sorted(id(w) for group in groups for w in group) == sorted(id(w) for w in windows)
    assert all(len(group) * max(len(w.ids) for w in group) <= 200 for group in groups)


def test_the_model_answers_plain_questions():
    if not store.is_built(MODEL):
        pytest.skip(f"{MODEL} is not built: python -m helpers models builds it")
    answerer = evaluate.QuestionAnswerer.from_pretrained(str(store.ensure(MODEL)), device="cpu")
    answerable, unanswerable = evaluate.plain_sets()
    answers = evaluate.predict(answerer, answerable, max_answer_len=30)
    result = evaluate.measure("plain", answerable, answers)
    assert result.exact >= 85 and result.f1 >= 90  # the card: 37 of 42
    empty = evaluate.predict(answerer, unanswerable, max_answer_len=30)
    highest_median = sorted(answer["score"] for answer in empty)[len(empty) // 2]
    assert highest_median < result.score / 2


def test_average_is_the_mean_of_each_weight(tmp_path):
    stages = []
    for number in (1.0, 2.0, 6.0):
        folder = tmp_path / str(number)
        folder.mkdir()
        save_file({"a": torch.full((2, 3), number).half()}, folder / average.WEIGHTS)
        (folder / average.CONFIG).write_text("{}", encoding="utf-8")
        stages.append(folder)
    average.average(stages, tmp_path / "mean")
    mean = load_file(tmp_path / "mean" / average.WEIGHTS)["a"]
    assert mean.dtype == torch.float16
    assert mean.tolist() == [[3.0] * 3] * 2


def test_average_refuses_adapters_of_another_shape(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save_file({name: torch.zeros(1)}, tmp_path / name / average.WEIGHTS)
    with pytest.raises(ValueError, match="same weights"):
        average.average([tmp_path / "a", tmp_path / "b"], tmp_path / "mean")
