"""Errors that are meant to be read by a learner."""


class CourseError(Exception):
    """A foreseeable problem; ``str(error)`` is a complete sentence in the learner's language."""
