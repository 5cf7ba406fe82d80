"""The assistant for documents: reading, cutting, search, refusal, measuring; and no drift."""

import ast
import json
import re
import shutil

import nbformat
import numpy as np
import pytest
from huggingface_hub import SpaceCard
from pypdf import PdfWriter

from helpers import documents
from helpers.display import Table
from helpers.embedded import store
from helpers.errors import CourseError
from helpers.question_answering import QuestionAnswerer
from tests.notebooks.rules import NOTEBOOKS
from tests.pdf_files import picture_pdf, text_pdf

MODELS = ("curso/e5-pt-en", "curso/qa-pt")
LEASE = (
    "Aviso do prédio\n\nO portão azul fecha às 22h30. A chave reserva fica com o zelador Abílio."
)


@pytest.fixture(scope="module")
def assistant(tmp_path_factory):
    """The program, with the course's models."""
    embedding_model, reader_model = (str(store.ensure(name)) for name in MODELS)
    return documents.load(
        {
            "EMBEDDING_MODEL": embedding_model,
            "READER_MODEL": reader_model,
            "CACHE_FOLDER": str(tmp_path_factory.mktemp("cache")),
        }
    )


@pytest.fixture(scope="module")
def library(assistant, tmp_path_factory):
    """Two of the example documents and a notice."""
    place = tmp_path_factory.mktemp("documents")
    for name in ("pousada-regras.txt", "manual-bicicleta.txt"):
        shutil.copy(documents.folder() / "documentos" / name, place)
    (place / "aviso.txt").write_text(LEASE, encoding="utf-8")
    return assistant.Library([assistant.open_document(path) for path in sorted(place.iterdir())])


@pytest.fixture
def judge(assistant):
    """The weights that the Space ships: here the models are known by folder, not by id."""
    saved = json.loads((documents.folder() / "calibragem.json").read_text(encoding="utf-8"))
    assert tuple(saved.pop("models")) == MODELS
    return assistant.Judge(**saved)


# --- the evaluation set ----------------------------------------------------------------------


def test_each_answer_is_in_its_document_and_the_shortest_only_once():
    for part in documents.PARTS:
        for question in documents.questions(part):
            path = documents.folder() / "documentos" / question.document
            plain = " ".join(path.read_text(encoding="utf-8").split())
            found = [
                len(re.findall(rf"(?<!\w){re.escape(answer)}(?!\w)", plain))
                for answer in question.answers
            ]
            assert all(found), question
            assert not found or found[0] == 1, question


def test_parts_share_no_document_and_both_have_questions_without_an_answer():
    calibration, test = map(documents.questions, documents.PARTS)
    assert not {one.document for one in calibration} & {one.document for one in test}
    for part in (calibration, test):
        assert sum(not one.answers for one in part) >= 40
        assert sum(bool(one.answers) for one in part) >= 60
    texts = [one.text for one in [*calibration, *test]]
    assert len(set(texts)) == len(texts)


def test_bad_question_files_become_sentences(tmp_path):
    with pytest.raises(CourseError, match="calibragem, teste"):
        documents.questions("treino")
    broken = tmp_path / "perguntas.toml"
    broken.write_text("[[document]]\nfile = 'a.txt'\n", encoding="utf-8")
    with pytest.raises(CourseError, match=r"perguntas\.toml"):
        documents.questions("teste", broken)


# --- reading and cutting ---------------------------------------------------------------------


def test_a_pdf_is_read_like_the_same_text(assistant, tmp_path):
    text = (documents.folder() / "documentos" / "pousada-regras.txt").read_text(encoding="utf-8")
    text_pdf(tmp_path / "a.pdf", text.split("\f"))
    from_pdf = assistant.read_pages((tmp_path / "a.pdf").read_bytes(), "a.pdf")
    from_text = assistant.read_pages(text.encode(), "a.txt")
    assert [page.split() for page in from_pdf] == [page.split() for page in from_text]


def test_latin_1_is_read(assistant):
    said = "Reunião às 19h, com café e pão."
    assert assistant.read_pages(said.encode("latin-1"), "a.txt") == [said]


def bad_files(folder):
    text_pdf(folder / "a.pdf", ["Um texto."])
    picture_pdf(folder / "foto.pdf")
    whole = (folder / "a.pdf").read_bytes()
    yield "foto.pdf", (folder / "foto.pdf").read_bytes(), "OCR"
    yield "cortado.pdf", whole[:2000], "estragado"
    yield "falso.pdf", b"%PDF-1.7 nada", "estragado"
    yield "vazio.txt", b" \n", "vazio"
    yield "programa.exe", bytes(range(256)) * 20, "não é um documento"
    yield "texto.docx", b"PK\x03\x04" + np.random.default_rng(7).bytes(4000), "não é um documento"
    writer = PdfWriter(clone_from=folder / "a.pdf")
    writer.encrypt("segredo", algorithm="RC4-128")
    writer.write(folder / "senha.pdf")
    yield "senha.pdf", (folder / "senha.pdf").read_bytes(), "senha"


