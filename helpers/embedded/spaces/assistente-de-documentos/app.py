"""Assistente de documentos: pergunte aos seus documentos e veja de onde saiu a resposta.

Um arquivo só. De cima para baixo: ler, cortar, incorporar, buscar, ler os trechos, decidir se
responde e, no fim, a página. Roda sozinho (`python app.py`), num notebook e como Space.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import math
import os
import re
import textwrap
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import torch
import transformers
from pypdf import PdfReader
from transformers import AutoModel, AutoModelForQuestionAnswering, AutoTokenizer

HERE = Path(__file__).resolve().parent
EMBEDDING_MODEL = os.environ.get("EMBEDDING_MODEL", "intfloat/multilingual-e5-small")
READER_MODEL = os.environ.get("READER_MODEL", "timpal0l/mdeberta-v3-base-squad2")
CACHE_FOLDER = os.environ.get("CACHE_FOLDER", "~/.cache/assistente-de-documentos")

MAX_FILE_MB = 20
MAX_PAGES = 1000
PASSAGE_SIZE = 450  # caracteres
PASSAGES_READ = 3
QUESTION_TOKENS = 64
ANSWER_TOKENS = 30
WINDOW_TOKENS = 512
BATCH_TOKENS = 4096

transformers.logging.set_verbosity_error()
logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # o que importa vira frase, abaixo


class DocumentError(ValueError):
    """Um problema com o documento ou com a pergunta, numa frase para quem está na página."""


# --- ler -------------------------------------------------------------------------------------


def read_pages(data: bytes, name: str) -> list[str]:
    """Devolve o texto de cada página de um PDF ou de um arquivo de texto.

    Num arquivo de texto, as páginas são separadas pelo caractere de quebra de página.
    """
    if not data.strip():
        raise DocumentError(f"O arquivo {name} está vazio.")
    pages = pdf_pages(data, name) if data.startswith(b"%PDF") else decode(data, name).split("\f")
    pages = [clean(page) for page in pages]
    if not any(pages):
        raise DocumentError(
            f"Não encontrei texto em {name}: as páginas parecem imagens. Passe o arquivo por um "
            "programa de reconhecimento de texto (OCR) e envie o resultado."
        )
    return pages


def pdf_pages(data: bytes, name: str) -> list[str]:
    """Extrai o texto de cada página de um PDF."""
    try:
        reader = PdfReader(io.BytesIO(data))
        locked = reader.is_encrypted and not opens_without_password(reader)
        count = 0 if locked else len(reader.pages)
        if 0 < count <= MAX_PAGES:
            return [page.extract_text() for page in reader.pages]
    except Exception as error:  # cada PDF estragado falha num lugar, com um erro diferente
        raise DocumentError(
            f"Não consegui ler {name}: o PDF parece estragado. Abra-o no seu leitor de PDF e salve "
            "uma cópia."
        ) from error
    if locked:
        raise DocumentError(f"O PDF {name} pede uma senha. Salve uma cópia sem senha e envie-a.")
    raise DocumentError(
        f"O PDF {name} tem {count} páginas; aqui cabem de 1 a {MAX_PAGES}. Divida-o em partes."
    )


def opens_without_password(reader: PdfReader) -> bool:
    """Tenta a senha vazia, que basta quando o PDF só proíbe imprimir ou copiar."""
    try:
        return bool(reader.decrypt(""))
    except Exception:  # cifra que pede um pacote a mais, ou que o pypdf não conhece
        return False


def decode(data: bytes, name: str) -> str:
    """Lê um texto em UTF-8 ou, se não for, na codificação antiga do Windows (Latin-1)."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    sample = text[:10_000]
    odd = sum(char not in "\n\r\t\f" and not char.isprintable() for char in sample)
    if odd + sample.count("\ufffd") > len(sample) / 100:
        raise DocumentError(f"O arquivo {name} não é um documento que eu leia: envie PDF ou texto.")
    return text


def clean(page: str) -> str:
    """Junta as linhas de cada parágrafo; uma linha em branco separa parágrafos."""
    page = unicodedata.normalize("NFC", page).replace("\r\n", "\n")
    page = re.sub(r"(\w)-\n(?=[a-zà-ú])", r"\1", page)  # palavra partida no fim da linha
    paragraphs = re.split(r"\n\s*\n", page)
    return "\n".join(" ".join(part.split()) for part in paragraphs if part.strip())


