"""``helpers.setup()``: decides where models and answers come from, and says so in one table."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from helpers import architectures, tokens
from helpers.display import number, table
from helpers.environment import (
    HUB_URL,
    VIEWER_URL,
    Environment,
    hub_is_reachable,
    inspect,
    server_address,
    server_answers,
    share_processors,
)
from helpers.errors import CourseError
from helpers.messages import text
from helpers.tokens import Token

if TYPE_CHECKING:
    import requests

    from helpers.api import InferenceSession
    from helpers.embedded.lifecycle import Server
    from helpers.models import ModelChoice

ROUTER_URL = "https://router.huggingface.co"
MODES = ("auto", "hub", "embedded")
CLIENT_ID = "aluno"
FAULTS_CLIENT_ID = "laboratorio"
QUESTION_ANSWERING = "question-answering"
SERVER_VARIABLE = "COURSE_SERVER"
SERVER_TOKEN_VARIABLE = "COURSE_TOKEN"
VIEWER_VARIABLE = "COURSE_VIEWER"

# Answered at `/pipeline/{task}` wherever the model is: the Hub lists such models under either task.
PIPELINE_TASKS = ("feature-extraction", "sentence-similarity")

# The course's own datasets, by what they hold.
DATASETS = {
    "perguntas": "curso/perguntas-pt",
    "avaliacoes": "curso/avaliacoes-pt",
    "frases": "curso/frases-avaliadas-pt",
    "imagens": "curso/imagens",
    "falas": "curso/falas",
    "cenas": "curso/cenas",
}

# What makes libraries quiet; each is read when its library is imported.
QUIET_LOGGERS = (
    "bitsandbytes",
    "ContinuousBatchingLogger",  # transformers' own, outside of its other loggers
    "datasets",
    "httpx",
    "httpx2",
    "huggingface_hub",
    "transformers",
)
QUIET = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "DATASETS_VERBOSITY": "error",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}

_current: Course | None = None
_real: dict[str, str | None] = {}
"""Environment variables as they were before the first ``setup()`` changed them."""


@dataclass(frozen=True)
class Course:
    """Where this notebook finds its models and its answers.

    Attributes:
        environment: the machine.
        hub: where models come from: ``"hub"`` (huggingface.co, or a mirror) or ``"embedded"``.
        api: where answers come from: ``"hub"`` (the router) or ``"embedded"``.
        hub_url: the Hub's address.
        api_base: the API's address.
        token: what ``api_base`` recognises us by.
        token_source: where it came from, in words.
        in_class: whether the embedded Hub and API are a teacher's server, on another machine.
    """

    environment: Environment
    hub: str
    api: str
    hub_url: str
    api_base: str
    token: Token | None
    token_source: str
    notes: tuple[str, ...] = field(default=(), repr=False)
    in_class: bool = False

    @property
    def device(self) -> str:
        """``"cuda"``, ``"mps"`` or ``"cpu"``: what ``model.to(...)`` takes."""
        return self.environment.device

    @property
    def headers(self) -> dict[str, str]:
        """The header that carries the token; empty without one."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    @property
    def chat_url(self) -> str:
        """The chat API's address, for ``OpenAI(base_url=...)``."""
        return f"{self.api_base}/v1"

    @property
    def viewer_url(self) -> str:
        """The address of the dataset viewer of this course's Hub: ``{viewer_url}/rows?...``.

        The real Hub's viewer is another host; a mirror's is where the environment variable
        ``COURSE_VIEWER`` says.
        """
        if self.hub == "embedded":
            return f"{self.hub_url}/datasets-server"
        return os.environ.get(VIEWER_VARIABLE, "").strip().rstrip("/") or VIEWER_URL

    def model(self, task: str, where: str = "local", *, smallest: bool = False) -> str:
        """Return the id of the course's model for a task.

        In the embedded world the model is built first, if it is not there yet.

        Args:
            task: such as ``"question-answering"``.
            where: ``"local"`` for ``from_pretrained``, ``"api"`` for the inference API.
            smallest: take the smallest model even where a GPU has room for a larger one.

        Raises:
            CourseError: if the course has no model for this task.
        """
        choice = self._choice(task, smallest=smallest)
        world = self._world(where)
        if world == "embedded":
            return self._embedded(choice.embedded_id, task)
        return choice.api_id if where == "api" else choice.hub_id

    def revision(self, task: str, where: str = "local", *, smallest: bool = False) -> str:
        """Return the revision of that model that the course was tested with.

        Args:
            task: such as ``"question-answering"``.
            where: as in :meth:`model`.
            smallest: as in :meth:`model`.
        """
        choice = self._choice(task, smallest=smallest)
        if self._world(where) == "embedded":
            return "main"
        return choice.api_revision if where == "api" else choice.revision

    def api_url(self, task_or_model: str) -> str:
        """Return the address that answers for a model.

        Where a model answers for several tasks, the address of one that is not its first ends
        with ``/pipeline/`` and the task.

        Args:
            task_or_model: a task, such as ``"question-answering"``, or a model's id.
        """
        models = f"{self.api_base}/hf-inference/models"
        if "/" in task_or_model:
            return f"{models}/{task_or_model}"
        model = self.model(task_or_model, where="api")
        task = self._choice(task_or_model).hub_task
        is_second = self.api == "embedded" and task != _first_task(model)
        suffix = f"/pipeline/{task}" if task in PIPELINE_TASKS or is_second else ""
        return f"{models}/{model}{suffix}"

    def dataset(self, name: str) -> str:
        """Return what ``load_dataset`` takes for one of the course's own datasets.

        Args:
            name: ``"perguntas"``, ``"avaliacoes"``, ``"frases"``, ``"imagens"``, ``"falas"`` or
                ``"cenas"``.

        Returns:
            Its id on the embedded Hub. The real Hub does not have them: there it is the path of a
            folder on this machine, where the dataset is built first.

        Raises:
            CourseError: if the course has no such dataset.
        """
        if name not in DATASETS:
            raise CourseError(text("setup.no_dataset", name=name, names=", ".join(DATASETS)))
        if self.in_class:
            return DATASETS[name]
        folder = _ensure(DATASETS[name])
        return DATASETS[name] if self.hub == "embedded" else str(folder)

    def space(self, space_id: str) -> str:
        """Start one of the course's Spaces on this machine and return its address.

        Args:
            space_id: such as ``"curso/pergunte-ao-texto"``.

        Returns:
            What ``gradio_client.Client`` takes in the place of a Space's id.

        Raises:
            CourseError: if the course has no such Space, or it does not start.
        """
        from helpers import documents, spaces

        model = self.api_url(QUESTION_ANSWERING)
        own = documents.variables(self) if space_id == documents.SPACE else {}
        return spaces.run(space_id, model, "".join(self.token or ""), **own)

    def session(self, **options: Any) -> InferenceSession:
        """Return a client for the API, with this course's address and token.

        Args:
            **options: passed on to :class:`helpers.InferenceSession`.
        """
        from helpers.api import InferenceSession

        return InferenceSession(self.api_base, self.token, **options)

    def __repr__(self) -> str:
        return f"Course(hub={self.hub!r}, api={self.api!r}, device={self.device!r})"

    def _embedded(self, embedded_id: str | None, task: str) -> str:
        """Return an embedded model's id once its files are there, here or at the teacher's."""
        if embedded_id is None:
            raise CourseError(text("setup.no_embedded_model", task=task))
        if not self.in_class:
            _ensure(embedded_id)
        return embedded_id

    def _choice(self, task: str, *, smallest: bool = False) -> ModelChoice:
        from helpers.models import pick

        machine = self.environment
        uses_gpu = machine.device == "cuda" and not smallest
        return pick(task, machine.device_memory_bytes if uses_gpu else None)

    def _world(self, where: str) -> str:
        if where not in {"local", "api"}:
            raise CourseError(text("setup.bad_where", where=where))
        return self.api if where == "api" else self.hub


