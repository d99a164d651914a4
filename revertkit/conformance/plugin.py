"""The door for pytest, an entry point of the group ``pytest11``: cheap, since pytest opens it at every start.

The suite's options are only there where it is meant: ``--pyargs revertkit.conformance``, or ``revertkit_harness`` in
pytest's settings. Their plain names (``--driver``, ``--config``, …) are taken by other plugins elsewhere.
"""

from __future__ import annotations

import pytest

SUITE = "revertkit.conformance"
HARNESS = "revertkit_harness"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the one setting that is always known."""
    parser.addini(HARNESS, "revertkit: the harness (package.module:Class) whose driver the conformance suite tests")
