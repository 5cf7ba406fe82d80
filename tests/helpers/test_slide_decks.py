"""Slides: the rule that chooses them, how a page is filled, and that a deck is whole in itself."""

import re
import shutil

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers import slide_layout, slide_rule, slides
from helpers.bootstrap import ROOT

OPENING = """# Título

Você vai ver uma promessa.

*Abrir no Colab: ainda sem link.*

| O que | Detalhe |
| --- | --- |
| Duração | 15 minutos |

**Ao final, você saberá:**

1. uma coisa;
2. outra coisa."""
LONG = "Esta frase existe para ser comprida. " * 12
NOTEBOOKS = sorted((ROOT / "notebooks" / "pt").glob("[0-9][0-9]_*.ipynb"))


def shown(words):
    return new_output("execute_result", {"text/plain": words})


def lesson(*cells):
    first = [new_markdown_cell(OPENING), new_markdown_cell("## Prepare o notebook")]
    return [*first, new_code_cell("course = helpers.setup()"), *cells]


def marked(*cells):
    everything = lesson(*cells)
    for cell, kind in zip(everything, slide_rule.choose(everything), strict=True):
        cell.metadata["slideshow"] = {"slide_type": kind}
    return everything


def laid_out(*cells):
    return [
        (cell.metadata.slideshow["slide_type"], cell.source)
        for cell in slide_layout.lay_out(marked(*cells), "00 Título")
    ]


def test_the_rule_chooses_for_every_kind_of_cell():
    cells = lesson(
        new_markdown_cell("A tabela acima é o ponto de partida. " * 6),
        new_markdown_cell("## Seção\n\nUma frase."),
        new_code_cell("x = 1"),
        new_code_cell("x", outputs=[shown("1")]),
        new_markdown_cell("Agora compare:"),
        new_code_cell("x + 1"),
        new_markdown_cell(LONG),
        new_code_cell("x + 2"),
        new_markdown_cell("| a | b |\n| --- | --- |\n| 1 | 2 |"),
        new_markdown_cell("### Exercício 00.1 (direto): some"),
        new_code_cell('helpers.exercise("00.1").check(...)'),
        new_markdown_cell("Uma frase curta que não anuncia código."),
        new_markdown_cell("## Resumo\n\n- Isto."),
    )
    assert slide_rule.choose(cells) == [
        *("slide", "skip", "skip", "notes"),
        *("slide", "", "fragment"),
        *("subslide", "", "notes", "fragment"),
        *("subslide", "subslide", "", "notes", "slide"),
    ]


def test_a_comment_in_fenced_code_is_no_heading():
    assert slide_rule.heading_level("```bash\n# um comentário\n```") is None
    assert slide_rule.heading_level("Antes.\n\n### Exercício\n\nDepois.") == 3


def test_marking_keeps_what_a_teacher_chose_and_all_the_rest(tmp_path):
    path = tmp_path / "00_teste.ipynb"
    notebook = new_notebook(cells=lesson(new_code_cell("x", outputs=[shown("1")])))
    notebook.cells[3].metadata.update(tags=["keep"], slideshow={"slide_type": "skip"})
    nbformat.write(notebook, path)
    assert slides.mark_cells(path) == 3
    after = nbformat.read(path, as_version=4)
    assert after.cells[3].metadata == {"tags": ["keep"], "slideshow": {"slide_type": "skip"}}
    assert after.cells[3].outputs == notebook.cells[3].outputs
    before = path.read_bytes()
    assert slides.mark_cells(path) == 0
    assert path.read_bytes() == before


def test_a_type_that_jupyterlab_does_not_know_counts_as_none():
    cell = new_markdown_cell("x", metadata={"slideshow": {"slide_type": "-"}})
    assert slide_rule.kind_of(cell) is None


def test_the_deck_starts_with_the_title_and_then_the_objectives():
    first, notes, second, *_ = laid_out()
    assert first == ("slide", "# Título\n\nVocê vai ver uma promessa.")
    assert notes[0] == "notes" and "15 minutos" in notes[1]
    assert second[0] == "slide"
    assert second[1].startswith("## Ao final, você saberá\n\n1. uma coisa;")


