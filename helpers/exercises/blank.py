"""Tells an answer that was not attempted from one that is wrong."""

import dis
import inspect
from collections.abc import Mapping
from itertools import pairwise
from types import FunctionType
from typing import Any

BLANK = "___"
_MARKS = ("...", "…")
# What the body of an empty function compiles to, in the Python versions that the course supports.
_EMPTY_BODY = frozenset({"RESUME", "NOP", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE", "CACHE"})
# After one of these, `...` is an index, as in `scores[...]`, and not a gap to fill.
_INDEXING = frozenset({"BINARY_SUBSCR", "BINARY_OP", "STORE_SUBSCR"})


def is_blank(answer: Any) -> bool:
    """Say whether an answer still is the stub, or still has a gap in it.

    Blank are `...`, a text that is only dots or that holds `___`, a list or dictionary with a
    blank item, and a function whose body is empty or still uses `...` as a value. A function is
    read, never called.
    """
    if answer is ...:
        return True
    if isinstance(answer, str):
        return answer.strip() in _MARKS or BLANK in answer
    if isinstance(answer, Mapping):
        return any(is_blank(item) for item in answer.values())
    if isinstance(answer, list | tuple | set | frozenset):
        return any(is_blank(item) for item in answer)
    if inspect.isfunction(answer):
        return _is_empty(answer) or _has_gap(answer)
    return False


def _is_empty(function: FunctionType) -> bool:
    """Say whether the body is only a docstring, `...`, `pass` or `return None`."""
    return all(
        step.opname in _EMPTY_BODY
        and (step.opname not in ("LOAD_CONST", "RETURN_CONST") or step.argval in (None, ...))
        for step in dis.get_instructions(function)
    )


def _has_gap(function: FunctionType) -> bool:
    """Say whether `...` is used as a value in the body, as in `answer = ...`."""
    return any(
        step.opname in ("LOAD_CONST", "RETURN_CONST")
        and step.argval is ...
        and following.opname not in _INDEXING
        for step, following in pairwise([*dis.get_instructions(function), _END])
    )


def _last_instruction() -> dis.Instruction:
    return list(dis.get_instructions(_last_instruction.__code__))[-1]


_END = _last_instruction()
