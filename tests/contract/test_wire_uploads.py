"""Learners' repositories on the embedded Hub, with the real clients."""

import json

import pytest
import requests
import shapes
from client_runs import run_client
from huggingface_hub import HfApi
from uploads_by_hand import Learner
from wire_server import running_server

from helpers.embedded.hub import cards
from helpers.embedded.viewer import PREFIX
from helpers.errors import CourseError
from helpers.training import publishing
from tests.caches import share_all

WRITING = ("hub-uploads", "hub-models", "hub-files")


@pytest.fixture(scope="module")
def published(uploads, tmp_path_factory):
    """What a session with ``huggingface_hub`` saw."""
    return run_client(uploads, tmp_path_factory.mktemp("hub"), "uploads_hub.py")


@pytest.fixture(scope="module")
def pushed(uploads, tmp_path_factory):
    """What a session with ``transformers``, PEFT and ``datasets`` saw."""
    return run_client(uploads, tmp_path_factory.mktemp("models"), "uploads_models.py")


@pytest.mark.contract(task=WRITING, client="HfApi", direction=("request", "answer"))
def test_a_repository_is_made_written_and_read_back(published):
    assert [published[key] for key in ("before", "url", "exist_ok")] == [
        False,
        "aluna/meu-modelo",
        "aluna/meu-modelo",
    ]
    begun = [".gitattributes"]
    sent = ["README.md", "notas/olá.txt", "pesos.bin", "sub/model.safetensors"]
    kept = ["README.md", "copia.safetensors", "pesos.bin", "sub/model.safetensors"]
    assert sorted(published["files"]) == begun + sent
    assert sorted(published["after"]) == sorted([*begun, *kept, "a.txt"])
    assert published["copied"] == [True, True] and published["pickle"]
    assert published["lfs"] == 256 * 8000
    assert published["info"] == ["aluna", False, "mit", True]
    assert published["listed"] == published["found"] == ["aluna/meu-modelo"]


@pytest.mark.contract(task=WRITING, client="HfApi", direction=("request", "answer"))
def test_every_commit_stays_readable(published):
    assert published["commits"] == [
        "Delete a.txt with huggingface_hub",
        "Troca",
        "Envia a pasta",
        "Upload notas/olá.txt with huggingface_hub",
        "initial commit",
    ]
    assert published["authors"] == ["aluna"]
    first, second, third = (set(names) for names in published["revisions"])
    assert first == {".gitattributes", "notas/olá.txt"}
    assert second == set(published["files"]) and third == set(published["after"])
    assert published["old"] == "Olá, turma"
    assert published["unchanged"], "a folder sent twice makes no second commit"
    assert published["last_commits"] == published["expected_commits"]


@pytest.mark.contract(task="hub-uploads", client="HfApi", direction=("request", "answer"))
def test_branches_and_tags(published):
    assert published["branch"] == [False, True]
    assert published["refs"] == [["main", "teste"], ["v1"]] and published["tagged"]


ERRORS = {
    "bad card": ("ValueError", None, "Invalid metadata in README.md"),
    "course": ("HfHubHTTPError", 403, 'under the namespace "curso". Your own namespace is "aluna"'),
    "course file": ("HfHubHTTPError", 403, 'write access to "curso/qa-pt"'),
    "delete course": ("HfHubHTTPError", 403, 'write access to "curso/qa-pt"'),
    "unknown": ("RepositoryNotFoundError", 404, "Repository Not Found"),
    "no token": ("HfHubHTTPError", 401, "Invalid username or password."),
    "bad token": ("HfHubHTTPError", 401, "Invalid credentials in Authorization header"),
    "conflict": ("HfHubHTTPError", 412, "A commit has happened since."),
    "missing file": ("RemoteEntryNotFoundError", 404, "A file with this name doesn't exist"),
    "missing branch": ("RevisionNotFoundError", 404, "Revision Not Found"),
    "pull request": ("BadRequestError", 400, "Pull requests are not offered"),
    "space without sdk": ("ValueError", None, "space_sdk"),
}


@pytest.mark.contract(task=WRITING, client="HfApi", direction="error")
@pytest.mark.parametrize("case", ERRORS)
def test_what_cannot_be_done_is_said(published, case):
    name, status, sentence = ERRORS[case]
    seen = published["errors"][case]
    assert seen[:2] == [name, status]
    assert sentence in seen[2]


