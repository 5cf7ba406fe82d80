"""What is shown, as HTML and as text that says the same."""

import re
from html.parser import HTMLParser

import pytest

from helpers import display
from helpers.errors import CourseError

CONTEXT = "Meu nome é Marcundes e estou gravando uma aula."


class Balance(HTMLParser):
    """Collects the text and checks that every tag is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.words, self.tags = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, words):
        self.words.append(words)


def parse(html):
    parser = Balance()
    parser.feed(html)
    assert parser.open == []
    return parser


@pytest.mark.parametrize(
    ("value", "digits", "written"),
    [
        (0.97034, 2, "0,97"),
        (1234567.891, 1, "1.234.567,9"),
        (30.0, None, "30"),
        (0.1, None, "0,1"),
        (1000, 0, "1.000"),
        (-0.001, 2, "0,00"),
        (-0.0, None, "0"),
        (-0.05, 2, "-0,05"),
        (1e-9, None, "0"),
    ],
)
def test_numbers_are_written_as_in_brazil(value, digits, written):
    assert display.number(value, digits) == written


def test_highlight_in_words():
    shown = display.highlight(CONTEXT, 11, 20, 0.9703)
    assert shown.answer == "Marcundes"
    assert repr(shown) == ("Meu nome é «Marcundes» e estou gravando uma aula.  (pontuação 0,97)")


def test_highlight_in_html_says_the_same():
    page = parse(display.highlight(CONTEXT, 11, 20, 0.9703)._repr_html_())
    assert "".join(page.words) == f"{CONTEXT} (pontuação 0,97)"
    assert [tag for tag, _ in page.tags] == ["p", "mark", "small"]


def test_highlight_escapes_html():
    context = 'Use <script>alert("oi")</script> & nada mais.'
    page = parse(display.highlight(context, 4, 12)._repr_html_())
    assert "".join(page.words) == context
    assert "script" not in [tag for tag, _ in page.tags]


def test_highlight_of_no_answer():
    shown = display.highlight(CONTEXT, 0, 0, 0.5)
    assert "não encontrou" in repr(shown) and "não encontrou" in shown._repr_html_()
    assert "mark" not in shown._repr_html_()


@pytest.mark.parametrize(("start", "end"), [(-1, 3), (5, 3), (0, 1000)])
def test_positions_outside_the_text(start, end):
    with pytest.raises(CourseError, match="não cabem no texto"):
        display.highlight(CONTEXT, start, end)


def luminance(colour):
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    light, dark = sorted([luminance(one), luminance(other)], reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_colours_can_be_read():
    background, ink = re.search(r"background:(#\w{6});color:(#\w{6})", display.MARK).groups()
    assert contrast(background, ink) >= 4.5
    assert contrast(display.BLUE, "#ffffff") >= 3 and contrast(display.INK, "#ffffff") >= 4.5


ROWS = [
    {"modelo": "curso/qa-pt", "ms": 12.345, "tokens": 1234, "local": True},
    {"modelo": "ação", "ms": None, "tokens": 5, "local": False},
]


def test_table_in_words_is_aligned():
    assert repr(display.table(ROWS, digits=1)) == (
        "modelo         ms  tokens  local\n"
        "───────────  ────  ──────  ─────\n"
        "curso/qa-pt  12,3   1.234  sim\n"
        "ação            —       5  não"
    )


def test_table_in_html():
    page = parse(display.table(ROWS, caption="Medidas", row_headers=True)._repr_html_())
    scopes = [attributes["scope"] for tag, attributes in page.tags if tag == "th"]
    assert scopes == ["col"] * 4 + ["row"] * 2
    assert "Medidas" in page.words and "12,35" in page.words


def test_table_with_missing_keys_and_markup():
    shown = display.table([{"a": "<b>"}, {"b": 2}])
    assert shown.columns == ("a", "b") and shown.rows == (("<b>", "—"), ("—", "2"))
    assert "<b>" not in shown._repr_html_()


def test_an_empty_table_says_so():
    assert repr(display.table([])) == "Tabela sem linhas"
    assert "Tabela sem linhas" in display.table([])._repr_html_()


def test_tables_align_wide_letters():
    lines = repr(display.table([{"a": "日本", "b": "x"}, {"a": "abcd", "b": "y"}])).splitlines()
    assert lines[2] == "日本  x" and lines[3] == "abcd  y"


def test_numpy_and_torch_numbers():
    numpy = pytest.importorskip("numpy")
    shown = display.table([{"n": numpy.float32(0.5), "i": numpy.int64(3)}])
    assert shown.rows == (("0,50", "3"),)


def test_bars_carry_their_text():
    pytest.importorskip("matplotlib")
    chart = display.bars(["local", "API"], [12.34, 80], title="Tempo em ms.", unit="ms", digits=1)
    assert chart.alt == "Gráfico de barras. Tempo em ms. local: 12,3 ms; API: 80,0 ms."
    bundle = chart._repr_mimebundle_()
    ((_, attributes),) = parse(bundle["text/html"]).tags
    assert attributes["alt"] == chart.alt == bundle["text/plain"] == repr(chart)
    assert chart.png().startswith(b"\x89PNG") and len(chart.png()) < 60_000
    assert chart.png() == chart.png()


def test_bars_show_each_name_and_number():
    pytest.importorskip("matplotlib")
    chart = display.bars(["a", "b"], [1, 2], title="t", ranges=[(0.5, 1.5), (1.5, 2.5)])
    axes = chart.figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert [note.get_text() for note in axes.texts] == ["1,00", "2,00"]
    assert "(de 0,50 a 1,50)" in chart.alt


@pytest.mark.parametrize(("labels", "values"), [([], []), (["a"], [1, 2])])
def test_bars_without_names(labels, values):
    with pytest.raises(CourseError, match="nome e de um número"):
        display.bars(labels, values, title="t")


def test_several_series_tell_their_highest():
    pytest.importorskip("matplotlib")
    labels = ["Meu", "nome", "é", "Marcundes", "."]
    values = {"começo": [0.1, 0.05, 0.02, 0.8, 0.03], "fim": [0.0, 0.1, 0.0, 0.7, 0.2]}
    chart = display.bars(labels, values, title="Probabilidade")
    assert "começo, os maiores: Marcundes (0,80), Meu (0,10), nome (0,05)" in chart.alt
    assert "fim, os maiores: Marcundes (0,70)" in chart.alt
    axes = chart.figure.axes[0]
    assert [entry.get_text() for entry in axes.get_legend().get_texts()] == ["começo", "fim"]
    hatches = {patch.get_hatch() for patch in axes.patches}
    assert len(hatches) == 2  # told apart without colour
    with pytest.raises(CourseError):
        display.bars(labels, {"a": [1, 2]}, title="t")
