"""Measure what the model cards of the translators and of Whisper state.

``python benchmarks/translation_and_speech.py`` measures the translators. With ``--speech FOLDER``
it measures Whisper: the folder holds WAV files and a file ``transcription`` with lines like
``<s> the words </s> (name)``, as the folder ``librivox`` of Debian's ``pocketsphinx-testdata``
does; and, where ``espeak-ng`` is installed, Portuguese sentences that it speaks.

Everything is greedy and in float32 on the CPU, so the quality figures are the same everywhere; the
times are not.

* chrF: how much of the reference's character n-grams (n from 1 to 6, spaces left out) a
  translation finds and how many of its own are in the reference, over all sentences, as an F-score
  in which recall counts twice; 100 is the reference itself.
* WER: words to replace, remove or add over words of the reference, without case and punctuation.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from helpers import audio
from helpers.embedded import store
from helpers.translation import Translator

# Written for the course before the models were asked: Portuguese, and English that a careful
# translator could have written. The same pairs serve both directions.
PAIRS = [
    ("O café da manhã é servido das sete às dez horas.", "Breakfast is served from seven to ten."),
    ("Posso levar meu cachorro para o hotel?", "Can I take my dog to the hotel?"),
    (
        "A loja troca produtos em até trinta dias.",
        "The store exchanges products within thirty days.",
    ),
    ("Ela nasceu em Recife e mora em Curitiba.", "She was born in Recife and lives in Curitiba."),
    ("O filme é longo, mas vale a pena.", "The film is long, but it is worth it."),
    ("Quantos alunos vieram à aula ontem?", "How many students came to class yesterday?"),
    (
        "Não esqueça de salvar o arquivo antes de sair.",
        "Do not forget to save the file before leaving.",
    ),
    ("A chuva derrubou a ponte na semana passada.", "The rain brought down the bridge last week."),
    ("Meu avô plantou esta árvore em 1974.", "My grandfather planted this tree in 1974."),
    ("Preciso de um médico que fale português.", "I need a doctor who speaks Portuguese."),
    ("As plantas usam a luz do sol para crescer.", "Plants use sunlight to grow."),
    (
        "O trem para o aeroporto sai a cada vinte minutos.",
        "The train to the airport leaves every twenty minutes.",
    ),
    (
        "Se eu tivesse tempo, aprenderia a tocar violão.",
        "If I had time, I would learn to play the guitar.",
    ),
    (
        "O aplicativo travou e perdi tudo o que tinha escrito.",
        "The app crashed and I lost everything I had written.",
    ),
    ("A professora explicou a lição duas vezes.", "The teacher explained the lesson twice."),
    ("Este celular custa R$ 1.299,90 à vista.", "This phone costs R$ 1,299.90 in cash."),
    ("Os resultados ainda não foram confirmados.", "The results have not been confirmed yet."),
    ("Misture a farinha, os ovos e o leite.", "Mix the flour, the eggs and the milk."),
    ("Ninguém sabia por que o sino tocava à noite.", "Nobody knew why the bell rang at night."),
    (
        "O prefeito prometeu reformar a escola do bairro.",
        "The mayor promised to renovate the neighborhood school.",
    ),
]

SPOKEN = [
    "A capital do Brasil é Brasília.",
    "O prazo para trocar um produto é de sete dias.",
    "Amanhã vamos visitar o museu da cidade.",
    "O café da manhã é servido das sete às dez horas.",
]


def measure_translation() -> None:
    """Print chrF, exact matches and time of both directions, and every translation."""
    portuguese, english = (list(side) for side in zip(*PAIRS, strict=True))
    for direction, sources, references in (
        ("pt-en", portuguese, english),
        ("en-pt", english, portuguese),
    ):
        translator = Translator.from_pretrained(
            str(store.ensure(f"curso/traducao-{direction}")), device="cpu"
        )
        translator(sources[:2])
        start = time.perf_counter()
        one_by_one = [translator(source) for source in sources]
        single = time.perf_counter() - start
        start = time.perf_counter()
        translations = translator(sources)
        batched = time.perf_counter() - start
        assert translations == one_by_one
        exact = sum(a == b for a, b in zip(translations, references, strict=True))
        print(f"{direction}: chrF {chrf(translations, references):.1f}, exact {exact}/{len(PAIRS)}")
        milliseconds = [1000 * seconds / len(PAIRS) for seconds in (single, batched)]
        print(f"{direction}: {milliseconds[0]:.0f} ms a sentence, {milliseconds[1]:.0f} in a batch")
        for source, translation in zip(sources, translations, strict=True):
            print(f"  {source}\n    {translation}")


def chrf(translations: list[str], references: list[str], longest: int = 6) -> float:
    """Return the corpus's chrF2, from 0 to 100."""
    precisions, recalls = [], []
    for size in range(1, longest + 1):
        found = [_grams(translation, size) for translation in translations]
        wanted = [_grams(reference, size) for reference in references]
        common = sum((a & b).total() for a, b in zip(found, wanted, strict=True))
        precisions.append(common / sum(grams.total() for grams in found))
        recalls.append(common / sum(grams.total() for grams in wanted))
    precision, recall = sum(precisions) / longest, sum(recalls) / longest
    return 100 * 5 * precision * recall / (4 * precision + recall)


