"""What several tests of the helpers share."""

import logging

import pytest


@pytest.fixture
def complaints():
    """What transformers logs as a warning or worse; its logger does not propagate to pytest's."""
    records = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = records.append
    logger = logging.getLogger("transformers")
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)
