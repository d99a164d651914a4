"""Making another replica the active one.

Without force, nothing is lost by it: the active one is made read-only, the chosen one gets what it lacks, and only
then do they change places; where that cannot be had, all is as before. One on another host is made read-only from here,
where the driver can; where not, what is written to it until that host looks at it is lost, and the promotion says so.
With force, the chosen one is taken as it is, whatever has become of the active one, and what was written since it was
last in sync is lost.

What a revert discarded comes back by neither. From the accept of a revert on, every other replica is out of sync, so
only force promotes one; and then the driver is told what the share was reverted to since (``Replica.reverted_to``), and
turns the replica back to that, or to a snapshot taken later, before anybody can write to it. A revert that was
interrupted has to be recovered first on its host; where that host is out of reach, force supersedes it, and it counts
as one that was done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from sqlalchemy import Connection

from revertkit.errors import BackendError, Blocked, Conflict
from revertkit.log import get_logger
from revertkit.models import (
    TICK,
    Blocker,
    Context,
    Operation,
    OperationKind,
    Outcome,
    Share,
    ShareReplica,
    Stored,
)
from revertkit.operations.look import drop
from revertkit.operations.online import Online, bring_online, make_read_only
from revertkit.operations.replica import OfReplica, check_replicated
from revertkit.operations.revert import out_of_sync
from revertkit.operations.share import operation_for
from revertkit.operations.site import Site
from revertkit.operations.story import Case, Work, begin, check_in
from revertkit.status import FOLLOWING, TRANSITIONS, ReplicaState, Status
from revertkit.store import move, move_state, operations, replicas, shares, snapshots
from revertkit.store.tables import instances
from revertkit.store.tables import replicas as replicas_table

log = get_logger(__name__)


def check(tx: Connection, share: Share, replica: ShareReplica, *, force: bool) -> None:
    """See whether the rules allow to promote a replica.

    Raises:
        Conflict: it is the active one, or a status, a state or a snapshot that it lacks forbids it.
    """
    rules = TRANSITIONS[OperationKind.PROMOTE_REPLICA]
    assert rules.replica is not None
    assert rules.share is not None
    assert rules.state is not None
    check_replicated(share)
    if replica.active:
        raise Conflict(f"replica {replica.id} is the active one of share {share.id} already")
    check_in(replica.status, rules.replica.before, f"replica {replica.id}")
    if replica.in_sync_at is None:
        raise Conflict(f"replica {replica.id} was never in sync: it does not hold the share; resync it first")
    if force:
        return
    check_in(share.status, rules.share.before, f"share {share.id}")
    if replica.replica_state not in rules.state.before:
        raise Conflict(
            f"replica {replica.id} is {replica.replica_state}, last in sync at {replica.in_sync_at:%Y-%m-%d %H:%M:%S} "
            "UTC: resync it first; or promote it by force, and lose what was written since"
        )
    if lacking := snapshots.behind(tx, replica.replica):
        raise Conflict(
            f"snapshot {', '.join(lacking)} of share {share.id} has not reached replica {replica.id}: resync it first; "
            "or promote it by force, and lose that snapshot"
        )


def accept(
    tx: Connection,
    site: Site,
    context: Context,
    replica: ShareReplica,
    supersede: Callable[[Connection], None] | None,
) -> Operation:
    """Begin a promotion: check every rule again, move both statuses.

    By force, `supersede` ends first what hosts out of reach have under way; without, it is None.

    Raises:
        as :func:`check`; nothing has changed.
    """
    shares.hold(tx, replica.share_id)
    if force := supersede is not None:
        supersede(tx)
    share, replica = shares.get(tx, replica.share_id), replicas.get(tx, replica.id)
    check(tx, share, replica, force=force)
    operation = operation_for(
        OperationKind.PROMOTE_REPLICA,
        context,
        site,
        share,
        replica_id=replica.id,
        host=replica.pool.host,
        status_before=share.status,
        forced=force,
    )
    begin(tx, operation, share, replica=replica, at_rest=force)
    return operation


class PromoteReplica(OfReplica):
    """Two replicas that change places."""

    kind = OperationKind.PROMOTE_REPLICA
    holds_share = True
    comes_online = True
    tells = True
    puts_back = True

    def work(self, case: Case) -> Work:
        """Bring the chosen one up to date (without force), and let the driver make it the active one.

        Raises:
            Blocked: it cannot be brought up to date, or the driver refuses; all is as before.
        """
        fenced = self._fence_if_reached(case) if case.operation.forced else self._bring_up_to_date(case)
        try:
            promoted = self.replication(case).promote_replica(case.other.replica, case.replica, self.instances(case))
        except Blocked as blocked:
            if self._put_back(case):
                raise BackendError(str(blocked)) from blocked  # not all is as before: `fail` tries again, and says so
            raise
        # As the active one, which is about to be: others may need what was deleted to follow it.
        active = case.other.replica.model_copy(update={"state": ReplicaState.ACTIVE})
        with case.site.store.read() as tx:
            gone = snapshots.gone(tx, active)
        drop(case.site, case.other, gone)
        said = f"replica {case.other.id} in {case.other.pool} is the active one{'' if fenced else _open(case)}"
        return Work(replica=promoted.replica, held=promoted.snapshots, said=said)

    def _bring_up_to_date(self, case: Case) -> bool:
        try:
            fenced = self._fence(case)
            with case.site.store.read() as tx:
                wanted = snapshots.wanted(tx, case.other.replica)
            report = self.replication(case).update_replica_state(case.other.replica, case.replica, wanted)
            if report.state is not ReplicaState.IN_SYNC:
                raise BackendError(report.found or f"it is {report.state}")
            if lacking := [one.snapshot_id for one in wanted if one.id not in report.snapshots]:
                raise BackendError(f"it does not hold snapshot {', '.join(lacking)}")
        except Exception as failure:
            log.warning("replica cannot be brought up to date", replica=case.other.id, exc_info=failure)
            left = self._put_back(case)
            what = f"replica {case.other.id} cannot be brought up to date: {failure}{left}"
            mend = "mend that; or promote it by force, and lose what was written since it was last in sync"
            raise Blocked(Blocker(kind="not_up_to_date", what=what, mend=mend)) from failure
        return fenced

    def _fence(self, case: Case) -> bool:
        """Make the active one read-only, for what is written to it from now on would be lost; say if that is so now."""
        if not _is_here(case):
            return self.replication(case).fence(case.other.replica, case.replica)
        make_read_only(case.site, case.share)
        return True

    def _fence_if_reached(self, case: Case) -> bool:
        try:
            return self._fence(case)
        except Exception as failure:
            log.warning("the active replica cannot be made read-only now", share=case.share.id, exc_info=failure)
            return False

    def _put_back(self, case: Case) -> str:
        """Let the active one be written to again, and the chosen one be read only; say what went wrong with that.

        Raises:
            Superseded: another promotion may have made it read-only since; nothing has changed.
        """
        self.see_ours(case)
        try:
            said = self._let_go(case)
            case.site.driver(case.other.pool.backend).ensure_share(case.other.replica)
        except Exception as second:
            log.error("the share cannot be brought online again", share=case.share.id, exc_info=second)
            where = "" if _is_here(case) else f" on {case.share.pool.host}"
            said = f"then, bringing the share online again: {second}; mend that and run `revertkit recover`{where}"
        return f"; {said}" if said else ""

    def _let_go(self, case: Case) -> str:
        """Undo the fence; say which snapshots are out of reach then."""
        if _is_here(case):
            return bring_online(case.site, case.share.id).trouble
        self.replication(case).unfence(case.other.replica, case.replica)
        return ""

    def record(self, tx: Connection, case: Case, work: Work) -> None:
        """Let the two change places on record: from here on the chosen one is the share."""
        assert work.replica is not None
        at, old, chosen = case.site.now(), case.replica, case.other
        move_state(tx, replicas_table, old.id, {ReplicaState.ACTIVE}, ReplicaState.OUT_OF_SYNC, at)
        move_state(tx, replicas_table, chosen.id, FOLLOWING, ReplicaState.ACTIVE, at)
        out_of_sync(tx, case.share.id, case.operation)
        replicas.describe(tx, old.id, in_sync_at=at, followed_at=_followed(tx, case), looked_at=None, found=None)
        replicas.describe(tx, chosen.id, followed_at=None, seconds_behind=None, found=None)
        shares.set_stored(tx, chosen.replica, work.replica)
        shares.set_locations(tx, old.id, [])
        for one in snapshots.on_replica(tx, old):
            snapshots.set_locations(tx, one.id, [])
        _settle_snapshots(tx, case, work.held, at)

    def online(self, case: Case) -> Online:
        """Bring the share online where it is now."""
        return bring_online(case.site, case.share.id)

    def fail(self, case: Case, failure: Exception) -> str:
        """Leave the active one as it was; or, where they have changed places, say that the new one is offline."""
        with case.site.store.read() as tx:
            recorded = operations.get(tx, case.operation.id).recorded
        if recorded:
            found = f"replica {case.other.id} is the active one, but cannot be brought online: {failure}"
            return super().fail(case, BackendError(f"{found}; mend that and run `revertkit recover`"))
        return super().fail(
            case, BackendError(f"{failure}{self._put_back(case) or '; the active replica is as before'}")
        )

    def close(self, tx: Connection, case: Case, outcome: Outcome) -> None:
        """Move both to rest; once they have changed places on record, that is done."""
        rule = TRANSITIONS[self.kind].replica
        assert rule is not None
        assert rule.done is not None
        if not operations.get(tx, case.operation.id).recorded:
            super().close(tx, case, outcome)
            return
        for one in replicas.listed(tx, None, case.share.id):
            if one.status is rule.during:
                move(tx, replicas_table, one.id, {rule.during}, rule.done, case.site.now())


def _is_here(case: Case) -> bool:
    return case.share.pool.host == case.site.host


def _open(case: Case) -> str:
    """Say that the old active one can still be written to."""
    return (
        f"; {case.replica.id}, the active one before, can be written to until its host {case.share.pool.host} looks "
        "at it, and what is written there is lost: see that nobody does, and run there "
        f"`revertkit replica resync {case.replica.id}`"
    )


def _followed(tx: Connection, case: Case) -> datetime:
    """Say up to where the old active one has followed: all the share's reverts, but for one that failed half way."""
    last = operations.last_revert(tx, case.share.id)
    if case.operation.status_before is Status.REVERTING_ERROR and last:
        return last.created_at - TICK
    return operations.get(tx, case.operation.id).created_at


def _settle_snapshots(tx: Connection, case: Case, held: Mapping[str, Stored], at: datetime) -> None:
    """A snapshot that the new active one does not hold is in error; one that cannot be dropped is on record again."""
    chosen = case.other.replica
    for one in snapshots.gone(tx, chosen):
        snapshots.bring_back(tx, one.snapshot_id)
        move(tx, instances, one.id, set(Status), Status.ERROR_DELETING, at)
    for one in snapshots.on_replica(tx, chosen, Status.CREATING, Status.AVAILABLE):
        stored = held.get(one.id)
        if stored:
            snapshots.set_backend_id(tx, one.id, stored.backend_id)
        move(tx, instances, one.id, set(Status), Status.AVAILABLE if stored else Status.ERROR, at)
