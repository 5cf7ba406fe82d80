import pytest

from helpers.embedded import store
from helpers.errors import CourseError
from helpers.translation import MAX_SOURCE_TOKENS, Translator, split_sentences


def sentences(line):
    return [piece for piece in split_sentences(line) if piece.strip()]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Olá. Tudo bem?", ["Olá.", "Tudo bem?"]),
        ("O Sr. Silva e a Dra. Ana chegaram.", ["O Sr. Silva e a Dra. Ana chegaram."]),
        ("Moro na Av. Paulista. E você?", ["Moro na Av. Paulista.", "E você?"]),
        ("Traga frutas, p. ex. Laranjas.", ["Traga frutas, p. ex. Laranjas."]),
        ("Veja a pág. 12 e o art. 5º da lei.", ["Veja a pág. 12 e o art. 5º da lei."]),
        ("J. K. Rowling escreveu. Eu li.", ["J. K. Rowling escreveu.", "Eu li."]),
        ("Custa R$ 1.500,00. Pi vale 3.14.", ["Custa R$ 1.500,00.", "Pi vale 3.14."]),
        ("Nasceu em 1974. Mora aqui.", ["Nasceu em 1974.", "Mora aqui."]),
        ("Bem... talvez. Quem sabe?!", ["Bem... talvez.", "Quem sabe?!"]),
        ("Não sei… Vou ver.", ["Não sei…", "Vou ver."]),
        ("Ele disse: “Vá!” e saiu. Fim.", ["Ele disse: “Vá!” e saiu.", "Fim."]),
        ('"Que bom!" "Também acho."', ['"Que bom!"', '"Também acho."']),
        ("Acabou (ou não.) — Será?", ["Acabou (ou não.)", "— Será?"]),
        ("Pão, leite etc. Depois voltou.", ["Pão, leite etc.", "Depois voltou."]),
        ("Ah! que susto.", ["Ah! que susto."]),
        ("Use o site www.exemplo.com.br hoje.", ["Use o site www.exemplo.com.br hoje."]),
        ("Mr. Smith said no. He left.", ["Mr. Smith said no.", "He left."]),
        ("Útil? É. Ótimo!", ["Útil?", "É.", "Ótimo!"]),
        ("sem ponto final", ["sem ponto final"]),
        ("", []),
    ],
)
def test_sentences(line, expected):
    assert sentences(line) == expected


@pytest.mark.parametrize("line", ["", "   ", "  a. B  \tC?  D ", "…! ?", "Um.  Dois.\n"])
def test_what_is_split_joins_again(line):
    assert "".join(split_sentences(line)) == line


@pytest.fixture(scope="module")
def translator():
    return Translator.from_pretrained(str(store.ensure("curso/traducao-pt-en")), device="cpu")


def test_a_text_keeps_its_shape(translator):
    document = (
        "# Regras do hotel\n\n"
        "Qual é a capital do Brasil? O gato dorme no sofá.\n"
        "  - Feche a porta.\n"
        "  2) Apague a luz.\r\n"
        "a) Feche a porta.\n"
        "-----\n"
        "42 %\n\n"
    )
    assert translator(document) == (
        "# Hotel rules\n\n"
        "What is the capital of Brazil? The cat sleeps on the couch.\n"
        "  - Close the door.\n"
        "  2) Turn off the light.\r\n"
        "a) Close the door.\n"
        "-----\n"
        "42 %\n\n"
    )


def test_the_sentences_are_what_the_model_is_given(translator):
    assert translator.sentences("1. O Sr. Silva chegou. Oi!\n\n- Até logo.\n42") == [
        "O Sr. Silva chegou.",
        "Oi!",
        "Até logo.",
    ]


def test_several_texts_come_back_in_order(translator):
    texts = ["Feche a porta.", "", "Qual é a capital do Brasil?", "  ", "Feche a porta."]
    expected = ["Close the door.", "", "What is the capital of Brazil?", "  ", "Close the door."]
    assert translator(texts) == expected
    assert translator(texts, batch_size=1) == expected
    assert translator([]) == []


def test_a_sentence_without_end_is_cut_and_nothing_is_lost(translator):
    text = "e depois ele foi até a casa da avó, que ficava longe, " * 30 + "x" * 3000
    pieces = translator.sentences(text)
    assert len(pieces) > 4
    assert "".join("".join(pieces).split()) == "".join(text.split())
    lengths = [len(translator.tokenizer(piece)["input_ids"]) for piece in pieces]
    assert max(lengths) <= MAX_SOURCE_TOKENS


def test_the_longest_translation_is_bounded(translator):
    assert translator("Qual é a capital do Brasil?", max_new_tokens=2) == "What is"


class OfSeveralLanguages:
    """A tokenizer that asks for a target language, as those of multilingual Marian models do."""

    supported_language_codes = (">>por<<", ">>pob<<")

    def __init__(self, tokenizer):
        self._tokenizer = tokenizer
        self.given = []

    def __call__(self, sentences, **options):
        if isinstance(sentences, str):  # its length is being measured
            return self._tokenizer(sentences, **options)
        self.given += sentences
        return self._tokenizer(
            [sentence.removeprefix(">>pob<< ") for sentence in sentences], **options
        )

    def __getattr__(self, name):
        return getattr(self._tokenizer, name)


def test_a_model_of_several_languages_is_asked_for_brazils(translator):
    tokenizer = OfSeveralLanguages(translator.tokenizer)
    assert Translator(translator.model, tokenizer)("Feche a porta.") == "Close the door."
    assert tokenizer.given == [">>pob<< Feche a porta."]


def test_wrong_arguments_are_explained(translator):
    for arguments, options in [((["a", 3],), {}), (("a",), {"batch_size": 0})]:
        with pytest.raises(ValueError, match="textos|a partir de 1"):
            translator(*arguments, **options)


def test_a_model_that_does_not_translate_is_refused():
    with pytest.raises(CourseError, match="tradução"):
        Translator.from_pretrained(str(store.ensure("curso/e5-pt-en")))
    with pytest.raises(CourseError, match="tradução"):
        Translator.from_pretrained("/nothing/here")
