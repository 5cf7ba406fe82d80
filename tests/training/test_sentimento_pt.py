"""The training program of curso/sentimento-pt, on a model small enough to train in a test."""

import json
import random
from pathlib import Path

import pytest

from training.sentimento_pt import metrics, prepare, sentences, vader

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from helpers.embedded.recipes import sentimento_pt as recipe  # noqa: E402
from training.qa_pt import lora  # noqa: E402
from training.sentimento_pt import baselines, evaluate, train  # noqa: E402

REVIEWS = Path(recipe.__file__).parent.parent / "datasets" / "avaliacoes-pt"
WORDS = ["bom", "ótimo", "adorei", "ruim", "péssimo", "odiei", "mesa", "rua", "hoje", "o", "a", "é"]
TINY_SETTINGS = train.Settings(
    epochs=1,
    seed=5,
    rank=4,
    alpha=8,
    learning_rate=2e-2,
    head_learning_rate=2e-2,
    warmup=0.1,
    tokens_per_batch=512,
    movie_share=0.5,
    english_share=0.5,
    written_repeats=1,
    smoothing=0.0,
    dropout=0.1,
    max_minutes=5.0,
)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A folder like that of curso/e5-pt-en, with two small layers and a vocabulary of words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=20,
        hidden_size=32,
        initializer_range=0.2,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=140,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=1,
    )
    transformers.BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
    vocabulary |= {word: number for number, word in enumerate(WORDS, start=4)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", model_max_length=128
    ).save_pretrained(folder)
    return folder


@pytest.fixture
def data(tmp_path):
    """Prepared data: a few plain sentences of each split."""
    texts = {"positivo": "adorei", "neutro": "mesa", "negativo": "odiei"}
    ratings = {"positivo": 2.5, "neutro": 0.0, "negativo": -2.5}
    rated = [
        vader.Rated(f"{source}-{split}-{n}", source, ratings[label], f"o {word} {n}", split)
        for split in ("train", "validation", "test")
        for source in vader.SOURCES
        for label, word in texts.items()
        for n in range(2)
    ]
    prepare.prepare(rated, tmp_path, lambda originals: [f"hoje {text}" for text in originals])
    return tmp_path


def test_ratings_become_classes_with_a_gap():
    ratings = [-4, -1, -0.99, -0.51, -0.5, 0, 0.5, 0.51, 0.99, 1, 4]
    labels = [vader.label(rating) for rating in ratings]
    assert labels == ["negativo"] * 2 + [None] * 2 + ["neutro"] * 3 + [None] * 2 + ["positivo"] * 2


def test_whole_texts_go_to_one_split_and_variants_are_only_trained_on():
    for source in vader.SOURCES:
        counts = {"train": 0, "validation": 0, "test": 0}
        for text in range(2000):
            first = vader.split_of(source, f"{text}_1")
            assert first == vader.split_of(source, f"{text}_27")
            counts[first] += 1
        assert 150 <= counts["test"] <= 250 and 60 <= counts["validation"] <= 140
    assert {vader.split_of("tweets", str(n)) for n in range(4001, 4201)} == {"train"}


def test_tweets_are_cleaned():
    raw = "RT @anonymous: I &lt;3 this  &amp; that http://url_removed"
    assert vader.clean(raw) == "I <3 this & that"


def test_near_duplicates_of_what_is_trained_on_are_not_held_out():
    texts = {
        "train": ["I love this player so much", "the book arrived on monday"],
        "validation": ["honestly I love this player so much", "nobody answers the phone there"],
        "test": ["I LOVE this player so much!", "nobody answers the phone", "a blue car"],
    }
    rated = [
        vader.Rated(f"{split}-{n}", "amazon", 0.0, text, split)
        for split, group in texts.items()
        for n, text in enumerate(group)
    ]
    kept = [sentence.identifier for sentence in vader.without_near_duplicates(rated)]
    assert kept == ["train-0", "train-1", "validation-1", "test-2"]


