"""Question answering, embeddings and similarity on the wire."""

import concurrent.futures

import numpy as np
import pytest
import requests
import shapes
from huggingface_hub import InferenceClient
from wire_server import CONTEXT, QUESTION

from helpers.embedded import store
from helpers.question_answering import QuestionAnswerer

ENCODER = "curso/e5-pt-en"


@pytest.fixture(scope="module")
def answerer():
    return QuestionAnswerer.from_pretrained(str(store.ensure("curso/qa-pt")), device="cpu")


# --- question answering


@pytest.mark.contract(task="question-answering", client="requests", direction="answer")
def test_one_answer_is_one_object(server):
    answer = server.ask().json()
    shapes.check(shapes.ANSWER, answer)
    assert answer["answer"] == "Marcundes"
    assert CONTEXT[answer["start"] : answer["end"]] == answer["answer"]


@pytest.mark.contract(task="question-answering", client="requests", direction="answer")
def test_the_wire_adds_nothing_to_the_model(server, answerer):
    local, remote = answerer(QUESTION, CONTEXT, top_k=3), server.ask(top_k=3).json()
    shapes.check(shapes.ANSWERS, remote)
    assert [a["answer"] for a in remote] == [a["answer"] for a in local]
    assert [a["score"] for a in remote] == pytest.approx([a["score"] for a in local], abs=1e-5)
    assert remote == sorted(remote, key=lambda answer: -answer["score"])


@pytest.mark.contract(task="question-answering", client="requests", direction=("request", "answer"))
def test_top_k_of_one_is_an_object_and_lists_of_questions_are_lists(server):
    shapes.check(shapes.ANSWER, server.ask(top_k=1).json())
    shapes.check(shapes.ANSWER, server.ask(question=[QUESTION]).json())
    several = server.ask(question=[QUESTION, "Sobre o que é a aula?"]).json()
    shapes.check(shapes.ANSWERS, several)
    assert [a["answer"] for a in several] == ["Marcundes", "Hugging Face"]
    shapes.check(shapes.list_of(shapes.ANSWERS), server.ask([QUESTION] * 2, top_k=2).json())


@pytest.mark.contract(task="question-answering", client="requests", direction="request")
def test_parameters_reach_the_model(server, answerer):
    long_context = "A sala é azul e fica no fim do corredor. " * 40 + CONTEXT
    parameters = {
        "max_seq_len": 64,
        "doc_stride": 16,
        "max_answer_len": 5,
        "max_question_len": 32,
        "handle_impossible_answer": False,
        "align_to_words": True,
    }
    remote = server.ask(context=long_context, **parameters).json()
    assert remote["answer"] == answerer(QUESTION, long_context, **parameters)["answer"]


@pytest.mark.contract(task="question-answering", client="requests", direction="answer")
def test_both_addresses_answer_alike(server):
    body = {"inputs": {"question": QUESTION, "context": CONTEXT}}
    plain = server.post(server.model_url(), body)
    named = server.post(server.model_url(suffix="/pipeline/question-answering"), body)
    assert plain.json() == named.json()
    assert plain.headers["x-compute-type"] == "cpu"


DICT_NEEDED = (
    "question-answering expects `inputs` to be a dict containing both `question` and `context` as "
    "the keys, both of them being either a `str` or a `List[str]`."
)


@pytest.mark.parametrize(
    ("inputs", "parameters", "error"),
    [
        ("x", {}, "inputs must be a dict, but a `<class 'str'>` was provided instead."),
        ([1], {}, "inputs must be a dict, but a `<class 'list'>` was provided instead."),
        ({"question": "x"}, {}, DICT_NEEDED),
        ({"question": "x", "context": 3}, {}, DICT_NEEDED),
        ({"question": ["x", None], "context": "y"}, {}, DICT_NEEDED),
        ({"question": "x", "context": ""}, {}, "`context` cannot be empty"),
        ({"question": "", "context": "x"}, {}, "`question` cannot be empty"),
        ({"question": [], "context": "x"}, {}, "`question` cannot be empty"),
        (
            {"question": ["x", "y", "z"], "context": ["a", "b"]},
            {},
            "Questions and contexts don't have the same lengths",
        ),
        (None, {"top_k": 0}, "top_k parameter should be >= 1 (got 0)"),
        (None, {"top_k": True}, "top_k parameter should be an integer (got True)"),
        (None, {"top_k": [[]]}, "top_k parameter should be an integer (got [[]])"),
        ({"question": ["x", "y"], "context": ["a", " "]}, {}, "`context` cannot be empty"),
        (None, {"top_k": "dois"}, "top_k parameter should be an integer (got 'dois')"),
        (None, {"max_answer_len": 0}, "max_answer_len parameter should be >= 1 (got 0"),
        (None, {"doc_stride": 400}, "`doc_stride` (400) is larger than `max_seq_len` (384)"),
        (
            None,
            {"align_to_words": "sim"},
            "align_to_words parameter should be a boolean (got 'sim')",
        ),
    ],
)
@pytest.mark.contract(task="question-answering", client="requests", direction="error")
def test_what_is_wrong_is_said_in_the_apis_words(server, inputs, parameters, error):
    inputs = inputs or {"question": QUESTION, "context": CONTEXT}
    response = server.post(server.model_url(), {"inputs": inputs, "parameters": parameters})
    assert (response.status_code, response.json()) == (400, {"error": error})


