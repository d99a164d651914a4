"""Turning a share back, in place, to its most recent snapshot.

Where the share is replicated, this is about its active replica, and the others follow: the accept makes them out of
sync, in the same transaction that makes the share "reverting", and a look (look.py) leads each back.

The rules are in :func:`check` (asked twice: before the backend is looked at, and in the accept's transaction); the run
is :class:`RevertToSnapshot`. "reverting" and "restoring", the conflicts, and what a failure leaves are the
specification's; the order of the run, and recovery by asking the backend, are our own.
"""

from __future__ import annotations

from sqlalchemy import Connection

from revertkit import quota
from revertkit.capabilities import verbs
from revertkit.driver import RevertQuestions, ShareDriver, SupportsReplicatedRevert, SupportsRevert
from revertkit.errors import BackendError, Conflict, InvalidInput, NotSupported
from revertkit.log import get_logger
from revertkit.models import (
    AccessRule,
    Context,
    Operation,
    OperationKind,
    Outcome,
    Reverted,
    RevertPreview,
    RevertState,
    Share,
    Snapshot,
)
from revertkit.operations.share import operation_for
from revertkit.operations.site import Site
from revertkit.operations.story import Case, Story, Superseded, Work, begin, check_free, check_in
from revertkit.status import FOLLOWING, TRANSITIONS, RuleState
from revertkit.store import access, move_state, operations, replicas, shares, snapshots
from revertkit.store.tables import replicas as replicas_table

log = get_logger(__name__)


def check(tx: Connection, share: Share, snapshot: Snapshot) -> None:
    """See whether the rules allow a revert of `share` to `snapshot`.

    Raises:
        NotSupported: the share was made without ``revert_to_snapshot_support``.
        InvalidInput: it is another share's snapshot.
        Conflict: something is under way, a status, a rule that is not settled, or it is not the most recent snapshot;
            the latest is named.
        QuotaExceeded: the size that comes back is over quota.
    """
    rules = TRANSITIONS[OperationKind.REVERT_TO_SNAPSHOT]
    assert rules.share is not None
    assert rules.snapshot is not None
    if not share.revert_to_snapshot_support:
        raise NotSupported(
            f"share {share.id} was made without revert_to_snapshot_support: its share type did not say so then"
        )
    if snapshot.share_id != share.id:
        raise InvalidInput(f"snapshot {snapshot.id} is not one of share {share.id}, but of share {snapshot.share_id}")
    check_free(tx, OperationKind.REVERT_TO_SNAPSHOT, share, snapshot)
    check_in(share.status, rules.share.before, f"share {share.id}")
    check_in(snapshot.status, rules.snapshot.before, f"snapshot {snapshot.id}")
    if snapshots.latest_id(tx, share.id) != snapshot.id:
        latest = snapshots.latest(tx, share.id)
        mend = "revert to that one, or delete it first" if latest.status in rules.snapshot.before else "delete it first"
        raise Conflict(
            f"snapshot {snapshot.id} is not the most recent one of share {share.id}: that is {latest.id} "
            f"({latest.name or 'no name'}, {latest.status}, {latest.created_at:%Y-%m-%d %H:%M:%S} UTC); {mend}"
        )
    _check_settled(f"share {share.id}", access.OF_SHARES.listed(tx, share.id))
    _check_settled(f"snapshot {snapshot.id}", access.OF_SNAPSHOTS.listed(tx, snapshot.id))
    if snapshot.size > share.size:
        quota.check(tx, share.project_id, snapshot.size, **quota.growth(share, snapshot.size))


def _check_settled(what: str, rules: list[AccessRule]) -> None:
    if unsettled := [rule for rule in rules if rule.state is not RuleState.ACTIVE]:
        said = ", ".join(f"{rule.access_to} is {rule.state}" for rule in unsettled)
        raise Conflict(f"{what} has access rules that are not active: {said}")


def ask(site: Site, share: Share, snapshot: Snapshot) -> RevertPreview:
    """Ask the backend whether it would, and what would be thrown away. Changes nothing.

    Raises:
        Blocked: with every blocker.
        NotSupported: the backend cannot revert.
    """
    with site.store.read() as tx:
        instance = snapshots.instance(tx, snapshot.id, shares.get(tx, share.id))
    return reverts(site.driver(share.pool.backend), share).check_revert(instance)


def reverts(driver: ShareDriver, share: Share) -> RevertQuestions:
    """Answer the driver as one that can revert this share: a replicated one has an entry point of its own.

    Raises:
        NotSupported: it cannot.
    """
    return verbs(driver, SupportsReplicatedRevert) if share.replication_type else verbs(driver, SupportsRevert)