@pytest.mark.contract(task="hub-uploads", client="HfApi", direction=("answer", "error"))
def test_a_repository_that_exists_and_one_that_is_gone(published):
    assert published["again"] == ["HfHubHTTPError", 409]
    assert published["deleted"] is False
    assert [published[key] for key in ("missing_ok", "gone")] == [
        "no error",
        "RepositoryNotFoundError",
    ]


@pytest.mark.contract(task="hub-uploads", client="HfApi", direction=("answer", "error"))
def test_a_private_repository_is_its_owners(published):
    private, listed, info, file = published["private"]
    assert private is True and listed == []
    assert info == file == ["RepositoryNotFoundError", 404]


@pytest.mark.contract(task="hub-uploads", client="HfApi", direction="answer")
def test_a_card_without_metadata_is_warned_about(published):
    assert any(cards.EMPTY in warning for warning in published["warned"])


@pytest.mark.contract(
    task=("hub-uploads", "hub-spaces"), client="HfApi", direction=("request", "answer", "error")
)
def test_a_space(published):
    begun, files, sdk, title, stage, listed = published["space"]
    assert begun == [".gitattributes", "README.md"] and files == [*begun, "app.py"]
    assert (sdk, title, stage, listed) == ("gradio", "Oi", "PAUSED", ["aluna/meu-app"])
    name, _, sentence = published["bad space card"]
    assert name == "ValueError" and '"sdk" must be one of [gradio' in sentence


@pytest.mark.contract(
    task=("hub-uploads", "hub-models", "text-classification"),
    client=("transformers", "InferenceClient"),
    direction=("request", "answer"),
)
def test_a_pushed_model_answers_as_it_does_at_home(pushed):
    """Twice: as it was, and once ``Trainer`` has pushed it trained."""
    before, after = pushed["answers"]
    for answered, expected in (before, after):
        assert answered == pytest.approx(expected, abs=1e-4)
    assert before[0] != pytest.approx(after[0], abs=1e-3)
    assert pushed["task"] == ["text-classification"] * 2
    assert pushed["same weights"] and pushed["older is older"]
    assert {"config.json", "model.safetensors", "training_args.bin"} <= set(pushed["trained files"])


@pytest.mark.contract(
    task=("hub-uploads", "question-answering", "feature-extraction"),
    client=("transformers", "InferenceClient"),
    direction="answer",
)
def test_pushed_models_of_other_tasks_answer_too(pushed):
    assert isinstance(pushed["answer"], str) and pushed["vector"] == 16


@pytest.mark.contract(task="hub-uploads", client="transformers", direction=("request", "answer"))
def test_an_adapter_is_kept_and_not_answered_for(pushed, uploads):
    assert pushed["adapter"]
    assert {"adapter_config.json", "adapter_model.safetensors"} <= set(pushed["adapter files"])
    response = uploads.post(uploads.model_url("aluna/adaptador"), {"inputs": "Olá"})
    assert response.status_code == 400
    assert response.json() == {"error": "Model not supported by provider hf-inference"}


@pytest.mark.contract(
    task=("hub-uploads", "hub-datasets"), client="datasets", direction=("request", "answer")
)
def test_a_pushed_dataset_loads_whole_and_streaming(pushed):
    assert pushed["dataset"] == [True, 2]
    assert pushed["streamed"] == [1, 0] * 4
    assert pushed["datasets"] == ["aluna/frases"]


@pytest.mark.contract(task=("hub-uploads", "dataset-viewer"), client="requests", direction="answer")
def test_the_viewer_shows_a_pushed_dataset(pushed, uploads):
    url = f"{uploads.url}{PREFIX}/rows"
    asked = {"dataset": "aluna/frases", "config": "outra", "split": "train", "length": 1}
    page = requests.get(url, params=asked, timeout=30).json()
    assert [item["row"] for item in page["rows"]] == [{"text": "bom", "label": 1}]
    assert page["num_rows_total"] == 8


@pytest.mark.contract(task="hub-uploads", client="requests", direction="error")
def test_a_model_that_cannot_be_loaded_says_why(uploads):
    with Learner(uploads) as learner:
        learner.create("quebrado")
        config = b'{"model_type": "bert", "architectures": ["BertForSequenceClassification"]}'
        learner.commit("quebrado", {"config.json": config, "model.safetensors": b"nada"})
        response = uploads.post(uploads.model_url("aluna/quebrado"), {"inputs": "Olá"})
        assert response.status_code == 400
        shapes.check(shapes.ERROR, response.json())
        assert response.json()["error"].startswith("aluna/quebrado could not be loaded: ")
        assert str(uploads.cache) not in response.text


