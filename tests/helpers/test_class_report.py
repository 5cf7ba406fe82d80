"""A class's reports, thirty and some odd files, into one table and one page."""

import csv
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import class_report, logbook, reports
from helpers.bootstrap import ROOT
from helpers.errors import CourseError
from helpers.exercises import exercises_of
from helpers.quizzes import quiz

NAMES = [f"{first} {last}" for first in ("Ana", "Beto", "Érica", "Davi", "Íris", "João")
         for last in ("Alves", "Braga", "Costa", "Dias", "Émile")]  # fmt: skip


def write(folder, name, log, *, file=None, written="2026-11-20 10:00:00"):
    """Write a report as `helpers.report` does."""
    path = folder / (file or f"{'-'.join(reports.words_of(name)) or 'sem-nome'}.html")
    path.write_bytes(reports.render(name, log, written).encode())
    return path


def some_progress(seed):
    """Return the log of a learner who went some way."""
    chance = random.Random(seed)
    answers = []
    for number in range(chance.randrange(1, 12)):
        ids = [exercise.id for exercise in exercises_of(f"{number:02}")]
        ids += [question.id for question in quiz(f"{number:02}").questions]
        for id in ids:
            answers += [(id, False)] * chance.randrange(3) + [(id, chance.random() < 0.8)]
    return logbook.Log().after(answers)


def spoil(path, change):
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


def altered(path):
    """Change a word of a report that is not in its data."""
    spoil(path, lambda page: page.replace("<h1>", "<h1> "))


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "turma da manhã"
    path.mkdir()
    return path


@pytest.fixture(scope="module")
def class_folder(tmp_path_factory):
    """Thirty reports, one in a folder of its own, as learning platforms hand them out."""
    path = tmp_path_factory.mktemp("turma")
    (path / "entrega 12").mkdir()
    for seed, name in enumerate(NAMES):
        write(path if seed else path / "entrega 12", name, some_progress(seed))
    return path


def rows_of(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))


def sentences(folder):
    return class_report.collect(folder)[1]


# --- thirty reports --------------------------------------------------------------------------


def test_thirty_reports_become_a_table_and_a_page(class_folder, tmp_path, capsys):
    assert class_report.main(class_folder, tmp_path / "saída") == 0
    assert "Relatórios reunidos: 30." in capsys.readouterr().out
    rows = rows_of(tmp_path / "saída" / "turma.csv")
    assert [row["nome"] for row in rows] == sorted(NAMES, key=class_report._folded)
    handed = {one.name: one for one in class_report.collect(class_folder)[0]}
    for row in rows:
        for tally in handed[row["nome"]].tallies:
            assert row[f"{tally.notebook} exercícios"] == str(tally.exercises[0])
            assert row[f"{tally.notebook} quiz"] == str(tally.quiz[0])
            assert row[f"{tally.notebook} quiz de primeira"] == str(tally.first)
        assert row["conferência"] == "confere"
    page = (tmp_path / "saída" / "turma.html").read_text(encoding="utf-8")
    assert all(name in page for name in NAMES)
    assert page.count('<th scope="row"') >= 60 and page.count("<caption>") == 3
    assert '<html lang="pt-BR">' in page and "<script" not in page and "http" not in page


def test_the_plot_says_every_number(class_folder):
    handed, odd = class_report.collect(class_folder)
    assert odd == []
    chart = class_report.plot(handed)
    assert "relatórios: 30" in chart.alt
    for number in range(12):
        assert re.search(
            rf"notebook {number:02}: exercícios \d+ %, quiz de primeira \d+ %", chart.alt
        )
    done = [tally.exercises for one in handed for tally in one.tallies if tally.notebook == "00"]
    share = round(100 * sum(right for right, _ in done) / sum(total for _, total in done))
    assert f"notebook 00: exercícios {share} %" in chart.alt
    page = class_report.as_page(handed, odd)
    assert 'alt="Gráfico de barras. Acertos da turma' in page


