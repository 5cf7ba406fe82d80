"""The HTTP client that a learner ends up with: one session, retries, errors in plain words."""

from __future__ import annotations

import email.utils
import json
import math
import random
import re
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from helpers.display import number
from helpers.errors import CourseError
from helpers.messages import text

MAX_BODY_BYTES = 1_000_000
RETRIED = frozenset({429, 502, 503, 504})
LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
SECRET = re.compile(r"hf_[A-Za-z0-9_.\-]{4,}")

embedded_urls: set[str] = set()
"""Addresses where the course's own server runs; it is started again if it is found dead."""


class ApiError(CourseError):
    """The API could not answer.

    Attributes:
        status: the HTTP status, or None if no answer came.
        detail: what the server said, in its own words.
    """

    def __init__(self, message: str, status: int | None = None, detail: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.detail = detail

    def __reduce__(self) -> tuple[type[ApiError], tuple[str, int | None, str]]:
        return ApiError, (str(self), self.status, self.detail)


@dataclass(frozen=True)
class _Problem:
    """One failed attempt: the error to raise, and what it says about trying again.

    Attributes:
        error: what to raise if this was the last attempt.
        reason: why it failed, in a short sentence; None if trying again would not help.
        wait: how long the server asks to wait, in seconds.
        binding: whether an earlier attempt is sure to fail.
    """

    error: ApiError
    reason: str | None = None
    wait: float | None = None
    binding: bool = False


class _Bearer(requests.auth.AuthBase):
    """Sends the token; unlike a plain header, it is not replaced by a ``.netrc`` file."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class InferenceSession:
    """Talks to the inference API, through connections that are kept open.

    Args:
        base_url: the API's address, such as ``course.api_base``.
        token: the Hugging Face token; None sends none.
        retries: how many times to try again when the server is busy or the connection fails.
        timeout: how long to wait for one answer, in seconds.
        backoff: how long to wait before the first new attempt, in seconds; doubles each time.
        max_wait: the longest wait between two attempts, in seconds.
        on_retry: called with a sentence before each new attempt.
        verbose: whether to print that sentence.
        seed: makes the random part of the waits repeatable.
    """

    def __init__(
        self,
        base_url: str,
        token: str | None = None,
        *,
        retries: int = 4,
        timeout: float = 30.0,
        backoff: float = 0.5,
        max_wait: float = 30.0,
        on_retry: Callable[[str], None] | None = None,
        verbose: bool = False,
        seed: int | None = None,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise CourseError(text("api.address", url=scrub(base_url)))
        self.base_url = base_url.rstrip("/")
        self.retries = retries
        self.timeout = timeout
        self.backoff = backoff
        self.max_wait = max_wait
        self._on_retry = on_retry or (print if verbose else None)
        self._random = random.Random(seed)
        self._has_token = bool(token)
        self._session = requests.Session()
        self._session.auth = _Bearer(token) if token else None
        # A proxy for the internet has no business with a server on this machine.
        self._session.trust_env = parts.hostname not in LOCAL_HOSTS
        adapter = HTTPAdapter(pool_maxsize=32)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def __repr__(self) -> str:
        return f"InferenceSession({self.base_url!r})"

    def __enter__(self) -> InferenceSession:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def post(self, model: str, inputs: Any, parameters: Mapping[str, Any] | None = None) -> Any:
        """Send ``inputs`` to a model, trying again while that may help.

        Args:
            model: the model's id, such as ``"curso/qa-pt"``.
            inputs: what the model's task takes: a text, a list, a dictionary.
            parameters: the task's parameters.

        Returns:
            The answer, decoded from JSON.

        Raises:
            ApiError: if the server refuses or does not answer.
            CourseError: if the request cannot be sent as it is.
        """
        if not isinstance(model, str) or not model.strip():
            raise CourseError(text("api.bad_model", model=model))
        if isinstance(inputs, Mapping) and "question" in inputs and "context" in inputs:
            _check_question(inputs["question"], inputs["context"])
        body = _encode(
            {"inputs": inputs, "parameters": dict(parameters)} if parameters else {"inputs": inputs}
        )
        restarted = False
        attempt = 0
        while True:
            answer = self._attempt(model.strip(), body, attempt + 1)
            if not isinstance(answer, _Problem):
                return answer
            if not restarted and self._restart_embedded(answer):
                restarted = True
                continue
            wait = self._wait(answer, attempt)
            if wait is None or answer.reason is None:
                raise answer.error
            attempt += 1
            self._announce(answer.reason, wait, attempt)
            time.sleep(wait)

    def question_answering(
        self, question: str, context: str, model: str, **parameters: Any
    ) -> dict[str, Any]:
        """Ask a question about a text.

        Args:
            question: what to ask.
            context: the text that holds the answer.
            model: the id of a question-answering model.
            **parameters: such as ``top_k`` (above 1 gives a list) or ``max_answer_len``.

        Returns:
            A dictionary with ``score``, ``start``, ``end`` and ``answer``.

        Raises:
            ApiError: if the server refuses or does not answer.
            CourseError: if the question or the context is empty, is no text or is too long.
        """
        _check_question(question, context)
        answer = self.post(model, {"question": question, "context": context}, parameters)
        first = answer[0] if isinstance(answer, list) and answer else answer
        if not isinstance(first, dict) or not {"score", "start", "end", "answer"} <= first.keys():
            raise ApiError(text("api.unexpected", model=model), 200, scrub(str(answer))[:300])
        return answer

    def map(
        self,
        model: str,
        inputs: Sequence[Any],
        concurrency: int = 8,
        parameters: Mapping[str, Any] | None = None,
        *,
        return_errors: bool = False,
    ) -> list[Any]:
        """Send many inputs, several at a time.

        Args:
            model: the model's id.
            inputs: what to send, one item a request.
            concurrency: how many requests are under way at once.
            parameters: the task's parameters, the same for all.
            return_errors: whether an item that fails gives its error in place of its answer;
                otherwise the first failure stops everything.

        Returns:
            The answers, in the order of the inputs.

        Raises:
            ApiError: the first failure, unless ``return_errors``.
            CourseError: if an item cannot be sent as it is, unless ``return_errors``.
        """
        if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
            raise CourseError(text("api.bad_concurrency"))
        results: list[Any] = [None] * len(inputs)
        pool = ThreadPoolExecutor(max_workers=min(concurrency, 32))
        try:
            places = {
                pool.submit(self.post, model, item, parameters): place
                for place, item in enumerate(inputs)
            }
            for future in _with_progress(as_completed(places), len(places)):
                try:
                    results[places[future]] = future.result()
                except CourseError as error:
                    if not return_errors:
                        raise
                    results[places[future]] = error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return results

    def _attempt(self, model: str, body: bytes, attempt: int) -> Any:
        """Send once; the answer, or what went wrong."""
        url = f"{self.base_url}/hf-inference/models/{model}"
        try:
            response = self._session.post(
                url, data=body, headers={"Content-Type": "application/json"}, timeout=self.timeout
            )
        except requests.RequestException as error:
            return self._connection_problem(error, attempt)
        if response.ok:
            try:
                return response.json()
            except ValueError:
                values = {"host": self._host, "attempts": attempt}
                failure = ApiError(text("api.truncated", **values), response.status_code)
                return _Problem(failure, text("api.busy_truncated"))
        return self._refusal(response, model, attempt)

    def _refusal(self, response: requests.Response, model: str, attempt: int) -> _Problem:
        """Explain a status that is not a success."""
        status = response.status_code
        detail, estimated = read_error(response)
        asked = retry_after(response.headers.get("Retry-After"))
        key = self._key(status, detail)
        if asked is not None and asked > self.max_wait and status in {429, 503}:
            key = f"status_{status}_wait"
        message = text(
            f"api.{key}",
            status=status,
            model=model,
            detail=_sentence(detail),
            attempts=attempt,
            seconds=math.ceil(asked or 0),
        )
        reason = None
        if status in RETRIED:
            loading = status == 503 and estimated is not None
            reason = text("api.busy_loading" if loading else f"api.busy_{status}")
        if asked is None and estimated is not None:
            return _Problem(
                ApiError(message, status, detail), reason, min(estimated, self.max_wait)
            )
        return _Problem(ApiError(message, status, detail), reason, asked, binding=asked is not None)

    def _key(self, status: int, detail: str) -> str:
        if status == 400 and "not supported by" in detail:
            return "status_400_model"
        if status == 401 and not self._has_token:
            return "status_401_none"
        if status in {400, 401, 402, 403, 404, 410, 413, 422, 429, 503, 504}:
            return f"status_{status}"
        return "status_5xx" if status >= 500 else "status_other"

    def _connection_problem(self, error: requests.RequestException, attempt: int) -> _Problem:
        """Explain why no whole answer came."""
        values = {"host": self._host, "attempts": attempt, "seconds": number(self.timeout, None)}
        if isinstance(error, requests.exceptions.SSLError):
            return _Problem(ApiError(text("api.certificate", **values)))
        if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
            return _Problem(ApiError(text("api.address", url=self.base_url)))
        if isinstance(error, requests.Timeout):
            return _Problem(ApiError(text("api.timeout", **values)), text("api.busy_timeout"))
        if isinstance(error, requests.exceptions.ChunkedEncodingError):
            return _Problem(ApiError(text("api.truncated", **values)), text("api.busy_truncated"))
        key = "api.connection_local" if self.base_url in embedded_urls else "api.connection"
        return _Problem(ApiError(text(key, **values)), text("api.busy_connection"))

    def _restart_embedded(self, problem: _Problem) -> bool:
        """Start the course's own server again if that is what did not answer."""
        if problem.error.status is not None or self.base_url not in embedded_urls:
            return False
        if _is_listening(self.base_url):
            return False
        from helpers.embedded.lifecycle import ensure_server

        self.base_url = ensure_server(replace=False).url.rstrip("/")
        embedded_urls.add(self.base_url)
        return True

    def _wait(self, problem: _Problem, attempt: int) -> float | None:
        """How long to wait before the next attempt; None if there should be none."""
        if attempt >= self.retries:
            return None
        if problem.binding and problem.wait is not None and problem.wait > self.max_wait:
            return None
        if problem.wait is not None:
            return problem.wait
        # Doubling, and a random part so that a whole class does not come back at the same moment.
        longest = min(self.max_wait, self.backoff * 2**attempt)
        return longest * self._random.uniform(0.5, 1.0)

    def _announce(self, reason: str, wait: float, attempt: int) -> None:
        if self._on_retry is not None:
            seconds = number(wait, 1)
            self._on_retry(
                text(
                    "api.asking_again",
                    reason=reason,
                    seconds=seconds,
                    attempt=attempt,
                    retries=self.retries,
                )
            )

    @property
    def _host(self) -> str:
        return urlsplit(self.base_url).netloc.rpartition("@")[2]


def scrub(words: str) -> str:
    """Take out of a text whatever looks like a token."""
    return SECRET.sub("hf_…", words)


def read_error(response: requests.Response) -> tuple[str, float | None]:
    """Read what the server says about an error, whatever shape it has.

    Args:
        response: an answer that is not a success.

    Returns:
        Its words, without tokens and at most 300 characters long, and ``estimated_time`` in
        seconds if the model is being loaded.
    """
    try:
        body = response.json()
    except ValueError:
        is_page = "html" in response.headers.get("Content-Type", "") or "<html" in response.text
        words = (response.reason or "") if is_page else response.text
        return scrub(words.strip())[:300], None
    estimated = body.get("estimated_time") if isinstance(body, dict) else None
    words = scrub(_words(body))[:300]
    if isinstance(estimated, (int, float)) and math.isfinite(estimated) and estimated >= 0:
        return words, float(estimated)
    return words, None


def retry_after(header: str | None, now: datetime | None = None) -> float | None:
    """Read a ``Retry-After`` header.

    Args:
        header: seconds, or an HTTP date.
        now: the present, for a date.

    Returns:
        How many seconds to wait, 0 or more; None if there is no such header or it makes no sense.
    """
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            when = email.utils.parsedate_to_datetime(header)
        except (TypeError, ValueError):
            return None
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        seconds = (when - (now or datetime.now(UTC))).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _words(body: Any) -> str:
    """Find the words in an error: ``{"error": text | list | {"message": text}}`` or the like."""
    if isinstance(body, dict):
        for key in ("error", "message", "detail"):
            if body.get(key):
                return _words(body[key])
        return json.dumps(body, ensure_ascii=False)
    if isinstance(body, list):
        return "; ".join(_words(item) for item in body)
    return str(body).strip()


def _sentence(words: str) -> str:
    """Quote the server's words as a sentence."""
    quoted = f"“{words or '—'}”"
    return quoted if words.endswith((".", "!", "?")) else f"{quoted}."


def _is_listening(url: str) -> bool:
    """Whether anything takes connections there."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port or 80), timeout=1).close()
    except OSError:
        return False
    return True


def _check_question(question: object, context: object) -> None:
    for name, value in (("question", question), ("context", context)):
        if not isinstance(value, str):
            raise CourseError(text(f"api.not_text_{name}", type=type(value).__name__))
        if not value.strip():
            raise CourseError(text(f"api.empty_{name}"))


def _encode(payload: dict[str, Any]) -> bytes:
    """Turn a request into JSON, or say why it cannot be."""
    try:
        body = json.dumps(payload, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as error:
        raise CourseError(text("api.broken_text")) from error
    except (TypeError, ValueError, RecursionError) as error:
        culprit = re.search(r"Object of type (\w+)", str(error))
        name = culprit.group(1) if culprit else "valor"
        raise CourseError(text("api.not_json", type=name)) from error
    if len(body) > MAX_BODY_BYTES:
        size, limit = number(len(body) / 1e6, 1), number(MAX_BODY_BYTES / 1e6, None)
        raise CourseError(text("api.too_large", size=size, limit=limit))
    return body


def _with_progress(items: Any, total: int) -> Any:
    """Show a bar if this takes more than 2 seconds; a plain one, which leaves nothing behind."""
    try:
        from tqdm import tqdm
    except ImportError:
        return items
    return tqdm(items, total=total, desc=text("api.progress"), delay=2, leave=False)
