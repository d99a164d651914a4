"""The harness of the in-memory driver: an example of one whose shares are no directories, with hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from revertkit.conformance.harness import Harness
from revertkit.conformance.trees import MappingTree, Tree
from revertkit.drivers.memory import MemoryDriver
from revertkit.drivers.memory.storage import STORAGE, Files, Volume
from revertkit.models import GIB, ExportLocation, Replica, SnapshotInstance, new_id


class _Volume(MappingTree):
    """A share, which is as large as its volume."""

    def __init__(self, harness: MemoryHarness, share: Replica) -> None:
        self._volume = harness.volume(share)
        super().__init__(Files(self._volume))

    def capacity(self) -> int | None:
        """Tell the volume's size."""
        return self._volume.size * GIB

    def identity(self) -> object:
        """Tell the id of its file system."""
        return self._volume.filesystem


class MemoryHarness(Harness):
    """Storage that is gone with the process, so that deaths in it are played."""

    driver = "memory"
    inapplicable = {  # noqa: RUF012 - as in its base
        "hold": "memory is not kept open by anybody",
        "spoil_snapshot": "a snapshot in memory is never unsound",
        "no_room": "a revert in memory needs no room",
    }
    outlives_process = False
    reads_snapshots = True

    @contextmanager
    def storage(self, home: Path) -> Iterator[Mapping[str, Any]]:
        """Begin with nothing, and forget all afterwards."""
        for backend in (self.backend, self._peer):
            STORAGE.pop(backend, None)
        try:
            yield self.configured
        finally:
            for backend in (self.backend, self._peer):
                STORAGE.pop(backend, None)

    def tree(self, share: Replica, locations: Sequence[ExportLocation]) -> Tree:
        """Reach it through the driver's own way for users."""
        return _Volume(self, share)

    def snapshot_tree(self, snapshot: SnapshotInstance, locations: Sequence[ExportLocation]) -> Tree:
        """Likewise."""
        return MappingTree(MemoryDriver(self._of(snapshot.replica), MemoryDriver.Options()).snapshot_files(snapshot))

    @property
    def _driver(self) -> MemoryDriver:
        return MemoryDriver(self.backend, MemoryDriver.Options())

    @property
    def _peer(self) -> str:
        return f"{self.backend}-peer"

    def _of(self, share: Replica) -> str:
        return share.backend or self.backend

    def volume(self, share: Replica) -> Volume:
        """Find what is stored of a share."""
        return STORAGE[self._of(share)][share.id]

    # --- hooks

    def peer(self) -> tuple[str, Mapping[str, Any]]:
        """Take another part of memory."""
        return self._peer, {}

    def exported(self, share: Replica) -> object:
        """Name addresses and levels."""
        return [(rule.access_to, rule.access_level) for rule in self.volume(share).exported_to]

    @contextmanager
    def foreign_snapshot(self, share: Replica) -> Iterator[Callable[[], str]]:
        """Plant one without a mark."""
        name = f"by-hand-{new_id()[:8]}"
        self._driver.plant_snapshot(share, name)
        try:
            yield lambda: name if name in self.volume(share).snapshots else ""
        finally:
            self.volume(share).snapshots.pop(name, None)

    @contextmanager
    def foreign_share(self, size: int) -> Iterator[Callable[[], str]]:
        """Plant a volume without a mark."""
        name = f"by-hand-{new_id()[:8]}"
        self._driver.plant(name, size, {})
        planted = STORAGE[self.backend][name]
        try:
            yield lambda: self._called(planted)
        finally:
            STORAGE[self.backend].pop(self._called(planted), None)

    def _called(self, planted: Volume) -> str:
        return next((name for name, volume in STORAGE[self.backend].items() if volume is planted), "")

    def leftovers(self, shares: Sequence[Replica], snapshots: Sequence[SnapshotInstance]) -> Sequence[str]:
        """Look for volumes, snapshots and discarded data that nothing on record accounts for."""
        ids = {share.id for share in shares}
        known = {snapshot.snapshot_id for snapshot in snapshots}
        held = STORAGE.get(self.backend, {})
        ours = {name: volume for name, volume in held.items() if name in ids}
        strange = [
            f"{name}@{s}" for name, v in ours.items() for s, kept in v.snapshots.items() if kept.mark not in known
        ]
        discarded = [f"{name}: what was discarded" for name, volume in ours.items() if volume.aside is not None]
        return [*(held.keys() - ours.keys()), *strange, *discarded]
