"""docs/licencas.md says the licence of everything the course uses, and all of them are free."""

import re
from importlib import metadata

import licence_table
import pytest
from licence_table import Unknown

from helpers.bootstrap import requirement_lines

TESTED = dict(
    line.split("==") for line in requirement_lines(licence_table.ROOT / "constraints.txt")
)


def version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # a system that does not need it
        return None


def test_the_page_is_up_to_date():
    """Line by line, but for packages of another version than the tested one: those may differ."""
    untested = {
        name for name, tested in TESTED.items() if (version(name) or "").split("+")[0] != tested
    }
    said = licence_table.of_package

    def of_package(name):
        kept = re.search(rf"^\| \[{re.escape(name)}\].*\| (.*) \|$", page, flags=re.MULTILINE)
        return kept[1] if name in untested and kept else said(name)

    page = licence_table.DOCUMENT.read_text("utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(licence_table, "of_package", of_package)
        made = licence_table.render()
    assert made == page, "run: python tests/licences/licence_table.py"


def test_every_package_that_is_installed_is_free():
    for name in licence_table.package_names():
        if version(name):
            assert licence_table.of_package(name)


@pytest.mark.parametrize(
    "licence", ["GPL-3.0-only", "MIT AND AGPL-3.0-only", "unknown", "Proprietary"]
)
def test_what_is_not_free_is_refused(licence):
    with pytest.raises(Unknown, match="exemplo"):
        licence_table.checked(licence, "exemplo")


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ({"License-Expression": "MIT AND (Apache-2.0 OR BSD-2-Clause)"}, None),
        ({"License": "BSD 3-Clause License\n\nCopyright (c) someone"}, "BSD-3-Clause"),
        ({"License": "UNKNOWN", "Classifier": ["License :: OSI Approved :: MIT License"]}, "MIT"),
        ({"License": "Ask the author"}, Unknown),
        ({}, Unknown),
    ],
)
def test_what_a_package_says_becomes_spdx(monkeypatch, fields, licence):
    class Said(dict):
        get_all = dict.get

    monkeypatch.setattr(metadata, "metadata", lambda name: Said(fields))
    if licence is Unknown:
        with pytest.raises(Unknown):
            licence_table.of_package("exemplo")
    else:
        assert licence_table.of_package("exemplo") == (licence or fields["License-Expression"])