# --- cortar ----------------------------------------------------------------------------------


def sentences(page: str) -> list[str]:
    """Divide uma página em frases, cada uma com os espaços que a seguem."""
    found = re.findall(r"[^\n]+?(?:[.!?…]+(?=\s)|\n|$)\s*", page)
    return [part for sentence in found for part in short_parts(sentence)]


def short_parts(sentence: str) -> list[str]:
    """Corta entre palavras a frase que não cabe num trecho, como uma tabela sem pontos."""
    if len(sentence) <= PASSAGE_SIZE:
        return [sentence]
    return [f"{part} " for part in textwrap.wrap(sentence, PASSAGE_SIZE)]


def split(page: str, size: int = PASSAGE_SIZE) -> list[str]:
    """Corta uma página em trechos de frases inteiras; vizinhos repetem uma frase."""
    passages: list[str] = []
    current: list[str] = []
    for sentence in sentences(page):
        if current and len("".join(current)) + len(sentence) > size:
            passages.append("".join(current).strip())
            current = current[-1:]
        current.append(sentence)
    return [*passages, "".join(current).strip()] if current else passages


# --- incorporar ------------------------------------------------------------------------------


@cache
def embedder() -> tuple[Any, Any]:
    """Carrega, uma vez só, o tokenizer e o modelo de incorporações."""
    model = AutoModel.from_pretrained(EMBEDDING_MODEL, dtype=torch.float32)
    return AutoTokenizer.from_pretrained(EMBEDDING_MODEL), model.eval()


def embed(texts: Sequence[str], kind: str) -> np.ndarray:
    """Devolve um vetor de comprimento 1 para cada texto; `kind` é `query` ou `passage`."""
    tokenizer, model = embedder()
    encoded = tokenizer([f"{kind}: {text}" for text in texts], truncation=True, max_length=512)
    vectors = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
    for places in batches([len(ids) for ids in encoded["input_ids"]]):
        rows = {name: [values[place] for place in places] for name, values in encoded.items()}
        batch = tokenizer.pad(rows, return_tensors="pt")
        with torch.inference_mode():
            states = model(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1)
        means = (states * mask).sum(1) / mask.sum(1)
        vectors[places] = torch.nn.functional.normalize(means, dim=1).numpy()
    return vectors


def batches(lengths: Sequence[int]) -> list[list[int]]:
    """Junta em lotes textos de tamanho parecido: menos enchimento, menos conta."""
    groups: list[list[int]] = [[]] if lengths else []
    for place in sorted(range(len(lengths)), key=lambda place: lengths[place]):
        if groups[-1] and (len(groups[-1]) + 1) * lengths[place] > BATCH_TOKENS:
            groups.append([])
        groups[-1].append(place)
    return groups


# --- abrir um documento ----------------------------------------------------------------------


@dataclass(frozen=True)
class Passage:
    """Um trecho e o lugar de onde saiu."""

    text: str
    document: str
    title: str
    page: int


@dataclass(frozen=True)
class Document:
    """Um documento aberto: os seus trechos e um vetor para cada um."""

    name: str
    title: str
    pages: int
    passages: tuple[Passage, ...]
    vectors: np.ndarray


def open_document(path: str | Path) -> Document:
    """Lê, corta e incorpora um documento; da segunda vez, busca tudo na pasta de cache."""
    path = Path(path)
    size = path.stat().st_size / 2**20
    if size > MAX_FILE_MB:
        raise DocumentError(
            f"O arquivo {path.name} tem {size:.0f} MB, e o limite é {MAX_FILE_MB} MB. "
            "Envie só as páginas que interessam."
        )
    data = path.read_bytes()
    key = hashlib.sha256(f"{EMBEDDING_MODEL} {PASSAGE_SIZE} ".encode() + data).hexdigest()
    kept = Path(CACHE_FOLDER).expanduser() / f"{key}.npz"
    if not kept.exists():
        pages = read_pages(data, path.name)
        keep(kept, title=title_of(pages, path.stem), **prepare(pages, title_of(pages, path.stem)))
    with np.load(kept) as saved:
        title, vectors = str(saved["title"]), saved["vectors"]
        cut = list(zip(saved["texts"].tolist(), saved["pages"].tolist(), strict=True))
    passages = tuple(Passage(text, path.name, title, page) for text, page in cut)
    return Document(path.name, title, cut[-1][1], passages, vectors)


