"""Twins for live coding: what stays, what is left to type, and a teacher's own work is safe."""

import ast
import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers import clean
from helpers.bootstrap import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks" / "pt").glob("[0-9][0-9]_*.ipynb"))
LONG = f"Primeira frase, que fica. {'Uma frase do meio, que se fala. ' * 8}A última anuncia:"


@pytest.fixture
def house(tmp_path):
    """A course of one small notebook."""
    folder = tmp_path / "notebooks" / "pt"
    folder.mkdir(parents=True)
    output = new_output("stream", name="stdout", text="2")
    cells = [
        new_markdown_cell("# Título\n\nPromessa.\n\n*Abrir no Colab: ainda sem link.*"),
        new_code_cell("import helpers\ncourse = helpers.setup()", outputs=[output]),
        new_markdown_cell(f"## Seção\n\n{LONG}"),
        new_code_cell("import requests\nresponse = requests.get(url)\nresponse.status_code"),
        new_code_cell('notice = "um texto"\nquestions = ["uma", "outra"]'),
        new_code_cell("print(1 + 1)", outputs=[output], metadata={"tags": ["x"]}),
        new_markdown_cell(f"### Exercício 00.1 (direto): some\n\n{LONG}"),
        new_code_cell('total = ...\nhelpers.exercise("00.1").check(total)', outputs=[output]),
    ]
    nbformat.write(new_notebook(cells=cells), folder / "00_teste.ipynb")
    return tmp_path


def made(house):
    assert clean.main([], root=house) == 0
    path = house / "executed" / "aula" / "00_teste.ipynb"
    return path, nbformat.read(path, as_version=4)


def test_what_stays_and_what_is_left_to_type(house):
    _, twin = made(house)
    sources = [cell.source for cell in twin.cells]
    assert sources[0] == "# Título\n\nPromessa."
    assert sources[1].endswith("course = helpers.setup()")
    assert sources[2] == "## Seção\n\nPrimeira frase, que fica. A última anuncia:"
    assert sources[3] == "# importa requests; cria response; mostra response.status_code"
    assert sources[4].startswith('notice = "um texto"')
    assert sources[5] == "# mostra print(1 + 1)"
    assert sources[6].count("do meio") == 8
    assert sources[7].startswith("total = ...")


def test_a_twin_has_no_outputs_and_is_a_valid_notebook(house):
    _, twin = made(house)
    nbformat.validate(twin)
    assert twin.metadata.kernelspec.name == "python3"
    for cell in twin.cells:
        assert cell.get("outputs", []) == [] and cell.get("execution_count") is None
        assert cell.metadata == {}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(x, *rest):\n    y = 1\n    return y", "# cria f(x, *rest)"),
        ("a, (b, *c) = 1, (2, 3)", "# cria a, b, c"),
        ("for x in y:\n    z = x", "# cria z"),
        ("for x in y:\n    print(x)", "# começa por for x in y:"),
        ("with a() as b:\n    c = b", "# cria c"),
        ("import a.b as c\nfrom d import e", "# importa c, e"),
        ("helpers.table(\n    [{'a': 1}]\n)", "# mostra helpers.table(...)"),
        ('rows["x"] = 1', "# cria rows['x']"),
        ("%pip install x", "# %pip install x"),
    ],
)
def test_the_prompt_names_what_later_cells_need(source, expected):
    assert clean.prompt(source) == expected


def test_a_twin_that_was_not_changed_is_made_again(house):
    path, twin = made(house)
    twin.cells[1].outputs = [new_output("stream", name="stdout", text="the setup ran")]
    nbformat.write(twin, path)
    made(house)
    assert "the setup ran" not in path.read_text("utf-8")


def test_a_twin_that_the_teacher_changed_stays_and_that_is_said(house, capsys):
    path, twin = made(house)
    twin.cells[3].source = "typed = 'live'"
    nbformat.write(twin, path)
    before = path.read_bytes()
    assert clean.main([], root=house) == 1
    assert path.read_bytes() == before
    assert "foi mudado" in capsys.readouterr().out
    assert clean.main([], force=True, root=house) == 0
    assert "typed" not in path.read_text("utf-8")
    assert path.with_suffix(".anterior.ipynb").read_bytes() == before


def test_what_is_no_notebook_any_more_is_the_teacher_s_too(house):
    path, _ = made(house)
    path.write_text("anotações", encoding="utf-8")
    assert clean.main([], root=house) == 1
    assert path.read_text("utf-8") == "anotações"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem[:2])
def test_every_notebook_has_a_twin(path):
    original = nbformat.read(path, as_version=4)
    twin = clean.twin(path)
    nbformat.validate(twin)
    written = "\n".join(cell.source for cell in twin.cells)
    assert re.findall(r'helpers\.exercise\("(.+?)"\)\.check', written) == re.findall(
        r'helpers\.exercise\("(.+?)"\)\.check', "\n".join(c.source for c in original.cells)
    )
    headings = re.findall(r"^#+ .+", written, flags=re.MULTILINE)
    assert sum(cell.cell_type == "code" for cell in twin.cells) == sum(
        cell.cell_type == "code" for cell in original.cells
    )
    assert len(headings) > 5 and "../" not in re.sub(r"base64,\S+", "", written)
    prompts = [c.source for c in twin.cells if c.cell_type == "code" and c.source.startswith("#")]
    assert len(prompts) > len([c for c in original.cells if c.cell_type == "code"]) / 2
    assert all(not ast.parse(source).body for source in prompts)  # comments, and nothing else
