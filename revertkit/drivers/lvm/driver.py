"""The LVM driver: shares as logical volumes of one volume group, mounted and exported on this host."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, ClassVar

from revertkit import driver as contract
from revertkit.drivers.lvm import adopt, family, filesystems, lvm2, resize, rows
from revertkit.drivers.lvm.kind import Kind, blocking
from revertkit.drivers.lvm.online import Front
from revertkit.drivers.lvm.options import LvmOptions, backend_lacks, host_lacks
from revertkit.drivers.lvm.rows import Volume
from revertkit.drivers.lvm.thick import Thick
from revertkit.drivers.lvm.thin import Thin
from revertkit.errors import BackendError, Blocked
from revertkit.models import (
    GIB,
    Blocker,
    ExportLocation,
    FoundShare,
    Lack,
    Pool,
    Replica,
    Reverted,
    RevertPreview,
    RevertState,
    SnapshotInstance,
    Stored,
)
from revertkit.system import nfs


class LvmDriver(
    contract.ShareDriver,
    contract.SupportsSnapshots,
    contract.SupportsCreateFromSnapshot,
    contract.SupportsRevert,
    contract.SupportsMountableSnapshots,
    contract.SupportsExtend,
    contract.SupportsShrink,
    contract.SupportsAccessRules,
    contract.SupportsManage,
    contract.SupportsManageSnapshots,
):
    """A volume with an ext4 or XFS per share, thick or in a thin pool; in-place reverts that keep every snapshot."""

    api_version: ClassVar[int] = 1

    class Options(LvmOptions):
        """Settings of an LVM backend."""

    def __init__(self, backend: str, options: Any) -> None:
        """Keep the settings; nothing is looked at yet."""
        super().__init__(backend, options)
        address = options.export_address
        self.group: str = options.volume_group
        self.front = Front(options.mount_root, str(address) if address else None)
        common = (self.group, self.front, self.ensure_share)
        self.kind: Kind[Any] = (
            Thin(*common, options.thin_pool, options.thin_limit_percent, options.max_over_subscription_ratio)
            if options.thin_pool
            else Thick(*common, options.snapshot_percent)
        )

    @classmethod
    def probe(cls) -> list[Lack]:
        """Look for LVM's tools, the kernel's device-mapper, root, and an NFS server's exportfs."""
        return host_lacks()

    def pools(self) -> list[Pool]:
        """The volume group, or the thin pool in it, is the one pool."""
        pool = self.kind.pool()
        return [pool.model_copy(update={"lacks": (*pool.lacks, *backend_lacks(self.options))})]

    # --- shares

    def create_share(self, share: Replica) -> Stored:
        """Make a volume and its file system; made anew as long as no identity is on record."""
        name = rows.named("share", share.id)
        self.kind.make(name, share.size * GIB, family.share_tags(share, share.size, self.options.filesystem))
        _, volume = self.kind.at_rest(share)
        if share.backend_id is None:
            filesystems.make(volume.path, volume.filesystem)
        return Stored(backend_id=volume.uuid, size=share.size)

    def create_share_from_snapshot(self, share: Replica, snapshot: SnapshotInstance) -> Stored:
        """Copy the snapshot to a volume of its own, which knows nothing of it afterwards."""
        source, filesystem = _readable(self.kind.look(snapshot.replica), snapshot)
        name, place = rows.named("share", share.id), self.front.share(share)
        if share.backend_id is None:
            self.front.take_offline(place)
            tags = family.share_tags(share, share.size, filesystem)
            self.kind.copy(source, filesystem, name, share.size * GIB, tags)
        _, volume = self.kind.at_rest(share)
        if share.backend_id is None:
            self._renew(share, volume)
        if share.size > snapshot.size:
            self.front.mount(place, volume, filesystem)
            filesystems.grow(volume.path, place.directory, filesystem, share.size)
        return Stored(backend_id=volume.uuid, size=share.size)

    def _renew(self, share: Replica, volume: Volume) -> None:
        """Give a copy its own identity. XFS takes none with a log to replay, as a copy's is: mounting replays it."""
        if volume.filesystem == "xfs":
            self.front.mount(self.front.share(share), volume, volume.filesystem)
            self.front.take_offline(self.front.share(share))
        filesystems.renew(volume.path, volume.filesystem)

    def delete_share(self, share: Replica) -> None:
        """Take it offline and remove its volume.

        Raises:
            Blocked: it has a snapshot that would go with it, ours or not, or what stands in its place is not it.
        """
        self._unpinned(share)
        place = self.front.share(share)
        with self.front.put_back(place, lambda: self.ensure_share(share)), blocking():
            self.front.take_offline(place)
            seen = self._unpinned(share)  # that took a while, and LVM removes an origin's snapshots unasked
            lvm2.remove(*([seen.origin] if seen.origin else []), *seen.rooms, *seen.husks)
        self.front.forget(place)

    def _unpinned(self, share: Replica) -> family.Family:
        seen: family.Family = self.kind.look(share)
        if pinned := self.kind.pinned(seen):
            mend = "delete it first"
            raise Blocked(*(Blocker(kind="snapshot", what=f"it has {v.path}", mend=mend) for v in pinned))
        if found := family.another(seen, share):
            raise Blocked(*found)
        return seen

    def ensure_share(self, share: Replica) -> list[ExportLocation]:
        """Sweep what is left of reverts, activate, mount, export: one command where all is well."""
        seen, volume = self.kind.at_rest(share)
        lvm2.remove(*self.kind.leftovers(seen))
        if not volume.active:
            lvm2.activate(volume)
        resize.restore(self.kind, share, seen, volume)
        return self.front.bring_online(self.front.share(share), volume, volume.filesystem, share.rules)

    def extend_share(self, share: Replica, new_size: int) -> Stored:
        """Grow the volume (thick with snapshots: offline, as LVM grows no active one then) and its file system."""
        return resize.extend(self.kind, share, new_size)

    def shrink_share(self, share: Replica, new_size: int) -> Stored:
        """Shrink an ext4 offline, then its volume. Blocked on XFS, by thick snapshots, and where it would not fit."""
        return resize.shrink(self.kind, share, new_size)

    def update_access(self, share: Replica) -> dict[str, str]:
        """Export by the rules that can be applied, and say why the others cannot."""
        self.ensure_share(share)
        return nfs.refused(share.rules, self.front.address)

    # --- snapshots

    def create_snapshot(self, snapshot: SnapshotInstance) -> Stored:
        """Take a read-only snapshot; the kernel brings the mounted file system to a consistent point first."""
        return self.kind.create(snapshot)

    def delete_snapshot(self, snapshot: SnapshotInstance) -> None:
        """Remove the snapshot; with the last thick one the share's volume is trimmed to the share's size.

        Raises:
            Blocked: somebody reads it, or it is not the one on record; it is online if it was.
        """
        self.kind.delete(snapshot, self._snapshot_put_back(snapshot))

    def _snapshot_put_back(self, snapshot: SnapshotInstance) -> AbstractContextManager[None]:
        place = self.front.snapshot_of(snapshot.snapshot_id)
        return self.front.put_back(place, lambda: self.ensure_snapshot(snapshot))

    def ensure_snapshot(self, snapshot: SnapshotInstance) -> list[ExportLocation]:
        """Mount the snapshot read-only and export it by its own rules."""
        seen, _ = self.kind.at_rest(snapshot.replica)
        body, filesystem = _readable(seen, snapshot)
        place = self.front.snapshot(body)
        assert place is not None
        if not body.active:
            lvm2.activate(body)
        return self.front.bring_online(place, body, filesystem, snapshot.rules)

    def refused_rules(self, snapshot: SnapshotInstance) -> dict[str, str]:
        """Say which rules cannot be applied here."""
        return nfs.refused(snapshot.rules, self.front.address)

    def check_revert(self, snapshot: SnapshotInstance) -> RevertPreview:
        """Name every blocker, and how much would be thrown away.

        Thick: what the snapshot has had to keep, tables included. Thin: at most what the share's volume has of its
        pool; what it shares with its snapshots is counted too.
        """
        return self.kind.check(snapshot)

    def revert_state(self, snapshot: SnapshotInstance) -> RevertState:
        """Say how far it has come, as the volumes, their tags and LVM's flags tell."""
        return self.kind.state(snapshot)

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        """Thick: merge, and take the snapshot anew (its uuid changes). Thin: swap a copy in (the share's changes)."""
        return self.kind.revert(snapshot)

    # --- what somebody else made

    def manage_share(self, share: Replica, existing: str) -> Stored:
        """Adopt a volume by its name, ``group/name`` or ``/dev/group/name``; it gets our name and tags."""
        return adopt.share(self.kind, share, existing)

    def unmanage_share(self, share: Replica) -> None:
        """Take it offline and our tags off it; it keeps the name ``share-…`` and its thick strangers' snapshots."""
        adopt.let_go_of_share(self.kind, share)

    def manage_snapshot(self, snapshot: SnapshotInstance, existing: str) -> Stored:
        """Adopt a snapshot of the share by its volume's name, and make it read-only."""
        return adopt.snapshot(self.kind, snapshot, existing)

    def unmanage_snapshot(self, snapshot: SnapshotInstance) -> None:
        """Take it offline and our tags off it. A thick one then blocks deleting the share, as any stranger's does."""
        with self._snapshot_put_back(snapshot):
            adopt.let_go_of_snapshot(self.kind, snapshot)

    def inventory(self) -> list[FoundShare]:
        """List every share at rest with our tags, and its snapshots, from one look."""
        return adopt.inventory(self.kind, self.kind.pool_name)


def _readable(seen: family.Family, snapshot: SnapshotInstance) -> tuple[Volume, str]:
    """See that a snapshot can be read and is the one on record, and what file system is in it: its share's."""
    if strange := family.snapshot_identity(seen, snapshot):
        raise Blocked(*strange)
    body = seen.body(snapshot.snapshot_id)
    if body is None or body.invalid or body.merging or seen.origin is None:
        raise BackendError(f"the snapshot {rows.named('snap', snapshot.snapshot_id)} cannot be read: {body}")
    return body, seen.origin.filesystem
