"""PDF files made for tests with Matplotlib: pages of text, and a page that is only a picture."""

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_pdf import FigureCanvasPdf, PdfPages
from matplotlib.figure import Figure

A4 = (8.27, 11.69)


def text_pdf(path: Path, pages: list[str]) -> None:
    """Write one page for each text; an empty line separates paragraphs."""
    with rc_context({"pdf.fonttype": 42}), PdfPages(path) as pdf:
        for page in pages:
            lines = [textwrap.fill(part, 80) for part in page.split("\n\n")]
            figure = _page()
            figure.text(0.08, 0.95, "\n\n".join(lines), va="top", fontsize=11)
            pdf.savefig(figure)


def picture_pdf(path: Path) -> None:
    """Write a page with a picture and no text, as a scanner does."""
    figure = _page()
    axes = figure.add_axes((0.1, 0.1, 0.8, 0.8))
    axes.imshow(np.random.default_rng(7).random((40, 40)))
    axes.set_axis_off()
    figure.savefig(path, format="pdf")


def _page() -> Any:
    figure = Figure(figsize=A4)
    FigureCanvasPdf(figure)
    return figure
