"""Making and deleting a replica, and looking at one by hand; promoting one is in promote.py, the look in look.py.

Making and deleting one touch nothing else, so they hold the replica's lock and not the share's: its users go on. Only
when a deletion is on record the share's is taken for a moment, if nobody has it, to bring the active one online anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from revertkit import quota
from revertkit.capabilities import verbs
from revertkit.driver import SupportsReplication
from revertkit.errors import Conflict, InvalidInput, NotSupported
from revertkit.locks import Busy
from revertkit.log import get_logger
from revertkit.models import (
    Context,
    Operation,
    OperationKind,
    Outcome,
    PoolId,
    Replica,
    Share,
    ShareReplica,
    SnapshotInstance,
    new_id,
)
from revertkit.operations.look import look
from revertkit.operations.online import bring_resting_online, keep
from revertkit.operations.share import operation_for
from revertkit.operations.site import Site
from revertkit.operations.story import BESIDE, Case, Story, Work, begin, check_in
from revertkit.status import FOLLOWING, TRANSITIONS, ReplicaState, Status
from revertkit.store import move, move_state, operations, replicas, shares, snapshots
from revertkit.store.tables import instances
from revertkit.store.tables import replicas as replicas_table

log = get_logger(__name__)


@dataclass(frozen=True)
class NewReplica:
    """What was asked for."""

    pool: PoolId
    id: str = field(default_factory=new_id)


def check_replicated(share: Share) -> None:
    """See that a share can have replicas at all.

    Raises:
        NotSupported: it was made without ``replication_type``.
    """
    if not share.replication_type:
        raise NotSupported(
            f"share {share.id} was made without replication_type: its share type did not say so then "
            "(readable or dr), so it has no replicas"
        )


def accept_create(tx: Connection, site: Site, context: Context, share: Share, new: NewReplica) -> Operation:
    """Put a new replica on record, with the instances of all snapshots that it will have.

    Raises:
        NotSupported, InvalidInput, QuotaExceeded, Conflict: with what is in the way; nothing has changed.
    """
    shares.hold(tx, share.id)
    share = shares.get(tx, share.id)
    check_replicated(share)
    check_place(share, replicas.listed(tx, None, share.id), new.pool)
    quota.check(tx, share.project_id, **quota.of_replicas(share, 1))
    kind = OperationKind.CREATE_REPLICA
    operation = operation_for(kind, context, site, share, replica_id=new.id, host=new.pool.host)
    begin(tx, operation, share)
    made = _record(site, share, new, operation)
    replicas.add(tx, made, operations.last_turn(tx, share.id) or share.created_at)
    for snapshot in snapshots.listed(tx, None, share.id):
        snapshots.expect(tx, snapshot.id, new.id, operation.created_at)
    return operation


def check_place(share: Share, every: Sequence[ShareReplica], pool: PoolId) -> None:
    """See that a share has no replica yet in a pool.

    Raises:
        InvalidInput: it has.
    """
    for there in every:
        if there.pool == pool:
            what = "its active replica" if there.active else f"replica {there.id}"
            raise InvalidInput(f"share {share.id} has {what} in pool {pool}: a second one there would be lost with it")


def _record(site: Site, share: Share, new: NewReplica, operation: Operation) -> ShareReplica:
    state = TRANSITIONS[operation.kind].state
    assert state is not None
    seen = Replica(
        id=new.id,
        share_id=share.id,
        host=new.pool.host,
        backend=new.pool.backend,
        pool=new.pool.pool,
        size=share.size,
        protocol=share.protocol,
        state=state.done,
    )
    return ShareReplica(
        id=new.id,
        share_id=share.id,
        project_id=share.project_id,
        status=Status.CREATING,
        replica_state=state.done,
        pool=new.pool,
        availability_zone=site.zone(new.pool),
        created_at=operation.created_at,
        replica=seen,
    )


class OfReplica(Story):
    """What is about one replica that is not active."""

    holds_share = False
    holds_replica = True

    @staticmethod
    def replication(case: Case) -> SupportsReplication:
        """Answer the driver of the replica's backend."""
        return verbs(case.site.driver(case.other.pool.backend), SupportsReplication)

    @staticmethod
    def instances(case: Case) -> list[SnapshotInstance]:
        """Answer all that the replica has, or is to have, of snapshots."""
        with case.site.store.read() as tx:
            return snapshots.on_replica(tx, case.other.replica)


