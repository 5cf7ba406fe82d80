"""Every notebook, run once with every answer to its exercises, in a real JupyterLab.

Where there is no Chromium (and COURSE_BROWSER is not `required`), nbclient runs the notebooks, and
what only JupyterLab can show is skipped.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

import exercise_runs
import nbformat
import pytest
import rules

from helpers import logbook
from tests.browser import lab_server
from tests.browser.lab_page import LabPage

RUN_SECONDS = 1200
CLICK_SECONDS = 120  # a busy machine draws a large notebook slowly
PROGRESS = "progresso.json"
# A menu of JupyterLab as a text names it; Colab's have names of several words.
MENU = re.compile(r"menu \*+(\w+) → ([^*]+)\*+")
NOTEBOOKS = {path.stem[:2]: path for path in rules.notebook_paths()}


@dataclass
class Executed:
    """A notebook's copy after its run.

    Attributes:
        number: the notebook's.
        node: the copy with its outputs.
        outcomes: what each attempt at an exercise got.
        red: each error, in words.
        page: the copy open in JupyterLab, or None if it was run without a browser.
    """

    number: str
    node: Any
    outcomes: list[exercise_runs.Outcome]
    red: list[str]
    page: LabPage | None


@pytest.fixture(scope="module")
def lab_and_browser(tmp_path_factory):
    """A JupyterLab on an empty folder and a browser's context; None without Chromium."""
    chromium = lab_server.find_chromium()
    if chromium is None:
        yield None
        return
    pytest.importorskip("playwright.sync_api")
    folder, own = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("jupyterlab")
    environment = exercise_runs.environment() | {logbook.VARIABLE: str(folder / PROGRESS)}
    with (
        lab_server.running_lab(folder, own, environment) as lab,
        lab_server.running_chromium(chromium) as browser,
    ):
        context = browser.new_context(viewport={"width": 1280, "height": 1000}, locale="pt-BR")
        context.set_default_timeout(CLICK_SECONDS * 1000)
        yield lab, context


@pytest.fixture(scope="module", params=NOTEBOOKS)
def executed(request, lab_and_browser):
    """Run one notebook's copy; its kernel and its page stay until the next one's turn."""
    path = NOTEBOOKS[request.param]
    copy, tried = exercise_runs.with_attempts(nbformat.read(path, as_version=4))

    def judged(node: Any, page: LabPage | None) -> Executed:
        outcomes = exercise_runs.outcomes(node, tried)
        return Executed(request.param, node, outcomes, exercise_runs.red_outputs(node, tried), page)

    if lab_and_browser is None:
        yield judged(exercise_runs.run(copy, path.parent), None)
        return
    lab, context = lab_and_browser
    nbformat.write(copy, lab.folder / path.name)
    try:
        page = LabPage.open(context, lab, path.name)
        page.run_all(RUN_SECONDS)
        page.save()
        yield judged(nbformat.read(page.file, as_version=4), page)
    finally:
        for opened in context.pages:
            opened.close()
        lab.end_kernels()


@pytest.fixture
def page(executed):
    """The notebook open in JupyterLab."""
    return executed.page or pytest.skip("Chromium is not installed")


FAILING = """import ipywidgets

slider = ipywidgets.IntSlider(max=10)
slider.observe(lambda change: 1 / 0, names="value")
slider"""


def test_what_fails_in_jupyterlab_is_seen(lab_and_browser):
    lab, context = lab_and_browser or pytest.skip("Chromium is not installed")
    cells = [nbformat.v4.new_code_cell(source) for source in (FAILING, "1 + 1", "{}['x']", "2")]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}  # else Lab asks
    node = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    nbformat.write(node, lab.folder / "99_mentira.ipynb")
    page = LabPage.open(context, lab, "99_mentira.ipynb")
    page.run_all(RUN_SECONDS)
    page.save()
    node = nbformat.read(page.file, as_version=4)
    (problem,) = exercise_runs.red_outputs(node, [])
    assert problem.startswith("cell 2 failed") and "KeyError: 'x'" in problem
    assert node.cells[3].execution_count is None
    assert page.picture_of_error().stat().st_size > 0

    (panel,) = page.panels()
    walk = page.walk(panel)
    assert len(walk.there) == 2 and walk.there == walk.reached == walk.moved
    assert "ZeroDivisionError" in "".join(walk.complaints)
    page.page.close()


def test_no_output_is_red(executed):
    if not executed.red:
        return
    picture = executed.page.picture_of_error() if executed.page else "none: there is no browser"
    pytest.fail(f"notebook {executed.number}; picture: {picture}\n\n" + "\n\n".join(executed.red))


@pytest.mark.parametrize("kind", ["stub", "mistake", "solution"])
def test_answers_get_the_right_feedback(executed, kind):
    outcomes = [outcome for outcome in executed.outcomes if outcome.attempt.kind.startswith(kind)]
    assert outcomes, f"notebook {executed.number} has no {kind}"
    failed = [str(outcome) for outcome in outcomes if not outcome.is_right]
    assert not failed, "\n".join(failed)


