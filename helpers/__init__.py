"""What every notebook of the course shares.

Names are loaded when first used, so that ``import helpers`` takes no time and needs nothing
installed.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helpers.api import ApiError, InferenceSession
    from helpers.bridge import PortugueseBridge
    from helpers.course import Course, fault_lab, setup
    from helpers.diagram import worlds
    from helpers.display import bars, highlight, number, table
    from helpers.errors import CourseError
    from helpers.exercises import exercise
    from helpers.measure import (
        compare,
        latency,
        peak_memory,
        peak_memory_bytes,
        roofline,
        weights_memory_bytes,
    )
    from helpers.question_answering import QuestionAnswerer
    from helpers.quizzes import quiz
    from helpers.reports import progress, report
    from helpers.translation import Translator
    from helpers.zero_shot import ZeroShotClassifier

_HOMES = {
    "ApiError": "helpers.api",
    "Course": "helpers.course",
    "CourseError": "helpers.errors",
    "InferenceSession": "helpers.api",
    "PortugueseBridge": "helpers.bridge",
    "QuestionAnswerer": "helpers.question_answering",
    "Translator": "helpers.translation",
    "ZeroShotClassifier": "helpers.zero_shot",
    "bars": "helpers.display",
    "compare": "helpers.measure",
    "exercise": "helpers.exercises",
    "fault_lab": "helpers.course",
    "highlight": "helpers.display",
    "latency": "helpers.measure",
    "number": "helpers.display",
    "peak_memory": "helpers.measure",
    "peak_memory_bytes": "helpers.measure",
    "progress": "helpers.reports",
    "quiz": "helpers.quizzes",
    "report": "helpers.reports",
    "roofline": "helpers.measure",
    "setup": "helpers.course",
    "table": "helpers.display",
    "weights_memory_bytes": "helpers.measure",
    "worlds": "helpers.diagram",
}

# Rooms that notebooks use by name: ``helpers.measure.latency(...)``.
_ROOMS = {
    *("api", "audio", "batching", "datafiles", "decision", "decoding", "diagram", "display"),
    *("documents", "evaluation", "llm", "measure", "models", "pictures", "processes", "spaces"),
    *("tokens", "training", "widgets"),
}

__all__ = [
    "ApiError",
    "Course",
    "CourseError",
    "InferenceSession",
    "PortugueseBridge",
    "QuestionAnswerer",
    "Translator",
    "ZeroShotClassifier",
    "bars",
    "compare",
    "exercise",
    "fault_lab",
    "highlight",
    "latency",
    "number",
    "peak_memory",
    "peak_memory_bytes",
    "progress",
    "quiz",
    "report",
    "roofline",
    "setup",
    "table",
    "weights_memory_bytes",
    "worlds",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"helpers.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


# `list[str]` would stop an old Python here, before it is told that it is too old.
def __dir__() -> Any:
    return sorted({*globals(), *_HOMES, *_ROOMS})
