"""Odd requests to every address: whatever arrives, the answer is clean and never a 500."""

import base64

import fuzzing
import pytest
import requests
from fuzzing import check
from hypothesis import given
from hypothesis import strategies as st

from helpers.embedded.viewer import PREFIX

EXAMPLES = fuzzing.trials(fuzzing.examples(by_default=40))

words = st.text(max_size=60)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
numbers = st.integers(-3, 600) | values
parameters = st.dictionaries(
    st.sampled_from(
        ["top_k", "doc_stride", "max_answer_len", "max_seq_len", "max_question_len"]
        + ["handle_impossible_answer", "align_to_words", "normalize", "prompt_name", "truncate"]
    ),
    numbers,
    max_size=4,
)
texts = words | st.lists(words, max_size=3) | values
qa_bodies = st.fixed_dictionaries(
    {"inputs": st.fixed_dictionaries({"question": texts, "context": texts}) | values},
    optional={"parameters": parameters | values, "normalize": values, "options": values},
)
similarity = st.fixed_dictionaries({"source_sentence": texts, "sentences": texts})
encoder_bodies = st.fixed_dictionaries(
    {"inputs": texts | similarity}, optional={"parameters": parameters, "truncate": values}
)
messages = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "rei"]), "content": texts}) | values,
    max_size=2,
)
chat_bodies = st.fixed_dictionaries(
    {"messages": messages | values, "max_tokens": st.integers(-1, 2) | values},
    optional={name: values for name in ("model", "stop", "temperature", "top_p", "seed", "stream")},
)


labels = texts | st.sampled_from(["esporte, política", ["a", "b"]])
sorting_bodies = st.fixed_dictionaries(
    {"inputs": texts},
    optional={
        "parameters": values
        | st.fixed_dictionaries(
            {},
            optional={
                "candidate_labels": labels,
                "multi_label": values,
                "hypothesis_template": texts,
                "top_k": numbers,
                "function_to_apply": values | st.sampled_from(["sigmoid", "softmax", "none"]),
            },
        )
    },
)
translation_bodies = st.fixed_dictionaries(
    {"inputs": texts},
    optional={
        "parameters": values
        | st.fixed_dictionaries(
            {},
            optional={
                "src_lang": values,
                "generate_parameters": values,
                "truncation": values,
                "clean_up_tokenization_spaces": values,
                "max_new_tokens": st.integers(-1, 8) | values,
            },
        )
    },
)
BEGINNINGS = [
    b"",
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    b"\xff\xd8\xff\xe0\x00\x10JFIF\x00",
    b"GIF89a",
    b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00",
    b"fLaC\x00\x00\x00\x22",
    b"OggS\x00\x02",
    b"ID3\x03\x00",
]
media = st.builds(bytes.__add__, st.sampled_from(BEGINNINGS), st.binary(max_size=300))
media_types = st.sampled_from(["image/png", "image/jpeg", "audio/wav", "audio/mpeg", "text/plain"])
media_models = st.sampled_from(["curso/efficientnet-lite0", "curso/whisper-base"])
media_parameters = st.dictionaries(
    st.sampled_from(["top_k", "function_to_apply", "return_timestamps", "generation_parameters"]),
    numbers,
    max_size=3,
)


def send(session, url, body):
    headers = {"Content-Type": "application/json"}
    check(session.post(url, data=fuzzing.encoded(body), headers=headers, timeout=60))


@EXAMPLES
@given(body=qa_bodies)
@pytest.mark.contract(task="question-answering", client="requests", direction="error")
def test_question_answering(server, session, body):
    send(session, server.model_url(), body)


@EXAMPLES
@given(body=encoder_bodies, task=st.sampled_from(["feature-extraction", "sentence-similarity"]))
@pytest.mark.contract(
    task=("feature-extraction", "sentence-similarity"), client="requests", direction="error"
)
def test_encoder(server, session, body, task):
    send(session, server.model_url("curso/e5-pt-en", f"/pipeline/{task}"), body)


@EXAMPLES
@given(body=chat_bodies)
@pytest.mark.contract(task="conversational", client="requests", direction="error")
def test_chat(server, session, body):
    send(session, f"{server.url}/v1/chat/completions", body)


@EXAMPLES
@given(body=sorting_bodies)
def test_zero_shot(server, session, body):
    send(session, server.model_url("curso/e5-pt-en", "/pipeline/zero-shot-classification"), body)


@EXAMPLES
@given(body=translation_bodies, direction=st.sampled_from(["pt-en", "en-pt"]))
def test_translation(server, session, body, direction):
    send(session, server.model_url(f"curso/traducao-{direction}"), body)


@EXAMPLES
@given(data=media, kind=media_types, model=media_models)
def test_media(server, session, data, kind, model):
    headers = {"Content-Type": kind}
    check(session.post(server.model_url(model), data=data, headers=headers, timeout=60))


@EXAMPLES
@given(data=media | words, model=media_models, chosen=media_parameters | values)
def test_media_in_json(server, session, data, model, chosen):
    inputs = base64.b64encode(data).decode() if isinstance(data, bytes) else data
    send(session, server.model_url(model), {"inputs": inputs, "parameters": chosen})


@EXAMPLES
@given(
    query=st.dictionaries(
        st.sampled_from(["dataset", "config", "split", "offset", "length"]),
        words | numbers.map(str) | st.sampled_from(["curso/perguntas-pt", "default", "train"]),
        max_size=5,
    ),
    path=st.sampled_from(["rows", "first-rows", "splits", "is-valid", "info", "size", "parquet"]),
)
def test_dataset_viewer(server, session, query, path):
    check(session.get(f"{server.url}{PREFIX}/{path}", params=query, timeout=60))


@EXAMPLES
@given(raw=st.binary(max_size=200), kind=st.sampled_from(["application/json", "a/b", "", ";"]))
def test_bytes(server, session, raw, kind):
    check(session.post(server.model_url(), data=raw, headers={"Content-Type": kind}, timeout=60))


segments = st.text(
    st.characters(codec="utf-8", exclude_characters="\\"), min_size=1, max_size=12
) | st.sampled_from(["api", "models", "curso", "qa-pt", "resolve", "main", "tree", "..", "%2e%2e"])


@EXAMPLES
@given(
    path=st.lists(segments, min_size=1, max_size=6),
    query=st.dictionaries(st.sampled_from(["limit", "sort", "cursor", "expand", "search"]), words),
)
@pytest.mark.contract(task=("hub-models", "hub-files"), client="requests", direction="error")
def test_addresses(server, session, path, query):
    quoted = "/".join(requests.utils.quote(segment, safe="%") for segment in path)
    check(session.get(f"{server.url}/{quoted}", params=query, timeout=60))
