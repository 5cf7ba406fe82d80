"""Measure the embedded server, and print a Markdown table: ratios from one and the same run.

``python benchmarks/server.py`` needs the models; it builds those that are missing.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import requests
from reporting import LIMITS, print_heading, print_table

from helpers.environment import share_processors

os.environ.setdefault("OMP_NUM_THREADS", "2")
share_processors()  # as in the server, for a fair comparison; read when PyTorch is imported

from helpers.embedded import store  # noqa: E402
from helpers.embedded.catalog import repositories  # noqa: E402
from helpers.embedded.tasks import HANDLERS, SERVED_TASKS  # noqa: E402
from helpers.embedded.tasks.base import Call  # noqa: E402

MIB = 2**20
TOKEN = "hf_benchmark"
QA, CHAT, BRIDGE = "curso/qa-pt", "curso/smollm2-135m-instruct", "curso/chat-ponte-pt"
PICTURES, CLIPS = "curso/imagens", "curso/falas"
ROOT = Path(__file__).resolve().parents[1]
CLIENTS = 40
ROUNDS = 3
WARM_UP = 3

Row = tuple[str, str, str]

# Lesson texts of different lengths, with questions; each pair is asked once in a round.
LESSONS: list[tuple[str, list[str]]] = [
    (
        "Meu nome é Marcundes e estou gravando uma aula sobre Hugging Face.",
        ["Qual é o meu nome?", "O que estou gravando?", "Sobre o que é a aula?"],
    ),
    (
        "O ônibus da excursão sai da escola às 7h30 e volta às 17h.",
        ["A que horas o ônibus sai?", "A que horas o ônibus volta?", "De onde o ônibus sai?"],
    ),
    (
        "A prova de história será na quinta-feira, na sala 12, e vale três pontos.",
        ["Quando será a prova?", "Em que sala é a prova?", "Quanto vale a prova?"],
    ),
    (
        "Dona Célia vende pão de queijo na esquina há vinte anos. Cada um custa dois reais, e "
        "às sextas ela traz também bolo de fubá.",
        ["O que Dona Célia vende?", "Quanto custa cada pão de queijo?", "Quando há bolo de fubá?"],
    ),
    (
        "A horta da escola tem alface, couve e tomate. Os alunos do sexto ano regam os canteiros "
        "de manhã, e o que se colhe vai para a merenda.",
        ["O que a horta tem?", "Quem rega os canteiros?", "Para onde vai o que se colhe?"],
    ),
    (
        "O rio Doce nasce em Minas Gerais, na serra da Mantiqueira, percorre mais de oitocentos "
        "quilômetros e chega ao mar no Espírito Santo, na vila de Regência.",
        ["Onde nasce o rio Doce?", "Quantos quilômetros percorre?", "Onde o rio chega ao mar?"],
    ),
    (
        "Para pedir um livro emprestado, apresente a carteirinha no balcão. O prazo é de catorze "
        "dias e pode ser renovado uma vez, pelo telefone ou pela página da biblioteca, desde que "
        "ninguém tenha reservado o mesmo livro.",
        ["O que se apresenta no balcão?", "Qual é o prazo?", "Quantas vezes se pode renovar?"],
    ),
    (
        "O laboratório de informática abre às oito horas e fecha ao meio-dia. Cada turma tem dois "
        "horários por semana, e a professora Lúcia cuida das reservas. Quem quiser usar um "
        "computador à tarde precisa avisar com um dia de antecedência.",
        ["A que horas o laboratório abre?", "Quem cuida das reservas?", "Quantos horários há?"],
    ),
    (
        "A vacinação contra a gripe começa na segunda-feira, no posto do bairro Jardim das Flores. "
        "É preciso levar um documento com foto e a caderneta de vacinação. Crianças de até cinco "
        "anos e pessoas com mais de sessenta são atendidas primeiro, das oito às dez da manhã; os "
        "demais, até as quatro da tarde.",
        ["Quando começa a vacinação?", "O que é preciso levar?", "Quem é atendido primeiro?"],
    ),
    (
        "O museu da cidade foi aberto em 1968, na antiga estação de trem, por um grupo de "
        "professores aposentados. No térreo ficam as locomotivas e os uniformes dos maquinistas; "
        "no andar de cima, os retratos das famílias que chegaram no começo do século. A entrada é "
        "gratuita às quartas, e as visitas guiadas saem de hora em hora, com no máximo quinze "
        "pessoas em cada grupo.",
        ["Quando o museu foi aberto?", "O que fica no térreo?", "Quando a entrada é gratuita?"],
    ),
]
TITLES = ["Aviso", "Recado", "Notícia", "Lembrete"]


def questions() -> list[tuple[str, str]]:
    """Return 120 different pairs of a question and a text of 13 to 70 words."""
    return [
        (question, f"{title}: {context}")
        for title in TITLES
        for context, asked in LESSONS
        for question in asked
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=30, help="calls measured of each kind")
    repeats = parser.parse_args().repeats
    folders = {one.id: store.ensure(one.id) for one in repositories()}
    cold = start_seconds()
    with running_server("--fast") as (url, _, _):
        fast = class_rows(url)
    with running_server() as (url, process, _):
        rows: list[Row] = [("do início ao primeiro 200 (mediana de 5)", f"{cold:.2f} s", "3 s")]
        rows += class_rows(url)
        rows += [(f"com --fast: {what}", *rest) for what, *rest in fast[:6]]
        rows += [wire_row(url, task, model, folders[model], repeats) for task, model in served()]
        rows += chat_rows(url)
        rows += download_rows(url, folders)
        rows += memory_rows(url, process)
    print_heading("torch", "transformers", "starlette", "uvicorn")
    print_table(LIMITS, rows)


# --- the server -------------------------------------------------------------------------------


@contextmanager
def running_server(*arguments: str) -> Iterator[tuple[str, psutil.Process, float]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "helpers.embedded.server", "--quiet"]
    command += ["--port", str(port), "--token", TOKEN, *arguments]
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
    except requests.RequestException:
        return False


def start_seconds() -> float:
    seconds = []
    for _ in range(5):
        with running_server() as (_, _, first_answer):
            seconds.append(first_answer)
    return statistics.median(seconds)


class Client:
    """One learner: a connection that stays open, and as little work of its own as can be."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)

    def post(self, path: str, body: bytes, content_type: str = "application/json") -> Any:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": content_type}
        self._connection.request("POST", path, body, headers)
        response = self._connection.getresponse()
        return response.status, response.read()

    def close(self) -> None:
        self._connection.close()


