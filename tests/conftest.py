"""Fixtures for all tests: a clean environment, a fast place for state, managers on both backends."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import support

from revertkit.drivers.memory import MemoryDriver
from revertkit.manager import ShareManager

hypothesis.settings.register_profile("revertkit", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("revertkit")


@pytest.fixture(autouse=True)
def _quiet() -> None:
    """Log nothing: what goes wrong here goes wrong on purpose. A command under test may set up a log of its own."""
    log = logging.getLogger("revertkit")
    log.handlers, log.propagate = [], True
    log.setLevel(logging.CRITICAL)


@pytest.fixture(scope="session", autouse=True)
def _nobody_elses_settings() -> Iterator[None]:
    """Keep the environment of whoever runs the tests out of them."""
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("REVERTKIT_")]:
            environment.delenv(name)
        yield


@pytest.fixture(scope="session")
def fast_root() -> Iterator[Path]:
    """A directory in memory where there is one: what is tested here is order, not the disk."""
    shm = Path("/dev/shm")
    root = Path(tempfile.mkdtemp(prefix="revertkit-", dir=shm if os.access(shm, os.W_OK) else None)).resolve()
    yield root
    shutil.rmtree(root)


@pytest.fixture(scope="session")
def template(fast_root: Path) -> Path:
    """A state directory with an empty database of today's version and one share type, to copy."""
    state = fast_root / "template"
    manager = support.open_manager(state)
    support.revertible(manager)
    manager.site.store.engine.dispose()
    return state


@pytest.fixture
def state(fast_root: Path, template: Path) -> Iterator[Path]:
    """A state directory of the test's own."""
    path = Path(tempfile.mkdtemp(dir=fast_root))
    shutil.copytree(template, path, dirs_exist_ok=True)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def manager(state: Path) -> Iterator[ShareManager]:
    """A manager on the memory backend."""
    MemoryDriver.reset()
    manager = support.open_manager(state, "memory")
    yield manager
    manager.site.store.engine.dispose()
    MemoryDriver.reset()


@pytest.fixture
def directory(state: Path) -> Iterator[ShareManager]:
    """A manager on the directory backend."""
    manager = support.open_manager(state)
    yield manager
    manager.site.store.engine.dispose()
