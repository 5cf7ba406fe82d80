"""The public repository's workflows: their scripts are run here, as far as this machine goes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCRIPTS = ROOT / ".github" / "scripts"

COLAB_FREEZE = """absl-py==1.4.0
huggingface_hub==1.27.0
numpy==2.1.3
scikit-learn==1.6.1
sentencepiece==0.2.1+colab
torch @ https://example.com/torch-2.11.0%2Bcu128-cp313-cp313-linux_x86_64.whl
Soxr==0.5.0.post1
transformers==5.15.0
"""
# Stands in for GitHub's own command, which needs an account: it writes down what it was told.
GH = """#!/usr/bin/env bash
echo "$@" >> "$GH_LOG"
if [ "$1 $2" = "issue list" ]; then echo "$GH_OPEN"; fi
for argument in "$@"; do if [ -f "$argument" ]; then cat "$argument" >> "$GH_LOG"; fi; done
"""

needs_bash = pytest.mark.skipif(sys.platform == "win32", reason="a bash script")


def steps():
    for path in WORKFLOWS:
        for job in yaml.safe_load(path.read_text("utf-8"))["jobs"].values():
            yield from job["steps"]


def test_workflows_can_be_read_and_may_write_nothing_but_issues():
    assert {path.name for path in WORKFLOWS} == {"test.yml", "weekly.yml"}
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text("utf-8"))
        assert workflow["permissions"] == {"contents": "read"}
        for job in workflow["jobs"].values():
            granted = job.get("permissions", {})
            assert {name for name, kind in granted.items() if kind == "write"} <= {"issues"}
            assert job["timeout-minutes"] <= 90


def test_every_script_that_a_workflow_runs_is_here():
    commands = " ".join(step.get("run", "") for step in steps())
    named = {word for word in commands.split() if word.startswith(".github/scripts/")}
    assert named == {f".github/scripts/{path.name}" for path in SCRIPTS.iterdir() if path.is_file()}
    assert "python -m helpers test" in commands


def test_tests_run_on_three_systems_with_the_oldest_and_a_newer_python():
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text("utf-8"))
    matrix = workflow["jobs"]["test"]["strategy"]["matrix"]
    assert {name.split("-")[0] for name in matrix["system"]} == {"ubuntu", "macos", "windows"}
    assert "3.11" in matrix["python"] and len(matrix["python"]) > 1


def test_every_notebook_runs_with_colabs_versions_each_week():
    workflow = yaml.safe_load((ROOT / ".github/workflows/weekly.yml").read_text("utf-8"))
    commands = [step.get("run", "") for step in workflow["jobs"]["colab"]["steps"]]
    install, *tests = commands[-3:]
    assert install.endswith("-r requirements.txt -c colab-constraints.txt")
    assert tests == ["python -m helpers test", "python -m pytest tests/colab -m slow"]


def test_colabs_list_becomes_constraints(tmp_path):
    freeze = tmp_path / "freeze.txt"
    freeze.write_text(COLAB_FREEZE, "utf-8")
    command = [sys.executable, SCRIPTS / "colab_constraints.py", freeze]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert printed.splitlines() == [
        "huggingface_hub==1.27.0",
        "numpy==2.1.3",
        "scikit-learn==1.6.1",
        "sentencepiece==0.2.1",
        "Soxr==0.5.0.post1",
        "transformers==5.15.0",
    ]


@pytest.fixture
def report(tmp_path):
    """Run the weekly report with a stand-in for `gh`; return its exit code and what `gh` heard."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "gh").write_text(GH, "utf-8")
    (programs / "gh").chmod(0o755)
    (programs / "python").symlink_to(sys.executable)
    log = tmp_path / "gh.log"

    def run(endpoint, open_issue=""):
        log.write_text("", "utf-8")
        environment = os.environ | {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
            "COURSE_NO_VENV": "1",
            "HF_ENDPOINT": endpoint,
            "GH_LOG": str(log),
            "GH_OPEN": open_issue,
        }
        script = [shutil.which("bash"), SCRIPTS / "report_models.sh"]
        done = subprocess.run(script, env=environment, capture_output=True, text=True)
        return done, log.read_text("utf-8")

    return run


@needs_bash
def test_a_changed_model_opens_one_issue_with_the_table(report, hub):
    done, heard = report(hub.url)
    assert done.returncode == 0, done.stderr
    assert "issue create --title Modelos do Hub: algo mudou" in heard
    assert "| Modelo | Usado em |" in heard and "não existe mais" in heard
    assert "issue edit" not in heard and "(ambiente" not in heard


@needs_bash
def test_an_open_issue_is_written_again(report, hub):
    done, heard = report(hub.url, open_issue="7")
    assert done.returncode == 0, done.stderr
    assert "issue edit 7" in heard and "issue create" not in heard


@needs_bash
def test_no_answer_is_a_failed_check_and_no_issue(report):
    done, heard = report("http://127.0.0.1:9")
    assert done.returncode == 1
    assert heard == "" and "não respondeu" in done.stderr
