"""``import helpers`` is quick and needs nothing installed."""

import subprocess
import sys

import helpers


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_only_the_standard_library():
    code = (
        "import sys; before = set(sys.modules); import helpers;"
        "print(*{n.split('.')[0] for n in set(sys.modules) - before} "
        "- set(sys.stdlib_module_names) - {'helpers'})"
    )
    assert run(code).strip() == ""


def test_under_a_fifth_of_a_second():
    code = "import time; t = time.perf_counter(); import helpers; print(time.perf_counter() - t)"
    assert min(float(run(code)) for _ in range(3)) < 0.2


def test_every_name_is_found():
    for name in helpers.__all__:
        assert getattr(helpers, name) is not None, name
    assert set(helpers.__all__) <= set(dir(helpers))
    assert set(helpers.__all__) == set(helpers._HOMES)


def test_every_room_is_found():
    for name in helpers._ROOMS:
        assert getattr(helpers, name).__name__ == f"helpers.{name}"


def test_a_wrong_name_is_an_attribute_error():
    try:
        helpers.nothing_of_the_sort  # noqa: B018
    except AttributeError as error:
        assert "nothing_of_the_sort" in str(error)
    else:
        raise AssertionError("no error")
