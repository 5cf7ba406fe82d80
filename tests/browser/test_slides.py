"""Every slide of every deck, in a real browser: nothing is cut, nothing is asked of a network."""

import pytest

from helpers import slides

SIZE = {"width": 1280, "height": 720}
NOTEBOOKS = sorted((slides.ROOT / "notebooks" / "pt").glob("[0-9][0-9]_*.ipynb"))
MAX_SCROLLING = 2  # slides of a deck that do not fit even in their smallest letters

# Goes through the slides as a person does, with all fragments shown, and lists what is cut.
GO_THROUGH = """() => {
  const problems = [];
  let scrolling = 0;
  const inside = (part, slide) => {
    for (let box = part.parentElement; box !== slide.parentElement; box = box.parentElement) {
      if (["auto", "scroll"].includes(getComputedStyle(box).overflowY)) return true;
    }
    return part.getBoundingClientRect().bottom <= innerHeight + 1;
  };
  for (const slide of Reveal.getSlides()) {
    const at = Reveal.getIndices(slide);
    Reveal.slide(at.h, at.v, 99);
    const name = `${at.h}/${at.v} ${slide.innerText.trim().slice(0, 60)}`;
    const shows = slide.innerText.trim() || slide.querySelector("img, svg");
    if (!shows) problems.push(name + " is empty");
    if (slide.classList.contains("scrolls")) scrolling += 1;
    else if (slide.scrollHeight > slide.clientHeight + 1) problems.push(name + " is too tall");
    for (const part of slide.querySelectorAll("pre, table, img, svg, h1, h2, h3, p, li")) {
      if (part.closest("aside.notes, svg svg")) continue;
      const box = part.getBoundingClientRect();
      const wide = part.tagName === "PRE" && part.scrollWidth > part.clientWidth + 1;
      if (wide || box.right > innerWidth + 1) problems.push(`${name}: ${part.tagName} is too wide`);
      if (!inside(part, slide)) problems.push(`${name}: ${part.tagName} is cut below`);
    }
    const sizes = Array.from(slide.querySelectorAll("pre, p, td, li"), (part) =>
      part.closest("aside.notes") ? 99 : parseFloat(getComputedStyle(part).fontSize));
    if (Math.min(99, ...sizes) < 16) problems.push(`${name}: letters of ${Math.min(...sizes)} px`);
  }
  return {problems, scrolling, slides: Reveal.getTotalSlides()};
}"""


@pytest.fixture
def open_deck(browser, tmp_path):
    context = browser.new_context(viewport=SIZE, locale="pt-BR", offline=True)
    page = context.new_page()
    asked, failed = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: failed.append(str(error)))

    def opened(path):
        file = tmp_path / f"{path.stem}{slides.ENDING}"
        file.write_text(slides.deck(path), encoding="utf-8")
        page.goto(file.as_uri())
        page.wait_for_function("window.Reveal && Reveal.isReady()")
        return page, asked, failed

    yield opened
    context.close()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem[:2])
def test_every_slide_fits_and_nothing_leaves(open_deck, path):
    page, asked, failed = open_deck(path)
    found = page.evaluate(GO_THROUGH)
    assert found["problems"] == []
    assert found["scrolling"] <= MAX_SCROLLING
    assert found["slides"] > 10
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert len([url for url in asked if url.startswith("file:")]) == 1  # the deck itself
    assert failed == []


def test_the_keyboard_moves_and_opens_the_notes(open_deck):
    page, _, _ = open_deck(NOTEBOOKS[0])
    assert page.title().startswith("00 Comece aqui")
    place = "() => JSON.stringify(Reveal.getIndices())"
    seen = [page.evaluate(place)]
    for key in ("ArrowRight", "Space", "ArrowDown", "End"):
        page.keyboard.press(key)
        seen.append(page.evaluate(place))
    assert len(set(seen)) == len(seen), seen
    assert page.evaluate("Reveal.isLastSlide()")
    page.keyboard.press("Home")
    assert page.evaluate(place) == seen[0]
    with page.expect_popup() as popup:
        page.keyboard.press("s")
    notes = popup.value
    notes.wait_for_selector(".speaker-controls-notes:not(.hidden)", timeout=10_000)
    assert "Duração" in notes.inner_text(".speaker-controls-notes")
