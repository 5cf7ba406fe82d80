"""Figures of a classifier, against what is worked out by hand."""

import random

import pytest

from helpers import evaluation
from helpers.errors import CourseError

LABELS = ("negativo", "neutro", "positivo")
EXPECTED = ["positivo", "positivo", "neutro", "negativo", "negativo", "negativo"]
ANSWERS = ["positivo", "neutro", "neutro", "negativo", "negativo", "positivo"]


def test_figures_worked_out_by_hand():
    found = evaluation.evaluate(EXPECTED, ANSWERS, LABELS)
    assert found.matrix == [[2, 0, 1], [0, 1, 0], [0, 1, 1]]
    assert found.f1 == pytest.approx((4 / 5, 2 / 3, 1 / 2))
    assert found.macro_f1 == pytest.approx((4 / 5 + 2 / 3 + 1 / 2) / 3)
    assert found.accuracy == pytest.approx(4 / 6)
    assert found.count == 6
    assert found.low <= found.macro_f1 <= found.high


def test_figures_are_those_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = random.Random(1)
    expected = [rng.randrange(3) for _ in range(200)]
    answers = [label if rng.random() < 0.7 else rng.randrange(3) for label in expected]
    found = evaluation.evaluate(expected, answers, LABELS)
    assert found.macro_f1 == pytest.approx(metrics.f1_score(expected, answers, average="macro"))
    assert found.accuracy == pytest.approx(metrics.accuracy_score(expected, answers))
    assert found.matrix == metrics.confusion_matrix(expected, answers).tolist()


def test_classes_are_given_by_name_or_by_place():
    by_place = [LABELS.index(label) for label in EXPECTED]
    assert evaluation.evaluate(by_place, ANSWERS, LABELS) == evaluation.evaluate(
        EXPECTED, ANSWERS, LABELS
    )


def test_the_interval_narrows_with_more_sentences_and_repeats():
    rng = random.Random(0)
    expected = [rng.choice(LABELS) for _ in range(400)]
    answers = [label if rng.random() < 0.8 else "neutro" for label in expected]
    widths = []
    for size in (40, 400):
        low, high = evaluation.interval(expected[:size], answers[:size], LABELS, samples=300)
        assert (low, high) == evaluation.interval(
            expected[:size], answers[:size], LABELS, samples=300
        )
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_the_interval_holds_the_true_figure_about_95_times_in_100():
    """Sets of 150 sentences, drawn where the true macro-F1 is known to be 0.8."""
    rng = random.Random(3)
    held = 0
    for trial in range(100):
        expected = [rng.randrange(3) for _ in range(150)]
        # One answer in five is wrong, either way alike: F1 is 0.8 for each class.
        answers = [
            label if rng.random() < 0.8 else (label + rng.choice((1, 2))) % 3 for label in expected
        ]
        low, high = evaluation.interval(expected, answers, range(3), samples=200, seed=trial)
        held += low <= 0.8 <= high
    assert held >= 88


def test_two_classifiers_are_told_apart_on_the_same_sentences():
    rng = random.Random(5)
    expected = [rng.randrange(3) for _ in range(300)]
    good = [label if rng.random() < 0.8 else rng.randrange(3) for label in expected]
    # The worse one makes the same mistakes, and a few more.
    worse = [(label + 1) % 3 if rng.random() < 0.05 else label for label in good]
    low, high = evaluation.difference(expected, good, worse, range(3), samples=400)
    assert 0 < low < high < 0.15
    assert evaluation.difference(expected, good, good, range(3), samples=50) == (0, 0)
    own = [evaluation.interval(expected, each, range(3), samples=400) for each in (good, worse)]
    assert own[0][0] < own[1][1], "their own intervals overlap"


@pytest.mark.parametrize(
    ("expected", "answers", "fragment"),
    [
        (["positivo"], ["positivo", "neutro"], "1 de um lado e 2 do outro"),
        ([], [], "nenhuma frase"),
        (["positivo"], ["POSITIVE"], "'POSITIVE' não é nenhuma das classes"),
        ([3], [0], "3 não é nenhuma das classes"),
        ([-1], [0], "-1 não é nenhuma das classes"),
    ],
)
def test_what_cannot_be_compared_is_said(expected, answers, fragment):
    with pytest.raises(CourseError, match=fragment):
        evaluation.evaluate(expected, answers, LABELS)


def test_results_show_each_classifier_in_a_row():
    found = evaluation.evaluate(EXPECTED, ANSWERS, LABELS)
    shown = evaluation.results({"maioria": found, "treinado": found})
    assert [row[0] for row in shown.rows] == ["maioria", "treinado"]
    assert "65,6" in repr(shown) and "intervalo de 95 %" in repr(shown)
    assert "66,7" in repr(found)


def test_the_matrix_is_told_in_words():
    chart = evaluation.confusion_chart(evaluation.evaluate(EXPECTED, ANSWERS, LABELS))
    assert "negativo (3 frases): 2 como negativo, 0 como neutro, 1 como positivo" in chart.alt
    assert chart.png().startswith(b"\x89PNG")


def test_errors_come_with_the_surest_first():
    texts = [f"frase {place}" for place in range(6)]
    scores = [0.9, 0.6, 0.9, 0.9, 0.9, 0.8]
    shown = evaluation.errors(texts, EXPECTED, ANSWERS, LABELS, scores=scores)
    assert [row[0] for row in shown.rows] == ["frase 5", "frase 1"]
    assert [row[1:3] for row in shown.rows] == [("negativo", "positivo"), ("positivo", "neutro")]
    first = evaluation.errors(texts, EXPECTED, ANSWERS, LABELS, limit=1)
    assert [row[0] for row in first.rows] == ["frase 1"]
    with pytest.raises(CourseError):
        evaluation.errors(texts[1:], EXPECTED, ANSWERS, LABELS)
