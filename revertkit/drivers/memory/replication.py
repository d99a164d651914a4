"""Replicas in memory: in other backends of the same process, pulled, by lineage, as ZFS sends and receives.

A transfer leaves a mark on both ends: what it brought. A revert of the active one forgets the marks beyond its
snapshot, so that no look that began before it can find its own mark there at its end, and none after it takes the
replica's data for the active one's: it turns the replica back to the newest moment that both still know.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import ClassVar

from revertkit.driver import SupportsReplicatedRevert, SupportsReplication
from revertkit.drivers.discarded import turned_back_to
from revertkit.drivers.memory.adoption import refusal
from revertkit.drivers.memory.online import export, snapshot_offline, stored
from revertkit.drivers.memory.storage import Kept, Volume, volumes
from revertkit.errors import BackendError
from revertkit.models import (
    AccessLevel,
    ExportLocation,
    Promoted,
    Replica,
    ReplicaReport,
    Reverted,
    SnapshotInstance,
    Stored,
)
from revertkit.status import ReplicaState
from revertkit.system.run import step


class Replication(SupportsReplication, SupportsReplicatedRevert):
    """What the driver can do with replicas."""

    replication_type: ClassVar[str] = "readable"
    backend: str

    def _volumes(self) -> dict[str, Volume]:
        raise NotImplementedError

    def _need(self, size: int) -> None:
        raise NotImplementedError

    def _held(self, share: Replica) -> Volume | None:
        raise NotImplementedError

    def _share(self, share: Replica) -> Volume:
        raise NotImplementedError

    def _location(self, share: Replica) -> ExportLocation:
        raise NotImplementedError

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        """The driver's own."""
        raise NotImplementedError

    # --- the active one

    def revert_to_replicated_snapshot(self, snapshot: SnapshotInstance, others: Sequence[SnapshotInstance]) -> Reverted:
        """Revert it as any; marks beyond the snapshot are forgotten in the same step that brings its content."""
        return self.revert_to_snapshot(snapshot)

    @staticmethod
    def _open(held: Volume, share: Replica) -> None:
        """Let an active share be written to, and forget the marks of replicas that it has no more."""
        if held.readonly:
            with step("open the share for writing"):
                held.readonly = False
        if stale := held.marks.keys() - set(share.peers):
            with step("forget marks"):
                held.marks = {peer: kept for peer, kept in held.marks.items() if peer not in stale}

    # --- the others

    def create_replica(self, replica: Replica, active: Replica, snapshots: Sequence[SnapshotInstance]) -> Stored:
        """Make an empty one, read-only and offline.

        Raises:
            Blocked: there is no room, or the active one is in this backend.
        """
        if active.backend == self.backend:
            what = f"the active replica {active.id} is in backend {self.backend} too"
            raise refusal("same_pool", what, "name another pool")
        if self._held(replica) is None:
            self._need(replica.size)
            with step("make the replica"):
                made = Volume(replica.size, {}, replica.share_id, replica.id, readonly=True)
                self._volumes()[replica.id] = made
        return stored(self._share(replica))

    def delete_replica(self, replica: Replica, snapshots: Sequence[SnapshotInstance]) -> None:
        """Remove it, and all that is on it.

        Raises:
            Blocked: it holds a snapshot that is not ours.
        """
        if (held := self._held(replica)) is None:
            return
        if strange := _foreign(held):
            raise refusal("foreign_snapshot", f"replica {replica.id} has snapshot {strange[0]}", "delete that first")
        with step("take the replica offline"):
            held.online = False
        with step("remove the replica"):
            del self._volumes()[replica.id]

    def _ensure_replica(self, share: Replica) -> list[ExportLocation]:
        """Let it be read, and not written to. What a revert left half-way is not shown: the next look mends it."""
        held = self._share(share)
        _close(held)
        for kept in held.snapshots.values():
            snapshot_offline(kept)
        broken = held.halfway or share.backend_id not in (None, held.identity)
        if held.online is broken:
            with step("take the replica offline" if broken else "bring the replica online"):
                held.online = not broken
        rules = [] if broken else share.rules
        export(held, [rule.model_copy(update={"access_level": AccessLevel.RO}) for rule in rules])
        return [] if broken else [self._location(share)]

    def update_replica_state(
        self, replica: Replica, active: Replica, snapshots: Sequence[SnapshotInstance]
    ) -> ReplicaReport:
        """Turn back what the active one does not know, then receive its snapshots and a mark, one step each.

        Raises:
            Blocked: it is missing, or there is no room. BackendError: the active one cannot be reached.
        """
        here, there = self._share(replica), _active(active)
        if strange := _foreign(here):
            found = f"the replica has snapshot {', '.join(strange)}, which is not ours: delete that by hand"
            return ReplicaReport(state=ReplicaState.ERROR, found=found)
        if active.backend_id != there.identity:
            return ReplicaReport(
                state=ReplicaState.OUT_OF_SYNC, found="the active replica is in the middle of a revert"
            )
        if last := _last_copies(here, there, snapshots):
            found = f"the active replica has lost snapshot {last[0].snapshot_id}, which would go by following it"
            return ReplicaReport(state=ReplicaState.ERROR, snapshots=_kept(here, last), found=found)
        if not _turned_back(here, there):
            found = "it has no moment in common with the active replica: only a full copy can bring it in sync"
            return ReplicaReport(state=ReplicaState.ERROR, found=found, needs_full_copy=True)
        self._need(replica.size - here.size)
        mark, lineage, held = _marked(there, replica.id)
        for one in held:
            _receive(here, one, lineage)
        with step("receive the newest data"):
            here.files, here.size, here.lineage = dict(mark.files), replica.size, lineage
            here.marks[replica.id] = mark
            here.identity, here.halfway, here.aside = replica.backend_id or here.identity, False, None
        known = mark.moment in there.lineage
        return ReplicaReport(
            state=ReplicaState.IN_SYNC if known else ReplicaState.OUT_OF_SYNC,
            snapshots=_kept(here, snapshots),
            last_copies=tuple(_kept(here, _not_there(there, snapshots))),
            seconds_behind=0.0 if known else None,
            found="" if known else "the active replica was reverted meanwhile",
        )

    def fence(self, replica: Replica, active: Replica) -> bool:
        """Let nobody write to the active one.

        Raises:
            BackendError: it cannot be reached.
        """
        _close(_active(active))
        return True

    def unfence(self, replica: Replica, active: Replica) -> None:
        """Let it be written to again.

        Raises:
            BackendError: it cannot be reached.
        """
        self._open(_active(active), active)

    def promote_replica(self, replica: Replica, active: Replica, snapshots: Sequence[SnapshotInstance]) -> Promoted:
        """Turn it back to what the share was reverted to, then let it be written to.

        Raises:
            Blocked: it is missing, has lost what it would have to be turned back to, or an old revert of its own is
                half way.
        """
        held = self._share(replica)
        target = turned_back_to(replica, snapshots, lambda one: held.ours(one) is not None)
        if kept := held.ours(target or ""):
            with step("turn the replica back"):
                held.turn_back(kept)
        elif held.halfway:
            raise refusal("halfway", f"a revert of replica {replica.id} is half way", "resync it")
        if held.readonly:
            with step("open the replica for writing"):
                held.online, held.readonly, held.identity = False, False, replica.backend_id or held.identity
        return Promoted(replica=stored(held), snapshots=_kept(held, snapshots))


