"""Chat completions in OpenAI's wire format: the course's models, a composition, or an engine.

``endpoints`` answers the routes; ``calls`` checks a request; ``model`` generates with a resident
model; ``bridge`` composes a chat in Portuguese; ``proxy`` passes a chat on to an engine elsewhere;
``events`` writes server-sent events.
"""

from helpers.embedded.chat.endpoints import complete, list_models

__all__ = ["complete", "list_models"]
