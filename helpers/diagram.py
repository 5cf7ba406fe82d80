"""Pictures drawn by the course: the two worlds, and the map of the platform."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from helpers.messages import text

if TYPE_CHECKING:
    from helpers.course import Course

_TOP, _BOTTOM = 40, 160
_INK, _QUIET, _ACTIVE, _PAPER = "#1f2933", "#52606d", "#0b5394", "#ffffff"


@dataclass(frozen=True)
class Diagram:
    """A drawing with its description: SVG where pictures are shown, words elsewhere."""

    svg: str
    description: str

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"image/svg+xml": self.svg, "text/plain": self.description}

    def __repr__(self) -> str:
        return self.description


def worlds(course: Course) -> Diagram:
    """Draw where models and answers come from in this run.

    Args:
        course: what ``helpers.setup()`` returned.

    Returns:
        A drawing of the notebook, the embedded server and the real services; the arrows lead
        to those in use, which are thick and say so in words.
    """
    if course.in_class:
        place, host = "class", urlsplit(course.api_base).netloc
        in_use = [text("diagram.world_class", host=host)] * 2
    else:
        place, host = "here", text("diagram.embedded_host")
        in_use = [text(f"diagram.world_{world}") for world in (course.hub, course.api)]
    description = text("diagram.description", hub=in_use[0], api=in_use[1])
    headings = _heading(395, place) + _heading(615, "internet")
    rows = _row(_TOP, "hub", course.hub, host) + _row(_BOTTOM, "api", course.api, host)
    return Diagram(_svg(_notebook(), headings, rows, title=description), description)


def platform() -> Diagram:
    """Draw what the platform is made of: what people share, how they reach it, where they talk."""
    description = text("diagram.platform_description")
    parts = []
    for row, (heading, places) in enumerate(_PLATFORM.items()):
        top = 34 + row * 80
        parts.append(_lines(80, top + 32, (text(f"diagram.{heading}"), 15, _ACTIVE)))
        for column, place in enumerate(places):
            left = 160 + column * 188
            name, detail = text(f"diagram.{place}"), text(f"diagram.{place}_detail")
            parts.append(_box(left, top, 176, 62, _INK))
            parts.append(_lines(left + 88, top + 27, (name, 15, _INK), (detail, 12, _QUIET)))
    return Diagram(_svg(*parts, title=description), description)


_PLATFORM = {
    "shared": ("models", "datasets", "spaces"),
    "reached": ("libraries", "providers", "enterprise"),
    "talked": ("documentation", "forum", "courses"),
}
"""The map's rows: what is shared, how it is reached, where it is talked about."""


def _notebook() -> str:
    return _box(10, 100, 170, 110, _INK) + _lines(
        95, 148, (text("diagram.notebook"), 16, _INK), (text("diagram.notebook_detail"), 12, _QUIET)
    )


def _heading(center: int, key: str) -> str:
    return _lines(center, 20, (text(f"diagram.{key}"), 14, _INK))


def _row(top: int, service: str, world: str, embedded_host: str) -> str:
    """One service: its embedded twin, the real one, and the arrow to the one in use."""
    embedded = world == "embedded"
    real_host = text(f"diagram.{service}_real_host")
    return (
        _place(300, top, f"{service}_embedded", embedded_host, embedded)
        + _place(520, top, f"{service}_real", real_host, not embedded)
        + _arrow(top, embedded)
    )


def _place(left: int, top: int, key: str, host: str, active: bool) -> str:
    color = _ACTIVE if active else _QUIET
    state = text("diagram.in_use" if active else "diagram.not_in_use")
    lines = ((text(f"diagram.{key}"), 15, color), (host, 12, color), (state, 12, color))
    return _box(left, top, 190, 90, color, 3 if active else 1) + _lines(left + 95, top + 30, *lines)


def _box(left: int, top: int, width: int, height: int, color: str, stroke: int = 2) -> str:
    return (
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="8" '
        f'fill="{_PAPER}" stroke="{color}" stroke-width="{stroke}"/>'
    )


def _lines(center: int, top: int, *lines: tuple[str, int, str]) -> str:
    return "".join(
        f'<text x="{center}" y="{top + 22 * row}" text-anchor="middle" '
        f'font-size="{size}" fill="{color}">{escape(line)}</text>'
        for row, (line, size, color) in enumerate(lines)
    )


def _arrow(top: int, embedded: bool) -> str:
    """A line from the notebook; to reach the far column it passes under or over the near one."""
    if embedded:
        path = f"M180,155 L290,{top + 45}"
    else:
        lane = _TOP - 6 if top == _TOP else _BOTTOM + 96
        path = f"M180,155 L270,{lane} L496,{lane} L511,{top + 45}"
    return (
        f'<path d="{path}" fill="none" stroke="{_ACTIVE}" stroke-width="3" '
        'stroke-linejoin="round" marker-end="url(#course-arrow)"/>'
    )


def _svg(*parts: str, title: str) -> str:
    marker = (
        '<defs><marker id="course-arrow" markerWidth="8" markerHeight="8" refX="4" refY="3" '
        f'orient="auto"><path d="M0,0 L6,3 L0,6 z" fill="{_ACTIVE}"/></marker></defs>'
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 270" width="720" height="270" '
        f'role="img" aria-label="{escape(title)}" font-family="sans-serif">'
        f"<title>{escape(title)}</title>{marker}"
        f'<rect width="720" height="270" fill="{_PAPER}"/>{"".join(parts)}</svg>'
    )
