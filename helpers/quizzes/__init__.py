"""The quiz at the end of each notebook: ``helpers.quiz("04")``.

The questions of notebook NN are in ``LANGUAGE/nbNN.toml``. They are not in the notebook, so that
neither its source nor its stored output tells which option is right.
"""

from helpers.quizzes.questions import Option, Question, Quiz, quiz

__all__ = ["Option", "Question", "Quiz", "quiz"]
