"""Text classification on the wire."""

import pytest
import shapes
import task_shapes
from huggingface_hub import InferenceClient

from helpers.embedded import store
from helpers.embedded.catalog import catalog
from helpers.embedded.tasks import text_classification

MODEL = "curso/sentimento-pt"
GOOD, BAD = "Adorei o filme, é maravilhoso!", "Péssimo atendimento, nunca mais volto."

pytestmark = pytest.mark.skipif(
    MODEL not in catalog().repositories, reason="the sentiment model is not in the catalog yet"
)


def contract(direction, client="requests"):
    return pytest.mark.contract(task="text-classification", client=client, direction=direction)


@pytest.fixture(scope="module")
def classify(server):
    def post(inputs=GOOD, **parameters):
        body = {"inputs": inputs, "parameters": parameters} if parameters else {"inputs": inputs}
        return server.post(server.model_url(MODEL), body)

    return post


@pytest.fixture(scope="module")
def pipeline():
    return text_classification.HANDLER.load(store.ensure(MODEL))


def labels(ranking):
    return [entry["label"] for entry in ranking]


@contract("answer")
def test_one_text_is_answered_with_a_list_of_one_ranking(classify, pipeline):
    answer = classify().json()
    shapes.check(task_shapes.RANKINGS, answer)
    (ranking,) = answer
    assert len(ranking) == min(5, pipeline.model.config.num_labels)
    assert ranking == sorted(ranking, key=lambda entry: -entry["score"])
    assert ranking[0]["label"] == "positivo"
    assert classify(BAD).json()[0][0]["label"] == "negativo"


@contract("answer")
def test_the_wire_adds_nothing_to_the_pipeline(classify, pipeline):
    (remote,), (local,) = classify().json(), pipeline([GOOD], top_k=5)
    assert labels(remote) == labels(local)
    scores = [[entry["score"] for entry in one] for one in (remote, local)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)


@contract("answer")
def test_a_list_is_answered_with_the_best_label_of_each(classify):
    answer = classify([GOOD, BAD, GOOD]).json()
    shapes.check(task_shapes.RANKINGS, answer)
    assert [labels(ranking) for ranking in answer] == [["positivo"], ["negativo"], ["positivo"]]
    assert [labels(ranking) for ranking in classify([GOOD]).json()] == [["positivo"]]
    assert classify([]).json() == []


@contract("request")
def test_the_callers_top_k_wins(classify, pipeline):
    assert [len(ranking) for ranking in classify(top_k=1).json()] == [1]
    assert [len(ranking) for ranking in classify([GOOD, BAD], top_k=2).json()] == [2, 2]
    everything = pipeline.model.config.num_labels
    assert [len(ranking) for ranking in classify([GOOD], top_k=None).json()] == [everything]
    assert [len(ranking) for ranking in classify(top_k=1_000).json()] == [everything]


@contract("request")
@pytest.mark.parametrize("function", ["softmax", "sigmoid", "none"])
def test_the_function_that_makes_scores(classify, pipeline, function):
    remote = classify(function_to_apply=function).json()[0]
    local = pipeline([GOOD], top_k=5, function_to_apply=function)[0]
    assert [e["score"] for e in remote] == pytest.approx([e["score"] for e in local], abs=1e-3)


@contract("request")
def test_a_long_text_is_cut_to_what_the_model_takes(classify):
    answer = classify(GOOD + " E o tempo passou." * 500)
    assert answer.status_code == 200
    shapes.check(task_shapes.RANKINGS, answer.json())


@contract("error")
@pytest.mark.parametrize(
    ("inputs", "parameters", "error"),
    [
        (3, {}, "text-classification expects `inputs` to be either a `str` or a `List[str]`."),
        ([GOOD, 3], {}, "text-classification expects `inputs` to be either a `str` or a "),
        ({"text": GOOD}, {}, "text-classification expects `inputs` to be either a `str` or a "),
        (GOOD, {"top_k": 0}, "top_k parameter should be >= 1 (got 0)"),
        (GOOD, {"top_k": True}, "top_k parameter should be an integer (got True)"),
        (GOOD, {"function_to_apply": "relu"}, "'relu' is not a valid ClassificationFunction"),
    ],
)
def test_what_is_wrong_is_said(classify, inputs, parameters, error):
    response = classify(inputs, **parameters)
    assert response.status_code == 400
    shapes.check(shapes.ERROR, response.json())
    assert error in response.json()["error"]


@contract("error")
@pytest.mark.parametrize(
    "inputs", [["a"] * 129, "a" * 200_001, ["palavra " * 600] * 20], ids=["many", "long", "tokens"]
)
def test_too_much_is_refused(classify, inputs):
    response = classify(inputs)
    assert response.status_code == 413
    shapes.check(shapes.ERROR, response.json())


@contract("answer", "InferenceClient")
def test_inference_client(server):
    client = InferenceClient(model=server.model_url(MODEL), token=server.token)
    assert client.text_classification(GOOD)[0].label == "positivo"


@contract("request", "InferenceClient")
def test_inference_client_with_parameters(server):
    client = InferenceClient(model=server.model_url(MODEL), token=server.token)
    answer = client.text_classification(BAD, top_k=2, function_to_apply="sigmoid")
    assert [entry.label for entry in answer][0] == "negativo" and len(answer) == 2