# --- a class ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Crowd:
    """What came of a number of calls: how long all took, how long each, and their statuses."""

    seconds: float
    waits: list[float]
    statuses: Counter[tuple[int, bytes]]

    @property
    def p95(self) -> float:
        return statistics.quantiles(self.waits, n=20)[-1]


def crowd(url: str, bodies: list[bytes], clients: int) -> Crowd:
    """Share calls out among clients that all start together."""
    path = f"/hf-inference/models/{QA}"
    ready = threading.Barrier(clients + 1)
    waits: list[float] = []
    statuses: Counter[tuple[int, bytes]] = Counter()

    def learn(mine: list[bytes]) -> None:
        client = Client(url)
        client.post("/course/nothing", b"{}")  # connects
        ready.wait()
        for body in mine:
            start = time.perf_counter()
            status, answer = client.post(path, body)
            waits.append(time.perf_counter() - start)
            statuses[status, b"" if status == 200 else answer] += 1
        client.close()

    threads = [threading.Thread(target=learn, args=(bodies[n::clients],)) for n in range(clients)]
    for thread in threads:
        thread.start()
    ready.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    return Crowd(time.perf_counter() - start, waits, statuses)


def class_rows(url: str) -> list[Row]:
    """Forty clients with different questions, and with the same one, against one after another."""
    different = [qa_body(question, context) for question, context in questions()]
    short = [
        qa_body(question, f"Aluno {n}: {LESSONS[0][0]}")
        for n in range(40)
        for question in LESSONS[0][1]
    ]
    same = [qa_body(*questions()[0])] * len(different)
    crowd(url, different[:20], 1)
    return [
        *compared(
            url,
            f"{len(different)} perguntas diferentes, textos de 13 a 70 palavras",
            different,
            "3 ×",
        ),
        *compared(url, f"{len(short)} perguntas diferentes, textos de 13 palavras", short, "3 ×"),
        *compared(url, f"a mesma pergunta {len(same)} vezes", same, ""),
    ]


