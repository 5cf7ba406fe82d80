"""Describe a chat in Portuguese that is made of three other models.

There are no weights here: the repository says what the composition is, and its parts are
repositories of their own.
"""

from __future__ import annotations

from pathlib import Path

from helpers.embedded.recipes.files import save_json

VERSION = 1

TO_ENGLISH = "curso/traducao-pt-en"
CHAT = "curso/smollm2-135m-instruct"
TO_PORTUGUESE = "curso/traducao-en-pt"

COMPOSITION = "composition.json"


def build(to_english: Path, to_portuguese: Path, chat: Path, target: Path) -> None:
    """Write the composition's description.

    Args:
        to_english: Folder of the translator from Portuguese.
        to_portuguese: Folder of the translator to Portuguese.
        chat: Folder of the English chat model.
        target: Existing empty folder. It gets ``composition.json``.

    Raises:
        ValueError: A part is not a built model.
    """
    for part in (to_english, to_portuguese, chat):
        if not (part / "config.json").is_file():
            raise ValueError(f"{part} holds no model.")
    steps = [
        {"task": "translation", "model": TO_ENGLISH, "from": "pt", "to": "en"},
        {"task": "text-generation", "model": CHAT, "language": "en"},
        {"task": "translation", "model": TO_PORTUGUESE, "from": "en", "to": "pt"},
    ]
    description = {"type": "composition", "weights": False, "steps": steps}
    save_json(description, target / COMPOSITION)
