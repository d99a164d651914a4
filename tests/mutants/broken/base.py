"""What broken drivers are made of: each does one thing wrong that has gone wrong somewhere."""

from __future__ import annotations

from typing import ClassVar

from revertkit.conformance.harnesses.directory import DirectoryHarness
from revertkit.conformance.harnesses.memory import MemoryHarness
from revertkit.drivers.memory import MemoryDriver
from revertkit.drivers.memory.storage import STORAGE, Kept, Volume
from revertkit.models import (
    Replica,
    SnapshotInstance,
)


class InMemory(MemoryHarness):
    """On which broken drivers of memory are tested."""


class InDirectories(DirectoryHarness):
    """On which broken drivers of directories are tested."""


class Broken(MemoryDriver):
    """What most of them are."""

    api_version: ClassVar[int] = 1
    seen_by: ClassVar[str]
    """The case that has to fail."""

    def held(self, share: Replica) -> Volume:
        """What is stored of a share."""
        return STORAGE[self.backend][share.id]

    def target(self, snapshot: SnapshotInstance) -> Kept:
        """What is stored of a snapshot."""
        found = self.held(snapshot.replica).ours(snapshot.snapshot_id)
        assert found is not None
        return found
