"""Fixtures shared by the tests that read or run the course's notebooks."""

import rules


def pytest_generate_tests(metafunc):
    """Run a test that asks for `notebook` once per notebook; skip it when there is none."""
    if "notebook" in metafunc.fixturenames:
        paths = rules.notebook_paths()
        metafunc.parametrize("notebook", paths, ids=[path.stem[:2] for path in paths])