@pytest.mark.contract(task="hub-uploads", client="requests", direction="error")
@pytest.mark.parametrize(
    "numbers",
    [{"num_hidden_layers": 10**9}, {"hidden_size": 2**40}, {"hidden_size": 12 * 2**15}],
)
def test_a_configuration_that_asks_for_too_much_memory(uploads, numbers):
    config = {"model_type": "bert", "architectures": ["BertForSequenceClassification"], **numbers}
    with Learner(uploads) as learner:
        learner.create("enorme")
        learner.commit("enorme", {"config.json": json.dumps(config).encode()})
        learner.commit("enorme", {"model.safetensors": b"\x02" + b"\0" * 7 + b"{}"})
        response = uploads.post(uploads.model_url("aluna/enorme"), {"inputs": "Olá"})
    assert response.status_code == 400
    assert response.json()["error"].startswith("aluna/enorme could not be loaded: ")


@pytest.mark.contract(task="hub-uploads", client="requests", direction="error")
def test_no_program_of_a_model_is_run(uploads):
    """Neither a pickle nor a module that the configuration names gets near the server."""
    with Learner(uploads) as learner:
        learner.create("programa")
        learner.commit(
            "programa",
            {
                "config.json": b'{"model_type": "meu", "architectures": ["MeuForSequence'
                b'Classification"], "auto_map": {"AutoConfig": "meu.MeuConfig", '
                b'"AutoModelForSequenceClassification": "meu.Meu"}}',
                "meu.py": b"import os\nos._exit(3)\n",
                "pytorch_model.bin": b"cos\nsystem\n(S'exit'\ntR.",
            },
        )
        url = uploads.model_url("aluna/programa")
        without = uploads.post(url, {"inputs": "Olá"})
        assert without.json() == {"error": "Model not supported by provider hf-inference"}
        learner.commit("programa", {"model.safetensors": b"nada"})
        assert uploads.post(url, {"inputs": "Olá"}).status_code == 400
        assert uploads.process.poll() is None


@pytest.mark.contract(task=("hub-uploads", "classroom"), client="requests", direction="error")
def test_each_learner_of_a_class_writes_under_an_address(tmp_path):
    share_all(tmp_path)
    token = "hf_turmaescolhido"
    arguments = ("--class", "--host", "127.0.0.1", "--quiet", "--token", token)
    with running_server(tmp_path, *arguments) as server:
        ana, bia = (Learner(server, token, f"127.0.0.{number}") for number in (7, 8))
        assert [ana.name, bia.name] == ["turma-127.0.0.7", "turma-127.0.0.8"]
        ana.create("segredo", private=True)
        bia.create("segredo")
        ana.commit("segredo", {"a.txt": b"da Ana"})
        path = f"/api/models/{ana.name}/segredo"
        assert ana.get(path).status_code == 200
        assert bia.get(path).status_code == 404
        ana.create("aberto")
        refused = bia.send_commit("aberto", {"a.txt": b"da Bia"}, owner=ana.name)
        assert refused.status_code == 403
        assert f'Your own repositories are under "{bia.name}/"' in refused.json()["error"]


@pytest.mark.parametrize(
    ("token", "repo_id", "sentence"),
    [
        ("hf_invalido", "aluna/novo", "erro 401"),
        (None, "curso/novo", "não pode escrever em curso/novo"),
    ],
)
def test_a_refused_push_is_a_sentence(uploads, token, repo_id, sentence):
    api = HfApi(endpoint=uploads.url, token=token or uploads.token)
    with pytest.raises(CourseError, match=sentence) as told, publishing(repo_id):
        api.create_repo(repo_id)
    assert uploads.token not in str(told.value)


def test_pushing_without_any_token_is_a_sentence(uploads, monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    api = HfApi(endpoint=uploads.url)
    with pytest.raises(CourseError, match="Crie um token"), publishing("aluna/novo"):
        api.create_repo("aluna/novo")


def test_what_is_no_refusal_passes_as_it_is():
    with pytest.raises(ZeroDivisionError), publishing("aluna/novo"):
        _ = 1 / 0
