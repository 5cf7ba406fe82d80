"""The shapes that answers must have, written from the API's documentation."""

from jsonschema import Draft202012Validator

TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}
SHA1 = {"type": "string", "pattern": "^[0-9a-f]{40}$"}


def exactly(**properties):
    """An object with these keys and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def at_least(**properties):
    """An object with these keys and maybe others."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def list_of(items, **limits):
    return {"type": "array", "items": items, **limits}


ANSWER = exactly(
    score={"type": "number", "minimum": 0, "maximum": 1}, start=COUNT, end=COUNT, answer=TEXT
)
ANSWERS = list_of(ANSWER, minItems=1)
EMBEDDINGS = list_of(list_of({"type": "number"}, minItems=384, maxItems=384), minItems=1)
SIMILARITIES = list_of({"type": "number", "minimum": -1.001, "maximum": 1.001}, minItems=1)
ERROR = exactly(error={"type": "string", "minLength": 5})
OPENAI_ERROR = exactly(
    error=exactly(
        message={"type": "string", "minLength": 5},
        type={"const": "invalid_request_error"},
        param={"type": ["string", "null"]},
        code={"type": ["string", "null"]},
    )
)

USAGE = exactly(prompt_tokens=COUNT, completion_tokens=COUNT, total_tokens=COUNT)
_MESSAGE = exactly(role={"const": "assistant"}, content=TEXT)
_COMMON = {
    "id": {"type": "string", "pattern": "^chatcmpl-"},
    "created": COUNT,
    "model": TEXT,
    "system_fingerprint": TEXT,
}
_ENDED = {"enum": ["stop", "length"]}
COMPLETION = exactly(
    **_COMMON,
    object={"const": "chat.completion"},
    choices=list_of(
        exactly(
            index={"const": 0}, message=_MESSAGE, logprobs={"const": None}, finish_reason=_ENDED
        ),
        minItems=1,
        maxItems=1,
    ),
    usage=USAGE,
)
CHUNK = at_least(
    **_COMMON,
    object={"const": "chat.completion.chunk"},
    choices=list_of(
        exactly(
            index={"const": 0},
            delta=_MESSAGE,
            logprobs={"const": None},
            finish_reason={"enum": ["stop", "length", None]},
        ),
        maxItems=1,
    ),
)

MODEL_SUMMARY = at_least(
    id={"type": "string", "pattern": "^curso/"},
    modelId=TEXT,
    private={"const": False},
    downloads={"const": 0},
    likes={"const": 0},
    tags=list_of(TEXT, minItems=3),
    pipeline_tag=TEXT,
    library_name=TEXT,
    createdAt=TEXT,
)
MODEL_INFO = at_least(
    id=TEXT,
    sha=SHA1,
    lastModified={"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"},
    gated={"const": False},
    private={"const": False},
    downloads={"const": 0},
    likes={"const": 0},
    pipeline_tag=TEXT,
    library_name=TEXT,
    tags=list_of(TEXT),
    cardData=at_least(license=TEXT),
    siblings=list_of(at_least(rfilename=TEXT), minItems=3),
    safetensors=exactly(parameters={"type": "object", "minProperties": 1}, total=COUNT),
    inference={"const": "warm"},
    inferenceProviderMapping=exactly(
        **{"hf-inference": exactly(status={"const": "live"}, providerId=TEXT, task=TEXT)}
    ),
)
TREE = list_of(
    {
        "oneOf": [
            at_least(type={"const": "file"}, oid=SHA1, size=COUNT, path=TEXT),
            at_least(type={"const": "directory"}, oid=SHA1, size={"const": 0}, path=TEXT),
        ]
    }
)


def check(shape, value):
    """Fail with a readable message unless ``value`` has the shape."""
    errors = list(Draft202012Validator(shape).iter_errors(value))
    assert not errors, "\n".join(f"{error.json_path}: {error.message[:300]}" for error in errors)
