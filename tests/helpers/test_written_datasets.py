"""The questions and the reviews that the course wrote: the data, the files and the cards."""

import itertools
import json
import re
import unicodedata
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard

from helpers.embedded import store, tables
from helpers.embedded.catalog import catalog
from helpers.embedded.recipes import written_dataset
from helpers.embedded.recipes.written_dataset import LABELS, READERS, SPLITS

IDS = ("curso/perguntas-pt", "curso/avaliacoes-pt")
CATEGORIES = {"restaurante", "hotel", "aplicativo", "livro", "curso", "loja", "filme", "serviço"}
PHENOMENA = {"nenhum", "negação", "contraste", "ironia"}
TOPICS = {
    *("geografia", "ciência", "culinária", "tecnologia", "cultura"),
    *("história", "esporte", "escola", "loja", "cotidiano"),
}


def rows(name):
    source = catalog().repository(f"curso/{name}").source
    return {split: list(READERS[name][0](source, split)) for split in SPLITS}


@pytest.fixture(scope="module")
def questions():
    return rows("perguntas-pt")


@pytest.fixture(scope="module")
def reviews():
    return rows("avaliacoes-pt")


def normalised(text):
    """Lower case, without accents or punctuation, with single spaces."""
    bare = unicodedata.normalize("NFD", text.lower())
    return " ".join(re.findall(r"[a-z0-9]+", "".join(c for c in bare if c.isascii())))


def everything(data):
    return [row for split in SPLITS for row in data[split]]


def well_written(text):
    """Say what is typographically wrong with a text, if anything."""
    if text != text.strip() or re.search(r"\s{2}|\n", text):
        return "spaces"
    if unicodedata.normalize("NFC", text) != text:
        return "accents in two characters"
    if re.search(r'["\']', text.replace("d'", "")):
        return "straight quotes"
    if re.search(r" [,.;:!?]|[,;](?! )(?!\d)", text):
        return "punctuation"
    return None if text.count("“") == text.count("”") else "quotes that do not close"


# --- questions


def test_there_are_enough_questions(questions):
    assert len(everything(questions)) >= 300
    assert len({row["context"] for row in everything(questions)}) >= 60
    impossible = sum(row["is_impossible"] for row in everything(questions))
    assert 0.08 < impossible / len(everything(questions)) < 0.12


def test_answers_are_where_they_are_said_to_be(questions):
    for row in everything(questions):
        answers = row["answers"]
        assert row["is_impossible"] == (answers["text"] == [])
        for text, start in zip(answers["text"], answers["answer_start"], strict=True):
            assert row["context"][start : start + len(text)] == text
            assert row["context"].count(text) >= 1 and text == text.strip(" ,.;:")


def test_answers_are_short_and_overlap(questions):
    for row in everything(questions):
        texts, starts = row["answers"]["text"], row["answers"]["answer_start"]
        assert len(texts) == len(set(texts))
        assert all(len(text.split()) <= 14 for text in texts), row["question"]
        spans = [(start, start + len(text)) for text, start in zip(texts, starts, strict=True)]
        assert all(a[0] < b[1] and b[0] < a[1] for a, b in itertools.combinations(spans, 2)), texts


def test_an_answer_must_be_in_the_context_once():
    context = "O sol se põe no mar. O sol nasce no solo."
    assert written_dataset.answer_start("mar", context) == 16
    for answer in ("sol", "lua", "sol se põe no m"):
        with pytest.raises(ValueError, match="times, not once"):
            written_dataset.answer_start(answer, context)


def test_questions_are_written_as_questions(questions):
    for row in everything(questions):
        question = row["question"]
        assert question[0].isupper() and question.endswith("?"), question
        assert 15 <= len(question) <= 90, question
        assert well_written(question) is None, question
        assert well_written(row["context"]) is None, row["title"]
        assert 300 <= len(row["context"]) <= 600, row["title"]
        assert row["topic"] in TOPICS


def test_no_question_or_identifier_is_repeated(questions):
    every = everything(questions)
    assert len({row["id"] for row in every}) == len(every)
    seen = Counter(normalised(row["question"]) for row in every)
    assert [question for question, times in seen.items() if times > 1] == []


def test_a_context_has_one_title_and_is_in_one_split(questions):
    contexts = {split: {row["context"] for row in questions[split]} for split in SPLITS}
    titles = {split: {row["title"] for row in questions[split]} for split in SPLITS}
    assert not contexts["train"] & contexts["test"] and not titles["train"] & titles["test"]
    for split in SPLITS:
        assert len(contexts[split]) == len(titles[split])