def test_bad_files_become_sentences(assistant, tmp_path):
    for name, data, words in bad_files(tmp_path):
        with pytest.raises(assistant.DocumentError, match=words) as raised:
            assistant.read_pages(data, name)
        assert name in str(raised.value) and str(raised.value).endswith(".")


def test_a_large_file_is_refused_before_it_is_read(assistant, tmp_path):
    large = tmp_path / "enorme.pdf"
    with large.open("wb") as file:
        file.truncate(200 * 2**20)
    with pytest.raises(assistant.DocumentError, match="200 MB, e o limite é 20 MB"):
        assistant.open_document(large)


def test_passages_are_whole_sentences_that_overlap_and_lose_nothing(assistant):
    for path in (documents.folder() / "documentos").iterdir():
        for page in assistant.read_pages(path.read_bytes(), path.name):
            passages = assistant.split(page)
            assert all(passage in page for passage in passages)
            assert all(len(passage) <= 2 * assistant.PASSAGE_SIZE for passage in passages)
            for before, after in zip(passages, passages[1:], strict=False):
                assert after.startswith(assistant.sentences(before)[-1].strip())
            for sentence in assistant.sentences(page):
                assert any(sentence.strip() in passage for passage in passages)
    assert assistant.split("") == []
    assert all(len(part) <= 900 for part in assistant.split("palavra " * 500))


def test_batches_hold_each_text_once_and_similar_lengths(assistant):
    lengths = [500, 3, 4, 480, 5, 490]
    groups = assistant.batches(lengths)
    assert sorted(place for group in groups for place in group) == list(range(6))
    assert all(len(group) * max(lengths[i] for i in group) <= 4096 for group in groups)
    assert assistant.batches([]) == []


# --- search, reading, refusal ----------------------------------------------------------------


