"""``setup()``: each case in a fresh process, because it changes the process it runs in."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

pytest.importorskip("starlette")

SECRET = "hf_AbCdEfGh0123456789"
REPORT = """
import json, os, sys, time
started = time.perf_counter()
import helpers
from helpers import course as room, environment
PRELUDE
course = helpers.setup(ARGUMENTS)
seconds = time.perf_counter() - started
report = dict(
    seconds=seconds, hub=course.hub, api=course.api, hub_url=course.hub_url,
    api_base=course.api_base, source=course.token_source, device=course.device,
    token=course.token.reveal() if course.token else None, shown=repr(course),
    endpoint=os.environ.get("HF_ENDPOINT"), hf_token=os.environ.get("HF_TOKEN"),
    offline=os.environ.get("HF_HUB_OFFLINE"), torch="torch" in sys.modules,
    notes=list(course.notes), headers=course.headers,
)
CODE
print("REPORT" + json.dumps(report))
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache folder of its own, with its own server, stopped at the end."""
    folder = tmp_path_factory.mktemp("cache")
    yield folder
    code = "from helpers.embedded import lifecycle; lifecycle.stop_server()"
    environment = {**os.environ, "COURSE_CACHE": str(folder)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)


@pytest.fixture
def run(cache, tmp_path):
    def run(code="", *, prelude="", arguments="", expect=0, **variables):
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HF_", "HUGGING", "COURSE_", "COLAB_"))
        }
        environment |= {"COURSE_CACHE": str(cache), "HF_HOME": str(tmp_path), **variables}
        program = REPORT.replace("PRELUDE", prelude).replace("CODE", code)
        result = subprocess.run(
            [sys.executable, "-c", program.replace("ARGUMENTS", arguments)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert result.returncode == expect, result.stderr
        shown, _, report = result.stdout.partition("REPORT")
        return shown, json.loads(report) if report else result.stderr

    return run


@pytest.fixture
def hub():
    """A stand-in for huggingface.co that answers one request: "are you there?"."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"environment.HUB_URL = 'http://127.0.0.1:{server.server_port}'"
    server.shutdown()
    server.server_close()


NO_HUB = "environment.HUB_URL = 'http://127.0.0.1:9'"


def test_embedded_world(run):
    run(COURSE_MODE="embedded")  # the first call starts the server
    shown, report = run(COURSE_MODE="embedded", HF_TOKEN=SECRET, HF_HUB_OFFLINE="1")
    assert report["hub"] == report["api"] == "embedded"
    assert report["endpoint"] == report["hub_url"] == report["api_base"]
    assert report["api_base"].startswith("http://127.0.0.1:")
    assert report["token"] == report["hf_token"] != SECRET and report["token"].startswith("hf_")
    assert report["headers"] == {"Authorization": f"Bearer {report['token']}"}
    assert report["offline"] is None
    assert not report["torch"] and report["seconds"] < 2
    assert "embutid" in shown and SECRET not in shown and report["token"] not in shown
    assert len(shown.splitlines()) == 7


def test_no_hub_means_embedded(run):
    shown, report = run(prelude=NO_HUB, HF_TOKEN=SECRET)
    assert report["hub"] == report["api"] == "embedded"
    assert "não respondeu" in report["notes"][0] and "Nota:" in shown


def test_hub_without_a_token_answers_from_here(run, hub):
    _, report = run(prelude=hub)
    assert (report["hub"], report["api"]) == ("hub", "embedded")
    assert report["hub_url"] == "https://huggingface.co" and report["endpoint"] is None
    assert report["hf_token"] is None and "sem token" in " ".join(report["notes"])


