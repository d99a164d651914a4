"""Fixtures of the API's tests: a manager on the memory backend, and callers of its API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import replicated
import support
from asking import CALLERS, As, Client, client_of, settled

from revertkit.drivers.memory import MemoryDriver
from revertkit.manager import ShareManager


@pytest.fixture
def served(state: Path) -> Iterator[ShareManager]:
    """A manager whose operations are over when they are accepted."""
    MemoryDriver.reset()
    manager = support.open_manager(state, "memory", dispatch=settled)
    yield manager
    manager.site.store.engine.dispose()
    MemoryDriver.reset()


@pytest.fixture
def api(served: ShareManager) -> Iterator[Client]:
    """The administrator of one project, at the newest microversion."""
    with client_of(served, As(CALLERS)) as http:
        yield Client(http)


@pytest.fixture
def replicating(state: Path) -> Iterator[ShareManager]:
    """A manager of two backends that replicate with each other, and a share type for it."""
    MemoryDriver.reset()
    manager = replicated.open_manager(state, "fast", "far", dispatch=settled)
    replicated.replicated(manager)
    yield manager
    manager.site.store.engine.dispose()
    MemoryDriver.reset()