@pytest.mark.contract(task="question-answering", client="requests", direction="error")
def test_body_without_inputs(server):
    headers = {**server.headers, "Content-Type": "application/json"}
    url, raw = server.model_url(), b'{"question":"x"}'
    response = requests.post(url, data=raw, headers=headers, timeout=30)
    error = 'Body needs to provide a inputs key, received: b\'{"question":"x"}\''
    assert (response.status_code, response.json()) == (400, {"error": error})


@pytest.mark.parametrize(
    ("raw", "content_type", "status", "fragment"),
    [
        (b"{}", None, 400, "No content type provided and no default one configured."),
        (b"oi", "text/plain", 400, 'Content type "text/plain" not supported.'),
        (b"\x89PNG\r\n\x1a\n", "image/png", 400, 'Content type "image/png" not supported.'),
        (b"{", "application/json", 400, "Body is not valid JSON"),
        (b"\xff\xfe\x00\xd8", "application/json", 400, "Body is not valid JSON"),
        (b"[" * 100_000, "application/json", 400, "nested too deeply"),
        (b'{"inputs":' + b"9" * 5000 + b"}", "application/json", 400, "Body is not valid JSON"),
        (
            b'{"inputs":{"question":"\\ud800","context":"a"}}',
            "application/json",
            400,
            "not valid Unicode",
        ),
        (b'{"inputs":"' + b"a" * 2_200_000 + b'"}', "application/json", 413, "too large"),
        (b'{"inputs":{}, "parameters":[]}', "application/json", 400, "parameters must be a dict"),
    ],
)
@pytest.mark.contract(task="question-answering", client="requests", direction="error")
def test_bodies_that_are_not_a_request(server, raw, content_type, status, fragment):
    headers = dict(server.headers)
    if content_type:
        headers["Content-Type"] = content_type
    response = requests.post(server.model_url(), data=raw, headers=headers, timeout=30)
    assert response.status_code == status
    shapes.check(shapes.ERROR, response.json())
    assert fragment in response.json()["error"]


@pytest.mark.parametrize("part", ["question", "context"])
@pytest.mark.contract(task="question-answering", client="requests", direction="error")
def test_a_megabyte_is_refused_at_once(server, part):
    server.ask()  # the model is loaded
    response = server.ask(**{part: "palavra " * 130_000})
    assert response.status_code == 413
    assert response.elapsed.total_seconds() < 2
    shapes.check(shapes.ERROR, response.json())


@pytest.mark.contract(task="question-answering", client="requests", direction="error")
def test_windows_without_end_are_refused(server):
    response = server.ask(context="palavra " * 3_000, max_seq_len=40, doc_stride=30)
    assert response.status_code == 413
    assert "windows" in response.json()["error"]


@pytest.mark.contract(task="question-answering", client="requests", direction="error")
def test_unknown_model_and_wrong_task(server):
    inputs = {"inputs": {"question": QUESTION, "context": CONTEXT}}
    missing = server.post(server.model_url("curso/nada"), inputs)
    assert missing.status_code == 404
    assert missing.json() == {"error": "Model curso/nada does not exist"}
    for url in (
        server.model_url("curso/smollm2-135m-instruct"),
        server.model_url(suffix="/pipeline/translation"),
        server.model_url(ENCODER, "/pipeline/question-answering"),
    ):
        response = server.post(url, inputs)
        assert response.status_code == 400
        assert response.json() == {"error": "Model not supported by provider hf-inference"}


@pytest.mark.contract(task="token-classification", client="requests", direction="error")
@pytest.mark.parametrize("task", ["token-classification", "summarization", "fill-mask", "nada"])
def test_a_task_that_no_embedded_model_has(server, task):
    body = {"inputs": "Ana mora em Recife.", "parameters": {"aggregation_strategy": "simple"}}
    for model in ("curso/qa-pt", ENCODER):
        response = server.post(server.model_url(model, f"/pipeline/{task}"), body)
        assert response.status_code == 400
        assert response.json() == {"error": "Model not supported by provider hf-inference"}