def test_hub_with_a_token(run, hub):
    shown, report = run(
        "report['model'] = course.model('question-answering'), "
        "course.model('question-answering', where='api'), course.revision('question-answering'), "
        "course.api_url('question-answering'), course.chat_url",
        prelude=hub,
        HF_TOKEN=f" {SECRET}\n",
    )
    assert report["hub"] == report["api"] == "hub"
    assert report["api_base"] == "https://router.huggingface.co"
    assert report["token"] == SECRET == report["hf_token"] and SECRET not in shown
    assert report["source"] == "variável de ambiente HF_TOKEN"
    local, api, revision, url, chat = report["model"]
    assert "/" in local and len(revision) == 40
    assert url == f"https://router.huggingface.co/hf-inference/models/{api}"
    assert chat == "https://router.huggingface.co/v1"


def test_addresses_of_tasks(run):
    code = """
report["urls"] = {task: course.api_url(task) for task in (
    "question-answering", "feature-extraction", "sentence-similarity", "zero-shot-classification",
)}
report["viewer"] = course.viewer_url
"""
    _, report = run(
        code,
        prelude="room._ensure = lambda repo_id: repo_id",  # nothing is built for this
        COURSE_MODE="embedded",
    )
    models = f"{report['api_base']}/hf-inference/models/curso"
    e5 = f"{models}/e5-pt-en/pipeline"
    assert report["urls"] == {
        "question-answering": f"{models}/qa-pt",
        "feature-extraction": f"{e5}/feature-extraction",
        "sentence-similarity": f"{e5}/sentence-similarity",
        "zero-shot-classification": f"{e5}/zero-shot-classification",
    }
    assert report["viewer"] == f"{report['hub_url']}/datasets-server"


def test_addresses_and_datasets_in_the_hub_world(run, hub):
    code = """
room._ensure = lambda repo_id: "/built/" + repo_id
report["zero_shot"] = course.api_url("zero-shot-classification")
report["similarity"] = course.api_url("sentence-similarity")
report["viewer"], report["dataset"] = course.viewer_url, course.dataset("perguntas")
try:
    course.dataset("poemas")
except helpers.CourseError as error:
    report["unknown"] = str(error)
"""
    _, report = run(code, prelude=hub, HF_TOKEN=SECRET)
    models = "https://router.huggingface.co/hf-inference/models"
    assert report["zero_shot"] == f"{models}/facebook/bart-large-mnli"
    small = "intfloat/multilingual-e5-small"
    assert report["similarity"] == f"{models}/{small}/pipeline/sentence-similarity"
    assert report["viewer"] == "https://datasets-server.huggingface.co"
    assert report["dataset"] == "/built/curso/perguntas-pt"
    assert "não estão no Hub" in " ".join(report["notes"])
    assert "perguntas, avaliacoes, frases, imagens, falas, cenas" in report["unknown"]


CLASS_SERVER = """
from helpers import api
def local(*_, **__):
    raise AssertionError("something was started or built on a student's machine")
from helpers.embedded import lifecycle, store
lifecycle.ensure_server = store.ensure = local
"""


