"""A chat request in OpenAI's wire format: checked, and refused by parameter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from helpers.embedded.wire import WireError

MAX_STOPS = 4


class ChatError(WireError):
    """An error in OpenAI's shape."""

    def __init__(self, message: str, param: str | None, code: str | None = None) -> None:
        """Keep the sentence, the parameter at fault and the machine-readable code."""
        error = {
            "message": message,
            "type": "invalid_request_error",
            "param": param,
            "code": code,
        }
        super().__init__(400, {"error": error})


@dataclass(frozen=True)
class ChatCall:
    """A checked request.

    Attributes:
        messages: ``role`` and ``content`` (text) of each message.
        max_tokens: Most tokens to generate, or ``None`` for the default.
        temperature: 0 for greedy decoding.
        top_p: Probability mass that sampling keeps.
        stop: Texts that end the answer.
        seed: For sampling; ``None`` for a fresh one.
        stream: Whether to answer with events.
        include_usage: Whether the last event counts tokens.
    """

    messages: list[dict[str, str]]
    max_tokens: int | None
    temperature: float
    top_p: float
    stop: tuple[str, ...]
    seed: int | None
    stream: bool
    include_usage: bool


def parse_call(body: dict[str, Any]) -> ChatCall:
    """Check a request's body.

    Raises:
        ChatError: 400 in OpenAI's shape, naming the parameter.
    """
    _refuse_unsupported(body)
    stream_options = _optional(body, "stream_options", dict) or {}
    newer_name = "max_completion_tokens"
    name = newer_name if body.get(newer_name) is not None else "max_tokens"
    return ChatCall(
        messages=_messages(body.get("messages")),
        max_tokens=_integer(body, name, 1, 2**31),
        temperature=_number(body, "temperature", 0.0, 0.0, 2.0),
        top_p=_number(body, "top_p", 1.0, 0.0, 1.0, above_lowest=True),
        stop=_stops(body.get("stop")),
        seed=_integer(body, "seed", 0, 2**63 - 1),
        stream=_optional(body, "stream", bool) or False,
        include_usage=stream_options.get("include_usage") is True,
    )


def _refuse_unsupported(body: dict[str, Any]) -> None:
    """Say so, rather than ignore a parameter that would change the answer."""
    response_format = body.get("response_format")
    asked = {
        "n": body.get("n") not in (None, 1),
        "logprobs": bool(body.get("logprobs")),
        "tools": bool(body.get("tools")),
        "frequency_penalty": bool(body.get("frequency_penalty")),
        "presence_penalty": bool(body.get("presence_penalty")),
        "logit_bias": bool(body.get("logit_bias")),
        "response_format": response_format not in (None, {"type": "text"}),
    }
    for name, is_asked in asked.items():
        if is_asked:
            raise ChatError(f"`{name}` is not supported by this server.", name, "unsupported")


def require_messages(value: Any) -> list[dict[str, Any]]:
    """Return a request's messages, checked no further than that they are objects.

    Raises:
        ChatError: 400, they are no list of objects, or none.
    """
    if not isinstance(value, list) or not value:
        raise ChatError("`messages` must be a list with at least one message.", "messages")
    for index, item in enumerate(value):
        if not isinstance(item, dict):
            raise ChatError(f"`messages[{index}]` must be an object.", f"messages[{index}]")
    return value


def _messages(value: Any) -> list[dict[str, str]]:
    messages = enumerate(require_messages(value))
    return [_message(item, f"messages[{index}]") for index, item in messages]


def _message(value: dict[str, Any], name: str) -> dict[str, str]:
    role = value.get("role")
    if role == "developer":  # OpenAI's newer name
        role = "system"
    if role not in ("system", "user", "assistant"):
        raise ChatError(f"`{name}.role` must be one of: system, user, assistant.", f"{name}.role")
    return {"role": role, "content": _content(value.get("content"), f"{name}.content")}


def _content(value: Any, name: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(_is_text_part(part) for part in value):
        return "".join(part["text"] for part in value)
    raise ChatError(f"`{name}` must be a text, or a list of parts of type text.", name)


def _is_text_part(part: Any) -> bool:
    return (
        isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)
    )


def _stops(value: Any) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value or []
    is_valid = isinstance(stops, list) and len(stops) <= MAX_STOPS
    if not is_valid or not all(isinstance(stop, str) and stop for stop in stops):
        raise ChatError(f"`stop` must be a text or a list of up to {MAX_STOPS} texts.", "stop")
    return tuple(stops)


def _optional(body: dict[str, Any], name: str, kind: type) -> Any:
    value = body.get(name)
    if value is not None and not isinstance(value, kind):
        raise ChatError(f"`{name}` must be of type {kind.__name__}.", name)
    return value


def _integer(body: dict[str, Any], name: str, lowest: int, highest: int) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise ChatError(f"`{name}` must be an integer of at least {lowest}.", name)
    return value


def _number(
    body: dict[str, Any],
    name: str,
    default: float,
    lowest: float,
    highest: float,
    above_lowest: bool = False,
) -> float:
    value = body.get(name)
    if value is None:
        return default
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not lowest <= value <= highest or (above_lowest and value == lowest):
        raise ChatError(f"`{name}` must be a number from {lowest:g} to {highest:g}.", name)
    return float(value)