def test_the_plot_reads_in_grey(class_folder):
    chart = class_report.plot(class_report.collect(class_folder)[0])
    (axes,) = chart.figure.axes
    patterns = {bar.get_hatch() for bar in axes.patches}
    assert len(patterns) == 2  # one series with a pattern and one without: colour is not needed
    assert [words.get_text() for words in axes.get_legend().get_texts()] == [
        "exercícios",
        "quiz, de primeira",
    ]


def test_the_hardest_exercises_are_those_with_most_tries(folder):
    for name in ("Ana", "Beto"):
        answers = [("00.1", True), *[("00.2", False)] * 5, ("00.2", name == "Ana")]
        write(folder, name, logbook.Log().after([*answers, ("00.3", name == "Ana")][:-1]))
    rows = class_report._hardest(class_report.collect(folder)[0])
    assert [list(row.values())[0][:4] for row in rows] == ["00.2", "00.1"]
    assert list(rows[0].values())[1:] == [2, 1, 6.0]


def test_a_second_call_keeps_the_first_results_and_does_not_read_them(folder):
    altered(write(folder, "Ana", some_progress(1)))  # without a plot, which takes a second
    for _ in range(2):
        assert class_report.main(folder) == 0
    assert {path.name for path in folder.glob("turma*")} == {
        "turma.csv", "turma.html", "turma-2.csv", "turma-2.html",
    }  # fmt: skip
    assert len(class_report.collect(folder)[0]) == len(sentences(folder)) == 1


# --- odd files -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("foto.jpg", b"\xff\xd8\xff\x00", "não é um relatório"),
        ("tarefa.txt", "Professora, não consegui.".encode(), "não é um relatório"),
        ("vazio.html", b"", "não é um relatório"),
        ("enorme.html", b"x" * 1_000_001, "não é um relatório"),
        ("página.html", b"<html><body>Oi</body></html>", "não é um relatório"),
        ("quase.html", f"<html>{reports.MARKER}</html>".encode(), "incompleto ou estragado"),
    ],
)
def test_what_is_no_report_becomes_a_sentence(folder, file, content, words):
    write(folder, "Ana", some_progress(1))
    (folder / file).write_bytes(content)
    handed, odd = class_report.collect(folder)
    assert [one.name for one in handed] == ["Ana"]
    assert len(odd) == 1 and file in odd[0] and words in odd[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda page: page[: len(page) // 2],
        lambda page: page[:-20],
        lambda page: page.replace('<pre id="dados">{', '<pre id="dados">'),
        lambda page: page.replace("&quot;code&quot;", "&quot;kode&quot;"),
        lambda page: page.replace(
            "&quot;entries&quot;: {", "&quot;entries&quot;: 3, &quot;x&quot;: {"
        ),
        lambda page: page.replace("2026-11-20 10:00:00&quot;", "ontem&quot;"),
        lambda page: page.replace("&quot;Ana&quot;", "[" * 50_000),
    ],
    ids=range(7),
)
def test_a_spoilt_report_becomes_a_sentence(folder, change):
    write(folder, "Beto", some_progress(2))
    spoil(write(folder, "Ana", some_progress(1)), change)
    handed, odd = class_report.collect(folder)
    assert [one.name for one in handed] == ["Beto"]
    assert len(odd) == 1 and "ana.html está incompleto ou estragado" in odd[0]


def test_an_altered_report_is_marked_and_left_out_of_the_plot(folder):
    write(folder, "Beto", some_progress(2))
    spoil(write(folder, "Ana", some_progress(1)), lambda page: page.replace("Ana", "Ane"))
    handed, odd = class_report.collect(folder)
    assert [one.label for one in handed] == ["Ane (alterado)", "Beto"]
    assert len(odd) == 1 and "ana.html mudou depois de escrito" in odd[0]
    assert class_report.main(folder) == 0
    assert [row["conferência"] for row in rows_of(folder / "turma.csv")] == ["alterado", "confere"]
    assert "(relatórios: 1)" in (folder / "turma.html").read_text(encoding="utf-8")


def test_only_altered_reports_still_make_a_table(folder):
    spoil(write(folder, "Ana", some_progress(1)), lambda page: page.replace("Ana", "Ane"))
    assert class_report.main(folder) == 0
    assert "<img" not in (folder / "turma.html").read_text(encoding="utf-8")


