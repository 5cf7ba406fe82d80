"""Hunspell with LibreOffice's Brazilian dictionary, and the course's own list of words.

Hunspell and its dictionary are Debian packages (`hunspell`, `hunspell-pt-br`), kept by the people
who keep LibreOffice's; the readers of its files that are written in Python are not kept.
"""

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

DICTIONARY = "pt_BR"
WORDS_FILE = Path(__file__).with_name("palavras.txt")
# Letters, with hyphens and apostrophes between them; not part of a name with digits.
WORD = re.compile(r"(?<![\w@#-])[^\W\d_]+(?:[-’'][^\W\d_]+)*(?![\w])")
# GPU, GPUs and JupyterLab: acronyms and names, which no dictionary of words holds.
NAME = re.compile(r"[^\W\d_]*[^\W\d_][A-Z][^\W\d_]*")


def words(text: str) -> list[str]:
    """Return the words of a text, without acronyms and names in mixed case."""
    return [word for word in WORD.findall(text) if not NAME.fullmatch(word)]


def is_installed() -> bool:
    """Tell whether Hunspell is here, with the dictionary."""
    if shutil.which("hunspell") is None:
        return False
    return unknown_to_hunspell({"livro", "lvrio"}) == {"lvrio"}


def course_words() -> list[str]:
    """Return the course's own words, in the file's order."""
    lines = WORDS_FILE.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def parts(word: str) -> list[str]:
    """Split a word as Hunspell does: *pré-treinado* is right because *pré* and *treinado* are."""
    return word.split("-")


def misspelled(words: Iterable[str]) -> set[str]:
    """Return the words that neither the dictionary nor the course's list has."""
    words = set(words)
    known = {word.lower() for word in course_words()}
    unknown = unknown_to_hunspell({part for word in words for part in parts(word)})
    wrong = {part for part in unknown if part.lower() not in known}
    return {
        word for word in words if word.lower() not in known and not wrong.isdisjoint(parts(word))
    }


def unknown_to_hunspell(words: set[str]) -> set[str]:
    """Return the words, without hyphens, that the dictionary lacks."""
    command = ["hunspell", "-d", DICTIONARY, "-i", "utf-8", "-l"]
    given = "\n".join(sorted(words)) + "\n"
    done = subprocess.run(command, input=given, capture_output=True, text=True, encoding="utf-8")
    return set() if done.returncode else set(done.stdout.split())