def _kept(held: Volume, snapshots: Sequence[SnapshotInstance]) -> dict[str, Stored]:
    return {each.id: stored(kept) for each in snapshots if (kept := held.ours(each.snapshot_id))}


def _close(held: Volume) -> None:
    if not held.readonly:
        with step("close the share for writing"):
            held.readonly = True


def _foreign(held: Volume) -> list[str]:
    return [name for name, kept in held.snapshots.items() if not kept.mark]


def _active(active: Replica) -> Volume:
    held = volumes(active.backend).get(active.id)
    if held is None:
        raise BackendError(f"there is no active replica {active.id} in backend {active.backend}")
    return held


def _common(here: Volume, there: Volume) -> list[str]:
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(here.lineage, there.lineage, strict=False))
    return [moment for moment, _ in pairs]


def _last_copies(here: Volume, there: Volume, snapshots: Sequence[SnapshotInstance]) -> list[SnapshotInstance]:
    """Pick those that would go if `here` were turned back to what both know, and that `there` does not hold."""
    common = _common(here, there)
    held = [(one, here.ours(one.snapshot_id)) for one in _not_there(there, snapshots)]
    return [one for one, kept in held if kept is not None and kept.moment not in common]


def _not_there(there: Volume, snapshots: Sequence[SnapshotInstance]) -> list[SnapshotInstance]:
    return [one for one in snapshots if there.ours(one.snapshot_id) is None]


def _turned_back(here: Volume, there: Volume) -> bool:
    """Leave of `here` only what `there` knows too; say whether that could be done."""
    common = _common(here, there)
    if len(common) == len(here.lineage):
        return True
    images = {kept.moment: kept for kept in (*here.snapshots.values(), *here.marks.values())}
    newest = next((images[moment] for moment in reversed(common) if moment in images), None)
    if newest is None:
        return False
    with step("turn the replica back"):
        here.turn_back(newest)
    return True


def _marked(there: Volume, replica_id: str) -> tuple[Kept, list[str], list[Kept]]:
    """Mark the active one's data of this moment; answer the mark, what leads to it, and the snapshots before it."""
    with step("mark the active replica"):
        mark = Kept(there.size, dict(there.files))
        there.marks[replica_id] = mark
        there.lineage.append(mark.moment)
        return mark, list(there.lineage), [kept for kept in there.snapshots.values() if kept.mark]


def _receive(here: Volume, kept: Kept, lineage: list[str]) -> None:
    if here.ours(kept.mark) is not None:
        return
    with step("receive a snapshot"):
        here.snapshots[kept.mark] = Kept(kept.size, dict(kept.files), kept.mark, kept.created_at, moment=kept.moment)
        if kept.moment in lineage and kept.moment not in here.lineage:
            here.files, here.lineage = dict(kept.files), lineage[: lineage.index(kept.moment) + 1]
