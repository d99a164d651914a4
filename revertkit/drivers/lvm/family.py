"""What one look at the volume group says of one share: its volumes, how far a revert is, what stands in its way.

Pure: no command runs here. What both kinds share, and the states of thick ones; those of thin ones are lineage.py's.

Thick snapshots are merged back by ``lvconvert --merge`` and taken anew.

A merge consumes its snapshot. So before anything else a *room* is reserved, a wiped volume of the snapshot's size
which carries the snapshot's tags: it is the intent that outlives the process, and the place where the snapshot is taken
anew, which so can never fail for want of space. LVM's own state tells the rest::

    snapshot  room          merging?
    there     none          no        nothing begun, or all finished (tag `was`: the uuid that was merged)
    there     reserved      no        nothing begun: the room may go
    there     reserved      yes       half way
    gone      reserved      –         half way: the share has the snapshot's content, and nobody may write to it yet
    husk      reserved      no        the same: LVM takes a snapshot off its origin in one change of its metadata and
                                      removes its volume in the next; the power went in between (a removal too)
    gone      is snapshot   –         half way: only its name is missing
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from revertkit.drivers.lvm import rows
from revertkit.drivers.lvm.rows import Volume
from revertkit.models import Blocker, Replica, RevertState, SnapshotInstance


@dataclass(frozen=True)
class Family:
    """One share's volumes, from one look at the group: itself, every snapshot of it whoever made it, our rooms.

    `husks` were snapshots of ours: LVM has taken them off their origin already, and their volumes are to be removed.
    """

    origin: Volume | None
    snapshots: tuple[Volume, ...] = ()
    rooms: tuple[Volume, ...] = ()
    husks: tuple[Volume, ...] = ()

    def body(self, snapshot: str) -> Volume | None:
        """The volume that is the snapshot instance of this id."""
        return _one(self.snapshots, rows.named("snap", snapshot), snapshot)

    def room(self, snapshot: str) -> Volume | None:
        """The room of this snapshot instance, reserved or already a snapshot."""
        return _one(self.rooms, rows.named("room", snapshot), snapshot)

    def husk(self, snapshot: str) -> Volume | None:
        """What a merge or a removal of this snapshot instance has left of its volume."""
        return _one(self.husks, rows.named("snap", snapshot), snapshot)

    @property
    def halfway(self) -> tuple[Volume, ...]:
        """What says that a revert of this share is half way; empty if none is."""
        merging = tuple(v for v in self.snapshots if v.merging)
        return merging + tuple(r for r in self.rooms if self.body(r.tag("snapshot") or "") is None)


def _one(found: Sequence[Volume], name: str, snapshot: str) -> Volume | None:
    return next((v for v in found if v.name == name and v.tag("snapshot") == snapshot), None)


def family(volumes: Sequence[Volume], replica_id: str) -> Family:
    """Pick one share's volumes out of the group's; none is ours without our tag, none that is thin is of this kind."""
    name = rows.named("share", replica_id)
    ours = [v for v in volumes if v.tag("share") == replica_id and not v.pool]
    return Family(
        origin=next((v for v in ours if v.name == name and not v.origin), None),
        snapshots=tuple(v for v in volumes if v.origin == name),
        rooms=tuple(v for v in ours if is_room(v)),
        husks=tuple(v for v in ours if v.name.startswith("snap-") and not v.origin),
    )


def is_room(volume: Volume) -> bool:
    """Whether a revert has reserved it; what is merely called so may be an adopted snapshot that has its name still."""
    snapshot = volume.tag("snapshot")
    return snapshot is not None and volume.name == rows.named("room", snapshot)


def state(seen: Family, snapshot: SnapshotInstance) -> RevertState:
    """Say how far a revert to `snapshot` has come."""
    body, room = seen.body(snapshot.snapshot_id), seen.room(snapshot.snapshot_id)
    if seen.origin is None or (body is None and room is None):
        return RevertState.UNKNOWN
    if body is None or body.merging:
        return RevertState.HALFWAY
    if room is None and snapshot.backend_id is not None and body.tag("was") == snapshot.backend_id:
        return RevertState.REVERTED
    return RevertState.UNCHANGED


def share_tags(share: Replica, size: int, filesystem: str) -> list[str]:
    """What a share's volume says of it: enough to put it on record again."""
    return [
        rows.tag("share", share.id),
        rows.tag("of", share.share_id),
        rows.tag("size", size),
        rows.tag("fs", filesystem),
    ]


def tags(snapshot: SnapshotInstance, size: int | None = None) -> list[str]:
    """What a snapshot's volume says of it; `taken` is its place in the order, which a volume made anew keeps."""
    return [
        rows.tag("share", snapshot.replica.id),
        rows.tag("snapshot", snapshot.snapshot_id),
        rows.tag("taken", int(snapshot.created_at.timestamp() * 1_000_000)),
        rows.tag("size", size or snapshot.size),
    ]


