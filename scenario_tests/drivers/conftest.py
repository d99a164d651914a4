"""Let the scenarios of this directory find what they share."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from lvm_bench import Bench, bench


@pytest.fixture
def roomy() -> Iterator[Bench]:
    """A share whose snapshots have room for every change."""
    made = bench()
    yield made
    made.clear()


@pytest.fixture
def small() -> Iterator[Bench]:
    """A share whose snapshots have room for a fifth of it, so that several fit."""
    made = bench(percent=20)
    yield made
    made.clear()
