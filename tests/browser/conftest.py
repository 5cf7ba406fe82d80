"""A real browser: Debian's Chromium, driven by Playwright.

Where Chromium is missing these tests are skipped, unless COURSE_BROWSER=required, which CI sets.
Screenshots are left in `executed/browser/`, to be looked at.
"""

import pytest

from tests.browser import lab_server

SCREENSHOTS = lab_server.SCREENSHOTS


@pytest.fixture(scope="module")
def chromium():
    """The browser's path."""
    return lab_server.find_chromium() or pytest.skip("Chromium is not installed")


@pytest.fixture(scope="module")
def browser(chromium):
    pytest.importorskip("playwright.sync_api")
    with lab_server.running_chromium(chromium) as opened:
        yield opened
