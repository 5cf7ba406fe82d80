"""What notebooks show: each thing as rich HTML and as plain text that says the same."""

from __future__ import annotations

import base64
import io
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from helpers.errors import CourseError
from helpers.messages import text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Both colours of the mark are given, so that it reads the same on a light and on a dark page.
MARK = "background:#ffe08a;color:#1a1a1a;padding:0 .15em;border-radius:.2em;font-weight:600"
BLUE = "#0072b2"  # from Okabe and Ito's palette, told apart by colour-blind people
INK = "#1a1a1a"
SERIES = ((BLUE, ""), ("#f0e442", "//"), ("#56b4e9", ".."), ("#ffffff", "xx"))
PALETTE_COLOURS = 64
LEGEND_ROOM = 1.15
DOTS_PER_INCH = 144
HIGHEST_TOLD = 3


def number(value: float, digits: int | None = 2) -> str:
    """Write a number as in Brazil: ``1234.5`` is ``"1.234,50"``.

    Args:
        value: the number.
        digits: how many decimals; None writes only those it needs, at most 6.
    """
    written = f"{value:,.{6 if digits is None else digits}f}"
    if digits is None:
        written = written.rstrip("0").rstrip(".")
    if not any(figure in written for figure in "123456789"):
        written = written.removeprefix("-")  # no "-0"
    return written.translate(str.maketrans(",.", ".,"))


@dataclass(frozen=True)
class Highlight:
    """An answer marked in its context."""

    context: str
    start: int
    end: int
    score: float | None = None

    @property
    def answer(self) -> str:
        """The marked text."""
        return self.context[self.start : self.end]

    def __repr__(self) -> str:
        note = self._note()
        if self.start == self.end:
            return f"{self.context}  ({note})"
        before, after = self.context[: self.start], self.context[self.end :]
        return f"{before}«{self.answer}»{after}" + (f"  ({note})" if note else "")

    def _repr_html_(self) -> str:
        before, after = self.context[: self.start], self.context[self.end :]
        mark = f'<mark style="{MARK}">{escape(self.answer)}</mark>' if self.answer else ""
        note = self._note()
        small = f' <small style="white-space:nowrap">({escape(note)})</small>' if note else ""
        return (
            '<p style="white-space:pre-wrap;line-height:1.6;max-width:80ch">'
            f"{escape(before)}{mark}{escape(after)}{small}</p>"
        )

    def _note(self) -> str:
        parts = [] if self.answer else [text("display.no_answer")]
        if self.score is not None:
            parts.append(text("display.score", score=number(self.score)))
        return ", ".join(parts)


def highlight(context: str, start: int, end: int, score: float | None = None) -> Highlight:
    """Show an answer where it stands in the context.

    Args:
        context: the text that was searched.
        start: the answer's first character.
        end: the one after its last.
        score: the answer's score, between 0 and 1.

    Raises:
        CourseError: if the positions are not inside the context.
    """
    if not 0 <= start <= end <= len(context):
        raise CourseError(text("display.bad_span", start=start, end=end, length=len(context)))
    return Highlight(context, start, end, score)


