"""Pictures on the wire: what is in them."""

import base64
import io
import json

import pytest
import requests
import shapes
import task_shapes
from huggingface_hub import InferenceClient
from PIL import Image
from task_media import encoded, picture, png_that_claims

from helpers import pictures
from helpers.embedded import store
from helpers.embedded.tasks import images

MODEL = "curso/efficientnet-lite0"
MEDIA = (
    "'inputs' for task 'image-classification' must be the media content itself: either raw bytes "
    "sent with a matching audio/* or image/* Content-Type, or a base64-encoded string in a JSON "
    "body."
)


def contract(direction, client="requests"):
    return pytest.mark.contract(task="image-classification", client=client, direction=direction)


@pytest.fixture(scope="module")
def send(server):
    """Send a picture as it is."""

    def post(data, content_type="image/png", **query):
        headers = {**server.headers, "Content-Type": content_type}
        url = server.model_url(MODEL)
        return requests.post(url, params=query, data=data, headers=headers, timeout=120)

    return post


@pytest.fixture(scope="module")
def classify(server):
    """Send a picture as base64, with parameters."""

    def post(data=None, **parameters):
        inputs = base64.b64encode(picture() if data is None else data).decode()
        return server.post(server.model_url(MODEL), {"inputs": inputs, "parameters": parameters})

    return post


@pytest.fixture(scope="module")
def pipeline():
    return images.IMAGE_CLASSIFICATION.load(store.ensure(MODEL))


@contract("answer")
@pytest.mark.parametrize(
    ("file_format", "content_type"),
    [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "application/octet-stream")],
)
def test_bytes_become_the_five_likeliest_labels(send, pipeline, file_format, content_type):
    data = picture(file_format=file_format)
    answer = send(data, content_type).json()
    shapes.check(task_shapes.LABELS, answer)
    local = pipeline(pictures.decode(data))
    assert [entry["label"] for entry in answer] == [entry["label"] for entry in local]
    assert len(answer) == 5
    scores = [[entry["score"] for entry in one] for one in (answer, local)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)


@contract("request")
def test_parameters(classify, pipeline):
    assert len(classify(top_k=2).json()) == 2
    everything = classify(top_k=5_000).json()
    assert len(everything) == pipeline.model.config.num_labels
    assert sum(entry["score"] for entry in everything) == pytest.approx(1, abs=1e-3)
    logits = classify(function_to_apply="none").json()
    shapes.check(task_shapes.LOGITS, logits)
    assert logits[0]["score"] > 1
    sigmoid = classify(function_to_apply="SIGMOID").json()
    assert [entry["label"] for entry in sigmoid] == [entry["label"] for entry in logits]


@contract("request")
def test_parameters_beside_bytes_are_in_the_address(send, classify):
    asked = {"top_k": 2, "function_to_apply": "sigmoid"}
    assert send(picture(), **asked).json() == classify(**asked).json()
    assert send(picture(), top_k="0.5").status_code == 400
    assert send(picture(), cor="azul").status_code == 400


@contract("answer")
def test_base64_and_bytes_are_answered_alike(send, classify):
    assert classify().json() == send(picture()).json()


@contract("answer")
def test_a_picture_lies_on_its_side_only_in_the_file(send):
    upright = Image.open(io.BytesIO(picture(200, 120, "PNG")))
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn me a quarter to the right"
    turned = io.BytesIO()
    upright.rotate(90, expand=True).save(turned, format="PNG", exif=exif)
    assert send(turned.getvalue()).json() == send(encoded(upright)).json()


@contract("error")
@pytest.mark.parametrize(
    "data",
    [b"", b"isto nao e uma imagem", picture()[:100], b"<svg xmlns='http://www.w3.org/2000/svg'/>"],
    ids=["nothing", "text", "cut short", "svg"],
)
def test_what_is_no_picture(send, classify, data):
    response = send(data)
    error = {"error": "cannot identify image file"}
    assert (response.status_code, response.json()) == (400, error)
    response = classify(data)
    assert response.status_code == 400
    assert response.json()["error"].startswith(f"{MEDIA} The decoded bytes are not valid media (")


@contract("error")
@pytest.mark.parametrize(
    ("width", "height"), [(60_000, 60_000), (6_000, 6_000), (1, 1_000_000), (0, 5)]
)
def test_a_picture_that_would_unfold_into_gigabytes(send, width, height):
    response = send(png_that_claims(width, height))
    assert response.status_code == (413 if width else 400)
    shapes.check(shapes.ERROR, response.json())
    assert response.elapsed.total_seconds() < 5


@contract("error")
def test_a_narrow_picture_is_not_blown_up(send):
    response = send(encoded(Image.new("RGB", (4, 2_000))))
    assert response.status_code == 413
    assert "too narrow" in response.json()["error"]


@contract("error")
@pytest.mark.parametrize("inputs", [{}, [], 3, None, [["AAAA"]]])
def test_inputs_that_are_no_text(server, inputs):
    response = server.post(server.model_url(MODEL), {"inputs": inputs})
    error = "image-classification expects `inputs` to be a base64-encoded `str`."
    assert (response.status_code, response.json()) == (400, {"error": error})


@contract("error")
@pytest.mark.parametrize("inputs", ["/etc/passwd", "https://exemplo.com/gato.png", "gato"])
def test_paths_and_addresses_are_never_opened(server, inputs):
    response = server.post(server.model_url(MODEL), {"inputs": inputs})
    assert response.status_code == 400
    assert response.json()["error"].startswith(MEDIA)


@contract("error")
@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"top_k": 0}, "top_k parameter should be >= 1 (got 0)"),
        ({"top_k": "dois"}, "top_k parameter should be an integer (got 'dois')"),
        ({"function_to_apply": "relu"}, "'relu' is not a valid ClassificationFunction"),
        (
            {"cor": 1},
            "ImageClassificationPipeline._sanitize_parameters() got an unexpected keyword argument "
            "'cor'",
        ),
    ],
)
def test_parameters_that_are_wrong(classify, parameters, error):
    response = classify(**parameters)
    assert (response.status_code, response.json()) == (400, {"error": error})


@contract("error")
def test_a_recording_sent_to_a_model_of_pictures(send):
    response = send(b"RIFF", "audio/wav")
    assert response.status_code == 400
    assert 'Content type "audio/wav" not supported.' in response.json()["error"]


@contract("error")
def test_a_body_that_is_too_large(send, server):
    assert send(bytes(17 * 1024 * 1024)).status_code == 413
    headers = {**server.headers, "Content-Type": "application/json"}
    body = json.dumps({"inputs": "A" * 24 * 1024 * 1024})
    response = requests.post(server.model_url(MODEL), data=body, headers=headers, timeout=60)
    assert response.status_code == 413


@contract("answer", "InferenceClient")
def test_inference_client(server, tmp_path):
    path = tmp_path / "disco.png"
    path.write_bytes(picture())
    client = InferenceClient(model=server.model_url(MODEL), token=server.token)
    labels = client.image_classification(path)
    assert len(labels) == 5


@contract("request", "InferenceClient")
def test_inference_client_with_parameters(server, tmp_path):
    path = tmp_path / "disco.jpg"
    path.write_bytes(picture(file_format="JPEG"))
    client = InferenceClient(model=server.model_url(MODEL), token=server.token)
    labels = client.image_classification(str(path), top_k=3, function_to_apply="sigmoid")
    assert len(labels) == 3