def test_a_class_server(run, tmp_path):
    _, teacher = run(COURSE_MODE="embedded")
    url, token = teacher["api_base"], teacher["token"]
    code = """
report["models"] = course.model("question-answering"), course.model("translation-pt-en", "api")
report["dataset"], report["in_class"] = course.dataset("imagens"), course.in_class
from huggingface_hub import HfApi, whoami
report["who"] = whoami()["name"]
lab = helpers.fault_lab()
report["lab"], report["no_proxy"] = lab.base_url, os.environ["NO_PROXY"]
"""
    student = {"COURSE_CACHE": str(tmp_path), "HF_TOKEN": SECRET}
    variables = {"COURSE_SERVER": url.removeprefix("http://"), "COURSE_TOKEN": token}
    shown, report = run(code, prelude=CLASS_SERVER, **student, **variables)
    assert report["hub"] == report["api"] == "embedded" and report["in_class"]
    assert report["endpoint"] == report["hub_url"] == report["api_base"] == report["lab"] == url
    assert report["token"] == report["hf_token"] == token and report["who"] == "aluno"
    assert report["models"] == ["curso/qa-pt", "curso/traducao-pt-en"]
    assert report["dataset"] == "curso/imagens" and "127.0.0.1" in report["no_proxy"]
    assert "da turma" in shown and "COURSE_TOKEN" in shown and token not in shown
    assert report["seconds"] < 2 and not (tmp_path / "server.json").exists()

    arguments = f"server={url + '/'!r}, token={token!r}"
    _, report = run(prelude=CLASS_SERVER, arguments=arguments, **student)
    assert report["api_base"] == url and "setup(token=...)" in report["source"]
    refused = {**variables, "COURSE_TOKEN": "hf_errado"}
    for changed, said in (
        (refused, "não reconheceu o token"),
        ({**variables, "COURSE_TOKEN": "olá\nturma"}, "não reconheceu o token"),
        ({"COURSE_SERVER": url}, "Falta o token da turma"),
        ({**variables, "COURSE_SERVER": "127.0.0.1:9"}, "não respondeu"),
        ({**variables, "COURSE_SERVER": "http://"}, "não está certo"),
        ({**variables, "COURSE_SERVER": "http://sala:oitenta"}, "não está certo"),
    ):
        _, error = run(prelude=CLASS_SERVER, expect=1, **student, **changed)
        assert said in error and token not in error and "hf_errado" not in error


def test_another_program_at_the_class_address(run, hub):
    """The stand-in answers HEAD alone: a GET gets an error of its own."""
    url = hub.split("'")[1]
    variables = {"COURSE_SERVER": url, "COURSE_TOKEN": "sala-azul"}
    _, error = run(prelude=CLASS_SERVER, expect=1, **variables)
    assert "responde outro programa" in error


def test_mode_hub_is_stronger_than_the_variable(run, hub):
    variables = {"COURSE_SERVER": "127.0.0.1:9", "COURSE_TOKEN": "x", "HF_TOKEN": SECRET}
    _, report = run(prelude=hub, arguments="mode='hub'", **variables)
    assert report["hub"] == "hub"


def test_a_token_given_by_hand(run, hub):
    shown, report = run(prelude=hub, arguments=f"token={SECRET!r}")
    assert report["token"] == SECRET and "setup(token=...)" in report["source"]
    assert SECRET not in shown


def test_what_is_no_token_is_refused(run, hub):
    _, error = run(prelude=hub, HF_TOKEN="senha", expect=1)
    assert "não parece um token" in error and "senha" not in error


def test_from_embedded_to_hub_and_back(run):
    code = """
report["worlds"] = []
for mode in ("hub", "embedded", "hub"):
    again = helpers.setup(mode=mode)
    report["worlds"].append([
        again.hub, os.environ.get("HF_ENDPOINT"), os.environ.get("HF_TOKEN"),
        os.environ.get("HF_HUB_OFFLINE"),
    ])
"""
    _, report = run(code, COURSE_MODE="embedded", HF_TOKEN=SECRET)
    first, second, third = report["worlds"]
    assert first == third == ["hub", None, SECRET, None]
    assert second == ["embedded", report["hub_url"], report["token"], None]


def test_libraries_imported_before_are_redirected(run):
    pytest.importorskip("datasets")
    code = """
from huggingface_hub import HfApi, hf_hub_url
report["ids"] = sorted(model.id for model in HfApi().list_models())
report["url"] = hf_hub_url("curso/qa-pt", "config.json")
report["module"] = [model.id for model in huggingface_hub.list_models()][:1]
report["datasets"] = datasets.config.HF_ENDPOINT
report["known"] = transformers.AutoConfig.for_model("ssru_marian").model_type
"""
    _, report = run(
        code, prelude="import huggingface_hub, datasets, transformers", COURSE_MODE="embedded"
    )
    assert "curso/qa-pt" in report["ids"] and report["module"]
    assert report["url"].startswith(report["hub_url"])
    assert report["datasets"] == report["hub_url"]
    assert report["known"] == "ssru_marian"  # what transformers lacks, the course registered


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("mode='nuvem'", "Não conheço o modo"),
        ("mode='hub', token='gaveta'", "Não conheço a origem"),
        ("mode='hub', token='colab'", "só existem no Google Colab"),
    ],
)
def test_bad_choices_are_sentences(run, arguments, said):
    _, error = run(arguments=arguments, expect=1)
    assert said in error


