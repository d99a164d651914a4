"""What a replica that is promoted has to be turned back to, so that nothing that a revert discarded comes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from revertkit.errors import Blocked
from revertkit.models import Blocker, Replica, SnapshotInstance


def turned_back_to(replica: Replica, snapshots: Sequence[SnapshotInstance], holds: Callable[[str], bool]) -> str | None:
    """Name the snapshot, of which nothing newer may stay on the replica; None if all of it may.

    That is the first of ``replica.reverted_to`` that it holds. One that it held once, and which was destroyed on it
    behind our back, no longer says where what was discarded begins: then it is the newest one taken before that.

    Args:
        replica: as ``promote_replica`` gets it.
        snapshots: all that are on record for it; one that has ever reached it has a ``backend_id``.
        holds: whether the replica holds a snapshot, by its ``snapshot_id``.

    Raises:
        Blocked: none is left that is old enough.
    """
    known = {one.snapshot_id: one for one in snapshots}
    first = next((one for one in replica.reverted_to if holds(one)), None)
    until = replica.reverted_to.index(first) if first else None
    destroyed = [known[one] for one in replica.reverted_to[:until] if one in known and known[one].backend_id]
    if not destroyed:
        return first
    begin = min(one.created_at for one in destroyed)
    if first in known and known[first].created_at < begin:
        return first
    if older := [one for one in snapshots if one.created_at < begin and holds(one.snapshot_id)]:
        return max(older, key=lambda one: one.created_at).snapshot_id
    names = ", ".join(one.snapshot_id for one in destroyed)
    what = f"replica {replica.id} has lost snapshot {names}, which the share was reverted to, and holds no older one"
    mend = "resync it, or promote another: what the revert has discarded would be back with this one"
    raise Blocked(Blocker(kind="target_lost", what=what, mend=mend))
