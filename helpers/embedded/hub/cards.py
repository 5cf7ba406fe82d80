"""Cards: the YAML header of a ``README.md``, read with care and checked as the Hub does.

Whoever writes a card may make mistakes, or mean harm: no header is worth more than a moment or
a few kilobytes, and whatever it holds can be sent as JSON.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

HEADER_LIMIT = 256 * 1024
"""Characters of a header that are read."""
CARD_LIMIT = 4 * 1024 * 1024
"""Bytes of a card that are read."""

SDKS = ("gradio", "docker", "static", "streamlit")
COLOURS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
_TEXTS = ("license_name", "license_link", "pipeline_tag", "library_name", "title", "emoji")
_TEXTS_OR_LISTS = ("license", "language", "tags", "datasets", "metrics", "base_model")

EMPTY = "empty or missing yaml metadata in repo card"


class CardError(Exception):
    """A header is no YAML that the Hub takes."""


def header(path: Path | None) -> dict[str, Any]:
    """Return the YAML header of a card, as JSON can hold it; empty when it has none."""
    if path is None:
        return {}
    try:
        status = path.stat()
    except OSError:
        return {}
    return json.loads(_header_json(path, status.st_size, status.st_mtime_ns))


def first_paragraph(path: Path | None) -> str:
    """Return the first paragraph of a card's text, headings left out, in one line."""
    _, body = _parts(_read(path)) if path else ("", "")
    paragraphs = (" ".join(part.split()) for part in body.split("\n\n"))
    return next((part for part in paragraphs if part and part[0] not in "#-<|!"), "")


def problems(card: str, kind: str) -> tuple[list[str], list[str]]:
    """Check the header of a card.

    Args:
        card: The whole card.
        kind: ``model``, ``dataset`` or ``space``.

    Returns:
        What is wrong, and what is only not advised, each as the Hub's sentences.
    """
    written, _ = _parts(card)
    try:
        data = _load(written)
    except CardError as error:
        return [str(error)], []
    if data is None or data == {}:
        return [], [EMPTY]
    if not isinstance(data, dict):
        return ['"metadata" must be of type object'], []
    return [*_field_problems(data), *(_space_problems(data) if kind == "space" else [])], []


def _field_problems(data: dict[Any, Any]) -> list[str]:
    wrong = [
        f'"{name}" must be a string'
        for name in _TEXTS
        if data.get(name) is not None and not isinstance(data[name], str)
    ]
    for name in _TEXTS_OR_LISTS:
        value = data.get(name)
        items = value if isinstance(value, list) else [value]
        if value is not None and not all(isinstance(item, str) for item in items):
            wrong.append(f'"{name}" must be a string or an array of strings')
    for name in ("model-index", "configs"):
        if data.get(name) is not None and not isinstance(data[name], list):
            wrong.append(f'"{name}" must be an array')
    return wrong


def _space_problems(data: dict[Any, Any]) -> list[str]:
    wrong = []
    for name, allowed in (("sdk", SDKS), ("colorFrom", COLOURS), ("colorTo", COLOURS)):
        value = data.get(name)
        if (value is not None or name == "sdk") and value not in allowed:
            wrong.append(f'"{name}" must be one of [{", ".join(allowed)}]')
    return wrong


# --- reading


@lru_cache(512)
def _header_json(path: Path, _size: int, _modified: int) -> str:
    written, _ = _parts(_read(path))
    try:
        data = _load(written)
    except CardError:
        data = {}
    return json.dumps(_plain(data) if isinstance(data, dict) else {})


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(CARD_LIMIT).decode("utf-8", "replace").removeprefix("\ufeff")


def _parts(whole: str) -> tuple[str, str]:
    """Split a card into its YAML header and its text."""
    whole = whole.replace("\r\n", "\n")
    opening, _, rest = whole.partition("---\n")
    written, closing, body = rest.partition("\n---")
    return ("", whole) if opening.strip() or not closing else (written, body)


def _load(written: str) -> Any:
    """Read YAML without aliases: a few lines of them unfold into gigabytes.

    Raises:
        CardError: It is not YAML, or more of it than anybody writes.
    """
    import yaml

    if len(written) > HEADER_LIMIT:
        raise CardError(f"The metadata is too long: at most {HEADER_LIMIT} characters.")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(written, Loader=loader)):
            raise CardError("Aliases are not allowed in the metadata.")
        return yaml.load(written, Loader=loader)  # noqa: S506 - one of the safe loaders
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        sentence = " ".join(str(error).split())
        raise CardError(f"YAML Metadata Error: {sentence}") from error


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it, and any client read it."""
    if isinstance(value, dict):
        return {_text(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (bool, int, float, type(None))) else _text(value)


def _text(value: Any) -> str:
    return str(value).encode("utf-8", "replace").decode("utf-8")