def test_questions_vary(questions):
    starts = Counter(row["question"].split()[0] for row in everything(questions))
    assert {"Quem", "Onde", "Quando", "Quanto", "Quantos", "Por", "Qual", "Como"} <= starts.keys()
    assert starts.most_common(1)[0][1] < 0.2 * len(everything(questions))


def test_no_question_is_one_that_judged_the_model(questions):
    from training.qa_pt import plain as package  # the model's own questions are beside it

    file = Path(package.__file__).parent / "plain_questions.json"
    plain = json.loads(file.read_text(encoding="utf-8"))
    known = {item["context"] for key in ("answerable", "unanswerable") for item in plain[key]}
    assert not known & {row["context"] for row in everything(questions)}


# --- reviews


def test_there_are_enough_reviews_and_they_are_balanced(reviews):
    assert len(everything(reviews)) >= 420
    for split in SPLITS:
        times = Counter(row["label"] for row in reviews[split])
        assert set(times) == {0, 1, 2}
        assert max(times.values()) <= 1.1 * min(times.values())
        by_category = Counter(row["category"] for row in reviews[split])
        assert set(by_category) == CATEGORIES
        assert max(by_category.values()) <= 1.2 * min(by_category.values())


def test_hard_reviews_are_marked(reviews):
    for split in SPLITS:
        marked = Counter(row["phenomenon"] for row in reviews[split])
        assert set(marked) == PHENOMENA
    ironic = [row for row in everything(reviews) if row["phenomenon"] == "ironia"]
    assert {LABELS[row["label"]] for row in ironic} == {"negativo"}
    negated = [row for row in everything(reviews) if row["phenomenon"] == "negação"]
    assert all(re.search(r"\b(não|nunca|nem|nenhum\w*|ninguém|impossível)\b", row["text"].lower())
               for row in negated)  # fmt: skip