def title_of(pages: Sequence[str], otherwise: str) -> str:
    """A primeira linha do documento, se for curta como um título."""
    first = next(page for page in pages if page).split("\n")[0]
    return first if len(first) <= 80 else otherwise


def prepare(pages: Sequence[str], title: str) -> dict[str, Any]:
    """Corta as páginas e incorpora os trechos, cada um com o título do documento na frente."""
    cut = [(text, number) for number, page in enumerate(pages, 1) for text in split(page)]
    texts, numbers = zip(*cut, strict=True)
    vectors = embed([f"{title}. {text}" for text in texts], "passage")
    return {"texts": texts, "pages": numbers, "vectors": vectors}


def keep(path: Path, **arrays: Any) -> None:
    """Grava por inteiro ou não grava: quem é interrompido não deixa um arquivo pela metade."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.part")
    columns: dict[str, Any] = {name: np.array(values) for name, values in arrays.items()}
    with partial.open("wb") as file:
        np.savez(file, **columns)
    partial.replace(path)


# --- buscar ----------------------------------------------------------------------------------

WORD_WEIGHT = 0.01  # quanto vale um ponto da busca por palavras perto da semelhança


def stems(text: str) -> list[str]:
    """Palavras sem acentos, cortadas na sexta letra: `monitor` encontra `monitoria`."""
    plain = unicodedata.normalize("NFD", text.lower())
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    return [word[:6] for word in re.findall(r"\w+", plain)]


class Library:
    """Os documentos abertos, prontos para a busca."""

    def __init__(self, documents: Sequence[Document]) -> None:
        """Junta os trechos e anota em quais deles cada palavra aparece (BM25)."""
        self.documents = tuple(documents)
        self.passages = [passage for document in documents for passage in document.passages]
        self.vectors = np.concatenate([document.vectors for document in documents])
        counts = [Counter(stems(f"{part.title}. {part.text}")) for part in self.passages]
        lengths = np.array([count.total() for count in counts])
        slack = 1.2 * (0.25 + 0.75 * lengths / lengths.mean())
        found: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for place, count in enumerate(counts):
            for word, times in count.items():
                found[word].append((place, 2.2 * times / (times + slack[place])))
        self.index = {
            word: tuple(np.array(column) for column in zip(*places, strict=True))
            for word, places in found.items()
        }

    def word_scores(self, question: str) -> np.ndarray:
        """Pontua cada trecho pelas palavras da pergunta que tem; as raras valem mais."""
        scores = np.zeros(len(self.passages))
        for word in set(stems(question)) & self.index.keys():
            places, weights = self.index[word]
            scores[places] += self.rarity(word) * weights
        return scores

    def rarity(self, word: str) -> float:
        """O quanto uma palavra é rara nestes documentos."""
        times = len(self.index[word][0]) if word in self.index else 0
        return math.log(1 + (len(self.passages) - times + 0.5) / (times + 0.5))

    def search(self, question: str, k: int = PASSAGES_READ) -> list[tuple[Passage, float]]:
        """Devolve os k trechos mais promissores, pelo sentido e pelas palavras."""
        (vector,) = embed([question], "query")
        scores = self.vectors @ vector + WORD_WEIGHT * self.word_scores(question)
        best = np.argsort(-scores, kind="stable")[:k]
        return [(self.passages[place], float(scores[place])) for place in best]


# --- ler os trechos --------------------------------------------------------------------------


@cache
def reader() -> tuple[Any, Any]:
    """Carrega, uma vez só, o tokenizer e o modelo que aponta respostas."""
    model = AutoModelForQuestionAnswering.from_pretrained(READER_MODEL, dtype=torch.float32)
    return AutoTokenizer.from_pretrained(READER_MODEL), model.eval()


@dataclass(frozen=True)
class Span:
    """O melhor pedaço de um trecho: onde fica, a sua nota e a nota de “não há resposta”."""

    start: int
    end: int
    score: float
    no_answer: float


def read(question: str, texts: Sequence[str]) -> list[Span]:
    """Lê todos os textos num lote só e devolve o melhor pedaço de cada um."""
    tokenizer, model = reader()
    encoded = tokenizer(
        [question] * len(texts),
        list(texts),
        truncation="only_second",
        max_length=WINDOW_TOKENS,
        padding=True,
        return_tensors="pt",
    )
    with torch.inference_mode():
        output = model(**encoded)
    logits = torch.stack([output.start_logits, output.end_logits], dim=1).double()
    return [best_span(logits[row], encoded[row], text) for row, text in enumerate(texts)]


def best_span(logits: torch.Tensor, encoding: Any, text: str) -> Span:
    """Escolhe o par (começo, fim) mais provável; `logits` tem uma linha para cada ponta."""
    inside = torch.tensor([part == 1 for part in encoding.sequence_ids])
    allowed = inside.clone()
    allowed[0] = True  # no primeiro token, o modelo diz “não há resposta”
    start, end = logits.masked_fill(~allowed, -torch.inf).softmax(dim=-1)
    pairs = torch.outer(start * inside, end * inside).triu().tril(ANSWER_TOKENS - 1)
    first, last = divmod(int(pairs.argmax()), len(start))
    left, right = whole_words(text, encoding.offsets[first][0], encoding.offsets[last][1])
    return Span(left, right, float(pairs.max()), float(start[0] * end[0]))


def whole_words(text: str, left: int, right: int) -> tuple[int, int]:
    """Estica um pedaço até as bordas das palavras e deixa de fora a pontuação em volta."""
    while left > 0 and not text[left - 1].isspace():
        left -= 1
    while right < len(text) and not text[right].isspace():
        right += 1
    while left < right and (text[left].isspace() or text[left] in "“”\"'([{"):
        left += 1
    while left < right and (text[right - 1].isspace() or text[right - 1] in "“”\"')]}.,;:!?…"):
        right -= 1
    return left, right


# --- decidir ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Candidate:
    """Uma resposta possível: um pedaço de um trecho, com o que pesa contra e a favor dela."""

    passage: Passage
    span: Span
    features: dict[str, float]

    @property
    def text(self) -> str:
        """A resposta em palavras."""
        return self.passage.text[self.span.start : self.span.end]


def candidates(library: Library, question: str, k: int = PASSAGES_READ) -> list[Candidate]:
    """Busca os trechos, lê todos de uma vez e reúne os indícios de cada resposta."""
    found = library.search(question, k)
    spans = read(question, [passage.text for passage, _ in found])
    best = found[0][1]
    return [
        Candidate(
            passage,
            span,
            {
                "leitor": math.log(max(span.score, 1e-9)),
                "sem_resposta": math.log(max(span.no_answer, 1e-9)),
                "busca": score - best,
                "palavras": coverage(library, question, passage),
                "tipo": kind_fits(question, passage.text[span.start : span.end]),
            },
        )
        for (passage, score), span in zip(found, spans, strict=True)
    ]


def coverage(library: Library, question: str, passage: Passage) -> float:
    """Que parte da pergunta está no trecho, de 0 a 1, contando mais as palavras raras."""
    asked = set(stems(question))
    there = asked & set(stems(f"{passage.title}. {passage.text}"))
    return sum(map(library.rarity, there)) / sum(map(library.rarity, asked))


# O que uma pergunta pede e o que a resposta precisa ter. Vale a primeira linha que combina.
KINDS = [
    (
        r"quanto (custa|ganha|paga|dinheiro)|quanto vai custar|(preço|valor|salário)",
        r"R\$|\breais|%",
    ),
    (
        r"\bquant[oa]s?\b|que ano|que horas|idade|temperatura|velocidade|distância|profundidade",
        r"(?i)\d|\b(uma?|dois|duas|três|quatro|cinco|seis|sete|oito|nove|dez|onze|doze|quinze|vinte|"
        r"trinta|quarenta|cinquenta|cem|mil|mei[ao]|metade|centenas|dezenas)\b",
    ),
    (r"\bquem\b|nome d", r"[A-ZÀ-Ú]"),
]


def kind_fits(question: str, answer: str) -> float:
    """Diz se a resposta tem cara do que se pergunta: 1, -1 ou, se não dá para saber, 0."""
    for asked, needed in KINDS:
        if re.search(asked, question.lower()):
            return 1.0 if re.search(needed, answer) else -1.0
    return 0.0


@dataclass(frozen=True)
class Judge:
    """A conta que transforma indícios em confiança, e a confiança a partir da qual se responde."""

    weights: dict[str, float]
    bias: float
    threshold: float
    fitted: bool = True

    def confidence(self, candidate: Candidate) -> float:
        """Regressão logística: a soma dos indícios, cada um com o seu peso, entre 0 e 1."""
        total = sum(weight * candidate.features[name] for name, weight in self.weights.items())
        return 1 / (1 + math.exp(-(total + self.bias)))


# Sem calibragem, responde quando o leitor prefere o trecho a dizer que não há resposta.
UNFITTED = Judge({"leitor": 1.0, "sem_resposta": -1.0}, 0.0, 0.5, fitted=False)


@cache
def judge() -> Judge:
    """Lê a calibragem, que só vale para os modelos com que foi feita."""
    saved = json.loads((HERE / "calibragem.json").read_text(encoding="utf-8"))
    if saved.pop("models") != [EMBEDDING_MODEL, READER_MODEL]:
        return UNFITTED
    return Judge(**saved)


@dataclass(frozen=True)
class Answer:
    """O que o assistente diz: a melhor candidata, a confiança nela e se ela basta."""

    best: Candidate
    confidence: float
    threshold: float
    others: tuple[tuple[Candidate, float], ...]

    @property
    def refused(self) -> bool:
        """Se a confiança não chega ao limiar."""
        return self.confidence < self.threshold

    @property
    def text(self) -> str:
        """A resposta; vazia na recusa."""
        return "" if self.refused else self.best.text


def ask(library: Library, question: str, judged_by: Judge | None = None) -> Answer:
    """Responde a uma pergunta com um pedaço dos documentos, ou recusa."""
    question = " ".join(question.split())
    if not question:
        raise DocumentError("Escreva uma pergunta.")
    length = len(reader()[0].tokenize(question))
    if length > QUESTION_TOKENS:
        raise DocumentError(
            f"A pergunta tem {length} tokens, e o modelo lê até {QUESTION_TOKENS}. Encurte-a."
        )
    rule = judged_by or judge()
    rated = [(candidate, rule.confidence(candidate)) for candidate in candidates(library, question)]
    rated.sort(key=lambda pair: -pair[1])
    return Answer(*rated[0], rule.threshold, tuple(rated))


# --- a página --------------------------------------------------------------------------------

TITLE = "Assistente de documentos"
EXAMPLES = [
    "Quantos quartos tem a Pousada Vento Leste?",
    "Onde é servido o café da manhã da pousada?",
    "Qual é o pacote mínimo no Carnaval?",
    "Quanto custa a bicicleta Araçá E20?",
]
CSS = """
.gradio-container {max-width: 1100px !important; margin: auto;}
.cartao {border: 1px solid var(--border-color-primary); border-left: .4rem solid #0b6e4f;
  border-radius: .6rem; padding: 1rem 1.2rem; background: var(--background-fill-primary);}