def blockers(seen: Family, snapshot: SnapshotInstance) -> list[Blocker]:
    """Name all that LVM knows to stand in the way of a revert that has not begun."""
    found, body = identities(seen, snapshot), seen.body(snapshot.snapshot_id)
    if body is not None:
        found += [*_health(body), *newer(seen, body), *_space(seen, body)]
    return found + halfway(seen)


def identities(seen: Family, snapshot: SnapshotInstance) -> list[Blocker]:
    """Say whether the share's volume or the snapshot's is not there, or not the one on record."""
    return [*identity(seen, snapshot.replica), *snapshot_identity(seen, snapshot)]


def snapshot_identity(seen: Family, snapshot: SnapshotInstance) -> list[Blocker]:
    """Say whether the snapshot's volume is not there, or not the one on record."""
    return _identity("the snapshot's volume", seen.body(snapshot.snapshot_id), snapshot.backend_id)


def _identity(what: str, volume: Volume | None, recorded: str | None) -> list[Blocker]:
    if volume is None:
        return [Blocker(kind="missing", what=f"{what} is not there", mend="look for it with lvs, or restore it")]
    return _another(what, volume, recorded)


def _another(what: str, volume: Volume | None, recorded: str | None) -> list[Blocker]:
    if volume is None or recorded in (None, volume.uuid):
        return []
    wrong = f"{what} {volume.path} has the uuid {volume.uuid}, on record is {recorded}"
    mend = "put the right one back; or, if this one is right and the record is not, unmanage it and adopt it again"
    return [Blocker(kind="identity", what=wrong, mend=mend)]


def another(seen: Family, share: Replica) -> list[Blocker]:
    """Say whether a volume stands in the share's place that is another than the one on record.

    One that a revert put there, and whose record was lost, is not: it may be deleted for what it was made of.
    """
    return _stranger("the share's volume", seen.origin, share.backend_id)


def another_snapshot(seen: Family, snapshot: SnapshotInstance) -> list[Blocker]:
    """Say so of the snapshot's place."""
    return _stranger("the snapshot's volume", seen.body(snapshot.snapshot_id), snapshot.backend_id)


def _stranger(what: str, volume: Volume | None, recorded: str | None) -> list[Blocker]:
    was = volume.tag("was") if volume else None
    return [] if was and was == recorded else _another(what, volume, recorded)


def _health(body: Volume) -> list[Blocker]:
    if body.invalid or (body.used_percent or 0) >= 100:
        what = f"the snapshot {body.path} has overflowed: its content is lost"
        return [Blocker(kind="invalid", what=what, mend="delete it; give later ones more room: snapshot_percent")]
    if body.merge_failed:
        return [Blocker(kind="invalid", what=f"a merge of {body.path} has failed", mend="see dmesg and lvs")]
    return []


def newer(seen: Family, body: Volume) -> list[Blocker]:
    """Name the snapshots that are not older; one of the same second may be newer. A merge could overflow them."""
    found = [v for v in seen.snapshots if v is not body and not v.merging and not _older(v, body)]
    mend = "delete it, or revert to it instead"
    return [
        Blocker(kind="newer", what=f"the snapshot {v.path} is not older than {body.path}", mend=mend) for v in found
    ]


def _older(other: Volume, body: Volume) -> bool:
    ours, theirs = body.tag("taken"), other.tag("taken")
    if ours and theirs:
        return int(theirs) < int(ours)
    return other.taken < body.taken


def _space(seen: Family, body: Volume) -> list[Blocker]:
    room = seen.room(body.tag("snapshot") or "")
    if room is not None or body.group_free >= body.size:
        return []
    what = f"volume group {body.group} has {body.group_free} bytes free, taking the snapshot anew needs {body.size}"
    return [Blocker(kind="space", what=what, mend="extend the group or remove something")]


def halfway(seen: Family) -> list[Blocker]:
    """Say what is half way, for verbs that need a share at rest."""
    mend = "call the revert again: it finishes what was begun"
    return [Blocker(kind="halfway", what=f"a revert is half way: {v.path}", mend=mend) for v in seen.halfway]


def leftovers(seen: Family) -> list[Volume]:
    """The rooms of reverts that never began: their snapshot is there, and no merge of it."""
    return [r for r in seen.rooms if r not in seen.snapshots and r not in seen.halfway and not _merging(seen, r)]


def _merging(seen: Family, room: Volume) -> bool:
    body = seen.body(room.tag("snapshot") or "")
    return body is not None and body.merging


def identity(seen: Family, share: Replica) -> list[Blocker]:
    """Say whether the share's volume is not the one on record."""
    return _identity("the share's volume", seen.origin, share.backend_id)
