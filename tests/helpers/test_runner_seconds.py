"""How long the machine worked is kept in the notebook, and does not change for nothing."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from helpers import runner


@pytest.mark.parametrize(
    ("known", "measured", "kept"),
    [(None, 12.4, 12), (None, 0.2, 1), (2, 6.9, 2), (2, 7.4, 7), (60, 74, 60), (60, 44, 44)],
)
def test_a_time_is_replaced_only_by_another(known, measured, kept):
    course = {} if known is None else {"curso": {"segundos_de_maquina": known}}
    notebook = new_notebook(metadata=course)
    runner.record_seconds(notebook, measured)
    assert notebook.metadata.curso.segundos_de_maquina == kept


def test_running_in_place_keeps_the_time_and_a_copy_does_not(tmp_path, capsys):
    folder = tmp_path / "notebooks" / "pt"
    folder.mkdir(parents=True)
    path = folder / "00_teste.ipynb"
    cells = [new_markdown_cell("# Teste"), new_code_cell("1 + 1")]
    nbformat.write(new_notebook(cells=cells), path)
    assert runner.main([], root=tmp_path) == 0
    assert "curso" not in nbformat.read(path, as_version=4).metadata
    assert runner.main([], in_place=True, root=tmp_path) == 0
    first = path.read_bytes()
    assert nbformat.read(path, as_version=4).metadata.curso.segundos_de_maquina >= 1
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.curso.segundos_de_maquina = 10_000  # by now far from the truth
    nbformat.write(notebook, path)
    runner.main([], in_place=True, root=tmp_path)
    assert len(path.read_bytes()) <= len(first) + 1
