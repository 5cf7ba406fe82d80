"""Measure the embedded server against the model in this process, and print a Markdown table.

``python benchmarks/server.py`` needs the models; it builds those that are missing.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in the server, for a fair comparison

import argparse
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import requests

from helpers.embedded import store

MIB = 2**20
TOKEN = "hf_benchmark"
QA, CHAT = "curso/qa-pt", "curso/smollm2-135m-instruct"
ROOT = Path(__file__).resolve().parents[1]
QUESTION = "Qual é o meu nome?"
SHORT = "Meu nome é Marcundes e estou gravando uma aula sobre Hugging Face."
LONG_QUESTION = "Quem fundou a biblioteca?"
PARAGRAPH = """A Biblioteca Municipal de Vila Serena foi fundada em 1927 pela professora Helena
Duarte, que doou os seus mil e duzentos livros para que as crianças do bairro tivessem onde estudar
depois da escola. No começo, a coleção ocupava duas salas emprestadas pela estação de trem, e os
leitores assinavam um caderno de capa verde que ainda existe. Em 1954 a prefeitura comprou o
casarão da rua das Acácias, reformou o telhado e instalou as estantes de peroba que hoje são a
marca do lugar. A enchente de 1983 molhou quase um terço do acervo, mas moradores secaram os livros
folha por folha no ginásio da cidade. Desde a última reforma, a biblioteca abre todos os dias,
inclusive aos domingos, empresta até cinco livros por pessoa durante vinte dias e oferece oficinas
gratuitas de leitura, xadrez e programação para jovens e adultos da região."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=100, help="calls measured of each kind")
    repeats = parser.parse_args().repeats
    folders = {repo_id: store.ensure(repo_id) for repo_id in (QA, CHAT)}
    with running_server() as (url, process, first_answer):
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        rows = [("from start to the first 200", f"{first_answer:.2f} s", "1 s")]
        rows += memory_rows(session, url, process)
        rows += latency_rows(session, url, folders[QA], repeats)
        rows += [download_row(url, folders[QA])]
    print_table(rows)


@contextmanager
def running_server() -> Iterator[tuple[str, psutil.Process, float]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "helpers.embedded.server", "--quiet"]
    command += ["--port", str(port), "--token", TOKEN]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as log:
        start = time.perf_counter()
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            while not answers(url):
                if server.poll() is not None or time.perf_counter() - start > 60:
                    log.seek(0)
                    raise SystemExit(log.read().decode())
                time.sleep(0.005)
            yield url, psutil.Process(server.pid), time.perf_counter() - start
        finally:
            server.terminate()
            server.wait()


def answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/course/health", timeout=1).ok
    except requests.ConnectionError:
        return False


def ask(session: requests.Session, url: str, question: str, context: str) -> requests.Response:
    body = {"inputs": {"question": question, "context": context}}
    response = session.post(f"{url}/hf-inference/models/{QA}", json=body, timeout=120)
    response.raise_for_status()
    return response


def memory_rows(
    session: requests.Session, url: str, process: psutil.Process
) -> list[tuple[str, str, str]]:
    ask(session, url, LONG_QUESTION, PARAGRAPH)
    body: dict[str, Any] = {
        "model": CHAT,
        "messages": [{"role": "user", "content": "Tell me about the sea."}],
        "max_tokens": 128,
    }
    session.post(f"{url}/v1/chat/completions", json=body, timeout=300).raise_for_status()
    start = time.perf_counter()
    reply = session.post(f"{url}/v1/chat/completions", json=body, timeout=300).json()
    speed = reply["usage"]["completion_tokens"] / (time.perf_counter() - start)
    rows = [
        ("RSS with QA and chat loaded", f"{process.memory_info().rss / MIB:.0f} MiB", "1536 MiB"),
        ("chat, tokens per second", f"{speed:.1f}", ""),
    ]
    if (peak := peak_memory(process.pid)) is not None:
        rows.insert(1, ("highest RSS so far", f"{peak / MIB:.0f} MiB", ""))
    return rows


def peak_memory(pid: int) -> int | None:
    """Bytes, where Linux tells them."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")]
    return found[0] if found else None


def latency_rows(
    session: requests.Session, url: str, folder: Path, repeats: int
) -> list[tuple[str, str, str]]:
    import torch

    from helpers.question_answering import QuestionAnswerer

    torch.set_num_threads(2)
    answerer = QuestionAnswerer.from_pretrained(str(folder), device="cpu")
    local, wire, inside = [], [], []
    for _ in range(repeats + 3):  # turn about, so that both meet the same weather
        local.append(seconds(lambda: answerer(QUESTION, SHORT)))
        start = time.perf_counter()
        response = ask(session, url, QUESTION, SHORT)
        wire.append(time.perf_counter() - start)
        inside.append(wire[-1] - float(response.headers["x-compute-time"]))
    paragraph = [
        seconds(lambda: ask(session, url, LONG_QUESTION, PARAGRAPH)) for _ in range(repeats + 3)
    ]
    added = statistics.median(wire[3:]) - statistics.median(local[3:])
    words = len(PARAGRAPH.split())
    return [
        ("short QA in this process", milliseconds(local), ""),
        ("short QA over the wire", milliseconds(wire), ""),
        ("the wire adds (difference of medians)", f"{1000 * added:.1f} ms", "10 ms"),
        ("HTTP alone (wire less the server's own time)", milliseconds(inside), ""),
        (f"QA on a context of {words} words, over the wire", milliseconds(paragraph), "150 ms"),
    ]


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def milliseconds(times: list[float]) -> str:
    times = times[3:]  # the first few warm up
    low, *_, high = statistics.quantiles(times, n=10)
    low, middle, high = (1000 * value for value in (low, statistics.median(times), high))
    return f"{middle:.1f} ms ({low:.1f} to {high:.1f})"


def download_row(url: str, folder: Path) -> tuple[str, str, str]:
    size = (folder / "model.safetensors").stat().st_size
    times = []
    for _ in range(3):
        start = time.perf_counter()
        address = f"{url}/{QA}/resolve/main/model.safetensors"
        with requests.get(address, stream=True, timeout=120) as response:
            received = sum(map(len, response.iter_content(MIB)))
        times.append(time.perf_counter() - start)
        assert received == size
    return f"Hub download of {size / 1e6:.0f} MB", f"{size / 1e6 / min(times):.0f} MB/s", ""


def print_table(rows: list[tuple[str, str, str]]) -> None:
    libraries = ("torch", "transformers", "starlette", "uvicorn")
    versions = ", ".join(f"{name} {version(name)}" for name in libraries)
    print(f"{date.today()}, {platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores,")
    print(f"Python {platform.python_version()}, {versions}\n")
    print("| figure | measured: median (10 % to 90 %) | aim: under |\n|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