def test_colab_without_gpu_gets_the_menu_path(run):
    _, report = run(COURSE_MODE="embedded", COLAB_RELEASE_TAG="release-colab_20260819")
    if report["device"] == "cpu":
        assert "Alterar o tipo de ambiente de execução" in report["notes"][0]


def test_faults_are_planned_and_forgotten(run):
    code = """
from helpers.course import FaultLab, _client_token
import requests
lab = FaultLab(course.api_base, _client_token("laboratorio"), "curso/qa-pt")
payload = {"inputs": {"question": "q", "context": "c"}}
def status(headers=lab.headers):
    with requests.Session() as session:
        return session.post(lab.url, headers=headers, json=payload).status_code
lab.next("402", times=2)
report["planned"] = [status(), status()]
lab.next("429", retry_after=3)
lab.next("403")
report["replaced"] = status()
try:
    lab.next("lua cheia")
except helpers.CourseError as error:
    report["unknown"] = str(error)
report["shown"] = repr(lab)
session = helpers.InferenceSession(lab.base_url, lab.token)
lab.next("402")
try:
    session.question_answering("q?", "c.", lab.model)
except helpers.ApiError as error:
    report["sentence"] = str(error)
"""
    _, report = run(code, COURSE_MODE="embedded")
    assert report["planned"] == [402, 402] and report["replaced"] == 403
    assert "não aceitou" in report["unknown"] and report["token"] not in report["shown"]
    assert "créditos" in report["sentence"]


def test_a_killed_server_comes_back_during_a_call(run):
    code = """
import signal
from helpers.embedded import lifecycle
from helpers.course import FaultLab, _client_token
lab = FaultLab(course.api_base, _client_token("laboratorio"), "curso/qa-pt")
os.kill(lifecycle.status().pid, signal.SIGKILL)
time.sleep(0.3)
session = helpers.InferenceSession(course.api_base, course.token, retries=0)
try:
    session.post("curso/nao-existe", "x")
except helpers.ApiError as error:
    report["status"] = error.status
"""
    _, report = run(code, COURSE_MODE="embedded")
    assert report["status"] in {400, 404}  # an answer, so the server is there again


def notebook(*cells):
    nbformat = pytest.importorskip("nbformat")
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])


def test_in_a_notebook(cache, monkeypatch, tmp_path):
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("COURSE_CACHE", str(cache))
    monkeypatch.setenv("COURSE_MODE", "embedded")
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    book = notebook(
        "import helpers\ncourse = helpers.setup()",
        "helpers.highlight('Meu nome é Ana.', 11, 14, 0.9)",
        "raise helpers.CourseError('Uma frase <só>.')",
        "1 + 1",
    )
    client = nbclient.NotebookClient(book, timeout=120, kernel_name="python3", allow_errors=False)
    with pytest.raises(nbclient.exceptions.CellExecutionError):
        client.execute()
    table, mark, error, after = (cell.outputs for cell in book.cells)
    assert '<th scope="row"' in table[0]["data"]["text/html"]
    assert "Onde você está" in table[0]["data"]["text/plain"] and len(table) == 1
    assert "«Ana»" in mark[0]["data"]["text/plain"]
    (box,) = error
    assert box["data"]["text/plain"] == "Algo precisa da sua atenção: Uma frase <só>."
    assert "&lt;só&gt;" in box["data"]["text/html"] and "Traceback" not in str(error)
    assert after == []  # a run of all cells stops at the error