def test_reopening_uses_what_was_kept(assistant, tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text(LEASE, encoding="utf-8")
    first = assistant.open_document(tmp_path / "a.txt")
    monkeypatch.setattr(assistant, "embed", None)  # would fail if it were called
    again = assistant.open_document((tmp_path / "a.txt").rename(tmp_path / "b.txt"))
    assert again.name == "b.txt" and np.array_equal(again.vectors, first.vectors)
    assert [part.text for part in again.passages] == [part.text for part in first.passages]


def test_search_finds_by_meaning_and_by_words(library):
    by_meaning = library.search("Posso hospedar o meu cachorro?", k=3)
    assert "pousada-regras.txt" in {passage.document for passage, _ in by_meaning}
    by_words = library.search("O que quer dizer E3 no painel?", k=1)
    assert by_words[0][0].document == "manual-bicicleta.txt"
    scores = [score for _, score in by_meaning]
    assert scores == sorted(scores, reverse=True)


def test_reading_agrees_with_the_courses_answerer(assistant, library):
    tokenizer, model = assistant.reader()
    answerer = QuestionAnswerer(model, tokenizer)
    for question in (
        "Quantos quartos tem a Pousada Vento Leste?",
        "Quanto pesa a bicicleta Araçá E20?",
        "Com quem fica a chave reserva?",
    ):
        texts = [passage.text for passage, _ in library.search(question, k=3)]
        theirs = answerer.many(question, texts, max_answer_len=assistant.ANSWER_TOKENS)
        for span, text, other in zip(assistant.read(question, texts), texts, theirs, strict=True):
            assert text[span.start : span.end] == other["answer"]
            assert span.score == pytest.approx(other["score"], rel=1e-3)


def test_an_answer_has_its_source_and_a_stranger_is_refused(assistant, library, judge):
    answer = assistant.ask(library, "Quantos quartos tem a Pousada Vento Leste?", judge)
    assert "14" in answer.text and not answer.refused
    assert (answer.best.passage.document, answer.best.passage.page) == ("pousada-regras.txt", 1)
    assert assistant.ask(library, "Quem escreveu Dom Casmurro?", judge).refused


def test_bad_questions_become_sentences(assistant, library):
    with pytest.raises(assistant.DocumentError, match="Escreva uma pergunta"):
        assistant.ask(library, " \n ")
    with pytest.raises(assistant.DocumentError, match="Encurte-a"):
        assistant.ask(library, "por que " * 100)
    card, _ = assistant.respond("E agora?", None)
    assert "Abra um documento" in card


def test_kinds_of_answers(assistant):
    assert assistant.kind_fits("Quanto custa a diária?", "R$ 90") == 1
    assert assistant.kind_fits("Quanto custa a diária?", "90 dias") == -1
    assert assistant.kind_fits("Quantos quartos há?", "catorze") == -1  # a list has its limits
    assert assistant.kind_fits("Quem é a diretora?", "Rute") == 1
    assert assistant.kind_fits("Onde fica o ecoponto?", "na avenida") == 0


def test_other_models_get_the_uncalibrated_rule(assistant):
    assistant.judge.cache_clear()
    rule = assistant.judge()  # here the models are folders, which calibragem.json does not name
    assistant.judge.cache_clear()
    assert not rule.fitted and rule.threshold == 0.5


def test_what_documents_say_is_not_taken_for_html(assistant):
    passage = assistant.Passage("Use <script>alerta</script> aqui.", "a<b>.txt", "T & T", 1)
    span = assistant.Span(4, 12, 0.9, 0.1)
    shown = assistant.marked(passage.text, span) + assistant.place(passage)
    assert "<mark>&lt;script&gt;</mark>" in shown
    assert "<script>" not in shown and "a&lt;b&gt;.txt" in shown and "T &amp; T" in shown


# --- measuring -------------------------------------------------------------------------------


def outcome(confidence, *, said, answers=(), answer="dois"):
    question = documents.Question("?", "a.txt", answers)
    return documents.Outcome(question, answer, confidence, said, retrieved=True)


def test_answers_are_compared_as_people_do():
    assert documents.is_exact("O Recomeço.", ["Recomeço"])
    assert not documents.is_exact("doze", ["doze quilos"])
    assert documents.f1("até doze quilos", ["quilo", "doze quilos"]) == pytest.approx(0.8)
    assert documents.f1("", ["doze"]) == documents.f1("doze", []) == 0.0


def test_score_counts_each_kind():
    outcomes = [
        outcome(0.9, said=True, answers=("dois",)),
        outcome(0.8, said=True, answers=("três",)),
        outcome(0.2, said=False, answers=("dois",)),
        outcome(0.2, said=False, answers=("dois",)),
        outcome(0.9, said=True),
        outcome(0.1, said=False),
    ]
    got = documents.score(outcomes)
    assert (got.answerable, got.unanswerable) == (4, 2)
    assert (got.answered_right, got.answered_wrong, got.refused) == (0.25, 0.25, 0.5)
    assert (got.wrongly_answered, got.refused_rightly) == (0.5, 0.5)
    assert got.exact == 0.75
    assert isinstance(got.table(), Table) and len(got.table().rows) == 8
    with pytest.raises(CourseError, match="dos dois tipos"):
        documents.score(outcomes[:2])


def test_threshold_lets_few_wrong_answers_pass():
    outcomes = [outcome(place / 20, said=False) for place in range(20)]
    least = documents.threshold(outcomes, 0.1)
    assert sum(one.confidence >= least for one in outcomes) == 2
    assert documents.threshold(outcomes, 1.0) == 0.0
    with pytest.raises(CourseError, match="dos dois tipos"):
        documents.threshold([outcome(0.5, said=True, answers=("dois",))])


def test_fitting_learns_to_refuse(assistant, library):
    asked = [
        documents.Question(
            "Quantos quartos tem a pousada?", "pousada-regras.txt", ("14 quartos", "14")
        ),
        documents.Question("Quem prepara a tapioca?", "pousada-regras.txt", ("dona Lindalva",)),
        documents.Question("Quanto pesa a bicicleta?", "manual-bicicleta.txt", ("23 quilos", "23")),
        documents.Question("Quem escreveu Dom Casmurro?", "pousada-regras.txt", ()),
        documents.Question("Qual é a capital da Mongólia?", "manual-bicicleta.txt", ()),
    ]
    readings = documents.collect(assistant, library, asked)
    fitted = documents.fit(assistant, readings, wrong_at_most=0.0)
    got = documents.score(documents.judged(readings, fitted))
    assert got.wrongly_answered == 0.0
    assert got.answered_right + got.answered_wrong > 0.5


# --- no drift, and the Space's format --------------------------------------------------------


def functions(source):
    return {
        node.name: ast.dump(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
    }


def test_the_notebooks_functions_are_the_programs():
    (path,) = NOTEBOOKS.glob("11_*.ipynb")
    program = functions((documents.folder() / "app.py").read_text(encoding="utf-8"))
    shown = {}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and "%pip" not in cell.source:
            shown |= functions(cell.source)
    shared = shown.keys() & program.keys()
    assert {"split", "embed"} <= shared
    assert [name for name in shared if shown[name] != program[name]] == []


def test_the_folder_is_a_space():
    card = SpaceCard.load(documents.folder() / "README.md", repo_type="space")
    assert card.data.sdk == "gradio" and (documents.folder() / card.data.app_file).is_file()
    assert card.data.title and card.data.license and card.data.sdk_version
    program = (documents.folder() / "app.py").read_text(encoding="utf-8")
    assert "helpers" not in program  # it runs where the course is not installed
