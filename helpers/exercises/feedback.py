"""What a learner sees after `check`, `hint` and `solution`: a box with a plain-text twin."""

import html
import re
from dataclasses import dataclass
from typing import Literal

Status = Literal["not_attempted", "wrong", "passed", "hint", "solution", "about"]

# Only the bar at the left is coloured, and every box starts with words. Letters keep the theme's
# own colour on the theme's own background, so they read well in light and in dark. The bars have
# a contrast of at least 3:1 on white and on JupyterLab's dark background.
BAR_COLOURS: dict[Status, str] = {
    "passed": "#2e8b57",
    "wrong": "#b7791f",
    "not_attempted": "#7a7f87",
    "hint": "#3b82c4",
    "solution": "#3b82c4",
    "about": "#7a7f87",
}
_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, repr=False)
class Feedback:
    """The answer of an exercise to the learner, shown when it is a cell's last expression.

    Attributes:
        status: what happened, for programs: `"not_attempted"`, `"wrong"`, `"passed"`, `"hint"`,
            `"solution"` or `"about"`.
        heading: what happened, in words; the first line of the box.
        sentences: the paragraphs under it; text between backticks is shown as code.
        facts: pairs (label, value), such as what was expected and what came.
        next_step: what to do now, the last paragraph.
        code: source code shown as it is, after everything else.
    """

    status: Status
    heading: str
    sentences: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    next_step: str = ""
    code: str = ""

    def __repr__(self) -> str:
        """Return the plain-text twin of the box."""
        lines = [self.heading, *self.sentences]
        lines += [f"{label}: {value}" for label, value in self.facts]
        lines += [self.next_step] if self.next_step else []
        if self.code:
            lines += ["", *(f"    {line}".rstrip() for line in self.code.splitlines())]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        body = [_paragraph(f"<strong>{html.escape(self.heading)}</strong>")]
        body += [_paragraph(inline(sentence)) for sentence in self.sentences]
        body += [
            _paragraph(f"{html.escape(label)}: <code>{html.escape(value)}</code>")
            for label, value in self.facts
        ]
        body += [_paragraph(inline(self.next_step))] if self.next_step else []
        if self.code:
            body.append(f'<pre style="overflow-x: auto">{html.escape(self.code)}</pre>')
        bar = BAR_COLOURS[self.status]
        style = f"border-left: 5px solid {bar}; padding: 0.1em 0.9em; margin: 0.3em 0"
        return f'<div style="{style}">\n' + "\n".join(body) + "\n</div>"


def _paragraph(content: str) -> str:
    return f'<p style="margin: 0.35em 0">{content}</p>'


def inline(sentence: str) -> str:
    """Escape a sentence for HTML and show what stands between backticks as code."""
    return _CODE.sub(r"<code>\1</code>", html.escape(sentence))
