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


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "TEACHING.md"])
def test_pages_show_no_deprecated_name(page):
    path = rules.ROOT / page
    if not path.exists():
        pytest.skip("this page is not written yet")
    found = [
        name
        for source in rules.fences(path.read_text("utf-8"))
        for name in rules.deprecated(source)
    ]
    assert found == []


def test_solutions_and_spaces_use_no_deprecated_name():
    """What learners read of the course's own code: exercises and Spaces."""
    helpers = rules.ROOT / "helpers"
    files = [*helpers.glob("exercises/nb*.py"), *helpers.glob("embedded/spaces/*/app.py")]
    assert files
    found = {path.name: rules.deprecated(path.read_text("utf-8")) for path in files}
    assert {name: names for name, names in found.items() if names} == {}
