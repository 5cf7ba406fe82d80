"""What a careless or ill-meaning client sends: an error it can read, and nothing else happens."""

import base64
import http.client
import io
import json
import re
import socket
import struct
import threading
import time
import wave
import zlib
from urllib.parse import urlsplit

import pytest
import requests
import uvicorn
from wire_server import free_port

from helpers.embedded import connections, wire
from helpers.embedded.catalog import repositories
from helpers.embedded.server import REQUEST_LIMIT, Settings, create_app
from helpers.embedded.viewer import PREFIX

CANARY = "canario-fora-do-hub"
PICTURES, SPEECH = "curso/efficientnet-lite0", "curso/whisper-base"


def raw(server, method, target, body=None, headers=None):
    """Send a request whose target no library has tidied."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=120)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in {**server.headers, **(headers or {})}.items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def expect_refusal(status, body):
    assert 400 <= status < 500, (status, body[:200])
    assert b"Traceback" not in body


# --- paths

UP = ["..", "%2e%2e", "%2E.", "..%2f..", "..%5c..", "%252e%252e", "....//", "/", "%00", "~", "C:"]
OUTSIDE = [f"{up}/{up}/{name}" for up in UP for name in ("outside.txt", "secret")]
OUTSIDE += ["%2fetc%2fpasswd", "//etc/passwd", "file:%2f%2f%2fetc%2fpasswd", "main%0d%0aX: y"]
REAL = {"repo_id": "curso/qa-pt", "model_id": "curso/qa-pt", "revision": "main", "kind": "models"}


def attacked():
    """Return every route with each of its parameters, to be filled with what leads outside."""
    app = create_app(Settings())
    return sorted(
        (method, route.path, name)
        for route in app.routes
        for method in route.methods - {"HEAD"}
        for name in re.findall(r"{(\w+)", route.path)
    )


@pytest.fixture(scope="module")
def canary(server):
    (server.cache / "outside.txt").write_text(CANARY, encoding="utf-8")
    return [CANARY.encode(), (server.cache / "secret").read_bytes(), b"root:x:"]


@pytest.mark.parametrize(("method", "path", "name"), attacked())
def test_no_path_leads_outside(server, canary, method, path, name):
    for outside in OUTSIDE:
        values = {**REAL, "path": "config.json", name: outside}
        target = re.sub(r"{(\w+)[^}]*}", lambda found, v=values: v.get(found[1], "main"), path)
        body = b"{}" if method == "POST" else None
        headers = {"Content-Type": "application/json"} if body else None
        status, answer = raw(server, method, target.replace(" ", "%20"), body, headers)
        assert status < 500, (target, status, answer)
        assert not any(secret in answer for secret in canary), target


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../../../outside.txt"])
def test_no_body_or_query_leads_outside(server, canary, name):
    info = server.post(f"{server.url}/api/models/curso/qa-pt/paths-info/main", {"paths": [name]})
    rows = requests.get(
        f"{server.url}{PREFIX}/rows",
        params={"dataset": name, "config": name, "split": name},
        timeout=30,
    )
    for response in (info, rows):
        assert response.status_code < 500
        assert not any(secret in response.content for secret in canary)


# --- bodies


def body_of(depth):
    return b'{"inputs":' + b"[" * depth + b"]" * depth + b"}"


@pytest.mark.parametrize("depth", [1_000, 100_000])
@pytest.mark.parametrize("model", [one.id for one in repositories() if one.kind == "model"])
def test_deep_json(server, model, depth):
    headers = {"Content-Type": "application/json"}
    path = f"/hf-inference/models/{model}"
    expect_refusal(*raw(server, "POST", path, body_of(depth), headers))


@pytest.mark.parametrize("path", ["/hf-inference/models/curso/qa-pt", "/v1/chat/completions"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"3",
        b'"texto"',
        b"{",
        b"\xff\xfe",
        b'{"inputs": NaN}',
        b'{"inputs": {"question": 1e999, "context": []}}',
        b'{"inputs": ' + b"9" * 5000 + b"}",
        b'{"inputs": "\\ud800"}',
        b'{"messages": "oi"}',
    ],
)
def test_json_of_the_wrong_shape(server, path, body):
    headers = {"Content-Type": "application/json"}
    expect_refusal(*raw(server, "POST", path, body, headers))


@pytest.mark.parametrize(
    ("path", "kind", "limit"),
    [
        ("/hf-inference/models/curso/qa-pt", "application/json", wire.TEXT_BODY_LIMIT),
        (f"/hf-inference/models/{PICTURES}", "image/png", wire.MEDIA_BODY_LIMIT),
        (f"/hf-inference/models/{SPEECH}", "audio/wav", wire.MEDIA_BODY_LIMIT),
        ("/v1/chat/completions", "application/json", wire.TEXT_BODY_LIMIT),
    ],
)
def test_a_body_over_the_limit_is_413(server, path, kind, limit):
    status, body = raw(server, "POST", path, b" " * (limit + 1), {"Content-Type": kind})
    assert status == 413
    assert b"too large" in body


def test_an_endless_body_is_cut(server):
    """Ten times the limit, in chunks without a length: the server stops reading and says 413."""

    def chunks():
        for _ in range(10 * REQUEST_LIMIT // 2**20):
            yield b" " * 2**20

    try:
        response = server.post(server.model_url(), data=chunks())
        assert response.status_code == 413
    except requests.ConnectionError:
        pass  # cut while it was still sending
    assert server.ask().status_code == 200


# --- pictures and recordings that are not


def png(width, height):
    """A PNG of one colour, a few kilobytes whatever its size."""

    def chunk(kind, data):
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = b"\x00" * (1 + (width + 7) // 8)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def recording(seconds, claimed=None):
    """A silent WAV file, whose header may claim more than it holds."""
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\x00\x00" * (8000 * seconds))
    data = bytearray(stream.getvalue())
    if claimed is not None:
        data[40:44] = struct.pack("<I", claimed)
    return bytes(data)


BOMB = png(30_000, 30_000)
MEDIA = {
    "a picture of 900 million pixels": (PICTURES, "image/png", BOMB),
    "a picture of one very long line": (PICTURES, "image/png", png(60_000, 1)),
    "half a picture": (PICTURES, "image/png", png(64, 64)[:44]),
    "a picture in name": (PICTURES, "image/jpeg", b"\xff\xd8\xff" + b"\x00" * 500),
    "nothing as a picture": (PICTURES, "image/png", b""),
    "HTML as a picture": (PICTURES, "image/png", b"<html></html>"),
    "a vector picture": (PICTURES, "image/svg+xml", b"<svg><image href='file:///etc/passwd'/>"),
    "a picture as a recording": (SPEECH, "audio/wav", png(64, 64)),
    "nothing as a recording": (SPEECH, "audio/flac", b""),
    "noise as a recording": (SPEECH, "audio/mpeg", bytes(range(256)) * 40),
    "an hour of recording": (SPEECH, "audio/wav", recording(600)),
    "a playlist as a recording": (SPEECH, "audio/mpeg", b"#EXTM3U\nfile:///etc/passwd\n"),
}


@pytest.mark.parametrize("what", MEDIA)
def test_media_that_are_not(server, what):
    model, kind, data = MEDIA[what]
    start = time.monotonic()
    response = requests.post(
        server.model_url(model),
        data=data,
        headers={**server.headers, "Content-Type": kind},
        timeout=120,
    )
    expect_refusal(response.status_code, response.content)
    in_json = server.post(server.model_url(model), {"inputs": base64.b64encode(data).decode()})
    expect_refusal(in_json.status_code, in_json.content)
    assert time.monotonic() - start < 60


@pytest.mark.parametrize("model", [PICTURES, SPEECH])
@pytest.mark.parametrize(
    "inputs", ["/etc/passwd", "file:///etc/passwd", "http://127.0.0.1:1/x.png", "data:,x", "..", ""]
)
def test_a_path_or_an_address_is_never_opened(server, model, inputs):
    response = server.post(server.model_url(model), {"inputs": inputs})
    expect_refusal(response.status_code, response.content)


def test_a_recording_that_claims_more_than_it_holds(server):
    response = requests.post(
        server.model_url(SPEECH),
        data=recording(1, claimed=2**31),
        headers={**server.headers, "Content-Type": "audio/wav"},
        timeout=120,
    )
    assert response.status_code in (200, 400, 413)


def test_a_bomb_does_not_fill_the_memory(server):
    import psutil

    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    highest = [before]
    done = threading.Event()

    def watch():
        while not done.wait(0.01):
            highest.append(process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    headers = {**server.headers, "Content-Type": "image/png"}
    for _ in range(5):
        requests.post(server.model_url(PICTURES), data=BOMB, headers=headers, timeout=60)
    done.set()
    watcher.join()
    assert max(highest) - before < 200 * 2**20


# --- connections


@pytest.fixture
def hasty(monkeypatch):
    """A server in this process that waits half a second for the parts of a request."""
    for phase in connections._PATIENCE:
        monkeypatch.setitem(connections._PATIENCE, phase, 0.5)
    monkeypatch.setattr(connections, "ADDRESS_LIMIT", 20)
    port = free_port()
    config = uvicorn.Config(
        create_app(Settings()),
        port=port,
        log_level="error",
        lifespan="off",
        http=connections.GuardedProtocol,
    )
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    yield port
    running.should_exit = True
    thread.join(20)


def is_cut(connection, within=5):
    connection.settimeout(within)
    try:
        return connection.recv(1024) == b""
    except ConnectionError:
        return True


def dribble(connection, data, seconds):
    """Send a byte now and then; tell whether the other side gave up."""
    end = time.monotonic() + seconds
    position = 0
    try:
        while time.monotonic() < end:
            connection.sendall(data[position % len(data) :][:1])
            position += 1
            time.sleep(0.05)
    except ConnectionError:
        return True
    return is_cut(connection)


@pytest.mark.parametrize(
    ("start", "rest"),
    [
        (b"", b"X-A: b\r\n"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"X-A: b\r\n"),
        (b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999\r\n\r\n", b"a"),
    ],
)
def test_a_byte_at_a_time_is_cut_and_holds_nobody_up(hasty, start, rest):
    with socket.create_connection(("127.0.0.1", hasty), timeout=10) as connection:
        connection.sendall(start)
        slow = threading.Thread(target=dribble, args=(connection, rest, 2))
        slow.start()
        assert requests.get(f"http://127.0.0.1:{hasty}/course/health", timeout=5).ok
        slow.join()
        assert dribble(connection, rest, 1)


def test_a_silent_connection_is_cut_but_an_idle_one_stays(hasty):
    with socket.create_connection(("127.0.0.1", hasty), timeout=10) as silent:
        assert is_cut(silent)
    with requests.Session() as session:
        url = f"http://127.0.0.1:{hasty}/course/health"
        local = session.get(url, timeout=5, stream=True).raw.connection
        session.get(url, timeout=5)
        time.sleep(1.5)
        assert session.get(url, timeout=5).ok
        assert local is None or local.sock is None or local.sock.fileno() >= 0


def test_one_address_cannot_take_every_connection(hasty):
    opened = [socket.create_connection(("127.0.0.1", hasty), timeout=10) for _ in range(40)]
    try:
        time.sleep(0.2)
        cut = 0
        for connection in opened[20:]:
            cut += is_cut(connection, within=0.1)
        assert cut >= 15
    finally:
        for connection in opened:
            connection.close()
    time.sleep(0.2)
    assert requests.get(f"http://127.0.0.1:{hasty}/course/health", timeout=5).ok


def test_uploads_of_all_together_are_bounded(hasty, monkeypatch):
    monkeypatch.setattr("helpers.embedded.server.UPLOADS_LIMIT", 1000)
    response = requests.post(
        f"http://127.0.0.1:{hasty}/v1/chat/completions",
        data=json.dumps({"messages": ["a" * 2000]}),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {_own_token()}"},
        timeout=30,
    )
    assert response.status_code == 503
    assert response.json() == {"error": "Service temporarily unavailable, overload detected"}


def _own_token():
    from helpers.embedded import auth

    return auth.client_token("aluna")