@dataclass(frozen=True)
class Table:
    """Rows of texts under column names; numbers are aligned to the right."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]
    caption: str = ""
    row_headers: bool = False
    show_columns: bool = True

    def __repr__(self) -> str:
        if not self.rows:
            return text("display.empty_table")
        lines = [self.columns, *self.rows] if self.show_columns else list(self.rows)
        widths = [max(_width(line[place]) for line in lines) for place in range(len(self.columns))]
        drawn = [self._line(line, widths) for line in lines]
        if self.show_columns:
            drawn.insert(1, "  ".join("─" * width for width in widths))
        return "\n".join([self.caption, *drawn] if self.caption else drawn)

    def _line(self, line: tuple[str, ...], widths: list[int]) -> str:
        cells = []
        for value, width, right in zip(line, widths, self.numeric, strict=True):
            space = " " * (width - _width(value))
            cells.append(space + value if right else value + space)
        return "  ".join(cells).rstrip()

    def _repr_html_(self) -> str:
        if not self.rows:
            return f"<p>{escape(text('display.empty_table'))}</p>"
        caption = f"<caption>{escape(self.caption)}</caption>" if self.caption else ""
        head = ""
        if self.show_columns:
            cells = "".join(
                f'<th scope="col" style="text-align:{self._side(place)}">{escape(name)}</th>'
                for place, name in enumerate(self.columns)
            )
            head = f"<thead><tr>{cells}</tr></thead>"
        body = "".join(f"<tr>{self._cells(row)}</tr>" for row in self.rows)
        return f"<table>{caption}{head}<tbody>{body}</tbody></table>"

    def _cells(self, row: tuple[str, ...]) -> str:
        cells = []
        for place, value in enumerate(row):
            tag = 'th scope="row"' if self.row_headers and place == 0 else "td"
            style = f"text-align:{self._side(place)};white-space:pre-wrap;max-width:60ch"
            cells.append(f'<{tag} style="{style}">{escape(value)}</{tag[:2]}>')
        return "".join(cells)

    def _side(self, place: int) -> str:
        return "right" if self.numeric[place] else "left"


def table(
    rows: Sequence[Mapping[str, Any]],
    *,
    digits: int = 2,
    caption: str = "",
    row_headers: bool = False,
    show_columns: bool = True,
) -> Table:
    """Show rows as a table.

    Args:
        rows: one dictionary a row; the keys are the columns, in the order they first appear.
        digits: decimals of the numbers that have any.
        caption: a title for the table.
        row_headers: whether the first column names its row.
        show_columns: whether the first line names the columns.
    """
    columns = tuple(dict.fromkeys(str(key) for row in rows for key in row))
    values = [[{str(k): v for k, v in row.items()}.get(name) for name in columns] for row in rows]
    numeric = tuple(
        any(_is_number(line[place]) for line in values)
        and all(line[place] is None or _is_number(line[place]) for line in values)
        for place in range(len(columns))
    )
    written = tuple(tuple(_written(value, digits) for value in line) for line in values)
    return Table(columns, written, numeric, caption, row_headers, show_columns)


@dataclass(frozen=True)
class Chart:
    """A drawing with a text that says the same; notebooks show both.

    Attributes:
        figure: the Matplotlib figure.
        alt: the text.
    """

    figure: Figure = field(repr=False)
    alt: str

    def __repr__(self) -> str:
        return self.alt

    def png(self) -> bytes:
        """Return the drawing as a PNG file's bytes, small enough to be kept in a notebook."""
        from PIL import Image

        drawn, small = io.BytesIO(), io.BytesIO()
        self.figure.savefig(drawn, format="png", dpi=DOTS_PER_INCH)
        # A handful of flat colours and their edges: a palette takes a third of the bytes.
        picture = Image.open(drawn).convert("RGB").quantize(PALETTE_COLOURS)
        picture.save(small, format="PNG", optimize=True)
        return small.getvalue()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """The drawing twice: as HTML, because only there can a picture carry its text."""
        width = int(self.figure.get_size_inches()[0] * DOTS_PER_INCH / 2)
        return picture_bundle(self.png(), "image/png", self.alt, width)


def picture_bundle(data: bytes, kind: str, alt: str, width: int) -> dict[str, str]:
    """Return what a notebook shows of a picture that has a text.

    Args:
        data: the picture file's bytes.
        kind: its media type, such as ``image/png``.
        alt: the text.
        width: how wide it is shown at most, in pixels of the screen.

    Returns:
        Contents by media type, for a ``_repr_mimebundle_``.
    """
    encoded = base64.b64encode(data).decode()
    picture = (
        f'<img alt="{escape(alt)}" width="{width}" '
        f'style="max-width:100%;height:auto" src="data:{kind};base64,{encoded}">'
    )
    return {"text/html": picture, kind: encoded, "text/plain": alt}


