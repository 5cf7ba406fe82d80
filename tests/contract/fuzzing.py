"""What the fuzz tests share: requests drawn from a task's schemas, and what a clean answer is.

Each test sends a few dozen requests; ``COURSE_FUZZ_EXAMPLES=1000`` for that many in each test.
"""

import base64
import json
import os
import time

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from task_media import picture, tone
from task_shapes import REQUESTS

SLOW = {"automatic-speech-recognition": 4}
"""Tasks that take long, and by how much fewer requests they get."""
SECONDS = 60
"""A request's time, generous enough for a busy machine; a bound that leaks takes minutes."""

MEDIA = {
    "image-classification": (picture(40, 30), "image/png"),
    "object-detection": (picture(40, 30), "image/png"),
    "automatic-speech-recognition": (tone(0.2), "audio/wav"),
}

words = st.text(max_size=40)
junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | words
    | st.sampled_from([-1, 0, 2**63, 1e400, "", "\ud800", "../../etc/passwd", "{0.__class__}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


def examples(by_default):
    """Return how many requests a test sends."""
    return int(os.environ.get("COURSE_FUZZ_EXAMPLES", by_default))


def profile(task):
    """Return how a task is tried out."""
    return trials(max(3, examples(by_default=25) // SLOW.get(task, 1)))


def trials(count):
    """Return the settings of a test that sends ``count`` requests, the same ones every time."""
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def from_schema(schema):
    """Return a strategy for the values that a schema allows."""
    if "anyOf" in schema:
        return st.one_of([from_schema(option) for option in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema["type"] == "object":
        inner = {name: from_schema(one) for name, one in schema["properties"].items()}
        if "required" in schema:
            return st.fixed_dictionaries(inner)
        return st.fixed_dictionaries({}, optional=inner)
    return {
        "string": lambda: st.text(max_size=schema.get("maxLength", 60)),
        "integer": lambda: st.integers(schema.get("minimum"), schema.get("maximum")),
        "number": lambda: st.floats(schema.get("minimum"), schema.get("maximum")),
        "boolean": st.booleans,
        "array": lambda: st.lists(from_schema(schema["items"]), max_size=schema["maxItems"]),
    }[schema["type"]]()


def valid_body(task):
    """Return a strategy for bodies that a task's documentation allows."""
    request = REQUESTS[task]
    optional = {name: from_schema(schema) for name, schema in request["parameters"].items()}
    required = {name: optional.pop(name) for name in request.get("required", ())}
    parameters = {"parameters": st.fixed_dictionaries(required, optional=optional)}
    inputs = {"inputs": from_schema(request["inputs"])}
    if required:
        return st.fixed_dictionaries({**inputs, **parameters})
    return st.fixed_dictionaries(inputs, optional=parameters)


@st.composite
def body(draw, task):
    """Draw a valid body, and break it in up to two places."""
    drawn = draw(valid_body(task))
    for _ in range(draw(st.integers(0, 2))):
        drawn = broken(draw, drawn)
    return with_media(drawn, task)


def broken(draw, value):
    """Replace, add or take away something at any depth."""
    if isinstance(value, dict) and value and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(value)))
        return {**value, name: broken(draw, value[name])}
    if isinstance(value, list) and value and draw(st.booleans()):
        return [broken(draw, value[0]), *value[1:]]
    if isinstance(value, dict) and draw(st.booleans()):
        added = {draw(words): draw(junk)}
        return {**value, **added}
    return draw(junk)


def with_media(value, task):
    """Put real media, in base64, where a body says so."""
    if isinstance(value, dict):
        return {name: with_media(inner, task) for name, inner in value.items()}
    if value == "$MEDIA":
        return base64.b64encode(MEDIA[task][0]).decode()
    return value


@st.composite
def spoiled_media(draw, task):
    """Draw a real file with some bytes changed, cut off or put in."""
    data = bytearray(MEDIA[task][0])
    for _ in range(draw(st.integers(0, 6))):
        position = draw(st.integers(0, max(0, len(data) - 1)))
        data[position : position + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)


def send(session, url, sent):
    """Post a JSON body and check the answer."""
    send_bytes(session, url, encoded(sent), "application/json")


def encoded(value):
    """Return a value as JSON; lone surrogates travel as escapes."""
    return json.dumps(value, ensure_ascii=True).encode()


def send_bytes(session, url, raw, content_type):
    """Post bytes and check the answer: JSON, in time, and no failure but the contract's 503."""
    start = time.monotonic()
    response = session.post(url, data=raw, headers={"Content-Type": content_type}, timeout=300)
    elapsed = time.monotonic() - start
    check(response)
    assert response.headers["content-type"].startswith("application/json")
    assert elapsed < SECONDS, f"{elapsed:.0f} s for {raw[:300]!r}"


def check(response):
    """Check that an answer is clean, whatever was asked: JSON, a stream or a file."""
    assert response.status_code < 500 or response.status_code == 503, response.text
    kind = response.headers["content-type"]
    if kind.startswith("application/json"):
        assert response.ok or "error" in response.json()
    else:
        assert kind.startswith(("text/event-stream", "text/plain"))
    assert "Traceback" not in response.text