def test_each_mistake_leads_to_a_hint(executed):
    lost = [
        str(outcome)
        for outcome in executed.outcomes
        if outcome.attempt.kind.startswith("mistake")
        and f'helpers.exercise("{outcome.attempt.id}").hint()' not in outcome.feedback
    ]
    assert not lost, "\n".join(lost)


def only(number):
    """Ask for one notebook's run, the same that the other tests look at."""
    return pytest.mark.parametrize("executed", [number], indirect=True, scope="module")


@only("03")
def test_decision_aid_answers_a_slider_and_a_choice(page):
    panel = page.panel_of("decision_aid(")
    sentence = panel.locator("[role=status]")
    panel.locator("[role=slider]").first.focus()
    page.page.keyboard.press("End")
    page.wait_for_text(sentence, "2.400 GB")  # a million million parameters of two bytes, and 20 %
    panel.locator("select").last.select_option(label="pessoais")
    page.wait_for_text(sentence, "os dados são pessoais")


@only("01")
def test_explorer_follows_a_choice_and_a_slider(page):
    panel = page.panel_of("explorer(")
    sentence = panel.locator("[role=status]")
    panel.locator("select").first.select_option(label="translation")
    panel.locator("[role=slider]").first.focus()
    page.page.keyboard.press("End")
    page.wait_for_text(sentence, "2 de")
    page.page.keyboard.press("Home")
    page.wait_for_text(sentence, "0 de")


@only("00")
def test_the_menus_are_in_portuguese_and_named_as_they_are(page):
    offered = {name: page.menu(name) for name in ("Run", "Kernel")}
    assert any(label.startswith("Reiniciar o kernel") for label in offered["Kernel"])
    pages = [rules.ROOT / "README.md", rules.ROOT / "TEACHING.md", *NOTEBOOKS.values()]
    for path in pages:
        for menu, item in MENU.findall(path.read_text(encoding="utf-8")):
            assert any(item in label for label in offered[menu]), f"{path.name}: {menu} → {item}"


@only("00")
def test_quiz_is_answered_and_kept_with_the_keyboard(page):
    panel = page.panel_of("helpers.quiz(")
    choices, buttons = panel.get_by_role("radio"), panel.get_by_role("button")
    said = panel.get_by_role("status")
    assert (choices.count(), buttons.count(), said.count()) == (16, 4, 4)
    buttons.first.focus()
    page.page.keyboard.press("Enter")
    page.wait_for_text(said.nth(0), "Escolha uma das opções")

    choose(page.page, choices.nth(0), buttons.nth(0))  # the first option of question 1 is wrong
    page.wait_for_text(said.nth(0), "Ainda não · pergunta 1, opção a")
    assert "Escolha outra opção" in said.nth(0).inner_text()
    choose(page.page, choices.nth(4), buttons.nth(1))  # the first option of question 2 is right
    page.wait_for_text(said.nth(1), "Certo · pergunta 2, opção a")
    page.wait_for_text(panel, "Certas até aqui: 1 de 4.")
    assert said.nth(2).inner_text() == ""
    assert options_do_not_overlap(choices)

    progress = json.loads((page.file.parent / PROGRESS).read_text(encoding="utf-8"))
    kept = {key: entry for key, entry in progress["entries"].items() if "quiz" in key}
    assert kept == {
        "00.quiz.1": {"tries": 1, "passed": False},
        "00.quiz.2": {"tries": 1, "passed": True},
    }


def choose(page, choice, button):
    """Mark an option with the space bar, walk with Tab to the question's button, press Enter."""
    choice.focus()
    page.keyboard.press("Space")
    for _ in range(6):
        page.keyboard.press("Tab")
        if button.evaluate("element => element === document.activeElement"):
            page.keyboard.press("Enter")
            return
    raise AssertionError("Tab does not lead from the option to its button")


def options_do_not_overlap(choices):
    """Whether each option begins under the one before it, however many lines it takes."""
    boxes = [choice.locator("xpath=..").bounding_box() for choice in choices.all()]
    return all(
        one["y"] + one["height"] <= other["y"] + 0.5
        for one, other in zip(boxes, boxes[1:], strict=False)
    )


def test_the_keyboard_alone_moves_every_widget(page):  # last: it leaves everything moved
    page.picture("executed")
    for place, panel in enumerate(page.panels(), 1):
        page.picture(f"panel_{place}_before")
        walk = page.walk(panel)
        panel.scroll_into_view_if_needed()
        picture = page.picture(f"panel_{place}_after")
        assert walk.there, f"panel {place} has no control; see {picture}"
        assert walk.there - walk.reached == set(), f"Tab does not get there; see {picture}"
        assert walk.reached - walk.moved == set(), f"no key moves it; see {picture}"
        assert len(walk.said) > 1, f"panel {place} answers nothing; see {picture}"
        assert walk.complaints == [], f"see {picture}"
