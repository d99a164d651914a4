"""What one look at the volume group says of one thin share: its volumes, how far a revert is, what stands in its way.

Pure: no command runs here. A revert never merges: ``lvconvert --merge`` of a thin snapshot takes its siblings their
origin, and none of those can be merged afterwards (lvm2 issue 193). It swaps in a new volume made from the snapshot,
whose tags say whose turn it is: `was`, the uuid of the volume that it replaces, and `reverted`, the snapshot. What
belongs to a share is what carries its tag, never what LVM calls its origin; what carries a snapshot's too is none of
these, whatever it was called when it was adopted::

    share-R        new-I    old-I
    old            –        –        nothing begun
    old            there    –        staged, nothing begun: the new one may go
    –              there    there    half way: the new one has only to get its name
    new            –        there    reverted: its tag `was` is the identity still on record; the old one may go
                                     once the new identity is on record, and then this is "nothing begun" again
    –              –        any      unknown: somebody has been at it by hand
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from revertkit.drivers.lvm import family, rows
from revertkit.drivers.lvm.family import Family
from revertkit.drivers.lvm.rows import Volume
from revertkit.models import Blocker, RevertState, SnapshotInstance


@dataclass(frozen=True)
class Lineage(Family):
    """One thin share's volumes: itself, every snapshot of ours, what reverts staged and set aside, and the pool."""

    pool: Volume | None = None

    def stage(self, snapshot: str) -> Volume | None:
        """The volume that a revert to this snapshot instance has made."""
        wanted = rows.named("new", snapshot)
        return next((v for v in self.rooms if v.name == wanted and v.tag("reverted") == snapshot), None)

    @property
    def halfway(self) -> tuple[Volume, ...]:
        """What a revert between its two renames has left; empty if none is there."""
        return self.rooms if self.origin is None else ()


def lineage(volumes: Sequence[Volume], replica_id: str, pool: str) -> Lineage:
    """Pick one share's volumes out of the group's; none is ours without our tag."""
    name = rows.named("share", replica_id)
    ours = [v for v in volumes if v.tag("share") == replica_id and v.pool == pool]
    return Lineage(
        origin=next((v for v in ours if v.name == name), None),
        snapshots=tuple(v for v in ours if v.name.startswith("snap-") and v.tag("snapshot")),
        rooms=tuple(v for v in ours if is_passing(v)),
        pool=pool_in(volumes, pool),
    )


def is_passing(volume: Volume) -> bool:
    """Whether it is there only until a revert is on record."""
    ours = volume.tag("share") is not None and volume.tag("snapshot") is None
    return ours and volume.name.startswith(("new-", "old-"))


def pool_in(volumes: Sequence[Volume], pool: str) -> Volume | None:
    """Find the thin pool of this name; another kind of volume is none."""
    return next((v for v in volumes if v.name == pool and "pool" in v.layout.split(",")), None)


def state(seen: Lineage, snapshot: SnapshotInstance) -> RevertState:
    """Say how far a revert to `snapshot` has come."""
    origin, wanted = seen.origin, snapshot.snapshot_id
    if seen.body(wanted) is None:
        return RevertState.UNKNOWN
    if origin is None:
        return RevertState.HALFWAY if seen.stage(wanted) else RevertState.UNKNOWN
    recorded = snapshot.replica.backend_id
    if recorded is not None and origin.tag("was") == recorded and origin.tag("reverted") == wanted:
        return RevertState.REVERTED
    return RevertState.UNCHANGED


def staged(seen: Lineage, snapshot: SnapshotInstance) -> Volume | None:
    """What an earlier call has made of the snapshot to take the place of the very volume that is there now."""
    stage, origin = seen.stage(snapshot.snapshot_id), seen.origin
    return stage if stage and origin and stage.tag("was") == origin.uuid else None


def blockers(seen: Lineage, snapshot: SnapshotInstance, limit: int) -> list[Blocker]:
    """Name all that LVM knows to stand in the way of a revert that has not begun; a stranger's snapshot does not."""
    found, body = family.identities(seen, snapshot), seen.body(snapshot.snapshot_id)
    if body is not None:
        found += family.newer(seen, body)
    room = [] if staged(seen, snapshot) else full(seen.pool, limit)
    return [*found, *ailing(seen.pool), *room, *family.halfway(seen)]


def ailing(pool: Volume | None) -> list[Blocker]:
    """Say whether nothing can be written to the pool, or to its metadata."""
    if pool is None:
        return [Blocker(kind="pool", what="the thin pool is not there", mend="see lvs, or correct thin_pool")]
    if pool.ailment:
        what = f"LVM says of the thin pool {pool.group}/{pool.name}: {pool.ailment}"
        mend = "extend it (lvextend) if it is out of data, else repair it: lvmthin(7)"
        return [Blocker(kind="pool", what=what, mend=mend)]
    return []


def full(pool: Volume | None, limit: int) -> list[Blocker]:
    """Say whether the pool is so full that nothing more is begun in it: when it runs out, every volume in it stops.

    Of a pool with no active volume LVM knows no figures; it activates it with the next one, which is refused then.
    """
    if pool is None:
        return []
    data, metadata = pool.data_percent or 0, pool.metadata_percent or 0
    if max(data, metadata) < limit:
        return []
    figures = f"{data:g} % of its data and {metadata:g} % of its metadata"
    what = f"the thin pool {pool.group}/{pool.name} has used {figures}, thin_limit_percent is {limit}"
    mend = "extend it (lvextend; for metadata with --poolmetadatasize) or remove something from it"
    return [Blocker(kind="space", what=what, mend=mend)]