def qa_body(question: str, context: str) -> bytes:
    return json.dumps({"inputs": {"question": question, "context": context}}).encode()


def compared(url: str, what: str, bodies: list[bytes], aim: str) -> list[Row]:
    """Turn about, so that both meet the same weather; the ratio is the median of the rounds'."""
    pairs = [(crowd(url, bodies, 1), crowd(url, bodies, CLIENTS)) for _ in range(ROUNDS)]
    ratios = [alone.seconds / together.seconds for alone, together in pairs]
    count = len(bodies)
    alone_speed = statistics.median(count / alone.seconds for alone, _ in pairs)
    speed = statistics.median(count / together.seconds for _, together in pairs)
    p95 = statistics.median(together.p95 for _, together in pairs)
    statuses = sum((together.statuses for _, together in pairs), Counter())
    refused = sum(n for (status, _), n in statuses.items() if status == 503)
    other = sum(n for (status, _), n in statuses.items() if status not in (200, 503))
    shown = f"{statistics.median(ratios):.2f} × ({min(ratios):.2f} a {max(ratios):.2f})"
    return [
        (f"{what}: {CLIENTS} clientes / um depois do outro", shown, aim),
        ("— por segundo, uma depois da outra e juntas", f"{alone_speed:.1f} e {speed:.1f}", ""),
        (
            "— p95 da espera de um cliente; 503; outras falhas",
            f"{p95:.2f} s; {refused}; {other}",
            "5 s; –; 0",
        ),
    ]


# --- the wire ---------------------------------------------------------------------------------


def served() -> list[tuple[str, str]]:
    """Return each task that is served, with one model that serves it."""
    models = [one for one in repositories() if one.kind == "model"]
    found = {}
    for model in models:
        for task in SERVED_TASKS.get(model.task, ()):
            if task in HANDLERS:
                found.setdefault(task, model.id)
    return list(found.items())


def call(task: str) -> tuple[bytes, str, Call]:
    """Return a lesson's call of a task, as bytes with their type and as the server reads it."""
    accepts = HANDLERS[task].accepts
    if "image/" in accepts:
        data = media(PICTURES, "image")
        return data, "image/png", Call(data, {}, {}, "image/png")
    if "audio/" in accepts:
        data = media(CLIPS, "audio")
        return data, "audio/flac", Call(data, {}, {}, "audio/flac")
    question, context = questions()[0]
    inputs: Any = context
    parameters: dict[str, Any] = {}
    if task == "question-answering":
        inputs = {"question": question, "context": context}
    elif task == "sentence-similarity":
        inputs = {"source_sentence": question, "sentences": [context, question]}
    elif task == "zero-shot-classification":
        parameters = {"candidate_labels": ["escola", "esporte", "saúde"]}
    body = json.dumps({"inputs": inputs, "parameters": parameters}).encode()
    return body, "application/json", Call(inputs, parameters, {})


def media(dataset: str, column: str) -> bytes:
    """Return the first file in a dataset's column."""
    import pyarrow.parquet as parquet

    table = parquet.read_table(next(store.ensure(dataset).rglob("train*.parquet")))
    return table[column][0].as_py()["bytes"]


