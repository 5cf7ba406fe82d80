"""The quizzes: well-formed questions, what each answer gets, and the panel that shows them."""

import re
import sys
from collections import Counter

import pytest

import helpers
from helpers import logbook, widgets
from helpers.errors import CourseError
from helpers.quizzes.questions import LETTERS, notebooks
from tests.fresh_python import loaded_by

NUMBERS = [f"{number:02}" for number in range(12)]
QUESTIONS = [question for number in NUMBERS for question in helpers.quiz(number).questions]
LONGEST_TO_SHORTEST = 1.5


def right_letter(question):
    return next(
        letter for letter, option in zip(LETTERS, question.options, strict=True) if option.right
    )


@pytest.fixture(params=QUESTIONS, ids=lambda question: question.id)
def question(request):
    return request.param


@pytest.fixture
def kept(monkeypatch, tmp_path):
    """A progress file of the test's own."""
    monkeypatch.setenv(logbook.VARIABLE, str(tmp_path / "progresso.json"))
    return lambda: logbook.read().entries


# --- the questions ---------------------------------------------------------------------------


def test_every_notebook_has_four_questions():
    assert notebooks() == NUMBERS
    assert Counter(question.notebook for question in QUESTIONS) == dict.fromkeys(NUMBERS, 4)
    assert len({question.text for question in QUESTIONS}) == len(QUESTIONS)


def test_one_right_option_and_a_reason_for_each(question):
    assert len(question.options) == 4
    assert sum(option.right for option in question.options) == 1
    for option in question.options:
        assert option.why.endswith((".", ":")) and len(option.why) >= 40, option
        assert option.why[0].isupper() or option.why[0] in "`“", option
        assert option.text not in option.why
    for told in ([option.text for option in question.options], [o.why for o in question.options]):
        assert len(set(told)) == 4


def test_options_look_alike(question):
    lengths = [len(option.text) for option in question.options]
    assert max(lengths) <= LONGEST_TO_SHORTEST * min(lengths)
    assert max(lengths) <= 80
    assert not any(option.text.endswith((".", ";", ":")) for option in question.options)


def test_the_question_asks_something(question):
    assert question.text.endswith("?")
    assert 30 <= len(question.text) <= 200
    assert question.text.count("`") % 2 == 0


def test_the_place_and_the_length_give_nothing_away():
    places = Counter(right_letter(question) for question in QUESTIONS)
    assert all(8 <= places[letter] <= 16 for letter in LETTERS), places
    for number in NUMBERS:
        letters = {right_letter(question) for question in helpers.quiz(number).questions}
        assert len(letters) >= 3, number
    assert sum(is_the_longest(question) for question in QUESTIONS) <= len(QUESTIONS) / 3


def is_the_longest(question):
    """Whether the right option is longer than every other."""
    lengths = [len(option.text) for option in question.options]
    right = next(len(option.text) for option in question.options if option.right)
    return right == max(lengths) and lengths.count(right) == 1


# --- answers ---------------------------------------------------------------------------------


def test_each_letter_gets_its_reason(question):
    for letter, option in zip(LETTERS, question.options, strict=True):
        feedback = helpers.quiz(question.notebook).answer(question.number, letter)
        assert feedback.status == ("passed" if option.right else "wrong")
        assert option.why in repr(feedback)
        assert f"pergunta {question.number}, opção {letter}" in feedback.heading
        assert ("Escolha outra opção" in repr(feedback)) is not option.right


@pytest.mark.parametrize("letter", ["a", "A", " a ", "a)", "(a)"])
def test_a_letter_may_be_written_in_several_ways(letter):
    assert helpers.quiz("04").answer(1, letter).heading.endswith("opção a")


