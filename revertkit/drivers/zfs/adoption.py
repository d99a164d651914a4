"""Adopting datasets and snapshots that exist already, and letting go of them; guids and content stay as they are.

Both are a rename and then our properties, which say that it is finished. So a crash in between leaves a thing that has
our name and no id, and the repeated call goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

from revertkit.driver import SupportsManage, SupportsManageSnapshots
from revertkit.drivers.zfs import checks, online, openzfs
from revertkit.drivers.zfs.base import ZfsBase
from revertkit.drivers.zfs.listing import REVERTING, SHARE, SIZE, SNAPSHOT, Dataset, Point
from revertkit.errors import Blocked, InvalidInput
from revertkit.models import GIB, Blocker, FoundShare, FoundSnapshot, Replica, SnapshotInstance, Stored
from revertkit.system import mounts

PREFIX = "share-"


class Adopting(ZfsBase, SupportsManage, SupportsManageSnapshots):
    """The verbs of managing, and the inventory."""

    def manage_share(self, share: Replica, existing: str) -> Stored:
        """Adopt a dataset of the same zpool: it gets our name, settings and id.

        Its size is its refquota; without one it gets as many GiB as it uses, and can be extended afterwards.
        """
        name = self._name(share)
        found = openzfs.look(name)
        if found is None:
            found = self._adoptable(existing)
            openzfs.rename(found.name, name)
        elif found.share_id not in (None, share.share_id):
            raise Blocked(_taken(name, f"is share {found.share_id}"))
        if found.reverting is not None:
            self._refuse_halfway(found, share)
        size = _size(found)
        quota = checks.refquota(size, found.space["referenced"])
        openzfs.set_properties(name, self._settings(share) | {"refquota": str(quota), SHARE: share.share_id})
        return self._stored(share)

    def _adoptable(self, existing: str) -> Dataset:
        pool, name = openzfs.pool_of(self.options.pool), openzfs.checked(existing)
        if openzfs.pool_of(name) != pool or name == self.options.pool:
            raise InvalidInput(f"{name} is no dataset that can be moved below {self.options.pool}: name one of {pool}")
        if (found := openzfs.look(name)) is None:
            raise Blocked(Blocker(kind="missing", what=f"there is no dataset {name}", mend="see `zfs list`"))
        if blockers := list(_unadoptable(found)):
            raise Blocked(*blockers)
        return found

    def unmanage_share(self, share: Replica) -> None:
        """Take it offline and our ids off it. Its name, refquota and ``canmount=noauto`` stay."""
        found = openzfs.look(self._name(share))
        if found is None or found.share_id is None:
            return
        if stranger := checks.stranger(found, share, found.name):
            raise Blocked(stranger)
        if found.reverting is not None:
            self._refuse_halfway(found, share)
        with self._put_back(share):
            online.take_offline(share, found.name, self._path(share))
        openzfs.clear(found.name, REVERTING, SHARE)
        with suppress(OSError):  # gone, or not empty: not ours to clear
            self._path(share).rmdir()

    def manage_snapshot(self, snapshot: SnapshotInstance, existing: str) -> Stored:
        """Adopt a snapshot of the share, named in full or by what stands after the ``@``.

        ZFS does not know what the refquota was when it was taken: unless the snapshot itself says so, as one of ours
        does, the share's size now counts as its size, or as many GiB as it refers to where that is more.
        """
        found, name = self._known(snapshot.replica), self._snapshot_name(snapshot)
        if found.reverting is not None:
            self._refuse_halfway(found, snapshot.replica)
        point = self._point(found, snapshot)
        if point is None:
            point = self._adoptable_point(found, existing)
            openzfs.rename(point.name, name)
        elif point.snapshot_id not in (None, snapshot.snapshot_id):
            raise Blocked(_taken(name, f"is snapshot {point.snapshot_id}"))
        size = point.size or max(snapshot.replica.size, _gib(point.referenced))
        openzfs.set_properties(name, {SNAPSHOT: snapshot.snapshot_id, SIZE: str(size)})
        _, point = self._known_pair(snapshot)
        return Stored(backend_id=point.guid, size=checks.recorded_size(point, snapshot))

    def _adoptable_point(self, found: Dataset, existing: str) -> Point:
        short_name = existing.removeprefix(f"{found.name}@")
        full = openzfs.snapshot_name(found.name, short_name)
        if (point := found.snapshot(short_name)) is None:
            raise Blocked(
                Blocker(kind="missing", what=f"there is no snapshot {full}", mend="see `zfs list -t snapshot`")
            )
        if point.snapshot_id is not None:
            raise Blocked(_taken(full, f"is snapshot {point.snapshot_id}"))
        if point.marker is not None:
            raise Blocked(_taken(full, f"marks the progress of replica {point.marker}, and will be destroyed"))
        if newer := [p for p in found.newer(point) if p.snapshot_id]:
            what = f"{full} is older than {newer[-1].name}, and only one newer than every managed snapshot can follow"
            raise Blocked(Blocker(kind="older", what=what, mend="unmanage or delete those first"))
        return point

    def unmanage_snapshot(self, snapshot: SnapshotInstance) -> None:
        """Take it offline and our ids off it; its name stays. It is in the way of a revert to an older one."""
        point = self._found_point(openzfs.look(self._name(snapshot.replica)), snapshot)
        with self._snapshot_put_back(snapshot):
            online.take_snapshot_offline(snapshot.snapshot_id, self._snapshot_path(snapshot.snapshot_id))
        if point is not None:
            openzfs.clear(point.name, SIZE, SNAPSHOT)

    def inventory(self) -> list[FoundShare]:
        """List every dataset below ours that carries our id, with its snapshots, by one zfs(8).

        A replica that is not active is none: what is written to it is lost at its next look.
        """
        return [
            FoundShare(
                existing=found.name,
                replica_id=found.name.rpartition("/")[2].removeprefix(PREFIX),
                share_id=found.share_id,
                pool=self.options.pool,
                size=_size(found),
                snapshots=tuple(_told(p, p.snapshot_id, found) for p in found.snapshots if p.snapshot_id),
            )
            for found in openzfs.look_below(self.options.pool)
            if found.share_id is not None and not found.following
        ]


def _unadoptable(found: Dataset) -> Iterator[Blocker]:
    if found.share_id is not None:
        yield _taken(found.name, f"is share {found.share_id}")
        return
    for child in found.children:
        yield Blocker(kind="children", what=f"{found.name} has the child {child}", mend="move it elsewhere: zfs rename")
    for mount in online.mounts_of(found.name):
        what = f"{mount.source} is mounted at {mount.target}"
        yield Blocker(kind="mounted", what=what, mend=f"zfs unmount {mount.source}")
        yield from mounts.users(mount.target)
    if found.space["refquota"] % GIB:
        what = f"the refquota of {found.name} is {found.space['refquota']} bytes, no whole number of GiB"
        yield Blocker(kind="size", what=what, mend=f"zfs set refquota={_size(found)}G {found.name}")


def _taken(name: str, what: str) -> Blocker:
    return Blocker(kind="identity", what=f"{name} {what}", mend="it is managed already: name another")


def _size(found: Dataset) -> int:
    return _gib(found.space["refquota"] or found.space["referenced"])


def _gib(size: int) -> int:
    """Round up to whole GiB, at least one."""
    return max(1, -(-size // GIB))


def _told(point: Point, snapshot_id: str, found: Dataset) -> FoundSnapshot:
    return FoundSnapshot(
        existing=point.name,
        snapshot_id=snapshot_id,
        size=point.size or _size(found),
        created_at=datetime.fromtimestamp(point.creation, UTC),
    )
