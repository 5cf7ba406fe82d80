// Starts reveal.js and makes each slide fit: code with long lines gets smaller letters, pictures
// shrink, then all letters, and what still does not fit scrolls. The sizes are those of deck.css.
(function () {
  const SMALLEST_CODE = 0.8;
  const SMALLEST_PICTURE = 300;
  const PICTURE_STEP = 40;
  const LARGEST_PICTURE = 560;
  const SMALLEST_LETTERS = 0.72;
  const LETTER_STEP = 0.04;

  function overflows(slide) {
    if (slide.scrollHeight > slide.clientHeight + 1 || slide.scrollWidth > slide.clientWidth + 1) {
      return true;
    }
    const wide = slide.querySelectorAll(".jp-OutputArea-child, .jp-RenderedMarkdown");
    return Array.from(wide).some((part) => part.scrollWidth > part.clientWidth + 1);
  }

  function cutsCode(slide) {
    const code = slide.querySelectorAll(".jp-InputArea-editor pre");
    return Array.from(code).some((part) => part.scrollWidth > part.clientWidth + 1);
  }

  function fitCode(slide) {
    slide.classList.remove("wraps");
    slide.style.setProperty("--code-letters", 1);
    for (let code = 1; cutsCode(slide) && code > SMALLEST_CODE; code -= LETTER_STEP) {
      slide.style.setProperty("--code-letters", code - LETTER_STEP);
    }
    if (cutsCode(slide)) slide.classList.add("wraps");
  }

  function fit(slide) {
    if (!slide || slide.dataset.fitted) return;
    let picture = LARGEST_PICTURE;
    let letters = 1;
    slide.style.setProperty("--picture", picture + "px");
    slide.style.setProperty("--letters", letters);
    fitCode(slide);
    while (overflows(slide) && slide.querySelector("img, svg") && picture > SMALLEST_PICTURE) {
      picture -= PICTURE_STEP;
      slide.style.setProperty("--picture", picture + "px");
    }
    while (overflows(slide) && letters > SMALLEST_LETTERS) {
      letters -= LETTER_STEP;
      slide.style.setProperty("--letters", letters);
      fitCode(slide);  // with smaller letters all around, its own may be larger
    }
    if (overflows(slide)) {
      slide.classList.add("scrolls");
      slide.tabIndex = 0;
    }
    slide.dataset.fitted = letters.toFixed(2);
  }

  Reveal.initialize({
    width: 1280,
    height: 720,
    margin: 0,
    center: false,
    hash: true,
    navigationMode: "linear",
    slideNumber: "c/t",
    transition: "none",
    plugins: [RevealNotes],
  });
  Reveal.on("ready", (event) => fit(event.currentSlide));
  Reveal.on("slidechanged", (event) => fit(event.currentSlide));
})();