def test_the_number_may_come_as_text():
    assert repr(helpers.quiz("04").answer("2", "a")) == repr(helpers.quiz("04").answer(2, "a"))


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: helpers.quiz("04").answer(1, "e"), "a, b, c, d"),
        (lambda: helpers.quiz("04").answer(1, "?"), "a, b, c, d"),
        (lambda: helpers.quiz("04").answer(1, ""), "o número da pergunta e a letra"),
        (lambda: helpers.quiz("04").answer("d"), "o número da pergunta e a letra"),
        (lambda: helpers.quiz("04").answer(1, "ab"), "a, b, c, d"),
        (lambda: helpers.quiz("04").answer(0, "a"), "de 1 a 4"),
        (lambda: helpers.quiz("04").answer("um", "a"), "de 1 a 4"),
        (lambda: helpers.quiz("12"), "00, 01"),
        (lambda: helpers.quiz(4), "00, 01"),
        (lambda: helpers.quiz("../pt/nb04"), "00, 01"),
    ],
)
def test_what_does_not_exist_is_a_sentence(ask, words):
    with pytest.raises(CourseError, match=re.escape(words)):
        ask()


def test_answers_are_written_down(kept):
    question = helpers.quiz("04").questions[0]
    right = right_letter(question)
    wrong = next(letter for letter in LETTERS if letter != right)
    for letter in (wrong, right, wrong, right):
        question.answer(letter)
    assert kept() == {"04.quiz.1": logbook.Entry(tries=2, passed=True)}


def test_a_wrong_letter_is_no_try(kept):
    with pytest.raises(CourseError):
        helpers.quiz("04").answer(1, "z")
    assert kept() == {}


# --- how it is shown -------------------------------------------------------------------------


@pytest.mark.parametrize("number", NUMBERS)
def test_both_twins_hold_every_question_and_option(number):
    quiz = helpers.quiz(number)
    plain = repr(quiz).replace("`", "")
    html = re.sub(r"<[^>]+>", "", quiz._repr_html_())
    for place, question in enumerate(quiz.questions, 1):
        assert f"{place}. {question.text}".replace("`", "") in plain
        for letter, option in question.lettered:
            words = f"{letter}) {option}".replace("`", "")
            assert words in plain
            assert words.replace('"', "&quot;") in html
    assert f'helpers.quiz("{number}").answer(1, "a")' in repr(quiz)
    assert len(repr(quiz).encode()) + len(quiz._repr_html_().encode()) < 6000


def test_nothing_shown_tells_the_right_option(question):
    quiz = helpers.quiz(question.notebook)
    shown = str(quiz._repr_mimebundle_()) + repr(quiz)
    assert not any(option.why in shown for option in question.options)
    assert "right" not in shown and "Certo" not in shown


def test_the_panel_says_what_the_twin_says():
    quiz = helpers.quiz("04")
    shown = quiz._repr_mimebundle_()
    assert shown["text/plain"] == repr(quiz) and shown["text/html"] == quiz._repr_html_()
    assert set(shown) == {widgets.WIDGET_VIEW, "text/plain", "text/html"}
    panel = quiz.panel()
    for question in quiz.questions:
        labels = [label for label, _ in panel.controls[f"choice_{question.number}"].options]
        assert labels == [f"{a}) {words}".replace("`", "") for a, words in question.lettered]
        assert panel.controls[f"choice_{question.number}"].value is None
        description = panel.controls[f"check_{question.number}"].description
        assert description == f"Conferir a pergunta {question.number}"


def test_the_panel_answers_when_the_button_is_pressed_and_not_before(kept):
    quiz = helpers.quiz("04")
    panel = quiz.panel()
    said = panel.widget.children[4]  # style, question, choice, button, what is said
    total = panel.widget.children[-1]
    assert said.value == '<div role="status"></div>'
    panel.controls["check_1"].click()
    assert "Escolha uma das opções" in said.value and kept() == {}
    for option, letter in zip(quiz.questions[0].options, LETTERS, strict=True):
        before = said.value
        panel.controls["choice_1"].value = letter
        assert said.value == before
        panel.controls["check_1"].click()
        assert said.value.startswith('<div role="status">')
        assert ("Certo" if option.right else "Ainda não") in said.value
    assert "1 de 4" in total.value
    assert kept()["04.quiz.1"].passed


def test_without_widgets_the_letters_remain(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    shown = helpers.quiz("04")._repr_mimebundle_()
    assert set(shown) == {"text/plain", "text/html"}
    assert helpers.quiz("04").answer(1, "b").status in ("passed", "wrong")


def test_nothing_heavy_is_imported_to_show_the_text():
    heavy = {"numpy", "torch", "IPython", "ipywidgets", "requests"}
    assert loaded_by("import helpers; repr(helpers.quiz('04'))", heavy) == []
