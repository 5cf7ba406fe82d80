"""Exercises of notebook 10, `boas_praticas`."""

from collections.abc import Callable
from functools import partial
from typing import Any

from helpers.exercises import (
    Exercise,
    Wrong,
    WrongAnswer,
    expect_close,
    expect_equal,
    expect_type,
    run_cases,
)

CANDIDATES = [
    {"candidato": "grande", "macro-F1": 0.81, "memória (MB)": 900, "licença": "apache-2.0"},
    {"candidato": "fechado", "macro-F1": 0.86, "memória (MB)": 120, "licença": "cc-by-nc-4.0"},
    {"candidato": "médio", "macro-F1": 0.74, "memória (MB)": 160, "licença": "mit"},
    {"candidato": "pequeno", "macro-F1": 0.7, "memória (MB)": 80, "licença": "apache-2.0"},
]

CHOICES: list[tuple[tuple[list[dict[str, Any]], float, set[str]], str | None]] = [
    ((CANDIDATES, 200, {"mit", "apache-2.0"}), "médio"),
    ((CANDIDATES, 160, {"mit"}), "médio"),
    ((CANDIDATES, 1000, {"mit", "apache-2.0"}), "grande"),
    ((CANDIDATES, 100, {"apache-2.0"}), "pequeno"),
    ((CANDIDATES, 50, {"mit", "apache-2.0"}), None),
    (([], 1000, {"mit"}), None),
]

IDS = ["p3", "p1", "p2", "p10"]

PENDING: list[tuple[tuple[list[str], list[str]], list[str]]] = [
    ((IDS, []), IDS),
    ((IDS, ['{"id": "p1", "answer": "sim"}', '{"id": "p10", "answer": "não"}']), ["p3", "p2"]),
    ((IDS, ['{"id": "p3", "answer": "às nove"}', '{"id": "p2", "answ']), ["p1", "p2", "p10"]),
    ((IDS, [f'{{"id": "{name}", "answer": ""}}' for name in reversed(IDS)]), []),
]

CHANGES: list[tuple[tuple[dict[str, str], dict[str, str]], dict[str, tuple[str, str | None]]]] = [
    (({"Adorei.": "positivo"}, {"Adorei.": "positivo"}), {}),
    (
        (
            {"Adorei.": "positivo", "Quebrou.": "negativo", "Chegou.": "neutro"},
            {"Adorei.": "negativo", "Quebrou.": "positivo", "Chegou.": "neutro"},
        ),
        {"Adorei.": ("positivo", "negativo"), "Quebrou.": ("negativo", "positivo")},
    ),
    (({"Adorei.": "positivo"}, {"Outra.": "neutro"}), {"Adorei.": ("positivo", None)}),
]

Pairs = list[tuple[float, float]]

BIASES: list[tuple[tuple[Pairs, Pairs], float]] = [
    (([(0.1, 0.5), (0.2, 0.4)], [(0.1, 0.2), (0.1, 0.2)]), 0.2),
    (([(0.3, 0.3)], [(0.1, 0.3)]), -0.2),
    (([(0.1, 0.4)], []), 0.3),
    (([(0.5, 0.2), (0.2, 0.5)], [(0.0, 0.0)]), 0.0),
]


def check_choose(function: Callable[..., Any]) -> None:
    """The best of those that fit and may be used."""
    run_cases(function, CHOICES)


def check_pending(function: Callable[..., Any]) -> None:
    """What has no whole line yet, in the original order."""
    run_cases(function, PENDING, compare=_same_pending)


def _same_pending(returned: Any, expected: list[str]) -> None:
    expect_type(returned, list, tuple)
    if list(returned) != expected and sorted(returned) == sorted(expected):
        raise Wrong("other_order", expected=expected, got=returned)
    expect_equal(list(returned), expected)


def check_changes(function: Callable[..., Any]) -> None:
    """The sentences whose label changed, and a missing one."""
    run_cases(function, CHANGES, compare=_same_changes)


