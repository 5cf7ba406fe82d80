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

DATE = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"}
REPOSITORY_ID = {"type": "string", "pattern": "^curso/"}
NO_COUNT = {"const": 0}
MODEL_SUMMARY = at_least(
    id=REPOSITORY_ID,
    modelId=TEXT,
    private={"const": False},
    downloads=NO_COUNT,
    likes=NO_COUNT,
    tags=list_of(TEXT, minItems=3),
    pipeline_tag=TEXT,
    library_name=TEXT,
    createdAt=DATE,
)
MODEL_INFO = at_least(
    id=TEXT,
    sha=SHA1,
    lastModified=DATE,
    gated={"const": False},
    private={"const": False},
    downloads=NO_COUNT,
    likes=NO_COUNT,
    pipeline_tag=TEXT,
    library_name=TEXT,
    tags=list_of(TEXT),
    cardData=at_least(license=TEXT),
    siblings=list_of(at_least(rfilename=TEXT), minItems=3),
    safetensors=exactly(parameters={"type": "object", "minProperties": 1}, total=COUNT),
    spaces=list_of(REPOSITORY_ID),
    inference={"const": "warm"},
    inferenceProviderMapping=exactly(
        **{"hf-inference": exactly(status={"const": "live"}, providerId=TEXT, task=TEXT)}
    ),
)
DATASET_SUMMARY = at_least(
    id=REPOSITORY_ID,
    author={"const": "curso"},
    private={"const": False},
    gated={"const": False},
    disabled={"const": False},
    downloads=NO_COUNT,
    likes=NO_COUNT,
    description=TEXT,
    tags=list_of(TEXT, minItems=3),
    createdAt=DATE,
    lastModified=DATE,
)
DATASET_INFO = at_least(
    **DATASET_SUMMARY["properties"],
    sha=SHA1,
    cardData=at_least(license=TEXT),
    siblings=list_of(at_least(rfilename=TEXT), minItems=2),
    usedStorage=COUNT,
)
SPACE_SUMMARY = at_least(
    id=REPOSITORY_ID,
    private={"const": False},
    likes=NO_COUNT,
    sdk={"enum": ["gradio", "docker", "static"]},
    tags=list_of(TEXT, minItems=1),
    createdAt=DATE,
)
RUNTIME = at_least(
    stage={"const": "PAUSED"},
    hardware=exactly(current={"const": None}, requested={"const": None}),
)
SPACE_INFO = at_least(
    **SPACE_SUMMARY["properties"],
    sha=SHA1,
    cardData=at_least(license=TEXT, sdk_version=TEXT, app_file=TEXT),
    siblings=list_of(at_least(rfilename=TEXT), minItems=2),
    models=list_of(REPOSITORY_ID),
    datasets=list_of(REPOSITORY_ID),
    runtime=RUNTIME,
)
TREE = list_of(
    {
        "oneOf": [
            at_least(type={"const": "file"}, oid=SHA1, size=COUNT, path=TEXT),
            at_least(type={"const": "directory"}, oid=SHA1, size={"const": 0}, path=TEXT),
        ]
    }
)

# The dataset viewer, from its OpenAPI description.
FEATURE = {"type": ["object", "array"], "minProperties": 1}
FEATURES = list_of(exactly(feature_idx=COUNT, name=TEXT, type=FEATURE), minItems=1)
ROW = exactly(row_idx=COUNT, row={"type": "object"}, truncated_cells=list_of(TEXT))
ROWS = exactly(
    features=FEATURES,
    rows=list_of(ROW, maxItems=100),
    num_rows_total=COUNT,
    num_rows_per_page={"const": 100},
    partial={"const": False},
)
FIRST_ROWS = exactly(
    dataset=TEXT,
    config=TEXT,
    split=TEXT,
    features=FEATURES,
    rows=list_of(ROW, minItems=1, maxItems=100),
    truncated={"type": "boolean"},
)
_SPLIT = {"dataset": TEXT, "config": TEXT, "split": TEXT}
_NONE_WAITING = {"pending": {"const": []}, "failed": {"const": []}}
SPLITS = exactly(splits=list_of(exactly(**_SPLIT), minItems=1), **_NONE_WAITING)
_SIZES = {
    "num_bytes_parquet_files": COUNT,
    "num_bytes_memory": COUNT,
    "num_rows": COUNT,
    "estimated_num_rows": {"const": None},
}
_CONFIG_SIZE = exactly(
    dataset=TEXT, config=TEXT, num_bytes_original_files=COUNT, num_columns=COUNT, **_SIZES
)
_SPLIT_SIZES = list_of(exactly(**_SPLIT, num_columns=COUNT, **_SIZES), minItems=1)
SIZE = exactly(
    size=exactly(
        dataset=exactly(dataset=TEXT, num_bytes_original_files=COUNT, **_SIZES),
        configs=list_of(_CONFIG_SIZE, minItems=1),
        splits=_SPLIT_SIZES,
    ),
    partial={"const": False},
    **_NONE_WAITING,
)
CONFIG_SIZE = exactly(
    size=exactly(config=_CONFIG_SIZE, splits=_SPLIT_SIZES), partial={"const": False}
)
DATASET_INFO_OF_CONFIG = at_least(
    features={"type": "object", "minProperties": 1},
    builder_name={"const": "parquet"},
    config_name=TEXT,
    splits={"type": "object", "minProperties": 1},
    download_size=COUNT,
    dataset_size=COUNT,
)
PARQUET = exactly(
    parquet_files=list_of(
        exactly(**_SPLIT, url={"type": "string", "pattern": "^http"}, filename=TEXT, size=COUNT),
        minItems=1,
    ),
    partial={"const": False},
    **_NONE_WAITING,
)
VALIDITY = exactly(
    preview={"const": True},
    viewer={"const": True},
    search={"const": False},
    filter={"const": False},
    statistics={"const": False},
)


def check(shape, value):
    """Fail with a readable message unless ``value`` has the shape."""
    errors = list(Draft202012Validator(shape).iter_errors(value))
    assert not errors, "\n".join(f"{error.json_path}: {error.message[:300]}" for error in errors)
