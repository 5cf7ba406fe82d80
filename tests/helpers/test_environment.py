"""Where the course runs."""

import socket
import subprocess
import sys
import threading
import types
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from helpers import environment
from helpers.errors import CourseError


def test_cache_folder_is_the_chosen_one(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "a" / "b"))
    assert environment.cache_folder() == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").is_dir()


def test_cache_folder_in_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("COURSE_CACHE", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert environment.cache_folder() == tmp_path / ".cache" / "curso-hf"


def test_cache_folder_on_windows(monkeypatch, tmp_path):
    monkeypatch.delenv("COURSE_CACHE", raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert environment.cache_folder() == tmp_path / "curso-hf"


def test_a_folder_that_cannot_be_made_is_one_sentence(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "file" / "inside"))
    with pytest.raises(CourseError, match="COURSE_CACHE"):
        environment.cache_folder()


def test_inspect_describes_this_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    monkeypatch.delenv("COLAB_RELEASE_TAG", raising=False)
    found = environment.inspect()
    assert found.where == "local"
    assert found.python == ".".join(map(str, sys.version_info[:3]))
    assert found.device in {"cuda", "mps", "cpu"} and found.device_name
    assert found.memory_bytes > 2**28
    assert 0 < found.disk_free_bytes < 2**60
    assert set(found.versions) <= set(environment.MAIN_LIBRARIES)


def test_inspect_does_not_import_torch(tmp_path):
    code = (
        "import sys; from helpers import environment; environment.inspect();"
        "print([n for n in ('torch', 'transformers', 'numpy') if n in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.strip() == "[]"


def test_colab_is_recognised(monkeypatch):
    monkeypatch.delenv("COLAB_RELEASE_TAG", raising=False)
    assert not environment.is_colab()
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab-20260819")
    assert environment.is_colab()


def test_a_gpu_is_read_from_the_driver(monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'Tesla T4, 15360'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(environment, "versions", lambda names=(): {"torch": "2.13.0"})
    assert environment._nvidia() == ("cuda", "Tesla T4", 15360 * 2**20)
    monkeypatch.setattr(environment, "versions", lambda names=(): {"torch": "2.13.0+cpu"})
    assert environment._nvidia() is None  # this PyTorch could not use it


def test_a_broken_driver_means_no_gpu(monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'Failed to initialize NVML'\nexit 9\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(environment, "versions", lambda names=(): {})
    assert environment._nvidia() is None


def test_torch_is_asked_when_it_is_there(monkeypatch):
    properties = types.SimpleNamespace(name="NVIDIA L4", total_memory=24 * 2**30)
    cuda = types.SimpleNamespace(
        is_available=lambda: True, get_device_properties=lambda index: properties
    )
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))
    assert environment._device() == ("cuda", "NVIDIA L4", 24 * 2**30)


@pytest.fixture
def hub(monkeypatch):
    class Handler(BaseHTTPRequestHandler):
        status = 200

        def do_HEAD(self):
            self.send_response(self.status)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(environment, "HUB_URL", f"http://127.0.0.1:{server.server_port}")
    yield Handler
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("status", [200, 404, 429])
def test_a_hub_that_answers_is_reachable(hub, status):
    hub.status = status
    assert environment.hub_is_reachable()


def test_a_hub_that_refuses_is_not_reachable(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(environment, "HUB_URL", f"http://127.0.0.1:{port}")
    assert not environment.hub_is_reachable()


def test_a_silent_hub_is_not_reachable(monkeypatch):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setattr(environment, "HUB_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert not environment.hub_is_reachable(timeout=0.2)
