"""Odd requests to every task of the inference API: valid ones, broken ones, spoiled media."""

import fuzzing
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.embedded.catalog import catalog
from helpers.embedded.tasks import HANDLERS, SERVED_TASKS


def model_for(task):
    """Return the first model of the catalog that serves a task."""
    models = (one for one in catalog().repositories.values() if one.kind == "model")
    return next((one.id for one in models if task in SERVED_TASKS.get(one.task, ())), None)


TASKS = [task for task in HANDLERS if model_for(task)]
MEDIA_TASKS = [task for task in TASKS if task in fuzzing.MEDIA]


def url_for(server, task):
    return server.model_url(model_for(task), f"/pipeline/{task}")


def test_every_task_has_schemas_to_draw_from():
    assert set(HANDLERS) <= set(fuzzing.REQUESTS)


@pytest.mark.parametrize("task", TASKS)
def test_bodies(server, session, task):
    url = url_for(server, task)

    @fuzzing.profile(task)
    @given(body=fuzzing.body(task))
    def try_out(body):
        fuzzing.send(session, url, body)

    try_out()


@pytest.mark.parametrize("task", MEDIA_TASKS)
def test_media(server, session, task):
    url, (_, content_type) = url_for(server, task), fuzzing.MEDIA[task]
    types = st.sampled_from([content_type, "application/octet-stream", "image/gif", "audio/mpeg"])

    @fuzzing.profile(task)
    @given(data=fuzzing.spoiled_media(task) | st.binary(max_size=200), sent_as=types)
    def try_out(data, sent_as):
        fuzzing.send_bytes(session, url, data, sent_as)

    try_out()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("depth", [50, 480, 900, 960, 990, 2_000])
def test_deep_values(server, session, task, depth):
    """Values nested about as deeply as Python can read, wherever a task looks."""
    deep = "[" * depth + "]" * depth
    names = list(fuzzing.REQUESTS[task]["parameters"])
    parameters = ", ".join(f'"{name}": {deep}' for name in names[:1])
    for body in (f'{{"inputs": {deep}}}', f'{{"inputs": "a", "parameters": {{{parameters}}}}}'):
        url = url_for(server, task)
        fuzzing.send_bytes(session, url, body.encode(), "application/json")
