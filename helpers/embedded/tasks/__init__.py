"""What the inference API can do: one row for each task, one module for each family of tasks."""

from __future__ import annotations

from helpers.embedded.tasks import embeddings, question_answering
from helpers.embedded.tasks.base import Handler

HANDLERS: dict[str, Handler] = {
    "question-answering": question_answering.HANDLER,
    "feature-extraction": embeddings.FEATURE_EXTRACTION,
    "sentence-similarity": embeddings.SENTENCE_SIMILARITY,
}
"""Every task answered at ``/hf-inference/models/{id}``. Chat has routes of its own."""

SERVED_TASKS: dict[str, tuple[str, ...]] = {
    "question-answering": ("question-answering",),
    "feature-extraction": ("feature-extraction", "sentence-similarity"),
    "sentence-similarity": ("feature-extraction", "sentence-similarity"),
    "text-generation": ("conversational",),
}
"""For a repository's own task: the tasks it is served for, the usual one first."""

PROVIDER_TASKS = {"text-generation": "conversational"}
"""The Hub's task names that the provider calls otherwise."""
