"""The Space as a repository: its files, and a card that the Hub and a reader can follow."""

import ast
import re
import shutil
import sys

import pytest
from huggingface_hub import RepoCard

from helpers.embedded.catalog import catalog, repositories
from helpers.embedded.recipes import space

SPACES = [repository for repository in repositories() if repository.kind == "space"]
each_space = pytest.mark.parametrize("repository", SPACES, ids=lambda item: item.id)


@each_space
def test_recipe_copies_what_a_space_needs(repository, tmp_path):
    source = shutil.copytree(repository.source, tmp_path / "source")
    (source / "__pycache__").mkdir(exist_ok=True)  # left by a run of the program
    (target := tmp_path / "target").mkdir()
    space.build(source, target)
    built = {path.relative_to(target) for path in target.rglob("*") if path.is_file()}
    assert set(space.FILES) <= {path.as_posix() for path in built}
    assert not (target / "__pycache__").exists()
    for path in built:
        assert (target / path).read_bytes() == (repository.source / path).read_bytes()


def test_recipe_refuses_an_incomplete_space(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    with pytest.raises(FileNotFoundError):
        space.build(source, target)


@each_space
def test_card_tells_how_to_run_it(repository):
    card = RepoCard.load(repository.card)
    data = card.data.to_dict()
    assert data["sdk"] == repository.task == "gradio"
    assert data["app_file"] == "app.py"
    assert len(data["short_description"]) <= 60  # the Hub's limit
    assert re.search(rf"pip install gradio=={re.escape(data['sdk_version'])} ", card.text)
    assert all(catalog().repository(name).kind == "model" for name in data["models"])
    assert all(catalog().repository(name).kind == "dataset" for name in data["datasets"])


@each_space
def test_program_installs_what_it_imports_and_says_what_it_reads(repository):
    program = (repository.source / "app.py").read_text(encoding="utf-8")
    tree = ast.parse(program)
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    requirements = (repository.source / "requirements.txt").read_text(encoding="utf-8")
    outside = imported - sys.stdlib_module_names - {"gradio"}
    assert outside == set(re.findall(r"^[\w-]+", requirements, re.MULTILINE))
    card = repository.card.read_text(encoding="utf-8")
    for variable in re.findall(r'os\.environ\.get\("(\w+)"', program):
        assert f"`{variable}`" in card
