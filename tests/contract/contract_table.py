"""Make docs/contrato.md from the tests: which client proves what about which task.

Run ``python tests/contract/contract_table.py`` after adding or marking a contract test. Nothing is
executed: the tests are collected, and their markers
``@pytest.mark.contract(task=..., client=..., direction=...)`` are read.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
DOCUMENT = ROOT / "docs" / "contrato.md"

TASKS = {
    "question-answering": "perguntas e respostas",
    "text-classification": "classificação de textos",
    "zero-shot-classification": "classificação sem exemplos (zero-shot)",
    "feature-extraction": "incorporações (embeddings)",
    "sentence-similarity": "semelhança de frases",
    "translation": "tradução",
    "automatic-speech-recognition": "reconhecimento de fala",
    "image-classification": "classificação de imagens",
    "object-detection": "detecção de objetos",
    "token-classification": "classificação de tokens (sem modelo embutido: só o erro)",
    "conversational": "conversa (chat)",
    "chat-proxy": "conversa repassada a outro servidor (`--chat-url`)",
    "hub-models": "Hub: modelos",
    "hub-datasets": "Hub: conjuntos de dados",
    "hub-spaces": "Hub: Spaces",
    "hub-files": "Hub: arquivos",
    "hub-uploads": "Hub: repositórios do aluno (envio)",
    "dataset-viewer": "visualizador de dados",
    "whoami": "quem sou eu (whoami)",
    "token": "token",
    "faults": "falhas planejadas",
    "classroom": "servidor da turma",
}
CLIENTS = {
    "requests": "`requests`",
    "InferenceClient": "`InferenceClient`",
    "openai": "`openai`",
    "transformers": "`transformers`",
    "datasets": "`datasets`",
    "HfApi": "`HfApi`",
}
DIRECTIONS = {"request": "pedido", "answer": "resposta", "stream": "fluxo", "error": "erro"}

INTRODUCTION = """\
# O contrato, provado

O servidor embutido fala a língua do Hub e da API da Hugging Face. Esta tabela diz o que dessa
língua é provado por testes, com qual cliente: *pedido* (os parâmetros são aceitos e mudam a
resposta), *resposta* (a forma e os valores), *fluxo* (a resposta chega aos pedaços) e *erro* (o
status, o corpo e os cabeçalhos). Cada número é o de testes; o cliente é sempre o de verdade, sem
alteração.

Esta página é gerada dos próprios testes, por `python tests/contract/contract_table.py`; um teste
avisa quando ela envelhece.
"""


@dataclass(frozen=True)
class Proof:
    """One cell that one test proves."""

    task: str
    client: str
    direction: str
    test: str


class Collector:
    """A pytest plug-in that keeps the collected tests' markers."""

    def __init__(self) -> None:
        self.proofs: set[Proof] = set()
        self.unmarked: set[str] = set()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            test = f"{item.path.name}::{getattr(item, 'originalname', item.name)}"
            markers = list(item.iter_markers("contract"))
            for marker in markers:
                self.proofs |= set(_cells(marker, test))
            if not markers:
                self.unmarked.add(test)


def collect() -> Collector:
    """Return the markers of all contract tests, slow ones too."""
    collector = Collector()
    arguments = ["--collect-only", "--strict-markers", "-p", "no:cacheprovider", "-o", "addopts="]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        status = pytest.main([*arguments, str(FOLDER)], plugins=[collector])
    if status != pytest.ExitCode.OK:
        raise SystemExit(f"{said.getvalue()}the contract tests could not be collected")
    return collector


def render(proofs: set[Proof]) -> str:
    """Return the document.

    Raises:
        ValueError: A marker has a word that the table does not know.
    """
    for proof in proofs:
        for word, known in (
            (proof.task, TASKS),
            (proof.client, CLIENTS),
            (proof.direction, DIRECTIONS),
        ):
            if word not in known:
                raise ValueError(f"{proof.test}: {word!r} is none of {', '.join(known)}")
    return (
        "\n".join([INTRODUCTION, *_table(proofs), "", "## Os testes", "", *_listing(proofs)]) + "\n"
    )


def _cells(marker: pytest.Mark, test: str) -> list[Proof]:
    arguments = [_words(marker.kwargs[name]) for name in ("task", "client", "direction")]
    tasks, clients, directions = arguments
    return [Proof(t, c, d, test) for t in tasks for c in clients for d in directions]


def _words(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _table(proofs: set[Proof]) -> list[str]:
    counts: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for proof in proofs:
        counts[proof.task, proof.client][proof.direction] += 1
    lines = ["| Tarefa | " + " | ".join(CLIENTS.values()) + " |"]
    lines.append("| --- |" + " --- |" * len(CLIENTS))
    for task, name in TASKS.items():
        cells = [_cell(counts[task, client]) for client in CLIENTS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def _cell(counts: dict[str, int]) -> str:
    said = [f"{name} {counts[key]}" for key, name in DIRECTIONS.items() if counts.get(key)]
    return ", ".join(said) or "—"


def _listing(proofs: set[Proof]) -> list[str]:
    lines = []
    for task, name in TASKS.items():
        tests: dict[str, set[str]] = defaultdict(set)
        for proof in proofs:
            if proof.task == task:
                tests[proof.test].add(f"{CLIENTS[proof.client]} {DIRECTIONS[proof.direction]}")
        lines += [f"### {name[0].upper()}{name[1:]}", ""]
        lines += [f"- `{test}`: {', '.join(sorted(tests[test]))}" for test in sorted(tests)]
        lines += ["" if tests else "Ainda sem testes próprios.\n"]
    return lines[:-1]


def main() -> None:
    """Write the document, and name the tests that prove nothing for the table."""
    collector = collect()
    DOCUMENT.write_text(render(collector.proofs), encoding="utf-8")
    print(f"{DOCUMENT.relative_to(ROOT)}: {len(collector.proofs)} cells proved")
    for test in sorted(collector.unmarked):
        print(f"without a marker: {test}")


if __name__ == "__main__":
    if sys.argv[1:] == ["--print"]:
        sys.stdout.write(render(collect().proofs))
    else:
        main()
