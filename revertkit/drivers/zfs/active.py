"""The active replica as one that follows it reaches it: on this host, or on another one by ssh(1).

Elsewhere the same few commands run under a key that can do nothing else (:mod:`~revertkit.drivers.zfs.send_server`,
docs/replication-zfs.md). They are written here, so that what is sent there and what is let through cannot part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from revertkit.drivers.zfs import lineage, openzfs, streams
from revertkit.drivers.zfs.listing import Dataset, Point
from revertkit.errors import BackendError

SSH = ("ssh", "-T", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes")
ALIVE = ("-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4")
"""A host that goes away in the middle of a stream is given up after a minute."""


def by_ssh(destination: str, key: Path, known_hosts: Path) -> tuple[str, ...]:
    """What stands before a command that runs at `destination` (``user@host``), whose host key has to be known."""
    return (*SSH, *ALIVE, "-o", f"UserKnownHostsFile={known_hosts}", "-i", str(key), "--", destination)


@dataclass(frozen=True)
class Active:
    """One active replica, by its dataset; `via` is what stands before a command that runs on its host."""

    name: str
    via: tuple[str, ...] = ()

    def look(self) -> Dataset:
        """Look at it.

        Raises:
            CommandFailed: it is missing, or its host cannot be reached.
        """
        return openzfs.look_over(self.via, self.name)

    def mark(self, replica_id: str) -> tuple[Point, Dataset]:
        """Take a marker of the replica's progress, with all that was written by now; answer it, and a look after it."""
        name = openzfs.snapshot_name(self.name, lineage.marker_name(replica_id))
        openzfs.mark(self.via, name, replica_id)
        there = self.look()
        found = next((p for p in there.snapshots if p.name == name), None)
        if found is None:
            raise BackendError(f"{name} is gone just after it was taken: the active replica was reverted")
        return found, there

    def set_readonly(self, readonly: bool) -> None:
        """Let nobody write to it, whatever is open there; or let it be written to again."""
        openzfs.set_readonly(self.via, self.name, readonly=readonly)

    def send(self, point: Point, base: Point | None, target: str, told: streams.Progress) -> None:
        """Send a snapshot to `target` on this host: what has changed since `base`, or (the first copy) all of it."""
        argv = streams.send(point.name, base.name if base else None)
        openzfs.transfer(self.via, argv, point.name, target, first=base is None, told=told)

    def resume(self, token: str, point: Point, target: str, told: streams.Progress, *, first: bool) -> None:
        """Go on with a send that was cut."""
        openzfs.transfer(self.via, streams.resume(token), point.name, target, first=first, told=told)

    def received(self, marker: Point) -> None:
        """Say on a marker that its replica holds it."""
        openzfs.mark_received(self.via, marker)

    def forget(self, markers: Sequence[Point]) -> None:
        """Destroy markers that nobody needs any more."""
        for marker in markers:
            openzfs.forget(self.via, marker)
