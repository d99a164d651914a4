"""The ZFS driver: a dataset per share, its size as refquota, reverted in place by ``lzc_rollback_to``."""

from __future__ import annotations

from contextlib import suppress
from typing import ClassVar

from revertkit.driver import (
    SupportsAccessRules,
    SupportsCreateFromSnapshot,
    SupportsExtend,
    SupportsMountableSnapshots,
    SupportsShrink,
    SupportsSnapshots,
)
from revertkit.drivers.zfs import checks, online, openzfs
from revertkit.drivers.zfs.adoption import Adopting
from revertkit.drivers.zfs.base import ACLS
from revertkit.drivers.zfs.listing import SHARE, Dataset
from revertkit.drivers.zfs.options import host_lacks
from revertkit.drivers.zfs.replication import Replicating
from revertkit.errors import Blocked, CommandFailed
from revertkit.models import GIB, Blocker, ExportLocation, Lack, Pool, Replica, SnapshotInstance, Stored
from revertkit.status import ReplicaState
from revertkit.system import nfs


class ZfsDriver(
    Replicating,
    Adopting,
    SupportsSnapshots,
    SupportsMountableSnapshots,
    SupportsCreateFromSnapshot,
    SupportsExtend,
    SupportsShrink,
    SupportsAccessRules,
):
    """Shares on one zpool, or under one dataset of it."""

    api_version: ClassVar[int] = 1

    @classmethod
    def probe(cls) -> list[Lack]:
        """Name what this host lacks for ZFS, by Debian's packages."""
        return host_lacks()

    def pools(self) -> list[Pool]:
        """The zpool, or the dataset in it, is the one pool; refquota reserves nothing, so shares may promise more."""
        name = self.options.pool
        (used, free), health = openzfs.capacity(name), openzfs.health(name)
        lacks = tuple(checks.lacks(openzfs.pool_of(name), health))
        extra = {"thin_provisioning": True, "max_over_subscription_ratio": self.options.max_over_subscription_ratio}
        return [Pool(name=name, total_bytes=used + free, free_bytes=free, lacks=lacks, extra=extra)]

    # --- shares

    def create_share(self, share: Replica) -> Stored:
        """Make the dataset, neither mounted nor exported yet."""
        name = self._name(share)
        if openzfs.look(name) is None:
            openzfs.create(name)
        found = self._there(share)
        if found.share_id is None and not found.points:
            self._finish_making(share, found)
        return self._stored(share)

    def create_share_from_snapshot(self, share: Replica, snapshot: SnapshotInstance) -> Stored:
        """Copy the snapshot by a local send and receive: a clone would pin it, and with it the way back past it."""
        (_, source), name = self._known_pair(snapshot), self._name(share)
        seed = self._seed(share)
        if openzfs.look(name) is None:
            openzfs.copy(source.name, seed)
        found = self._there(share)
        if found.share_id is None:
            if [p.guid for p in found.points] != [source.guid]:
                raise Blocked(checks.foreign(name, f"is no copy of {source.name}"))
            self._finish_making(share, found)
        stored = self._stored(share)
        openzfs.destroy_snapshot(seed)
        return stored

    def _finish_making(self, share: Replica, found: Dataset) -> None:
        """Turn a dataset that has its content into the share; the id is what says that it is finished."""
        openzfs.set_properties(found.name, {**self._fitting(share, found), **ACLS, SHARE: share.share_id})

    def delete_share(self, share: Replica) -> None:
        """Take the share offline and destroy its dataset.

        Raises:
            Blocked: it is not ours, in use, or has a snapshot or child that nobody on record knows.
        """
        name, path = self._name(share), self._path(share)
        found = openzfs.look(name)
        if found is not None:
            _refuse_to_destroy(found, share, self._seed(share))
        with self._put_back(share):
            online.take_offline(share, name, path)
        if found is not None and found.snapshots:
            openzfs.destroy_snapshot(self._seed(share))
            openzfs.destroy_exactly(name, [p for p in found.snapshots if p.marker])
        openzfs.destroy(name)
        with suppress(OSError):  # gone, or not empty: not ours to clear
            path.rmdir()

    # --- snapshots

    def create_snapshot(self, snapshot: SnapshotInstance) -> Stored:
        """Take the snapshot, with its id and the share's size on it, in one transaction.

        Of a share that is not mounted it would lack what was synced before a power cut: a mount replays that.
        """
        found, name = self._known(snapshot.replica), self._snapshot_name(snapshot)
        if found.reverting is not None:
            self._refuse_halfway(found, snapshot.replica)
        if self._point(found, snapshot) is None:
            if not online.mounted(found.name):
                self.ensure_share(snapshot.replica)
            openzfs.snapshot(name, snapshot.snapshot_id, snapshot.size)
        _, point = self._known_pair(snapshot)
        return Stored(backend_id=point.guid, size=checks.recorded_size(point, snapshot))

    def delete_snapshot(self, snapshot: SnapshotInstance) -> None:
        """Take the snapshot offline and destroy it.

        Raises:
            Blocked: it is not the one on record, or somebody else keeps it: a reader, a clone, a hold, a send. It is
                online if it was.
        """
        found = openzfs.look(self._name(snapshot.replica))
        point = self._found_point(found, snapshot)
        with self._snapshot_put_back(snapshot):
            if snapshot.replica.state is ReplicaState.ACTIVE:
                online.take_snapshot_offline(snapshot.snapshot_id, self._snapshot_path(snapshot.snapshot_id))
            if found is not None and point is not None:
                self._let_go(snapshot.replica, found, point)

    def ensure_snapshot(self, snapshot: SnapshotInstance) -> list[ExportLocation]:
        """Mount and export the snapshot by its own rules, read-only; a revert of the share leaves it so."""
        _, point = self._known_pair(snapshot)
        path = self._snapshot_path(snapshot.snapshot_id)
        return online.bring_snapshot_online(snapshot, point.name, path, self._address)

    def refused_rules(self, snapshot: SnapshotInstance) -> dict[str, str]:
        """Say which rules cannot be applied here."""
        return nfs.refused(snapshot.rules, self._address)

    # --- size and access

    def extend_share(self, share: Replica, new_size: int) -> Stored:
        """Raise refquota; the share stays online."""
        return self._resize(share, new_size)

    def shrink_share(self, share: Replica, new_size: int) -> Stored:
        """Lower refquota; the share stays online.

        Raises:
            Blocked: it holds more than that.
        """
        return self._resize(share, new_size)

    def _resize(self, share: Replica, new_size: int) -> Stored:
        name = self._known(share).name
        try:
            openzfs.set_properties(name, {"refquota": str(new_size * GIB)})
        except CommandFailed:
            used = self._known(share).space["referenced"]
            if used <= new_size * GIB:
                raise
            what = f"{name} holds {used} bytes, more than {new_size} GiB"
            raise Blocked(Blocker(kind="size", what=what, mend="remove some of it")) from None
        return self._stored(share)

    def update_access(self, share: Replica) -> dict[str, str]:
        """Export by the rules that can be applied, and say why the others cannot; other clients do not notice."""
        self.ensure_share(share)
        return nfs.refused(share.rules, self._address)


def _refuse_to_destroy(found: Dataset, share: Replica, seed: str) -> None:
    """Refuse where a dataset is another's, or something on it is: what an interrupted create left may go."""
    unknown = [p.name for p in found.snapshots if p.name != seed and not p.marker]
    unfinished = found.share_id is None and not unknown
    stranger = None if unfinished else checks.stranger(found, share, found.name)
    blockers = [checks.foreign(name, "would be destroyed with the share") for name in [*unknown, *found.children]]
    if stranger or blockers:
        raise Blocked(*filter(None, [stranger]), *blockers)
