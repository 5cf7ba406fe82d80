"""Cell 1 on a made-up Colab: it installs the course, replaces nothing, and says what is wrong."""

import http.server
import re
import threading

import pytest
from colab_machine import REPOSITORY

from helpers import links
from helpers.messages import text

GPU_MENU = "Ambiente de execução → Alterar o tipo de ambiente de execução"
SECOND_RUN_SECONDS = 2


def test_cell_1_installs_the_course_and_says_where_it_runs(visit):
    first, here = visit.first, visit.here
    assert not first.stopped, first.plain
    assert text("setup.where_colab", python="").strip() in first.plain
    assert str(visit.machine.python.parents[1]) in here.plain, "helpers comes from somewhere else"


def test_cell_1_replaces_not_one_installed_package(visit):
    before, after = set(visit.before), set(visit.after)
    assert before - after == set()
    (added,) = after - before
    assert added.startswith(f"curso-hugging-face-na-pratica @ git+https://github.com/{REPOSITORY}")


def test_cell_1_needs_no_other_folder_and_leaves_no_file(visit):
    assert visit.here.plain.startswith("True [] [] ")


def test_a_second_run_of_cell_1_is_fast(visit):
    assert not visit.again.stopped
    assert visit.again.seconds < SECOND_RUN_SECONDS


def test_a_runtime_without_gpu_is_told_with_the_menus_path(visit):
    assert GPU_MENU in visit.first.plain and GPU_MENU in visit.first.html


def test_a_secret_is_read_and_never_shown(visit):
    shown = visit.secrets[visit.secret]
    assert not shown.stopped, shown.plain
    assert text("environment.token_from_colab") in shown.plain
    assert visit.secret not in shown.plain + shown.html


@pytest.mark.parametrize(
    ("behaviour", "key"),
    [
        ("missing", "environment.token_colab_missing"),
        ("refused", "environment.token_colab_refused"),
        ("late", "environment.token_colab_timeout"),
        ("silent", "environment.token_colab_timeout"),
    ],
)
def test_a_secret_that_is_not_had_is_one_sentence(visit, behaviour, key):
    shown = visit.secrets[behaviour]
    assert shown.stopped
    assert shown.plain.strip() == f"{text('setup.error')} {text(key)}"
    assert shown.seconds < 5


@pytest.fixture
def no_such_repository():
    """A server that answers as GitHub does for a repository that is not there: who are you?"""

    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="GitHub"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def failures(empty_machine, no_such_repository):
    """Run a cell where there is no network, and where the address is nobody's."""

    def run(source):
        for github in ("http://127.0.0.1:9/", no_such_repository):
            with empty_machine.session(GIT_CONFIG_KEY_0=f"url.{github}.insteadOf") as session:
                yield session.run(source)

    return run


@pytest.mark.parametrize(
    ("repository", "key"),
    [(REPOSITORY, "links.not_installed"), (links.PLACEHOLDER, "links.no_address")],
)
def test_what_cannot_be_installed_is_one_sentence(failures, repository, key):
    for shown in failures(links.setup_cell(links.Repository(repository))):
        assert shown.stopped, "the cells after it would run"
        assert shown.plain.rstrip().endswith(f"UsageError: {text(key)}")
        assert "Traceback" not in shown.plain and not re.search(r"^fatal:", shown.plain, re.M)
