"""Thick snapshots: taken, deleted, and reverted to by a merge. Where the order of a revert is decided."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace

from revertkit.drivers.lvm import failures, family, filesystems, lvm2, rows
from revertkit.drivers.lvm.family import Family
from revertkit.drivers.lvm.kind import Kind, blocking, there
from revertkit.drivers.lvm.pace import Pace
from revertkit.drivers.lvm.rows import Volume
from revertkit.errors import BackendError, Blocked
from revertkit.models import (
    GIB,
    Blocker,
    Pool,
    Replica,
    Reverted,
    RevertPreview,
    RevertState,
    SnapshotInstance,
    Stored,
)
from revertkit.system.run import step

STALLED_END = 300.0
"""Seconds without progress until it is given up; it goes on by itself, and the next call waits for it again."""
PLAIN = {"linear", "striped", "raid"}
"""What a thick share's volume may be; LVM takes classic snapshots of none but these and what is built of them."""


@dataclass(frozen=True)
class Thick(Kind[Family]):
    """The verbs on thick snapshots of one volume group."""

    percent: int

    def family(self, volumes: list[Volume], replica_id: str) -> Family:
        """Pick one share's volumes out of the group's."""
        return family.family(volumes, replica_id)

    @property
    def pool_name(self) -> str:
        """The volume group's."""
        return self.group

    def pool(self) -> Pool:
        """The volume group."""
        total, free = lvm2.capacity(self.group)
        return Pool(name=self.pool_name, total_bytes=total, free_bytes=free)

    def make(self, name: str, size: int, tags: list[str]) -> None:
        """Make an active volume, or find it made."""
        with blocking(), suppress(failures.Exists):
            lvm2.create(self.group, name, size, tags)

    def copy(self, source: Volume, kind: str, name: str, size: int, tags: list[str]) -> None:
        """Make a volume and copy the snapshot's blocks to it."""
        self.make(name, size, tags)
        made = next(v for v in lvm2.volumes(self.group) if v.name == name)
        for volume in (source, made):
            if not volume.active:
                lvm2.activate(volume)
        filesystems.copy(source.path, made.path, kind)

    def pinned(self, seen: Family) -> tuple[Volume, ...]:
        """Every snapshot of the volume, whoever made it: LVM removes them with it."""
        return seen.snapshots

    def held_with(self, seen: Family) -> tuple[Volume, ...]:
        """Every snapshot: an open one keeps the origin active, and a merge begun then would stay pending, unnoticed."""
        return seen.snapshots

    def leftovers(self, seen: Family) -> list[Volume]:
        """The rooms of reverts that never began."""
        return family.leftovers(seen)

    def why_not_adopt(self, volume: Volume) -> list[Blocker]:
        """Thin volumes, parts of others and snapshots can be no thick share."""
        if not volume.origin and PLAIN & set(volume.layout.split(",")):
            return []
        what = f"{volume.path} is no volume of its own that LVM can take thick snapshots of: {volume.layout}"
        return [Blocker(kind="layout", what=what, mend="name a plain one, or manage it in a backend of its kind")]

    def why_not_after(self, older: list[Volume], snapshot: Volume) -> list[Blocker]:
        """Larger chunks than theirs: merged back whole, they would fill the others with what was never overwritten."""
        finest = min((lvm2.chunk_size(v) for v in older), default=None)
        if finest is None or (size := lvm2.chunk_size(snapshot)) <= finest:
            return []
        what = f"{snapshot.path} has chunks of {size} bytes, an older one {finest}: a revert could overflow that"
        mend = f"take another one with lvcreate --chunksize {finest}b, or delete or unmanage the older ones first"
        return [Blocker(kind="chunks", what=what, mend=mend)]

    def why_not_shrink(self, seen: Family) -> list[Blocker]:
        """LVM reduces no volume that has a snapshot."""
        mend = "delete it first"
        return [
            Blocker(kind="snapshot", what=f"LVM reduces no volume with snapshots; it has {v.path}", mend=mend)
            for v in seen.snapshots
        ]

    def enlarge(self, seen: Family, volume: Volume, share: Replica, size: int) -> None:
        """Grow the volume and, with it, its snapshots' room; offline, for LVM grows no active one with snapshots.

        A call that died in between is repeated, so the snapshots are seen to even where the volume is large enough.
        """
        ours = [v for v in seen.snapshots if v.tag("snapshot")]
        self._has_room_to_grow(volume, ours, size)
        if volume.size < size and seen.snapshots:
            if found := self.users(seen, share):
                raise Blocked(*found)
            with self.offline(seen, share):
                lvm2.deactivate(volume)
                self._grow(volume, ours, size)
            lvm2.activate(volume)
            return
        with blocking():
            self._grow(volume, ours, size)
        if not volume.active:
            lvm2.activate(volume)

    def _grow(self, volume: Volume, snapshots: list[Volume], size: int) -> None:
        """Grow the volume, and its snapshots, or they would overflow when the new room is written.

        Raises:
            BackendError: LVM says that it has grown one, and it is as small as before.
        """
        grown = [volume] if volume.size < size and lvm2.grow(volume, size) else []
        grown += [v for v in snapshots if lvm2.grow(v, self._room(size))]
        sizes = {v.uuid: v.size for v in lvm2.volumes(self.group)} if grown else {}
        if same := next((v for v in grown if sizes.get(v.uuid) == v.size), None):
            raise BackendError(f"LVM says that it has grown {same.path}, and it is as small as before")

    def _has_room_to_grow(self, volume: Volume, snapshots: list[Volume], size: int) -> None:
        need = max(size - volume.size, 0) + sum(max(self._room(size) - v.size, 0) for v in snapshots)
        if need > volume.group_free:
            what = f"volume group {self.group} has {volume.group_free} bytes free, share and snapshots need {need} more"
            raise Blocked(Blocker(kind="space", what=what, mend="extend the group or remove something"))

    def _room(self, size: int) -> int:
        """Answer the room that a snapshot of `size` bytes gets: for changes to `percent` of them, and their tables.

        Those take 16 bytes for a chunk of 4 KiB or more: one more in a hundred is enough. In whole MiB, for LVM takes
        no part of a sector.
        """
        return -(-size * (self.percent + 1) // (100 << 20)) << 20

    # --- snapshots

    def create(self, snapshot: SnapshotInstance) -> Stored:
        """Take a read-only snapshot, or find it taken.

        Raises:
            Blocked: a revert of its share is half way, or what stands in the share's place is not it.
        """
        (_, origin), name = self.at_rest(snapshot.replica), rows.named("snap", snapshot.snapshot_id)
        with blocking(), suppress(failures.Exists):
            lvm2.snapshot(origin, name, self._room(origin.size), family.tags(snapshot))
        return Stored(backend_id=self.found(snapshot).uuid, size=snapshot.size)

    def delete(self, snapshot: SnapshotInstance, put_back: AbstractContextManager[None]) -> None:
        """Remove the snapshot, and trim its share's volume where this was what kept it large.

        Raises:
            Blocked: a revert of its share is half way, or what stands in its place is not it; nothing has changed.
        """
        seen = self.look(snapshot.replica)
        body, room = seen.body(snapshot.snapshot_id), seen.room(snapshot.snapshot_id)
        if found := family.halfway(seen) or family.another_snapshot(seen, snapshot):
            raise Blocked(*found)
        self._sweep(seen, snapshot)
        if body is not None:
            with put_back, blocking():
                self.front.take_offline(self.front.snapshot(body))
                lvm2.remove(*([room] if room else []), body)  # without the body, a room would say "half way"
            self.front.forget(self.front.snapshot(body))
        self._trim(seen, snapshot.replica.size, gone=body)

    def _trim(self, seen: Family, size: int, gone: Volume | None) -> None:
        """Bring the share's volume to its size on record: LVM reduces no volume that has a snapshot."""
        left = [v for v in seen.snapshots if v is not gone]
        if seen.origin is not None and not left and seen.origin.size > size * GIB:
            lvm2.trim(seen.origin, size * GIB)

    # --- the revert

    def check(self, snapshot: SnapshotInstance) -> RevertPreview:
        """Refuse what `revert` would refuse; nothing changes."""
        return self._allowed(self.look(snapshot.replica), snapshot)

    def _allowed(self, seen: Family, snapshot: SnapshotInstance) -> RevertPreview:
        found = [*family.blockers(seen, snapshot), *self.users(seen, snapshot.replica)]
        body = seen.body(snapshot.snapshot_id)
        if found or body is None:
            raise Blocked(*found)
        return RevertPreview(discards_bytes=round(body.size * (body.used_percent or 0) / 100))

    def told(self, seen: Family, snapshot: SnapshotInstance) -> RevertState:
        """What the volumes tell of how far a revert has come."""
        return family.state(seen, snapshot)

    def revert(self, snapshot: SnapshotInstance) -> Reverted:
        """Merge the snapshot into its share, take it anew, and leave the share offline; or finish doing so."""
        seen = self.look(snapshot.replica)
        before = self.state_of(seen, snapshot)
        if before in (RevertState.UNCHANGED, RevertState.UNKNOWN):
            seen = self._begun(self._awake(seen, snapshot), snapshot)
        if before is not RevertState.REVERTED:
            self._taken_anew(self._merged(seen, snapshot), snapshot)
        return self._verified(snapshot)

    def _awake(self, seen: Family, snapshot: SnapshotInstance) -> Family:
        """Only an active snapshot tells whether it has overflowed."""
        if seen.origin is None or seen.origin.active:
            return seen
        lvm2.activate(seen.origin)
        return self.look(snapshot.replica)

    def _begun(self, seen: Family, snapshot: SnapshotInstance) -> Family:
        """Go past the point of no return, the merge's first command, or refuse with all as it was."""
        self._allowed(seen, snapshot)
        self._reserve(seen, snapshot)
        with self.offline(seen, snapshot.replica):
            seen = self.look(snapshot.replica)
            self._allowed(seen, snapshot)
            body, origin = there(seen.body(snapshot.snapshot_id)), there(seen.origin)
            lvm2.deactivate(origin, there(seen.room(snapshot.snapshot_id)))
        lvm2.merge(body)
        return replace(seen, origin=replace(origin, active=False))

    def _reserve(self, seen: Family, snapshot: SnapshotInstance) -> None:
        """Take the room: the intent, and the place of the snapshot made anew, in one change of LVM's metadata."""
        body = there(seen.body(snapshot.snapshot_id))
        if seen.room(snapshot.snapshot_id) is not None:
            return
        marks = [*family.tags(snapshot), rows.tag("was", body.uuid)]
        with blocking():
            lvm2.reserve(self.group, rows.named("room", snapshot.snapshot_id), body.size, marks)

    def _merged(self, seen: Family, snapshot: SnapshotInstance) -> Family:
        """Let the merge run to its end: that is when the snapshot's volume is gone, whatever any tool answered.

        The kernel begins one at an activation only: of what was found active it may have given it up at an I/O error,
        or never have begun it, since somebody had the volume open when it was ordered.
        """
        origin = there(seen.origin)
        if origin.active and seen.body(snapshot.snapshot_id) is not None:
            with blocking():
                lvm2.deactivate(origin)
            origin = replace(origin, active=False)
        if not origin.active:
            lvm2.activate(origin)
        with step(f"merge {rows.named('snap', snapshot.snapshot_id)}") as progress:
            return self._waited(snapshot, origin, progress)

    def _waited(self, snapshot: SnapshotInstance, origin: Volume, progress: Callable[[float], None]) -> Family:
        pace = Pace()
        while (body := (seen := self.look(snapshot.replica)).body(snapshot.snapshot_id)) is not None:
            if not body.merging:
                raise BackendError(f"LVM says that {body.path} is not merging, although its merge was ordered")
            if body.merge_failed:
                raise BackendError(f"the merge of {body.path} has failed: see dmesg for the disk that did")
            if pace.seen(body.used_percent) > STALLED_END:
                raise BackendError(f"the merge of {body.path} stands still with {body.used_percent} % left")
            if pace.overdue():
                lvm2.look_after(origin)
            progress(10 + 80 * pace.done)
            time.sleep(0.2)
        return seen

    def _taken_anew(self, seen: Family, snapshot: SnapshotInstance) -> None:
        """Make the room the snapshot, while nobody can write to the share.

        On inactive volumes, where each command only writes metadata: on active ones each suspends the whole family.
        """
        origin, room = there(seen.origin), there(seen.room(snapshot.snapshot_id))
        self._sweep(seen, snapshot)
        if not room.origin:
            self._trim(seen, snapshot.size, gone=None)
            self.resized(origin, snapshot.size)
            with blocking():  # who mounted it by hand meanwhile may have written what is no snapshot's
                lvm2.deactivate(*(v for v in (origin, room) if v.active))
            lvm2.become_snapshot(origin, room)
        if not room.read_only:
            lvm2.write_protect(room)
        self._see_taken(snapshot)
        lvm2.rename(room, rows.named("snap", snapshot.snapshot_id))
        lvm2.activate(origin)

    def _see_taken(self, snapshot: SnapshotInstance) -> None:
        """See that the room is the snapshot before it has its name, by which nobody would look for one any more.

        Raises:
            BackendError: LVM says that it has made it one, and it is none; repeated, the revert makes it one.
        """
        room = there(self.look(snapshot.replica).room(snapshot.snapshot_id))
        if not (room.origin and room.read_only):
            raise BackendError(f"LVM says that it has made {room.path} a read-only snapshot, and it is none")

    def _sweep(self, seen: Family, snapshot: SnapshotInstance) -> None:
        """Remove what has the snapshot's name and is none any more; it would keep the name from the next."""
        husk = seen.husk(snapshot.snapshot_id)
        lvm2.remove(*([husk] if husk else []))

    def _verified(self, snapshot: SnapshotInstance) -> Reverted:
        """Ask LVM whether it is so."""
        seen = self.look(snapshot.replica)
        body, after = seen.body(snapshot.snapshot_id), self.told(seen, snapshot)
        sound = body is not None and body.read_only and not body.invalid and seen.origin is not None
        if after is not RevertState.REVERTED or not sound or family.identity(seen, snapshot.replica):
            raise BackendError(f"after the revert LVM says {after}: {body}")
        return Reverted(
            share=Stored(backend_id=there(seen.origin).uuid, size=snapshot.size),
            snapshot=Stored(backend_id=there(body).uuid, size=snapshot.size),
        )
