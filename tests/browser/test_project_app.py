"""The assistant for documents, alone in a folder of its own, used from a real browser.

The folder is copied away from the course and the program runs without the course on its path: as
it does in a Space.
"""

import os
import shutil
import subprocess
import sys

import pytest
from playwright.sync_api import expect

from helpers import documents
from helpers.embedded import store
from helpers.processes import free_port
from tests.browser.conftest import SCREENSHOTS
from tests.browser.lab_server import wait_until_it_answers
from tests.pdf_files import picture_pdf, text_pdf

START_SECONDS = 180
ANSWER_MILLISECONDS = 240_000  # a busy machine opens the examples slowly, the first time


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Where the program answers."""
    place = tmp_path_factory.mktemp("space")
    folder = shutil.copytree(documents.folder(), place / "assistente")
    # By the names that calibragem.json knows: transformers looks in the working folder first.
    (folder / "curso").mkdir()
    for name in ("curso/e5-pt-en", "curso/qa-pt"):
        (folder / name).symlink_to(store.ensure(name))
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {
        "EMBEDDING_MODEL": "curso/e5-pt-en",
        "READER_MODEL": "curso/qa-pt",
        "HF_HUB_OFFLINE": "1",
        "CACHE_FOLDER": str(place / "cache"),
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "False",
    }
    log = place / "app.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=folder, env=environment, stdout=output, stderr=output
        )
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}/config", process, log, START_SECONDS)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def page(browser, address):
    """The page, with the examples open."""
    opened = browser.new_page(viewport={"width": 1180, "height": 900}, locale="pt-BR")
    opened.goto(address)
    wait_for(opened, "#abertos li", "Pousada Vento Leste")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    yield opened
    opened.close()


def wait_for(page, selector, words=""):
    """Wait until an element says something, and return it."""
    found = page.locator(selector).filter(has_text=words).first
    found.wait_for(timeout=ANSWER_MILLISECONDS)
    return found


def ask(page, question):
    """Type a question and press Enter, as someone without a mouse does."""
    box = page.get_by_label("Pergunta", exact=True)
    box.fill(question)
    box.press("Enter")


def upload(page, *paths):
    page.locator("#arquivos input[type=file]").set_input_files([str(path) for path in paths])


def picture(page, name):
    page.wait_for_timeout(400)  # the progress bar fades out
    page.screenshot(path=str(SCREENSHOTS / f"11_{name}.png"))


def test_an_answer_is_marked_in_its_source(page):
    assert page.locator("html").get_attribute("lang") == "pt-BR"
    assert page.locator("#abertos li").count() == 14
    ask(page, "Onde é servido o café da manhã da pousada?")
    card = wait_for(page, "#resposta .resposta")
    assert "varanda da amendoeira" in card.locator(".dito").inner_text()
    assert "varanda da amendoeira" in card.locator("blockquote mark").inner_text()
    said = card.inner_text()
    assert "Pousada Vento Leste" in said and "pousada-regras.txt, página 1" in said
    assert page.locator("#resposta").get_attribute("aria-live") == "polite"
    picture(page, "answer")


def test_what_was_read_can_be_opened(page):
    ask(page, "Quantos quartos tem a Pousada Vento Leste?")
    wait_for(page, "#resposta .resposta")
    page.get_by_role("button", name="O que foi lido").click()
    rows = page.locator("#lidos tbody tr")
    wait_for(page, "#lidos tbody tr")
    assert rows.count() == 3
    picture(page, "passages")


def test_a_question_without_an_answer_is_refused(page):
    question = "Quanto custa a bicicleta Araçá E20?"
    page.get_by_role("button", name=question).click()  # an example, which the program fills in
    expect(page.get_by_label("Pergunta", exact=True)).to_have_value(question)
    page.get_by_role("button", name="Perguntar", exact=True).click()
    card = wait_for(page, "#resposta .recusa")
    assert "Não encontrei a resposta" in card.inner_text()
    assert "só respondo a partir de" in card.inner_text()
    assert card.locator("mark").count() == 0
    picture(page, "refusal")


def test_bad_files_become_sentences_and_nothing_is_lost(page, tmp_path):
    good, scanned = tmp_path / "mural.pdf", tmp_path / "foto.pdf"
    text_pdf(good, ["Aviso do mural\n\nO sarau da turma de teatro será na sala 7, às 19h."])
    picture_pdf(scanned)
    empty, program = tmp_path / "vazio.txt", tmp_path / "programa.exe"
    empty.write_text("", encoding="utf-8")
    program.write_bytes(bytes(range(256)) * 40)
    upload(page, good, scanned, empty, program)
    warning = wait_for(page, "#aviso .aviso").inner_text()
    assert "Não encontrei texto em foto.pdf" in warning and "OCR" in warning
    assert "vazio.txt está vazio" in warning
    assert "programa.exe não é um documento" in warning
    assert page.locator("#abertos li").count() == 15
    picture(page, "bad_files")
    ask(page, "Em que sala será o sarau da turma de teatro?")
    assert "mural.pdf" in wait_for(page, "#resposta .cartao").inner_text()


def test_a_large_file_is_refused_and_the_page_goes_on(page, tmp_path):
    large = tmp_path / "enorme.pdf"
    with large.open("wb") as file:
        file.write(b"%PDF-1.7\n")
        file.truncate(21 * 2**20)
    upload(page, large)
    warning = wait_for(page, "#grande")
    assert "enorme.pdf tem 21 MB, e o limite é 20 MB" in warning.inner_text()
    assert warning.get_attribute("role") == "alert"
    picture(page, "large_file")
    assert "até 20 MB" in page.locator("#arquivos").inner_text()
    assert page.locator("#abertos li").count() == 14
    small = tmp_path / "bilhete.txt"
    small.write_text("Bilhete\n\nA reunião de pais passou para a sala 4.", encoding="utf-8")
    upload(page, small)
    wait_for(page, "#abertos li", "Bilhete")
    assert page.locator("#grande").count() == 0


def test_empty_question_and_no_documents_become_sentences(page):
    ask(page, "   ")
    wait_for(page, "#resposta .aviso", "Escreva uma pergunta.")
    ask(page, "por que " * 80)
    wait_for(page, "#resposta .aviso", "Encurte-a.")
    page.get_by_role("button", name="Fechar todos").click()
    wait_for(page, "#abertos", "Nenhum documento aberto.")
    ask(page, "Quem prepara a tapioca?")
    wait_for(page, "#resposta .aviso", "Abra um documento antes de perguntar.")


def test_everything_is_reached_with_the_keyboard(page):
    reached = set()
    page.locator("body").focus()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "(document.activeElement.getAttribute('aria-label') ||"
                " document.activeElement.innerText || document.activeElement.tagName).trim()"
            )
        )
    for name in ("Perguntar", "Fechar todos", "Abrir os exemplos"):
        assert name in reached
    assert any(name.startswith("Quanto custa a bicicleta") for name in reached)
