"""The quiz of a notebook, answered with the keyboard alone in a real JupyterLab."""

import json
import os

import pytest

from helpers import logbook

START_MILLISECONDS = 120_000


@pytest.fixture(scope="module", autouse=True)
def progress_file(tmp_path_factory):
    """Where the kernels that JupyterLab starts keep the progress: a file of the test's own."""
    place = tmp_path_factory.mktemp("progress") / "progresso.json"
    before = os.environ.get(logbook.VARIABLE)
    os.environ[logbook.VARIABLE] = str(place)
    yield place
    if before is None:
        del os.environ[logbook.VARIABLE]
    else:
        os.environ[logbook.VARIABLE] = before


def test_one_right_and_one_wrong_with_the_keyboard_alone(open_notebook, progress_file):
    lab = open_notebook("00")
    page = lab.page
    run_cell(page, "import helpers")  # the quiz needs no other cell
    run_cell(page, "helpers.quiz(")
    panel = page.locator(".curso-quiz")
    panel.wait_for(timeout=START_MILLISECONDS)
    panel.scroll_into_view_if_needed()
    lab.picture("quiz_before")

    choices = panel.get_by_role("radio")
    buttons = panel.get_by_role("button")
    said = panel.get_by_role("status")
    assert (choices.count(), buttons.count(), said.count()) == (16, 4, 4)
    assert buttons.first.inner_text() == "Conferir a pergunta 1"

    buttons.first.focus()
    page.keyboard.press("Enter")
    lab.wait_for_text(said.nth(0), "Escolha uma das opções")

    choose(page, choices.nth(0), buttons.nth(0))  # the first option of question 1 is wrong
    lab.wait_for_text(said.nth(0), "Ainda não · pergunta 1, opção a")
    assert "Escolha outra opção" in said.nth(0).inner_text()
    choose(page, choices.nth(4), buttons.nth(1))  # the first option of question 2 is right
    lab.wait_for_text(said.nth(1), "Certo · pergunta 2, opção a")
    lab.wait_for_text(panel, "Certas até aqui: 1 de 4.")
    assert said.nth(2).inner_text() == ""
    assert options_do_not_overlap(choices)
    lab.picture("quiz_after")
    assert lab.red_outputs() == 0

    kept = json.loads(progress_file.read_text(encoding="utf-8"))["entries"]
    assert kept == {
        "00.quiz.1": {"tries": 1, "passed": False},
        "00.quiz.2": {"tries": 1, "passed": True},
    }


def run_cell(page, words):
    """Run the first code cell that says something."""
    cell = page.locator(".jp-NotebookPanel .jp-CodeCell").filter(has_text=words).first
    cell.wait_for(timeout=START_MILLISECONDS)
    cell.locator(".jp-InputArea-editor").click()
    page.keyboard.press("Shift+Enter")


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
