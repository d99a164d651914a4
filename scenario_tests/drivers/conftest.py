"""Let the scenarios of this directory find what they share."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from lvm_bench import KINDS, Bench, bench
from replica_bench import Pair, pair_of_its_own
from zfs_bench import Backend, backend_of_its_own


@pytest.fixture(params=KINDS)
def each(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A share of each kind of backend."""
    made = bench(request.param, percent=20)
    yield made
    made.clear()


@pytest.fixture(params=["thin-ext4", "thin-xfs"])
def thin(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A share in a thin pool."""
    made = bench(request.param)
    yield made
    made.clear()


@pytest.fixture
def small() -> Iterator[Bench]:
    """A thick ext4 share whose snapshots have room for a fifth of it, so that several fit."""
    made = bench(percent=20)
    yield made
    made.clear()


@pytest.fixture
def backend() -> Iterator[Backend]:
    """A ZFS driver below a dataset of its own."""
    with backend_of_its_own() as made:
        yield made


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A ZFS share and room for its replicas on another zpool."""
    with pair_of_its_own() as made:
        yield made
