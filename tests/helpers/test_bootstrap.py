"""From a bare Python to `.venv`: real environments, real pip, real failures, small packages."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from helpers import bootstrap

ROOT = bootstrap.ROOT
BASE_PYTHON = Path(os.path.realpath(sys.executable))
ENSURE = "from helpers import bootstrap; print(bootstrap.ensure())"
posix_only = pytest.mark.skipif(os.name == "nt", reason="POSIX signals and mounts")


def make_wheel(folder, name, content=b"VALUE = 1\n"):
    """Write a small, real wheel, so that pip has something to install without a registry."""
    info = f"{name}-1.0.dist-info"
    members = {
        f"{name}.py": content,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{member},,\n" for member in [*members, f"{info}/RECORD"])
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
        archive.writestr(f"{info}/RECORD", record)


def make_course(folder, *packages):
    """Copy what the bootstrap needs into a folder, asking for small packages only."""
    ignore = shutil.ignore_patterns("__pycache__", "adapters")
    shutil.copytree(ROOT / "helpers", folder / "helpers", ignore=ignore)
    (folder / "requirements.txt").write_text("\n".join(packages) + "\n")
    (folder / "constraints.txt").write_text("".join(f"{name}==1.0\n" for name in packages))
    for name in packages:
        make_wheel(folder / "wheels", name)
    return folder


def environment(course, **changes):
    """Return an environment in which pip sees the course's own wheels and nothing else."""
    hidden = ("PIP_", "COURSE_", "CONDA_", "PYTHON", "VIRTUAL_ENV")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
    pip = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(course / "wheels"),
        "COURSE_CACHE": str(course / "cache"),
    }
    return kept | pip | changes


def run(course, code=ENSURE, python=sys.executable, **changes):
    return subprocess.run(
        [str(python), "-c", code],
        cwd=course,
        env=environment(course, **changes),
        capture_output=True,
        text=True,
        timeout=120,
    )


def command(course, *arguments, python=sys.executable, **changes):
    return subprocess.run(
        [str(python), "-m", "helpers", *arguments],
        cwd=course,
        env=environment(course, **changes),
        capture_output=True,
        text=True,
        timeout=120,
    )


def assert_one_sentence(result, *fragments):
    assert result.returncode == 1, result
    assert "Traceback" not in result.stdout + result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    for fragment in fragments:
        assert fragment in result.stderr


