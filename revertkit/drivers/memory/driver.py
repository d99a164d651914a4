"""The reference driver: shares in this process's memory, made for tests of everything that calls a driver.

It keeps the contract to the letter and makes it hard to get away with less: a revert changes both identities, has a
true half way, takes every snapshot offline too, and leaves a leftover to sweep; a share's content cannot be reached
while it is offline. What is stored outlives the driver object, as a disk outlives a process: a new object of the same
backend name finds it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import ClassVar

from pydantic import Field

from revertkit.driver import (
    ShareDriver,
    SupportsAccessRules,
    SupportsCreateFromSnapshot,
    SupportsExtend,
    SupportsMountableSnapshots,
    SupportsRevert,
    SupportsShrink,
    SupportsSnapshots,
)
from revertkit.drivers.memory.adoption import Adoption, refusal
from revertkit.drivers.memory.online import export, refused, snapshot_offline, stored
from revertkit.drivers.memory.replication import Replication
from revertkit.drivers.memory.storage import AWAY, STORAGE, Files, Kept, Volume
from revertkit.errors import Blocked
from revertkit.models import (
    GIB,
    AccessRule,
    Blocker,
    ExportLocation,
    Pool,
    Replica,
    Reverted,
    RevertPreview,
    RevertState,
    SnapshotInstance,
    Stored,
    new_id,
)
from revertkit.status import ReplicaState
from revertkit.system.run import step


class MemoryDriver(
    ShareDriver,
    SupportsSnapshots,
    SupportsCreateFromSnapshot,
    SupportsRevert,
    SupportsMountableSnapshots,
    SupportsExtend,
    SupportsShrink,
    SupportsAccessRules,
    Adoption,
    Replication,
):
    """Shares in memory."""

    api_version: ClassVar[int] = 1

    class Options(ShareDriver.Options):
        """How much there is."""

        capacity_gb: int = Field(1000, ge=1, description="the pool's size in GiB")

    @staticmethod
    def reset() -> None:
        """Forget everything that any backend stores; all can be reached."""
        STORAGE.clear()
        AWAY.clear()

    @staticmethod
    @contextmanager
    def away(backend: str) -> Iterator[None]:
        """Let a backend be out of reach for a while."""
        AWAY.add(backend)
        try:
            yield
        finally:
            AWAY.discard(backend)

    def plant(self, name: str, size: int, files: Mapping[str, bytes], **snapshots: Mapping[str, bytes]) -> None:
        """Put a volume there that nobody of ours has made, with snapshots by name, oldest first."""
        kept = {f"{name}@{word}": Kept(size, dict(content)) for word, content in snapshots.items()}
        self._volumes()[name] = Volume(size, dict(files), snapshots=kept)

    def plant_snapshot(self, share: Replica, name: str, size: int | None = None) -> None:
        """Take a snapshot of a share behind our back."""
        held = self._share(share)
        held.snapshots[name] = Kept(size or held.size, dict(held.files))

    def files(self, share: Replica) -> Files:
        """Reach a share's content, to read and write it.

        Raises:
            Blocked: there is no such share.
        """
        return Files(self._share(share))

    def snapshot_files(self, snapshot: SnapshotInstance) -> Mapping[str, bytes]:
        """Read a snapshot's content, mounted or not.

        Raises:
            KeyError: there is no such snapshot.
        """
        if (kept := self._share(snapshot.replica).ours(snapshot.snapshot_id)) is None:
            raise KeyError(snapshot.snapshot_id)
        return MappingProxyType(dict(kept.files))

    def exported_to(self, share: Replica) -> tuple[AccessRule, ...]:
        """Name the rules by which the share is exported now."""
        return self._share(share).exported_to

    def snapshot_exported_to(self, snapshot: SnapshotInstance) -> tuple[AccessRule, ...] | None:
        """Name the rules by which the snapshot is exported now; None while it is offline, or not there."""
        kept = self._share(snapshot.replica).ours(snapshot.snapshot_id)
        return kept.exported_to if kept and kept.online else None

    # --- pools and shares

    def pools(self) -> list[Pool]:
        """Answer the one pool."""
        return [Pool(name="memory", total_bytes=self.options.capacity_gb * GIB, free_bytes=self._free() * GIB)]

    def _free(self) -> int:
        taken = sum(share.size for share in list(self._volumes().values()))
        return int(self.options.capacity_gb) - taken

    def _need(self, size: int) -> None:
        if size > self._free():
            raise refusal("no_space", f"{size} GiB are needed, {self._free()} are free", "free some")

    def _held(self, share: Replica) -> Volume | None:
        held = self._volumes().get(share.id)
        return held if held and held.replica_mark == share.id else None

    def _share(self, share: Replica, *, at_rest: bool = False) -> Volume:
        held = self._held(share)
        if held is None:
            raise refusal("share_missing", f"there is no share {share.id}", "delete it")
        if at_rest and share.backend_id not in (None, held.identity):
            what = f"share {share.id} is {held.identity}, on record is {share.backend_id}"
            raise refusal("share_identity", what, "recover it")
        return held

    def create_share(self, share: Replica) -> Stored:
        """Make it offline.

        Raises:
            Blocked: there is no room.
        """
        return self._create(share, {})

    def create_share_from_snapshot(self, share: Replica, snapshot: SnapshotInstance) -> Stored:
        """Make it offline, as a copy.

        Raises:
            Blocked: there is no room, or the snapshot is missing or another one than is on record.
        """
        _refuse(self._snapshot_blockers(snapshot))
        return self._create(share, self.snapshot_files(snapshot))

    def _create(self, share: Replica, files: Mapping[str, bytes]) -> Stored:
        if self._held(share) is None:
            self._need(share.size)
            with step("make the share"):
                self._volumes()[share.id] = Volume(share.size, dict(files), share.share_id, share.id)
        return stored(self._share(share))

    def delete_share(self, share: Replica) -> None:
        """Remove it.

        Raises:
            Blocked: it has snapshots, or is another one than is on record.
        """
        if self._held(share) is None:
            return
        held = self._share(share, at_rest=True)
        _refuse([_blocker("has_snapshot", f"{name} is a snapshot of it", "delete it first") for name in held.snapshots])
        with step("take the share offline"):
            held.online = False
        with step("remove the share"):
            del self._volumes()[share.id]

    def ensure_share(self, share: Replica) -> list[ExportLocation]:
        """Bring it online, export it by its rules, and drop what the last revert discarded.

        Raises:
            Blocked: it is not there, or its identity is not on record, as of a revert that is half way or unrecorded.
        """
        if share.state is not ReplicaState.ACTIVE:
            return self._ensure_replica(share)
        held = self._share(share, at_rest=True)
        if held.aside is not None:
            with step("drop what was discarded"):
                held.aside = None
        self._open(held, share)
        if not held.online:
            with step("bring the share online"):
                held.online = True
        self.update_access(share)
        return [self._location(share)]

    def _location(self, share: Replica) -> ExportLocation:
        return ExportLocation(path=f"memory:/{self.backend}/{share.id}", preferred=True)

    def update_access(self, share: Replica) -> dict[str, str]:
        """Export by those rules that are IP addresses or networks."""
        return export(self._share(share), share.rules)

    def extend_share(self, share: Replica, new_size: int) -> Stored:
        """Grow it.

        Raises:
            Blocked: there is no room.
        """
        held = self._share(share, at_rest=True)
        self._need(new_size - held.size)
        return self._resize(held, new_size)

    def shrink_share(self, share: Replica, new_size: int) -> Stored:
        """Shrink it.

        Raises:
            Blocked: its data would not fit.
        """
        held = self._share(share, at_rest=True)
        used = sum(map(len, held.files.values()))
        if used > new_size * GIB:
            raise refusal("does_not_fit", f"{used} bytes are in use", "remove data, or keep the size")
        return self._resize(held, new_size)

    def _resize(self, held: Volume, size: int) -> Stored:
        if held.size != size:
            with step("resize"):
                held.size = size
        return stored(held)

    # --- snapshots

    def create_snapshot(self, snapshot: SnapshotInstance) -> Stored:
        """Copy the share's content.

        Raises:
            Blocked: the share is not there, or another one than is on record.
        """
        held = self._share(snapshot.replica, at_rest=True)
        if held.ours(snapshot.snapshot_id) is None:
            with step("take the snapshot"):
                kept = Kept(snapshot.size, dict(held.files), snapshot.snapshot_id, snapshot.created_at)
                held.snapshots[snapshot.snapshot_id] = kept
                held.lineage.append(kept.moment)
        return stored(held.snapshots[snapshot.snapshot_id])

    def delete_snapshot(self, snapshot: SnapshotInstance) -> None:
        """Take it offline and remove it.

        Raises:
            Blocked: it is another one than is on record.
        """
        held = self._held(snapshot.replica)
        if held is not None and (name := held.named(snapshot.snapshot_id)):
            _refuse(self._snapshot_blockers(snapshot) if snapshot.backend_id else [])
            snapshot_offline(held.snapshots[name])
            with step("remove the snapshot"):
                del held.snapshots[name]

    def ensure_snapshot(self, snapshot: SnapshotInstance) -> list[ExportLocation]:
        """Mount and export it by its rules, leaving out those that are no addresses.

        Raises:
            Blocked: it is missing or another one than is on record.
        """
        _refuse(self._snapshot_blockers(snapshot))
        kept = self._kept(snapshot)
        if not kept.online:
            with step("bring the snapshot online"):
                kept.online = True
        export(kept, snapshot.rules)
        return [ExportLocation(path=f"memory:/{self.backend}/{snapshot.replica.id}@{snapshot.snapshot_id}")]

    def refused_rules(self, snapshot: SnapshotInstance) -> dict[str, str]:
        """Name those that are no addresses."""
        return refused(snapshot.rules)

    def _kept(self, snapshot: SnapshotInstance) -> Kept:
        kept = self._share(snapshot.replica).ours(snapshot.snapshot_id)
        assert kept is not None
        return kept

    def _snapshot_blockers(self, snapshot: SnapshotInstance) -> list[Blocker]:
        held = self._share(snapshot.replica).ours(snapshot.snapshot_id)
        name = f"snapshot {snapshot.snapshot_id}"
        if held is None:
            return [_blocker("snapshot_missing", f"there is no {name}", "delete it")]
        if held.identity != snapshot.backend_id:
            what = f"{name} is {held.identity}, on record is {snapshot.backend_id}"
            return [_blocker("snapshot_identity", what, "put the recorded one back")]
        return []

    # --- revert

    def check_revert(self, snapshot: SnapshotInstance) -> RevertPreview:
        """Answer how much the share holds: all of it would be discarded.

        Raises:
            Blocked: share or snapshot is missing or another one than is on record.
        """
        held = self._share(snapshot.replica)
        blockers = self._snapshot_blockers(snapshot)
        if held.identity != snapshot.replica.backend_id:
            what = f"share {snapshot.replica.id} is {held.identity}, on record is {snapshot.replica.backend_id}"
            blockers.append(_blocker("share_identity", what, "recover it"))
        _refuse(blockers)
        return RevertPreview(discards_bytes=sum(map(len, held.files.values())))

    def revert_state(self, snapshot: SnapshotInstance) -> RevertState:
        """Tell by the identities: the merge changes the share's, the last step the snapshot's."""
        held = self._held(snapshot.replica)
        target = held and held.ours(snapshot.snapshot_id)
        if held is None or target is None:
            return RevertState.UNKNOWN
        if held.identity == snapshot.replica.backend_id:
            return RevertState.UNCHANGED
        if held.merged_from != snapshot.backend_id or held.online:
            return RevertState.UNKNOWN
        return RevertState.HALFWAY if target.identity == snapshot.backend_id else RevertState.REVERTED

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        """Merge the snapshot into the share, as thick LVM does, and answer both new identities.

        Raises:
            Blocked: share or snapshot is missing or another one than is on record; nothing has changed.
        """
        state = self.revert_state(snapshot)
        if state in (RevertState.UNCHANGED, RevertState.UNKNOWN):
            self.check_revert(snapshot)
        held = self._share(snapshot.replica)
        target = self._kept(snapshot)
        if state is RevertState.UNCHANGED:
            _take_offline(held)
            merge(held, target)
        if state is not RevertState.REVERTED:
            _finish(held, target)
        return Reverted(share=stored(held), snapshot=stored(target))


def _take_offline(held: Volume) -> None:
    with step("unexport") as progress:
        held.exported_to = ()
        progress(20)
    for kept in held.snapshots.values():
        snapshot_offline(kept)
    with step("take the share offline") as progress:
        held.online = False
        progress(40)


def merge(held: Volume, target: Kept) -> None:
    """Put the snapshot's content into the share: from here a revert is half way."""
    with step("merge the snapshot") as progress:
        held.halfway = True
        held.aside, held.files = held.files, dict(target.files)
        held.cut(target.moment)
        held.merged_from, held.identity = target.identity, new_id()
        progress(60)


def _finish(held: Volume, target: Kept) -> None:
    with step("bring the size back") as progress:
        held.size = target.size
        progress(80)
    with step("take the snapshot anew") as progress:
        target.identity = new_id()
        held.halfway = False
        progress(100)


def _blocker(kind: str, what: str, mend: str) -> Blocker:
    return Blocker(kind=kind, what=what, mend=mend)


def _refuse(blockers: list[Blocker]) -> None:
    if blockers:
        raise Blocked(*blockers)
