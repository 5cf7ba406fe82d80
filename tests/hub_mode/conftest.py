"""The replay of the Hub, one for the session; and the tools that other tests have for notebooks."""

import sys
from pathlib import Path

import pytest
import replay_hub

TOOLS = str(Path(__file__).parents[1] / "notebooks")
if TOOLS not in sys.path:  # for exercise_runs and rules
    sys.path.append(TOOLS)


@pytest.fixture(scope="session")
def hub():
    with replay_hub.running() as started:
        yield started
