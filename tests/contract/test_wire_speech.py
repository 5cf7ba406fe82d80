"""Automatic speech recognition on the wire."""

import base64

import pytest
import requests
import shapes
import task_shapes
from huggingface_hub import InferenceClient
from task_media import HOLIDAY, then_silence, tone

from helpers import audio
from helpers.embedded import store
from helpers.embedded.tasks import speech

TASK = "automatic-speech-recognition"
MODEL = "curso/whisper-base"
MEDIA = (
    "'inputs' for task 'automatic-speech-recognition' must be the media content itself: either raw "
    "bytes sent with a matching audio/* or image/* Content-Type, or a base64-encoded string in a "
    "JSON body."
)


def contract(direction, client="requests"):
    return pytest.mark.contract(task=TASK, client=client, direction=direction)


@pytest.fixture(scope="module")
def send(server):
    """Send a recording as it is."""

    def post(data, content_type="audio/flac", model=MODEL):
        headers = {**server.headers, "Content-Type": content_type}
        return requests.post(server.model_url(model), data=data, headers=headers, timeout=300)

    return post


@pytest.fixture(scope="module")
def recognise(server):
    """Send a recording as base64, with parameters."""

    def post(data=None, **parameters):
        inputs = base64.b64encode(data or HOLIDAY.read_bytes()).decode()
        body = {"inputs": inputs, "parameters": parameters}
        return server.post(server.model_url(MODEL), body, timeout=300)

    return post


@contract("answer")
@pytest.mark.parametrize(
    "content_type", ["audio/flac", "audio/x-flac; a=b", "application/octet-stream"]
)
def test_bytes_become_words(send, content_type):
    answer = send(HOLIDAY.read_bytes(), content_type).json()
    shapes.check(task_shapes.TRANSCRIPT, answer)
    assert "feriado" in answer["text"].lower()


@contract("answer")
def test_the_wire_adds_nothing_to_the_pipeline(send):
    pipeline = speech.HANDLER.load(store.ensure(MODEL))
    recording = audio.decode(HOLIDAY)
    local = pipeline({"raw": recording.samples, "sampling_rate": recording.sampling_rate})
    assert send(HOLIDAY.read_bytes()).json() == {"text": local["text"]}


@contract("request")
def test_timestamps_of_sentences_and_words(recognise):
    seconds = audio.decode(HOLIDAY).seconds
    sentences = recognise(return_timestamps=True).json()
    words = recognise(return_timestamps="word").json()
    for answer in (sentences, words):
        shapes.check(task_shapes.CHUNKS, answer)
        assert (
            "".join(chunk["text"] for chunk in answer["chunks"]).strip() == answer["text"].strip()
        )
        times = [moment for chunk in answer["chunks"] for moment in chunk["timestamp"]]
        assert times == sorted(times) and times[-1] <= seconds + 0.5
    assert len(words["chunks"]) > len(sentences["chunks"])
    shapes.check(task_shapes.TRANSCRIPT, recognise(return_timestamps=False).json())


@contract("request")
def test_parameters_of_generation(recognise):
    named = recognise(generation_parameters={"language": "portuguese", "task": "transcribe"}).json()
    assert "feriado" in named["text"].lower()
    english = recognise(generate_kwargs={"language": "pt", "task": "translate"}).json()
    assert "city" in english["text"].lower()
    short = recognise(generation_parameters={"max_new_tokens": 3}).json()
    assert len(short["text"]) < len(named["text"])


@contract("answer")
def test_more_than_one_window(send):
    answer = send(then_silence(HOLIDAY, seconds=28), "audio/wav")
    assert answer.status_code == 200
    shapes.check(task_shapes.TRANSCRIPT, answer.json())
    assert "feriado" in answer.json()["text"].lower()


@contract("error")
@pytest.mark.parametrize(
    "data",
    [b"", b"isto nao e som", b"RIFF" + bytes(400), HOLIDAY.read_bytes()[:80], tone(0)],
    ids=["nothing", "text", "a header alone", "cut short", "no sample"],
)
def test_what_is_no_recording(send, recognise, data):
    response = send(data, "audio/wav")
    assert (response.status_code, response.json()) == (400, {"error": "Malformed soundfile"})
    if data:
        response = recognise(data)
        assert (response.status_code, response.json()) == (400, {"error": "Malformed soundfile"})


