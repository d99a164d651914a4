"""The door for pytest, an entry point of the group ``pytest11``: cheap, since pytest opens it at every start.

The suite's options are only there where it is meant: ``--pyargs revertkit.conformance``, or ``revertkit_harness`` in
pytest's settings. Elsewhere their plain names (``--driver``, ``--config``, …) are other plugins'.
"""

from __future__ import annotations

import pytest

SUITE = "revertkit.conformance"
HARNESS = "revertkit_harness"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the one setting that is always known."""
    parser.addini(HARNESS, "revertkit: the harness (package.module:Class) whose driver the conformance suite tests")


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known, to whoever imports cases."""
    config.addinivalue_line("markers", "behaviour(*numbers): revertkit: what a driver must do, by its number")
    config.addinivalue_line("markers", "requires(*names): revertkit: what a case needs")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, parser: pytest.Parser, args: list[str]) -> None:
    """Bring the suite in, with its options, where the command line or the settings ask for it."""
    if any(word.startswith(SUITE) for word in args) or early_config.getini(HARNESS):
        from revertkit.conformance import session

        session.add_options(parser)
        early_config.pluginmanager.register(session, "revertkit-conformance")
