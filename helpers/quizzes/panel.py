"""The quiz as widgets: for each question a choice, a button, and what the answer gets.

Feedback comes from the button and not from the choice, so that moving among the options with the
keyboard gives nothing away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from helpers.exercises.feedback import Feedback, inline
from helpers.messages import text
from helpers.widgets import Panel, View

if TYPE_CHECKING:
    from helpers.quizzes.questions import Question, Quiz

CLASS = "curso-quiz"

# ipywidgets gives each option one line of fixed height: a long one would run over the next.
STYLE = f"""<style>
.{CLASS} .widget-radio-box label {{
  height: auto; line-height: 1.45; white-space: normal; margin: 0 0 .35em; max-width: 74ch;
  padding-left: 1.7em; position: relative;
}}
.{CLASS} .widget-radio-box input {{
  position: absolute; left: 3px; top: .2em; margin: 0; height: 1em; width: 1em; float: none;
}}
.{CLASS} .widget-radio, .{CLASS} .widget-radio-box {{ width: auto; height: auto; }}
</style>"""


def panel(quiz: Quiz) -> Panel:
    """Build the panel of a quiz.

    Args:
        quiz: the questions.

    Returns:
        A panel whose controls are ``choice_1``, ``check_1`` and so on.
    """
    import ipywidgets

    controls: dict[str, Any] = {}
    right: set[int] = set()
    total = ipywidgets.HTML(_score(0, quiz))
    rows: list[Any] = [ipywidgets.HTML(STYLE)]
    for question in quiz.questions:
        choice, button, said = _controls(question)
        controls |= {f"choice_{question.number}": choice, f"check_{question.number}": button}
        button.on_click(_checker(question, choice, said, right, total, quiz))
        rows += [_asked(question), choice, button, said]
    box = ipywidgets.VBox([*rows, total])
    box.add_class(CLASS)
    return Panel(controls, box, lambda: View(quiz._repr_html_(), repr(quiz)))


def _asked(question: Question) -> Any:
    import ipywidgets

    words = f"{question.number}. {inline(question.text)}"
    style = "font-weight:600;max-width:74ch;line-height:1.45;margin:.8em 0 .3em"
    return ipywidgets.HTML(f'<p style="{style}">{words}</p>')


def _controls(question: Question) -> tuple[Any, Any, Any]:
    import ipywidgets

    labels = [
        (f"{letter}) {option.replace('`', '')}", letter) for letter, option in question.lettered
    ]
    choice = ipywidgets.RadioButtons(
        options=labels, value=None, layout=ipywidgets.Layout(width="auto", height="auto")
    )
    button = ipywidgets.Button(
        description=text("quiz.check", number=question.number),
        layout=ipywidgets.Layout(width="max-content"),
    )
    return choice, button, ipywidgets.HTML(_status(""))


def _checker(
    question: Question, choice: Any, said: Any, right: set[int], total: Any, quiz: Quiz
) -> Any:
    """Return what a question's button does."""

    def check(_button: Any) -> None:
        chosen = choice.value
        feedback = question.answer(chosen) if chosen else question.unanswered()
        said.value = _status(_shown(feedback))
        if feedback.status == "passed":
            right.add(question.number)
            total.value = _score(len(right), quiz)

    return check


def _shown(feedback: Feedback) -> str:
    return f'<div style="max-width:78ch;line-height:1.45">{feedback._repr_html_()}</div>'


def _status(html: str) -> str:
    """A place that a screen reader reads again when it changes."""
    return f'<div role="status">{html}</div>'


def _score(right: int, quiz: Quiz) -> str:
    words = text("quiz.score", right=right, total=len(quiz.questions))
    return f'<p style="font-weight:600;margin-top:.8em">{words}</p>'
