"""Resident models, each with one thread and a bounded queue before it.

What waits in a queue while the model works is answered together, as far as its task allows: forty
questions that arrive at once take less than half the time of forty questions in a row. Nothing
waits for company: a call that finds the model free starts at once.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

T = TypeVar("T")

TORCH_THREADS = 2
QUEUE_LIMIT = 128
"""Calls of one model, running and waiting: three for each of forty learners."""
QUEUE_SECONDS = 20.0
"""Nobody is let into a queue that would take longer than this, as far as one can tell."""
BATCH_LIMIT = 24
"""Different jobs answered together; larger batches were no faster, and keep the first waiting."""

_RECENT = 0.3
"""Weight of the last batch in the mean time of a job."""

ONE_AT_A_TIME = Lock()
"""Held by whoever imports transformers, loads a model or builds one: the library's lazy modules
fail with an ImportError when two threads meet in them."""


class OverloadedError(Exception):
    """A model's queue is full."""


@dataclass(frozen=True, eq=False)
class Ticket:
    """A job on its way through a worker.

    Attributes:
        answer: Given the model and a batch of jobs, returns their answers in order; an exception
            in the place of an answer is that job's alone.
        job: What it answers.
        key: Jobs with the same ``answer`` and key may share a batch; ``None`` for one of its own.
        same: Jobs with the same value are the same call: one is answered for all. ``None`` for a
            job like no other.
        client: Whose it is; clients take turns.
    """

    answer: Callable[[Any, list[Any]], list[Any]]
    job: Any
    key: Hashable | None = None
    same: Hashable | None = None
    client: str = ""
    future: Future[Any] = field(default_factory=Future)

    @property
    def identity(self) -> Hashable:
        """Equal for tickets that one answer serves."""
        return id(self) if self.same is None else (self.answer, self.same)

    def fits(self, other: Ticket) -> bool:
        """Whether the two may share a batch."""
        alike = self.answer == other.answer and self.key == other.key
        return self.identity == other.identity or (alike and self.key is not None)


