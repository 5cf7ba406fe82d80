"""The course's notebooks keep the rules of `rules.py`."""

import pytest
import rules


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_notebook_keeps_rule(rule, notebook):
    problems = rule(rules.Lesson.read(notebook))
    assert not problems, f"{notebook.name}:\n" + "\n".join(problems)


def test_setup_cell_is_the_same_everywhere():
    lessons = [rules.Lesson.read(path) for path in rules.notebook_paths()]
    if len(lessons) < 2:
        pytest.skip("there are not two notebooks to compare yet")
    assert rules.same_setup(lessons) == []
