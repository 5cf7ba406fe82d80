"""Measure zero-shot classification by similarity, and the temperature that its scores need.

Run with ``python benchmarks/zero_shot.py``. The texts were written for this measurement: those of
``FIT`` choose the temperature and the threshold of :mod:`helpers.zero_shot`, those of ``TEST``
only judge them. Everything is in float32 on the CPU, so the figures are the same everywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from helpers import zero_shot
from helpers.embedded import store
from helpers.embedded.encoder import TextEncoder

NEWS = {
    "esporte": [
        "O atacante marcou dois gols e garantiu a vitória no clássico.",
        "A nadadora bateu o recorde sul-americano dos cem metros livre.",
        "O técnico mudou a escalação para a final do campeonato.",
    ],
    "política": [
        "O Senado aprovou ontem o projeto de lei por ampla maioria.",
        "A prefeita anunciou que vai disputar a reeleição.",
        "Deputados de oposição pediram a convocação do ministro.",
    ],
    "economia": [
        "A inflação recuou em março e o dólar fechou em queda.",
        "O banco central manteve a taxa de juros.",
        "As exportações de soja cresceram e a bolsa subiu.",
    ],
    "saúde": [
        "O posto vai vacinar idosos contra a gripe a partir de segunda.",
        "Médicos recomendam dormir oito horas e beber bastante água.",
        "O novo remédio reduziu a pressão arterial dos pacientes.",
    ],
    "tecnologia": [
        "O aplicativo ganhou uma versão que funciona sem internet.",
        "A empresa lançou um processador mais rápido para celulares.",
        "Pesquisadores treinaram um modelo de linguagem em português.",
    ],
    "cultura": [
        "A exposição reúne quadros de pintoras nordestinas.",
        "O festival abre com um show de samba na praça.",
        "O romance venceu o principal prêmio literário do país.",
    ],
}
SHOP = {
    "entrega": [
        "Meu pedido ainda não chegou e já passou do prazo.",
        "Vocês enviam para o interior do Pará?",
        "O pacote foi deixado na portaria do prédio errado.",
    ],
    "pagamento": [
        "Posso parcelar em seis vezes no cartão?",
        "O boleto venceu ontem; como gero outro?",
        "Fui cobrado duas vezes pela mesma compra.",
    ],
    "troca": [
        "A camisa ficou pequena, quero uma de tamanho maior.",
        "Recebi o produto com defeito e gostaria de devolver.",
        "Até quantos dias posso trocar o sapato?",
    ],
    "cadastro": [
        "Esqueci a minha senha e não consigo entrar na conta.",
        "Como mudo o meu endereço de e-mail no site?",
        "Quero apagar os meus dados pessoais da loja.",
    ],
}
DAILY = {
    "viagem": [
        "Chegamos ao aeroporto duas horas antes do voo para Lisboa.",
        "Já reservei o hotel e comprei as passagens de ônibus.",
        "Esqueci o passaporte em casa no dia do embarque.",
    ],
    "comida": [
        "A feijoada ficou no fogo a manhã inteira.",
        "Bata os ovos com o açúcar e leve ao forno por meia hora.",
        "O restaurante da esquina serve um peixe delicioso.",
    ],
    "trabalho": [
        "A reunião com o chefe foi adiada para sexta-feira.",
        "Ela foi promovida a gerente e ganhou um aumento.",
        "Preciso entregar o relatório ao cliente até amanhã.",
    ],
    "escola": [
        "A professora corrigiu as provas de matemática.",
        "Os alunos do terceiro ano apresentaram a feira de ciências.",
        "A matrícula para o ano letivo termina hoje.",
    ],
    "animais": [
        "O cachorro latiu a noite toda no quintal.",
        "A gata teve quatro filhotes no armário.",
        "As baleias passam pelo litoral da Bahia no inverno.",
    ],
}
HOTEL = {
    "café da manhã": [
        "Os pães estavam frescos e havia frutas logo cedo.",
        "Servem o desjejum até as dez?",
        "Senti falta de suco e de ovos na primeira refeição do dia.",
    ],
    "limpeza": [
        "O banheiro estava sujo e as toalhas, manchadas.",
        "A camareira deixou o quarto impecável.",
        "Havia poeira embaixo da cama.",
    ],
    "barulho": [
        "Não dormi por causa da música alta no corredor.",
        "O ar-condicionado faz um ruído terrível.",
        "Rua silenciosa, descansei muito bem.",
    ],
    "preço": [
        "A diária é cara para o que oferecem.",
        "Consegui um bom desconto no fim de semana.",
        "Cobraram uma taxa que não estava na reserva.",
    ],
}
FIT, TEST = (NEWS, SHOP), (DAILY, HOTEL)
TEMPERATURES = np.geomspace(0.002, 0.1, 40)


def main() -> None:
    """Print what the module's constants are and how good the answers are with them."""
    encoder = TextEncoder.from_folder(store.ensure("curso/e5-pt-en"))
    fit, test = similarities(encoder, FIT), similarities(encoder, TEST)
    losses = [single_loss(fit, temperature) for temperature in TEMPERATURES]
    temperature = TEMPERATURES[int(np.argmin(losses))]
    print(f"best temperature on the {count(fit)} texts of FIT: {temperature:.4f}")
    best = min(
        (multi_loss(fit, threshold, scale), threshold, scale)
        for threshold in np.arange(0.70, 0.90, 0.0025)
        for scale in TEMPERATURES
    )
    print(f"best threshold and scale for several labels: {best[1]:.4f}, {best[2]:.4f}")
    print(
        f"in use: temperature {zero_shot.TEMPERATURE}, threshold {zero_shot.THRESHOLD}, "
        f"scale {zero_shot.SCALE}"
    )
    for name, groups in (("FIT", fit), ("TEST", test)):
        report(name, groups)


