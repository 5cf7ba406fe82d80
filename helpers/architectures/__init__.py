"""Model classes that transformers does not have, made known to its auto classes.

After :func:`register`, ``AutoConfig``, ``AutoModelForSeq2SeqLM``, ``pipeline`` and the rest load
the course's folders of these architectures like any other: no code comes from a repository, so
``trust_remote_code`` is never needed.

Calling it costs nothing. If transformers is not imported yet, a finder on ``sys.meta_path`` waits
for the modules that hold the auto classes and registers right after each of them is loaded.

What a module named in the table may import at its top, because transformers can be half-way
through its own imports by then: a configuration's module, only ``transformers.configuration_utils``
and what that brings; a model's module, also torch, ``transformers.modeling_utils``,
``transformers.modeling_outputs``, ``transformers.generation`` and ``transformers.cache_utils``.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class Architecture:
    """One architecture; classes are written ``module:name`` and imported when they are needed.

    Attributes:
        model_type: What ``config.json`` calls it.
        config: Configuration class.
        models: Name of an auto class of transformers -> model class that it shall return.
        image_processor: Image processor class without torchvision, or ``None``.
    """

    model_type: str
    config: str
    models: Mapping[str, str] = field(default_factory=dict)
    image_processor: str | None = None


ARCHITECTURES = (
    Architecture(
        model_type="ssru_marian",
        config="helpers.architectures.ssru_marian_config:SSRUMarianConfig",
        models={
            "AutoModelForSeq2SeqLM": "helpers.architectures.ssru_marian:SSRUMarianForSeq2SeqLM",
        },
    ),
    Architecture(
        model_type="efficientnet_lite",
        config="helpers.architectures.efficientnet_lite_config:EfficientNetLiteConfig",
        models={
            "AutoModel": "helpers.architectures.efficientnet_lite:EfficientNetLiteModel",
            "AutoModelForImageClassification": (
                "helpers.architectures.efficientnet_lite:EfficientNetLiteForImageClassification"
            ),
        },
    ),
    Architecture(
        model_type="figure_detector",
        config="helpers.architectures.figure_detector_config:FigureDetectorConfig",
        models={
            "AutoModelForObjectDetection": (
                "helpers.architectures.figure_detector:FigureDetectorForObjectDetection"
            ),
        },
    ),
)


def register() -> None:
    """Make the course's architectures known to transformers' auto classes.

    Imports neither transformers nor torch: what is not imported yet is registered as soon as
    something else imports it. Further calls do nothing.
    """
    for name in _REGISTRARS:
        if name in sys.modules:
            # Not `sys.modules[name]`: this waits if another thread is still loading it.
            _register_into(importlib.import_module(name))
    if not _waiting() or any(isinstance(finder, _AutoFinder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _AutoFinder())


def _register_configurations(module: ModuleType) -> None:
    for architecture in ARCHITECTURES:
        module.AutoConfig.register(
            architecture.model_type, _load(architecture.config), exist_ok=True
        )


def _register_models(module: ModuleType) -> None:
    for architecture in ARCHITECTURES:
        config = _load(architecture.config)
        for auto_class, model in architecture.models.items():
            getattr(module, auto_class).register(config, _load(model), exist_ok=True)
            if auto_class in _NAMES_IN_PIPELINES:
                names = getattr(module, _NAMES_IN_PIPELINES[auto_class])
                names[architecture.model_type] = model.rpartition(":")[2]


def _register_image_processors(module: ModuleType) -> None:
    for architecture in ARCHITECTURES:
        if architecture.image_processor:
            module.AutoImageProcessor.register(
                _load(architecture.config),
                image_processor_classes={"pil": _load(architecture.image_processor)},
                exist_ok=True,
            )


# The pipeline for object detection knows the classes in its copy of a table of names; others work
# too, after a complaint in red.
_NAMES_IN_PIPELINES = {
    "AutoModelForObjectDetection": "MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES",
}
_AUTO = "transformers.models.auto."
_REGISTRARS: dict[str, Callable[[ModuleType], None]] = {
    f"{_AUTO}configuration_auto": _register_configurations,
    f"{_AUTO}modeling_auto": _register_models,
    f"{_AUTO}image_processing_auto": _register_image_processors,
}
_registered: set[str] = set()


def _load(path: str) -> Any:
    module, name = path.split(":")
    return getattr(importlib.import_module(module), name)


def _waiting() -> set[str]:
    return set(_REGISTRARS) - _registered


def _register_into(module: ModuleType) -> None:
    if module.__name__ in _registered:
        return
    _registered.add(module.__name__)
    _REGISTRARS[module.__name__](module)


class _AutoFinder:
    """Finds transformers' auto modules as usual, and has them registered into once loaded."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in _waiting():
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        specs = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            _register_after(spec.loader)
        return spec


def _register_after(loader: Any) -> None:
    """Make one loader, which serves one module, register into that module after running it."""
    execute = loader.exec_module

    def execute_and_register(module: ModuleType) -> None:
        execute(module)
        _register_into(module)

    loader.exec_module = execute_and_register
