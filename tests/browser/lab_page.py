"""One notebook open in JupyterLab, with what a person does there.

What a person sees is asked of the page, what is true of every cell of JupyterLab's own model: cells
far from the window are not in the page.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.browser.lab_server import SCREENSHOTS, Lab

OPEN_SECONDS = 120
SAVE_SECONDS = 120
ANSWER_SECONDS = 60
MOST_TABS = 200
# Labels of the language pack, and JupyterLab's own where it has none.
RUN_MENU = '.lm-MenuBar-itemLabel:text-matches("^(Run|Executar)$")'
RUN_ALL = '.lm-Menu-item[data-command="runmenu:run-all"]'

KERNEL_IS_IDLE = """() => {
  const panel = window.jupyterapp?.shell.currentWidget;
  return panel?.sessionContext?.session?.kernel?.status === "idle";
}"""
# Where the first error is that no tag announces; -1 where there is none.
ERROR_CELL = """() => jupyterapp.shell.currentWidget.content.widgets.findIndex(({model}) =>
  model.type === "code" && !model.getMetadata("tags")?.includes("raises-exception") &&
  model.outputs.toJSON().some(output => output.output_type === "error"))"""
# The kernel rests, and each cell has its number.
IS_DONE = """() => {
  const panel = jupyterapp.shell.currentWidget;
  const waiting = panel.content.widgets.filter(({model}) =>
    model.type === "code" && model.executionCount === null && model.sharedModel.source);
  return panel.sessionContext.session.kernel.status === "idle" && waiting.length === 0;
}"""
WIDGET_CELLS = """kind => jupyterapp.shell.currentWidget.content.widgets.flatMap((cell, place) =>
  cell.model.type === "code" && cell.model.outputs.toJSON().some(output => output.data?.[kind])
    ? [place] : [])"""
SOURCE = "place => jupyterapp.shell.currentWidget.content.widgets[place].model.sharedModel.source"
# As the arrow keys do: the cell is chosen, and the keyboard is on it.
GO_TO_CELL = """async place => {
  const notebook = jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = place;
  notebook.mode = "command";
  await notebook.scrollToItem(place, "start");
  notebook.widgets[place].node.focus();
}"""
# From here on, keep what the kernel complains about. A widget's error is in no cell's output:
# JupyterLab only writes it in its log.
LISTEN = """() => {
  window.complaints = [];
  const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  kernel.iopubMessage.connect((_, message) => {
    const {ename, evalue, name, text} = message.content;
    if (message.header.msg_type === "error") complaints.push(`${ename}: ${evalue}`);
    if (message.header.msg_type === "stream" && name === "stderr") complaints.push(text);
  });
}"""
# The kernel answers in the order in which it was asked, so after this it has complained of all that
# was moved; twice, because a widget keeps a second move to itself until the first is done.
COMPLAINTS = """async () => {
  const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  await kernel.requestKernelInfo();
  await new Promise(done => setTimeout(done, 300));
  await kernel.requestKernelInfo();
  return complaints;
}"""
# Name every control of a panel once. Returns the names.
NAME_CONTROLS = """panel => {
  const found = panel.querySelectorAll(
    "select, input, textarea, button, [role=slider], [contenteditable=true]");
  const names = new Set();
  for (const control of found) {
    if (control.disabled || control.type === "hidden" || !control.checkVisibility()) continue;
    window.controlsNamed ??= 0;
    control.dataset.name ??= `${control.tagName} ${++window.controlsNamed}`;
    names.add(control.dataset.name);
  }
  return [...names];
}"""
FOCUSED = """panel => {
  const control = document.activeElement?.closest("[data-name]");
  if (!control || !panel.contains(control)) return null;
  const kind = control.getAttribute("role") ?? control.type ?? "text";
  return {name: control.dataset.name, kind};
}"""
STATE = """name => {
  const control = document.querySelector(`[data-name="${CSS.escape(name)}"]`);
  return control && [control.getAttribute("aria-valuenow"), control.value, control.checked].join();
}"""
# The keys that change a control: each way is tried until one does. Not the arrows alone: in a
# notebook they go from cell to cell, even from a list or from a group of round buttons.
KEYS = {
    "slider": (["End"], ["Home"]),
    "select-one": (["Space", "ArrowDown", "Enter"], ["Space", "ArrowUp", "Enter"]),
    "radio": (["Space"],),
    "checkbox": (["Space"],),
    "button": (["Space"],),
    "submit": (["Space"],),
    "number": (["1"], ["2"]),
    "text": (["a"],),
    "textarea": (["a"],),
}
# What a press changes is elsewhere in the panel.
WITHOUT_STATE = {"button", "submit"}
NUMBER_BESIDE_A_SLIDER = "DIV"
WIDGET = "application/vnd.jupyter.widget-view+json"


@dataclass
class Walk:
    """What the Tab key met in a panel.

    Attributes:
        there: the names of all its controls.
        reached: those on which the keyboard came to be.
        moved: those that a key changed.
        said: the texts of the panel, before and after each move.
        complaints: errors and warnings of the kernel meanwhile.
    """

    there: set[str] = field(default_factory=set)
    reached: set[str] = field(default_factory=set)
    moved: set[str] = field(default_factory=set)
    said: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)


@dataclass
class LabPage:
    """A page with a notebook.

    Attributes:
        page: Playwright's page.
        file: the notebook's file, which JupyterLab reads and saves.
    """

    page: Any
    file: Path

    @classmethod
    def open(cls, context: Any, lab: Lab, name: str) -> "LabPage":
        """Open a file of a JupyterLab's folder and wait for its kernel."""
        page = context.new_page()
        page.goto(lab.address(name))
        page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=OPEN_SECONDS * 1000)
        page.wait_for_function(KERNEL_IS_IDLE, timeout=OPEN_SECONDS * 1000)
        return cls(page, lab.folder / name)

    def run_all(self, seconds: float) -> None:
        """Run every cell from the menu, until the last one is done or one fails."""
        self.page.click(RUN_MENU)
        self.page.click(RUN_ALL)
        deadline = time.monotonic() + seconds
        while not self.page.evaluate(IS_DONE) and self._error_cell() < 0:
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"{self.file.name} did not finish in {seconds:.0f} s in JupyterLab; "
                    f"see {self.picture('unfinished')}"
                )
            self.page.wait_for_timeout(250)

    def save(self) -> None:
        """Save with the keyboard, and wait until the file is written."""
        before = self.file.stat().st_mtime_ns
        self.page.keyboard.press("Control+s")
        deadline = time.monotonic() + SAVE_SECONDS
        while self.file.stat().st_mtime_ns == before or self._is_dirty():
            assert time.monotonic() < deadline, f"JupyterLab did not save {self.file.name}"
            self.page.wait_for_timeout(100)

    def panels(self) -> Iterator[Any]:
        """Go to each cell with a widget, as the arrow keys do, and return the widget's output."""
        for place in self.page.evaluate(WIDGET_CELLS, WIDGET):
            yield self._panel(place)

    def panel_of(self, words: str) -> Any:
        """Go to the one cell with a widget whose source has these words, and return its output."""
        (place,) = [
            place
            for place in self.page.evaluate(WIDGET_CELLS, WIDGET)
            if words in self.page.evaluate(SOURCE, place)
        ]
        return self._panel(place)

    def _panel(self, place: int) -> Any:
        self.go_to(place)
        panel = self.page.locator(".jp-mod-active .jp-OutputArea-output .jupyter-widgets").first
        panel.wait_for(timeout=ANSWER_SECONDS * 1000)
        # By a name of its own: its cell is the chosen one only until the keyboard leaves it.
        panel.evaluate("(element, place) => { element.dataset.panel = place; }", place)
        return self.page.locator(f'[data-panel="{place}"]')

    def go_to(self, place: int) -> None:
        """Choose a cell by its place and bring it into sight."""
        self.page.evaluate(GO_TO_CELL, place)

    def walk(self, panel: Any) -> Walk:
        """Move every control of a panel, with the Tab key and the keys of each kind of control.

        The panel's cell must be the chosen one.
        """
        seen = Walk(said={panel.inner_text()})
        self.page.evaluate(LISTEN)
        for _ in range(MOST_TABS):
            self.page.keyboard.press("Tab")
            seen.there |= set(panel.evaluate(NAME_CONTROLS))
            focused = panel.evaluate(FOCUSED)
            if focused is None:
                if seen.reached:  # past the last control
                    break
                continue
            name, kind = focused["name"], focused["kind"]
            if name not in seen.reached:
                seen.reached.add(name)
                if self._move(name, kind):
                    seen.moved.add(name)
                seen.said.add(panel.inner_text())
                # A press may bring new controls.
                seen.there |= set(panel.evaluate(NAME_CONTROLS))
        seen.complaints = self.page.evaluate(COMPLAINTS)
        return seen

    def menu(self, name: str) -> list[str]:
        """Open one of the menus above, and return what it offers."""
        self.page.click(f'.lm-MenuBar-itemLabel:text-is("{name}")')
        labels = self.page.locator(".lm-Menu .lm-Menu-itemLabel")
        labels.first.wait_for(timeout=ANSWER_SECONDS * 1000)
        offered = labels.all_inner_texts()
        self.page.keyboard.press("Escape")
        return [label for label in offered if label]

    def wait_for_text(self, element: Any, words: str) -> None:
        """Wait until an element says something."""
        element.filter(has_text=words).wait_for(timeout=ANSWER_SECONDS * 1000)

    def picture(self, name: str) -> Path:
        """Keep a screenshot and return its path."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{self.file.name[:2]}_{name}.png"
        self.page.screenshot(path=str(path))
        return path

    def picture_of_error(self) -> Path:
        """Keep a screenshot of the first cell that failed."""
        self.go_to(self._error_cell())
        return self.picture("error")

    def _error_cell(self) -> int:
        return int(self.page.evaluate(ERROR_CELL))

    def _move(self, name: str, kind: str) -> bool:
        """Press the keys of this kind of control; tell whether it changed."""
        if name.startswith(NUMBER_BESIDE_A_SLIDER) and kind == "text":
            return True  # a slider's number, moved with its slider
        before = self.page.evaluate(STATE, name)
        for keys in KEYS.get(kind, ()):
            for key in keys:
                self.page.keyboard.press(key)
            self.page.wait_for_function(KERNEL_IS_IDLE, timeout=ANSWER_SECONDS * 1000)
            after = self.page.evaluate(STATE, name)
            is_chosen = kind == "radio" and after.endswith("true")  # perhaps it already was
            if kind in WITHOUT_STATE or is_chosen or after != before:
                return True
        return False

    def _is_dirty(self) -> bool:
        return bool(self.page.evaluate("() => jupyterapp.shell.currentWidget.context.model.dirty"))
