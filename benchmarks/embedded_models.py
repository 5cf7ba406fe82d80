"""Measure what the model cards of the embedded models state.

Run with ``python benchmarks/embedded_models.py``. Prints one line a figure. Everything is greedy
and in float32 on the CPU, so the quality figures are the same everywhere; the times are not.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

from helpers.embedded import store

# Passage in Portuguese, a question in Portuguese, the same question in English. The questions
# avoid the passages' own words where they can, and the passages come in look-alike groups.
RETRIEVAL = [
    (
        "O café da manhã é servido das sete às dez horas no térreo.",
        "Até que horas posso comer de manhã?",
        "Until when can I have breakfast?",
    ),
    (
        "O jantar é servido a partir das dezenove horas no terraço.",
        "Onde é a refeição da noite?",
        "Where is the evening meal?",
    ),
    (
        "A piscina fecha às segundas-feiras para limpeza.",
        "Em que dia não se pode nadar?",
        "On which day is swimming not possible?",
    ),
    (
        "A academia funciona vinte e quatro horas para os hóspedes.",
        "Posso fazer exercício de madrugada?",
        "Can I work out in the middle of the night?",
    ),
    (
        "Animais de estimação de até dez quilos são aceitos mediante taxa.",
        "Posso levar meu cachorro?",
        "May I bring my dog?",
    ),
    (
        "O estacionamento é gratuito, mas tem apenas doze vagas.",
        "Quanto custa deixar o carro?",
        "How much does it cost to leave the car?",
    ),
    (
        "O cancelamento sem custo vale até quarenta e oito horas antes da chegada.",
        "Posso desistir da reserva e receber o dinheiro de volta?",
        "Can I call off the booking and get my money back?",
    ),
    (
        "A senha da rede sem fio está no cartão de cada quarto.",
        "Como conecto o meu celular à internet?",
        "How do I get my phone online?",
    ),
    (
        "Dom Pedro I proclamou a independência do Brasil em 1822.",
        "Quem separou o Brasil de Portugal?",
        "Who separated Brazil from Portugal?",
    ),
    (
        "A Lei Áurea, assinada pela princesa Isabel em 1888, acabou com a escravidão.",
        "Quem libertou os escravizados no Brasil?",
        "Who freed the enslaved people in Brazil?",
    ),
    (
        "Marechal Deodoro da Fonseca foi o primeiro presidente da República.",
        "Quem governou o país logo depois da monarquia?",
        "Who ruled the country right after the monarchy?",
    ),
    (
        "Brasília, projetada por Lúcio Costa e Oscar Niemeyer, foi inaugurada em 1960.",
        "Quem desenhou a capital do Brasil?",
        "Who designed the capital of Brazil?",
    ),
    (
        "A fotossíntese transforma luz, água e gás carbônico em açúcar e oxigênio.",
        "Como as plantas produzem o próprio alimento?",
        "How do plants make their own food?",
    ),
    (
        "As mitocôndrias liberam a energia de que a célula precisa.",
        "Que parte da célula gera energia?",
        "Which part of a cell produces energy?",
    ),
    (
        "Os glóbulos brancos defendem o corpo contra infecções.",
        "O que no sangue combate doenças?",
        "What in the blood fights disease?",
    ),
    (
        "Os anticorpos produzidos após uma vacina reconhecem o vírus mais tarde.",
        "Por que a imunização protege?",
        "Why does immunisation protect?",
    ),
    (
        "Para trocar a senha, abra Configurações, depois Segurança.",
        "Esqueci minha palavra de acesso; como mudo?",
        "How do I change my login secret?",
    ),
    (
        "O reembolso cai na conta em até sete dias úteis.",
        "Quando recebo o meu dinheiro?",
        "When do I get paid back?",
    ),
    (
        "A garantia cobre defeitos de fabricação por doze meses.",
        "O aparelho veio com problema; quem paga o conserto?",
        "The device is faulty; who pays for the repair?",
    ),
    (
        "O atendimento por telefone funciona de segunda a sexta, das oito às dezoito.",
        "Dá para ligar no sábado?",
        "Can I call on Saturday?",
    ),
]

# English question, the same in Portuguese, and what a right answer contains (any of them).
FACTS = [
    ("What is the capital of France?", "Qual é a capital da França?", ("paris",)),
    ("What is the capital of Brazil?", "Qual é a capital do Brasil?", ("brasília", "brasilia")),
    ("What is the capital of Japan?", "Qual é a capital do Japão?", ("tokyo", "tóquio")),
    ("What is the capital of Italy?", "Qual é a capital da Itália?", ("rome", "roma")),
    ("Who wrote Hamlet?", "Quem escreveu Hamlet?", ("shakespeare",)),
    ("How many days are there in a week?", "Quantos dias tem uma semana?", ("7", "seven", "sete")),
    ("How many months are there in a year?", "Quantos meses tem um ano?", ("12", "twelve", "doze")),
    ("What is 7 + 5?", "Quanto é 7 + 5?", ("12", "twelve", "doze")),
    ("What is 9 times 8?", "Quanto é 9 vezes 8?", ("72", "seventy-two", "setenta e dois")),
    (
        "What is the largest planet in the solar system?",
        "Qual é o maior planeta do sistema solar?",
        ("jupiter", "júpiter"),
    ),
    ("What is the chemical formula of water?", "Qual é a fórmula química da água?", ("h2o", "h₂o")),
    (
        "At what temperature in Celsius does water boil?",
        "A quantos graus Celsius a água ferve?",
        ("100",),
    ),
    ("Which animal says meow?", "Que animal faz miau?", ("cat", "gato")),
    (
        "What color do you get by mixing blue and yellow?",
        "Que cor resulta de misturar azul e amarelo?",
        ("green", "verde"),
    ),
    ("What is the opposite of hot?", "Qual é o contrário de quente?", ("cold", "frio")),
    ("Who painted the Mona Lisa?", "Quem pintou a Mona Lisa?", ("vinci",)),
    (
        "What gas do humans need to breathe?",
        "De que gás precisamos para respirar?",
        ("oxygen", "oxigênio"),
    ),
    ("How many legs does a spider have?", "Quantas pernas tem uma aranha?", ("8", "eight", "oito")),
    (
        "What language is spoken in Brazil?",
        "Que língua se fala no Brasil?",
        ("portuguese", "português"),
    ),
    ("In which continent is Egypt?", "Em que continente fica o Egito?", ("africa", "áfrica")),
]
MAX_NEW_TOKENS = 40


def measure_encoder() -> None:
    """Print how often the right passage comes first, and the time for a sentence."""
    folder = store.ensure("curso/e5-pt-en")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()
    passages = embed(tokenizer, model, [f"passage: {passage}" for passage, _, _ in RETRIEVAL])
    for column, language in ((1, "pt"), (2, "en")):
        questions = embed(tokenizer, model, [f"query: {row[column]}" for row in RETRIEVAL])
        best = (questions @ passages.T).argmax(dim=1)
        right = (best == torch.arange(len(RETRIEVAL))).sum().item()
        print(f"e5-pt-en: {language} -> pt, right passage first: {right} of {len(RETRIEVAL)}")
    started = time.perf_counter()
    for _, question, _ in RETRIEVAL:
        embed(tokenizer, model, [f"query: {question}"])
    milliseconds = 1000 * (time.perf_counter() - started) / len(RETRIEVAL)
    print(f"e5-pt-en: {milliseconds:.0f} ms a question, one at a time")


@torch.inference_mode()
def embed(tokenizer: Any, model: Any, texts: list[str]) -> torch.Tensor:
    """Return one normalised vector a text, shape ``[texts, 384]``."""
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    states = model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    return torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1)


def measure_chat() -> None:
    """Print right answers in both languages, and the speed of generation."""
    folder = store.ensure("curso/smollm2-135m-instruct")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokens, started = 0, time.perf_counter()
    for column, language in ((0, "en"), (1, "pt")):
        right = 0
        for row in FACTS:
            answer, length = reply(tokenizer, model, str(row[column]))
            right += any(accepted in answer.lower() for accepted in row[2])
            tokens += length
        print(f"smollm2-135m-instruct: {language}, right answers: {right} of {len(FACTS)}")
    speed = tokens / (time.perf_counter() - started)
    print(f"smollm2-135m-instruct: {speed:.0f} tokens a second, prompts included")


def reply(tokenizer: Any, model: Any, question: str) -> tuple[str, int]:
    """Return a greedy answer and its number of tokens."""
    messages = [{"role": "user", "content": question}]
    inputs = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    output = model.generate(**inputs, max_new_tokens=MAX_NEW_TOKENS, do_sample=False)
    answer = output[0, inputs["input_ids"].shape[1] :]
    return tokenizer.decode(answer, skip_special_tokens=True), len(answer)


def measure_files() -> None:
    """Print what the built folders weigh."""
    for row in store.summary():
        state = f"{row['size'] / 1e6:.0f} MB" if row["built"] else "not built"
        print(f"{Path(row['id']).name}: {state}")


if __name__ == "__main__":
    measure_encoder()
    measure_chat()
    measure_files()
