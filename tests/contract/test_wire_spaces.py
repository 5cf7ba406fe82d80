"""Spaces: their files, and the truth about whether they run."""

import pytest
import requests
import shapes
from client_runs import run_client

from helpers.embedded import store

SPACE = "curso/pergunte-ao-texto"
ASSISTANT = "curso/assistente-de-documentos"


@pytest.mark.contract(
    task=("hub-spaces", "hub-files"), client="HfApi", direction=("request", "answer")
)
def test_huggingface_hub(server, tmp_path):
    seen = run_client(server, tmp_path, "spaces_by_id.py")
    manifest = store.manifest(SPACE)
    for found in ("listed", "by_model", "by_dataset", "linked", "gradio", "spaces_of_the_model"):
        assert sorted(seen[found]) == [ASSISTANT, SPACE], found
    assert seen["by_other_model"] == [ASSISTANT]
    assert seen["streamlit"] == []
    assert seen["sha"] == manifest.commit
    assert seen["sdk"] == "gradio" and seen["sdk_version"]
    assert seen["models"] == ["curso/qa-pt"]
    assert seen["stages"] == ["PAUSED", "PAUSED"]
    assert seen["hardware"] is None
    assert seen["files"] == sorted(manifest.files) == ["README.md", "app.py", "requirements.txt"]
    assert seen["is_python"]
    assert seen["exists"] == [True, False]


@pytest.mark.contract(task="hub-spaces", client="requests", direction="error")
def test_runtime_of_what_does_not_exist(server):
    for repo_id in ("curso/nada", "curso/qa-pt"):
        response = requests.get(f"{server.url}/api/spaces/{repo_id}/runtime", timeout=30)
        assert response.status_code == 404
        assert response.headers["X-Error-Code"] == "RepoNotFound"
        shapes.check(shapes.ERROR, response.json())