def test_an_output_that_does_not_fit_goes_on_the_next_slide():
    tall = "\n".join(["linha"] * 18)
    pages = laid_out(new_markdown_cell("## Seção"), new_code_cell(tall, outputs=[shown(tall)]))
    assert pages[-2:] == [("", tall), ("subslide", "")]
    short = laid_out(new_markdown_cell("## Seção"), new_code_cell("x", outputs=[shown("1")]))
    assert short[-1] == ("", "x")


def test_a_full_slide_is_followed_by_another():
    code = "\n".join(["x = 1"] * 7)
    pages = laid_out(new_markdown_cell("## Seção"), *(new_code_cell(code) for _ in range(4)))
    assert [kind for kind, _ in pages[-4:]] == ["", "fragment", "subslide", "fragment"]


def test_long_prose_under_a_heading_is_spoken_but_an_exercise_is_shown():
    pages = laid_out(
        new_markdown_cell(f"## Seção\n\nUma frase.\n\n{LONG}\n\n- um item"),
        new_markdown_cell(f"### Exercício 00.1 (direto): x\n\n{LONG}\n\n{LONG}"),
    )
    assert pages[-3] == ("slide", "## Seção\n\nUma frase.\n\n- um item")
    assert pages[-2][0] == "notes"
    assert pages[-1][0] == "subslide" and pages[-1][1].count(LONG.strip()) == 2


def test_an_exercise_is_shown_before_it_is_tried():
    cell = new_code_cell('helpers.exercise("00.1").check(x)', outputs=[shown("ainda não")])
    last = slide_layout.lay_out(marked(new_markdown_cell("### Exercício"), cell), "00")[-1]
    assert last.outputs == []


def test_a_quiz_has_a_slide_a_question_and_the_answer_only_in_the_notes():
    pages = laid_out(new_markdown_cell("## Confira"), new_code_cell('helpers.quiz("00")'))
    asked = [source for kind, source in pages if source.startswith("### ")]
    told = [source for kind, source in pages if kind == "notes" and "é a certa" in source]
    assert len(asked) == len(told) == 4
    assert asked[0].count("\n- **") == 4 and "certa" not in asked[0].split("\n", 1)[0]
    assert told[0].startswith("a) ") and "**c) é a certa.** É isso" in told[0]


def test_a_running_app_is_told_by_its_text():
    html = '<div><iframe src="http://127.0.0.1:7860/"></iframe></div>'
    output = new_output("display_data", {"text/html": html, "text/plain": "a página"})
    last = slide_layout.lay_out(marked(new_code_cell("app", outputs=[output])), "00")[-1]
    assert last.outputs[0].data == {"text/plain": "a página"}


@pytest.fixture(scope="module")
def deck(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deck")
    path = shutil.copy(NOTEBOOKS[0], folder)
    slides.mark_cells(folder / NOTEBOOKS[0].name)
    return slides.deck(folder / NOTEBOOKS[0].name), path


def test_a_deck_asks_nothing_of_any_file_or_host(deck):
    page, _ = deck
    assert "Reveal.initialize" in page and "Copyright (C) 2011-2024 Hakim El Hattab" in page
    page = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert re.findall(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"(?!data:)", page) == []
    assert re.findall(r"@import|url\((?!['\"]?data:)", page) == []


def test_links_between_notebooks_lead_to_their_decks(deck):
    page, _ = deck
    assert 'href="04_perguntas_e_respostas_via_api.slides.html"' in page
    assert ".ipynb" not in page


def test_the_command_writes_a_file_a_notebook(tmp_path, capsys):
    assert slides.main(["0"], output=tmp_path / "novo") == 0
    assert [path.name for path in (tmp_path / "novo").iterdir()] == ["00_comece_aqui.slides.html"]
    assert "S abre as notas" in capsys.readouterr().out


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem[:2])
def test_each_cell_of_the_course_says_what_it_is_in_a_deck(path):
    cells = nbformat.read(path, as_version=4).cells
    silent = [cell.id for cell in cells if slide_rule.kind_of(cell) is None]
    assert not silent, f"run: python -m helpers slides --mark {path.name[:2]}"
    assert slide_rule.kind_of(cells[0]) == "slide"
