"""Plain questions in the style of a teacher's first attempts, written for this course.

``plain_templates.json`` holds short everyday contexts, most in Portuguese, with slots for names,
places, dates, amounts, reasons and so on. An answer is always the text that filled one slot, so its
offset is exact. Real questions teach the model to read; these teach it the tone of a classroom,
short texts and short answers. The held-out ``plain_questions.json`` shares no sentence with them.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from pathlib import Path

from training.qa_pt.squad import Example

TEMPLATES = Path(__file__).parent / "plain_templates.json"
SLOT = re.compile(r"{(\w+)}")
ENGLISH_SHARE = 1 / 6
SECOND_PASSAGE_SHARE = 0.4
UNANSWERABLE_SHARE = 1 / 5
MISSING_SHARE = 2 / 3


@dataclass(frozen=True)
class Template:
    """A context with slots, and the questions one can ask about it.

    Attributes:
        text: Context; ``{slot}`` or ``{slot2}`` is filled from the values of ``slot``.
        questions: Pairs of question and the slot that answers it. A question may hold slots too.
    """

    text: str
    questions: list[tuple[str, str]]


@dataclass(frozen=True)
class Language:
    """The templates of one language and the values of their slots.

    Attributes:
        templates: What contexts are made from.
        values: What fills each slot.
        missing: Pairs of a question and the slot that would answer it, or "": what one may ask
            about a passage that does not say it.
    """

    templates: list[Template]
    values: dict[str, list[str]]
    missing: list[tuple[str, str]]


@dataclass(frozen=True)
class Passage:
    """A filled template: its text, and the value and the offset in it of each slot."""

    text: str
    values: dict[str, str]
    offsets: dict[str, int]


def read_templates(path: Path = TEMPLATES) -> dict[str, Language]:
    """Return the templates by language, ``pt`` and ``en``."""
    content = json.loads(path.read_text(encoding="utf-8"))
    languages = {}
    for code in ("pt", "en"):
        templates = [
            Template(entry["text"], [(question, slot) for question, slot in entry["questions"]])
            for entry in content[code]["templates"]
        ]
        missing = [(question, slot) for question, slot in content[code]["missing"]]
        languages[code] = Language(templates, content[code]["values"], missing)
    return languages


def generate(count: int, seed: int) -> list[Example]:
    """Write plain questions.

    About one in five cannot be answered from its context and one in six is in English.

    Args:
        count: How many.
        seed: Seed of the choice of templates and values.

    Returns:
        Examples; an unanswerable one has no answers.
    """
    rng = random.Random(seed)
    languages = read_templates()
    examples = []
    for number in range(count):
        language = languages["en" if rng.random() < ENGLISH_SHARE else "pt"]
        examples.append(_example(rng, language, f"plain-{number}"))
    return examples


def _example(rng: random.Random, language: Language, identifier: str) -> Example:
    asked, other, foreign = rng.sample(language.templates, 3)
    passages = [_fill(rng, asked, language.values)]
    if rng.random() < SECOND_PASSAGE_SHARE:
        passages.append(_fill(rng, other, language.values))
    if rng.random() < UNANSWERABLE_SHARE:
        question = _missing_question(rng, language, passages)
        if rng.random() >= MISSING_SHARE or not question:
            asked_elsewhere, _ = rng.choice(foreign.questions)
            question = _substitute(asked_elsewhere, _fill(rng, foreign, language.values))
        return Example(identifier, "plain", "plain", question, _join(passages), [])
    answering = passages[0]
    question, slot = rng.choice(asked.questions)
    rng.shuffle(passages)
    context = _join(passages)
    start = context.index(answering.text) + answering.offsets[slot]
    answers = [(answering.values[slot], start)]
    return Example(identifier, "plain", "plain", _substitute(question, answering), context, answers)


def _missing_question(rng: random.Random, language: Language, passages: list[Passage]) -> str:
    """Ask about what is there (a person, say) something that the passages do not tell."""
    told = {slot.rstrip("2") for passage in passages for slot in passage.values}
    subject = passages[0]
    askable = [
        question
        for question, slot in language.missing
        if slot not in told and set(SLOT.findall(question)) <= set(subject.values)
    ]
    return _substitute(rng.choice(askable), subject) if askable else ""


def _fill(rng: random.Random, template: Template, values: dict[str, list[str]]) -> Passage:
    filled: dict[str, str] = {}
    offsets: dict[str, int] = {}
    text, position = "", 0
    for match in SLOT.finditer(template.text):
        slot = match[1]
        choices = [v for v in values[slot.rstrip("2")] if v not in filled.values()]
        filled[slot] = rng.choice(choices)
        text += template.text[position : match.start()]
        offsets[slot] = len(text)
        text += filled[slot]
        position = match.end()
    return Passage(text + template.text[position:], filled, offsets)


def _substitute(question: str, passage: Passage) -> str:
    return SLOT.sub(lambda match: passage.values[match[1]], question)


def _join(passages: list[Passage]) -> str:
    return " ".join(passage.text for passage in passages)