def imports(course, module):
    """Tell whether the course's own environment imports a module, from another folder."""
    python = bootstrap.venv_python(course)
    code = f"import {module}; print({module}.__file__)"
    return subprocess.run([python, "-c", code], cwd="/", capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A course that was installed once; tests leave it complete."""
    course = make_course(tmp_path_factory.mktemp("bootstrap") / "curso", "tinyone", "tinytwo")
    result = run(course)
    assert result.returncode == 0, result.stderr
    assert Path(result.stdout.splitlines()[-1]) == bootstrap.venv_python(course)
    return course


def test_everything_is_installed_and_the_course_is_on_the_path(installed):
    assert imports(installed, "tinyone")
    assert imports(installed, "tinytwo")
    assert imports(installed, "helpers")
    assert json.loads((installed / ".venv" / bootstrap.STAMP).read_text())["python"]


def test_a_second_call_installs_nothing(installed):
    log = installed / ".venv" / bootstrap.LOG
    before = log.stat().st_mtime_ns
    start = time.monotonic()
    result = run(installed)
    assert result.returncode == 0
    assert time.monotonic() - start < 3
    assert log.stat().st_mtime_ns == before


def test_changed_requirements_are_installed(installed):
    make_wheel(installed / "wheels", "tinythree")
    with (installed / "requirements.txt").open("a") as file:
        file.write("tinythree\n")
    assert run(installed).returncode == 0
    assert imports(installed, "tinythree")


def test_a_moved_folder_still_works(installed, tmp_path):
    moved = tmp_path / "outro lugar"
    installed.rename(moved)
    try:
        assert run(moved).returncode == 0
        python = bootstrap.venv_python(moved)
        code = "import helpers; print(helpers.__file__)"
        answer = subprocess.run([python, "-c", code], cwd="/", capture_output=True, text=True)
        assert answer.stdout.startswith(str(moved))
    finally:
        moved.rename(installed)
    assert run(installed).returncode == 0


def test_a_half_installed_package_is_installed_again(installed):
    (installed / ".venv" / bootstrap.STAMP).unlink()
    site_packages = bootstrap._inspect(bootstrap.venv_python(installed)).site_packages
    (site_packages / "tinyone.py").unlink()
    (site_packages / "tinyone-1.0.dist-info" / "RECORD").unlink()  # pip writes it last
    (site_packages / "~inytwo").mkdir()  # what an interrupted uninstall leaves
    assert run(installed).returncode == 0
    assert imports(installed, "tinyone")
    assert not (site_packages / "~inytwo").exists()


def test_two_at_once_install_once(installed):
    (installed / ".venv" / bootstrap.STAMP).unlink()
    options = {"cwd": installed, "env": environment(installed), "text": True}
    both = [
        subprocess.Popen([sys.executable, "-c", ENSURE], stdout=subprocess.PIPE, **options)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("Bibliotecas prontas" in output for output in outputs) == 1


def test_a_broken_environment_is_made_again(installed):
    python = bootstrap.venv_python(installed)
    python.unlink()
    python.write_text("not a program")
    assert run(installed).returncode == 0
    assert imports(installed, "tinyone")


def test_an_environment_of_another_python_is_not_continued(tmp_path):
    ours = f"{sys.version_info[0]}.{sys.version_info[1]}.9"
    (tmp_path / "pip-24.0.dist-info").mkdir()
    (tmp_path / "pip-24.0.dist-info" / "RECORD").touch()
    assert bootstrap._can_continue(bootstrap._Interpreter(ours, tmp_path))
    assert not bootstrap._can_continue(bootstrap._Interpreter("3.9.18", tmp_path))


def test_no_registry_is_told_in_a_sentence(installed):
    (installed / ".venv" / bootstrap.STAMP).unlink()
    with socket.socket() as closed:  # bound but not listening: connections are refused
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/simple"
        (installed / "requirements.txt").open("a").write("absent-package\n")
        changes = {"PIP_INDEX_URL": url, "PIP_RETRIES": "1", "PIP_NO_INDEX": ""}
        result = command(installed, "models", **changes)
    assert_one_sentence(result, "registro", "pip config list")
    lines = (installed / "requirements.txt").read_text().splitlines()[:-1]
    (installed / "requirements.txt").write_text("\n".join(lines) + "\n")
    assert run(installed).returncode == 0


def test_a_package_that_does_not_exist_is_told_in_a_sentence(installed):
    original = (installed / "requirements.txt").read_text()
    (installed / "requirements.txt").write_text(original + "absent-package\n")
    result = command(installed, "models")
    (installed / "requirements.txt").write_text(original)
    assert_one_sentence(result, "absent-package", "doctor")
    assert run(installed).returncode == 0


@posix_only
def test_ctrl_c_during_pip_ends_in_one_line_and_the_next_call_continues(installed):
    (installed / ".venv" / bootstrap.STAMP).unlink()
    original = (installed / "requirements.txt").read_text()
    (installed / "requirements.txt").write_text(original + "absent-package\n")
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts and never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        process = subprocess.Popen(
            [sys.executable, "-m", "helpers", "models"],
            cwd=installed,
            env=environment(installed, PIP_INDEX_URL=url, PIP_NO_INDEX=""),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        silent.settimeout(30)
        connection, _ = silent.accept()  # pip is waiting for the registry now
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=15)
        connection.close()
    (installed / "requirements.txt").write_text(original)
    assert process.returncode == 130
    assert len(errors.strip().splitlines()) == 1
    assert "Interrompido" in errors
    assert run(installed).returncode == 0


@posix_only
def test_a_missing_venv_module_is_told_in_a_sentence(tmp_path):
    """A standard library without ensurepip, as Debian's python3 has it."""
    course = make_course(tmp_path / "curso", "tinyone")
    home = tmp_path / "python"
    library = Path(os.__file__).parent
    stdlib = home / "lib" / library.name
    stdlib.mkdir(parents=True)
    for entry in library.iterdir():
        if entry.name not in ("ensurepip", "site-packages"):
            (stdlib / entry.name).symlink_to(entry)
    result = command(course, "lab", python=BASE_PYTHON, PYTHONHOME=str(home))
    assert_one_sentence(result, "venv", "apt install python3")


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 40 MB."""
    folder = tmp_path / "disco"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder)]
    if os.name == "nt" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_noticed_before_installing(small_disk):
    course = make_course(small_disk / "curso", "tinyone")
    assert_one_sentence(command(course, "lab"), "espaço em disco", "Libere espaço")
    assert not (course / ".venv").exists()


def test_a_disk_that_fills_up_while_installing_is_told(small_disk):
    course = make_course(small_disk / "curso", "tinyone")
    # Random bytes, so that the wheel is not smaller than what it holds.
    content = b"DATA = '" + os.urandom(10_000_000).hex().encode() + b"'\n"
    make_wheel(course.parent.parent / "wheels", "tinyone", content)
    code = f"""
from helpers import bootstrap, errors
bootstrap.SPACE_NEEDED = 0
try:
    {ENSURE.partition("; ")[2]}
except errors.CourseError as error:
    raise SystemExit(str(error))
"""
    wheels = str(course.parent.parent / "wheels")
    result = run(course, code, PIP_FIND_LINKS=wheels)
    assert_one_sentence(result, "espaço em disco", "Libere espaço")
    assert bootstrap.ready_python(course) is None


def test_a_read_only_folder_is_told_in_a_sentence(small_disk):
    course = make_course(small_disk / "curso", "tinyone")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert_one_sentence(command(course, "lab"), "Sem permissão", "copie o curso")


def test_outside_a_clone_the_command_says_so(tmp_path):
    course = make_course(tmp_path / "curso")
    (course / "requirements.txt").unlink()
    assert_one_sentence(command(course, "lab"), "git clone")


def test_the_current_environment_is_used_when_asked_for_and_complete(tmp_path):
    course = make_course(tmp_path / "curso")
    (course / "requirements.txt").write_text("packaging\n")
    result = run(course, COURSE_NO_VENV="1")
    assert result.stdout.strip() == sys.executable
    assert not (course / ".venv").exists()


def test_an_incomplete_current_environment_is_told(tmp_path):
    course = make_course(tmp_path / "curso", "tinyone")
    result = command(course, "lab", COURSE_NO_VENV="1")
    assert_one_sentence(result, "COURSE_NO_VENV", "tinyone", "pip install")


def test_pip_output_becomes_progress(tmp_path):
    progress = bootstrap.PipProgress(tmp_path)
    progress.read("Collecting torch>=2.11 (from -r requirements.txt)\n")
    assert "torch" in progress.message()
    progress.read("  Downloading torch-2.13.0-cp311-none-any.whl (200.0 MB)\n")
    assert progress.message() == "Baixando torch"
    progress.read("Progress 50000000 of 200000000\n")
    assert progress.message() == "Baixando torch: 50 de 200 MB"
    progress.read("Installing collected packages: a, b, torch\n")
    (tmp_path / "a-1.0.dist-info").mkdir()
    assert progress.message() == "Instalando: 1 de 3 pacotes"


def test_a_status_line_in_a_file_has_one_line_a_phase(tmp_path):
    with (tmp_path / "log").open("w+") as stream:
        status = bootstrap.StatusLine(stream)
        for count in range(5):
            status.show(f"um {count}", "um")
        status.show("dois", "dois")
        status.finish("fim")
        stream.seek(0)
        lines = [line.partition("  [")[0] for line in stream.read().splitlines()]
    assert lines == ["um 0", "dois", "fim"]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("OSError: [Errno 28] No space left on device", "espaço"),
        ("ERROR: [Errno 13] Permission denied: '/x'", "permissão"),
        ("NewConnectionError(...): Name or service not known", "registro"),
        ("Error: ensurepip is not available.", "módulo venv"),
        ("ERROR: No matching distribution found for torch==9", "torch==9"),
        ("", "apague a pasta"),
    ],
)
def test_failures_are_told_apart(output, expected, tmp_path):
    error = bootstrap._failure_told(output, tmp_path, fallback="cli.venv_failed")
    assert expected in str(error)


def test_pip_settings_of_the_user_are_read(tmp_path):
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = https://user:secret@mirror.example/simple\n")
    code = (
        "import sys; from helpers import bootstrap;"
        "print(bootstrap.pip_configuration([sys.executable, '-m', 'pip']))"
    )
    changes = {"PIP_CONFIG_FILE": str(config), "PYTHONPATH": str(ROOT)}
    result = run(tmp_path, code, **changes)
    assert "https://user:secret@mirror.example/simple" in result.stdout
