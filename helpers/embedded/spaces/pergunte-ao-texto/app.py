"""Pergunte ao texto: cole um texto, faça uma pergunta e veja a resposta marcada nele."""

import os

import gradio as gr
from huggingface_hub import InferenceClient, QuestionAnsweringOutputElement
from huggingface_hub.errors import HfHubHTTPError

# Um id do Hub ou o endereço completo de um modelo que responde perguntas.
MODEL = os.environ.get("MODEL", "deepset/roberta-base-squad2")
TEXT_LIMIT = 20_000

EXAMPLE = (
    "A biblioteca do bairro abre de terça a sábado, das 9h às 18h. "
    "Cada leitor pode levar até cinco livros por vez e ficar com eles durante três semanas. "
    "Quem precisa de mais tempo renova o empréstimo pelo telefone."
)
QUESTIONS = [
    "Quantos livros cada leitor pode levar?",
    "Em que dias a biblioteca abre?",
    "Como se renova o empréstimo?",
]

HINTS = {
    401: "Confira o token em HF_TOKEN.",
    402: "Os créditos do mês acabaram.",
    403: "O token não tem permissão para chamar a API.",
    404: "Confira o nome do modelo.",
    429: "São pedidos demais: espere um pouco e tente de novo.",
    503: "O servidor está cheio: espere um pouco e tente de novo.",
}

client = InferenceClient(model=MODEL, token=os.environ.get("HF_TOKEN"), timeout=60)


def answer(text: str, question: str) -> tuple[str, float, list[tuple[str, str | None]]]:
    """Devolve a resposta, a confiança de 0 a 1 e o texto com a resposta marcada."""
    if not text.strip() or not question.strip():
        raise gr.Error("Escreva um texto e uma pergunta.")
    if len(text) > TEXT_LIMIT:
        raise gr.Error(f"O texto passa de {TEXT_LIMIT} caracteres. Cole um trecho menor.")
    found = ask(text, question)
    return found.answer, round(found.score, 4), marked(text, found.start, found.end)


def ask(text: str, question: str) -> QuestionAnsweringOutputElement:
    """Faz a pergunta à API; um erro dela vira uma frase para quem está na página."""
    try:
        return client.question_answering(question=question, context=text)
    except HfHubHTTPError as error:
        status = error.response.status_code
        hint = HINTS.get(status, "Tente de novo daqui a pouco.")
        raise gr.Error(f"A API respondeu com o erro {status}. {hint}") from error
    except Exception as error:  # sem rede, endereço errado: cada biblioteca tem o seu erro
        raise gr.Error("Não consegui falar com a API. Confira a rede e o endereço.") from error


def marked(text: str, start: int, end: int) -> list[tuple[str, str | None]]:
    """Divide o texto em antes, resposta e depois, como o HighlightedText espera."""
    return [(text[:start], None), (text[start:end], "resposta"), (text[end:], None)]


with gr.Blocks(title="Pergunte ao texto") as demo:
    gr.Markdown("# Pergunte ao texto\nA resposta é sempre um trecho do texto que você colou.")
    text_box = gr.Textbox(EXAMPLE, label="Texto", lines=6)
    question_box = gr.Textbox(QUESTIONS[0], label="Pergunta")
    button = gr.Button("Perguntar", variant="primary")
    answer_box = gr.Textbox(label="Resposta")
    score_box = gr.Number(label="Confiança (de 0 a 1)")
    marked_text = gr.HighlightedText(label="Onde a resposta está no texto")
    gr.Examples([[EXAMPLE, question] for question in QUESTIONS], [text_box, question_box])
    gr.on(
        [button.click, question_box.submit],
        answer,
        inputs=[text_box, question_box],
        outputs=[answer_box, score_box, marked_text],
        api_name="responder",
    )

if __name__ == "__main__":
    demo.launch()
