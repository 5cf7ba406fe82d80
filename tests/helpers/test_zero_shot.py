"""Zero-shot classification by similarity, with the real encoder."""

import numpy as np
import pytest

from helpers import zero_shot
from helpers.embedded import store
from helpers.errors import CourseError
from helpers.zero_shot import ZeroShotClassifier

SUBJECTS = ["esporte", "política", "culinária"]
MATCH = "O time ganhou o campeonato nos pênaltis."
RECIPE = "Bata os ovos com o açúcar e leve ao forno por meia hora."


@pytest.fixture(scope="module")
def classifier():
    return ZeroShotClassifier.from_pretrained(str(store.ensure("curso/e5-pt-en")))


def test_the_nearest_label_comes_first_and_scores_sum_to_one(classifier):
    ranking = classifier(MATCH, SUBJECTS)
    assert [entry["label"] for entry in ranking][0] == "esporte"
    assert sorted(entry["label"] for entry in ranking) == sorted(SUBJECTS)
    scores = [entry["score"] for entry in ranking]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1)


def test_several_texts_are_answered_like_each_by_itself(classifier):
    together = classifier([MATCH, RECIPE], SUBJECTS)
    assert [ranking[0]["label"] for ranking in together] == ["esporte", "culinária"]
    for ranking, text in zip(together, [MATCH, RECIPE], strict=True):
        alone = classifier(text, SUBJECTS)
        assert [entry["label"] for entry in ranking] == [entry["label"] for entry in alone]
        scores = [[entry["score"] for entry in one] for one in (ranking, alone)]
        assert np.allclose(*scores, atol=1e-3)


def test_with_several_labels_each_is_judged_by_itself(classifier):
    few = classifier(MATCH, SUBJECTS[:2], multi_label=True)
    many = classifier(MATCH, SUBJECTS, multi_label=True)
    scores = {entry["label"]: entry["score"] for entry in many}
    for entry in few:
        assert scores[entry["label"]] == pytest.approx(entry["score"], abs=1e-3)
    assert scores["esporte"] > 0.3 > scores["culinária"]


def test_a_single_label_is_not_certain_just_because_it_is_alone(classifier):
    (right,) = classifier(MATCH, ["esporte"])
    (wrong,) = classifier(MATCH, ["culinária"])
    assert 0 < wrong["score"] < 0.3 < right["score"] < 1


def test_the_template_changes_the_scores_and_is_not_a_format_string(classifier):
    plain = classifier(MATCH, SUBJECTS)
    other = classifier(MATCH, SUBJECTS, hypothesis_template="A receita é de {}.")
    assert [entry["score"] for entry in plain] != [entry["score"] for entry in other]
    # str.format would take this for an attribute of the label, or for 10 GB of spaces
    harmless = "{} {0.__class__} {:>9999999999}"
    assert len(classifier(MATCH, SUBJECTS, hypothesis_template=harmless)) == 3


def test_scores_from_cosines():
    cosines = np.array([[0.80, 0.85, 0.90]], dtype=np.float32)
    one = zero_shot.one_of(cosines, temperature=0.05)
    ratio = np.exp(1)  # 0.05 apart, divided by 0.05
    assert one[0, 1] / one[0, 0] == pytest.approx(ratio, rel=1e-4)
    assert one.sum() == pytest.approx(1)
    alone = zero_shot.each(cosines, threshold=0.85, scale=0.05)
    assert alone[0] == pytest.approx([1 / (1 + ratio), 0.5, ratio / (1 + ratio)], rel=1e-4)


@pytest.mark.parametrize(
    ("texts", "labels", "template", "word"),
    [
        ("", SUBJECTS, "{}", "texto para classificar"),
        ([], SUBJECTS, "{}", "texto para classificar"),
        ([MATCH, 3], SUBJECTS, "{}", "texto para classificar"),
        (MATCH, [], "{}", "rótulos"),
        (MATCH, ["a", " "], "{}", "rótulos"),
        (MATCH, SUBJECTS, "sem lugar", "no lugar dele"),
        (MATCH, SUBJECTS, None, "no lugar dele"),
    ],
)
def test_what_is_missing_is_said(classifier, texts, labels, template, word):
    with pytest.raises(CourseError, match=word):
        classifier(texts, labels, hypothesis_template=template)


def test_labels_may_come_as_one_text(classifier):
    assert classifier(MATCH, "esporte, política") == classifier(MATCH, ["esporte", "política"])


def test_a_model_that_does_not_exist(tmp_path):
    with pytest.raises(CourseError, match="Não consegui carregar o modelo"):
        ZeroShotClassifier.from_pretrained(str(tmp_path / "nada"))