@contract("error")
@pytest.mark.parametrize("inputs", [{}, [], 3, None, ["AAAA"]])
def test_inputs_that_are_no_text(server, inputs):
    response = server.post(server.model_url(MODEL), {"inputs": inputs})
    assert (response.status_code, response.json()) == (400, {"error": "Malformed soundfile"})


@contract("error")
@pytest.mark.parametrize(
    "inputs", ["/etc/passwd", "https://exemplo.com/aula.wav", "data:audio/wav;base64,AAAA", "aula"]
)
def test_paths_and_addresses_are_never_opened(server, inputs):
    response = server.post(server.model_url(MODEL), {"inputs": inputs})
    assert response.status_code == 400
    error = response.json()["error"]
    # "aula" happens to be base64, of three bytes that are no sound
    assert error.startswith(MEDIA) or (inputs == "aula" and error == "Malformed soundfile")


@contract("error")
@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"return_timestamps": "char"}, "Whisper cannot return `char` timestamps, only word level"),
        ({"return_timestamps": "dia"}, "return_timestamps parameter should be a boolean or 'word'"),
        ({"return_timestamps": []}, None),
        ({"return_timestamps": {"a": 1}}, "return_timestamps parameter should be a boolean"),
        ({"generation_parameters": 3}, "generation_parameters parameter should be a dict (got 3)"),
        ({"generation_parameters": {"volume": 3}}, "`model_kwargs` are not used by the model: ['v"),
        ({"generation_parameters": {"language": "klingon"}}, "Unsupported language: klingon"),
        ({"generation_parameters": {"language": 3}}, "language parameter should be a string"),
        ({"generation_parameters": {"task": "cantar"}}, "task is not supported"),
        ({"generation_parameters": {"max_new_tokens": 10_000}}, "should be <= 224 (got 10000)"),
        ({"generation_parameters": {"num_beams": 99}}, "num_beams parameter should be <= 2"),
        ({"generation_parameters": {"do_sample": True}}, "do_sample parameter is not supported"),
        ({"generation_parameters": {"temperature": 2}}, "temperature parameter is not supported"),
    ],
)
def test_parameters_that_are_wrong(recognise, parameters, error):
    response = recognise(tone(0.5), **parameters)
    if error is None:  # an empty list says no, like false
        assert response.status_code == 200
        return
    assert response.status_code == 400, response.text
    shapes.check(shapes.ERROR, response.json())
    assert error in response.json()["error"]


@contract("error")
def test_a_recording_that_is_too_long(send):
    response = send(tone(speech.SECONDS_LIMIT + 1, rate=8_000), "audio/wav")
    assert response.status_code == 413
    shapes.check(shapes.ERROR, response.json())


@contract("error")
def test_a_body_that_is_too_large(send):
    response = send(bytes(17 * 1024 * 1024), "audio/wav")
    assert response.status_code == 413
    shapes.check(shapes.ERROR, response.json())


@contract("error")
def test_a_recording_for_a_model_of_texts(send):
    response = send(HOLIDAY.read_bytes(), model="curso/qa-pt")
    assert response.status_code == 400
    assert 'Content type "audio/flac" not supported.' in response.json()["error"]


@contract("answer", "InferenceClient")
def test_inference_client(server):
    client = InferenceClient(model=server.model_url(MODEL), token=server.token)
    assert "feriado" in client.automatic_speech_recognition(HOLIDAY).text.lower()


@contract("request", "InferenceClient")
def test_inference_client_with_parameters(server):
    client = InferenceClient(model=server.model_url(MODEL), token=server.token)
    answer = client.automatic_speech_recognition(
        str(HOLIDAY), extra_body={"return_timestamps": True}
    )
    assert "feriado" in answer.text.lower()
    assert answer.chunks[0].timestamp[0] == pytest.approx(0, abs=0.5)