def test_reviews_are_written_in_many_lengths(reviews):
    for row in everything(reviews):
        assert well_written(row["text"]) is None, row["text"]
        assert row["text"][0].isupper() and row["text"][-1] in ".!?”", row["text"]
    lengths = sorted(len(row["text"]) for row in everything(reviews))
    assert lengths[0] < 15 and lengths[-1] > 300 and lengths[len(lengths) // 2] > 60


def test_no_review_nearly_repeats_another(reviews):
    words = [set(normalised(row["text"]).split()) for row in everything(reviews)]
    texts = [normalised(row["text"]) for row in everything(reviews)]
    assert len(texts) == len(set(texts))
    close = [
        (texts[i], texts[j])
        for i, j in itertools.combinations(range(len(texts)), 2)
        if len(words[i] & words[j]) > 0.5 * len(words[i] | words[j])
    ]
    assert close == []


def test_reviews_do_not_begin_alike(reviews):
    begins = Counter(tuple(row["text"].lower().split()[:3]) for row in everything(reviews))
    assert begins.most_common(1)[0][1] <= 3


def test_the_first_reviews_show_every_label_and_most_categories(reviews):
    for split in SPLITS:
        first = reviews[split][:20]
        assert {row["label"] for row in first} == {0, 1, 2}
        assert len({row["category"] for row in first}) >= 6


def test_an_unknown_label_is_refused(tmp_path):
    line = json.dumps({"text": "Ok.", "label": "ótimo", "category": "hotel", "phenomenon": "-"})
    (tmp_path / "train.jsonl").write_text(line, encoding="utf-8")
    with pytest.raises(ValueError, match="ótimo"):
        list(written_dataset.reviews(tmp_path, "train"))


# --- files and cards


@pytest.mark.parametrize("repo_id", IDS)
def test_built_files_hold_the_rows(repo_id, tmp_path):
    source = catalog().repository(repo_id).source
    read, features = READERS[source.name]
    written_dataset.build(source, tmp_path)
    for split in SPLITS:
        path = tmp_path / "data" / f"{split}-00000-of-00001.parquet"
        table = pq.read_table(path)
        assert table.to_pylist() == list(read(source, split))
        metadata = json.loads(table.schema.metadata[b"huggingface"])
        assert metadata["info"]["features"] == features


def test_the_same_source_gives_the_same_bytes(tmp_path):
    source = catalog().repository("curso/perguntas-pt").source
    built = []
    for name in "ab":
        written_dataset.build(source, tmp_path / name)
        files = sorted((tmp_path / name).rglob("*.parquet"))
        built.append([path.read_bytes() for path in files])
    assert len(built[0]) == 2 and built[0] == built[1]


def test_a_row_with_other_columns_is_refused(tmp_path):
    with pytest.raises(ValueError, match="row 1 has the columns"):
        tables.write([{"a": "x"}, {"b": "y"}], {"a": tables.TEXT}, tmp_path / "x.parquet")


@pytest.mark.parametrize("repo_id", IDS)
def test_load_dataset_reads_the_repository(repo_id, tmp_path):
    from datasets import load_dataset

    folder = store.ensure(repo_id)
    read, _ = READERS[repo_id.split("/")[1]]
    source = catalog().repository(repo_id).source
    data = load_dataset(str(folder), cache_dir=str(tmp_path))
    streamed = load_dataset(str(folder), cache_dir=str(tmp_path), streaming=True)
    for split in SPLITS:
        expected = list(read(source, split))
        assert data[split].to_list() == expected
        assert next(iter(streamed[split])) == expected[0]
        assert data[split].features == streamed[split].features
    if "label" in data["train"].features:
        assert data["train"].features["label"].names == list(LABELS)


@pytest.mark.parametrize("repo_id", IDS)
def test_card_describes_the_columns_and_counts(repo_id):
    repository = catalog().repository(repo_id)
    card = DatasetCard.load(repository.card)
    read, features = READERS[repository.source.name]
    info = card.data.dataset_info
    assert [feature["name"] for feature in info["features"]] == list(features)
    counts = {split["name"]: split["num_examples"] for split in info["splits"]}
    assert counts == {split: len(list(read(repository.source, split))) for split in SPLITS}
    assert card.data.task_categories == [repository.task]
    assert card.data.language == ["pt"] and card.data.pretty_name


def test_card_states_the_counts_of_questions(questions):
    text = catalog().repository("curso/perguntas-pt").card.read_text(encoding="utf-8")
    for split in SPLITS:
        part = questions[split]
        contexts = len({row["context"] for row in part})
        impossible = sum(row["is_impossible"] for row in part)
        assert f"| `{split}` | {contexts} | {len(part)} | {impossible} |" in text
        assert f"| {len(part) - impossible} | " in text
    contexts = {row["context"] for row in everything(questions)}
    assert f"São {len(everything(questions))}\nperguntas sobre {len(contexts)} textos" in text
    lengths = [len(context) for context in contexts]
    assert f"de {min(lengths)} a {max(lengths)} caracteres" in text


def test_card_states_the_counts_of_reviews(reviews):
    text = catalog().repository("curso/avaliacoes-pt").card.read_text(encoding="utf-8")
    for split in SPLITS:
        labels = Counter(row["label"] for row in reviews[split])
        marked = Counter(row["phenomenon"] for row in reviews[split])
        cells = [labels[0], labels[1], labels[2], len(reviews[split])]
        assert f"| `{split}` | {' | '.join(map(str, cells))} |" in text
        cells = [marked["negação"], marked["contraste"], marked["ironia"]]
        assert f"| `{split}` | {' | '.join(map(str, cells))} |" in text
    assert f"São {len(everything(reviews))} avaliações" in text
    times = set(Counter(row["category"] for row in everything(reviews)).values())
    assert times == {58} and "Cada categoria tem 58 avaliações" in text


@pytest.mark.slow  # half a minute on two cores
@pytest.mark.parametrize("limit", [15, 30])
def test_card_states_what_the_model_answers(questions, limit):
    from helpers import QuestionAnswerer
    from training.qa_pt.metrics import exact_match, f1

    rows = [row for row in questions["test"] if not row["is_impossible"]]
    answerer = QuestionAnswerer.from_pretrained(str(store.ensure("curso/qa-pt")), device="cpu")
    answers = answerer.many(
        [row["question"] for row in rows], [row["context"] for row in rows], max_answer_len=limit
    )
    pairs = [(a["answer"], row["answers"]["text"]) for a, row in zip(answers, rows, strict=True)]
    figures = [
        100 * sum(score(*pair) for pair in pairs) / len(pairs) for score in (exact_match, f1)
    ]
    stated = " | ".join(f"{figure:.1f}".replace(".", ",") for figure in figures)
    card = catalog().repository("curso/perguntas-pt").card.read_text(encoding="utf-8")
    assert re.search(
        rf"respostas de até {limit} tokens.* \| {len(rows)} \| {re.escape(stated)} \|", card
    )
