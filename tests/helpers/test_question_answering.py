"""From logits to spans to characters, with three kinds of real tokenizers."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers import question_answering as qa
from helpers.errors import CourseError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

SENTENCES = [
    "Meu nome é Marcundes e estou gravando uma aula sobre Hugging Face.",
    "A Universidade de São Paulo foi fundada em 1934, na cidade de São Paulo.",
    "O prazo de entrega é de até 7 dias úteis; o frete custa R$ 25,90 (sem seguro).",
    "Machado de Assis escreveu “Dom Casmurro”, publicado em 1899 pela Livraria Garnier.",
    "Quem descobriu o caminho marítimo para as Índias? Vasco da Gama, em 1498!",
]
QUESTION = "Em que ano a universidade foi fundada?"
LONG = " ".join(f"{index}. {sentence}" for index in range(12) for sentence in SENTENCES)


def unigram():
    """Like XLM-R and multilingual E5: words are split at spaces only."""
    core = tokenizers.Tokenizer(tokenizers.models.Unigram())
    core.normalizer = tokenizers.normalizers.NFKC()
    core.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(prepend_scheme="always")
    trainer = tokenizers.trainers.UnigramTrainer(
        vocab_size=220, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], unk_token="<unk>"
    )
    core.train_from_iterator(SENTENCES, trainer)
    core.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B:1 </s>:1",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return wrapped(core, "<s>", "</s>", "<pad>", "<unk>", ["input_ids", "attention_mask"])


def wordpiece():
    """Like BERT: lower case, accents stripped, punctuation apart."""
    core = tokenizers.BertWordPieceTokenizer(lowercase=True)
    core.train_from_iterator(SENTENCES, vocab_size=250, show_progress=False)
    core = core._tokenizer
    core.post_processor = tokenizers.processors.BertProcessing(
        ("[SEP]", core.token_to_id("[SEP]")), ("[CLS]", core.token_to_id("[CLS]"))
    )
    names = ["input_ids", "token_type_ids", "attention_mask"]
    return wrapped(core, "[CLS]", "[SEP]", "[PAD]", "[UNK]", names)


def byte_level():
    """Like RoBERTa: one emoji is several tokens."""
    core = tokenizers.ByteLevelBPETokenizer()
    core.train_from_iterator(
        SENTENCES,
        vocab_size=400,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
        show_progress=False,
    )
    core = core._tokenizer
    core.post_processor = tokenizers.processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return wrapped(core, "<s>", "</s>", "<pad>", "<unk>", ["input_ids", "attention_mask"])


def wrapped(core, cls, sep, pad, unk, names):
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core,
        cls_token=cls,
        sep_token=sep,
        pad_token=pad,
        unk_token=unk,
        model_max_length=128,
        model_input_names=names,
    )


@pytest.fixture(scope="module", params=[unigram, wordpiece, byte_level])
def answerer(request):
    """A small model with random weights: it answers anything, which is what offsets need."""
    tokenizer = request.param()
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        initializer_range=0.5,
    )
    return qa.QuestionAnswerer(transformers.BertForQuestionAnswering(config), tokenizer)


def assert_well_formed(answer, context):
    assert set(answer) == {"score", "start", "end", "answer"}
    assert isinstance(answer["start"], int) and isinstance(answer["end"], int)
    assert 0 <= answer["start"] <= answer["end"] <= len(context)
    assert context[answer["start"] : answer["end"]] == answer["answer"]
    assert isinstance(answer["score"], float) and 0 <= answer["score"] <= 1
    assert answer["answer"] == answer["answer"].strip()


TRICKY = st.text(
    alphabet=st.one_of(
        st.sampled_from("aeéção ,.;()“”🙂👩‍🏫ﬁ①Å½…\u00a0\u200b\n\t"),
        st.characters(exclude_categories=["Cs"]),
    ),
    min_size=1,
    max_size=120,
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(context=TRICKY, question=TRICKY, align=st.booleans())
def test_offsets_are_those_of_the_original_text(answerer, context, question, align):
    try:
        answers = answerer(question, context, top_k=3, align_to_words=align)
    except ValueError as error:
        assert "cannot be empty" in str(error)  # nothing readable was left of one of them
        return
    assert 1 <= len(answers) <= 3
    for answer in answers:
        assert_well_formed(answer, context)
    places = [(answer["start"], answer["end"]) for answer in answers]
    assert len(places) == len(set(places))
    scores = [answer["score"] for answer in answers]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("make", [unigram, wordpiece, byte_level])
@pytest.mark.parametrize("word", ["nação", "ﬁnal", "🙂🙂", "R$ 25,90", "guarda-chuva"])
def test_a_word_found_by_its_tokens_comes_back_whole(make, word):
    tokenizer = make()
    context = f"😀 Ångström ½ {word} depois."
    (window,) = qa.split(tokenizer, "O quê?", context)
    begin = context.index(word)
    inside = [
        index
        for index, (start, end) in enumerate(window.encoding.offsets)
        if window.is_context[index]
        and start < begin + len(word)
        and end > begin
        and context[start:end].strip()
    ]
    span = qa.Span(inside[0], inside[-1], 1.0)
    start, end = qa.character_span(context, window.encoding, span)
    assert context[start:end] == word


def test_spans_are_those_of_transformers():
    module = pytest.importorskip("transformers.pipelines.document_question_answering")
    random = np.random.default_rng(0)
    for length in (5, 30, 200):
        start, end = random.normal(size=(2, 1, length)) * 3
        context = np.zeros(length, dtype=bool)
        context[length // 3 : -1] = True
        outside = ~context
        outside[0] = False
        starts, ends, scores, no_answer = module.select_starts_ends(
            start.copy(),
            end.copy(),
            outside[None].astype(int),
            np.ones((1, length), dtype=int),
            top_k=4,
            handle_impossible_answer=True,
            max_answer_len=7,
        )
        found, ours = qa.spans(start[0], end[0], context, top_k=4, max_answer_len=7)
        expected = zip(starts, ends, scores, strict=True)
        expected = [(s, e, p) for s, e, p in expected if p > 0]
        assert [(span.start, span.end) for span in found] == [(s, e) for s, e, _ in expected]
        np.testing.assert_allclose([span.score for span in found], [p for *_, p in expected])
        assert ours == pytest.approx(no_answer)


def test_spans_by_hand():
    """Four context tokens; start surely at the second, end surely at the third."""
    found, no_answer = qa.spans(
        [0, -50, 0, 50, 0, 0], [0, -50, 0, 0, 50, 0], [False, False, True, True, True, True]
    )
    assert found[0][:2] == (3, 4) and found[0].score == pytest.approx(1)
    assert no_answer < 1e-20


def test_an_answer_is_never_longer_than_asked(answerer):
    (window,) = qa.split(answerer.tokenizer, QUESTION, SENTENCES[1])
    ((start, end),) = answerer.logits([window])
    found, _ = qa.spans(start, end, window.is_context, top_k=50, max_answer_len=2)
    assert found and all(span.end - span.start < 2 for span in found)


def test_windows_overlap_and_miss_nothing(answerer):
    options = qa.Options.checked(128, max_seq_len=64, doc_stride=16)
    windows = qa.split(answerer.tokenizer, QUESTION, LONG, options)
    assert len(windows) > 5
    covered = set()
    for window in windows:
        assert len(window.is_context) <= 64
        for (start, end), inside in zip(window.encoding.offsets, window.is_context, strict=True):
            if inside:
                covered.update(range(start, end))
    assert {index for index, char in enumerate(LONG) if not char.isspace()} <= covered


def test_many_is_the_same_as_one_by_one(answerer):
    contexts = [*SENTENCES, LONG]
    together = answerer.many(QUESTION, contexts, batch_size=4)
    for context, answer in zip(contexts, together, strict=True):
        alone = answerer(QUESTION, context)
        assert (alone["start"], alone["end"]) == (answer["start"], answer["end"])
        assert alone["score"] == pytest.approx(answer["score"], rel=1e-4)
        assert_well_formed(answer, context)


def test_one_answer_or_a_list(answerer):
    assert isinstance(answerer(QUESTION, SENTENCES[0]), dict)
    assert isinstance(answerer(QUESTION, "Sim", top_k=2), list)
    both = answerer(QUESTION, LONG, top_k=1_000_000)
    assert len(both) > 10


def test_no_answer_may_win_only_when_asked(answerer):
    options = qa.Options.checked(128, handle_impossible_answer=True, top_k=2)
    (window,) = qa.split(answerer.tokenizer, QUESTION, SENTENCES[0], options)
    certain = np.full(len(window.is_context), -30.0)
    certain[0] = 30.0
    first, second = qa.best_answers(SENTENCES[0], [(window, certain, certain)], options)
    assert (first["answer"], first["start"], first["end"]) == ("", 0, 0)
    assert first["score"] == pytest.approx(1) and second["answer"]
    answer = qa.best_answers(SENTENCES[0], [(window, certain, certain)], qa.Options.checked(128))
    assert answer["answer"] and answer["score"] < 1e-6


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("1991.", "1991"),
        (" São Paulo, ", "São Paulo"),
        ("Quem?!", "Quem"),
        ("Acme S.A.", "Acme S.A."),
        ("44 a.C.", "44 a.C."),
        ("50%", "50%"),
        ("R$ 1.000,00.", "R$ 1.000,00"),
        ("...", "..."),
        ("fim …", "fim"),
        ("   ", ""),
    ],
)
def test_trim(text, kept):
    start, end = qa.trim(text, 0, len(text))
    assert text[start:end] == kept


def test_growing_to_words_adds_no_brackets():
    context = "Publicado (em 1899) por “Garnier”, no Rio."
    tokenizer = unigram()
    (window,) = qa.split(tokenizer, "Quando?", context)
    offsets = window.encoding.offsets
    begin = context.index("1899")
    tokens = [
        index
        for index, (start, end) in enumerate(offsets)
        if window.is_context[index] and begin <= start and end <= begin + 4 and start < end
    ]
    span = qa.Span(tokens[0], tokens[-1], 1.0)
    start, end = qa.character_span(context, window.encoding, span)
    assert context[start:end] == "1899"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", "c"), "`question` cannot be empty"),
        (("q", ""), "`context` cannot be empty"),
        (("q", " \n"), "`context` cannot be empty"),
        ((None, "c"), "`question` cannot be None"),
        (("q", 3), "`context` must be a str, but a `<class 'int'>` was provided instead."),
        (("q", b"c"), "`context` must be a str, but a `<class 'bytes'>` was provided instead."),
        (("q", "a\ud800b"), "`context` must be valid Unicode text: it holds half of a character"),
    ],
)
def test_bad_text(answerer, arguments, message):
    with pytest.raises(ValueError) as raised:
        answerer(*arguments)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"top_k": 0}, "top_k parameter should be >= 1 (got 0)"),
        ({"max_answer_len": 0}, "max_answer_len parameter should be >= 1 (got 0"),
        (
            {"doc_stride": 100, "max_seq_len": 64},
            "`doc_stride` (100) is larger than `max_seq_len` (64)",
        ),
        ({"top_k": "2"}, "top_k parameter should be an integer (got '2')"),
        ({"top_k": True}, "top_k parameter should be an integer (got True)"),
        ({"max_seq_len": 0}, "max_seq_len parameter should be >= 1 (got 0)"),
        ({"doc_stride": -1}, "doc_stride parameter should be >= 0 (got -1)"),
    ],
)
def test_bad_parameters(answerer, parameters, message):
    with pytest.raises(ValueError) as raised:
        answerer(QUESTION, SENTENCES[0], **parameters)
    assert str(raised.value) == message


def test_a_window_too_small_for_the_question(answerer):
    with pytest.raises(ValueError, match="leaves no room for the context"):
        answerer(QUESTION, SENTENCES[0], max_seq_len=5)


def test_a_huge_question_is_cut_and_a_huge_window_is_lowered(answerer):
    answer = answerer("por que " * 500, SENTENCES[0], max_seq_len=10**9, max_question_len=20)
    assert_well_formed(answer, SENTENCES[0])


def test_a_stride_that_fills_the_window_still_moves_forward(answerer):
    assert_well_formed(answerer(QUESTION, LONG, max_seq_len=64, doc_stride=64), LONG)


def test_lists_of_different_lengths(answerer):
    with pytest.raises(ValueError, match="don't have the same lengths"):
        answerer.many(["a", "b"], ["c"])
    assert answerer.many([], []) == []


def test_a_model_without_the_head_is_refused(answerer, tmp_path):
    body = transformers.BertModel(answerer.model.config)
    body.save_pretrained(tmp_path)
    answerer.tokenizer.save_pretrained(tmp_path)
    with pytest.raises(CourseError, match="não foi treinado para responder"):
        qa.QuestionAnswerer.from_pretrained(str(tmp_path))


def test_from_pretrained(answerer, tmp_path):
    answerer.model.save_pretrained(tmp_path)
    answerer.tokenizer.save_pretrained(tmp_path)
    again = qa.QuestionAnswerer.from_pretrained(str(tmp_path), device="cpu")
    assert again(QUESTION, SENTENCES[1]) == answerer(QUESTION, SENTENCES[1])


def test_an_unknown_folder_is_one_sentence(tmp_path):
    with pytest.raises(CourseError, match="Não consegui carregar") as raised:
        qa.QuestionAnswerer.from_pretrained(str(tmp_path / "nada"))
    assert "\n" not in str(raised.value)