.cartao.recusa {border-left-color: #8a5a00;}
.cartao.aviso {border-left-color: #b3261e;}
.cartao p {margin: .3rem 0; line-height: 1.55;}
.cartao .rotulo {font-size: .85rem; color: var(--body-text-color-subdued);}
.cartao .dito {font-size: 1.5rem; font-weight: 650; line-height: 1.3;}
.cartao blockquote {margin: .8rem 0 0; padding: .7rem .9rem; border-radius: .4rem;
  background: var(--background-fill-secondary); white-space: pre-line; line-height: 1.6;}
.cartao mark {background: #ffe08a; color: #1a1a1a; padding: 0 .15em; border-radius: .2em;
  font-weight: 600;}
.lista {margin: 0; padding-left: 1.1rem; line-height: 1.6;}
.lidos {width: 100%; border-collapse: collapse; line-height: 1.45;}
.lidos th, .lidos td {text-align: left; vertical-align: top; padding: .45rem .6rem;
  border-bottom: 1px solid var(--border-color-primary);}
"""
# Diz ao leitor de tela em que língua está a página e que a resposta muda; e recusa, antes do envio,
# o arquivo grande demais (o servidor também recusa, mas com uma frase em inglês).
SCRIPT = """() => {
  document.documentElement.lang = 'pt-BR';
  for (const id of ['resposta', 'aviso', 'abertos'])
    document.getElementById(id)?.setAttribute('aria-live', 'polite');
  const limit = LIMIT;
  const check = (event) => {
    if (!event.target.closest?.('#arquivos')) return;
    document.getElementById('grande')?.remove();
    const files = [...((event.dataTransfer ?? event.target).files ?? [])];
    const large = files.filter((file) => file.size > limit * 2 ** 20);
    if (!large.length) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (event.type === 'change') event.target.value = '';
    const warning = document.createElement('div');
    warning.id = 'grande';
    warning.className = 'cartao aviso';
    warning.setAttribute('role', 'alert');
    const megabytes = (file) => Math.round(file.size / 2 ** 20);
    warning.textContent = large.map((file) =>
      `O arquivo ${file.name} tem ${megabytes(file)} MB, e o limite é ${limit} MB. ` +
      'Envie só as páginas que interessam.').join(' ');
    document.getElementById('arquivos').after(warning);
  };
  for (const kind of ['change', 'drop']) document.addEventListener(kind, check, true);
}""".replace("LIMIT", str(MAX_FILE_MB))


def written(value: float) -> str:
    """Escreve uma confiança como no Brasil: `0,87`."""
    return f"{value:.2f}".replace(".", ",")


def marked(text: str, span: Span | None) -> str:
    """O trecho em HTML, com a resposta marcada."""
    if span is None:
        return escape(text)
    before, answer, after = text[: span.start], text[span.start : span.end], text[span.end :]
    return f"{escape(before)}<mark>{escape(answer)}</mark>{escape(after)}"


def place(passage: Passage) -> str:
    """De onde saiu um trecho, em HTML."""
    return f"{escape(passage.title)} ({escape(passage.document)}, página {passage.page})"


def card(kind: str, *lines: str) -> str:
    """Um cartão da página, em HTML."""
    return f'<div class="cartao {kind}">{"".join(lines)}</div>' if lines else ""


def answer_card(answer: Answer) -> str:
    """A resposta com a sua fonte; ou a recusa, com o motivo e o trecho mais próximo."""
    best, sure, least = answer.best, written(answer.confidence), written(answer.threshold)
    if not answer.refused:
        return card(
            "resposta",
            '<p class="rotulo">Resposta</p>',
            f'<p class="dito">{escape(answer.text)}</p>',
            f"<p>Fonte: {place(best.passage)}. Confiança: {sure}.</p>",
            f"<blockquote>{marked(best.passage.text, best.span)}</blockquote>",
        )
    return card(
        "recusa",
        '<p class="rotulo">Sem resposta</p>',
        '<p class="dito">Não encontrei a resposta nestes documentos.</p>',
        f"<p>O melhor palpite tem confiança {sure}, e eu só respondo a partir de {least}. "
        "Talvez os documentos não digam isso, ou digam com outras palavras.</p>",
        f"<p>O trecho mais próximo: {place(best.passage)}.</p>",
        f"<blockquote>{marked(best.passage.text, None)}</blockquote>",
    )


def reading_table(answer: Answer) -> str:
    """Os trechos lidos, com o palpite e a confiança em cada um."""
    rows = "".join(
        f"<tr><td>{place(candidate.passage)}</td><td>{escape(candidate.text)}</td>"
        f"<td>{written(sure)}</td></tr>"
        for candidate, sure in answer.others
    )
    head = (
        '<th scope="col">Trecho de</th><th scope="col">Palpite</th><th scope="col">Confiança</th>'
    )
    return f'<table class="lidos"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def open_list(documents: Sequence[Document]) -> str:
    """A lista dos documentos abertos, em HTML."""
    if not documents:
        return "<p>Nenhum documento aberto.</p>"
    items = "".join(
        f"<li>{escape(document.title)} ({document.pages} "
        f"{'página' if document.pages == 1 else 'páginas'})</li>"
        for document in documents
    )
    return f'<ul class="lista">{items}</ul>'


def open_all(paths: Sequence[str | Path]) -> tuple[list[Document], list[str]]:
    """Abre vários arquivos; os que não abrem viram frases, e os outros seguem."""
    documents, problems = [], []
    for path in paths:
        try:
            documents.append(open_document(path))
        except DocumentError as problem:
            problems.append(str(problem))
    return documents, problems


def examples() -> Library:
    """Abre os documentos que vêm com o programa."""
    return Library([open_document(path) for path in sorted((HERE / "documentos").iterdir())])


Opened = tuple[Library | None, str, str]


def show_examples() -> Opened:
    """Os exemplos abertos, a lista deles e nenhum aviso."""
    library = examples()
    return library, open_list(library.documents), ""


def add_files(paths: Sequence[str] | None, library: Library | None) -> tuple[*Opened, None]:
    """Junta aos documentos abertos os que foram enviados; um nome repetido troca o antigo."""
    new, problems = open_all(paths or [])
    names = {document.name for document in new}
    old = (
        [document for document in library.documents if document.name not in names]
        if library
        else []
    )
    library = Library([*old, *new]) if old or new else None
    warning = card("aviso", *(f"<p>{escape(problem)}</p>" for problem in problems))
    return library, open_list([*old, *new]), warning, None


def close_all() -> Opened:
    """Nenhum documento aberto."""
    return None, open_list([]), ""


def respond(question: str, library: Library | None) -> tuple[str, str]:
    """Responde na página: o cartão da resposta e a tabela do que foi lido."""
    try:
        if library is None:
            raise DocumentError("Abra um documento antes de perguntar.")
        answer = ask(library, question)
    except DocumentError as problem:
        return card("aviso", f"<p>{escape(str(problem))}</p>"), ""
    return answer_card(answer), reading_table(answer)


def build_page() -> gr.Blocks:
    """Monta a página."""
    with gr.Blocks(title=TITLE) as page:
        library = gr.State(None)
        gr.Markdown(
            f"# {TITLE}\nPergunte aos seus documentos. A resposta é sempre um pedaço deles, com a "
            "fonte à vista; quando eles não respondem, eu digo que não sei."
        )
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=300):
                files = gr.File(
                    label=f"PDF ou texto, até {MAX_FILE_MB} MB",
                    file_count="multiple",
                    height=170,
                    elem_id="arquivos",
                )
                warning = gr.HTML(elem_id="aviso")
                gr.Markdown("### Documentos abertos")
                opened = gr.HTML(open_list([]), elem_id="abertos")
                with gr.Row():
                    close = gr.Button("Fechar todos", size="sm")
                    reopen = gr.Button("Abrir os exemplos", size="sm")
            with gr.Column(scale=3, min_width=320):
                question = gr.Textbox(
                    label="Pergunta", placeholder="O que você quer saber?", elem_id="pergunta"
                )
                button = gr.Button("Perguntar", variant="primary")
                shown = gr.HTML(elem_id="resposta")
                gr.Examples(
                    EXAMPLES, question, label="Exemplos de perguntas; a última não tem resposta"
                )
                with gr.Accordion("O que foi lido para responder", open=False):
                    table = gr.HTML(elem_id="lidos")
        listing = [library, opened, warning]
        page.load(show_examples, None, listing, api_visibility="private")
        reopen.click(show_examples, None, listing, api_visibility="private")
        close.click(close_all, None, listing, api_visibility="private")
        files.upload(add_files, [files, library], [*listing, files], api_name="abrir")
        gr.on(
            [button.click, question.submit],
            respond,
            [question, library],
            [shown, table],
            api_name="perguntar",
        )
    return page


def start(**options: Any) -> gr.Blocks:
    """Abre a página; as opções são as do `launch` do Gradio."""
    page = build_page()
    theme = gr.themes.Soft(primary_hue="emerald", font=["system-ui", "sans-serif"]).set(
        # Letras que se leem: o verde claro do tema tem pouco contraste.
        block_label_text_color="*primary_900",
        block_title_text_color="*primary_900",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
    )
    limit = f"{MAX_FILE_MB}mb"
    page.launch(theme=theme, css=CSS, js=SCRIPT, max_file_size=limit, **options)
    return page


if __name__ == "__main__":
    start()
