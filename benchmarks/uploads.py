"""Measure uploads to the embedded Hub, and print a Markdown table: one server, one run.

``python benchmarks/uploads.py`` needs no model: it writes to a cache folder of its own.
"""

from __future__ import annotations

import hashlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import requests
from reporting import LIMITS, print_heading, print_table

MEGABYTE = 10**6
LARGE = 200 * MEGABYTE
SMALL_FILES, SMALL = 300, 100_000
ROUNDS = 3
TOKEN = "hf_benchmark"
ROOT = Path(__file__).resolve().parents[1]

UPLOAD = """
import sys, time
from huggingface_hub import HfApi
api = HfApi()
repo_id = api.create_repo(sys.argv[2], exist_ok=True).repo_id
start = time.perf_counter()
api.upload_folder(folder_path=sys.argv[1], repo_id=repo_id)
print(time.perf_counter() - start)
"""


@contextmanager
def running_server(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Run a server on a cache folder of its own; yield its address and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "helpers.embedded.server", "--quiet", "--token", TOKEN]
    environment = {**os.environ, "COURSE_CACHE": str(folder), "PYTHONPATH": str(ROOT)}
    log = (folder / "server.log").open("wb")
    process = subprocess.Popen(
        [*command, "--port", str(port)], env=environment, stdout=log, stderr=log
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url)
        time.sleep(15)  # until torch is imported, which would be taken for the upload's memory
        yield url, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()
        log.close()


def _wait(url: str) -> None:
    for _ in range(600):
        try:
            requests.get(f"{url}/course/health", timeout=1)
            return
        except requests.RequestException:
            time.sleep(0.1)
    raise SystemExit("the server did not start")


@contextmanager
def memory_risen(process: psutil.Process) -> Iterator[list[int]]:
    """Yield a list whose one number, afterwards, is how many bytes more the process held."""
    before, risen, finished = process.memory_info().rss, [0], threading.Event()

    def watch() -> None:
        while not finished.wait(0.01):
            risen[0] = max(risen[0], process.memory_info().rss - before)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield risen
    finally:
        finished.set()
        thread.join()


def upload(url: str, folder: Path, name: str) -> float:
    """Upload a folder with ``huggingface_hub``; return the seconds that it took."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": url,
        "HF_TOKEN": TOKEN,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    ran = subprocess.run(
        [sys.executable, "-c", UPLOAD, str(folder), name],
        env=environment,
        capture_output=True,
        text=True,
    )
    if ran.returncode:
        raise SystemExit(ran.stderr)
    return float(ran.stdout.splitlines()[-1])


def floor(source: Path, target: Path) -> float:
    """Return the seconds to read a file, hash it twice, and write it: what no upload can beat."""
    start = time.perf_counter()
    for _ in range(2):  # once by the client, for the name; once by the server, to check it
        digest = hashlib.sha256()
        with source.open("rb") as file:
            while chunk := file.read(2**20):
                digest.update(chunk)
    with source.open("rb") as file, target.open("wb") as copy:
        while chunk := file.read(2**20):
            copy.write(chunk)
        copy.flush()
        os.fsync(copy.fileno())
    target.unlink()
    return time.perf_counter() - start


def measure(folder: Path) -> list[tuple[str, str, str]]:
    """Return the rows of the table: what, how much, what was asked."""
    large, small = folder / "large", folder / "small"
    for one in (large, small):
        one.mkdir()
    rows = []
    with running_server(folder) as (url, process):
        seconds, least, memory = [], [], []
        for number in range(ROUNDS):
            contents = large / "model.safetensors"
            contents.write_bytes(os.urandom(LARGE))
            least.append(floor(contents, folder / "copy"))
            with memory_risen(process) as risen:
                seconds.append(upload(url, large, f"grande-{number}"))
            memory.append(risen[0])
        took = statistics.median(seconds)
        size = f"{LARGE // MEGABYTE} MB"
        rows.append((f"envio de {size}", f"{LARGE / MEGABYTE / took:.0f} MB/s", "—"))
        ratio = took / statistics.median(least)
        rows.append(("o mesmo, sobre ler, conferir e gravar", f"{ratio:.1f} vezes o tempo", "—"))
        rows.append(("memória a mais no servidor", f"{max(memory) / MEGABYTE:.0f} MB", "até 64 MB"))
        for number in range(SMALL_FILES):
            (small / f"{number}.txt").write_bytes(os.urandom(SMALL))
        with memory_risen(process) as risen:
            took = upload(url, small, "pequenos")
        what = f"{SMALL_FILES} arquivos de {SMALL // 1000} kB num commit"
        rows.append((what, f"{took:.1f} s", "—"))
        rows.append(("memória a mais no servidor", f"{risen[0] / MEGABYTE:.0f} MB", "até 64 MB"))
        took = upload(url, small, "pequenos")
        rows.append(("a mesma pasta, sem mudança", f"{took:.2f} s", "—"))
    return rows


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder))
    print_heading("huggingface_hub")
    print_table(LIMITS, rows)


if __name__ == "__main__":
    main()
