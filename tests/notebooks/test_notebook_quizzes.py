"""The quiz of each notebook: about its objectives, and silent about the right options."""

import nbformat
import rules

import helpers
from helpers.exercises import exercises_of


def quiz_of(notebook):
    return helpers.quiz(notebook.name[:2])


def test_quiz_has_the_title_of_its_notebook(notebook):
    titles = [title for level, title in rules.headings(rules.Lesson.read(notebook)) if level == 1]
    assert titles == [quiz_of(notebook).title]


def test_each_question_is_about_an_objective_of_the_header(notebook):
    count = len(rules.objectives(rules.Lesson.read(notebook)))
    outside = [one.id for one in quiz_of(notebook).questions if not 1 <= one.objective <= count]
    assert outside == [], f"the header lists {count} objectives"


def test_each_objective_has_an_exercise_or_a_question(notebook):
    objectives = rules.objectives(rules.Lesson.read(notebook))
    practised = {one.objective for one in exercises_of(notebook.name[:2])}
    asked = {one.objective for one in quiz_of(notebook).questions}
    holes = set(range(1, len(objectives) + 1)) - practised - asked
    assert not holes, [objectives[number - 1] for number in holes]


def test_stored_output_is_the_quiz_and_tells_no_answer(notebook):
    quiz = quiz_of(notebook)
    node = nbformat.read(notebook, as_version=4)
    (cell,) = [cell for cell in node.cells if "helpers.quiz(" in cell.source]
    (output,) = cell.outputs
    assert output.data == {"text/plain": repr(quiz), "text/html": quiz._repr_html_()}
    written = notebook.read_text(encoding="utf-8")
    told = [option.why for one in quiz.questions for option in one.options if option.why in written]
    assert told == []
    assert len(str(output.data).encode()) < 8 * 1024
