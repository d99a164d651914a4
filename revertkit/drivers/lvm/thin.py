"""Thin snapshots: taken, deleted, and reverted to by a swap. Where the order of a revert is decided."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any

from revertkit.drivers.lvm import failures, family, filesystems, kernel, lineage, lvm2, rows
from revertkit.drivers.lvm.kind import Kind, blocking, there
from revertkit.drivers.lvm.lineage import Lineage
from revertkit.drivers.lvm.rows import Volume
from revertkit.errors import BackendError, Blocked
from revertkit.models import (
    GIB,
    Blocker,
    Lack,
    Pool,
    Replica,
    Reverted,
    RevertPreview,
    RevertState,
    SnapshotInstance,
    Stored,
)


@dataclass(frozen=True)
class Thin(Kind[Lineage]):
    """The verbs on the volumes of one thin pool, which is refused more than `limit` percent full."""

    thin_pool: str
    limit: int
    ratio: float

    def family(self, volumes: list[Volume], replica_id: str) -> Lineage:
        """Pick one share's volumes out of the group's."""
        return lineage.lineage(volumes, replica_id, self.thin_pool)

    @property
    def pool_name(self) -> str:
        """As LVM writes it: group/pool."""
        return f"{self.group}/{self.thin_pool}"

    def pool(self) -> Pool:
        """The thin pool.

        Raises:
            BackendError: there is none.
        """
        volumes = lvm2.volumes(self.group)
        pool = lineage.pool_in(volumes, self.thin_pool)
        if pool is None:
            raise BackendError(f"{self.pool_name} is no thin pool: make it with lvcreate --type thin-pool")
        free = pool.size * (100 - (pool.data_percent or 0)) / 100
        lacks = tuple(self._lacks(pool))
        extra = self._report(pool, volumes)
        return Pool(name=self.pool_name, total_bytes=pool.size, free_bytes=int(free), lacks=lacks, extra=extra)

    def _report(self, pool: Volume, volumes: list[Volume]) -> dict[str, Any]:
        """What a scheduler has to know of a pool that promises more than it has; Manila's names where it has one."""
        promised = sum(v.size for v in volumes if v.pool == pool.name and not v.read_only and not lineage.is_passing(v))
        return {
            "thin_provisioning": True,
            "provisioned_capacity_gb": round(promised / GIB, 2),
            "max_over_subscription_ratio": self.ratio,
            "data_percent": pool.data_percent or 0.0,
            "metadata_percent": pool.metadata_percent or 0.0,
        }

    def _lacks(self, pool: Volume) -> Iterator[Lack]:
        """A pool that is full or sick makes no snapshots, and so no reverts."""
        found = [*lineage.ailing(pool), *lineage.full(pool, self.limit)]
        yield from (Lack(why=b.what, mend=b.mend, capability="snapshot_support") for b in found)

    def _refuse_more(self, pool: Volume | None) -> None:
        """Begin nothing in a pool that is full or sick.

        Raises:
            Blocked: it is.
        """
        if found := [*lineage.ailing(pool), *lineage.full(pool, self.limit)]:
            raise Blocked(*found)

    def make(self, name: str, size: int, tags: list[str]) -> None:
        """Make an active volume, or find it made."""
        self._refuse_more(lineage.pool_in(lvm2.volumes(self.group), self.thin_pool))
        with blocking(), suppress(failures.Exists):
            lvm2.create_thin(self.group, self.thin_pool, name, size, tags)

    def copy(self, source: Volume, kind: str, name: str, size: int, tags: list[str]) -> None:
        """Make a volume of the snapshot: they share blocks, and neither needs the other."""
        self._refuse_more(lineage.pool_in(lvm2.volumes(self.group), self.thin_pool))
        with blocking(), suppress(failures.Exists):
            lvm2.thin_copy(source, name, tags)
        made = next(v for v in lvm2.volumes(self.group) if v.name == name)
        if not made.active:
            lvm2.activate(made)
        if made.size < size:
            lvm2.grow(made, size)

    def pinned(self, seen: Lineage) -> tuple[Volume, ...]:
        """Ours only: a thin snapshot stays whole when its origin goes, but ours would be nobody's."""
        return seen.snapshots

    def held_with(self, seen: Lineage) -> tuple[Volume, ...]:
        """None: a snapshot is a volume like any other, and stays where its users have it."""
        return ()

    def leftovers(self, seen: Lineage) -> list[Volume]:
        """What was staged and never swapped in, and what was set aside; the share is the one on record."""
        return list(seen.rooms) if seen.origin is not None else []

    def why_not_adopt(self, volume: Volume) -> list[Blocker]:
        """Nothing that is not a thin volume of our pool, and nothing read-only, can be a thin share."""
        if "thin" in volume.layout.split(",") and volume.pool == self.thin_pool:
            return []
        what = f"{volume.path} is no thin volume of {self.pool_name}: {volume.layout}"
        return [Blocker(kind="layout", what=what, mend="name one that is, or manage it in a backend of its kind")]

    def why_not_after(self, older: list[Volume], snapshot: Volume) -> list[Blocker]:
        """Nothing: no snapshot has room that a revert to another could use up."""
        return []

    def is_snapshot_of(self, seen: Lineage, volume: Volume) -> bool:
        """Also one whose origin a revert has replaced: LVM forgets it then, but not the file system who it is."""
        if seen.origin is None or volume.pool != self.thin_pool:
            return False
        return super().is_snapshot_of(seen, volume) or filesystems.same(volume.path, seen.origin.path)

    def why_not_shrink(self, seen: Lineage) -> list[Blocker]:
        """No snapshot knows the size of another volume."""
        return []

    def enlarge(self, seen: Lineage, volume: Volume, share: Replica, size: int) -> None:
        """Grow the volume, snapshots or not; it takes no room until it is written."""
        if volume.size < size:
            lvm2.grow(volume, size)
        if not volume.active:
            lvm2.activate(volume)

    # --- snapshots

    def create(self, snapshot: SnapshotInstance) -> Stored:
        """Take a read-only snapshot, or find it taken.

        Raises:
            Blocked: a revert of its share is half way, what stands in the share's place is not it, or the pool is full.
        """
        seen, origin = self.at_rest(snapshot.replica)
        if seen.body(snapshot.snapshot_id) is None:
            self._refuse_more(seen.pool)
            name = rows.named("snap", snapshot.snapshot_id)
            with blocking(), suppress(failures.Exists):
                lvm2.thin_snapshot(self.group, origin.name, name, family.tags(snapshot))
        return Stored(backend_id=self.found(snapshot).uuid, size=snapshot.size)

    def delete(self, snapshot: SnapshotInstance, put_back: AbstractContextManager[None]) -> None:
        """Remove the snapshot; no volume that was made of it needs it.

        Raises:
            Blocked: a revert of its share is half way, or what stands in its place is not it; nothing has changed.
        """
        seen = self.look(snapshot.replica)
        if found := family.halfway(seen) or family.another_snapshot(seen, snapshot):
            raise Blocked(*found)
        if (body := seen.body(snapshot.snapshot_id)) is not None:
            with put_back, blocking():
                self.front.take_offline(self.front.snapshot(body))
                lvm2.remove(body)
            self.front.forget(self.front.snapshot(body))

    # --- the revert

    def told(self, seen: Lineage, snapshot: SnapshotInstance) -> RevertState:
        """What the volumes tell of how far a revert has come."""
        return lineage.state(seen, snapshot)

    def check(self, snapshot: SnapshotInstance) -> RevertPreview:
        """Refuse what `revert` would refuse; nothing changes.

        What would be thrown away is at most what the share's volume has of the pool: it shares some of that with its
        snapshots, and the pool keeps no account of how much.
        """
        origin = self._allowed(self.look(snapshot.replica), snapshot)
        used = origin.data_percent  # not known of one that is not active
        return RevertPreview(discards_bytes=None if used is None else round(origin.size * used / 100))

    def _allowed(self, seen: Lineage, snapshot: SnapshotInstance) -> Volume:
        found = [*lineage.blockers(seen, snapshot, self.limit), *self.users(seen, snapshot.replica)]
        if found or seen.origin is None:
            raise Blocked(*found)
        return seen.origin

    def revert(self, snapshot: SnapshotInstance) -> Reverted:
        """Put a volume made of the snapshot in the share's place, and leave the share offline; or finish doing so.

        The volume that it replaces is set aside until the outcome is on record: ``ensure_share`` removes it.
        """
        kernel.resume_suspended(self.group, rows.named("snap", snapshot.snapshot_id))
        seen = self.look(snapshot.replica)
        before = self.state_of(seen, snapshot)
        if before in (RevertState.UNCHANGED, RevertState.UNKNOWN):
            self._allowed(seen, snapshot)
            seen = self._set_aside(self._staged(seen, snapshot), snapshot)
        if before is not RevertState.REVERTED:
            stage = there(seen.stage(snapshot.snapshot_id))
            lvm2.rename(stage, rows.named("share", snapshot.replica.id))
        return self._verified(snapshot)

    def _staged(self, seen: Lineage, snapshot: SnapshotInstance) -> Lineage:
        """Make the new volume. Its tags come with it: one change of the metadata is the intent and the new content."""
        if lineage.staged(seen, snapshot) is not None:
            return seen
        lvm2.remove(*self.leftovers(seen))
        origin, body = there(seen.origin), there(seen.body(snapshot.snapshot_id))
        marks = family.share_tags(snapshot.replica, -(-body.size // GIB), origin.filesystem)
        marks += [rows.tag("was", origin.uuid), rows.tag("reverted", snapshot.snapshot_id)]
        with blocking():
            lvm2.thin_copy(body, rows.named("new", snapshot.snapshot_id), marks)
        return seen

    def _set_aside(self, seen: Lineage, snapshot: SnapshotInstance) -> Lineage:
        """Go past the point of no return, the first of two renames, or refuse with all as it was.

        Not before everything is seen to be there, and the share's volume is not active: then nobody holds it, in
        whatever mount namespace, and nobody can write to it under its other name.
        """
        with self.offline(seen, snapshot.replica):
            seen = self.look(snapshot.replica)
            origin = self._allowed(seen, snapshot)
            if lineage.staged(seen, snapshot) is None:
                raise BackendError(
                    f"the volume that LVM has made of {rows.named('snap', snapshot.snapshot_id)} is gone"
                )
            lvm2.deactivate(origin)
        lvm2.rename(origin, rows.named("old", snapshot.snapshot_id))
        return seen

    def _verified(self, snapshot: SnapshotInstance) -> Reverted:
        """Ask LVM whether it is so."""
        seen = self.look(snapshot.replica)
        body, origin, after = seen.body(snapshot.snapshot_id), seen.origin, self.told(seen, snapshot)
        sound = body and origin and body.read_only and not origin.read_only and origin.size == body.size
        if after is not RevertState.REVERTED or body is None or origin is None or not sound:
            raise BackendError(f"after the revert LVM says {after}: {origin}, {body}")
        size = -(-body.size // GIB)
        return Reverted(
            share=Stored(backend_id=origin.uuid, size=size), snapshot=Stored(backend_id=body.uuid, size=size)
        )
