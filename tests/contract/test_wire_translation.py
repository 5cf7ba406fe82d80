"""Translation on the wire."""

import pytest
import shapes
import task_shapes
from huggingface_hub import InferenceClient

from helpers.embedded import store
from helpers.translation import Translator

TASK = "translation"
TO_ENGLISH, TO_PORTUGUESE = "curso/traducao-pt-en", "curso/traducao-en-pt"
TEXT = "A aula começa às oito horas. Meu nome é Ana."


def contract(direction, client="requests"):
    return pytest.mark.contract(task=TASK, client=client, direction=direction)


@pytest.fixture(scope="module")
def translate(server):
    def post(inputs=TEXT, model=TO_ENGLISH, **parameters):
        body = {"inputs": inputs, "parameters": parameters}
        return server.post(server.model_url(model), body)

    return post


def translated(response):
    assert response.status_code == 200, response.text
    answer = response.json()
    shapes.check(task_shapes.TRANSLATIONS, answer)
    return [entry["translation_text"] for entry in answer]


@contract("answer")
def test_both_directions(translate):
    (english,) = translated(translate())
    assert "class starts" in english and "Ana" in english
    (portuguese,) = translated(translate("The cat sleeps on the sofa.", TO_PORTUGUESE))
    assert "gato" in portuguese


@contract("answer")
def test_the_wire_adds_nothing_to_the_translator(translate):
    local = Translator.from_pretrained(str(store.ensure(TO_ENGLISH)), device="cpu")
    assert translated(translate()) == [local(TEXT)]


@contract("request")
def test_a_list_is_a_list(translate):
    both = translated(translate([TEXT, "O gato dorme."]))
    assert both == [translated(translate(text))[0] for text in (TEXT, "O gato dorme.")]
    assert translated(translate([])) == []


@contract("request")
@pytest.mark.parametrize(
    "parameters",
    [
        {"src_lang": "pt", "tgt_lang": "en"},
        {"src_lang": "pt_XX", "tgt_lang": "eng_Latn"},
        {"truncation": "longest_first", "clean_up_tokenization_spaces": False},
        {"generate_parameters": {"max_new_tokens": 200, "num_beams": 1, "do_sample": False}},
        {"generation_parameters": {"max_new_tokens": 200}},
        {"max_length": 200},
    ],
)
def test_what_changes_nothing_is_accepted(translate, parameters):
    assert translated(translate(**parameters)) == translated(translate())


@contract("request")
def test_the_length_is_bounded_on_request(translate):
    full, cut = (
        translated(translate(generate_parameters={"max_new_tokens": length}))[0]
        for length in (100, 3)
    )
    assert len(cut) < len(full)


@contract("error")
@pytest.mark.parametrize(
    ("inputs", "parameters", "error"),
    [
        (
            TEXT,
            {"comprimento": 3},
            "The following `model_kwargs` are not used by the model: ['comprimento'] (note: typos "
            "in the generate arguments will also show up in this list)",
        ),
        (TEXT, {"src_lang": "es"}, "this model translates from 'pt' to 'en' (got 'es')"),
        (TEXT, {"tgt_lang": "pt"}, "tgt_lang parameter should be 'en'"),
        (TEXT, {"tgt_lang": 3}, "tgt_lang parameter should be a string (got 3)"),
        (TEXT, {"generate_parameters": [1]}, "generate_parameters parameter should be a dict"),
        (TEXT, {"generate_parameters": {"num_beams": 4}}, "translations are greedy"),
        (TEXT, {"temperature": 0.5}, "translations are greedy"),
        (TEXT, {"max_new_tokens": 0}, "max_new_tokens parameter should be >= 1 (got 0)"),
        (TEXT, {"max_new_tokens": 9999}, "max_new_tokens parameter should be <= 256 (got 9999)"),
        (TEXT, {"truncation": "nunca"}, "'nunca' is not a valid TruncationStrategy"),
        (TEXT, {"truncation": ["a"]}, "is not a valid TruncationStrategy"),
        ({"text": TEXT}, {}, "have the wrong format. The should be either of type `str` or type"),
    ],
)
def test_what_is_wrong_is_said(translate, inputs, parameters, error):
    response = translate(inputs, **parameters)
    assert response.status_code == 400
    shapes.check(shapes.ERROR, response.json())
    assert error in response.json()["error"]


@contract("error")
@pytest.mark.parametrize(
    "inputs", ["a" * 5_001, "Oi. " * 101, ["Olá."] * 129], ids=["long", "sentences", "texts"]
)
def test_too_much_is_refused(translate, inputs):
    response = translate(inputs)
    assert response.status_code == 413
    shapes.check(shapes.ERROR, response.json())


@contract("answer", "InferenceClient")
def test_inference_client(server):
    client = InferenceClient(model=server.model_url(TO_ENGLISH), token=server.token)
    assert "class starts" in client.translation(TEXT).translation_text


@contract("request", "InferenceClient")
def test_inference_client_with_parameters(server):
    client = InferenceClient(token=server.token)
    answer = client.translation(
        "The cat sleeps.",
        model=server.model_url(TO_PORTUGUESE),
        src_lang="en",
        tgt_lang="pt",
        generate_parameters={"max_new_tokens": 50},
    )
    assert "gato" in answer.translation_text
