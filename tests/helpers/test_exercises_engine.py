"""The exercise engine: what is blank, what is wrong, how it is told."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from huggingface_hub import QuestionAnsweringOutputElement

from helpers import messages
from helpers.errors import CourseError
from helpers.exercises import (
    Case,
    Exercise,
    Wrong,
    WrongAnswer,
    call,
    exercise,
    exercises_of,
    expect_close,
    expect_equal,
    expect_keys,
    expect_type,
    run_cases,
)
from helpers.exercises.blank import is_blank
from helpers.exercises.describe import (
    describe,
    describe_call,
    describe_error,
    number,
    type_name,
    type_names,
)
from helpers.exercises.feedback import BAR_COLOURS, Feedback
from tests.fresh_python import loaded_by

TEXTS = {
    "title": "Some dois números",
    "hints": ["Pense no sinal `+`.", "Devolva `a + b`."],
    "not_a_name": "{name} não é um nome; veio {got}.",
}
CASES = [((1, 2), 3), ((2.5, 0), 2.5), (("a", "b"), "ab")]
SOLUTION = "def add(a, b):\n    return a + b"


def check_add(function):
    run_cases(function, CASES)


def make(check=check_add, **options):
    return Exercise(
        **{
            "id": "99.1",
            "level": "direto",
            "objective": 1,
            "check": check,
            "solution": SOLUTION,
            "wrong": (WrongAnswer("add = sum", expect="Esperado"),),
        }
        | options
    )


@pytest.fixture(autouse=True)
def own_texts(monkeypatch):
    monkeypatch.delenv("COURSE_LANG", raising=False)
    section = messages._locale(messages.DEFAULT_LANGUAGE)["exercises"]
    monkeypatch.setitem(section, "99.1", dict(TEXTS))
    return section["99.1"]


# --- blank answers ---------------------------------------------------------------------------


def empty(a, b): ...


def only_pass(a, b):
    pass


def documented(a, b):
    """Add two numbers."""
    ...


def returns_dots(a, b):
    return ...


def with_gap(a, b):
    total = ...
    return total


def with_gap_in_call(a, b):
    return max(a, ...)


def add(a, b):
    return a + b


def indexes(scores, b):
    scores[...] = b
    return scores[...]


def returns_none(a, b):
    print(a)


@pytest.mark.parametrize(
    "answer",
    [
        ...,
        "...",
        " … ",
        "Meu nome é ___.",
        {"inputs": {"question": "Quem?", "context": ...}},
        [1, ...],
        {...},
        empty,
        only_pass,
        documented,
        returns_dots,
        with_gap,
        with_gap_in_call,
        lambda a, b: ...,
    ],
)
def test_stub_is_not_attempted(answer):
    assert is_blank(answer)
    feedback = make().check(answer)
    assert feedback.status == "not_attempted"
    assert repr(feedback).startswith("Ainda não tentado")


@pytest.mark.parametrize(
    "answer", [0, "", [], {}, False, "Espere... pronto.", add, indexes, returns_none, len, int]
)
def test_an_attempt_is_not_blank(answer):
    assert not is_blank(answer)


def test_stub_is_never_called():
    def stub(a, b):
        calls.append(a)
        return ...

    calls = []
    assert make().check(stub).status == "not_attempted"
    assert calls == []


def test_none_is_a_gap_unless_the_exercise_accepts_it():
    def check(answer):
        if answer is not None:
            raise Wrong("exercises.different", got=answer)

    assert make(check).check(None).status == "not_attempted"
    assert "return" in repr(make(check).check(None))
    assert make(check, accepts_none=True).check(None).status == "passed"


def test_several_answers_and_a_changed_check_line():
    pair = make(lambda first, second: None)
    assert pair.check(1, 2).status == "passed"
    assert pair.check(1, ...).status == "not_attempted"
    assert pair.check(1).status == "not_attempted"


# --- right and wrong -------------------------------------------------------------------------


def test_right_answer_passes_with_a_warm_sentence(own_texts):
    assert make().check(add).status == "passed"
    assert repr(make().check(add)).startswith("Certo · exercício 99.1 (direto)\n")
    own_texts["passed"] = "Somou como gente grande!"
    assert "gente grande" in repr(make().check(add))


def test_praise_varies_with_the_exercise(monkeypatch):
    section = messages._locale(messages.DEFAULT_LANGUAGE)["exercises"]
    for last in range(1, 5):
        monkeypatch.setitem(section, f"99.{last}", TEXTS)
    praises = {make(id=f"99.{last}").check(add).sentences for last in range(1, 5)}
    assert len(praises) == 4


def test_wrong_answer_says_what_was_expected_and_where_to_get_help():
    feedback = make().check(lambda a, b: 4)
    assert feedback.status == "wrong"
    assert repr(feedback).splitlines() == [
        "Ainda não · exercício 99.1 (direto)",
        "O resultado é diferente do esperado.",
        "Entrada: f(1, 2)",
        "Esperado: 3",
        "Veio: 4",
        'Quer ajuda? Peça uma dica: `helpers.exercise("99.1").hint()`',
    ]


def test_a_value_is_not_given_away():
    feedback = make(check=lambda answer: expect_equal(answer, 42)).check(41)
    assert "Veio: 41" in repr(feedback)
    assert "42" not in repr(feedback)


def test_all_cases_are_tried():
    assert "Entrada: add_numbers('a', 'b')" in repr(make().check(add_numbers))


def add_numbers(a, b):
    return a + b if not isinstance(a, str) else a


def test_exception_in_the_answer_becomes_a_sentence():
    def divide(a, b):
        return a / (b - b)

    told = repr(make().check(divide))
    assert "ZeroDivisionError" in told
    assert "Entrada: divide(1, 2)" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("answer", "fragment"),
    [
        (lambda a: a, "não aceita estes argumentos"),
        (3, "esperávamos uma função"),
        (returns_none, "Falta um `return`?"),
    ],
)
def test_common_slips_have_their_own_sentence(answer, fragment):
    feedback = make().check(answer)
    assert feedback.status == "wrong"
    assert fragment in repr(feedback)


def test_the_exercise_has_its_own_sentences():
    def check(answer):
        raise Wrong("not_a_name", got=answer, name="Ana")

    assert "Ana não é um nome; veio 1.234,5." in repr(make(check).check(1234.5))


def test_unforeseen_answer_does_not_show_a_traceback():
    feedback = make(lambda answer: answer.strip()).check(3)
    assert feedback.status == "wrong"
    assert "um número inteiro (int)" in repr(feedback)
    assert "AttributeError" in repr(feedback)


@pytest.mark.parametrize("kind", [CourseError, ConnectionError, ModuleNotFoundError])
def test_trouble_outside_the_answer_is_not_the_learners_fault(kind):
    def check(answer):
        raise kind("O servidor não respondeu.")

    with pytest.raises(kind, match="servidor"):
        make(check).check(3)


def test_cases_are_safe_from_functions_that_change_their_input():
    values = [3, 1, 2]

    def sort_in_place(items):
        items.sort()
        return items

    cases = [Case((values,), [1, 2, 3]), Case((), [1, 2, 3], {"items": values})]
    run_cases(sort_in_place, cases)
    assert values == [3, 1, 2]


@pytest.mark.parametrize(
    "passing",
    [
        lambda: expect_type("a", str),
        lambda: expect_type(1, int, float),
        lambda: expect_type(True, bool),
        lambda: expect_equal({"a": [1, 2]}, {"a": [1, 2]}),
        lambda: expect_equal(np.array([1, 2]), np.array([1, 2])),
        lambda: expect_close(0.12345, 0.1234),
        lambda: expect_close([0.1, 0.2], (0.1, 0.2)),
        lambda: expect_close(np.array([0.1, 0.2]), [0.1, 0.2]),
        lambda: expect_keys({"inputs": {}}, ["inputs"]),
    ],
)
def test_comparers_accept(passing):
    assert passing() is None


@pytest.mark.parametrize(
    ("failing", "key"),
    [
        (lambda: expect_type(1, str), "exercises.wrong_type"),
        (lambda: expect_type(True, int), "exercises.wrong_type"),
        (lambda: expect_equal(1, 2), "exercises.different"),
        (lambda: expect_equal(np.array([1, 2]), np.array([1, 3])), "exercises.different"),
        (lambda: expect_close(0.5, 0.4), "exercises.different"),
        (lambda: expect_close("0.4", 0.4), "exercises.different"),
        (lambda: expect_close(True, 1.0), "exercises.different"),
        (lambda: expect_close([0.1], [0.1, 0.2]), "exercises.different"),
        (lambda: expect_close(float("nan"), 0.4), "exercises.different"),
        (lambda: expect_keys({}, ["inputs"]), "exercises.missing_key"),
        (lambda: expect_keys([], ["inputs"]), "exercises.wrong_type"),
        (lambda: call(len, 3), "exercises.raised"),
    ],
)
def test_comparers_reject(failing, key):
    with pytest.raises(Wrong) as caught:
        failing()
    assert caught.value.key == key


# --- how values are described ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1234567, "1.234.567"),
        (1234.5, "1.234,5"),
        (0.98765432, "0,987654"),
        (True, "True"),
        (None, "None"),
        ("Ana", "'Ana'"),
        ([0.5, "a"], "[0.5, 'a']"),
        ({"score": 0.1 + 0.2}, "{'score': 0.3}"),
        ((1,), "(1,)"),
        ((1, 2), "(1, 2)"),
        ({"b", "a"}, "{'a', 'b'}"),
        (list(range(20)), "[0, 1, 2, 3, 4, 5, 6, 7, …]"),
        (np.float64(0.25), "0,25"),
        (np.zeros((2, 3)), "ndarray com formato (2, 3)"),
        (add, "a função add"),
        (int, "o tipo int"),
        (SimpleNamespace(answer="Ana", score=0.5), "SimpleNamespace(answer='Ana', score=0.5)"),
        (
            QuestionAnsweringOutputElement(answer="Ana", score=0.5, start=0, end=3),
            "QuestionAnsweringOutputElement(answer='Ana', end=3, score=0.5, start=0)",
        ),
        (Case((1,), object()), "Case(arguments=(1,), expected=um objeto do tipo object, named={})"),
        (object(), "um objeto do tipo object"),
        ([object()], "[um objeto do tipo object]"),
    ],
)
def test_describe(value, written):
    assert describe(value) == written


def test_described_values_are_short_and_show_no_token_or_address():
    token = "hf_" + "x" * 34
    assert len(describe("a" * 5000)) <= 160
    assert "xxx" not in describe(f"Bearer {token}")
    assert describe_error(ValueError(f"{token}\nsegunda linha")) == "ValueError: hf_…"
    assert "0x" not in describe_error(TypeError(f"bad {object()!r}"))
    assert describe_error(KeyError()) == "KeyError"
    assert describe_error(ValueError("use `x`")) == "ValueError: use 'x'"


def test_describe_call_and_type():
    assert describe_call(add, (1.5, "a"), {"c": None}) == "add(1.5, 'a', c=None)"
    assert type_name(str) == "um texto (str)"
    assert type_name(np.ndarray) == "ndarray"
    assert type_names((str,)) == "um texto (str)"
    assert type_names((set, list, int)) == (
        "um conjunto (set), uma lista (list) ou um número inteiro (int)"
    )
    assert number(-1234.5) == "-1.234,5"


# --- hints and solution ----------------------------------------------------------------------


def test_hints_come_in_steps_and_then_point_to_the_solution():
    told = [repr(asked.hint()) for asked in [make()] * 3]
    assert told[0].startswith("Dica 1 de 2")
    assert "Devolva" not in told[0]
    assert "solution()" not in told[0]
    assert told[1].startswith("Dica 2 de 2")
    assert 'helpers.exercise("99.1").solution()' in told[1]
    assert told[2].startswith("Todas as dicas")
    assert all(hint in told[2] for hint in TEXTS["hints"])


def test_solution_shows_source_code_in_both_twins():
    feedback = make().solution()
    assert "\n    def add(a, b):\n        return a + b" in repr(feedback)
    assert f">{SOLUTION}</pre>" in feedback._repr_html_()


def test_exercise_introduces_itself():
    assert repr(make()).startswith("Some dois números · exercício 99.1 (direto)")
    assert make(level="desafio").title in make(level="desafio")._repr_html_()
    assert "(desafio)" in repr(make(level="desafio"))


# --- the box ---------------------------------------------------------------------------------


def test_html_is_escaped_and_says_what_the_text_says():
    hostile = "<script>alert('x')</script>"
    feedback = make(lambda answer: expect_equal(answer, "b")).check(hostile)
    box = feedback._repr_html_()
    assert "<script>" not in box
    assert "&lt;script&gt;" in box
    words = re.sub(r"<[^>]+>", "", box)
    assert words.strip().startswith("Ainda não")
    for sentence in (*feedback.sentences, feedback.facts[0][0]):
        assert sentence.replace("`", "") in words


def test_same_answer_gives_the_same_box():
    boxes = {make().check(answer)._repr_html_() for answer in (lambda a, b: a, lambda a, b: a)}
    assert len(boxes) == 1
    assert not re.search(r"0x[0-9a-f]+|\bid=", boxes.pop())


def luminance(colour):
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("background", ["#ffffff", "#111111"], ids=["light", "dark"])
def test_only_the_bar_has_a_colour_and_it_is_seen_in_both_themes(background):
    for status, colour in BAR_COLOURS.items():
        assert contrast(colour, background) >= 3, status
        box = Feedback(status, "Título", ("Frase com `código`.",))._repr_html_()
        assert re.findall(r"#[0-9a-f]{6}", box) == [colour]
        assert not re.search(r"(?<![-\w])(color|background)\s*:", box)


# --- finding exercises -----------------------------------------------------------------------


def test_every_defined_exercise_is_found_by_its_id():
    for notebook in (f"{place:02}" for place in range(12)):
        for definition in exercises_of(notebook):
            assert exercise(definition.id) is definition


@pytest.mark.parametrize("id", ["4.1", "04", "abc", "", None, "98.1", "04.99"])
def test_unknown_exercise_is_a_sentence(id):
    with pytest.raises(CourseError) as caught:
        exercise(id)
    assert str(caught.value).endswith(".")


def test_unknown_exercise_lists_the_known_ones(monkeypatch):
    monkeypatch.setattr("helpers.exercises.exercises_of", lambda notebook: (make(),))
    assert exercise("99.1").id == "99.1"
    with pytest.raises(CourseError, match=r"No notebook 99 há: 99\.1\."):
        exercise("99.2")


def test_engine_imports_the_standard_library_alone():
    heavy = {"numpy", "torch", "IPython", "requests"}
    assert loaded_by("import helpers.exercises", heavy) == []
