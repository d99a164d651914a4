"""Let the scenarios of this directory find what they share."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from lvm_bench import Bench, bench
from zfs_bench import Backend, backend_of_its_own


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


@pytest.fixture
def backend() -> Iterator[Backend]:
    """A ZFS driver below a dataset of its own."""
    with backend_of_its_own() as made:
        yield made
