"""Tokens are found, cleaned and never shown."""

import io
import pickle
import sys
import time
import types

import pytest

from helpers import tokens
from helpers.errors import CourseError

SECRET = "hf_AbCdEfGh0123456789"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch, tmp_path):
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))


def test_a_token_is_never_shown(capsys):
    token = tokens.Token(SECRET)
    print(token, repr(token), str(token), [token], {"token": token})
    assert SECRET not in capsys.readouterr().out
    assert "hf_…" in repr(token)


def test_a_token_is_sent_whole():
    token = tokens.Token(SECRET)
    assert f"Bearer {token}" == f"Bearer {SECRET}"
    assert "Bearer " + token == "Bearer " + SECRET
    assert token == SECRET and hash(token) == hash(SECRET) and len(token) == len(SECRET)
    assert token.encode() == SECRET.encode()
    assert type(token.reveal()) is str and token.reveal() == SECRET


def test_a_token_survives_pickling():
    again = pickle.loads(pickle.dumps(tokens.Token(SECRET)))
    assert isinstance(again, tokens.Token) and again == SECRET


def test_headers_with_a_token_reach_requests():
    requests = pytest.importorskip("requests")
    token = tokens.Token(SECRET)
    headers = {"Authorization": f"Bearer {token}"}
    request = requests.Request("POST", "http://127.0.0.1/", headers=headers).prepare()
    assert request.headers["Authorization"] == f"Bearer {SECRET}"


def test_the_environment_comes_first(monkeypatch, tmp_path):
    (tmp_path / "token").write_text("hf_fromfile")
    monkeypatch.setenv("HF_TOKEN", f"  {SECRET}\n")
    token, source = tokens.find()
    assert token == SECRET and source == "variável de ambiente HF_TOKEN"


def test_then_the_file(tmp_path):
    (tmp_path / "token").write_text(f"{SECRET}\n")
    token, source = tokens.find()
    assert token == SECRET and "arquivo" in source


def test_the_file_may_be_elsewhere(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").write_text(SECRET)
    assert tokens.find()[0] == SECRET


def test_the_file_is_where_huggingface_hub_has_it(monkeypatch, tmp_path):
    constants = pytest.importorskip("huggingface_hub.constants")
    for name in ("HF_HOME", "HF_TOKEN_PATH", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    if "HF_TOKEN_PATH" in constants.__dict__ and ".cache/huggingface" in constants.HF_TOKEN_PATH:
        assert str(tokens.file_path()) == constants.HF_TOKEN_PATH


def test_nothing_anywhere():
    assert tokens.find() == (None, "nenhum token encontrado")


@pytest.mark.parametrize("file", [b"", b"\xff\xfe\x00", b"  \n"])
def test_a_useless_file_is_no_token(tmp_path, file):
    (tmp_path / "token").write_bytes(file)
    assert tokens.find()[0] is None


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("sk-proj-1234567890", "começa com hf_"),
        ("hf_abc def", "não tem"),
        ("hf_", "não tem"),
        ("hf_ação", "não tem"),
        ("minha senha secreta", "começa com hf_"),
    ],
)
def test_what_is_no_token_is_refused_and_not_shown(monkeypatch, value, hint):
    monkeypatch.setenv("HF_TOKEN", value)
    with pytest.raises(CourseError, match=hint) as raised:
        tokens.find()
    assert value == "hf_" or value not in str(raised.value)


@pytest.mark.parametrize("value", [f'"{SECRET}"', f"Bearer {SECRET}", f"'{SECRET}' \r\n"])
def test_what_was_copied_along_is_removed(value):
    assert tokens.clean(value) == SECRET


def test_prompt(monkeypatch):
    monkeypatch.setattr(tokens, "getpass", lambda prompt: f"{SECRET} ")
    assert tokens.find("prompt") == (SECRET, "digitado por você")


def test_prompt_with_nobody_there(monkeypatch):
    def nobody(prompt):
        raise EOFError

    monkeypatch.setattr(tokens, "getpass", nobody)
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(CourseError, match="variável de ambiente HF_TOKEN"):
        tokens.find("prompt")


def test_an_unknown_source():
    with pytest.raises(CourseError, match="Não conheço a origem"):
        tokens.find("gaveta")


def test_no_colab_here():
    with pytest.raises(CourseError, match="só existem no Google Colab"):
        tokens.find("colab")


class SecretNotFoundError(Exception):
    pass


class NotebookAccessError(Exception):
    pass


class TimeoutException(Exception):  # noqa: N818 - Colab's own name
    pass


def refusing(error):
    def get(key):
        assert key == "HF_TOKEN"
        raise error

    return get


@pytest.fixture
def colab(monkeypatch):
    """A stand-in for google.colab.userdata, which exists only on Colab."""
    package = types.ModuleType("google.colab")
    package.userdata = types.SimpleNamespace(get=lambda key: f"{SECRET}\n")
    google = types.ModuleType("google")
    google.colab = package
    monkeypatch.setitem(sys.modules, "google", google)
    monkeypatch.setitem(sys.modules, "google.colab", package)
    return package.userdata


def test_colab_secret(colab):
    assert tokens.find("colab") == (SECRET, "Secrets do Colab")


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (SecretNotFoundError("HF_TOKEN"), "crie o segredo"),
        (NotebookAccessError("HF_TOKEN"), "não tem permissão"),
        (TimeoutException(), "não entregou"),
        (RuntimeError("anything else"), "não entregou"),
    ],
)
def test_colab_refuses(colab, error, hint):
    colab.get = refusing(error)
    with pytest.raises(CourseError, match=hint):
        tokens.find("colab")


@pytest.mark.skipif(not hasattr(__import__("signal"), "setitimer"), reason="sem alarme no Windows")
def test_colab_hangs(colab, monkeypatch):
    monkeypatch.setattr(tokens, "COLAB_TIMEOUT", 0.2)
    colab.get = lambda key: time.sleep(30)
    before = time.perf_counter()
    with pytest.raises(CourseError, match="não entregou"):
        tokens.find("colab")
    assert time.perf_counter() - before < 5


def test_colab_secret_is_empty(colab):
    colab.get = lambda key: ""
    with pytest.raises(CourseError, match="crie o segredo"):
        tokens.find("colab")