class FaultLab:
    """A server that fails on demand, to see each failure of an API and learn to survive it.

    It is always the embedded server, in both worlds: nobody breaks the real one.

    Attributes:
        base_url: its address, for ``InferenceSession(lab.base_url, lab.token)``.
        token: the token that it knows.
        model: the model that answers.
        url: the address that answers questions.
        headers: what to send with each request.
    """

    def __init__(self, base_url: str, token: Token, model: str) -> None:
        self.token = token
        self.model = model
        self._move_to(base_url)
        self.headers = {"Authorization": f"Bearer {token}"}

    def __repr__(self) -> str:
        return f"FaultLab({self.base_url!r})"

    def next(self, fault: str, times: int = 1, **options: float) -> None:
        """Make the next requests fail; those planned before are forgotten.

        Args:
            fault: such as ``"401"``, ``"429"``, ``"503-loading"``, ``"drop"``, ``"slow"``.
            times: how many requests.
            **options: ``retry_after``, ``estimated_time`` or ``delay``, in seconds.

        Raises:
            CourseError: if there is no such fault.
        """
        self.clear()
        self._call("POST", {"fault": str(fault), "times": times, **options})

    def clear(self) -> None:
        """Forget what was planned."""
        self._call("DELETE")

    def _call(self, method: str, body: dict[str, Any] | None = None) -> None:
        import requests

        from helpers.api import embedded_urls, read_error

        try:
            response = self._send(method, body)
        except requests.ConnectionError:
            if self.base_url not in embedded_urls:  # a teacher's server is not ours to start
                raise CourseError(text("setup.class_unreachable", url=self.base_url)) from None
            # Ours is gone: bring it back, once.
            self._move_to(_embedded_server().url.rstrip("/"))
            response = self._send(method, body)
        if not response.ok:
            raise CourseError(text("setup.bad_fault", detail=read_error(response)[0]))

    def _send(self, method: str, body: dict[str, Any] | None) -> requests.Response:
        import requests

        with requests.Session() as session:
            session.trust_env = False  # a proxy has no business with this machine
            url = f"{self.base_url}/course/faults"
            return session.request(method, url, json=body, headers=self.headers, timeout=10)

    def _move_to(self, base_url: str) -> None:
        self.base_url = base_url
        self.url = f"{base_url}/hf-inference/models/{self.model}"