class ModelWorker:
    """One resident model: loaded on first use, worked by one thread.

    A second call on the same model would only take the processor from the first, and torch's
    random state is global; so calls wait in a queue, and the queue is bounded.
    """

    def __init__(self, name: str, load: Callable[[], Any], limit: int = QUEUE_LIMIT) -> None:
        """Prepare a worker; nothing is loaded yet.

        Args:
            name: For the thread's name.
            load: Makes the model; runs in the worker's thread. If it fails, the next call retries.
            limit: Calls, running and waiting, beyond which :class:`OverloadedError` is raised.
        """
        self._load = load
        self._limit = limit
        self._model: Any = None
        self._lock = Lock()
        self._pending = 0
        self._waiting: list[Ticket] = []
        self._job_seconds = 0.0
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"model-{name}")

    @property
    def loaded(self) -> bool:
        """Whether the model is in memory."""
        return self._model is not None

    async def run(self, function: Callable[[Any], T]) -> T:
        """Call ``function(model)`` in the worker's thread.

        Raises:
            OverloadedError: The queue is full.
        """
        return await asyncio.wrap_future(self.submit(function))

    def submit(self, function: Callable[[Any], T]) -> Future[T]:
        """Queue ``function(model)``, which shares no batch; the future says how it went.

        Raises:
            OverloadedError: The queue is full.
        """
        return self.add(Ticket(lambda model, _: [function(model)], None))

    def add(self, ticket: Ticket) -> Future[Any]:
        """Queue a job, to be answered with others that wait when its turn comes.

        Returns:
            The job's answer to come. To cancel it while it waits costs the model nothing.

        Raises:
            OverloadedError: The queue is full, or too long to be worth the wait.
        """
        with self._lock:
            if self._pending >= self._limit or self._is_too_long(ticket):
                raise OverloadedError
            self._pending += 1
            self._waiting.append(ticket)
        ticket.future.add_done_callback(self._done)
        self._executor.submit(self._work)
        return ticket.future

    def retire(self) -> None:
        """Answer what waits and take no more; the model's memory is free after that."""
        self._executor.shutdown(wait=False)

    def close(self) -> None:
        """Drop what waits; what runs is not interrupted."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            dropped, self._waiting = self._waiting, []
        for ticket in dropped:
            ticket.future.cancel()

    def _is_too_long(self, ticket: Ticket) -> bool:
        """Whether the jobs before a new one will take too long; what waits anyway is no burden."""
        before = {waiting.identity for waiting in self._waiting}
        is_new = ticket.same is not None and ticket.identity not in before
        return is_new and len(before) * self._job_seconds > QUEUE_SECONDS

    def _done(self, _future: Future[Any]) -> None:
        with self._lock:
            self._pending -= 1

    # --- in the worker's thread ---------------------------------------------------------------

    def _work(self) -> None:
        """Answer the next batch; called once for each ticket, often to find nothing left."""
        batch = self._next_batch()
        if not batch:
            return
        try:
            answers = self._answers(batch)
        except BaseException as error:
            for ticket in batch:
                ticket.future.set_exception(_ordinary(error))
            return
        for ticket in batch:
            _settle(ticket.future, answers[ticket.identity])

    def _next_batch(self) -> list[Ticket]:
        """Take the ticket whose turn it is, and those that fit its batch."""
        with self._lock:
            self._waiting = [one for one in self._waiting if not one.future.cancelled()]
            batch: list[Ticket] = []
            taken: set[Hashable] = set()
            for ticket in _in_turn(self._waiting):
                if batch and not ticket.fits(batch[0]):
                    continue
                if ticket.identity in taken or len(taken) < BATCH_LIMIT:
                    batch.append(ticket)
                    taken.add(ticket.identity)
            chosen = set(map(id, batch))
            self._waiting = [one for one in self._waiting if id(one) not in chosen]
        return [ticket for ticket in batch if ticket.future.set_running_or_notify_cancel()]

    def _answers(self, batch: list[Ticket]) -> dict[Hashable, Any]:
        """Return the answer, or the exception, of each different job of a batch."""
        if self._model is None:
            self._model = self._load()
        different = {ticket.identity: ticket for ticket in batch}
        start = time.monotonic()
        answers = self._answer_together(list(different.values()))
        seconds = (time.monotonic() - start) / len(different)
        self._job_seconds += _RECENT * (seconds - self._job_seconds)
        return dict(zip(different, answers, strict=True))

    def _answer_together(self, tickets: list[Ticket]) -> list[Any]:
        """Answer a batch; if it fails as a whole, answer each alone, to fail only the guilty."""
        try:
            jobs = [ticket.job for ticket in tickets]
            answers = tickets[0].answer(self._model, jobs)
            if len(answers) != len(jobs):
                raise RuntimeError(f"{len(answers)} answers to {len(jobs)} jobs")
            return answers
        except BaseException as error:
            if len(tickets) == 1:
                return [_ordinary(error)]
            return [self._answer_together([ticket])[0] for ticket in tickets]


def _in_turn(tickets: list[Ticket]) -> list[Ticket]:
    """Order tickets so that every client's first comes before anybody's second."""
    seen: Counter[str] = Counter()
    turns = []
    for ticket in tickets:
        turns.append(seen[ticket.client])
        seen[ticket.client] += 1
    order = sorted(range(len(tickets)), key=lambda index: turns[index])
    return [tickets[index] for index in order]


def _ordinary(error: BaseException) -> Exception:
    """Return an exception that may cross threads: a panic in the tokenizers' Rust code is none."""
    if isinstance(error, Exception):
        return error
    wrapped = RuntimeError(f"{type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped


def _settle(future: Future[Any], answer: Any) -> None:
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)


class Builder:
    """Builds repositories on first request, one at a time, away from the event loop.

    Requests for the same repository share one build, so that they cannot fill the thread pool,
    and those for a repository that is ready never wait behind a build.
    """

    def __init__(self, is_built: Callable[[str], bool], ensure: Callable[[str], Path]) -> None:
        """Keep what tells whether a repository is built, and what builds it."""
        self._is_built = is_built
        self._ensure = ensure
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="build")
        self._builds: dict[str, asyncio.Future[Path]] = {}

    async def folder(self, repo_id: str) -> Path:
        """Return the built folder of a repository.

        Raises:
            CourseError: It could not be fetched or built.
        """
        if repo_id not in self._builds and await asyncio.to_thread(self._is_built, repo_id):
            return await asyncio.to_thread(self._ensure, repo_id)
        if repo_id not in self._builds:
            loop = asyncio.get_running_loop()
            build = loop.run_in_executor(self._executor, self._build, repo_id)
            build.add_done_callback(lambda done: self._forget(repo_id, done))
            self._builds[repo_id] = build
        return await asyncio.shield(self._builds[repo_id])

    def close(self) -> None:
        """Start no more builds."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _build(self, repo_id: str) -> Path:
        with ONE_AT_A_TIME:
            return self._ensure(repo_id)

    def _forget(self, repo_id: str, build: asyncio.Future[Path]) -> None:
        self._builds.pop(repo_id, None)
        if not build.cancelled():
            build.exception()  # whoever waited was told; asyncio need not complain if all left


def warm_imports() -> None:
    """Import what the models need, and hold torch to the threads that one may use."""
    with ONE_AT_A_TIME:
        import torch
        from transformers import AutoModelForQuestionAnswering, AutoTokenizer  # noqa: F401

        torch.set_num_threads(min(TORCH_THREADS, os.cpu_count() or 1))