def wire_row(url: str, task: str, model: str, folder: Path, repeats: int) -> Row:
    """A call over the wire against the same call in this process, turn about."""
    import torch

    torch.set_num_threads(min(2, os.cpu_count() or 1))
    handler = HANDLERS[task]
    loaded = handler.load(folder)
    body, content_type, direct = call(task)
    path = f"/hf-inference/models/{model}/pipeline/{task}"
    client = Client(url)
    here, wire = [], []
    for _ in range(repeats + WARM_UP):
        here.append(seconds(lambda: handler.answer(loaded, [handler.prepare(direct)])))
        start = time.perf_counter()
        status, answer = client.post(path, body, content_type)
        wire.append(time.perf_counter() - start)
        if status != 200:
            raise SystemExit(f"{task}: {status} {answer!r}")
    client.close()
    one, other = statistics.median(here[WARM_UP:]), statistics.median(wire[WARM_UP:])
    added = f"{1000 * one:.1f} e {1000 * other:.1f} ms, {1000 * (other - one):+.1f} ms"
    return f"{task}: direto e pela rede", f"{other / one:.2f} × ({added})", ""


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def chat_rows(url: str) -> list[Row]:
    rows = []
    asked = {CHAT: "Tell me about the sea.", BRIDGE: "Fale sobre o mar."}
    for model, message in asked.items():
        body = {
            "model": model,
            "messages": [{"role": "user", "content": message}],
            "max_tokens": 96,
            "temperature": 0,
        }
        for _ in range(2):  # the first loads the model
            start = time.perf_counter()
            status, answer = Client(url).post("/v1/chat/completions", json.dumps(body).encode())
            took = time.perf_counter() - start
            if status != 200:
                raise SystemExit(f"{model}: {status} {answer!r}")
        tokens = json.loads(answer)["usage"]["completion_tokens"]
        rows.append((f"{model}: tokens por segundo", f"{tokens / took:.1f}", ""))
    return rows


def download_rows(url: str, folders: dict[str, Path]) -> list[Row]:
    """A file's bytes as they come, and a repository by huggingface_hub into an empty cache."""
    size = (folders[QA] / "model.safetensors").stat().st_size
    times = []
    for _ in range(3):
        start = time.perf_counter()
        address = f"{url}/{QA}/resolve/main/model.safetensors"
        with requests.get(address, stream=True, timeout=120) as response:
            received = sum(map(len, response.iter_content(MIB)))
        times.append(time.perf_counter() - start)
        assert received == size
    program = (
        "import sys, time, huggingface_hub as hub\n"
        "start = time.perf_counter()\n"
        f"hub.snapshot_download({QA!r}, cache_dir=sys.argv[1])\n"
        "print(time.perf_counter() - start)"
    )
    whole = sum(path.stat().st_size for path in folders[QA].rglob("*") if path.is_file())
    quiet = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_XET": "1"}
    client = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-c", program, folder]
            environment = {**os.environ, **quiet, "HF_ENDPOINT": url, "HF_TOKEN": TOKEN}
            ran = subprocess.run(command, env=environment, capture_output=True, check=True)
            client.append(float(ran.stdout))
    return [
        (
            f"download de {size / 1e6:.0f} MB do Hub",
            f"{size / 1e6 / min(times):.0f} MB/s",
            "acima de 200",
        ),
        (
            f"snapshot_download de {whole / 1e6:.0f} MB, cliente incluído",
            f"{whole / 1e6 / min(client):.0f} MB/s",
            "acima de 200",
        ),
    ]


def memory_rows(url: str, process: psutil.Process) -> list[Row]:
    """Memory once every task has answered: each model is there, once."""
    loaded = requests.get(f"{url}/course/health", timeout=10).json()["loaded"]
    models = [one for one in repositories() if one.kind == "model"]
    what = f"memória com {len(loaded)} modelos de {len(models)} carregados"
    rows = [(what, f"{process.memory_info().rss / MIB:.0f} MiB", "5120 MiB")]
    if (peak := peak_memory(process.pid)) is not None:
        rows.append(("— o pico", f"{peak / MIB:.0f} MiB", "5120 MiB"))
    return rows


def peak_memory(pid: int) -> int | None:
    """Bytes, where Linux tells them."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")]
    return found[0] if found else None


if __name__ == "__main__":
    main()
