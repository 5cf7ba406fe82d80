"""Make a Parquet file of the speech clips that the course keeps.

Some were read by people, some by programs (``training/falas/synthesise.py``); each row says which.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from helpers.embedded.tables import FLAG, TEXT, Feature, audio_at, write

VERSION = 1

CLIPS = "clips.toml"
SAMPLING_RATE = 16000  # hertz, of every clip
PEOPLE = {
    "source": "LibriVox, Sense and Sensibility (Jane Austen), capítulo 1; trecho do pacote "
    "pocketsphinx-testdata do Debian",
    "licence": "domínio público",
}
PROGRAMS = {
    "espeak-ng": "espeak-ng 1.51, voz {voice}",
    "kokoro": "Kokoro-82M v1.0 (int8), voz {voice}",
}
SYNTHETIC_LICENCE = "CC BY 4.0"
NOISE = "; com ruído branco tão forte quanto a fala"

FEATURES: dict[str, Feature] = {
    "audio": audio_at(SAMPLING_RATE),
    "text": TEXT,
    "language": TEXT,
    "synthetic": FLAG,
    "source": TEXT,
    "licence": TEXT,
}


def build(source: Path, target: Path) -> None:
    """Write ``data/train-00000-of-00001.parquet``, with the FLAC files inside.

    Args:
        source: Folder with ``clips.toml`` and ``clips/``.
        target: Existing empty folder.
    """
    write(rows(source), FEATURES, target / "data" / "train-00000-of-00001.parquet")


def rows(source: Path) -> list[dict[str, Any]]:
    """Return one row a clip, in the order of ``clips.toml``."""
    data = tomllib.loads((source / CLIPS).read_text(encoding="utf-8"))
    return [_row(clip, source / "clips" / clip["file"]) for clip in data["clip"]]


def _row(clip: dict[str, Any], path: Path) -> dict[str, Any]:
    return {
        "audio": {"bytes": path.read_bytes(), "path": path.name},
        "text": clip["text"],
        "language": clip["language"],
        "synthetic": "voice" in clip,
        **(_made_by(clip) if "voice" in clip else PEOPLE),
    }


def _made_by(clip: dict[str, Any]) -> dict[str, str]:
    program, _, voice = clip["voice"].partition(":")
    noise = NOISE if "noise_db" in clip else ""
    return {
        "source": PROGRAMS[program].format(voice=voice) + noise,
        "licence": SYNTHETIC_LICENCE,
    }
