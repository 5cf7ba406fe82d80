"""The house in order: one list of dependencies, tested versions, licences, the two commands."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from helpers.bootstrap import ROOT, requirement_lines

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
REQUIREMENTS = requirement_lines(ROOT / "requirements.txt")
CONSTRAINTS = requirement_lines(ROOT / "constraints.txt")

# Colab's image of 2026-08-19, as far as its versions are known.
COLAB = {
    "accelerate": "1.14.0",
    "datasets": "4.0.0",
    "huggingface_hub": "1.27.0",
    "ipywidgets": "7.7.1",
    "numpy": "2.1.3",
    "requests": "2.32.4",
    "torch": "2.11.0",
    "transformers": "5.15.0",
}
# Packages that exist for one system only: pinned, they would still be right on no other.
ONE_SYSTEM = re.compile(r"^(nvidia-|cuda-|triton|pywin|colorama|appnope|winpty|torch.*\+)")


def by_name(lines):
    return {canonicalize_name(Requirement(line).name): Requirement(line) for line in lines}


def test_requirements_are_what_pyproject_says():
    project = PROJECT["project"]
    extras = project["optional-dependencies"]
    expected = sorted([*project["dependencies"], *extras["lab"], *extras["test"]])
    assert expected == REQUIREMENTS, "requirements.txt should be:\n" + "\n".join(expected)


def test_each_dependency_is_listed_once():
    assert len(by_name(REQUIREMENTS)) == len(REQUIREMENTS)


def test_dependencies_have_no_upper_bound_and_colab_satisfies_them():
    for name, requirement in by_name(PROJECT["project"]["dependencies"]).items():
        assert {specifier.operator for specifier in requirement.specifier} == {">="}, name
        colab = {canonicalize_name(key): value for key, value in COLAB.items()}.get(name)
        assert colab is None or requirement.specifier.contains(colab), f"{name} {colab}"


def test_constraints_are_exact_and_satisfy_the_requirements():
    exact = by_name(CONSTRAINTS)
    for name, constraint in exact.items():
        assert [specifier.operator for specifier in constraint.specifier] == ["=="], name
    for name, requirement in by_name(REQUIREMENTS).items():
        version = next(iter(exact[name].specifier)).version
        assert requirement.specifier.contains(version), f"{requirement} but {version}"
    assert str(exact["torch"]) == "torch==2.13.0"


def test_constraints_hold_on_every_system():
    assert [line for line in CONSTRAINTS if ONE_SYSTEM.match(line.lower())] == []


@pytest.fixture(scope="module")
def conda():
    """What environment.yml says, as conda and Binder read it: (packages, lines for pip)."""
    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    assert environment["channels"] == ["conda-forge"]
    packages = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    (for_pip,) = (entry["pip"] for entry in environment["dependencies"] if entry not in packages)
    return packages, for_pip


def test_conda_lists_no_package_a_second_time(conda):
    packages, for_pip = conda
    assert for_pip == ["-r requirements.txt", "-c constraints.txt"]
    named = {canonicalize_name(re.split(r"[<>=]", package)[0]) for package in packages}
    assert named == {"python", "pip"}
    assert not named & set(by_name(REQUIREMENTS))


def test_conda_and_binder_get_a_python_that_the_tests_run_on(conda):
    (python,) = (package for package in conda[0] if package.startswith("python"))
    # Binder's own pattern: without an exact minor version it would take a Python of its choice.
    minor = re.fullmatch(r"python=(3\.\d+)", python)[1]
    assert SpecifierSet(PROJECT["project"]["requires-python"]).contains(minor)
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text("utf-8"))
    assert minor in workflow["jobs"]["test"]["strategy"]["matrix"]["python"]


def test_ci_runs_the_command_of_the_readme():
    readme = (ROOT / "README.md").read_text("utf-8")
    assert "python -m helpers lab" in readme
    assert "python -m helpers test" in readme
    assert "run: python -m helpers test" in (ROOT / ".github/workflows/test.yml").read_text()
    assert '-m helpers test "$@"' in (ROOT / ".ci/run").read_text()
    assert (ROOT / ".ci/run").stat().st_mode & 0o111
    subprocess.run(["bash", "-n", ROOT / ".ci/run"], check=True)


def test_the_bug_form_asks_for_the_doctor():
    form = (ROOT / ".github/ISSUE_TEMPLATE/bug.yml").read_text("utf-8")
    assert "python -m helpers doctor" in form


def test_code_and_text_have_their_licences():
    assert "Apache License" in (ROOT / "LICENSE").read_text("utf-8")
    assert "CC BY 4.0" in (ROOT / "LICENSE-TEXT").read_text("utf-8")
    assert PROJECT["project"]["license"] == "Apache-2.0 AND CC-BY-4.0"


def repository_addresses(text):
    return set(re.findall(r"github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?(?=[\s\"'/)\\]|$)", text))


def test_notebooks_install_from_the_one_address():
    address = PROJECT["project"]["urls"]["Repository"].removeprefix("https://github.com/")
    for path in (ROOT / "notebooks").rglob("*.ipynb"):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        installs = "\n".join(line for line in code.splitlines() if "git+https" in line)
        assert repository_addresses(installs) == {address}, path.name


@pytest.mark.parametrize("script", ["__main__.py", "__init__.py"])
def test_what_an_old_python_meets_first_can_be_parsed_by_it(script):
    import ast

    source = (ROOT / "helpers" / script).read_text("utf-8")
    ast.parse(source, feature_version=(3, 7))


def test_importing_helpers_needs_the_standard_library_only():
    code = """
import sys, helpers
files = [getattr(module, "__file__", None) or "" for module in sys.modules.values()]
print([file for file in files if "site-packages" in file])
"""
    result = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert result.stdout.strip() == "[]", result.stderr


@pytest.mark.registry
def test_the_built_package_holds_its_data_files(tmp_path):
    """Needs a package registry: pip fetches setuptools to build with."""
    source = tmp_path / "source"  # building leaves files behind
    shutil.copytree(ROOT / "helpers", source / "helpers")
    for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-TEXT"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-I", "-m", "pip", "wheel", "--no-deps", "-w", tmp_path, source]
    subprocess.run(command, check=True, capture_output=True)
    names = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "helpers"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert set(tracked) - names == set()
