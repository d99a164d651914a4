"""Let the scenarios of this directory find what they share."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from lvm_bench import Bench, bench


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say what the machine lacks, instead of failing."""
    why = "LVM needs root" if os.geteuid() != 0 else "no device-mapper in this kernel"
    if os.geteuid() != 0 or not Path("/sys/class/misc/device-mapper").exists():
        for item in items:
            if "lvm" in item.path.name:
                item.add_marker(pytest.mark.skip(reason=why))


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker of scenarios that take many minutes on an emulated machine."""
    config.addinivalue_line("markers", "slow: takes many minutes on an emulated machine")


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
