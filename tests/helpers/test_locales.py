"""The locale files: same keys in all languages, and every key that the code uses exists."""

import ast
import re
import string
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers import messages

HELPERS = Path(messages.__file__).parent
LOCALES = sorted((HELPERS / "locales").glob("*.toml"))
READERS = {"text", "items"}


@dataclass(frozen=True)
class Use:
    """A call such as `text("setup.title", where=...)` in the source."""

    place: str
    reader: str
    key: str
    values: frozenset[str]
    is_open: bool  # it also passes `**values`, whose names are not in the source


def flatten(table, prefix=()):
    """Map each key (a tuple of parts) to its text or list of texts."""
    found = {}
    for name, value in table.items():
        path = (*prefix, name)
        found |= flatten(value, path) if isinstance(value, dict) else {path: value}
    return found


def placeholders(message):
    """Return the names between braces in a text, or in all the texts of a list."""
    messages_ = message if isinstance(message, list) else [message]
    return {
        field.partition(".")[0].partition("[")[0]
        for text in messages_
        for _, field, _, _ in string.Formatter().parse(text)
        if field is not None
    }


def uses(source, place):
    """List the calls of `text` and `items` whose key is written out."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else None
        name = function.id if isinstance(function, ast.Name) else name
        key = node.args[0]
        for literal in _literals(key) if name in READERS else []:
            names = {keyword.arg for keyword in node.keywords}
            yield Use(
                f"{place}:{node.lineno}", name, literal, frozenset(names - {None}), None in names
            )


def _literals(key):
    """Return the texts a key can be: a literal, or either side of a conditional expression."""
    if isinstance(key, ast.Constant) and isinstance(key.value, str):
        return [key.value]
    if isinstance(key, ast.IfExp):
        return [*_literals(key.body), *_literals(key.orelse)]
    return []


def problems(use, entries):
    """Say what is wrong with one use of the locale file."""
    path = tuple(messages._split(use.key))
    if path not in entries:
        return [f"{use.place}: {use.key!r} is not in the locale file"]
    message = entries[path]
    if isinstance(message, list) is not (use.reader == "items"):
        return [f"{use.place}: {use.key!r} is read with {use.reader}()"]
    if use.is_open or use.reader == "items":
        return []
    # Without values, text() does not format: a placeholder would be shown with its braces.
    missing = (placeholders(message) if use.values else _named(message)) - use.values
    return [f"{use.place}: {use.key!r} needs {missing}"] if missing else []


def _named(message):
    """Return placeholders that look meant as such, in a text that will not be formatted."""
    try:
        return {name for name in placeholders(message) if name.isidentifier()}
    except ValueError:  # Braces that are not placeholders, as in a piece of JSON.
        return set()


def read(path):
    return flatten(tomllib.loads(path.read_text(encoding="utf-8")))


def sources():
    return [path for path in HELPERS.rglob("*.py") if "__pycache__" not in path.parts]


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(HELPERS).as_posix())
def test_keys_used_in_the_code_exist(path):
    entries = read(HELPERS / "locales" / f"{messages.DEFAULT_LANGUAGE}.toml")
    place = path.relative_to(HELPERS).as_posix()
    found = [
        problem
        for use in uses(path.read_text(encoding="utf-8"), place)
        for problem in problems(use, entries)
    ]
    assert not found, "\n".join(found)


def strings(path):
    """List the texts that a source file writes out."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_general_keys_of_the_exercises_exist():
    entries = read(HELPERS / "locales" / f"{messages.DEFAULT_LANGUAGE}.toml")
    written = {
        key
        for path in (HELPERS / "exercises").glob("*.py")
        for key in strings(path)
        if re.fullmatch(r"exercises\.\w+", key)
    }
    assert "exercises.different" in written
    assert {key for key in written if tuple(key.split(".")) not in entries} == set()


def test_own_keys_of_each_notebooks_exercises_exist():
    entries = read(HELPERS / "locales" / f"{messages.DEFAULT_LANGUAGE}.toml")
    for path in (HELPERS / "exercises").glob("nb[0-9][0-9].py"):
        number = path.stem.removeprefix("nb")
        known = {
            key[2]
            for key in entries
            if len(key) == 3 and key[0] == "exercises" and key[1].startswith(f"{number}.")
        }
        asked = re.findall(r'\bWrong\(\s*"(\w+)"', path.read_text(encoding="utf-8"))
        assert set(asked) <= known, f"{path.name} asks for {set(asked) - known}"


@pytest.mark.parametrize("path", LOCALES, ids=lambda path: path.stem)
def test_languages_have_the_same_keys_and_placeholders(path):
    default = read(HELPERS / "locales" / f"{messages.DEFAULT_LANGUAGE}.toml")
    assert differences(default, read(path)) == []


@pytest.mark.parametrize("path", LOCALES, ids=lambda path: path.stem)
def test_texts_are_texts_without_loose_spaces(path):
    for key, value in read(path).items():
        for message in value if isinstance(value, list) else [value]:
            assert isinstance(message, str), f"{key} is not a text"
            loose = message.startswith(" ") or (message.endswith(" ") and message[-2:] != ": ")
            assert not loose, f"{key} starts or ends with a space"
            assert message.strip(), f"{key} is empty"


def differences(default, other):
    """List keys that only one language has, and texts whose kind or placeholders differ."""
    found = [f"only in one language: {'.'.join(key)}" for key in sorted({*default} ^ {*other})]
    for key in sorted({*default} & {*other}):
        if type(default[key]) is not type(other[key]):
            found.append(f"a list in one language only: {'.'.join(key)}")
        elif _safe(default[key]) != _safe(other[key]):
            found.append(f"other placeholders: {'.'.join(key)}")
    return found


def _safe(message):
    try:
        return placeholders(message)
    except ValueError:
        return set()


def test_differences_between_languages_are_noticed():
    default = {("a", "x"): "Olá, {name}", ("a", "y"): ["um"], ("a", "z"): "fim"}
    assert differences(default, dict(default)) == []
    assert differences(default, {**default, ("b",): "?"}) == ["only in one language: b"]
    assert differences(default, {**default, ("a", "x"): "Hello"}) == ["other placeholders: a.x"]
    assert differences(default, {**default, ("a", "y"): "um"}) == [
        "a list in one language only: a.y"
    ]


@pytest.mark.parametrize(
    ("source", "is_right"),
    [
        ('text("a.x", name=n)', True),
        ('text("a.x", **values)', True),
        ('text("a.z")', True),
        ('messages.items("a.y")', True),
        ('text("a.z" if n else "a.x", name=n)', True),
        ("text(key)", True),
        ('text("a.x")', False),
        ('text("a.x", other=n)', False),
        ('text("a.missing")', False),
        ('text("a.z" if n else "a.missing")', False),
        ('text("a.y")', False),
        ('items("a.z")', False),
    ],
)
def test_wrong_uses_are_noticed(source, is_right):
    entries = {("a", "x"): "Olá, {name}", ("a", "y"): ["um"], ("a", "z"): "fim"}
    found = [problem for use in uses(source, "made-up") for problem in problems(use, entries)]
    assert (found == []) is is_right
