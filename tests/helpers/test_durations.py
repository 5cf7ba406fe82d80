"""Durations: what is counted, how it is said, and that headers say what is computed."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers import durations
from helpers.bootstrap import ROOT
from helpers.durations import Duration
from helpers.errors import CourseError

OPENING = """# Título

Uma promessa.

| O que | Detalhe |
| --- | --- |
| Duração | 5 minutos (a máquina trabalha menos de um minuto) |
| Precisa de | nada |"""


def notebook(*cells, seconds=30, **course):
    kept = {"segundos_de_maquina": seconds, **course}
    return new_notebook(cells=[new_markdown_cell(OPENING), *cells], metadata={"curso": kept})


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "menos de um minuto"),
        (44, "menos de um minuto"),
        (45, "cerca de um minuto"),
        (74, "cerca de um minuto"),
        (75, "cerca de um minuto e meio"),
        (105, "cerca de dois minutos"),
        (290, "cerca de cinco minutos"),
        (600, "cerca de dez minutos"),
        (700, "cerca de 12 minutos"),
    ],
)
def test_the_machine_s_time_in_words(seconds, words):
    assert durations.machine_time(seconds) == words


def test_the_row_says_all_of_it():
    plain = Duration(prose=20, code=10, outputs=6, exercises=12, machine=30)
    assert plain.minutes == 50
    assert str(plain) == "50 minutos (a máquina trabalha menos de um minuto)"
    more = Duration(0.1, 0, 0, 0, machine=60, more="mais o tempo do seu projeto")
    assert (
        str(more)
        == "5 minutos, mais o tempo do seu projeto (a máquina trabalha cerca de um minuto)"
    )


def test_the_machine_s_minutes_count_too():
    assert Duration(prose=10, code=0, outputs=0, exercises=0, machine=300).minutes == 15


def test_each_part_is_counted_at_its_own_speed():
    table = new_output("execute_result", {"text/html": "<b>um</b> &amp; <i>dois</i>" * 60})
    picture = new_output("display_data", {"image/png": "AAAA", "text/plain": "<Figure>"})
    found = durations.measure(
        notebook(
            new_markdown_cell("palavra " * 360),
            new_code_cell("x = [\n    1,\n]\n\n# três", outputs=[table, picture]),
        ),
        "99",
    )
    assert found.prose == pytest.approx(2, abs=0.05)
    assert found.code == pytest.approx(3 / durations.CODE_LINES_A_MINUTE)
    assert found.outputs == pytest.approx(1 + durations.PICTURE_MINUTES)
    assert found.exercises == 0


def test_exercises_and_quiz_count_by_level_and_their_own_outputs_do_not():
    words = new_output("stream", name="stdout", text="palavra " * 500)
    cells = [
        new_code_cell('helpers.exercise("04.1").check(price)', outputs=[words]),
        new_code_cell('helpers.quiz("04")', outputs=[words]),
    ]
    found = durations.measure(notebook(*cells), "04")
    assert found.outputs == 0
    assert durations.questions("04") == 4
    assert found.exercises == 2 * 3 + 2 * 6 + 4


def test_the_row_itself_changes_nothing_of_what_is_counted():
    first = durations.measure(notebook(), "99")
    other = notebook()
    other.cells[0].source = other.cells[0].source.replace("5 minutos (a", "150 minutos e mais (a")
    assert durations.measure(other, "99") == first


@pytest.fixture
def house(tmp_path):
    folder = tmp_path / "notebooks" / "pt"
    folder.mkdir(parents=True)
    nbformat.write(notebook(new_markdown_cell("palavra " * 3600)), folder / "99_longo.ipynb")
    return tmp_path


def test_checking_changes_nothing_and_writing_makes_it_agree(house, capsys):
    path = next((house / "notebooks" / "pt").iterdir())
    before = path.read_bytes()
    assert durations.main([], check=True, root=house) == 1
    assert path.read_bytes() == before
    assert durations.main([], root=house) == 0
    assert "| Duração | 20 minutos (a máquina" in nbformat.read(path, 4).cells[0].source
    assert durations.main([], check=True, root=house) == 0
    assert "links" in capsys.readouterr().out


def test_a_notebook_never_timed_says_how_to_time_it(house):
    path = next((house / "notebooks" / "pt").iterdir())
    untimed = nbformat.read(path, as_version=4)
    del untimed.metadata["curso"]
    nbformat.write(untimed, path)
    with pytest.raises(CourseError, match="run 99 --in-place"):
        durations.main([], root=house)


def test_a_header_without_the_row_is_named(house):
    path = next((house / "notebooks" / "pt").iterdir())
    changed = nbformat.read(path, as_version=4)
    changed.cells[0].source = "# Título\n\nUma promessa."
    nbformat.write(changed, path)
    with pytest.raises(CourseError, match="99_longo"):
        durations.main([], root=house)


def test_the_course_s_headers_say_what_is_computed(capsys):
    assert durations.main([], check=True, root=ROOT) == 0, capsys.readouterr().out
