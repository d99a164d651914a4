"""A replica that is not active: never mounted itself; readers are shown a clone of the newest marker that it received.

So nothing changes under a reader, no receive waits for one, and where somebody still reads what was shown before, that
is what is shown until the next look.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from revertkit.drivers.zfs import lineage, online, openzfs
from revertkit.drivers.zfs.active import by_ssh
from revertkit.drivers.zfs.base import SECONDS_TO_END, ZfsBase
from revertkit.drivers.zfs.listing import MARKER, Dataset, Point
from revertkit.errors import BackendError
from revertkit.models import ExportLocation, Replica
from revertkit.status import ReplicaState
from revertkit.system import mounts, processes
from revertkit.system.mounts import Busy


class Following(ZfsBase):
    """How a replica is read, and how it goes offline."""

    def ensure_share(self, share: Replica) -> list[ExportLocation]:
        """Bring an active one online, or let one that follows be read, and not written to."""
        if share.state is ReplicaState.ACTIVE:
            if (seen := mounts.mounted_at(self._path(share))) and seen.source.startswith(self._shown_prefix(share)):
                self._take_offline(share, self._known(share))  # it has not become another one after all
            return super().ensure_share(share)
        found = self._known(share)
        if not (found.following or online.mounted(found.name)):
            mounts.mount(found.name, self._path(share), "zfs", ["zfsutil"])  # which replays its log
        if online.mounted(found.name):
            self._shut(share, found)
        if wrong := {prop: value for prop, value in self._settings(share).items() if found.settings[prop] != value}:
            openzfs.set_properties(found.name, wrong)
        marker = _newest_received(found, share)
        if marker is None:
            self._take_offline(share, found)
            return []
        shown = self._shown(marker)
        if shown not in marker.clones:
            openzfs.clone(marker.name, shown)
        return online.show(share, shown, self._shown_prefix(share), self._path(share), self._address)

    def _shown_prefix(self, share: Replica) -> str:
        return f"{self.options.pool}/shown-{share.id}-"

    def _shown(self, marker: Point) -> str:
        """Name the clone of a marker that readers are shown.

        A clone and not the marker itself: the root of a snapshot has another inode number in each, by which an NFS
        client that stays mounted finds that its root is stale (zfs_getattr_fast).
        """
        return f"{self.options.pool}/shown-{marker.short_name.removeprefix('marker-')}"

    def _unshow(self, points: Iterable[Point]) -> list[Point]:
        """Destroy what readers were shown of these; answer those of which nobody is shown anything."""
        mounted, free = {mount.source for mount in mounts.mounts()}, []
        for point in points:
            if mounted.isdisjoint(point.clones):
                for clone in point.clones:
                    if clone == self._shown(point):
                        openzfs.destroy(clone)
                free.append(point)
        return free

    def _shut(self, share: Replica, found: Dataset) -> None:
        """Take offline what was the active one. Who keeps it from that can read on, and write to it no more.

        Raises:
            Busy: somebody does.
        """
        try:
            self._take_offline(share, found)
        except Busy:
            openzfs.set_readonly((), found.name, readonly=True)
            raise

    def _take_offline(self, share: Replica, found: Dataset) -> None:
        """Unexport and unmount it, and its snapshots, as they are where it was active before.

        Raises:
            Busy: somebody uses it.
        """
        ours = {self._snapshot_path(p.snapshot_id): p.snapshot_id for p in found.snapshots if p.snapshot_id}
        for mount in online.mounts_of(found.name):
            if mount.target in ours:
                online.take_snapshot_offline(ours[mount.target], mount.target)
        online.take_offline(share, found.name, self._path(share))
        online.hide(share, self._path(share))
        self._unshow(p for p in found.snapshots if p.marker)

    def _let_go(self, share: Replica, found: Dataset, point: Point) -> None:
        """Destroy a snapshot of a share, whoever is being sent it.

        As long as another replica has no marker there to follow by, as after a revert, it may be all that they have in
        common: then it becomes a marker of the active one's own, which goes as soon as the others have followed.
        """
        processes.end(processes.of_transfer(sent=point.name), SECONDS_TO_END)
        if share.state is ReplicaState.ACTIVE and share.peers and lineage.unmarked(found, share.peers):
            openzfs.set_properties(point.name, {MARKER: share.id})
            openzfs.rename(point.name, openzfs.snapshot_name(found.name, lineage.marker_name(share.id)))
        else:
            openzfs.destroy_snapshot(point.name)

    def _is_shown(self, share: Replica) -> bool:
        return mounts.mounted_at(self._path(share)) is not None

    def _remove_mount_point(self, share: Replica) -> None:
        with suppress(OSError):  # gone, or not empty: not ours to clear
            self._path(share).rmdir()

    def _way_to(self, host: str) -> tuple[str, ...]:
        """Answer what stands before a command on another host.

        Raises:
            BackendError: no setting says how to reach it.
        """
        if (found := self.options.replication_hosts.get(host)) is None:
            raise BackendError(
                f"backend {self.backend} does not know how to reach host {host}: set replication_hosts (see "
                "docs/replication-zfs.md)"
            )
        return by_ssh(found, self.options.replication_key, self.options.replication_known_hosts)


def _newest_received(found: Dataset, share: Replica) -> Point | None:
    """Find the marker of its own that it received last; one that was active itself has none at first."""
    return next((p for p in reversed(found.snapshots) if p.marker == share.id), None)
