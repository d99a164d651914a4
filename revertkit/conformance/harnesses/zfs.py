"""The harness of the ZFS driver, on the pool of a settings file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from revertkit.conformance.harness import LocalHarness
from revertkit.drivers.zfs import openzfs
from revertkit.models import GIB, Replica, SnapshotInstance, new_id
from revertkit.system import nfs
from revertkit.system.run import run

PEER_BYTES = 4 * GIB
"""Sparse; it takes what the replicas hold."""


class ZfsHarness(LocalHarness):
    """What an operator does by hand, with zfs(8). Its datasets and snapshots are found again by their guid."""

    driver = "zfs"
    inapplicable = {  # noqa: RUF012 - as in its base
        "spoil_snapshot": "a ZFS snapshot is either there or not",
        "no_room": "a rollback on ZFS gives room back",
    }

    @contextmanager
    def storage(self, home: Path) -> Iterator[Mapping[str, Any]]:
        """Use the pool, and keep in mind what is in it already."""
        with super().storage(home) as options, ExitStack() as self._until_the_end:
            self.options, self._home = dict(options), home
            self._before = set(self._guids().values())
            yield options

    @property
    def _pool(self) -> str:
        return str(self.options["pool"])

    def _guids(self) -> dict[str, str]:
        """List all that is in the pool, names by guid."""
        said = _zfs("list", "-H", "-r", "-t", "filesystem,snapshot", "-o", "guid,name", self._pool)
        return dict(line.split("\t") for line in said.splitlines())

    def _destroy(self, guid: str) -> None:
        """Destroy something under whatever name it has by now, if it is there."""
        if name := self._guids().get(guid):
            _zfs("destroy", name)

    def _guid(self, name: str) -> str:
        return _zfs("get", "-H", "-o", "value", "guid", name).strip()

    # --- hooks

    def peer(self) -> tuple[str, Mapping[str, Any]]:
        """Make a pool for replicas, on a file of this run, which goes with it."""
        pool, file = f"revertkit-peer-{new_id()[:8]}", self._home / "peer"
        with file.open("wb") as made:
            made.truncate(PEER_BYTES)
        openzfs.make_pool(pool, file)
        self._until_the_end.callback(openzfs.destroy_pool, pool)
        shown = {"mount_root": str(self._home / "replicas"), "pool": pool}
        return f"{self.backend}-peer", {**self.options, **shown}

    def exported(self, share: Replica) -> object:
        """Ask the NFS server."""
        return nfs.serving(share.share_id)

    @contextmanager
    def foreign_snapshot(self, share: Replica) -> Iterator[Callable[[], str]]:
        """Take one with zfs(8)."""
        _zfs("snapshot", full := f"{self._pool}/share-{share.id}@by-hand-{new_id()[:8]}")
        guid = self._guid(full)
        try:
            yield lambda: self._guids().get(guid, "").rpartition("@")[2]
        finally:
            self._destroy(guid)

    @contextmanager
    def foreign_share(self, size: int) -> Iterator[Callable[[], str]]:
        """Make a dataset."""
        full = f"{self._pool}/by-hand-{new_id()[:8]}"
        _zfs("create", "-o", f"refquota={size}G", "-o", "canmount=noauto", "-o", "acltype=posix", full)
        guid = self._guid(full)
        try:
            yield lambda: self._guids().get(guid, "")
        finally:
            self._destroy(guid)

    def leftovers(self, shares: Sequence[Replica], snapshots: Sequence[SnapshotInstance]) -> Sequence[str]:
        """Look for datasets and snapshots that nothing on record accounts for, and that were not there before."""
        known = {f"{self._pool}/share-{share.id}" for share in shares}
        known |= {f"{self._pool}/share-{one.replica.id}@snap-{one.snapshot_id}" for one in snapshots}
        markers = tuple(
            begin for share in shares if share.peers for begin in _beginnings_of_markers(self._pool, share.id)
        )
        left = set(self._guids().values()) - known - self._before
        return sorted(name for name in left if not name.startswith(markers))


def _beginnings_of_markers(pool: str, replica_id: str) -> tuple[str, str]:
    """Say how what marks the progress of replicas is called, and what readers of one are shown."""
    return f"{pool}/share-{replica_id}@marker-", f"{pool}/shown-{replica_id}-"


def _zfs(*argv: str) -> str:
    return run(["zfs", *argv], changes=False).stdout
