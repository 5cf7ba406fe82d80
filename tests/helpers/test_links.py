"""The repository's address: one place, copied into every link, with an owner and with none."""

import re
import shutil
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import nbformat
import pytest

from helpers import links, slides
from helpers.errors import CourseError
from tests.notebooks import rules

ROOT = Path(__file__).resolve().parents[2]
FILES = ("pyproject.toml", "README.md", "CITATION.cff", "colab_links.md")
OWNED = "ana-souza/curso-hf"


def copied(folder):
    """Copy every file that holds the address."""
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    notebooks = folder / "notebooks" / "pt"
    notebooks.mkdir(parents=True)
    for path in (ROOT / "notebooks" / "pt").glob("[0-9][0-9]_*.ipynb"):
        shutil.copy(path, notebooks / path.name)
    return folder


@pytest.fixture
def house(tmp_path):
    """A house of one's own, to be changed."""
    return copied(tmp_path)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A house with an owner, to be looked at."""
    folder = copied(tmp_path_factory.mktemp("published"))
    assert links.main(OWNED, root=folder) == 0
    return folder


def notebooks(house):
    return sorted((house / "notebooks" / "pt").glob("*.ipynb"))


def contents(house):
    return {path: path.read_bytes() for path in house.rglob("*") if path.is_file()}


def test_everything_here_already_agrees(capsys):
    assert links.main(None, check=True, root=ROOT) == 0, capsys.readouterr().out


def test_without_an_owner_no_link_pretends(house):
    if links.read(house).is_set:
        pytest.skip("the repository has an owner")
    places = [house / "README.md", house / "colab_links.md", *notebooks(house)]
    for path in places:
        content = path.read_text("utf-8")
        assert "colab.research.google.com" not in content, path.name
        assert "mybinder.org" not in content and "kaggle.com" not in content, path.name
        assert "links --repo DONO/NOME" in content or "ainda não tem link" in content, path.name
    assert "repository-code" not in (house / "CITATION.cff").read_text("utf-8")


def test_with_an_owner_every_place_names_it(published):
    assert links.read(published).name == OWNED
    for path in contents(published):
        content = path.read_text("utf-8")
        assert links.PLACEHOLDER not in content, path.name
        assert set(re.findall(r"github\.com/([\w-]+/curso-hf)\b", content)) == {OWNED}, path.name
    assert f"git clone --depth 1 https://github.com/{OWNED}`" in (
        published / "README.md"
    ).read_text("utf-8")


def test_each_badge_opens_its_own_notebook(published):
    for path in notebooks(published):
        (opened,) = re.findall(
            r"colab\.research\.google\.com/github/(\S+?)\)",
            nbformat.read(path, as_version=4).cells[0].source,
        )
        assert unquote(opened) == f"{OWNED}/blob/main/notebooks/pt/{path.name}"


def setup_cells(house):
    for path in notebooks(house):
        cells = nbformat.read(path, as_version=4).cells
        yield next(cell.source for cell in cells if cell.cell_type == "code")


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_a_published_notebook_keeps_the_rules(published, rule):
    if rule is rules.links_lead_somewhere:
        pytest.skip("only the notebooks were copied, and not what they link to")
    for path in notebooks(published):
        assert rule(rules.Lesson.read(path)) == [], path.name


def test_the_badge_stays_out_of_the_deck(published):
    page = slides.deck(notebooks(published)[0])
    assert links.BADGE not in page and ".ipynb" not in page


def test_each_setup_cell_installs_from_it(published):
    (cell,) = set(setup_cells(published))
    (install,) = re.findall(r"^ +%pip install (.+)$", cell, flags=re.MULTILINE)
    assert install.split()[-1] == f"git+https://github.com/{OWNED}"
    assert "Confira a internet e o endereço" in cell


def test_without_an_owner_the_setup_cell_leads_to_the_folder(house):
    links.main(links.PLACEHOLDER, root=house)
    (cell,) = set(setup_cells(house))
    assert "python -m helpers lab" in cell and "Confira a internet" not in cell


def test_the_setup_cell_keeps_to_the_width_of_a_page():
    for name in (links.PLACEHOLDER, OWNED):
        cell = links.setup_cell(links.Repository(name))
        assert max(map(len, cell.splitlines())) <= 100


def test_the_table_has_a_row_a_notebook_and_three_ways_to_open_it(published):
    rows = re.findall(r"^\| \[(\d\d) .*$", (published / links.TABLE).read_text("utf-8"), re.M)
    assert rows == [path.name[:2] for path in notebooks(published)]
    for line, path in zip(
        [
            line
            for line in (published / links.TABLE).read_text("utf-8").splitlines()
            if line.startswith("| [")
        ],
        notebooks(published),
        strict=True,
    ):
        target, colab, kaggle, binder = re.findall(r"\]\((?!https://colab\S+badge)(\S+?)\)", line)
        assert (published / unquote(target)) == path
        assert unquote(urlsplit(colab).path).endswith(f"{OWNED}/blob/main/{target}")
        assert parse_qs(urlsplit(kaggle).query)["src"] == [
            f"https://github.com/{OWNED}/blob/main/{target}"
        ]
        assert f"/v2/gh/{OWNED}/main" in binder
        assert parse_qs(urlsplit(binder).query)["labpath"] == [target]


def test_writing_twice_changes_nothing(published, capsys):
    before = contents(published)
    assert links.main(None, root=published) == 0
    assert contents(published) == before
    assert OWNED in capsys.readouterr().out


def test_taking_the_owner_back_gives_the_same_bytes(house):
    links.main(links.PLACEHOLDER, root=house)
    before = contents(house)
    links.main(OWNED, root=house)
    assert contents(house) != before
    links.main(links.PLACEHOLDER, root=house)
    assert contents(house) == before


def test_checking_lists_what_differs_and_changes_nothing(house, capsys):
    links.main(None, root=house)
    capsys.readouterr()
    path = notebooks(house)[0]
    path.write_text(
        path.read_text("utf-8").replace("git+https://github.com/", "git+https://github.com/x"),
        "utf-8",
    )
    before = contents(house)
    assert links.main(None, check=True, root=house) == 1
    assert contents(house) == before
    shown = capsys.readouterr().out
    assert f"notebooks/pt/{path.name}\n" in shown and "README.md\n" not in shown


@pytest.mark.parametrize(
    "name",
    ["sem-barra", "dono/", "/nome", "a/b/c", "do no/nome", "-dono/nome", "dono/nome.git",
     "https://github.com/dono/nome", "dono/nome\n", "dono/n$me"],
)  # fmt: skip
def test_what_is_no_repository_is_a_sentence(house, name):
    before = contents(house)
    with pytest.raises(CourseError, match="DONO/NOME"):
        links.main(name, root=house)
    assert contents(house) == before


def test_a_notebook_without_its_heading_is_named(house):
    path = notebooks(house)[0]
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].source = "# Só um título\n\nE uma frase."
    nbformat.write(notebook, path)
    with pytest.raises(CourseError, match=path.name):
        links.main(None, root=house)
