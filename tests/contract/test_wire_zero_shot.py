"""Zero-shot classification on the wire, by the similarity of embeddings."""

import pytest
import shapes
import task_shapes
from huggingface_hub import InferenceClient

from helpers.embedded import store
from helpers.zero_shot import ZeroShotClassifier

ENCODER = "curso/e5-pt-en"
TASK = "zero-shot-classification"
TEXT = "O time ganhou o campeonato nos pênaltis."
LABELS = ["esporte", "política", "culinária"]
KEYS = (
    "zero-shot-classification expects `inputs` to be either a string or a dict containing the key "
    "`text` or `sequences`, and `parameters` to be a dict containing either `candidate_labels` or "
    "`candidateLabels`."
)


def contract(direction, client="requests"):
    return pytest.mark.contract(task=TASK, client=client, direction=direction)


@pytest.fixture(scope="module")
def classify(server):
    url = server.model_url(ENCODER, f"/pipeline/{TASK}")

    def post(inputs=TEXT, **parameters):
        parameters.setdefault("candidate_labels", LABELS)
        kept = {name: value for name, value in parameters.items() if value != "absent"}
        return server.post(url, {"inputs": inputs, "parameters": kept})

    return post


def scores(answer):
    return {entry["label"]: entry["score"] for entry in answer}


@contract("answer")
def test_labels_come_best_first_and_sum_to_one(classify):
    answer = classify().json()
    shapes.check(task_shapes.LABELS, answer)
    assert answer[0]["label"] == "esporte"
    assert sum(scores(answer).values()) == pytest.approx(1)
    assert answer == sorted(answer, key=lambda entry: -entry["score"])


@contract("answer")
def test_the_wire_adds_nothing_to_the_classifier(classify):
    local = ZeroShotClassifier.from_pretrained(str(store.ensure(ENCODER)))
    options = {"multi_label": True, "hypothesis_template": "Assunto: {}."}
    remote = scores(classify(**options).json())
    assert remote == pytest.approx(scores(local(TEXT, LABELS, **options)), abs=1e-4)


@contract("request")
@pytest.mark.parametrize(
    "inputs", [{"text": TEXT}, {"sequences": TEXT}], ids=["under text", "under sequences"]
)
def test_the_text_may_be_under_a_key(classify, inputs):
    assert scores(classify(inputs).json()) == pytest.approx(scores(classify().json()))


@contract("request")
@pytest.mark.parametrize(
    "labels",
    [
        {"candidateLabels": LABELS, "candidate_labels": "absent"},
        {"candidate_labels": "esporte, política, culinária"},
    ],
    ids=["candidateLabels", "one text"],
)
def test_the_labels_may_come_in_other_ways(classify, labels):
    assert scores(classify(**labels).json()) == pytest.approx(scores(classify().json()))


@contract("request")
def test_several_labels_may_be_right(classify):
    independent = scores(classify(multi_label=True).json())
    alone = scores(classify(candidate_labels=["política"]).json())
    assert alone["política"] == pytest.approx(independent["política"], abs=1e-3)
    assert sum(independent.values()) != pytest.approx(1, abs=1e-3)


@contract("answer")
def test_several_texts_keep_the_form_of_the_pipeline(classify):
    answer = classify({"sequences": [TEXT, "Bata os ovos com o açúcar."]}).json()
    shapes.check(task_shapes.SEQUENCES, answer)
    assert [entry["labels"][0] for entry in answer] == ["esporte", "culinária"]


@contract("error")
@pytest.mark.parametrize(
    ("inputs", "parameters", "error"),
    [
        (TEXT, {"candidate_labels": "absent"}, KEYS),
        ({"texto": TEXT}, {}, KEYS),
        (3, {}, KEYS),
        ([TEXT, 3], {}, KEYS),
        (TEXT, {"candidate_labels": [1, 2]}, KEYS),
        (TEXT, {"candidate_labels": []}, "You must include at least one label and at least one "),
        ("", {}, "You must include at least one label and at least one sequence."),
        (TEXT, {"hypothesis_template": "sem lugar"}, 'hypothesis_template "sem lugar" was not'),
        (TEXT, {"hypothesis_template": ["{}"]}, "was not able to be formatted"),
        (TEXT, {"multi_label": "sim"}, "multi_label parameter should be a boolean (got 'sim')"),
    ],
)
def test_what_is_wrong_is_said_in_the_apis_words(classify, inputs, parameters, error):
    response = classify(inputs, **parameters)
    assert response.status_code == 400
    shapes.check(shapes.ERROR, response.json())
    assert error in response.json()["error"]


@contract("error")
@pytest.mark.parametrize(
    ("inputs", "parameters"),
    [
        (TEXT, {"candidate_labels": [str(number) for number in range(101)]}),
        (TEXT, {"candidate_labels": ["a" * 501]}),
        (TEXT, {"hypothesis_template": "{}" * 6}),
        (["a"] * 129, {}),
        (["palavra " * 600] * 20, {}),
        ("a" * 200_001, {}),
    ],
    ids=["many labels", "long label", "long template", "many texts", "many tokens", "long text"],
)
def test_too_much_is_refused_at_once(classify, inputs, parameters):
    response = classify(inputs, **parameters)
    assert response.status_code == 413
    shapes.check(shapes.ERROR, response.json())


@contract("answer", "InferenceClient")
def test_inference_client(server):
    client = InferenceClient(
        model=server.model_url(ENCODER, f"/pipeline/{TASK}"), token=server.token
    )
    answer = client.zero_shot_classification(TEXT, LABELS)
    assert answer[0].label == "esporte"
    assert sum(entry.score for entry in answer) == pytest.approx(1)


@contract("request", "InferenceClient")
def test_inference_client_with_parameters(server):
    url = server.model_url(ENCODER, f"/pipeline/{TASK}")
    client = InferenceClient(token=server.token)
    answer = client.zero_shot_classification(
        TEXT, LABELS, multi_label=True, hypothesis_template="Assunto: {}.", model=url
    )
    assert sum(entry.score for entry in answer) != pytest.approx(1, abs=1e-3)