def bars(
    labels: Sequence[str],
    values: Sequence[float] | Mapping[str, Sequence[float]],
    *,
    title: str,
    unit: str = "",
    digits: int = 2,
    ranges: Sequence[tuple[float, float]] | None = None,
) -> Chart:
    """Draw one bar a value.

    A single series is drawn as horizontal bars, each with its name and its number beside it;
    several series as groups of columns, told apart by shade and pattern.

    Args:
        labels: the bars' names.
        values: their lengths; or, for several series, a name and the lengths of each.
        title: what is shown, unit included.
        unit: written after each number.
        digits: decimals of each number.
        ranges: a low and a high value for each bar, drawn as a thin line.

    Raises:
        CourseError: if there are not as many names as numbers.
    """
    if isinstance(values, Mapping):
        return _columns(labels, values, title, unit, digits)
    if len(labels) != len(values) or not labels or (ranges and len(ranges) != len(values)):
        raise CourseError(text("display.bad_bars", labels=len(labels), values=len(values)))
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Not pyplot: no global state, nothing shown twice, no window.
    figure = Figure(figsize=(8, 1.2 + 0.55 * len(labels)), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    places = list(range(len(labels)))
    axes.barh(places, values, color=BLUE, height=0.6)
    highest = max([*values, *(high for _, high in ranges or [])], default=0)
    written = [_with_unit(value, unit, digits) for value in values]
    for place, value in enumerate(values):
        edge = value
        if ranges:
            low, high = ranges[place]
            axes.plot([low, high], [place, place], color=INK, linewidth=1.5)
            edge = max(value, high)
        axes.annotate(
            written[place], (edge, place), xytext=(6, 0), textcoords="offset points",
            va="center", color=INK, fontsize=11,
        )  # fmt: skip
    axes.set_yticks(places, labels, fontsize=11, color=INK)
    axes.invert_yaxis()
    axes.set_title(title, loc="left", fontsize=12, color=INK)
    axes.set_xlim(min(0, *values), highest * 1.2 or 1)
    axes.xaxis.set_visible(False)
    axes.tick_params(left=False)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    return Chart(figure, _describe(labels, written, title, unit, digits, ranges))


def _columns(
    labels: Sequence[str],
    series: Mapping[str, Sequence[float]],
    title: str,
    unit: str,
    digits: int,
) -> Chart:
    """Draw several series as groups of columns."""
    lengths = {len(values) for values in series.values()}
    if lengths != {len(labels)} or not labels:
        raise CourseError(
            text("display.bad_bars", labels=len(labels), values=max(lengths, default=0))
        )
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width = min(16.0, max(8.0, 0.4 * len(labels)))
    figure = Figure(figsize=(width, 3.6), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    share = 0.8 / len(series)
    for place, (name, values) in enumerate(series.items()):
        colour, pattern = SERIES[place % len(SERIES)]
        shift = (place - (len(series) - 1) / 2) * share
        axes.bar(
            [index + shift for index in range(len(labels))], values, share,
            label=name, facecolor=colour, edgecolor=INK, linewidth=0.6, hatch=pattern,
        )  # fmt: skip
    steep = sum(map(len, labels)) > 60
    axes.set_xticks(
        range(len(labels)), labels, fontsize=10, color=INK,
        rotation=60 if steep else 0, ha="right" if steep else "center", rotation_mode="anchor",
    )  # fmt: skip
    axes.yaxis.set_major_formatter(lambda value, _: number(value, None))
    axes.set_title(title, loc="left", fontsize=12, color=INK)
    axes.set_ylim(top=LEGEND_ROOM * max(axes.get_ylim()[1], 0))
    axes.legend(frameon=False, fontsize=11, ncols=len(series), loc="upper right")
    axes.spines[["top", "right"]].set_visible(False)
    return Chart(figure, _describe_series(labels, series, title, unit, digits))


def _describe_series(
    labels: Sequence[str],
    series: Mapping[str, Sequence[float]],
    title: str,
    unit: str,
    digits: int,
) -> str:
    """Tell each series' highest columns; all of them would drown what matters."""
    parts = []
    for name, values in series.items():
        highest = sorted(range(len(labels)), key=lambda place: -values[place])[:HIGHEST_TOLD]
        told = ", ".join(
            text(
                "display.column", label=labels[place], value=_with_unit(values[place], unit, digits)
            )
            for place in highest
        )
        parts.append(text("display.series", name=name, columns=told))
    return text("display.chart", title=title.rstrip("."), bars="; ".join(parts))


def _with_unit(value: float, unit: str, digits: int) -> str:
    return f"{number(value, digits)} {unit}".strip()


def _describe(
    labels: Sequence[str],
    written: Sequence[str],
    title: str,
    unit: str,
    digits: int,
    ranges: Sequence[tuple[float, float]] | None,
) -> str:
    parts = []
    for place, (label, value) in enumerate(zip(labels, written, strict=True)):
        if ranges:
            low, high = (_with_unit(edge, unit, digits) for edge in ranges[place])
            parts.append(text("display.bar_range", label=label, value=value, low=low, high=high))
        else:
            parts.append(text("display.bar", label=label, value=value))
    return text("display.chart", title=title.rstrip("."), bars="; ".join(parts))


def _is_number(value: object) -> bool:
    return not isinstance(value, (bool, str)) and hasattr(value, "__float__")


def _written(value: Any, digits: int) -> str:
    """Write one cell."""
    if value is None:
        return text("display.nothing")
    if isinstance(value, bool):
        return text("display.yes" if value else "display.no")
    if _is_number(value):
        whole = hasattr(value, "__index__")
        return number(float(value), 0 if whole else digits)
    return str(value)


def _width(line: str) -> int:
    """How many columns of a fixed-width font a text takes."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in line
    )
