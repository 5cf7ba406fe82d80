"""Every exercise of every notebook: well defined, and executed with right and wrong answers."""

from collections import Counter

import exercise_runs
import nbformat
import pytest
import rules

from helpers.exercises import exercise, exercises_of
from helpers.messages import items


def used_in(notebook):
    return exercise_runs.exercise_ids(nbformat.read(notebook, as_version=4))


def test_exercises_in_the_notebook_are_the_defined_ones(notebook):
    number = notebook.name[:2]
    used = used_in(notebook)
    assert [id for id, times in Counter(used).items() if times > 1] == []
    assert sorted(used) == sorted(definition.id for definition in exercises_of(number))
    assert all(id.startswith(f"{number}.") for id in used)


def test_three_exercises_and_both_levels(notebook):
    definitions = [exercise(id) for id in used_in(notebook)]
    assert len(definitions) >= 3
    assert {definition.level for definition in definitions} == {"direto", "desafio"}


def test_each_exercise_practises_an_objective_of_the_header(notebook):
    count = len(rules.objectives(rules.Lesson.read(notebook)))
    outside = [id for id in used_in(notebook) if not 1 <= exercise(id).objective <= count]
    assert outside == [], f"the header lists {count} objectives"


def test_each_exercise_is_introduced_with_its_level(notebook):
    titles = [title for _, title in rules.headings(rules.Lesson.read(notebook))]
    for id in used_in(notebook):
        start = f"Exercício {id} ({exercise(id).level})"
        assert any(title.startswith(start) for title in titles), f"no heading starts with {start!r}"


def test_each_exercise_has_title_hints_and_mistakes(notebook):
    for id in used_in(notebook):
        definition = exercise(id)
        assert definition.title
        assert len(items(f'exercises."{id}".hints')) >= 2, f"{id} has fewer than two hints"
        assert len(definition.wrong_answers) >= 2, f"{id} has fewer than two mistakes"
        assert all(wrong.expect for wrong in definition.wrong_answers)


@pytest.mark.parametrize("kind", ["stub", "mistake", "solution"])
def test_answers_get_the_right_feedback(notebook, kind):
    outcomes = [
        outcome for outcome in exercise_runs.run(notebook) if outcome.attempt.kind.startswith(kind)
    ]
    assert outcomes, f"{notebook.name} has no {kind}"
    failed = [str(outcome) for outcome in outcomes if not outcome.is_right]
    assert not failed, "\n".join(failed)