def test_of_the_same_person_the_latest_counts(folder):
    early = logbook.Log(entries={"00.1": logbook.Entry(1, True)})
    late = early.after([("00.3", True)])
    write(folder, "ana  LIMA", early, file="b.html", written="2026-11-20 10:00:00")
    write(folder, "Ana Lima", late, file="a.html", written="2026-11-21 09:00:00")
    handed, odd = class_report.collect(folder)
    assert [(one.file, len(one.entries)) for one in handed] == [("a.html", 2)]
    assert odd == ["a.html e b.html são da mesma pessoa: vale o mais recente, a.html."]


def test_an_intact_report_is_preferred_to_a_later_altered_one(folder):
    log = some_progress(1)
    write(folder, "Ana", log, file="a.html", written="2026-11-20 10:00:00")
    later = write(folder, "Ana", log, file="b.html", written="2026-11-21 10:00:00")
    altered(later)
    handed, odd = class_report.collect(folder)
    assert [(one.file, one.is_intact) for one in handed] == [("a.html", True)]
    assert len(odd) == 1


def test_namesakes_and_shared_codes_are_told(folder):
    shared = some_progress(3)
    write(folder, "Ana", some_progress(1), file="a1.html")
    write(folder, "ANA", some_progress(2), file="a2.html")
    write(folder, "Beto", shared)
    write(folder, "Caio", shared)
    handed, odd = class_report.collect(folder)
    assert len(handed) == 4
    assert len(odd) == 2
    assert "a1.html, a2.html, com códigos diferentes" in odd[0]
    assert f"O código {shared.code} aparece com nomes diferentes em beto.html, caio.html" in odd[1]


def test_those_without_a_name_are_told_apart_by_their_code(folder):
    first, second = some_progress(1), some_progress(2)
    write(folder, "", first, file="a.html")
    write(folder, "", second, file="b.html")
    handed, odd = class_report.collect(folder)
    assert {one.label for one in handed} == {f"sem nome ({log.code})" for log in (first, second)}
    assert odd == []


def test_another_version_of_the_course_is_told(folder, monkeypatch):
    monkeypatch.setattr("helpers.__version__", "0.0.9")
    write(folder, "Ana", some_progress(1))
    (told,) = sentences(folder)
    assert "ana.html foi escrito na versão 0.0.9" in told


def test_line_ends_of_windows_are_no_alteration(folder):
    path = write(folder, "Ana", some_progress(1))
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert sentences(folder) == []


def test_a_name_is_never_a_formula_nor_a_tag(folder):
    hostile = '=HYPERLINK("http://x")<b onmouseover=alert(1)>'
    altered(write(folder, hostile, some_progress(1)))
    class_report.main(folder)
    assert rows_of(folder / "turma.csv")[0]["nome"] == f"'{hostile}"
    assert "<b onmouseover" not in (folder / "turma.html").read_text(encoding="utf-8")


def test_hidden_files_are_not_read(folder):
    write(folder, "Ana", some_progress(1))
    (folder / ".DS_Store").write_bytes(b"\x00")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "._ana.html").write_bytes(b"\x00")
    assert sentences(folder) == []


def test_no_report_and_no_folder_are_sentences(folder):
    with pytest.raises(CourseError, match="Não há nenhum relatório"):
        class_report.main(folder)
    with pytest.raises(CourseError, match="Não achei a pasta"):
        class_report.main(folder / "nada")
    write(folder, "Ana", some_progress(1))
    with pytest.raises(CourseError, match="Não consegui gravar"):
        class_report.main(folder, folder / "ana.html")


def test_the_command_line(folder):
    write(folder, "Ana", some_progress(1))
    (folder / "foto.png").write_bytes(b"\x89PNG")
    command = [sys.executable, "-m", "helpers", "class-report", str(folder)]
    env = os.environ | {"COURSE_NO_VENV": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert "foto.png não é um relatório" in done.stdout and "Traceback" not in done.stderr
    assert Path(folder / "turma.csv").is_file()
