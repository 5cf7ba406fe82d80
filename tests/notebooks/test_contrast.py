"""The course's figures have contrast, also in grey; the judge of contrast catches what has not."""

import base64
import io

import pytest

from helpers import decision, diagram, display, evaluation, measure, training
from helpers.exercises.feedback import BAR_COLOURS
from tests.notebooks import contrast

DARK_PAGE = "#111111"  # JupyterLab's dark theme


SERIES = {name: [3.0, 1.0, 2.0] for name in ("um", "dois", "três", "quatro")}
TIMINGS = {"API": measure.Timing(0.03, 0.02, 0.05, 9), "aqui": measure.Timing(0.1, 0.1, 0.2, 9)}
# Each kind of chart that the course draws.
CHARTS = {
    "bars": lambda: display.bars(["a", "b"], [1, 2], title="t", ranges=[(0.5, 1.5), (1, 3)]),
    "columns": lambda: display.bars(["a", "b", "c"], SERIES, title="t"),
    "compare": lambda: measure.compare(TIMINGS),
    "roofline": lambda: measure.roofline({"a": 3.0, "b": 5.0}, 8.0),
    "curve": lambda: training.curve([(1, 0.9), (2, 0.5)], [(1, 0.8), (2, 0.6)]),
    "confusion": lambda: evaluation.confusion_chart(
        evaluation.evaluate(["a", "b", "b", "a"], ["a", "b", "a", "a"], ["a", "b"])
    ),
    "decision": lambda: decision.decide(7e9, "bfloat16", memory_bytes=16e9).chart(),
}


@pytest.mark.parametrize("name", CHARTS)
def test_the_charts_have_contrast_also_as_stored_pictures(name):
    chart = CHARTS[name]()
    assert contrast.figure_problems(chart.figure) == []
    assert contrast.picture_problems(base64.b64encode(chart.png()).decode()) == []


def test_the_drawings_have_contrast():
    assert contrast.svg_problems(diagram.platform().svg) == []


def test_an_answer_is_read_on_light_and_on_dark():
    marked = display.highlight("Ana mora em Recife.", 12, 18, 0.9)._repr_html_()
    assert "color" in marked
    assert contrast.html_problems(marked) == []


@pytest.mark.parametrize("colour", sorted(set(BAR_COLOURS.values())))
def test_the_bars_beside_feedback_are_seen_on_light_and_on_dark(colour):
    assert contrast.ratio(colour, "white") >= contrast.GRAPHICS
    assert contrast.ratio(colour, DARK_PAGE) >= contrast.GRAPHICS


def test_ratio_is_that_of_wcag():
    assert contrast.ratio("black", "white") == pytest.approx(21)
    assert contrast.ratio("#777777", "white") == pytest.approx(4.48, abs=0.01)
    assert contrast.ratio("red", "red") == 1


def drawn(draw):
    from matplotlib.figure import Figure

    figure = Figure(facecolor="white")
    draw(figure.add_subplot())
    return figure


BAD_FIGURES = {
    "letters": lambda axes: axes.set_title("claro", color="#999999"),
    "line": lambda axes: axes.plot([1, 2], color="#ffdd00"),
    "bar is too pale": lambda axes: axes.bar([1, 2], [1, 2], color="#f0e442"),
    "series of lines": lambda axes: [
        axes.plot([1, 2], color="#cc0000", label="a"), axes.plot([2, 1], color="#007700", label="b")
    ],
    "series of bars": lambda axes: [
        axes.bar([1], [1], color="#cc0000"), axes.bar([2], [2], color="#007700")
    ],
    "letters '5'": lambda axes: [
        axes.imshow([[0.0, 1.0]], cmap="Greys"), axes.text(1, 0, "5", color="black")
    ],
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_FIGURES)
def test_a_figure_without_contrast_is_caught(what):
    problems = contrast.figure_problems(drawn(BAD_FIGURES[what]))
    assert any(what in problem for problem in problems), problems


def test_hatches_markers_and_edges_are_enough():
    def draw(axes):
        axes.bar([1], [1], facecolor="#f0e442", edgecolor="black", linewidth=1, hatch="//")
        axes.bar([2], [1], facecolor="#f0e442", edgecolor="black", linewidth=1, hatch="xx")
        axes.plot([1, 2], color="#cc0000", label="a")
        axes.plot([2, 1], color="#007700", label="b", marker="o", linestyle="--")

    assert contrast.figure_problems(drawn(draw)) == []


def test_a_picture_whose_bars_have_no_edge_is_caught():
    file = io.BytesIO()
    figure = drawn(lambda axes: axes.bar([1, 2], [1, 2], color="#f0e442"))
    figure.savefig(file, format="png")
    assert contrast.picture_problems(base64.b64encode(file.getvalue()).decode())


@pytest.mark.parametrize(
    "style", ["color:#999;background:#fff", "color:#1a1a1a", "font-weight:600;background:#ffe08a"]
)
def test_html_without_contrast_is_caught(style):
    assert contrast.html_problems(f'<p style="{style}">texto</p>')


def test_html_without_colours_is_the_pages():
    assert contrast.html_problems('<p style="border-left:5px solid #999;margin:0">texto</p>') == []


@pytest.mark.parametrize(
    "inside", ['<text fill="#bbb">a</text>', '<path stroke="#ddd" fill="none"/>', ""]
)
def test_a_drawing_without_contrast_is_caught(inside):
    paper = '<rect width="9" height="9" fill="#ffffff"/>' if inside else ""
    assert contrast.svg_problems(f"<svg>{paper}{inside}</svg>")
