"""One look at a replica: bring it nearer to its active one, and put on record how it stands now.

From time to time, and by hand. It holds the replica's lock, never the share's, so that nothing that is done to the
share waits for it; and it may be cut at any time, since it says "in sync" only at its end:

1. In one transaction: the share and the replica are at rest (a share that is being reverted is left alone); the replica
   is out of sync from now on; what the look has to see, and when the share was last reverted or its active replica
   changed, is noted.
2. The driver makes the replica read-only, turns it back from what the active one has discarded, brings the rest.
3. In one transaction: if the share was reverted or promoted since 1, nothing is believed of what was brought. Else the
   replica is as the driver says; in sync only if it holds every snapshot that the share was reverted to since it was
   last in sync.
4. What is gone from the share goes from the replica: only now, since it may have been needed to turn back to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from revertkit.capabilities import verbs
from revertkit.driver import SupportsReplication, SupportsSnapshots
from revertkit.errors import NotFound
from revertkit.locks import Busy, of_replica
from revertkit.log import get_logger
from revertkit.models import Replica, ReplicaReport, Share, ShareReplica, SnapshotInstance, Stored
from revertkit.operations.online import bring_held_replica_online
from revertkit.operations.site import Site
from revertkit.status import FOLLOWING, TRANSITIONS, ReplicaState, Status
from revertkit.store import move, move_state, operations, replicas, shares, snapshots
from revertkit.store.tables import instances
from revertkit.store.tables import replicas as replicas_table
from revertkit.system.run import operation as operation_of_children

log = get_logger(__name__)
IN_SYNC, OUT_OF_SYNC = ReplicaState.IN_SYNC, ReplicaState.OUT_OF_SYNC


@dataclass(frozen=True)
class Looked:
    """What came of one look."""

    replica_id: str
    share_id: str
    replica_state: ReplicaState
    found: str = ""
    left_alone: bool = False
    """Whether it was not looked at: somebody else works on it, or on the share."""


@dataclass(frozen=True)
class _Plan:
    share: Share
    replica: ShareReplica
    wanted: list[SnapshotInstance]
    lost: list[SnapshotInstance]
    """Of snapshots that the active one has lost: a cut look may have brought one here, as its last copy."""
    turn: datetime
    begun: datetime


def look_at_all(site: Site) -> list[Looked]:
    """Look at every replica on this host that is not active; one that fails, or is worked on, stops no other."""
    with site.store.read() as tx:
        found = replicas.following(tx, site.host)
    looked = []
    for replica in found:
        try:
            with site.locks.hold(of_replica(replica.id)):
                looked.append(look(site, replica.id))
        except (Busy, NotFound) as other:  # somebody works on it, or has deleted it meanwhile
            looked.append(Looked(replica.id, replica.share_id, replica.replica_state, str(other), left_alone=True))
    return looked


def look(site: Site, replica_id: str) -> Looked:
    """Look at a replica whose lock is held. What the driver raises is on record then, and goes no further.

    Its child processes are marked with the replica's id, so that a revert can find and end them.

    Raises:
        NotFound: there is no such replica. StoreError: the record cannot be written.
    """
    with site.store.write() as tx:
        plan = _begin(tx, site, replica_id)
    if isinstance(plan, Looked):
        return plan if plan.left_alone else _held_to_rules(site, plan)
    with operation_of_children(replica_id):
        report = _report(site, plan)
    with site.store.write() as tx:
        looked = _record(tx, site, plan, report)
        # What is deleted from here on may have been reverted to before: it is needed until that is followed.
        gone = snapshots.gone(tx, plan.replica.replica) if looked.replica_state is IN_SYNC else []
        begun, rules = plan.replica.replica.rules, replicas.get(tx, replica_id).replica.rules
    if looked.replica_state is IN_SYNC:
        looked = replace(looked, found=drop(site, plan.replica, gone))
    else:
        log.warning("replica is not in sync", replica=replica_id, state=looked.replica_state.value, found=looked.found)
    return looked if rules == begun else _held_to_rules(site, looked)


def _held_to_rules(site: Site, looked: Looked) -> Looked:
    """Let it be read by the rules that are on record now: those that a look began with may be hours old."""
    with site.store.read() as tx:
        replica = replicas.get(tx, looked.replica_id)
    try:
        bring_held_replica_online(site, replica)
    except Exception as failure:
        log.warning("replica cannot be brought online", replica=replica.id, exc_info=failure)
        looked = replace(looked, found="; ".join(filter(None, [looked.found, f"it cannot be read: {failure}"])))
        with site.store.write() as tx:
            replicas.describe(tx, replica.id, found=looked.found)
    return looked


def _begin(tx: Connection, site: Site, replica_id: str) -> _Plan | Looked:
    replica = replicas.get(tx, replica_id)
    shares.hold(tx, replica.share_id)
    share, replica = shares.get(tx, replica.share_id), replicas.get(tx, replica_id)
    rules, at = TRANSITIONS["resync_replica"], site.now()
    assert rules.state is not None
    assert rules.state.during is not None
    if replica.active or share.status not in rules.share_in or replica.status not in rules.replica_in:
        found = f"left alone: share {share.id} is {share.status}, replica {replica.id} {replica.status}"
        return Looked(replica.id, share.id, replica.replica_state, found, left_alone=True)
    if held := snapshots.beyond(tx, replica.replica):
        return _refused(tx, replica, _last_copy(held), at)
    move_state(tx, replicas_table, replica.id, rules.state.before, rules.state.during, at)
    turn = operations.last_turn(tx, share.id) or share.created_at
    seen = replica.replica
    return _Plan(share, replica, snapshots.wanted(tx, seen), snapshots.lost(tx, seen), turn, at)


def _last_copy(held: Sequence[str]) -> str:
    return (
        f"it holds snapshot {', '.join(held)}, which the active replica has lost; promote this replica by force to "
        "have it back, or delete that snapshot"
    )


def _refused(tx: Connection, replica: ShareReplica, found: str, at: datetime) -> Looked:
    """Following would destroy the last copy of a snapshot: that is not for a look to decide."""
    move_state(tx, replicas_table, replica.id, FOLLOWING, ReplicaState.ERROR, at)
    replicas.describe(tx, replica.id, looked_at=at, found=found)
    return Looked(replica.id, replica.share_id, ReplicaState.ERROR, found)


def _report(site: Site, plan: _Plan) -> ReplicaReport:
    """Have the driver look; what it raises is an answer too."""
    replica, seen, active = plan.replica, plan.replica.replica, plan.share.replica
    try:
        driver = site.driver(replica.pool.backend)
        copies = verbs(driver, SupportsReplication)
        reached = driver.ensure_share(seen) if replica.in_sync_at else None
        if replica.in_sync_at is None:
            seen = _placed(site, seen, copies.create_replica(seen, active, plan.wanted))
        report = copies.update_replica_state(seen, active, _by_age([*plan.wanted, *plan.lost]))
        if report.state is IN_SYNC and replica.replica_state is not IN_SYNC:
            reached = driver.ensure_share(seen)
    except Exception as failure:  # noqa: BLE001 - it is on record then, and the next look goes on from there
        return ReplicaReport(state=OUT_OF_SYNC, found=str(failure))
    if reached is not None and set(reached) != set(replica.export_locations):
        with site.store.write() as tx:
            shares.set_locations(tx, replica.id, reached)
    return report


def _by_age(found: list[SnapshotInstance]) -> list[SnapshotInstance]:
    return sorted(found, key=lambda one: one.created_at)


def _placed(site: Site, seen: Replica, stored: Stored) -> Replica:
    """Put on record where a replica that was never in sync stands: its place may be gone, for a full copy."""
    if stored.backend_id != seen.backend_id:
        with site.store.write() as tx:
            shares.set_identity(tx, seen.id, stored)
    return seen.model_copy(update={"backend_id": stored.backend_id})


def _record(tx: Connection, site: Site, plan: _Plan, report: ReplicaReport) -> Looked:
    """Believe the report, unless the share has been turned since the look began."""
    share_id, replica = plan.share.id, plan.replica
    shares.hold(tx, share_id)
    share = shares.get(tx, share_id)
    turned = (operations.last_turn(tx, share_id) or share.created_at) != plan.turn
    if turned or share.replica.id != plan.share.replica.id:
        report = ReplicaReport(state=OUT_OF_SYNC, found="the share was reverted meanwhile, or its active one changed")
    else:
        report = _checked(tx, plan, report)
        report = _take_over(tx, site, plan, report)
    at = site.now()
    move_state(tx, replicas_table, replica.id, {OUT_OF_SYNC}, report.state, at)
    said = {
        "looked_at": at,
        "found": report.found or None,
        "seconds_behind": report.seconds_behind,
        "needs_full_copy": report.needs_full_copy,
    }
    if report.state is IN_SYNC:
        said |= {"in_sync_at": plan.begun, "followed_at": plan.turn}
    replicas.describe(tx, replica.id, **said)
    return Looked(replica.id, share_id, report.state, report.found)


def _checked(tx: Connection, plan: _Plan, report: ReplicaReport) -> ReplicaReport:
    """A driver that says "in sync" has to have seen each snapshot that the share was turned back to.

    What it says is the last copy of a snapshot may have been deleted on the share since the look began.
    """
    if report.state not in FOLLOWING:
        return report.model_copy(update={"state": OUT_OF_SYNC, "found": f"its driver says that it is {report.state}"})
    held = [one.snapshot_id for one in plan.lost if one.id in report.snapshots]
    held += [one.snapshot_id for one in snapshots.wanted(tx, plan.replica.replica) if one.id in report.last_copies]
    if held:
        return report.model_copy(update={"state": ReplicaState.ERROR, "found": _last_copy(held)})
    targets = set(plan.replica.replica.reverted_to)
    unseen = [one.snapshot_id for one in plan.wanted if one.snapshot_id in targets and one.id not in report.snapshots]
    if report.state is IN_SYNC and unseen:
        found = f"it does not hold snapshot {', '.join(unseen)}, which the share was reverted to"
        return report.model_copy(update={"state": OUT_OF_SYNC, "found": found})
    return report


def _take_over(tx: Connection, site: Site, plan: _Plan, report: ReplicaReport) -> ReplicaReport:
    """Put on record which snapshots the replica holds now, of those that are still wanted of it, or still lost."""
    seen = plan.replica.replica
    for one in (*snapshots.wanted(tx, seen), *snapshots.lost(tx, seen)):
        if stored := report.snapshots.get(one.id):
            snapshots.set_backend_id(tx, one.id, stored.backend_id)
            move(tx, instances, one.id, set(Status), Status.AVAILABLE, site.now())
    if report.state is not IN_SYNC or not (gone := _destroyed(tx, plan, report)):
        return report
    for one in gone:
        move(tx, instances, one.id, set(Status), Status.ERROR, site.now())
    found = (
        f"snapshot {', '.join(one.snapshot_id for one in gone)} was destroyed on it: only a full copy brings that back"
    )
    return report.model_copy(update={"found": "; ".join(filter(None, [report.found, found]))})


def _destroyed(tx: Connection, plan: _Plan, report: ReplicaReport) -> list[SnapshotInstance]:
    """Find what a replica held once, and holds no more although it is wanted."""
    seen = plan.replica.replica
    wanted = {one.id for one in plan.wanted} & {one.id for one in snapshots.wanted(tx, seen)} - report.snapshots.keys()
    return [one for one in snapshots.on_replica(tx, seen, Status.AVAILABLE, Status.ERROR) if one.id in wanted]


def drop(site: Site, replica: ShareReplica, gone: Sequence[SnapshotInstance]) -> str:
    """Drop from a replica what is gone from the share, once it is seen to follow; say what could not be."""
    left = []
    for one in gone:
        try:
            verbs(site.driver(replica.pool.backend), SupportsSnapshots).delete_snapshot(one)
        except Exception as failure:
            log.warning("snapshot cannot be dropped", replica=replica.id, snapshot=one.snapshot_id, exc_info=failure)
            left.append(f"snapshot {one.snapshot_id}, deleted on the share, cannot be dropped here: {failure}")
            continue
        with site.store.write() as tx:
            snapshots.drop(tx, one)
    if left:
        with site.store.write() as tx:
            replicas.describe(tx, replica.id, found="; ".join(left))
    return "; ".join(left)
