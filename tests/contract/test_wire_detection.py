"""Pictures on the wire: where things are."""

import base64

import pytest
import requests
import shapes
import task_shapes
from huggingface_hub import InferenceClient
from task_media import picture

from helpers import pictures
from helpers.embedded import store
from helpers.embedded.tasks import images

MODEL = "curso/detector-de-figuras"
ANYTHING = 0.01


def contract(direction, client="requests"):
    return pytest.mark.contract(task="object-detection", client=client, direction=direction)


@pytest.fixture(scope="module")
def detect(server):
    def post(**parameters):
        body = {"inputs": base64.b64encode(picture()).decode(), "parameters": parameters}
        return server.post(server.model_url(MODEL), body)

    return post


@contract("answer")
def test_the_wire_adds_nothing_to_the_pipeline(detect):
    pipeline = images.OBJECT_DETECTION.load(store.ensure(MODEL))
    remote = detect(threshold=ANYTHING).json()
    shapes.check(task_shapes.DETECTIONS, remote)
    local = pipeline(pictures.decode(picture()), threshold=ANYTHING)
    assert remote
    assert [entry["label"] for entry in remote] == [entry["label"] for entry in local]
    scores = [[entry["score"] for entry in one] for one in (remote, local)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)
    for entry in remote:
        box = entry["box"]
        assert box["xmin"] <= box["xmax"] and box["ymin"] <= box["ymax"]


@contract("request")
def test_the_threshold_decides_what_counts(detect):
    unsure, sure = detect(threshold=ANYTHING).json(), detect(threshold=0.9).json()
    assert len(unsure) > len(sure)
    assert all(entry["score"] > 0.9 for entry in sure)
    assert detect().json() == detect(threshold=0.5).json()


@contract("answer")
def test_bytes(server, detect):
    headers = {**server.headers, "Content-Type": "image/png"}
    url = server.model_url(MODEL)
    answer = requests.post(url, data=picture(), headers=headers, timeout=60)
    assert answer.json() == detect().json()


@contract("error")
@pytest.mark.parametrize("threshold", [-0.1, 1.5, "alto", True, [0.5]])
def test_a_threshold_that_is_none(detect, threshold):
    response = detect(threshold=threshold)
    assert response.status_code == 400
    shapes.check(shapes.ERROR, response.json())
    assert "threshold parameter should be" in response.json()["error"]


@contract("error")
def test_a_path_is_never_opened(server):
    response = server.post(server.model_url(MODEL), {"inputs": "/etc/passwd"})
    assert response.status_code == 400
    assert "'inputs' for task 'object-detection' must be the media" in response.json()["error"]


@contract("request", "InferenceClient")
def test_inference_client(server, tmp_path):
    path = tmp_path / "disco.png"
    path.write_bytes(picture())
    client = InferenceClient(model=server.model_url(MODEL), token=server.token)
    found = client.object_detection(path, threshold=ANYTHING)
    assert found and found[0].box.xmin <= found[0].box.xmax
