"""The machinery of `exercise_runs.py`, on a made-up notebook that a real kernel executes."""

import sys

import exercise_runs
import nbformat
import pytest
from nbformat import v4

import helpers.exercises

DEFINITIONS = """
from helpers.exercises import Exercise, WrongAnswer, expect_equal


def check(answer):
    expect_equal(answer, 42)


GOOD = WrongAnswer("answer = 41", expect="Veio: 41")
EXERCISES = (
    Exercise(id="99.1", level="direto", objective=1, check=check, solution="answer = 6 * 7",
             wrong=(GOOD, WrongAnswer("answer = 'a'", expect="Veio: 'a'"))),
    Exercise(id="99.2", level="desafio", objective=1, check=check, solution="answer = 43",
             wrong=(WrongAnswer("answer = 42", expect=""), WrongAnswer("answer = 1", expect="x!"))),
)
"""


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """A notebook with a well defined exercise and a badly defined one."""
    (tmp_path / "nb99.py").write_text(DEFINITIONS)
    monkeypatch.setattr(helpers.exercises, "__path__", [*helpers.exercises.__path__, str(tmp_path)])
    cells = [
        "import helpers.exercises",
        f"helpers.exercises.__path__.append({str(tmp_path)!r})",
        'answer = ...\nhelpers.exercise("99.1").check(answer)',
        "assert answer == 42  # the solution stays for the cells after the exercise",
        'answer = 42\nhelpers.exercise("99.2").check(answer)',
    ]
    path = tmp_path / "99_mentira.ipynb"
    nbformat.write(v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in cells]), path)
    helpers.exercises.exercises_of.cache_clear()  # another test may have asked for notebook 99
    yield path
    helpers.exercises.exercises_of.cache_clear()
    sys.modules.pop("helpers.exercises.nb99", None)


def test_every_answer_is_executed_and_judged(made_up):
    copy, tried = exercise_runs.with_attempts(nbformat.read(made_up, as_version=4))
    executed = exercise_runs.run(copy, made_up.parent)
    assert exercise_runs.red_outputs(executed, tried) == []
    outcomes = exercise_runs.outcomes(executed, tried)
    assert [(o.attempt.id, o.attempt.kind, o.status, o.is_right) for o in outcomes] == [
        ("99.1", "stub", "not_attempted", True),
        ("99.1", "mistake 1", "wrong", True),
        ("99.1", "mistake 2", "wrong", True),
        ("99.1", "solution", "passed", True),
        ("99.2", "stub", "passed", False),
        ("99.2", "mistake 1", "passed", False),
        ("99.2", "mistake 2", "wrong", False),
        ("99.2", "solution", "wrong", False),
    ]
    assert "expected passed, got wrong" in str(outcomes[-1])


def test_an_error_is_told_with_the_attempt_and_ends_the_run(made_up):
    node = nbformat.read(made_up, as_version=4)
    node.cells[2].source = node.cells[2].source.replace("answer = ...", "answer = 1 / 0")
    copy, tried = exercise_runs.with_attempts(node)
    executed = exercise_runs.run(copy, made_up.parent)
    (problem,) = exercise_runs.red_outputs(executed, tried)
    assert problem.startswith("cell 2 (exercise 99.1, stub) failed")
    assert "ZeroDivisionError: division by zero" in problem
    statuses = [outcome.status for outcome in exercise_runs.outcomes(executed, tried)]
    assert statuses == ["not_run"] * len(tried)


def test_the_copy_holds_no_result_of_another_run(made_up):
    node = nbformat.read(made_up, as_version=4)
    node.cells[0].execution_count = 7
    node.cells[0].outputs = [v4.new_output("stream", text="de antes")]
    copy, _ = exercise_runs.with_attempts(node)
    assert [(cell.outputs, cell.execution_count) for cell in copy.cells] == [([], None)] * 11
    assert node.cells[0].execution_count == 7


def test_the_stub_is_what_stands_before_the_check():
    source = 'def f(x):\n    ...\n\nhelpers.exercise("04.3").check(\n    f,\n)'
    learner, check = exercise_runs.split_stub(source)
    assert learner == "def f(x):\n    ..."
    assert check == 'helpers.exercise("04.3").check(\n    f,\n)'


@pytest.mark.parametrize(
    "source",
    ['helpers.exercise("04.1").check(x)', 'x = 1\nhelpers.exercise("04.1").check(x)\nprint(x)'],
)
def test_other_shapes_of_an_exercise_cell_are_refused(source):
    with pytest.raises(ValueError, match="stub"):
        exercise_runs.split_stub(source)