def similarities(encoder: TextEncoder, sets: tuple[dict[str, list[str]], ...]) -> list[Any]:
    """Return, for each set, cosines of shape ``(texts, labels)`` and each text's own label."""
    groups = []
    for labels in sets:
        texts = [text for group in labels.values() for text in group]
        truth = np.repeat(np.arange(len(labels)), [len(group) for group in labels.values()])
        groups.append((zero_shot.similarities(encoder, texts, list(labels)), truth))
    return groups


def count(groups: list[Any]) -> int:
    """Return how many texts there are."""
    return sum(len(truth) for _, truth in groups)


def single_loss(groups: list[Any], temperature: float) -> float:
    """Return the mean negative log-likelihood of the right labels."""
    losses = []
    for cosines, truth in groups:
        scores = zero_shot.one_of(cosines, temperature)
        losses.extend(-np.log(scores[np.arange(len(truth)), truth] + 1e-12))
    return float(np.mean(losses))


def multi_loss(groups: list[Any], threshold: float, scale: float) -> float:
    """Return the mean cross-entropy of "this label fits", right and wrong labels counting alike."""
    right, wrong = [], []
    for cosines, truth in groups:
        scores = zero_shot.each(cosines, threshold, scale)
        is_right = np.arange(cosines.shape[1]) == truth[:, None]
        right.extend(-np.log(scores[is_right] + 1e-12))
        wrong.extend(-np.log(1 - scores[~is_right] + 1e-12))
    return float(np.mean(right) + np.mean(wrong)) / 2


def report(name: str, groups: list[Any]) -> None:
    """Print accuracy, mean confidence and how well labels are told apart independently."""
    hits, confidences, kept, refused = [], [], [], []
    for cosines, truth in groups:
        scores = zero_shot.one_of(cosines)
        hits.extend(scores.argmax(1) == truth)
        confidences.extend(scores.max(1))
        each = zero_shot.each(cosines) > 0.5
        is_right = np.arange(cosines.shape[1]) == truth[:, None]
        kept.extend(each[is_right])
        refused.extend(~each[~is_right])
    loss = single_loss(groups, zero_shot.TEMPERATURE)
    print(
        f"{name}: {sum(hits)} of {len(hits)} right, mean confidence {np.mean(confidences):.2f}, "
        f"log loss {loss:.3f}; several labels: {np.mean(kept):.0%} of the right ones above 0.5, "
        f"{np.mean(refused):.0%} of the wrong ones below"
    )


if __name__ == "__main__":
    main()
