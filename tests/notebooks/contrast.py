"""Contrast as WCAG counts it, in figures, drawings, HTML and stored pictures.

The ratio compares luminances, so that it holds in grey too: letters need 4.5 to 1 (large ones 3
to 1) against what is behind them, and what a drawing shows needs 3 to 1.
"""

import base64
import io
import re
from itertools import combinations
from typing import Any

LETTERS = 4.5
GRAPHICS = 3.0
LARGE_POINTS = 18
# Two fills that differ by less than this look the same in grey.
SHADES = 1.5
STYLE = re.compile(r"""\bstyle\s*=\s*(["'])(.*?)\1""", re.DOTALL)
MOST_COLOURS = 64
PALE_SHARE = 0.01
# How much of its border a pale part may share with the paper: where smoothed edges meet, some.
MOST_OPEN_ENDS = 0.2


def luminance(colour: Any) -> float:
    """Return the relative luminance of a colour that Matplotlib knows, from 0 to 1."""
    from matplotlib.colors import to_rgb

    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in to_rgb(colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def ratio(one: Any, other: Any) -> float:
    """Return the contrast of two colours, from 1 (none) to 21 (black on white)."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


# --- Matplotlib's figures --------------------------------------------------------------------


def figure_problems(figure: Any) -> list[str]:
    """List what in a figure is too pale, and series that look the same in grey."""
    figure.draw_without_rendering()
    problems = _pale_letters(figure)
    for axes in figure.axes:
        paper = axes.get_facecolor()
        for line in axes.lines:
            if ratio(line.get_color(), paper) < GRAPHICS:
                problems.append(f"the line {line.get_label()!r} is too pale")
        bars = [next(iter(bars)) for bars in axes.containers if len(bars)]
        for bar in bars:
            shown = [bar.get_edgecolor()] if bar.get_linewidth() else []
            shown += [bar.get_facecolor()] if bar.get_facecolor()[3] else []
            if max((ratio(colour, paper) for colour in shown if colour[3]), default=0) < GRAPHICS:
                problems.append("a bar is too pale and has no dark edge")
        marks = [("line", *_line_mark(line)) for line in axes.lines if _is_series(line)]
        marks += [("bar", *_bar_mark(bar)) for bar in bars]
        for (kind, one, shape), (other_kind, other, other_shape) in combinations(marks, 2):
            if kind == other_kind and shape == other_shape and ratio(one, other) < SHADES:
                problems.append(f"two series of {kind}s look the same in grey")
    return problems


def _pale_letters(figure: Any) -> list[str]:
    from matplotlib.text import Text

    problems = []
    for letters in figure.findobj(Text):
        if not letters.get_visible() or not letters.get_text().strip():
            continue
        needed = GRAPHICS if letters.get_fontsize() >= LARGE_POINTS else LETTERS
        found = ratio(letters.get_color(), _behind(letters, figure))
        if found < needed:
            problems.append(f"the letters {letters.get_text()!r} have a contrast of {found:.1f}")
    return problems


def _behind(letters: Any, figure: Any) -> Any:
    """The colour under a text: its cell's in a heat map, or the paper's."""
    axes = letters.axes
    if axes is None:
        return figure.get_facecolor()
    if letters in axes.texts and axes.images and letters.get_transform() == axes.transData:
        image = axes.images[0]
        column, row = (round(place) for place in letters.get_position())
        return image.cmap(image.norm(image.get_array()[row][column]))
    return axes.get_facecolor()


def _is_series(line: Any) -> bool:
    return not line.get_label().startswith("_")


def _line_mark(line: Any) -> tuple[Any, Any]:
    return line.get_color(), (line.get_linestyle(), line.get_marker())


def _bar_mark(bar: Any) -> tuple[Any, Any]:
    return bar.get_facecolor(), (bar.get_hatch(), bar.get_linestyle(), bar.get_facecolor()[3] == 0)


# --- HTML and SVG ----------------------------------------------------------------------------


def html_problems(html: str) -> list[str]:
    """List the inline styles whose letters would not be read on every page.

    A style gives both colours, of the letters and of what is behind them, or neither: with one of
    them alone the other is the page's, which may be light or dark.
    """
    problems = []
    for style in (match[2] for match in STYLE.finditer(html)):
        values = dict(re.findall(r"(?:^|;)\s*([a-z-]+)\s*:\s*([^;]+)", style))
        letters = values.get("color", "").strip()
        behind = (values.get("background-color") or values.get("background") or "").strip()
        if bool(letters) != bool(behind):
            problems.append(f"only one of two colours is given in style={style!r}")
        elif letters and ratio(letters, behind) < LETTERS:
            problems.append(f"a contrast of {ratio(letters, behind):.1f} in style={style!r}")
    return problems


def svg_problems(svg: str) -> list[str]:
    """List the letters and lines of a drawing that are too pale for its paper.

    Its paper is its first rectangle; without one it would be the page's, light or dark.
    """
    shapes = re.findall(r"<(rect|text|path|line|circle)\b([^>]*)>", svg)
    paper = next((_attribute(rest, "fill") for name, rest in shapes if name == "rect"), "")
    if not paper or paper == "none":
        return ["the drawing has no paper of its own"]
    problems = []
    for name, rest in shapes:
        fill, stroke = _attribute(rest, "fill"), _attribute(rest, "stroke")
        if name == "text" and ratio(fill or "black", paper) < LETTERS:
            problems.append(f"letters in {fill} on {paper}")
        elif stroke not in ("", "none") and ratio(stroke, paper) < GRAPHICS:
            problems.append(f"a line in {stroke} on {paper}")
    return problems


def _attribute(rest: str, name: str) -> str:
    found = re.search(rf"""(?<![\w-]){name}="([^"]*)\"""", rest)
    return found[1] if found else ""


# --- stored pictures -------------------------------------------------------------------------


def picture_problems(png: str) -> list[str]:
    """Tell whether a chart's pale parts touch its paper with no dark edge between them.

    Args:
        png: the picture in base64, as notebooks store it.
    """
    import numpy as np
    from PIL import Image

    picture = Image.open(io.BytesIO(base64.b64decode(png)))
    if picture.mode != "P":
        picture = picture.convert("RGB").quantize(MOST_COLOURS)
    places = np.asarray(picture)
    colours = np.array(picture.getpalette()).reshape(-1, 3) / 255
    counts = np.bincount(places.ravel(), minlength=len(colours))
    paper = counts.argmax()
    common = np.flatnonzero(counts > PALE_SHARE * places.size)
    pale = [
        place
        for place in common
        if place != paper
        and ratio(colours[place], colours[paper]) < GRAPHICS
        and _is_solid(places == place)
    ]
    is_paper, is_pale = places == paper, np.isin(places, pale)
    left, right = is_pale[:, :-1], is_pale[:, 1:]
    ends = (left != right).sum()
    open_ends = ((left & is_paper[:, 1:]) | (right & is_paper[:, :-1])).sum()
    if open_ends <= MOST_OPEN_ENDS * ends:
        return []
    return ["a pale part of the chart touches the paper with no dark edge between them"]


def _is_solid(mask: Any) -> bool:
    """Whether a colour fills areas; where letters and hatches are smoothed it does not."""
    inside = mask[:-1, :-1] & mask[1:, :-1] & mask[:-1, 1:]
    return bool(inside.sum() > mask.sum() / 2)
