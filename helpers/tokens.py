"""Finding the learner's Hugging Face token, and never showing it."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable
from getpass import getpass
from pathlib import Path
from typing import Any

from helpers.errors import CourseError
from helpers.messages import text

PREFIX = "hf_"
MASKED = "hf_…"
COLAB_TIMEOUT = 30.0  # seconds: the learner may have a permission to grant


class Token(str):
    """A secret text: shown masked, sent whole.

    ``print(token)``, ``str(token)`` and ``repr(token)`` give ``hf_…``. Joining it to other text
    gives the real value, so that ``{"Authorization": f"Bearer {token}"}`` works.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"'{MASKED}'" if self else "''"

    def __str__(self) -> str:
        return MASKED if self else ""

    def __format__(self, specification: str) -> str:
        return format(self.reveal(), specification)

    def __reduce__(self) -> tuple[type[Token], tuple[str]]:
        return Token, (self.reveal(),)

    def reveal(self) -> str:
        """Return the real value as an ordinary text; do not print it."""
        return str.__str__(self[:])


def find(source: str | None = None) -> tuple[Token | None, str]:
    """Look for a token.

    Args:
        source: None looks in the environment (``HF_TOKEN``) and then in the file that
            ``hf auth login`` leaves; ``"colab"`` reads Colab's secret; ``"prompt"`` asks, hidden.

    Returns:
        The token, or None, and in words where it came from.

    Raises:
        CourseError: if what was found is no token, or the source asked for gives none.
    """
    if source == "colab":
        return clean(_colab_secret()), text("environment.token_from_colab")
    if source == "prompt":
        return clean(_ask()), text("environment.token_from_prompt")
    if source is not None:
        raise CourseError(text("environment.token_source_unknown", source=source))
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if os.environ.get(variable, "").strip():
            found = text("environment.token_from_variable", variable=variable)
            return clean(os.environ[variable]), found
    try:
        content = file_path().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        content = ""
    if content:
        return clean(content), text("environment.token_from_file")
    return None, text("environment.token_missing")


def file_path() -> Path:
    """Return where huggingface_hub keeps the token (``HF_TOKEN_PATH``, ``HF_HOME``...)."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or os.path.join(cache, "huggingface")
    path = os.environ.get("HF_TOKEN_PATH") or os.path.join(home, "token")
    return Path(os.path.expandvars(os.path.expanduser(path)))


def clean(value: str) -> Token:
    """Trim what surrounds a token and check its looks.

    Raises:
        CourseError: if it does not look like a token; the message does not show it.
    """
    token = value.strip().strip("\"'").removeprefix("Bearer ").strip()
    if not token.startswith(PREFIX):
        raise CourseError(text("environment.token_not_hf"))
    if not re.fullmatch(r"hf_[A-Za-z0-9_.\-]+", token):  # OAuth tokens hold more than letters
        raise CourseError(text("environment.token_damaged"))
    return Token(token)


def _ask() -> str:
    try:
        answer = getpass(text("environment.token_question"))
    except (EOFError, KeyboardInterrupt, RuntimeError, NotImplementedError) as error:
        # A notebook that runs by itself has nobody to ask.
        raise CourseError(text("environment.token_nobody_to_ask")) from error
    if not answer.strip():
        raise CourseError(text("environment.token_empty"))
    return answer


def _colab_secret() -> str:
    try:
        from google.colab import userdata
    except ImportError as error:
        raise CourseError(text("environment.token_not_colab")) from error
    try:
        value = _with_timeout(lambda: userdata.get("HF_TOKEN"), COLAB_TIMEOUT)
    except TimeoutError as error:
        raise CourseError(text("environment.token_colab_timeout")) from error
    except Exception as error:
        reasons = {
            "SecretNotFoundError": "environment.token_colab_missing",
            "NotebookAccessError": "environment.token_colab_refused",
        }
        key = reasons.get(type(error).__name__, "environment.token_colab_timeout")
        raise CourseError(text(key)) from error
    if not value or not value.strip():
        raise CourseError(text("environment.token_colab_missing"))
    return str(value)


def _with_timeout(function: Callable[[], Any], seconds: float) -> Any:
    """Call a function, but not for longer than this.

    An alarm rather than a thread: Colab's secrets talk over the kernel's own sockets, which only
    the main thread may use. Where there is no alarm the function runs without a limit.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or not hasattr(signal, "setitimer"):
        return function()

    def ring(_number: int, _frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return function()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
