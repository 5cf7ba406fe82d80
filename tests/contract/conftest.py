"""Fixtures of the contract tests: one server for the session, and two clients of it."""

import pytest
import requests
from wire_server import running_server, token_for

from tests.caches import share_all


@pytest.fixture(scope="session")
def wire_cache(tmp_path_factory):
    """A cache folder with its own secret and record, and the built models of the real one."""
    folder = tmp_path_factory.mktemp("cache")
    share_all(folder)
    return folder


@pytest.fixture(scope="session")
def server(wire_cache):
    with running_server(wire_cache) as started:
        yield started


@pytest.fixture(scope="module")
def session(server):
    """Connections to the server that are kept open, with a token."""
    with requests.Session() as opened:
        opened.headers.update(server.headers)
        yield opened


@pytest.fixture
def other_headers(wire_cache, server):
    return {"Authorization": f"Bearer {token_for(wire_cache, 'outra')}"}


@pytest.fixture(scope="session")
def uploads(tmp_path_factory):
    """A server that learners write to, so that the other one's lists stay as they are."""
    folder = tmp_path_factory.mktemp("uploads")
    share_all(folder)
    with running_server(folder) as started:
        yield started
