"""Panels with controls, each with a twin that can be read without them.

Where widgets work (JupyterLab, Colab) the panel answers every movement; where they do not (GitHub,
a printed page, a test) the twin shows what the panel says before anything is moved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from helpers.decision import BYTES_PER_PARAMETER, DATA_KINDS, decide, this_memory
from helpers.display import bars, table
from helpers.errors import CourseError
from helpers.messages import text

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
MOST_BARS = 12
"""Bars that a chart of an explorer shows at most."""


@dataclass(frozen=True)
class View:
    """What a panel shows for one position of its controls, as HTML and as text."""

    html: str
    plain: str


@dataclass(frozen=True)
class Panel:
    """Controls and what they say.

    Attributes:
        controls: each control by its name; setting ``panel.controls[name].value`` moves it.
        widget: the controls and the view, as one widget.
        view: returns what the panel says now.
    """

    controls: Mapping[str, Any] = field(repr=False)
    widget: Any = field(repr=False)
    view: Callable[[], View] = field(repr=False)

    def __repr__(self) -> str:
        return self.view().plain

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        view = self.view()
        shown = {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}
        return {WIDGET_VIEW: shown, "text/html": view.html, "text/plain": view.plain}


def panel(controls: Mapping[str, Any], show: Callable[..., View]) -> Panel:
    """Put controls above what they say.

    Args:
        controls: widgets by name.
        show: takes the controls' values by name and returns what to show.
    """
    import ipywidgets

    def view() -> View:
        return show(**{name: control.value for name, control in controls.items()})

    output = ipywidgets.HTML(view().html)

    def refresh(_change: Any) -> None:
        output.value = view().html

    for control in controls.values():
        control.observe(refresh, names="value")
    return Panel(controls, ipywidgets.VBox([*controls.values(), output]), view)


def decision_aid(
    parameters: float = 135e6,
    precision: str = "bfloat16",
    *,
    requests_per_day: int = 100,
    seconds_per_request: float = 1.0,
    data: str = "public",
    memory_bytes: float | None = None,
) -> Panel:
    """Return controls that answer "on my machine or through the API?".

    Args:
        parameters: where the first slider starts, from 10 million to 1 trillion.
        precision: a key of ``helpers.decision.BYTES_PER_PARAMETER``.
        requests_per_day: how often the model is called.
        seconds_per_request: how long one call keeps the machine busy.
        data: ``"public"``, ``"internal"`` or ``"personal"``.
        memory_bytes: memory to count on; by default this machine's.
    """
    import ipywidgets

    memory = this_memory() if memory_bytes is None else memory_bytes
    slider = {"layout": ipywidgets.Layout(width="34em"), "style": _wide(), "readout_format": ".3s"}
    controls = {
        "parameters": ipywidgets.FloatLogSlider(
            parameters, base=10, min=7, max=12, step=0.05,
            description=text("widgets.parameters"), **slider,
        ),
        "precision": _dropdown("precision", list(BYTES_PER_PARAMETER), precision),
        "requests_per_day": ipywidgets.FloatLogSlider(
            requests_per_day, base=10, min=0, max=7, step=0.1,
            description=text("widgets.requests"), **slider,
        ),
        "seconds_per_request": ipywidgets.FloatLogSlider(
            seconds_per_request, base=10, min=-2, max=2, step=0.1,
            description=text("widgets.seconds"), **slider,
        ),
        "data": _dropdown(
            "data", [(text(f"widgets.data_{kind}"), kind) for kind in DATA_KINDS], data
        ),
    }  # fmt: skip

    def show(**values: Any) -> View:
        decided = decide(**values, memory_bytes=memory)
        chart = decided.chart()
        html = _said(decided.sentence) + chart._repr_mimebundle_()["text/html"]
        return View(html, f"{decided.sentence}\n{chart.alt}")

    return panel(controls, show)


def explorer(
    rows: Sequence[Mapping[str, Any]], filters: Sequence[str], size: str, name: str
) -> Panel:
    """Return controls that choose among rows, such as models, and show those that remain.

    Args:
        rows: one dictionary a row, all with the same keys.
        filters: columns to choose by; a row's value is a text, or a list of texts.
        size: column of numbers above zero, limited by a slider and drawn as bars.
        name: column that names the bars.

    Raises:
        CourseError: if there are no rows.
    """
    if not rows:
        raise CourseError(text("widgets.no_rows"))
    everything = text("widgets.all")
    controls: dict[str, Any] = {}
    for column in filters:
        values = sorted({value for row in rows for value in _values(row[column])})
        controls[column] = _dropdown(None, [everything, *values], everything, column)
    controls[size] = _limit(size, [row[size] for row in rows])

    def show(**chosen: Any) -> View:
        kept = [
            row
            for row in rows
            if row[size] <= chosen[size]
            and all(chosen[c] == everything or chosen[c] in _values(row[c]) for c in filters)
        ]
        return _explored(kept, len(rows), size, name)

    return panel(controls, show)


def _limit(column: str, sizes: Sequence[float]) -> Any:
    """Return a slider from just below the smallest size to the largest.

    Its steps multiply, because on the Hub one model may be ten thousand times another: with steps
    that add up, all the small ones would lie within the first.
    """
    import ipywidgets

    steps = 20  # to each power of ten
    logarithms = [math.log10(size) for size in sizes if size > 0] or [0.0]
    lowest = (math.floor(min(logarithms) * steps) - 1) / steps
    highest = (math.floor(max(logarithms) * steps) + 1) / steps
    return ipywidgets.FloatLogSlider(
        10**highest, base=10, min=lowest, max=highest, step=1 / steps, readout_format=".1f",
        description=text("widgets.at_most", column=column), style=_wide(),
        layout=ipywidgets.Layout(width="34em"),
    )  # fmt: skip


def _explored(rows: Sequence[Mapping[str, Any]], total: int, size: str, name: str) -> View:
    """Tell how many rows remain, and show them as a table and as bars."""
    said = text("widgets.kept", kept=len(rows), total=total)
    if not rows:
        return View(_said(said), said)
    written = [{k: ", ".join(_values(v)) if k != size else v for k, v in r.items()} for r in rows]
    shown = table(written, row_headers=True)
    largest = sorted(rows, key=lambda row: -row[size])[:MOST_BARS]
    chart = bars([row[name] for row in largest], [row[size] for row in largest], title=size)
    html = _said(said) + shown._repr_html_() + chart._repr_mimebundle_()["text/html"]
    return View(html, f"{said}\n{shown!r}\n{chart.alt}")


def _values(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, (list, tuple)) else [str(value)]


def _said(sentence: str) -> str:
    """A sentence that a screen reader reads again when it changes."""
    return f'<p role="status" style="font-weight:600;max-width:70ch">{escape(sentence)}</p>'


def _wide() -> dict[str, str]:
    """Room for a description in words; the default cuts it."""
    return {"description_width": "15em"}


def _dropdown(key: str | None, options: list[Any], value: Any, label: str = "") -> Any:
    import ipywidgets

    return ipywidgets.Dropdown(
        options=options,
        value=value,
        description=text(f"widgets.{key}") if key else label,
        style=_wide(),
        layout=ipywidgets.Layout(width="34em"),
    )