def setup(
    *, mode: str | None = None, token: str | None = None, server: str | None = None
) -> Course:
    """Prepare a notebook: choose where models and answers come from, and show it in a table.

    Args:
        mode: ``"hub"`` (huggingface.co), ``"embedded"`` (this machine) or ``"auto"`` (the Hub if
            it answers); by default the environment variable ``COURSE_MODE``, or ``"auto"``.
        token: ``"colab"`` reads Colab's secret, ``"prompt"`` asks; by default the environment and
            the file of ``hf auth login`` are searched. A token itself is taken too, but one does
            not write it in a notebook. With a class server it is the class's token.
        server: the address of a teacher's ``python -m helpers serve --class``, by default the
            environment variable ``COURSE_SERVER`` (and ``COURSE_TOKEN``): models and answers come
            from there, and nothing is started or built on this machine.

    In the world of the Hub, the environment variable ``HF_ENDPOINT`` names a mirror of
    huggingface.co, as it does for Hugging Face's own libraries, and ``COURSE_VIEWER`` the mirror's
    dataset viewer. ``"auto"`` still looks for huggingface.co: with a mirror, choose ``"hub"``.

    Raises:
        CourseError: if the choice cannot be followed; the sentence says what to do.
    """
    global _current
    _install_error_handler()
    _be_quiet()
    share_processors()
    architectures.register()
    course = _choose(_mode(mode), token, server)
    _point_libraries_at(course)
    _current = course
    _show(course)
    return course


def current() -> Course:
    """Return what the last ``setup()`` returned; without one, run it without its table."""
    global _current
    if _current is None:
        _be_quiet()
        share_processors()
        architectures.register()
        _current = _choose(_mode(None), None, None)
        _point_libraries_at(_current)
    return _current


def fault_lab() -> FaultLab:
    """Return the laboratory of failures; works in both worlds, and in class."""
    course = current()
    model = course._embedded(course._choice(QUESTION_ANSWERING).embedded_id, QUESTION_ANSWERING)
    if course.in_class and course.token is not None:
        return FaultLab(course.api_base, course.token, model)
    server = _embedded_server()
    return FaultLab(server.url.rstrip("/"), _client_token(FAULTS_CLIENT_ID), model)


# --- choosing ---------------------------------------------------------------------------------


def _mode(chosen: str | None) -> str:
    mode = (chosen or os.environ.get("COURSE_MODE") or "auto").strip().lower()
    if mode not in MODES:
        raise CourseError(text("setup.bad_mode", mode=mode))
    return mode


def _choose(mode: str, source: str | None, server: str | None) -> Course:
    environment = inspect()
    address = server or os.environ.get(SERVER_VARIABLE, "").strip()
    if address and (server or mode != "hub"):
        return _class_course(environment, address, source)
    notes = []
    if environment.where == "colab" and environment.device == "cpu":
        notes.append(text("setup.note_colab_cpu"))
    in_hub = mode == "hub" or (mode == "auto" and hub_is_reachable())
    if mode == "auto" and not in_hub:
        notes.append(text("setup.note_no_hub"))
    if in_hub:
        notes.append(text("setup.note_datasets"))
    token, where = _find_token(source, needed=in_hub)
    hub_url = _hub_address()
    if in_hub and token is not None:
        return Course(environment, "hub", "hub", hub_url, ROUTER_URL, token, where, tuple(notes))
    if in_hub:
        notes.append(text("setup.note_no_token"))
    url = _embedded_server().url.rstrip("/")
    return Course(
        environment,
        hub="hub" if in_hub else "embedded",
        api="embedded",
        hub_url=hub_url if in_hub else url,
        api_base=url,
        token=_client_token(CLIENT_ID),
        token_source=text("setup.token_embedded"),
        notes=tuple(notes),
    )