def _same_changes(returned: Any, expected: dict[str, tuple[str, str | None]]) -> None:
    expect_type(returned, dict)
    expect_equal({name: tuple(pair) for name, pair in returned.items()}, expected)


def check_excess_bias(function: Callable[..., Any]) -> None:
    """Mean difference of the pairs, less that of the controls."""
    for arguments, expected in BIASES:
        key = "exercises.different" if arguments[1] else "no_controls"
        run_cases(function, [(arguments, expected)], compare=partial(_same_bias, key=key))


def _same_bias(returned: Any, expected: float, *, key: str) -> None:
    expect_type(returned, float, int)
    expect_close(returned, expected, within=1e-6, key=key)


EXERCISES = (
    Exercise(
        id="10.1",
        level="direto",
        objective=1,
        check=check_choose,
        solution="""
def choose(candidates, max_megabytes, licences):
    fitting = [
        item
        for item in candidates
        if item["memória (MB)"] <= max_megabytes and item["licença"] in licences
    ]
    if not fitting:
        return None
    return max(fitting, key=lambda item: item["macro-F1"])["candidato"]
""",
        wrong=(
            WrongAnswer(
                "def choose(candidates, max_megabytes, licences):\n"
                "    fitting = [c for c in candidates if c['memória (MB)'] <= max_megabytes]\n"
                "    return max(fitting, key=lambda c: c['macro-F1'])['candidato']",
                expect="Esperado",
            ),
            WrongAnswer(
                "def choose(candidates, max_megabytes, licences):\n"
                "    fitting = [c for c in candidates if c['licença'] in licences\n"
                "               and c['memória (MB)'] <= max_megabytes]\n"
                "    return max(fitting, key=lambda c: c['macro-F1'])['candidato']",
                expect="erro",
            ),
        ),
    ),
    Exercise(
        id="10.2",
        level="direto",
        objective=2,
        check=check_pending,
        solution="""
def pending(ids, lines):
    done = set()
    for line in lines:
        try:
            done.add(json.loads(line)["id"])
        except json.JSONDecodeError:
            continue
    return [name for name in ids if name not in done]
""",
        wrong=(
            WrongAnswer(
                "def pending(ids, lines):\n"
                "    done = {json.loads(line)['id'] for line in lines}\n"
                "    return [name for name in ids if name not in done]",
                expect="erro",
            ),
            WrongAnswer(
                "def pending(ids, lines):\n"
                "    done = {line.split('\"')[3] for line in lines if line.endswith('}')}\n"
                "    return sorted(set(ids) - done)",
                expect="ordem",
            ),
        ),
    ),
    Exercise(
        id="10.3",
        level="direto",
        objective=5,
        check=check_changes,
        solution="""
def changes(before, after):
    return {
        text: (label, after.get(text))
        for text, label in before.items()
        if after.get(text) != label
    }
""",
        wrong=(
            WrongAnswer(
                "def changes(before, after):\n"
                "    return [text for text in before if before[text] != after.get(text)]",
                expect="dicionário",
            ),
            WrongAnswer(
                "def changes(before, after):\n"
                "    return {t: (before[t], after[t]) for t in before if before[t] != after[t]}",
                expect="erro",
            ),
        ),
    ),
    Exercise(
        id="10.4",
        level="desafio",
        objective=6,
        check=check_excess_bias,
        solution="""
def excess_bias(pairs, controls):
    def mean_rise(items):
        return sum(marked - plain for plain, marked in items) / len(items) if items else 0.0

    return mean_rise(pairs) - mean_rise(controls)
""",
        wrong=(
            WrongAnswer(
                "def excess_bias(pairs, controls):\n"
                "    return sum(b - a for a, b in pairs) / len(pairs)",
                expect="Esperado",
            ),
            WrongAnswer(
                "def excess_bias(pairs, controls):\n"
                "    rise = lambda items: sum(b - a for a, b in items) / len(items)\n"
                "    return rise(pairs) - rise(controls)",
                expect="erro",
            ),
        ),
    ),
)