def accept(tx: Connection, site: Site, context: Context, snapshot: Snapshot) -> Operation:
    """Begin a revert: check every rule again, reserve a growth, move both statuses.

    Raises:
        as :func:`check`; nothing has changed.
    """
    shares.hold(tx, snapshot.share_id)
    share, snapshot = shares.get(tx, snapshot.share_id), snapshots.get(tx, snapshot.id)
    check(tx, share, snapshot)
    operation = operation_for(OperationKind.REVERT_TO_SNAPSHOT, context, site, share, snapshot_id=snapshot.id)
    begin(tx, operation, share, snapshot)
    out_of_sync(tx, share.id, operation)
    # They turn back to it in any case: even if this fails before anything is discarded, a look may find no newer base.
    replicas.hold_no_later(tx, share.id, snapshot.created_at)
    if snapshot.size > share.size:
        operations.reserve(tx, operation, quota.growth(share, snapshot.size))
    return operation


def out_of_sync(tx: Connection, share_id: str, operation: Operation) -> None:
    """Leave every replica but the active one where this operation does: what it holds is of another time by now."""
    to = TRANSITIONS[operation.kind].others
    assert to is not None, operation.kind
    for other in replicas.others(tx, share_id):
        move_state(tx, replicas_table, other.id, FOLLOWING, to, operation.created_at)


class RevertToSnapshot(Story):
    """The one hard thing.

    A share that is reverted and online is done, even if one of its snapshots could not be mounted again: the end says
    which and why, `recover` brings it online, and nothing that was reverted is put in doubt.
    """

    kind = OperationKind.REVERT_TO_SNAPSHOT
    comes_online = True
    tells = True

    def work(self, case: Case) -> Work:
        """Revert, and see that it was: what a driver answers, raises or leaves in a crash is asked of the backend.

        Raises:
            BackendError: it was not; says what the backend holds.
        """
        reverted = self._reverted(case)
        state = _state(case)
        if state in (RevertState.UNCHANGED, RevertState.HALFWAY):
            raise BackendError(f"the driver answered success, but the backend says that the share is {state}")
        unseen = " (unverified: its driver cannot look)" if state is RevertState.UNKNOWN else ""
        return Work(reverted.share, reverted.snapshot, _as_it_was(case) + unseen)

    def _reverted(self, case: Case) -> Reverted:
        try:
            return _call(case)
        except Exception as failure:
            if not _is_begun(case, failure):
                raise
            log.warning("revert is finished after a failure", failure=str(failure))
            return _call(case)

    def recover(self, case: Case) -> None:
        """Ask the backend: unchanged is put back, half-way and reverted are finished, unknown stays an error.

        Raises:
            OperationFailed, StoreError: as :meth:`run`.
        """
        if case.operation.recorded:
            self.conclude(case, _as_it_was(case))
            return
        try:
            state = _state(case)
            online = self.back_online(case) if state is RevertState.UNCHANGED else None
        except Superseded:
            raise
        except Exception as failure:  # noqa: BLE001 - it is on record then, with what was found
            self.fail(case, failure)
            return
        if state is RevertState.UNCHANGED:
            self.finish(case, Outcome.UNCHANGED, "nothing was changed", online)
        elif state is RevertState.UNKNOWN:
            self.fail(case, BackendError("the revert was interrupted"))
        else:
            self.run(case, again=True)

    def fail(self, case: Case, failure: Exception) -> str:
        """Leave ``reverting_error`` with what was found; a share with its old data is online again."""
        with case.site.store.read() as tx:
            recorded = operations.get(tx, case.operation.id).recorded
        if recorded:
            found = f"the share is reverted, but cannot be brought online: {failure}"
        else:
            found = self._found(case, failure)
        return super().fail(case, BackendError(f"{found}; mend that and run `revertkit recover`"))

    def _found(self, case: Case, failure: Exception) -> str:
        try:
            state = _state(case)
            if state is RevertState.UNCHANGED:
                trouble = self.back_online(case).trouble
                old = f"{failure}; the share is online with its old data, nothing was lost"
                return f"{old}; {trouble}" if trouble else old
        except Superseded:
            raise
        except Exception as second:  # noqa: BLE001 - both are told
            return f"{failure}; then, looking at what was left: {second}"
        if state is RevertState.UNKNOWN:
            unknown = "the backend cannot say how far it came, and the share stays as it was found"
            return f"{failure}; {unknown}: if somebody has mounted it by hand, unmount it"
        return f"{failure}; the share is {state} and offline, no snapshot was lost"


def _call(case: Case) -> Reverted:
    if not case.share.replication_type:
        return verbs(case.driver, SupportsRevert).revert_to_snapshot(case.target)
    with case.site.store.read() as tx:
        others = [snapshots.on_replica(tx, other.replica) for other in replicas.others(tx, case.share.id)]
    same = [one for held in others for one in held if one.snapshot_id == case.target.snapshot_id]
    return verbs(case.driver, SupportsReplicatedRevert).revert_to_replicated_snapshot(case.target, same)


def _is_begun(case: Case, failure: Exception) -> bool:
    try:
        return _state(case) in (RevertState.HALFWAY, RevertState.REVERTED)
    except Exception as second:  # noqa: BLE001 - both are told
        raise BackendError(f"{failure}; then, looking at what was left: {second}") from failure


def _state(case: Case) -> RevertState:
    return reverts(case.driver, case.share).revert_state(case.target)


def _as_it_was(case: Case) -> str:
    return f"share {case.share.id} is as it was in snapshot {case.target.snapshot_id}"