def test_another_archive_is_refused(tmp_path):
    path = tmp_path / "hutto_ICWSM_2014.tar.gz"
    path.write_bytes(b"not the archive")
    with pytest.raises(ValueError, match="hutto_ICWSM_2014"):
        vader.read(path)


def test_preparing_goes_on_after_an_interruption(data):
    path = data / sentences.PREPARED
    whole = path.read_bytes()
    assert len(sentences.prepared(data, "train")) == 24
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:10]) + lines[10][:20])
    rated = [
        vader.Rated(row["id"], row["source"], row["rating"], row["en"], row["split"])
        for row in map(json.loads, lines)
    ]
    translated = []
    prepare.prepare(
        rated, data, lambda texts: translated.append(texts) or [f"hoje {t}" for t in texts]
    )
    assert path.read_bytes() == whole
    assert sum(map(len, translated)) == len(lines) - 10


def test_a_weak_leaning_is_not_translated(tmp_path):
    rated = [vader.Rated("tweets-1", "tweets", 0.7, "well", "train")]
    prepare.prepare(rated, tmp_path, lambda texts: texts)
    (line,) = (tmp_path / sentences.PREPARED).read_text().splitlines()
    assert json.loads(line)["pt"] is None and sentences.prepared(tmp_path, "train") == []


def test_sentences_that_ran_together_are_set_apart():
    assert (
        prepare.spaced("Tem coração.No fim, cansa!É pena.") == "Tem coração. No fim, cansa! É pena."
    )
    kept = "O DVD custa R$ 3.50 no site amazon.com..."
    assert prepare.spaced(kept) == kept


def test_written_sentences_are_many_distinct_and_labelled():
    splits = {split: sentences.written(split) for split in ("train", "validation", "test")}
    everything = [sentence for group in splits.values() for sentence in group]
    assert len(everything) >= 650
    assert len({sentence.text for sentence in everything}) == len(everything)
    for group in splits.values():
        for label in recipe.LABELS:
            assert sum(sentence.label == label for sentence in group) >= len(group) / 5
    assert {sentence.kind for sentence in splits["test"]} == {
        "direta",
        "negação",
        "contraste",
        "ironia",
        "coloquial",
        "pergunta",
    }
    families = json.loads(sentences.WRITTEN.read_text(encoding="utf-8"))["families"]
    names = [(family["domain"], family["family"]) for family in families]
    assert len(set(names)) == len(names)


def test_what_judges_the_model_was_not_trained_on():
    """No sentence of the tests is nearly one that the course wrote for training."""
    judges = [*sentences.teacher(), *sentences.written("test")]
    for path in sorted(REVIEWS.glob("*.jsonl")):
        judges += evaluate.read_reviews(path)
    groups = {"train": sentences.written("train"), "test": judges}
    rated = [
        vader.Rated(f"{split}-{n}", "frases", 0.0, sentence.text, split)
        for split, group in groups.items()
        for n, sentence in enumerate(group)
    ]
    gone = set(rated) - set(vader.without_near_duplicates(rated))
    assert sorted(sentence.text for sentence in gone) == []


def test_metrics_against_figures_worked_out_by_hand():
    expected = ["positivo", "positivo", "neutro", "negativo", "negativo", "negativo"]
    guesses = ["positivo", "neutro", "neutro", "negativo", "negativo", "positivo"]
    matrix = metrics.confusion(expected, guesses)
    assert matrix == [[2, 0, 1], [0, 1, 0], [0, 1, 1]]
    assert metrics.f1_by_class(matrix) == pytest.approx([4 / 5, 2 / 3, 1 / 2])
    assert metrics.macro_f1(matrix) == pytest.approx((4 / 5 + 2 / 3 + 1 / 2) / 3)
    assert metrics.accuracy(matrix) == pytest.approx(4 / 6)
    with pytest.raises(ValueError):
        metrics.confusion(["positivo"], ["POSITIVE"])


