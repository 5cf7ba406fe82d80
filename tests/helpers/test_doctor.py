"""What `python -m helpers doctor` says, with everything installed and with nothing."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import bootstrap, doctor
from helpers.errors import CourseError

ROOT = bootstrap.ROOT
BASE_PYTHON = Path(os.path.realpath(sys.executable))
LINE = re.compile(r"^(?P<label>\S.{0,19}) (?P<mark>OK|atenção|falta) +(?P<detail>\S.*)$")
LABELS = {
    *("Curso", "Sistema", "Python", "Ambiente", "Bibliotecas", "Kernel do Jupyter", "Dispositivo"),
    *("Memória", "Modelos embutidos", "Servidor local", "Hugging Face Hub", "Token"),
    *("Registro de pacotes", "Pasta do curso", "Disco livre"),
}
SECRET = "hf_" + "x" * 30 + "SEGREDO"


def run(folder, cache, python=sys.executable, **changes):
    environment = os.environ | {"COURSE_CACHE": str(cache), "HF_TOKEN_PATH": str(cache / "none")}
    environment |= changes
    environment.pop("HF_TOKEN", None) if "HF_TOKEN" not in changes else None
    result = subprocess.run(
        [str(python), "-m", "helpers", "doctor"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    return result.stdout


def findings(output):
    """Map each label to its mark and its detail."""
    lines = filter(None, map(LINE.match, output.splitlines()))
    return {line["label"].strip(): (line["mark"], line["detail"]) for line in lines}


def advice(output):
    return output.rstrip().splitlines()[-1]


def test_a_complete_installation_is_described(tmp_path):
    output = run(ROOT, tmp_path, COURSE_NO_VENV="1")
    found = findings(output)
    assert set(found) == LABELS
    for label in ("Python", "Ambiente", "Bibliotecas", "Kernel do Jupyter", "Pasta do curso"):
        assert found[label][0] == "OK", found[label]
    assert "transformers " in found["Bibliotecas"][1]
    assert "core" in found["Dispositivo"][1] or "núcleo" in found["Dispositivo"][1]
    assert advice(output) == "Tudo certo: rode `python -m helpers lab`."


def test_a_bare_python_is_told_to_install(tmp_path):
    """The base interpreter with an empty folder of packages: nothing but the standard library."""
    course = tmp_path / "curso"
    course.mkdir()
    ignore = shutil.ignore_patterns("__pycache__", "adapters")
    shutil.copytree(ROOT / "helpers", course / "helpers", ignore=ignore)
    for name in ("requirements.txt", "constraints.txt"):
        shutil.copy(ROOT / name, course)
    python = tmp_path / "bare"
    subprocess.run([BASE_PYTHON, "-m", "venv", "--without-pip", python], check=True)
    interpreter = next(path for path in python.glob("*/python*") if path.stem == "python")
    output = run(course, tmp_path / "cache", python=interpreter, COURSE_NO_VENV="")
    found = findings(output)
    assert set(found) == LABELS
    assert found["Ambiente"] == ("falta", ".venv ainda não existe")
    assert found["Bibliotecas"][0] == "falta"
    assert "torch" in found["Bibliotecas"][1]
    assert found["Kernel do Jupyter"][0] == "falta"
    assert found["Disco livre"][0] in ("OK", "falta")
    assert advice(output).startswith("Próximo passo:")
    assert not (course / ".venv").exists()


def test_a_token_is_reported_and_never_shown(tmp_path):
    output = run(ROOT, tmp_path, COURSE_NO_VENV="1", HF_TOKEN=SECRET.replace("_x", "_y"))
    assert findings(output)["Token"][0] == "OK"
    assert "HF_TOKEN" in findings(output)["Token"][1]
    assert "SEGREDO" not in output
    assert "yyyy" not in output


def test_a_class_server_that_does_not_answer_is_told_without_its_token(tmp_path):
    variables = {"COURSE_SERVER": "127.0.0.1:9", "COURSE_TOKEN": "SEGREDO-da-turma"}
    output = run(ROOT, tmp_path, COURSE_NO_VENV="1", **variables)
    mark, detail = findings(output)["Servidor local"]
    assert mark == "atenção"
    assert "http://127.0.0.1:9, não respondeu" in detail and "SEGREDO" not in output


def test_a_damaged_token_is_told_without_showing_it(tmp_path):
    output = run(ROOT, tmp_path, COURSE_NO_VENV="1", HF_TOKEN="abc SEGREDO def")
    assert findings(output)["Token"][0] == "atenção"
    assert "SEGREDO" not in output


def test_an_unreachable_registry_is_told_without_its_password(tmp_path):
    url = "http://maria:SEGREDO@127.0.0.1:9/simple"
    output = run(ROOT, tmp_path, COURSE_NO_VENV="1", PIP_INDEX_URL=url)
    mark, detail = findings(output)["Registro de pacotes"]
    assert mark == "atenção"
    assert detail == "http://127.0.0.1:9/simple não responde"
    assert "SEGREDO" not in output


def test_a_cache_folder_that_cannot_be_made_does_not_end_the_report(tmp_path):
    file = tmp_path / "arquivo"
    file.touch()
    output = run(ROOT, file / "cache", COURSE_NO_VENV="1")
    assert set(findings(output)) == LABELS
    assert findings(output)["Pasta do curso"][0] != "OK"


def test_little_disk_stops_only_those_who_still_have_to_install(monkeypatch):
    monkeypatch.setattr(bootstrap, "SPACE_NEEDED", 10**18)
    assert doctor._disk(ROOT).mark is doctor.Mark.ATTENTION
    monkeypatch.setattr(doctor, "_is_complete", lambda root: False)
    monkeypatch.setattr(bootstrap, "ready_python", lambda root: None)
    finding = doctor._disk(ROOT)
    assert finding.mark is doctor.Mark.MISSING
    assert "libere espaço" in finding.next_step


@pytest.mark.parametrize("error", [CourseError("uma frase"), RuntimeError("surpresa")])
def test_one_line_that_fails_does_not_cost_the_others(error):
    def look():
        raise error

    finding = doctor._safely("Coisa", look)
    assert finding.mark is doctor.Mark.ATTENTION
    assert str(error) in finding.detail