def _hub_address() -> str:
    """Return the Hub's address, or that of the mirror that the learner chose before ``setup()``."""
    chosen = _real["HF_ENDPOINT"] if "HF_ENDPOINT" in _real else os.environ.get("HF_ENDPOINT")
    return (chosen or "").strip().rstrip("/") or HUB_URL


def _class_course(environment: Environment, server: str, given: str | None) -> Course:
    """Use a teacher's server as the embedded Hub and API."""
    url = server_address(server)
    found = (given or os.environ.get(SERVER_TOKEN_VARIABLE) or "").strip()
    if not found:
        raise CourseError(text("setup.class_no_token", url=url))
    answer = server_answers(url, found)
    if answer is not True:
        raise CourseError(text(f"setup.class_{answer}", url=url))
    return Course(
        environment,
        hub="embedded",
        api="embedded",
        hub_url=url,
        api_base=url,
        token=Token(found),
        token_source=text("setup.token_class" if given else "setup.token_class_variable"),
        in_class=True,
    )


def _find_token(source: str | None, needed: bool) -> tuple[Token | None, str]:
    """Look for the learner's token; one that is not needed is not even looked at."""
    if not needed:
        return None, ""
    if source is not None and source.strip().startswith(tokens.PREFIX):
        return tokens.clean(source), text("environment.token_from_argument")
    with _environment_before_setup():
        return tokens.find(source)


class _environment_before_setup:  # noqa: N801 - reads like a function
    """Inside, ``HF_TOKEN`` is the learner's again, not the embedded server's."""

    def __enter__(self) -> None:
        self._now = os.environ.get("HF_TOKEN")
        if "HF_TOKEN" in _real:
            _set("HF_TOKEN", _real["HF_TOKEN"])

    def __exit__(self, *_: object) -> None:
        _set("HF_TOKEN", self._now)


def _embedded_server() -> Server:
    from helpers import api
    from helpers.embedded import lifecycle

    server = lifecycle.ensure_server()
    lifecycle.keep_alive(server)
    api.embedded_urls.add(server.url.rstrip("/"))
    return server


def _client_token(client_id: str) -> Token:
    from helpers.embedded.auth import client_token

    return Token(client_token(client_id))


def _ensure(repo_id: str) -> Path:
    """Return an embedded repository's folder on this machine, building it if needed."""
    from helpers.embedded import store

    return store.ensure(repo_id)


def _first_task(embedded_id: str) -> str:
    """Return the task that an embedded model answers for at its plain address."""
    from helpers.embedded.catalog import catalog

    return catalog().repository(embedded_id).task


# --- telling the libraries --------------------------------------------------------------------


def _point_libraries_at(course: Course) -> None:
    """Make ``from_pretrained``, ``HfApi`` and ``load_dataset`` talk to this course's Hub."""
    if course.hub == "embedded":
        changes: dict[str, str | None] = {
            "HF_ENDPOINT": course.hub_url,
            # A real token never reaches the local server.
            "HF_TOKEN": course.token.reveal() if course.token else None,
            "HF_HUB_DISABLE_XET": "1",
            # Offline mode forbids even this machine's own server.
            "HF_HUB_OFFLINE": None,
            "TRANSFORMERS_OFFLINE": None,
        }
    else:
        changes = dict(_real)  # undo what an earlier, embedded setup() did
        if course.api == "hub" and course.token is not None:
            changes["HF_TOKEN"] = course.token.reveal()
    for name, value in changes.items():
        _real.setdefault(name, os.environ.get(name))
        _set(name, value)
    if course.api == "embedded":
        _bypass_proxy(urlsplit(course.api_base).hostname or "")
    _redirect_loaded(course.hub_url)


