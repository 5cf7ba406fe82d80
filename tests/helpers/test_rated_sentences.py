"""The sentences that people rated: how they were chosen, the files and the card."""

import json
import re
from collections import Counter

import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard

from helpers.embedded import store
from helpers.embedded.catalog import catalog
from helpers.embedded.recipes import rated_sentences
from helpers.embedded.recipes.rated_sentences import LABELS, SPLITS
from training.frases_avaliadas import prepare
from training.sentimento_pt.vader import Rated, without_near_duplicates

REPO_ID = "curso/frases-avaliadas-pt"


@pytest.fixture(scope="module")
def rows():
    source = catalog().repository(REPO_ID).source
    return {split: list(rated_sentences.sentences(source, split)) for split in SPLITS}


def test_no_review_is_in_two_splits(rows):
    reviews = {split: {row["review"] for row in rows[split]} for split in SPLITS}
    assert not reviews["train"] & reviews["validation"]
    assert not (reviews["train"] | reviews["validation"]) & reviews["test"]


def test_nothing_held_out_repeats_another_split(rows):
    rated = [
        Rated(f"{split}-{place}", "amazon", 0.0, row["text"], split)
        for split in SPLITS
        for place, row in enumerate(rows[split])
    ]
    assert set(rated) == set(without_near_duplicates(rated))


def test_each_sentence_has_a_class_on_which_people_agree(rows):
    for split in SPLITS:
        counts = Counter(row["label"] for row in rows[split])
        assert set(counts) == {0, 1, 2} and min(counts.values()) >= 75
        assert all(0.6 <= row["agreement"] <= 1 for row in rows[split])
        assert all(row["text"].strip() == row["text"] != "" for row in rows[split])


def test_the_files_are_built_with_named_labels():
    folder = store.ensure(REPO_ID)
    for split in SPLITS:
        table = pq.read_table(folder / "data" / f"{split}-00000-of-00001.parquet")
        features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
        assert features["label"]["names"] == list(LABELS)
        assert table.column_names == ["text", "label", "review", "agreement"]


def test_the_card_states_the_counts_and_the_licence(rows):
    card = DatasetCard.load(catalog().repository(REPO_ID).card)
    assert card.data.license == "mit" and "Copyright (c) 2016 C.J. Hutto" in card.text
    stated = {split["name"]: split["num_examples"] for split in card.data.dataset_info["splits"]}
    assert stated == {split: len(rows[split]) for split in SPLITS}
    for split in SPLITS:
        counts = Counter(row["label"] for row in rows[split])
        reviews = len({row["review"] for row in rows[split]})
        figures = [reviews, *(counts[label] for label in range(3)), len(rows[split])]
        line = " | ".join(f"{figure:,}".replace(",", ".") for figure in figures)
        assert re.search(rf"\| `{split}` \| {re.escape(line)} \|", card.text)


def test_the_class_is_what_most_raters_say():
    assert prepare.vote([-4, -1, 0, 1]) == prepare.Vote("negativo", 0.5)
    assert prepare.vote([0, 0, 0, 3, 3]) == prepare.Vote("neutro", 0.6)
    assert prepare.vote([0.5, 2, -1]).label == "positivo"


def test_only_agreed_sentences_about_products_are_chosen():
    rated = [
        Rated("amazon-1_1", "amazon", 2, "i love the screen of this phone", "train"),
        Rated("amazon-1_2", "amazon", 0, "the battery lasts as long as you expect", "test"),
        Rated("filmes-3", "filmes", 2, "a lovely film", "train"),
        Rated("amazon-9_1", "amazon", 0, "nobody rated this one", "train"),
    ]
    votes = {
        "amazon-1_1": prepare.Vote("positivo", 0.9),
        "amazon-1_2": prepare.Vote("neutro", 0.5),
        "filmes-3": prepare.Vote("positivo", 1.0),
    }
    (chosen,) = prepare.choose(rated, votes)
    assert chosen.identifier == "amazon-1_1" and chosen.split == prepare.split_of(rated[1])


def test_what_is_written_keeps_reviews_in_order_and_drops_twins(tmp_path):
    words = {"amazon-2_10": "dez", "amazon-2_2": "dois", "amazon-11_1": "onze"}
    rated = [Rated(name, "amazon", 2, word, "train") for name, word in words.items()]
    rated.append(Rated("amazon-5_1", "amazon", 2, "ten", "test"))
    votes = {sentence.identifier: prepare.Vote("positivo", 0.9) for sentence in rated}
    twins = {"ten": "dez"}  # two sentences of the original, one of the translation
    prepare.write(rated, votes, tmp_path, lambda texts: [twins.get(t, t) for t in texts])
    lines = (tmp_path / "train.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["dois", "dez", "onze"]
    assert (tmp_path / "test.jsonl").read_text("utf-8") == ""
    assert json.loads(lines[0]) == {
        "text": "dois",
        "label": "positivo",
        "review": "amazon-2",
        "agreement": 0.9,
    }
