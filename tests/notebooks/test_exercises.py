"""Every exercise of every notebook is well defined; `test_executed.py` tries the answers."""

import copy
from collections import Counter

import exercise_runs
import nbformat
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


def test_mistakes_are_different_answers(notebook):
    for id in used_in(notebook):
        definition = exercise(id)
        sources = {wrong.source.strip() for wrong in definition.wrong_answers}
        assert len(sources | {definition.solution_source}) == len(definition.wrong_answers) + 1, id


def test_hints_come_in_steps_and_lead_to_the_solution_last(notebook):
    for id in used_in(notebook):
        definition = copy.copy(exercise(id))  # hints are counted
        hints = items(f'exercises."{id}".hints')
        said = [str(definition.hint()) for _ in hints]
        for step, words in enumerate(said):
            assert [hint for hint in hints if hint in words] == [hints[step]], f"{id}, {step + 1}"
        assert [words for words in said[:-1] if "solution()" in words] == []
        assert f'helpers.exercise("{id}").solution()' in said[-1]
        assert definition.solution().code == definition.solution_source


def test_neither_a_hint_nor_the_notebook_gives_the_solution(notebook):
    cells = nbformat.read(notebook, as_version=4).cells
    for id in used_in(notebook):
        solution = squeezed(exercise(id).solution_source)
        given = [hint for hint in items(f'exercises."{id}".hints') if solution in squeezed(hint)]
        given += [cell.id for cell in cells if solution in squeezed(cell.source)]
        assert given == [], f"the whole solution of {id} is given away"
        code = [cell for cell in cells if cell.cell_type == "code"]
        assert [cell.id for cell in code if f'("{id}").solution(' in cell.source] == []


def squeezed(text):
    """A text without what only makes it readable."""
    return "".join(text.split())
