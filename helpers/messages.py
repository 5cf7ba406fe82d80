"""The sentences that learners read, kept in ``locales/`` and looked up by key."""

import os
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

DEFAULT_LANGUAGE = "pt"


def text(key: str, **values: object) -> str:
    """Return one message in the learner's language.

    Args:
        key: dotted path in the locale file, such as ``"setup.title"``.
        **values: what fills the message's ``{placeholders}``.

    Returns:
        The message, ready to be shown.

    Raises:
        KeyError: if the key is missing (a mistake in the course, caught by a test).
    """
    entry = _entry(key)
    return str(entry).format(**values) if values else str(entry)


def items(key: str) -> list[str]:
    """Return a list of messages, such as the hints of an exercise.

    Args:
        key: dotted path in the locale file, as for `text`.

    Raises:
        KeyError: if the key is missing.
    """
    return [str(item) for item in _entry(key)]


def _entry(key: str) -> Any:
    entry: Any = _locale(os.environ.get("COURSE_LANG", DEFAULT_LANGUAGE))
    for part in _split(key):
        entry = entry[part]
    return entry


def _split(key: str) -> list[str]:
    """Split on dots, except inside quotes: ``exercises."04.1".hint`` has three parts."""
    parts = key.split('"')
    if len(parts) == 1:
        return key.split(".")
    before, quoted, after = parts
    return [*before.strip(".").split("."), quoted, *filter(None, after.strip(".").split("."))]


@cache
def _locale(language: str) -> dict[str, Any]:
    locales = files("helpers") / "locales"
    path = locales / f"{language}.toml"
    if not path.is_file():
        path = locales / f"{DEFAULT_LANGUAGE}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))
