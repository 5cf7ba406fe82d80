"""Values put into words for feedback: short, the same in every run, never a secret."""

import dataclasses
import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from helpers.messages import text

MAX_CHARACTERS = 160
MAX_ARGUMENT = 80
MAX_ITEMS = 8
_TOKEN = re.compile(r"hf_[A-Za-z0-9]{6,}")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_SWAP_SEPARATORS = str.maketrans({",": ".", ".": ","})
_TYPE_NAMES: dict[str, str] = {
    "str": "exercises.type_text",
    "int": "exercises.type_integer",
    "float": "exercises.type_number",
    "bool": "exercises.type_boolean",
    "list": "exercises.type_list",
    "tuple": "exercises.type_tuple",
    "dict": "exercises.type_dictionary",
    "set": "exercises.type_set",
    "frozenset": "exercises.type_set",
    "function": "exercises.type_function",
    "NoneType": "exercises.type_none",
}


def number(value: int | float) -> str:
    """Write a number the Brazilian way, with at most six significant digits: `1.234,5`."""
    written = f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
    return written.translate(_SWAP_SEPARATORS)


def type_name(kind: type) -> str:
    """Return a type's name in words, with Python's own name: `texto (str)`."""
    key = _TYPE_NAMES.get(kind.__name__)
    return f"{text(key)} ({kind.__name__})" if key else kind.__name__


def type_names(kinds: tuple[type, ...]) -> str:
    """List types in words: `um conjunto (set), uma lista (list) ou uma tupla (tuple)`."""
    *others, last = (type_name(kind) for kind in kinds)
    return text("exercises.or", first=", ".join(others), last=last) if others else last


def describe(value: object) -> str:
    """Describe any value in one short line.

    A number alone follows the Portuguese format; inside a list or dictionary it stays as in code,
    where a decimal comma would be read as a separator. Objects whose `repr` changes from run to
    run (it shows a memory address) are named by their type.
    """
    value = _plain(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value)
    return shorten(_as_code(value))


def describe_call(function: object, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> str:
    """Write a call as the learner would type it: `ask('Quem?', 'Ana chegou.')`."""
    name = getattr(function, "__name__", type(function).__name__)
    name = "f" if name == "<lambda>" else name
    written = [shorten(_as_code(value), MAX_ARGUMENT) for value in arguments]
    written += [f"{key}={shorten(_as_code(value), MAX_ARGUMENT)}" for key, value in named.items()]
    return f"{name}({', '.join(written)})"


def describe_error(error: BaseException) -> str:
    """Return an error's type and the first line of what it says, ready to stand in backticks."""
    first_line = (str(error).strip().splitlines() or [""])[0].replace("`", "'")
    name = type(error).__name__
    return shorten(f"{name}: {first_line}" if first_line else name)


def shorten(written: str, limit: int = MAX_CHARACTERS) -> str:
    """Cut a long text, after hiding tokens and memory addresses."""
    clean = _ADDRESS.sub("", _TOKEN.sub("hf_…", written))
    return clean if len(clean) <= limit else clean[: limit - 1].rstrip() + "…"


def _plain(value: Any) -> Any:
    """Turn a NumPy or PyTorch number into a Python one, without importing either library."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    return value


def _as_code(value: Any, depth: int = 0) -> str:
    value = _plain(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if value is None or value is ... or isinstance(value, str | bytes | bool | int):
        return repr(value)
    if depth > 3:
        return "…"
    # Before mappings: the client's answers are dataclasses and dictionaries at once.
    fields = _fields(value)
    if fields is not None:
        pairs = [f"{key}={_as_code(item, depth + 1)}" for key, item in fields.items()]
        return f"{type(value).__name__}({', '.join(pairs)})"
    if isinstance(value, Mapping):
        pairs = [
            f"{_as_code(key, depth + 1)}: {_as_code(item, depth + 1)}"
            for key, item in list(value.items())[:MAX_ITEMS]
        ]
        return "{" + ", ".join(_with_rest(pairs, len(value))) + "}"
    if isinstance(value, list | tuple):
        items = [_as_code(item, depth + 1) for item in value[:MAX_ITEMS]]
        written = ", ".join(_with_rest(items, len(value)))
        if isinstance(value, list):
            return f"[{written}]"
        return f"({written},)" if len(value) == 1 else f"({written})"
    if isinstance(value, set | frozenset):
        items = sorted(_as_code(item, depth + 1) for item in value)[:MAX_ITEMS]
        return "{" + ", ".join(_with_rest(items, len(value))) + "}"
    return _named_object(value)


def _fields(value: Any) -> dict[str, Any] | None:
    """Return the named fields of a small record, or None for any other object."""
    if isinstance(value, SimpleNamespace):
        return vars(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None


def _with_rest(items: list[str], total: int) -> list[str]:
    return [*items, "…"] if total > len(items) else items


def _named_object(value: Any) -> str:
    if isinstance(value, type):
        return text("exercises.the_type", name=value.__name__)
    if callable(value) and hasattr(value, "__name__"):
        return text("exercises.the_function", name=value.__name__)
    name = type(value).__name__
    shape = getattr(value, "shape", None)
    if shape is not None:
        return text("exercises.an_array", name=name, shape=tuple(shape))
    return text("exercises.an_object", name=name)