class CreateReplica(OfReplica):
    """The place of one more replica; its data comes with its first look."""

    kind = OperationKind.CREATE_REPLICA
    puts_back = True

    def work(self, case: Case) -> Work:
        """Make it."""
        with case.site.store.read() as tx:
            wanted = snapshots.wanted(tx, case.other.replica)
        return Work(replica=self.replication(case).create_replica(case.other.replica, case.replica, wanted))

    def record(self, tx: Connection, case: Case, work: Work) -> None:
        """Put its identity on record."""
        assert work.replica is not None
        shares.set_identity(tx, case.other.id, work.replica)

    def close(self, tx: Connection, case: Case, outcome: Outcome) -> None:
        """Settle it; a refusal leaves no row."""
        super().close(tx, case, outcome)
        if outcome is Outcome.UNCHANGED:
            replicas.remove(tx, case.other.id)
        elif outcome is Outcome.FAILED:
            before = {ReplicaState.OUT_OF_SYNC, ReplicaState.ERROR}
            move_state(tx, replicas_table, case.other.id, before, ReplicaState.ERROR, case.site.now())


def accept_delete(tx: Connection, site: Site, context: Context, replica: ShareReplica, *, force: bool) -> Operation:
    """Begin to delete a replica that is not active.

    Raises:
        Conflict: it is the active one, its status forbids it, or (without `force`) it holds a snapshot's last copy or
            may, as one in error does that could follow.
    """
    shares.hold(tx, replica.share_id)
    share, replica = shares.get(tx, replica.share_id), replicas.get(tx, replica.id)
    if replica.active:
        others = "promote another first" if share.replica.peers else f"it is the last one: delete share {share.id}"
        raise Conflict(f"replica {replica.id} is the active one of share {share.id}, which would be lost; {others}")
    if not force:
        _refuse_last_copy(tx, replica, ", or delete the replica by force")
        _refuse_held_up(replica)
    kind = OperationKind.DELETE_REPLICA
    operation = operation_for(kind, context, site, share, replica_id=replica.id, host=replica.pool.host)
    begin(tx, operation, share, replica=replica, at_rest=force)
    return operation


def forget(tx: Connection, replica: ShareReplica, abandon: Callable[[Connection], list[Operation]]) -> bool:
    """Take a replica off the record whose backend or host is gone; nothing is asked of it, and what it holds stays.

    `abandon` ends first what is under way on it. The answer is whether that held up the share: its active replica may
    have been made read-only for it.

    Raises:
        Conflict: it is the active one; nothing has changed.
    """
    shares.hold(tx, replica.share_id)
    if replicas.get(tx, replica.id).active:
        raise Conflict(f"replica {replica.id} is the active one of share {replica.share_id}; promote another first")
    ended = abandon(tx)
    replicas.remove(tx, replica.id)
    snapshots.sweep(tx, replica.share_id)
    return any(one.kind not in BESIDE for one in ended)


class DeleteReplica(OfReplica):
    """The end of a replica."""

    kind = OperationKind.DELETE_REPLICA
    records = False

    def work(self, case: Case) -> Work:
        """Remove it from its backend, and its snapshots."""
        self.replication(case).delete_replica(case.other.replica, self.instances(case))
        return Work()

    def conclude(self, case: Case, said: str) -> None:
        """End it; then bring the active one online anew, for that is where it lets go of what it kept for this one.

        While somebody works on the share, or where it is another host's, that is left to the next time it comes online.
        """
        super().conclude(case, said)
        try:
            with case.site.locks.hold(case.share.id):
                if found := bring_resting_online(case.site, case.share.id):
                    keep(case.site, *found)
        except Busy:
            pass
        except Exception as failure:
            log.warning("share cannot be brought online", share=case.share.id, exc_info=failure)

    def close(self, tx: Connection, case: Case, outcome: Outcome) -> None:
        """Remove the row too, once the backend has nothing left of it."""
        super().close(tx, case, outcome)
        if outcome is Outcome.DONE:
            replicas.remove(tx, case.other.id)
            snapshots.sweep(tx, case.share.id)


