"""One notebook open in JupyterLab, with what a person does there."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RUN_SECONDS = 300


@dataclass
class LabPage:
    """A page with a notebook, and where its pictures go."""

    page: Any
    pictures: Path

    def run_all(self) -> None:
        """Run every cell from the menu, and wait until the last one is done."""
        self.page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=60_000)
        self._wait_for_kernel()
        self.page.click('.lm-MenuBar-itemLabel:text-is("Run")')
        self.page.click('.lm-Menu-itemLabel:text-is("Run All Cells")')
        deadline = time.monotonic() + RUN_SECONDS
        self.page.wait_for_timeout(1000)
        while self._is_busy():
            assert time.monotonic() < deadline, "the notebook did not finish"
            self.page.wait_for_timeout(250)

    def panel(self) -> Any:
        """Bring the notebook's widget into sight and return it."""
        widget = self.page.locator(".widget-vbox").first
        widget.wait_for(timeout=10_000)
        widget.scroll_into_view_if_needed()
        return widget

    def wait_for_text(self, element: Any, words: str) -> None:
        """Wait until an element says something."""
        element.filter(has_text=words).wait_for(timeout=10_000)

    def red_outputs(self) -> int:
        """Count the outputs that are errors."""
        return self.page.locator("[data-mime-type='application/vnd.jupyter.error']").count()

    def picture(self, name: str) -> None:
        """Keep a screenshot."""
        self.page.screenshot(path=str(self.pictures.with_name(f"{self.pictures.name}_{name}.png")))

    def _wait_for_kernel(self) -> None:
        self.page.get_by_text("| Idle").wait_for(timeout=60_000)

    def _is_busy(self) -> bool:
        """Whether a cell still waits for its number."""
        return self.page.locator('.jp-InputPrompt:has-text("[*]")').count() > 0