def _grams(text: str, size: int) -> Counter[str]:
    text = "".join(text.split())
    return Counter(text[start : start + size] for start in range(len(text) - size + 1))


def measure_speech(folder: Path) -> None:
    """Print the word error rate of the folder's clips and of synthetic Portuguese."""
    from transformers import pipeline

    recogniser = pipeline(
        "automatic-speech-recognition", model=str(store.ensure("curso/whisper-base")), device="cpu"
    )
    lines = (folder / "transcription").read_text(encoding="utf-8").splitlines()
    clips = [re.fullmatch(r"<s> (.*) </s> \((.*)\)", line).groups() for line in lines]
    recordings = [(words, audio.decode(folder / f"{name}.wav")) for words, name in clips]
    report(recogniser, "en", recordings)
    report(recogniser, "pt", [(sentence, _spoken(sentence)) for sentence in SPOKEN])


def _spoken(sentence: str) -> audio.Recording:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fala.wav"
        subprocess.run(["espeak-ng", "-v", "pt-br", "-s", "150", "-w", path, sentence], check=True)
        return audio.decode(path)


def report(recogniser: Any, language: str, recordings: list[tuple[str, audio.Recording]]) -> None:
    """Print what was recognised of each recording, and the word error rate of all."""
    errors = words = 0
    options = {"language": language, "task": "transcribe", "num_beams": 1}
    for reference, recording in recordings:
        start = time.perf_counter()
        answer = recogniser(
            {"raw": recording.samples, "sampling_rate": 16000}, generate_kwargs=options
        )
        seconds = time.perf_counter() - start
        expected, found = _words(reference), _words(answer["text"])
        errors += _distance(expected, found)
        words += len(expected)
        print(f"  {recording.seconds:.1f} s in {seconds:.1f} s: {answer['text'].strip()}")
    print(f"{language}: WER {errors}/{words} = {100 * errors / words:.1f} %")


def _words(text: str) -> list[str]:
    # References write "mister"; Whisper writes "Mr."
    return re.findall(r"\w+", text.lower().replace("mr.", "mister"))


def _distance(expected: list[str], found: list[str]) -> int:
    """Return the least number of replacements, removals and additions between two lists."""
    row = list(range(len(found) + 1))
    for index, word in enumerate(expected, start=1):
        previous, row[0] = row[0], index
        for column, other in enumerate(found, start=1):
            costs = row[column] + 1, row[column - 1] + 1, previous + (word != other)
            previous, row[column] = row[column], min(costs)
    return row[-1]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--speech", type=Path, metavar="FOLDER")
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.speech:
        measure_speech(arguments.speech)
    else:
        measure_translation()
