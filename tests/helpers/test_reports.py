"""The table of what is done, and the page that is handed in."""

import getpass
import json
import platform
import re
from html import unescape
from pathlib import Path

import pytest

import helpers
from helpers import logbook, reports
from helpers.errors import CourseError
from helpers.exercises import exercises_of
from helpers.logbook import Entry


@pytest.fixture
def place(monkeypatch, tmp_path):
    """Where the progress is kept in this test."""
    path = tmp_path / "progresso.json"
    monkeypatch.setenv(logbook.VARIABLE, str(path))
    monkeypatch.setattr(logbook, "_waiting", [])
    return path


@pytest.fixture
def handed(place, tmp_path):
    """A folder to write reports in, with some progress made."""
    logbook.note("00.3", passed=True)
    logbook.note("04.quiz.1", passed=False)
    logbook.note("04.quiz.1", passed=True)
    logbook.note("04.quiz.2", passed=True)
    folder = tmp_path / "entrega"
    folder.mkdir()
    return folder


def data_of(path):
    content = path.read_text(encoding="utf-8")
    return json.loads(unescape(re.search(r'<pre id="dados">(.*?)</pre>', content, re.DOTALL)[1]))


# --- progress --------------------------------------------------------------------------------


def test_every_notebook_has_a_row(place):
    tallies = helpers.progress().tallies
    assert [one.notebook for one in tallies] == [f"{number:02}" for number in range(12)]
    for one in tallies:
        assert one.exercises == (0, len(exercises_of(one.notebook)))
        assert one.quiz == (0, 4)


def test_what_was_done_is_counted_by_level(handed):
    rows = {row[0]: row[1:] for row in helpers.progress().table.rows}
    assert rows["00 Comece aqui"] == ("1 de 2", "0 de 1", "0 de 4", "0")
    assert rows["04 Perguntas e respostas via API"] == ("0 de 2", "0 de 2", "2 de 4", "1")
    total = sum(len(exercises_of(f"{number:02}")) for number in range(12))
    direct, hard, quiz, first = rows["ao todo"]
    assert (quiz, first) == ("2 de 48", "1")
    assert sum(int(words.split(" de ")[1]) for words in (direct, hard)) == total


def test_both_twins_say_the_same(handed):
    shown = helpers.progress()
    html = re.sub(r"<[^>]+>", " ", shown._repr_html_())
    for words in re.split(r" {2,}|\n", repr(shown)):
        if words.strip("─ "):
            assert words.strip() in unescape(html)
    assert repr(shown) == repr(helpers.progress())


def test_where_it_is_kept_is_said(handed, place):
    assert str(place) in repr(helpers.progress())


def test_a_home_is_said_without_the_users_name(place, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: place.parent)
    shown = repr(helpers.progress())
    assert "~/progresso.json" in shown and str(place.parent) not in shown


def test_a_damaged_file_is_said(place):
    place.write_bytes(b"{")
    assert "progresso-danificado-1.json" in repr(helpers.progress())


def test_what_could_not_be_written_is_said(monkeypatch, tmp_path):
    (tmp_path / "arquivo").write_text("")
    monkeypatch.setattr(logbook, "_waiting", [])
    monkeypatch.setenv(logbook.VARIABLE, str(tmp_path / "arquivo" / "progresso.json"))
    logbook.note("00.3", passed=True)
    shown = helpers.progress()
    assert "1 de 2" in repr(shown) and "Não consegui gravar" in repr(shown)


def test_switched_off_is_said():
    assert "desligado" in repr(helpers.progress())
    with pytest.raises(CourseError, match="desligado"):
        helpers.report("Ana")


def test_entries_of_another_version_of_the_course_do_not_count():
    tallies = list(reports.tally({"00.99": Entry(1, True), "55.quiz.1": Entry(1, True)}))
    assert sum(one.exercises[0] + one.quiz[0] for one in tallies) == 0


# --- the report ------------------------------------------------------------------------------


def test_the_page_holds_the_table_and_the_data(handed):
    path = helpers.report("Ana Lima", handed).path
    assert path == handed / "progresso-ana-lima.html"
    content = path.read_text(encoding="utf-8")
    assert '<html lang="pt-BR">' in content and "<script" not in content
    assert "Ana Lima · código" in content and "Comece aqui" in content
    data = data_of(path)
    assert data["name"] == "Ana Lima" and data["course_version"] == helpers.__version__
    assert data["entries"] == logbook.plain_entries(logbook.read())
    assert reports.seal_of(content) is True


def test_nothing_personal_goes_in_unless_typed(handed, place, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 34)
    path = helpers.report(folder=handed).path
    assert path.name == "progresso.html"
    content = path.read_text(encoding="utf-8")
    assert data_of(path)["name"] == ""
    for secret in (platform.node(), str(Path.home()), str(place.parent), "hf_xxx", str(handed)):
        assert secret not in content, secret
    without_style = re.sub(r"<style>.*?</style>", "", content, flags=re.DOTALL)
    assert not re.search(rf"\b{re.escape(getpass.getuser())}\b", without_style)


def test_what_is_said_of_it_names_no_folder(handed):
    written = helpers.report("Ana", handed)
    assert "progresso-ana.html" in repr(written) and str(handed) not in repr(written)


def test_nothing_is_written_over(handed):
    paths = [helpers.report("Ana", handed).path for _ in range(3)]
    assert [path.name for path in paths] == [
        "progresso-ana.html",
        "progresso-ana-2.html",
        "progresso-ana-3.html",
    ]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("  Érica   dos Santos ", "progresso-erica-dos-santos.html"),
        ("../../etc/passwd", "progresso-etc-passwd.html"),
        ("<script>alert('x')</script>", "progresso-script-alert-x-script.html"),
        ("李小龍", "progresso.html"),
        ("a\nb\x00c", "progresso-a-b-c.html"),
        ("ana " * 100, "progresso-ana-ana-ana-ana-ana-ana.html"),
    ],
)
def test_any_name_will_do(handed, name, file):
    path = helpers.report(name, handed).path
    assert path.name == file and path.parent == handed
    content = path.read_text(encoding="utf-8")
    assert "<script" not in content
    assert data_of(path)["name"] == reports.clean_name(name)
    assert len(reports.clean_name(name)) <= reports.LONGEST_NAME


def test_a_folder_that_is_not_there_is_a_sentence(handed):
    with pytest.raises(CourseError, match="Não consegui escrever"):
        helpers.report("Ana", handed / "nada")


@pytest.mark.parametrize(
    ("change", "seal"),
    [
        (lambda page: page, True),
        (lambda page: page.replace("\n", "\r\n"), True),
        (lambda page: page + "\n\n", True),
        (lambda page: page.rstrip(), True),
        (lambda page: page.replace("2 de 4", "4 de 4"), False),
        (lambda page: page.replace("&quot;tries&quot;: 2", "&quot;tries&quot;: 1"), False),
        (lambda page: page.replace("Ana", "Bia"), False),
        (lambda page: page[:-30], None),
        (lambda page: page.partition("<!-- conf")[0], None),
        (lambda page: "", None),
    ],
)
def test_the_seal_shows_an_edit_and_not_a_change_of_line_ends(handed, change, seal):
    content = helpers.report("Ana", handed).path.read_text(encoding="utf-8")
    assert reports.seal_of(change(content)) is seal
