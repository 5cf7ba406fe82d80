"""Jobs that share a batch are answered as each would be alone, and fail alone."""

import pytest

from helpers.embedded import store
from helpers.embedded.catalog import catalog
from helpers.embedded.tasks import HANDLERS
from helpers.embedded.tasks.base import Call
from helpers.embedded.wire import WireError

CONTEXT = "Meu nome é Marcundes e moro em Recife. A aula começa às oito horas."
LONG = "A sala fica no fim do corredor, perto da escada. " * 20
SENTIMENT = "curso/sentimento-pt"

# task, model, calls that may share a batch, and one that is refused when it is looked at
BATCHES = {
    "question-answering": (
        "curso/qa-pt",
        [
            {"question": "Qual é o meu nome?", "context": CONTEXT},
            {"question": "Onde moro?", "context": LONG + CONTEXT},
            {"question": ["Quando começa a aula?", "Onde moro?"], "context": CONTEXT},
        ],
        {"question": "Onde?", "context": "1a " * 30_000},
    ),
    "feature-extraction": (
        "curso/e5-pt-en",
        ["O gato dorme.", [LONG, "Bom dia!"], ["Boa noite."]],
        ["palavra " * 600] * 30,
    ),
    "sentence-similarity": (
        "curso/e5-pt-en",
        [
            {"source_sentence": "O gato dorme.", "sentences": ["Um felino descansa.", LONG]},
            {"source_sentence": "Bom dia!", "sentences": ["Boa tarde!"]},
        ],
        {"source_sentence": "a", "sentences": ["palavra " * 600] * 30},
    ),
    "text-classification": (
        SENTIMENT,
        ["Adorei!", ["Péssimo.", LONG], ["Adorei!"], []],
        ["palavra " * 600] * 30,
    ),
    "translation": (
        "curso/traducao-pt-en",
        ["O gato dorme.", [CONTEXT, ""], ["O gato dorme.", "Bom dia!"]],
        "Oi. " * 101,
    ),
}
TASKS = [
    pytest.param(
        task,
        marks=pytest.mark.skipif(
            model not in catalog().repositories, reason="the model is not in the catalog yet"
        ),
    )
    for task, (model, _, _) in BATCHES.items()
]


@pytest.fixture(scope="module")
def models():
    loaded = {}

    def load(task):
        if task not in loaded:
            loaded[task] = HANDLERS[task].load(store.ensure(BATCHES[task][0]))
        return loaded[task]

    return load


def prepared(task, inputs, **parameters):
    return HANDLERS[task].prepare(Call(inputs, parameters, {}))


def close(one, other):
    """Compare answers, numbers to within what the order of additions changes."""
    if isinstance(one, float):
        return one == pytest.approx(other, abs=2e-4)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(close, one, other))
    return one == other


@pytest.mark.parametrize("task", TASKS)
def test_together_as_alone_and_errors_stay_with_their_job(models, task):
    handler, model = HANDLERS[task], models(task)
    jobs = [prepared(task, inputs) for inputs in BATCHES[task][1]]
    alone = [handler.answer(model, [job])[0] for job in jobs]
    together = handler.answer(model, jobs)
    assert all(map(close, together, alone)), (together, alone)

    refused = prepared(task, BATCHES[task][2])
    *good, bad = handler.answer(model, [*jobs, refused])
    assert isinstance(bad, WireError) and bad.status == 413
    assert all(map(close, good, alone))


@pytest.mark.parametrize("task", TASKS)
def test_only_short_jobs_share_a_batch(task):
    handler = HANDLERS[task]
    keys = {handler.batch_key(prepared(task, inputs)) for inputs in BATCHES[task][1]}
    assert len(keys) == 1 and None not in keys
    if task != "translation":  # what is refused there is short, but of many sentences
        assert handler.batch_key(prepared(task, BATCHES[task][2])) is None


def test_other_parameters_are_another_batch():
    key = HANDLERS["question-answering"].batch_key
    asked = {"question": "Onde moro?", "context": CONTEXT}
    one, other, flag = (prepared("question-answering", asked, top_k=k) for k in (1, 2, True))
    assert len({key(one), key(other), key(flag)}) == 3
    key = HANDLERS["translation"].batch_key
    short, long = (prepared("translation", "Oi.", max_new_tokens=n) for n in (3, 30))
    assert key(short) != key(long)
