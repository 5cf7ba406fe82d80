"""Colab's secrets: `COLAB_SECRET` says how the person at the browser behaves.

It holds the secret's value, or one of: `missing`, `refused`, `late` (Colab gives up waiting) and
`silent` (Colab waits for ever).
"""

import os
import time

from google.colab import errors


class NotebookAccessError(Exception):
    """The secret is there, and this notebook may not read it."""


class SecretNotFoundError(errors.Error):
    """There is no secret of this name."""


class TimeoutException(errors.Error):
    """Nobody answered in time."""


def get(key: str) -> str:
    """Return a secret, as far as the person lets it."""
    answer = os.environ.get("COLAB_SECRET", "missing")
    if answer == "missing":
        raise SecretNotFoundError(f"Secret {key} does not exist.")
    if answer == "refused":
        raise NotebookAccessError(f"Notebook does not have access to secret {key}")
    if answer == "late":
        raise TimeoutException(f"Requesting secret {key} timed out.")
    while answer == "silent":
        time.sleep(0.025)  # Colab polls the kernel's socket like this
    return answer
