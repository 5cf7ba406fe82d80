"""Comparisons for `check` functions: each returns None, or raises `Wrong` with what was expected.

A check is a plain function. It receives the learner's answer, returns None when it is right, and
raises `Wrong("key")` otherwise; the sentence is `[exercises."04.1"].key` in the locale file.
"""

import copy
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from helpers.exercises.describe import (
    describe,
    describe_call,
    describe_error,
    type_name,
    type_names,
)

_ABSENT: Any = object()


class Wrong(Exception):
    """The answer is not right yet; the exercise turns it into feedback."""

    def __init__(
        self,
        key: str,
        *,
        expected: Any = _ABSENT,
        got: Any = _ABSENT,
        call: str = "",
        **values: Any,
    ) -> None:
        """Say what is wrong.

        Args:
            key: key of the sentence in the exercise's own texts; a key with a dot in it is a full
                path, such as `"exercises.different"`.
            expected: what a right answer is; on a line of its own when there is a call to show too.
            got: what came, shown on a line of its own when given.
            call: the call that gave it, shown on a line of its own when given.
            **values: fill the sentence's placeholders; texts as they are, the rest described.
        """
        super().__init__(key)
        self.key = key
        self.call = call
        self.expected = "" if expected is _ABSENT else describe(expected)
        self.got = "" if got is _ABSENT else describe(got)
        self.values = {
            name: value if isinstance(value, str) else describe(value)
            for name, value in values.items()
        }


@dataclass(frozen=True)
class Case:
    """One hidden case: what a function is called with and what it must return."""

    arguments: tuple[Any, ...]
    expected: Any
    named: Mapping[str, Any] = field(default_factory=dict)


Comparison = Callable[[Any, Any], None]


def expect_type(value: Any, *kinds: type, key: str = "exercises.wrong_type") -> None:
    """Require a value of one of the types; a bool is not accepted where a number is expected."""
    is_stray_bool = isinstance(value, bool) and bool not in kinds
    if isinstance(value, kinds) and not is_stray_bool:
        return
    raise Wrong(key, got=value, wanted=type_names(kinds), type=type_name(type(value)))


def expect_equal(
    value: Any, expected: Any, *, key: str = "exercises.different", **values: Any
) -> None:
    """Require `value == expected`, element by element for arrays."""
    if not _are_equal(value, expected):
        raise Wrong(key, expected=expected, got=value, **values)


def expect_close(
    value: Any,
    expected: Any,
    *,
    within: float = 1e-3,
    key: str = "exercises.different",
    **values: Any,
) -> None:
    """Require a number, or a sequence of numbers, at most `within` away from what is expected."""
    if not _are_close(value, expected, within):
        raise Wrong(key, expected=expected, got=value, **values)


def expect_keys(
    value: Any, keys: Iterable[str], *, key: str = "exercises.missing_key", **values: Any
) -> None:
    """Require a dictionary that has all the keys."""
    expect_type(value, dict)
    for name in keys:
        if name not in value:
            raise Wrong(key, got=value, name=name, **values)


def call(function: Any, *arguments: Any, **named: Any) -> Any:
    """Call the learner's function and return what it returns.

    Arguments are copied first, so that a function that changes them does not spoil other cases.

    Raises:
        Wrong: if it is not a function, takes other arguments, or raises; the feedback says with
            which input.
    """
    if not callable(function):
        raise Wrong("exercises.not_a_function", got=function, type=type_name(type(function)))
    written = describe_call(function, arguments, named)
    try:
        inspect.signature(function).bind(*arguments, **named)
    except TypeError as error:
        raise Wrong("exercises.wrong_arguments", call=written) from error
    except ValueError:
        pass  # A builtin without a signature: the call itself will tell.
    try:
        return function(*copy.deepcopy(arguments), **copy.deepcopy(named))
    except Exception as error:
        raise Wrong("exercises.raised", call=written, error=describe_error(error)) from error


def run_cases(
    function: Any,
    cases: Iterable[Case | tuple[tuple[Any, ...], Any]],
    compare: Comparison = expect_equal,
) -> None:
    """Call the learner's function on each case and compare what it returns.

    Args:
        function: the learner's answer.
        cases: `Case` objects, or pairs (tuple of arguments, expected value).
        compare: called as `compare(returned, expected)`; raises `Wrong` on a mismatch.

    Raises:
        Wrong: at the first case that fails; the feedback shows its input.
    """
    for item in cases:
        case = item if isinstance(item, Case) else Case(*item)
        returned = call(function, *case.arguments, **case.named)
        written = describe_call(function, case.arguments, case.named)
        if returned is None and case.expected is not None:
            raise Wrong("exercises.returned_nothing", call=written, expected=case.expected)
        try:
            compare(returned, case.expected)
        except Wrong as wrong:
            wrong.call = wrong.call or written
            raise


def _are_equal(value: Any, expected: Any) -> bool:
    same = value == expected
    return bool(same.all()) if hasattr(same, "all") else bool(same)


def _are_close(value: Any, expected: Any, within: float) -> bool:
    if hasattr(value, "tolist"):  # NumPy and PyTorch
        value = value.tolist()
    if hasattr(expected, "tolist"):
        expected = expected.tolist()
    if isinstance(expected, Sequence) and not isinstance(expected, str):
        return (
            isinstance(value, Sequence)
            and not isinstance(value, str)
            and len(value) == len(expected)
            and all(_are_close(*pair, within) for pair in zip(value, expected, strict=True))
        )
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isclose(value, expected, rel_tol=0.0, abs_tol=within)
