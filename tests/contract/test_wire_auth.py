"""Who gets in: tokens, and names of hosts."""

import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
import requests
import shapes
from wire_server import free_port, token_for, wait_for

from helpers.embedded import auth

MISSING = {"error": "Invalid username or password."}
INVALID = {"error": "Invalid credentials in Authorization header"}


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    return tmp_path


def expect_401(response, body):
    assert (response.status_code, response.json()) == (401, body)
    assert response.headers["www-authenticate"].startswith("Bearer realm=")
    assert response.headers["x-error-message"] == body["error"]


@pytest.mark.parametrize("path", ["/hf-inference/models/curso/qa-pt", "/v1/chat/completions"])
@pytest.mark.contract(task="token", client="requests", direction="error")
def test_calls_need_a_token(server, path):
    expect_401(requests.post(f"{server.url}{path}", json={}, timeout=30), MISSING)


@pytest.mark.parametrize(
    "header",
    [
        "Bearer hf_errado",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "hf_sem_bearer",
        "Bearer hf_" + "a" * 4000,
    ],
)
@pytest.mark.contract(task="token", client="requests", direction="error")
def test_a_wrong_token(server, header):
    expect_401(server.ask(headers={"Authorization": header}), INVALID)


@pytest.mark.contract(task="token", client="requests", direction=("answer", "error"))
def test_an_expired_token(server, wire_cache):
    soon, past = (datetime.now(UTC) + timedelta(seconds=s) for s in (60, -1))
    for expires, status in ((soon, 200), (past, 401)):
        token = token_for(wire_cache, "aluna", expires)
        response = server.ask(headers={"Authorization": f"Bearer {token}"})
        assert response.status_code == status
    expect_401(response, INVALID)


@pytest.mark.contract(task="token", client="requests", direction="error")
def test_a_token_cannot_be_edited(server):
    for position in (4, 20, -1):
        edited = list(server.token)
        edited[position] = "0" if edited[position] != "0" else "1"
        expect_401(server.ask(headers={"Authorization": f"Bearer {''.join(edited)}"}), INVALID)


@pytest.mark.contract(task="token", client="requests", direction=("answer", "error"))
def test_the_hub_reads_without_a_token_but_refuses_a_wrong_one(server):
    url = f"{server.url}/api/models/curso/qa-pt"
    assert requests.get(url, timeout=60).status_code == 200
    wrong = {"Authorization": "Bearer hf_errado"}
    expect_401(requests.get(url, headers=wrong, timeout=30), INVALID)
    assert requests.get(f"{server.url}/api/whoami-v2", timeout=30).status_code == 401


@pytest.mark.parametrize("path", ["/course/shutdown", "/course/faults"])
@pytest.mark.contract(task="token", client="requests", direction="error")
def test_the_courses_own_switches_need_a_token(server, path):
    expect_401(requests.post(f"{server.url}{path}", json={}, timeout=30), MISSING)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:9999", 200),
        ("localhost:8642", 200),
        ("LocalHost", 200),
        ("[::1]:8642", 200),
        ("huggingface.co", 403),
        ("evil.example:8642", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example:80", 403),
        ("127.0.0.1@evil.example", 403),
        ("", 403),
    ],
)
@pytest.mark.contract(task="token", client="requests", direction="error")
def test_foreign_host_names_are_refused(server, host, status):
    response = requests.get(f"{server.url}/course/health", headers={"Host": host}, timeout=30)
    assert response.status_code == status
    if status != 200:
        shapes.check(shapes.ERROR, response.json())


def test_tokens_look_like_tokens_and_the_secret_is_private(own_cache):
    token = auth.client_token("aluna")
    assert token.startswith("hf_") and token.removeprefix("hf_").isalnum()
    assert token == auth.client_token("aluna") != auth.client_token("outra")
    assert auth.verify(f"Bearer {token}") == "aluna"
    secret = own_cache / "secret"
    assert secret.read_text() not in token
    if sys.platform != "win32":
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600


@pytest.mark.parametrize("left", ["", "abc", "não é hexadecimal" * 4])
def test_a_secret_cut_by_a_crash_is_made_anew(own_cache, left):
    (own_cache / "secret").write_text(left, encoding="utf-8")
    token = auth.client_token("aluna")
    assert auth.verify(f"Bearer {token}") == "aluna"


@pytest.mark.contract(task="token", client="requests", direction="error")
def test_another_users_token_is_worth_nothing(tmp_path):
    tokens = {token_for(tmp_path / name, "aluna") for name in ("a", "b")}
    assert len(tokens) == 2


@pytest.mark.contract(task="token", client="requests", direction=("answer", "error"))
def test_a_server_started_with_a_token_accepts_only_it(own_cache):
    port, chosen = free_port(), "hf_escolhido"
    log = own_cache / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "helpers.embedded.server",
                "--port",
                str(port),
                "--token",
                chosen,
            ],
            stdout=stream,
            stderr=stream,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: requests.get(f"{url}/course/health", timeout=1).ok, log)

        def models(token):
            headers = {"Authorization": f"Bearer {token}"}
            return requests.get(f"{url}/v1/models", headers=headers, timeout=30).status_code

        assert models(chosen) == 200
        assert models(auth.client_token("aluna")) == 401
        assert models(chosen + "x") == 401
        assert not (own_cache / "server.json").exists()  # notebooks do not find it: it is private
    finally:
        process.terminate()
        process.wait(10)
    written = log.read_text(encoding="utf-8")
    assert url in written and "Ctrl-C" in written
    assert chosen not in written
