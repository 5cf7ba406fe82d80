"""What the inference API can do: one row for each task, one module for each family of tasks."""

from __future__ import annotations

from helpers.embedded.tasks import (
    embeddings,
    images,
    question_answering,
    speech,
    text_classification,
    translation,
    zero_shot,
)
from helpers.embedded.tasks.base import Handler

HANDLERS: dict[str, Handler] = {
    "question-answering": question_answering.HANDLER,
    "feature-extraction": embeddings.FEATURE_EXTRACTION,
    "sentence-similarity": embeddings.SENTENCE_SIMILARITY,
    "zero-shot-classification": zero_shot.HANDLER,
    "text-classification": text_classification.HANDLER,
    "translation": translation.HANDLER,
    "automatic-speech-recognition": speech.HANDLER,
    "image-classification": images.IMAGE_CLASSIFICATION,
    "object-detection": images.OBJECT_DETECTION,
}
"""Every task answered at ``/hf-inference/models/{id}``. Chat has routes of its own."""

SERVED_TASKS: dict[str, tuple[str, ...]] = {
    "question-answering": ("question-answering",),
    # An encoder also sorts texts into labels, by similarity.
    "feature-extraction": ("feature-extraction", "sentence-similarity", "zero-shot-classification"),
    "text-classification": ("text-classification",),
    "translation": ("translation",),
    "automatic-speech-recognition": ("automatic-speech-recognition",),
    "image-classification": ("image-classification",),
    "object-detection": ("object-detection",),
    "text-generation": ("conversational",),
}
"""For a repository's own task: the tasks it is served for, the usual one first."""

PROVIDER_TASKS = {"text-generation": "conversational"}
"""The Hub's task names that the provider calls otherwise."""
