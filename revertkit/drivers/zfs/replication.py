"""Replicas: pulled from the active one by resumable, incremental send and receive, one snapshot after the other.

One look at a replica (``update_replica_state``), and what each step leaves when it is cut:

1. end what a dead owner's receive still does; look at both; find the base (:mod:`~revertkit.drivers.zfs.lineage`);
2. if it was active until it was away, take it offline: only then is all that was written to it on disk, and seen. If
   it was written to, or holds what is newer than the base: destroy ours beyond the base, by guid, and roll back to the
   base by ``lzc_rollback_to``. What is destroyed was discarded by the active one. Cut in between: fewer are left to
   destroy. A stranger's snapshot or bookmark beyond the base is named, and all stays;
3. what a cut transfer has left is gone on with, if the active one still has that snapshot, or else dropped;
4. take a marker on the active one: the moment that this look is about;
5. receive every snapshot of ours, then the marker. Cut: what has arrived counts, the rest is resumable;
6. look again: in sync only if the replica's newest is the marker, and the active one still has it;
7. say so on the active one's marker, and destroy those that nobody needs any more, on both. Cut: the next look does.

A revert of the active one is any revert (:mod:`~revertkit.drivers.zfs.revert`), for markers are none of its blockers:
once the share is offline, sends of markers newer than the target are ended, and these are destroyed, by guid; then the
mark, then the rollback. Cut after the first of them is destroyed, the share has its old data, and replicas start from
an older base, at worst the target itself. A look that has begun before finds its marker gone, in 4, 5 or 6.

A replica is never mounted itself: readers are shown the newest marker that it has received
(:mod:`~revertkit.drivers.zfs.following`), so that nothing changes under them, and a receive never waits for one.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

from revertkit.driver import SupportsReplicatedRevert, SupportsReplication
from revertkit.drivers.discarded import turned_back_to
from revertkit.drivers.zfs import checks, lineage, online, openzfs
from revertkit.drivers.zfs.active import Active
from revertkit.drivers.zfs.base import ACLS, SECONDS_TO_END
from revertkit.drivers.zfs.following import Following
from revertkit.drivers.zfs.listing import EMPTY, REVERTING, SHARE, Dataset, Point
from revertkit.drivers.zfs.revert import Reverting
from revertkit.drivers.zfs.streams import Progress
from revertkit.errors import BackendError, Blocked, CommandFailed
from revertkit.log import get_logger
from revertkit.models import Blocker, Promoted, Replica, ReplicaReport, Reverted, SnapshotInstance, Stored
from revertkit.status import ReplicaState
from revertkit.system import processes

log = get_logger(__name__)
REVERTED = "the active replica was reverted meanwhile"


class Replicating(Following, Reverting, SupportsReplication, SupportsReplicatedRevert):
    """The verbs of replicas."""

    replication_type: ClassVar[str] = "readable"

    def revert_to_replicated_snapshot(self, snapshot: SnapshotInstance, others: Sequence[SnapshotInstance]) -> Reverted:
        """Roll the active one back, whatever the `others` do: their transfers are ended, and they follow later."""
        return self.revert_to_snapshot(snapshot)

    def create_replica(self, replica: Replica, active: Replica, snapshots: Sequence[SnapshotInstance]) -> Stored:
        """Make an empty dataset, read-only and offline, that says of itself that it may be replaced by a copy.

        Raises:
            Blocked: the active one is in the same zpool of this host, or what is made here is encrypted.
        """
        name = self._name(replica)
        if blockers := self._unfit(replica, active):
            raise Blocked(*blockers)
        if openzfs.look(name) is None:
            openzfs.create(name)
        found = self._there(replica)
        if found.share_id is None and not found.points:
            own = {**self._settings(replica), **ACLS, EMPTY: "yes", SHARE: replica.share_id}
            openzfs.set_properties(name, own)
        anew = replica.model_copy(update={"backend_id": None})  # it may be made in place of one that is on record
        return Stored(backend_id=self._known(anew).guid, size=replica.size)

    def _unfit(self, replica: Replica, active: Replica) -> list[Blocker]:
        found, pool = [], openzfs.pool_of(self.options.pool)
        if active.host == replica.host and openzfs.pool_of(active.pool) == pool:
            what = f"the active replica {active.id} is in zpool {pool} too, and would be lost with it"
            found.append(Blocker(kind="same_pool", what=what, mend="name a backend on another zpool"))
        if openzfs.is_encrypted(self.options.pool):
            what = f"{self.options.pool} is encrypted, and ZFS replaces no encrypted dataset by a first copy"
            found.append(Blocker(kind="encrypted", what=what, mend="name a dataset that is not"))
        return found

    def delete_replica(self, replica: Replica, snapshots: Sequence[SnapshotInstance]) -> None:
        """Take it offline and destroy it, with what of ours is on it.

        Raises:
            Blocked: it is not ours, in use, or has a snapshot, bookmark or child that nobody on record knows.
        """
        found = openzfs.look(self._name(replica))
        if found is None:
            return
        self._end_receives(found.name)
        claims = lineage.claims(found, snapshots)
        strange = [p.name for p in lineage.foreign(found.points) if p.name not in claims]
        blockers = [checks.foreign(name, "would be destroyed with the replica") for name in [*strange, *found.children]]
        unfinished = found.share_id is None and not found.points
        if (stranger := checks.stranger(found, replica, found.name)) and not unfinished:
            blockers.insert(0, stranger)
        if blockers:
            raise Blocked(*blockers)
        with self._put_back(replica):
            self._take_offline(replica, found)
            self._abort(found)
            openzfs.destroy_exactly(found.name, found.snapshots)
        openzfs.destroy(found.name)
        self._remove_mount_point(replica)

    def fence(self, replica: Replica, active: Replica) -> bool:
        """Make the active one read-only by its property, from here.

        Raises:
            CommandFailed, BackendError: it is out of reach, or may not be made so.
        """
        source = self._active(replica, active)
        if why := _unreplayed(source.look(), active):
            raise BackendError(why)
        source.set_readonly(True)
        return True

    def unfence(self, replica: Replica, active: Replica) -> None:
        """Let it be written to again; as :meth:`fence`."""
        self._active(replica, active).set_readonly(False)

    def promote_replica(self, replica: Replica, active: Replica, snapshots: Sequence[SnapshotInstance]) -> Promoted:
        """Turn it back to what the share was reverted to, and let it be written to; it is offline.

        Raises:
            Blocked: it is missing or has never held anything; somebody reads it; a stranger's snapshot is in the way
                of turning it back, it has lost what it would have to be turned back to, or a revert of its own is half
                way. Nothing has changed.
        """
        found = self._known(replica)
        self._end_receives(found.name)
        if self._claim(found, snapshots):
            found = self._known(replica)
        known = {p.snapshot_id: p for p in found.snapshots if p.snapshot_id}
        target = known.get(turned_back_to(replica, snapshots, known.__contains__) or "")
        if blockers := list(_unpromotable(found, target)):
            raise Blocked(*blockers)
        with self._put_back(replica):
            self._take_offline(replica, found)
            self._abort(found)
            if target is not None:
                self._turn_back(found, target)
        promoted = replica.model_copy(update={"state": ReplicaState.ACTIVE})
        held = self._known(replica)
        openzfs.set_properties(found.name, self._fitting(promoted, held))
        # Not what its refquota says, which is more where the same data takes more room, as on raidz.
        return Promoted(replica=Stored(backend_id=held.guid, size=replica.size), snapshots=_stored(held, snapshots))

    # --- a look

    def update_replica_state(
        self, replica: Replica, active: Replica, snapshots: Sequence[SnapshotInstance]
    ) -> ReplicaReport:
        """Turn it back to the base if it has to be, then receive what the active one has.

        Raises:
            Blocked: the replica is missing or not the one on record, or somebody reads what has to go.
            CommandFailed, BackendError: the active one cannot be reached or is another, or a transfer was cut.
        """
        source = self._active(replica, active)
        self._end_receives(self._name(replica))
        here, there = self._known(replica), source.look()
        if stranger := checks.stranger(there, active, there.name):
            raise BackendError(stranger.what)
        if there.reverting is not None:
            found = "the active replica is in the middle of a revert"
            return ReplicaReport(state=ReplicaState.OUT_OF_SYNC, found=found)
        if why := _unreplayed(there, active):
            return ReplicaReport(state=ReplicaState.OUT_OF_SYNC, found=why)
        here = self._ready(replica, here, snapshots)
        if why := _in_the_way(here, there, snapshots):
            return ReplicaReport(state=ReplicaState.ERROR, snapshots=_stored(here, snapshots), found=why)
        if not _has_base(here, there):
            found = "it has no snapshot in common with the active replica: only a full copy can bring it in sync"
            return ReplicaReport(state=ReplicaState.ERROR, found=found, needs_full_copy=True)
        if self._made_equal(replica, here, there) or self._resumed(here, there, source):
            here = self._known(replica)
        self._forget_abandoned(source, lineage.abandoned(here, there, replica.id))
        gone = lineage.markers(there) - {active.id, replica.id, *replica.peers}
        return self._follow(replica, active, source, here, snapshots, gone)

    def _ready(self, replica: Replica, here: Dataset, snapshots: Sequence[SnapshotInstance]) -> Dataset:
        """Unmount it, if it was active before, which waits for what was written to it; claim what a cut look got."""
        if was_active := online.mounted(here.name):
            self._shut(replica, here)
        return self._known(replica) if self._claim(here, snapshots) or was_active else here

    def _active(self, replica: Replica, active: Replica) -> Active:
        """Say how to reach the active one.

        Raises:
            BackendError: it is on another host, and no setting says how to reach that.
        """
        name = f"{openzfs.checked(active.pool)}/share-{active.id}"
        return Active(name, () if active.host == replica.host else self._way_to(active.host))

    def _made_equal(self, replica: Replica, here: Dataset, there: Dataset) -> bool:
        """Leave of it only what the active one has too; say whether anything had to go."""
        base = lineage.base(here, there)
        if base is None or not (lineage.beyond(here, base) or here.space["written"] or here.reverting):
            return False
        self._take_offline(replica, here)
        self._abort(here)
        self._turn_back(here, base.here)
        return True

    def _turn_back(self, here: Dataset, point: Point) -> None:
        """Roll it back to one of its snapshots; what is newer, seen to be ours before, goes first."""
        openzfs.destroy_exactly(here.name, here.newer(point))
        if here.space["refquota"]:
            openzfs.set_properties(here.name, {"refquota": "0"})
        openzfs.rollback_to(here.name, point.name)
        if here.reverting:
            openzfs.clear(here.name, REVERTING)

    def _resumed(self, here: Dataset, there: Dataset, source: Active) -> bool:
        """Go on with a transfer that was cut; drop it if the active one has that snapshot no more."""
        if here.token is None:
            return False
        cut = openzfs.read_token(here.token)
        point = next((p for p in there.snapshots if (p.name, p.guid) == (cut.name, cut.guid)), None)
        if point is None:
            self._abort(here)
            return False
        first = here.empty and not here.snapshots
        source.resume(here.token, point, f"{here.name}@{point.short_name}", Progress(0, 2), first=first)
        self._arrived(here, point)
        return True

    @staticmethod
    def _forget_abandoned(source: Active, markers: Sequence[Point]) -> None:
        try:
            source.forget(markers)
        except CommandFailed as failure:  # somebody holds one: no reason not to follow
            log.warning("marker cannot be destroyed", dataset=source.name, failure=str(failure))

    def _follow(
        self,
        replica: Replica,
        active: Replica,
        source: Active,
        here: Dataset,
        snapshots: Sequence[SnapshotInstance],
        gone: Collection[str],
    ) -> ReplicaReport:
        (marker, there), taken = source.mark(replica.id), time.monotonic()
        base, due = lineage.base(here, there), lineage.due(here, there, marker)
        last = base.there if base else None
        for number, point in enumerate(due):
            source.send(point, last, f"{here.name}@{point.short_name}", Progress(number, len(due)))
            self._arrived(here, point)
            last = point
        here, there = self._known(replica), source.look()
        if not _equal(here, there, marker):
            return self._report(ReplicaState.OUT_OF_SYNC, here, there, snapshots, found=REVERTED)
        source.received(marker)
        left = self._tidy(replica, active, source, here, lineage.with_received(there, marker), gone)
        if left and not _equal(here, there := source.look(), marker):
            return self._report(ReplicaState.OUT_OF_SYNC, here, there, snapshots, found=REVERTED)
        behind = time.monotonic() - taken
        return self._report(ReplicaState.IN_SYNC, here, there, snapshots, found=left, behind=behind)

    def _arrived(self, here: Dataset, point: Point) -> None:
        """Say of a snapshot that was received what it is, and that the replica is empty no more."""
        openzfs.set_properties(f"{here.name}@{point.short_name}", lineage.properties(point.short_name, point.size))
        if here.empty:
            openzfs.clear(here.name, EMPTY)

    def _tidy(
        self,
        replica: Replica,
        active: Replica,
        source: Active,
        here: Dataset,
        there: Dataset,
        gone: Collection[str],
    ) -> str:
        """Show readers what has come; destroy the markers that nobody needs any more. Say what could not be.

        Those of a replica that was made during this look, which may have taken hours, are nobody's by our record.
        """
        peers = {replica.id, *replica.peers, *lineage.markers(there)}.difference(gone, [active.id])
        stale = lineage.stale(there, active.id, peers)
        kept = {p.guid for p in there.snapshots if p not in stale}
        try:
            if self._is_shown(replica):
                self.ensure_share(replica)
            source.forget(stale)
            old = [p for p in here.snapshots if p.marker and p.guid not in kept]
            openzfs.destroy_exactly(here.name, self._unshow(old))
        except BackendError as failure:
            log.warning("not all of an older marker could be removed", replica=replica.id, exc_info=failure)
            return f"it is in sync, but markers are left: {failure}"
        return ""

    @staticmethod
    def _report(
        state: ReplicaState,
        here: Dataset,
        there: Dataset,
        snapshots: Sequence[SnapshotInstance],
        *,
        found: str = "",
        behind: float | None = None,
    ) -> ReplicaReport:
        known = {p.guid for p in there.snapshots}
        shared = replace(here, points=tuple(p for p in here.points if p.guid in known))
        alone = replace(here, points=tuple(p for p in here.points if p.guid not in known))
        return ReplicaReport(
            state=state,
            snapshots=_stored(shared, snapshots),
            last_copies=tuple(_stored(alone, snapshots)),
            seconds_behind=behind,
            found=found,
        )

    @staticmethod
    def _end_receives(name: str) -> None:
        """End what still receives into a replica: whoever holds it now has not begun that.

        Raises:
            BackendError: it does not end.
        """
        if left := processes.end(processes.of_transfer(into=name), SECONDS_TO_END):
            raise BackendError(f"processes {left} still receive into {name} after SIGTERM")

    @staticmethod
    def _abort(found: Dataset) -> None:
        if found.token is not None:
            openzfs.abort_receive(found.name)

    def _claim(self, here: Dataset, snapshots: Sequence[SnapshotInstance]) -> bool:
        """Say of what a cut look has received what it is."""
        claims = lineage.claims(here, snapshots) if here.following else {}
        for name, properties in claims.items():
            openzfs.set_properties(name, properties)
        return bool(claims)


def _stored(here: Dataset, snapshots: Sequence[SnapshotInstance]) -> dict[str, Stored]:
    """Say which of these a dataset holds, by instance id."""
    held = {p.snapshot_id: p for p in here.snapshots if p.snapshot_id}
    return {
        one.id: Stored(backend_id=point.guid, size=checks.recorded_size(point, one))
        for one in snapshots
        if (point := held.get(one.snapshot_id))
    }


def _unreplayed(there: Dataset, active: Replica) -> str:
    """Say why a marker may lack what was synced to the active one before a power cut: only a mount replays that."""
    if there.mounted or there.following:
        return ""
    return f"the active replica is not mounted: run `revertkit recover` on {active.host}, and look again"


def _in_the_way(here: Dataset, there: Dataset, snapshots: Sequence[SnapshotInstance]) -> str:
    """Name what is beyond the base and must not be destroyed; empty if nothing is."""
    beyond = lineage.beyond(here, lineage.base(here, there))
    if strange := ", ".join(p.name for p in lineage.foreign(beyond)):
        return f"{strange} on the replica is not ours, and in the way: destroy it by hand, if it is not needed"
    known = {one.snapshot_id for one in snapshots}
    if lost := ", ".join(p.name for p in beyond if p.snapshot_id in known):
        mend = "promote this replica by force to have it back, or delete that snapshot"
        return f"the active replica has lost {lost}; this is the last copy, which following it would destroy: {mend}"
    return ""


def _has_base(here: Dataset, there: Dataset) -> bool:
    """Whether it can follow; one that was made for a first copy needs no base."""
    return lineage.base(here, there) is not None or (here.empty and not here.snapshots)


def _equal(here: Dataset, there: Dataset, marker: Point) -> bool:
    """Whether the replica holds the marker and nothing beyond, and the active one knows it still."""
    arrived = bool(here.snapshots) and here.snapshots[-1].guid == marker.guid and not here.space["written"]
    return arrived and there.reverting is None and any(p.guid == marker.guid for p in there.snapshots)


def _unpromotable(found: Dataset, target: Point | None) -> Iterator[Blocker]:
    if found.empty and not found.snapshots:
        yield Blocker(kind="empty", what=f"{found.name} has never held anything", mend="resync it first")
    if target is not None:
        yield from checks.newer(lineage.foreign(found.newer(target)))
    elif found.reverting is not None:
        yield Blocker(kind="halfway", what=f"an old revert of {found.name} is half way", mend="resync it first")