def _redirect_loaded(endpoint: str) -> None:
    """Change the address in libraries that read it when they were imported, before ``setup()``."""
    values = {
        "ENDPOINT": endpoint,
        "HF_ENDPOINT": endpoint,
        "HUGGINGFACE_CO_RESOLVE_ENDPOINT": endpoint,
        "HUGGINGFACE_CO_URL_TEMPLATE": endpoint + "/{repo_id}/resolve/{revision}/{filename}",
        "HUB_DATASETS_URL": endpoint + "/datasets/{repo_id}/resolve/{revision}/{path}",
        "HF_HUB_DISABLE_XET": os.environ.get("HF_HUB_DISABLE_XET") == "1",
        "HF_HUB_OFFLINE": os.environ.get("HF_HUB_OFFLINE") == "1",
    }
    for name, module in list(sys.modules.items()):
        # Some modules copied the constants when they were imported.
        if name.partition(".")[0] in {"huggingface_hub", "transformers", "datasets"} and module:
            held = vars(module)
            for constant in values.keys() & held.keys():
                if type(held[constant]) is type(values[constant]):
                    held[constant] = values[constant]
    hub_api: Any = sys.modules.get("huggingface_hub.hf_api")
    if hub_api is not None:
        hub_api.api.endpoint = endpoint


def _bypass_proxy(server: str) -> None:
    """Keep a school's or a company's proxy away from the course's server."""
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in os.environ.get(name, "").split(",") if host]
        wanted = dict.fromkeys(("127.0.0.1", "localhost", server))
        missing = [host for host in wanted if host not in hosts]
        os.environ[name] = ",".join([*hosts, *missing])


def _be_quiet() -> None:
    """Silence what would otherwise fill a beginner's first output with warnings."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*TqdmWarning.*")
    warnings.filterwarnings("ignore", message=".*IProgress not found.*")
    # What peft asks of a model by the name that transformers 5.23 is about to change.
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
    # What torch.compile says on Python 3.13.0 alone, which not everyone can replace.
    warnings.filterwarnings("ignore", message="Guards may run slower on Python")
    hub_bars: Any = sys.modules.get("huggingface_hub.utils")
    if hub_bars is not None:
        hub_bars.disable_progress_bars()
    transformers_logging: Any = sys.modules.get("transformers.utils.logging")
    if transformers_logging is not None:
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()


def _set(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


# --- showing ----------------------------------------------------------------------------------


def _show(course: Course) -> None:
    shown = table(_rows(course), caption=text("setup.title"), row_headers=True, show_columns=False)
    notes = [f"{text('setup.note')}: {note}" for note in course.notes]
    plain = "\n".join([repr(shown), *notes])
    html = shown._repr_html_() + "".join(f"<p>{escape(note)}</p>" for note in notes)
    _display(html, plain)


def _rows(course: Course) -> list[dict[str, str]]:
    machine = course.environment
    memory = machine.device_memory_bytes
    device = f"{machine.device} · {machine.device_name}"
    if memory:
        device += f" · {number(memory / 2**30, 0)} GiB"
    libraries = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    values = {
        "where": text(f"setup.where_{machine.where}", system=machine.system, python=machine.python),
        "device": device,
        "libraries": libraries or text("setup.no_libraries"),
        "hub": text(f"setup.hub_{_place(course, course.hub)}", url=course.hub_url),
        "api": text(f"setup.api_{_place(course, course.api)}", url=course.api_base),
        "token": course.token_source,
    }
    return [{"": text(f"setup.{name}"), " ": value} for name, value in values.items()]


def _place(course: Course, world: str) -> str:
    return "class" if course.in_class else world


class _Shown:
    """Something with both faces, for IPython's ``display``."""

    def __init__(self, html: str, plain: str) -> None:
        self._html, self._plain = html, plain

    def __repr__(self) -> str:
        return self._plain

    def _repr_html_(self) -> str:
        return self._html


def _display(html: str, plain: str) -> None:
    """Show as HTML in a notebook, as text anywhere else."""
    shell = _shell()
    if shell is None or not hasattr(shell, "kernel"):
        print(plain)
        return
    from IPython.display import display

    display(_Shown(html, plain))


def _shell() -> Any:
    """Return IPython's shell if this runs in one; without importing IPython."""
    get_ipython: Callable[[], Any] | None = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get_ipython() if get_ipython else None


def _install_error_handler() -> None:
    """In IPython, show a :class:`CourseError` as its sentence, without a traceback."""
    shell = _shell()
    if shell is not None:
        shell.set_custom_exc((CourseError,), _show_error)


def _show_error(
    shell: Any,
    kind: type[BaseException],
    error: BaseException,
    traceback: Any,
    tb_offset: Any = None,
) -> list[str]:
    """Show the sentence; the cell still counts as failed, so that a run of all cells stops."""
    sentence = str(error)
    box = (
        '<div role="alert" style="border-left:4px solid #b3261e;padding:.4em .8em;'
        'max-width:80ch;line-height:1.5">'
        f"<strong>{escape(text('setup.error'))}</strong> {escape(sentence)}</div>"
    )
    _display(box, f"{text('setup.error')} {sentence}")
    return []
