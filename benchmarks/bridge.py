"""Measure the chat in Portuguese that is made of three models.

Run with ``python benchmarks/bridge.py``. Asks the 20 questions of ``embedded_models.py`` in
Portuguese and judges the Portuguese answers by the fact that they must hold. Greedy, at most 40
tokens of English, float32 on the CPU: the figures are the same everywhere; the times are not.
"""

from __future__ import annotations

import time

from embedded_models import FACTS, MAX_NEW_TOKENS

from helpers.bridge import LocalChat, PortugueseBridge
from helpers.embedded import store
from helpers.embedded.recipes.chat_bridge import CHAT, TO_ENGLISH, TO_PORTUGUESE
from helpers.translation import Translator

# The translator inflects what the English model says: "a língua ... é portuguesa".
INFLECTED = {"português": "portuguesa"}


def load() -> PortugueseBridge:
    """Join the three embedded models."""
    to_english, to_portuguese = (
        Translator.from_pretrained(str(store.ensure(repo_id)), device="cpu")
        for repo_id in (TO_ENGLISH, TO_PORTUGUESE)
    )
    chat = LocalChat.from_pretrained(str(store.ensure(CHAT)))
    return PortugueseBridge(to_english, chat, to_portuguese)


def main() -> None:
    """Print each answer, whether it is right, and the count."""
    bridge = load()
    right, started = 0, time.perf_counter()
    for _, question, facts in FACTS:
        accepted = (*facts, *(INFLECTED[fact] for fact in facts if fact in INFLECTED))
        reply = bridge.reply(question, max_tokens=MAX_NEW_TOKENS)
        is_right = any(fact in reply.text.lower() for fact in accepted)
        right += is_right
        print(f"{'right' if is_right else 'wrong'}: {question} -> {reply.text}")
        print(f"       {reply.english_prompt} -> {reply.english_answer}")
    seconds = (time.perf_counter() - started) / len(FACTS)
    print(f"chat-ponte-pt: right answers: {right} of {len(FACTS)}, {seconds:.1f} s each")


if __name__ == "__main__":
    main()