def test_bootstrap_narrows_with_more_sentences():
    rng = random.Random(0)
    expected = [rng.choice(recipe.LABELS) for _ in range(400)]
    guesses = [label if rng.random() < 0.8 else "neutro" for label in expected]
    widths = []
    for size in (40, 400):
        low, high = metrics.bootstrap(expected[:size], guesses[:size], samples=300)
        assert low < metrics.macro_f1(metrics.confusion(expected[:size], guesses[:size])) < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_hurried_typing_only_loses_accents_capitals_and_the_stop():
    rng = random.Random(1)
    seen = {train.hurried("Não gostei, é caro.", rng) for _ in range(300)}
    assert "Não gostei, é caro." in seen and "nao gostei, e caro" in seen
    assert len(seen) == 8
    assert train.hurried("Sei lá...", random.Random(2)).endswith("...")


def test_batches_hold_every_sentence_within_the_limit():
    rng = random.Random(0)
    lengths = [rng.randint(3, 60) for _ in range(200)]
    groups = train.batches(lengths, 256, rng)
    assert sorted(index for group in groups for index in group) == list(range(200))
    assert all(len(group) * max(lengths[i] for i in group) <= 256 for group in groups)


def test_an_epoch_takes_the_shares_it_was_told(data):
    corpus = train.read_corpus(data)
    pairs = train.epoch_sentences(corpus, TINY_SETTINGS, random.Random(3))
    films = sum(sentence.kind == "filmes" for sentence in corpus.portuguese)
    expected = len(corpus.portuguese) - films // 2 + len(corpus.english) // 2 + len(corpus.own)
    assert len(pairs) == expected
    weights = train.class_weights(corpus)
    assert weights.mean() == pytest.approx(1) and (weights > 0).all()


def test_training_learns_and_the_recipe_reads_the_result(encoder, tmp_path):
    tokenizer = transformers.AutoTokenizer.from_pretrained(encoder)
    texts = ["adorei", "ótimo", "bom", "mesa", "rua", "hoje", "odiei", "péssimo", "ruim"]
    labels = ["positivo"] * 3 + ["neutro"] * 3 + ["negativo"] * 3
    torch.manual_seed(0)
    model = recipe.base(encoder)
    lora.add_lora(model, 4, 8, lora.CLASSIFICATION)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    target = torch.tensor([recipe.LABELS.index(label) for label in labels])
    for _ in range(80):
        loss = torch.nn.functional.cross_entropy(model(**batch).logits.float(), target)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    lora.save_adapter(model, tmp_path, 4, 8, lora.CLASSIFICATION)
    merged = recipe.merge(encoder, tmp_path)
    assert train.predict(model, tokenizer, texts) == labels
    assert train.predict(merged, tokenizer, texts) == labels
    with torch.inference_mode():
        assert torch.allclose(model(**batch).logits, merged(**batch).logits, atol=0.2)


def test_the_same_command_gives_the_same_adapter(encoder, data, tmp_path):
    torch.set_num_threads(1)
    weights = []
    for name in ("first", "second"):
        train.train(data, encoder, tmp_path / name, TINY_SETTINGS)
        weights.append((tmp_path / name / lora.WEIGHTS).read_bytes())
    assert weights[0] == weights[1]
    merged = recipe.merge(encoder, tmp_path / "first")
    tokenizer = transformers.AutoTokenizer.from_pretrained(encoder)
    figures = evaluate.evaluate(merged, tokenizer, evaluate.test_sets(data), show_errors=False)
    assert figures["results"]["translated"]["sentences"] == 24
    assert figures["results"]["teacher"]["sentences"] == 24
    assert "| written |" in evaluate.markdown(figures)


def test_baselines_on_the_same_sentences(encoder, data):
    held_out = sentences.prepared(data, "test")
    assert len(set(baselines.majority(held_out))) == 1
    guesses = baselines.frozen(encoder, data, {"translated": held_out}, count=100)["translated"]
    assert set(guesses) <= set(recipe.LABELS) and len(guesses) == len(held_out)
