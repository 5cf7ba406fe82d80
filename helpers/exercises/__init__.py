"""Exercises that check themselves: `helpers.exercise("04.1").check(answer)`.

The exercises of notebook NN are in the module `nbNN`, in a tuple called `EXERCISES`; it is
imported when one of them is first asked for. What a definition needs is exported here.
"""

import importlib
import re
from functools import cache

from helpers.errors import CourseError
from helpers.exercises.compare import (
    Case,
    Wrong,
    call,
    expect_close,
    expect_equal,
    expect_keys,
    expect_type,
    run_cases,
)
from helpers.exercises.engine import Exercise, WrongAnswer
from helpers.exercises.feedback import Feedback
from helpers.messages import text

__all__ = [
    "Case",
    "Exercise",
    "Feedback",
    "Wrong",
    "WrongAnswer",
    "call",
    "exercise",
    "exercises_of",
    "expect_close",
    "expect_equal",
    "expect_keys",
    "expect_type",
    "run_cases",
]

_ID = re.compile(r"(\d\d)\.\d+")


def exercise(id: str) -> Exercise:
    """Return an exercise by its number, always the same object, so that hints move on.

    Args:
        id: number of the notebook, a dot, number of the exercise: `"04.1"`.

    Raises:
        CourseError: if there is no such exercise; the sentence lists those of that notebook.
    """
    match = _ID.fullmatch(str(id))
    if match is None:
        raise CourseError(text("exercises.bad_id", id=repr(id)))
    found = exercises_of(match[1])
    for candidate in found:
        if candidate.id == id:
            return candidate
    if not found:
        raise CourseError(text("exercises.no_exercises", notebook=match[1]))
    known = ", ".join(candidate.id for candidate in found)
    raise CourseError(text("exercises.unknown_id", id=id, notebook=match[1], known=known))


@cache
def exercises_of(notebook: str) -> tuple[Exercise, ...]:
    """Return the exercises of a notebook, given its two digits; empty where there are none."""
    name = f"{__name__}.nb{notebook}"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return ()
    exercises: tuple[Exercise, ...] = module.EXERCISES
    return exercises
