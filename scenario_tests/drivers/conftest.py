"""Let the scenarios of this directory find what they share."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker of scenarios that take many minutes on an emulated machine."""
    config.addinivalue_line("markers", "slow: takes many minutes on an emulated machine")
