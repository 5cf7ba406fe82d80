"""What people read in Portuguese is spelled right, and the checker sees what is not.

Where Hunspell is missing these tests are skipped, unless COURSE_SPELLING=required, which CI sets.
"""

import os
from collections import defaultdict

import nbformat
import pytest
import spelling
import texts


@pytest.fixture(scope="module", autouse=True)
def hunspell():
    if spelling.is_installed():
        return
    if os.environ.get("COURSE_SPELLING") == "required":
        pytest.fail("hunspell and hunspell-pt-br are missing, and COURSE_SPELLING requires them")
    pytest.skip("hunspell with its dictionary of Brazilian Portuguese is not installed")


@pytest.fixture(scope="module")
def places():
    """Each word that is used, with the places where it stands."""
    found = defaultdict(list)
    for place, text in texts.all_texts():
        for word in spelling.words(text):
            found[word].append(place)
    return found


def test_all_words_are_right(places):
    wrong = [f"{word}: {'; '.join(places[word][:3])}" for word in spelling.misspelled(places)]
    message = "Misspelled, or a term that palavras.txt lacks:\n" + "\n".join(sorted(wrong))
    assert not wrong, message


def test_the_list_is_in_order_and_holds_nothing_twice():
    words = spelling.course_words()
    assert words == sorted(set(words), key=lambda word: (word.lower(), word))
    assert len({word.lower() for word in words}) == len(words)


def test_the_list_holds_only_words_that_are_used_and_that_the_dictionary_lacks(places):
    used = {word.lower() for word in places}
    used |= {part for word in used for part in spelling.parts(word)}
    words = spelling.course_words()
    assert [word for word in words if word.lower() not in used] == [], "not used"
    single = {word for word in words if spelling.parts(word) == [word]}
    assert spelling.unknown_to_hunspell(single) == single, "the dictionary has the others"


def test_the_text_is_found(places):
    for word in ("notebook", "exercício", "objetivos", "reticências"):
        assert places[word], f"no text with {word!r} was read"


def test_mistakes_are_found_and_right_words_pass():
    wrong = ["recisão", "excessão", "voce", "tambem", "advinhar", "modêlo", "pré-treinadu"]
    right = [
        "você",
        "usá-lo",
        "fazê-la",
        "pré-treinado",
        "Python",
        "tokens",
        "guarda-chuva",
        "e-mail",
    ]
    assert spelling.misspelled([*wrong, *right]) == set(wrong)


def test_prose_is_read_and_code_is_not():
    text = (
        "Leia `numero_de_video`, {answer} e [isto](../nao/memoria.md), em *machine learning*.\n"
        "```\nnao = 1\n```\nVeja https://x.example/nao ou nao.py com timeout=3 no JupyterLab."
    )
    words = spelling.words(texts.prose(text))
    assert words == ["Leia", "e", "isto", "em", "Veja", "ou", "com", "no"]


def test_a_notebook_gives_its_markdown_and_its_comments():
    cells = [
        nbformat.v4.new_markdown_cell("Uma frase."),
        nbformat.v4.new_code_cell("import helpers  # setup, in English"),
        nbformat.v4.new_code_cell('%matplotlib inline\ntext = "# não"  # um comentário\n# outro'),
    ]
    found = texts.of_notebook("00", nbformat.v4.new_notebook(cells=cells))
    assert [text for _, text in found] == ["Uma frase.", "um comentário\noutro"]


def test_a_table_gives_its_texts_by_key():
    values = {"quiz": {"options": [{"text": "Sim."}], "right": True}, "title": "Título {n}"}
    assert list(texts.of_table(values)) == [("quiz.options.1.text", "Sim."), ("title", "Título  ")]


def test_a_card_is_read_without_names_and_examples():
    card = (
        '---\nlicense: mit\n---\nModelo de Ana Souza.\n\n| foto | the cat |\n\nEle diz "the\ncat".'
    )
    assert spelling.words(texts.of_card(card)) == ["de", "diz"]