def test_unknown_addresses_answer_like_the_router(server):
    response = server.post(f"{server.url}/models/curso/qa-pt", {})
    assert (response.status_code, response.text) == (404, "Not Found")
    assert requests.get(server.model_url(), timeout=30).status_code == 405


@pytest.mark.contract(task="question-answering", client="requests", direction="answer")
def test_calls_at_once_all_get_their_own_answer(server):
    names = [f"Aluna{number}" for number in range(12)]
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        contexts = [f"Meu nome é {name} e moro em Recife." for name in names]
        answers = list(pool.map(lambda context: server.ask(context=context).json(), contexts))
    assert [answer["answer"] for answer in answers] == names


# --- embeddings


@pytest.mark.contract(task="feature-extraction", client="requests", direction="answer")
def test_one_vector_a_text(server):
    one = server.post(server.model_url(ENCODER), {"inputs": "O gato dorme."}).json()
    shapes.check(shapes.EMBEDDINGS, one)
    both = server.post(server.model_url(ENCODER), {"inputs": ["O gato dorme.", "Bom dia!"]}).json()
    shapes.check(shapes.EMBEDDINGS, both)
    assert np.allclose(both[0], one[0], atol=1e-4)
    assert np.allclose(np.linalg.norm(both, axis=1), 1, atol=1e-4)


@pytest.mark.contract(task="feature-extraction", client="requests", direction="request")
def test_options_of_embeddings(server):
    url = server.model_url(ENCODER, "/pipeline/feature-extraction")
    raw = server.post(url, {"inputs": "O gato dorme.", "normalize": False}).json()
    unit = server.post(url, {"inputs": "O gato dorme."}).json()
    length = np.linalg.norm(raw)
    assert length != pytest.approx(1, abs=0.01)
    assert np.allclose(np.array(raw) / length, unit, atol=1e-4)
    long_text = "palavra " * 2_000
    cut = server.post(url, {"inputs": long_text, "truncate": True})
    assert cut.status_code == 200
    refused = server.post(url, {"inputs": long_text, "truncate": False})
    assert refused.status_code == 413
    shapes.check(shapes.ERROR, refused.json())


@pytest.mark.parametrize(
    "inputs", [["a"] * 129, "a" * 200_001, ["palavra " * 600] * 20], ids=["many", "long", "tokens"]
)
def test_too_much_to_embed_is_refused(server, inputs):
    response = server.post(server.model_url(ENCODER), {"inputs": inputs})
    assert response.status_code == 413
    shapes.check(shapes.ERROR, response.json())


@pytest.mark.contract(task="feature-extraction", client="requests", direction="error")
@pytest.mark.parametrize("inputs", [None, 3, [], ["a", 3], {"a": "b"}])
@pytest.mark.contract(task="feature-extraction", client="requests", direction="error")
def test_embeddings_of_no_text(server, inputs):
    response = server.post(server.model_url(ENCODER), {"inputs": inputs})
    assert response.status_code == 400
    shapes.check(shapes.ERROR, response.json())


@pytest.mark.contract(task="sentence-similarity", client="requests", direction=("answer", "error"))
def test_similarity(server):
    url = server.model_url(ENCODER, "/pipeline/sentence-similarity")
    sentences = ["Um felino está dormindo no sofá.", "A bolsa de valores caiu hoje."]
    inputs = {"source_sentence": "O gato dorme no sofá.", "sentences": sentences}
    scores = server.post(url, {"inputs": inputs}).json()
    shapes.check(shapes.SIMILARITIES, scores)
    assert scores[0] > scores[1]
    missing = server.post(url, {"inputs": {"sentences": sentences}})
    assert missing.status_code == 400
    expected = ["Field required: received `source_sentence` in `parameters`"]
    assert missing.json() == {"error": expected}


# --- the official client


@pytest.mark.contract(
    task=("question-answering", "feature-extraction", "sentence-similarity"),
    client="InferenceClient",
    direction="answer",
)
def test_inference_client(server):
    answer = InferenceClient(model=server.model_url(), token=server.token).question_answering(
        question=QUESTION, context=CONTEXT
    )
    assert answer.answer == "Marcundes"
    client = InferenceClient(token=server.token)
    url = server.model_url(ENCODER, "/pipeline/feature-extraction")
    vectors = client.feature_extraction("O gato dorme.", model=url)
    assert vectors.shape == (1, 384)
    url = server.model_url(ENCODER, "/pipeline/sentence-similarity")
    scores = client.sentence_similarity("O gato dorme.", ["Um felino descansa."], model=url)
    assert 0 < scores[0] <= 1
