"""Resident models, each with one thread and a bounded queue before it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

T = TypeVar("T")

TORCH_THREADS = 2
QUEUE_LIMIT = 32

ONE_AT_A_TIME = Lock()
"""Held by whoever imports transformers, loads a model or builds one: the library's lazy modules
fail with an ImportError when two threads meet in them."""


class OverloadedError(Exception):
    """A model's queue is full."""


class ModelWorker:
    """One resident model: loaded on first use, its calls run one at a time in one thread.

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
        self._pending = 0
        self._pending_lock = Lock()
        self._model: Any = None
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
        """Queue ``function(model)``; the future says how it went.

        Raises:
            OverloadedError: The queue is full.
        """
        with self._pending_lock:
            if self._pending >= self._limit:
                raise OverloadedError
            self._pending += 1
        future = self._executor.submit(self._call, function)
        future.add_done_callback(self._done)
        return future

    def close(self) -> None:
        """Drop what waits; what runs is not interrupted."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _call(self, function: Callable[[Any], T]) -> T:
        try:
            if self._model is None:
                self._model = self._load()
            return function(self._model)
        except Exception:
            raise
        except BaseException as error:  # a panic in the tokenizers' Rust code is no Exception
            raise RuntimeError(f"{type(error).__name__}: {error}") from error

    def _done(self, _future: Future[Any]) -> None:
        with self._pending_lock:
            self._pending -= 1


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