def accept_resync(tx: Connection, site: Site, context: Context, replica: ShareReplica, *, full_copy: bool) -> Operation:
    """See that a replica can be looked at now. What comes of it is an operation that is on no record.

    A look that is cut leaves nothing to recover: the replica is out of sync, and the next one goes on.

    Raises:
        Conflict: it is the active one, or a status forbids it.
    """
    share, replica = shares.get(tx, replica.share_id), replicas.get(tx, replica.id)
    if replica.active:
        raise Conflict(f"replica {replica.id} is the active one of share {share.id}: the others follow it")
    if full_copy:
        _refuse_last_copy(tx, replica)
    rules = TRANSITIONS[OperationKind.RESYNC_REPLICA]
    check_in(share.status, rules.share_in, f"share {share.id}")
    check_in(replica.status, rules.replica_in, f"replica {replica.id}")
    kind, host = OperationKind.RESYNC_REPLICA, replica.pool.host
    return operation_for(kind, context, site, share, replica_id=replica.id, host=host, forced=full_copy)


def _refuse_last_copy(tx: Connection, replica: ShareReplica, or_else: str = "") -> None:
    if held := snapshots.beyond(tx, replica.replica):
        raise Conflict(
            f"replica {replica.id} holds snapshot {', '.join(held)}, which the active replica has lost: promote it to "
            f"have that back, or delete that snapshot first{or_else}"
        )


def _refuse_held_up(replica: ShareReplica) -> None:
    """What holds up a replica that could follow may be a snapshot that the active one has lost behind our back.

    That is on record in words alone, and a look that fails after it has words of its own: neither is passed over.
    """
    if replica.replica_state is ReplicaState.IN_SYNC or replica.needs_full_copy or not replica.in_sync_at:
        return
    if replica.found or replica.replica_state is ReplicaState.ERROR:
        raise Conflict(
            f"replica {replica.id} is {replica.replica_state}, and may hold what the active replica has not: "
            f"{replica.found}; mend that and look again (resync), or delete the replica by force"
        )


class ResyncReplica(OfReplica):
    """A look by hand. What it finds is on the replica's record, whatever it is."""

    kind = OperationKind.RESYNC_REPLICA

    def run(self, case: Case, *, again: bool = False) -> None:
        """Look; for a full copy then remove what is there, and look again, which makes the place anew.

        Nothing is removed unless that first look has reached the active one, and nothing here keeps it from following:
        what is here may be all there is.
        """
        looked = look(case.site, case.other.id)
        if not case.operation.forced or looked.left_alone:
            return
        with case.site.store.read() as tx:
            now = replicas.get(tx, case.other.id)
        if now.in_sync_at and not (looked.replica_state is ReplicaState.IN_SYNC or now.needs_full_copy):
            mend = "mend that, or delete this replica and create another"
            found = f"{looked.found}; so nothing was removed for a full copy, for it may be all there is: {mend}"
            with case.site.store.write() as tx:
                replicas.describe(tx, case.other.id, found=found)
            return
        self._remove(case)
        look(case.site, case.other.id)

    def _remove(self, case: Case) -> None:
        other = case.other
        with case.site.store.write() as tx:
            shares.hold(tx, case.share.id)
            _refuse_last_copy(tx, replicas.get(tx, other.id))
            move_state(tx, replicas_table, other.id, FOLLOWING, ReplicaState.OUT_OF_SYNC, case.site.now())
            replicas.describe(tx, other.id, in_sync_at=None, found="it is being copied anew")
            held = snapshots.on_replica(tx, other.replica)
            for one in held:
                move(tx, instances, one.id, set(Status), Status.CREATING, case.site.now())
        try:
            self.replication(case).delete_replica(other.replica, held)
        except Exception as failure:
            with case.site.store.write() as tx:
                replicas.describe(tx, other.id, found=f"it cannot be copied anew: {failure}")
            raise
