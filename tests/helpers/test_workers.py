"""The queue before a model: batches, turns, what is refused and what nobody waits for."""

import threading
from concurrent.futures import CancelledError

import pytest

from helpers.embedded import workers
from helpers.embedded.workers import BATCH_LIMIT, ModelWorker, OverloadedError, Ticket

SECONDS = 20


class Recorder:
    """A model that writes down the batches it is given, and can be made to wait."""

    def __init__(self):
        self.batches = []
        self.free = threading.Event()
        self.free.set()
        self.busy = threading.Event()

    def answer(self, model, jobs):
        assert model is self
        self.batches.append(list(jobs))
        self.busy.set()
        assert self.free.wait(SECONDS)
        return [ValueError(job) if job == "bad" else f"{job}!" for job in jobs]


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def worker(recorder):
    made = ModelWorker("test", lambda: recorder)
    yield made
    recorder.free.set()
    made.close()


def hold(worker, recorder, job="first"):
    """Keep the model busy, so that what comes next waits."""
    recorder.free.clear()
    recorder.busy.clear()
    future = worker.add(Ticket(recorder.answer, job, "k"))
    assert recorder.busy.wait(SECONDS)
    return future


def results(futures):
    return [future.result(SECONDS) for future in futures]


def add(worker, recorder, jobs, key="k", **options):
    return [worker.add(Ticket(recorder.answer, job, key, **options)) for job in jobs]


def test_a_call_alone_starts_at_once(worker, recorder):
    assert results(add(worker, recorder, ["a"])) == ["a!"]
    assert recorder.batches == [["a"]]


def test_what_waits_is_answered_together_and_in_order(worker, recorder):
    hold(worker, recorder)
    futures = add(worker, recorder, "abc")
    recorder.free.set()
    assert results(futures) == ["a!", "b!", "c!"]
    assert recorder.batches == [["first"], ["a", "b", "c"]]


def test_only_jobs_of_the_same_key_share_a_batch(worker, recorder):
    hold(worker, recorder)
    futures = [
        *add(worker, recorder, "a", key=1),
        *add(worker, recorder, "b", key=2),
        *add(worker, recorder, "c", key=1),
        *add(worker, recorder, "de", key=None),
    ]
    recorder.free.set()
    assert results(futures) == ["a!", "b!", "c!", "d!", "e!"]
    assert recorder.batches[1:] == [["a", "c"], ["b"], ["d"], ["e"]]


def test_a_batch_is_bounded(worker, recorder):
    hold(worker, recorder)
    jobs = [str(number) for number in range(BATCH_LIMIT + 2)]
    futures = add(worker, recorder, jobs)
    recorder.free.set()
    assert results(futures) == [f"{job}!" for job in jobs]
    assert [len(batch) for batch in recorder.batches] == [1, BATCH_LIMIT, 2]


def test_the_same_call_of_forty_is_answered_once(worker, recorder):
    hold(worker, recorder)
    futures = add(worker, recorder, ["same"] * 40, same="digest")
    recorder.free.set()
    assert results(futures) == ["same!"] * 40
    assert recorder.batches == [["first"], ["same"]]


def test_clients_take_turns(worker, recorder):
    hold(worker, recorder)
    greedy = [f"g{number}" for number in range(BATCH_LIMIT + 4)]
    futures = add(worker, recorder, greedy, client="greedy")
    futures += add(worker, recorder, ["m"], client="modest")
    recorder.free.set()
    results(futures)
    assert recorder.batches[1][:3] == ["g0", "m", "g1"]


def test_an_error_is_its_jobs_alone(worker, recorder):
    hold(worker, recorder)
    good, bad, other = add(worker, recorder, ["a", "bad", "b"])
    recorder.free.set()
    assert results([good, other]) == ["a!", "b!"]
    with pytest.raises(ValueError, match="bad"):
        bad.result(SECONDS)


@pytest.mark.parametrize("failure", [RuntimeError("memory"), KeyboardInterrupt("panic")])
def test_a_batch_that_fails_whole_is_tried_one_by_one(worker, recorder, failure):
    def answer(model, jobs):
        if "guilty" in jobs:
            raise failure
        return model.answer(model, jobs)

    hold(worker, recorder)
    futures = [worker.add(Ticket(answer, job, "k")) for job in ("a", "guilty", "b")]
    recorder.free.set()
    assert results([futures[0], futures[2]]) == ["a!", "b!"]
    with pytest.raises(RuntimeError, match=str(failure)):
        futures[1].result(SECONDS)


def test_too_few_answers_are_an_error_and_no_hang(worker, recorder):
    future = worker.add(Ticket(lambda model, jobs: [], "a", "k"))
    with pytest.raises(RuntimeError, match="0 answers to 1 jobs"):
        future.result(SECONDS)


def test_who_left_costs_nothing(worker, recorder):
    hold(worker, recorder)
    gone, here = add(worker, recorder, ["gone", "here"])
    assert gone.cancel()
    recorder.free.set()
    assert here.result(SECONDS) == "here!"
    assert recorder.batches == [["first"], ["here"]]
    with pytest.raises(CancelledError):
        gone.result(SECONDS)


def test_a_full_queue_refuses_and_then_takes_again(recorder):
    worker = ModelWorker("small", lambda: recorder, limit=3)
    first = hold(worker, recorder)
    waiting = add(worker, recorder, "ab")
    with pytest.raises(OverloadedError):
        add(worker, recorder, "c")
    waiting[0].cancel()
    waiting += add(worker, recorder, "d")
    recorder.free.set()
    assert results([first, *waiting[1:]]) == ["first!", "b!", "d!"]
    worker.close()


def test_a_queue_that_would_take_too_long_refuses_new_work_but_not_what_waits_anyway(
    worker, recorder, monkeypatch
):
    monkeypatch.setattr(workers, "QUEUE_SECONDS", 0.0)
    results(add(worker, recorder, ["slow"], same="slow"))
    hold(worker, recorder)
    waiting = add(worker, recorder, ["a"], same="a")
    with pytest.raises(OverloadedError):
        add(worker, recorder, ["b"], same="b")
    waiting += add(worker, recorder, ["a"], same="a")
    recorder.free.set()
    assert results(waiting) == ["a!", "a!"]


def test_a_load_that_fails_fails_its_calls_and_the_next_one_tries_again(recorder):
    attempts = iter([OSError("disk"), recorder])

    def load():
        outcome = next(attempts)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    worker = ModelWorker("reload", load)
    with pytest.raises(OSError, match="disk"):
        results(add(worker, recorder, "a"))
    assert not worker.loaded
    assert results(add(worker, recorder, "b")) == ["b!"]
    worker.close()


def test_closing_drops_what_waits(worker, recorder):
    hold(worker, recorder)
    (waiting,) = add(worker, recorder, "a")
    worker.close()
    with pytest.raises(CancelledError):
        waiting.result(SECONDS)


def test_a_function_of_the_model_shares_no_batch(worker, recorder):
    hold(worker, recorder)
    futures = [worker.submit(lambda model, n=n: (model, n)) for n in range(3)]
    recorder.free.set()
    assert results(futures) == [(recorder, 0), (recorder, 1), (recorder, 2)]
