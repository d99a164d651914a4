"""How every operation runs: the driver's work, then the outcome on record, then online, then the statuses.

The accept (in the file of each operation) has put the operation on record and moved the statuses to "during". Whoever
runs or recovers it holds the share's lock. Because a share comes online only after the outcome is on record, recovery
can always tell a finished operation from an unfinished one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar

from sqlalchemy import Connection, Table

from revertkit import telemetry
from revertkit.driver import ShareDriver
from revertkit.errors import Blocked, Conflict, OperationFailed, QuotaExceeded, StoreError
from revertkit.log import get_logger
from revertkit.models import (
    Message,
    MessageDetail,
    MessageLevel,
    Operation,
    OperationKind,
    Outcome,
    Replica,
    Share,
    ShareReplica,
    Snapshot,
    SnapshotInstance,
    Stored,
    new_id,
)
from revertkit.operations.online import Online, bring_online, bring_online_while
from revertkit.operations.site import Site
from revertkit.status import RESTING, TRANSITIONS, Status, Transition
from revertkit.store import messages, move, operations, shares, snapshots
from revertkit.store.tables import instances, replicas

log = get_logger(__name__)
MESSAGE_DAYS = 30


@dataclass(frozen=True)
class Case:
    """One operation with all that it is about, as it was on record when it began to run."""

    site: Site
    operation: Operation
    share: Share
    snapshot: SnapshotInstance | None
    chosen: ShareReplica | None = None
    """The replica that it is about, where that is not the active one."""

    @property
    def replica(self) -> Replica:
        """What the driver sees of the share."""
        return self.share.replica

    @property
    def driver(self) -> ShareDriver:
        """The driver of the share's backend."""
        return self.site.driver(self.share.pool.backend)

    @property
    def target(self) -> SnapshotInstance:
        """The snapshot, of an operation that has one."""
        assert self.snapshot is not None, self.operation.kind
        return self.snapshot

    @property
    def other(self) -> ShareReplica:
        """The replica, of an operation that is about one that is not active."""
        assert self.chosen is not None, self.operation.kind
        return self.chosen


@dataclass(frozen=True)
class Work:
    """What a driver's verb left behind: the share and snapshot as they are stored now, and a word for people."""

    share: Stored | None = None
    snapshot: Stored | None = None
    said: str = "done"
    replica: Stored | None = None
    """Of an operation that is about a replica that is not active."""
    held: Mapping[str, Stored] = field(default_factory=dict)
    """By instance id, the snapshots that such a replica holds."""


class Superseded(Conflict):
    """Another host promotes a replica by force, and has ended this operation on record."""


class Story:
    """One kind of operation. A subclass says what its work is; the order of things is the same for all."""

    kind: ClassVar[OperationKind]
    comes_online: ClassVar[bool] = False
    """Whether the share is brought online, or its exports anew, after the outcome is on record."""
    tells: ClassVar[bool] = False
    """Whether the user is told of success too, not only of failure."""
    records: ClassVar[bool] = True
    """Whether the driver's answer goes on record before the end; what lets go has none, and is just called again."""
    holds_share: ClassVar[bool] = True
    """Whether nothing else is done to its share meanwhile."""
    holds_replica: ClassVar[bool] = False
    """Whether nothing else is done meanwhile to the replica that it is about, which is not the active one."""
    holds_backend: ClassVar[bool] = False
    """Whether nothing else is taken from its backend, or let go, meanwhile: two shares must not be one volume."""
    puts_back: ClassVar[bool] = False
    """Whether a driver's refusal, which has changed nothing, leaves all as it was before the operation."""

    def work(self, case: Case) -> Work:
        """Call the driver. Repeating it after a crash is safe."""
        raise NotImplementedError

    def record(self, tx: Connection, case: Case, work: Work) -> None:
        """Put what the backend holds now on record."""
        if work.share:
            shares.set_stored(tx, case.replica, work.share)
        if work.snapshot:
            snapshots.set_backend_id(tx, case.target.id, work.snapshot.backend_id)

    def close(self, tx: Connection, case: Case, outcome: Outcome) -> None:
        """Move the statuses from "during" to where this outcome leaves them."""
        transitions, at, before = TRANSITIONS[self.kind], case.site.now(), case.operation.status_before
        if transitions.snapshot and case.snapshot:
            _close(tx, instances, case.snapshot.id, transitions.snapshot, outcome, before, at)
        if transitions.share:
            _close(tx, replicas, case.replica.id, transitions.share, outcome, before, at)
        if transitions.replica:  # `status_before` is the share's
            _close(tx, replicas, case.other.id, transitions.replica, outcome, None, at)

    def run(self, case: Case, *, again: bool = False) -> None:
        """Run the operation to its end; `again`, where a dead process began it, so that a refusal may have changes
        before it.

        Raises:
            OperationFailed: it failed; statuses are at rest and say so, and a user message does too.
            Blocked: the driver refused, and the share is as it was (where :attr:`puts_back`).
            QuotaExceeded: what the backend answered is over quota; as OperationFailed.
            Superseded: it was, meanwhile; the share is not to be written to here.
            StoreError: the outcome could not be put on record; `recover` will find the operation.
        """
        try:
            self.see_ours(case)
            work = self.work(case)
            if self.records:
                self._record(case, work)
        except (Superseded, StoreError):
            raise
        except Exception as failure:
            if self.puts_back and isinstance(failure, Blocked) and not again:
                self.finish(case, Outcome.UNCHANGED, str(failure))
                raise
            said = self.fail(case, failure)
            if isinstance(failure, QuotaExceeded):
                raise
            raise _failed(case, said) from failure
        self.conclude(case, work.said)

    def conclude(self, case: Case, said: str) -> None:
        """Bring the share online where that belongs to it, and end the operation as done.

        Raises:
            OperationFailed: it could not be brought online; as :meth:`run`. Superseded: likewise.
        """
        try:
            online = self.back_online(case) if self.comes_online else None
        except (Superseded, StoreError):
            raise
        except Exception as failure:
            raise _failed(case, self.fail(case, failure)) from failure
        self.finish(case, Outcome.DONE, said, online)

    def recover(self, case: Case) -> None:
        """Finish what a dead process began: what is on record is concluded, any other verb called again.

        Raises:
            OperationFailed, StoreError: as :meth:`run`.
        """
        if case.operation.recorded:
            self.conclude(case, "done")
        else:
            self.run(case, again=True)

    def fail(self, case: Case, failure: Exception) -> str:
        """End the operation as failed, with what was found; answer that."""
        log.error("operation failed", operation=case.operation.id, kind=self.kind, exc_info=failure)
        self.finish(case, Outcome.FAILED, str(failure))
        return str(failure)

    def online(self, case: Case) -> Online:
        """Bring the share online as it is on record now, and its snapshots; one out of reach is told, not raised."""
        return bring_online(case.site, case.share.id, case.operation.snapshot_id)

    def back_online(self, case: Case) -> Online:
        """Bring the share online, unless another host is about to take it over.

        Raises:
            Superseded: it may not be written to here any more. Whatever ``ensure_share`` does.
        """

        replica_id = (case.chosen or case.replica).id
        online = bring_online_while(case.site, replica_id, lambda: self._is_ours_now(case), lambda: self.online(case))
        if online is None:
            raise _superseded(case)
        return online

    def see_ours(self, case: Case) -> None:
        """See that nobody has ended this operation: it may have waited long for its turn, or for its host.

        Raises:
            Superseded: somebody has.
        """
        if not self._is_ours_now(case):
            raise _superseded(case)

    def _is_ours_now(self, case: Case) -> bool:
        with case.site.store.read() as tx:
            return self._is_ours(tx, case)

    def _is_ours(self, tx: Connection, case: Case) -> bool:
        """Whether no other host has ended this operation, or moved a replicated share's status or active replica."""
        if operations.get(tx, case.operation.id).finished_at != case.operation.finished_at:
            return False
        if not (case.share.replication_type and self.holds_share):
            return True
        now = shares.get(tx, case.share.id)
        return now.replica.id in {case.replica.id, case.chosen and case.chosen.id} and now.status is case.share.status

    def finish(self, case: Case, outcome: Outcome, said: str, online: Online | None = None) -> None:
        """End the operation in one transaction: statuses, exports, user message, reservations.

        Raises:
            Superseded: it was ended by another host; nothing has changed.
        """
        at = case.site.now()
        trouble = online is not None and online.trouble
        said = f"{said}; {trouble}; mend that and run `revertkit recover`" if trouble else said
        with case.site.store.write() as tx:
            self._hold(tx, case)
            if online is not None:
                online.record(tx)
            self.close(tx, case, outcome)
            operations.finish(tx, case.operation.id, outcome, said, at)
            if outcome is Outcome.FAILED or self.tells or trouble:
                messages.sweep(tx, at)
                messages.add(tx, self._message(case, self._detail(outcome, bool(trouble)), said))
        log.info("operation finished", operation=case.operation.id, kind=self.kind, outcome=outcome.value, found=said)
        taken = (at - case.operation.created_at).total_seconds()
        telemetry.tell(telemetry.OperationEnded(self.kind, outcome, taken))

    def _record(self, case: Case, work: Work) -> None:
        with case.site.store.write() as tx:
            self._hold(tx, case)
            self.record(tx, case, work)
            operations.set_recorded(tx, case.operation.id)

    def _hold(self, tx: Connection, case: Case) -> None:
        shares.hold(tx, case.share.id)
        if not self._is_ours(tx, case):
            raise _superseded(case)

    def _detail(self, outcome: Outcome, trouble: bool) -> MessageDetail:
        if outcome is Outcome.FAILED:
            return MessageDetail.FAILED
        if outcome is Outcome.UNCHANGED and self.puts_back:
            return MessageDetail.REFUSED
        return MessageDetail.TROUBLE if trouble else MessageDetail.DONE

    def _message(self, case: Case, detail: MessageDetail, said: str) -> Message:
        at = case.site.now()
        return Message(
            id=new_id(),
            project_id=case.operation.project_id,
            request_id=case.operation.request_id,
            action=self.kind,
            level=MessageLevel.INFO if detail is MessageDetail.DONE else MessageLevel.ERROR,
            detail=detail,
            resource_type="SHARE",
            resource_id=case.share.id,
            text=f"{spoken(self.kind)}: {said}",
            created_at=at,
            expires_at=at + timedelta(days=MESSAGE_DAYS),
        )


def _superseded(case: Case) -> Superseded:
    what = f"{spoken(case.operation.kind)} of share {case.share.id}"
    return Superseded(f"{what} was superseded: a replica is promoted by force on another host")


def _failed(case: Case, said: str) -> OperationFailed:
    rule = TRANSITIONS[case.operation.kind].share
    left = f" is {rule.failed}" if rule and rule.failed and not rule.back else ""
    return OperationFailed(f"{spoken(case.operation.kind)} failed (share {case.share.id}{left}): {said}")


def begin(
    tx: Connection,
    operation: Operation,
    share: Share,
    snapshot: Snapshot | None = None,
    *,
    replica: ShareReplica | None = None,
    at_rest: bool = False,
) -> None:
    """Move the statuses to "during" and put the operation on record; part of the accept's transaction.

    `at_rest` lets it begin from any resting status (a forced delete).

    Raises:
        Conflict: another operation of the share, or one that reads the snapshot, is on record as under way, or a
            status is not one to begin from.
    """
    check_free(tx, operation.kind, share, snapshot, operation.replica_id)
    transitions = TRANSITIONS[operation.kind]
    row = _Row(tx, operation.created_at, at_rest)
    if transitions.share_in:
        allowed = transitions.share_in | (RESTING - {Status.REVERTING_ERROR} if at_rest else frozenset())
        check_in(share.status, allowed, f"share {share.id}")
    if transitions.share and not transitions.share.born:
        row.begin(transitions.share, replicas, share.replica.id, share.status, f"share {share.id}")
    if transitions.replica and not transitions.replica.born and replica:
        row.begin(transitions.replica, replicas, replica.id, replica.status, f"replica {replica.id}")
    if transitions.snapshot_in and snapshot:
        check_in(snapshot.status, transitions.snapshot_in, f"snapshot {snapshot.id}")
    if transitions.snapshot and not transitions.snapshot.born and snapshot:
        row.begin(transitions.snapshot, instances, snapshot.instance_id, snapshot.status, f"snapshot {snapshot.id}")
    operations.add(tx, operation)


@dataclass(frozen=True)
class _Row:
    tx: Connection
    at: datetime
    at_rest: bool

    def begin(self, rule: Transition, table: Table, row_id: str, found: Status, what: str) -> None:
        before = RESTING if self.at_rest else rule.before
        check_in(found, before, what)
        move(self.tx, table, row_id, before, rule.during, self.at)


BESIDE = frozenset({OperationKind.CREATE_REPLICA, OperationKind.DELETE_REPLICA})
"""They touch nothing but their own replica, and may take long: whatever is done to the active one goes on."""


def check_free(
    tx: Connection, kind: OperationKind, share: Share, snapshot: Snapshot | None = None, replica_id: str | None = None
) -> None:
    """See that nothing is on record as under way that an operation of this `kind` has to wait for.

    `replica_id` is of the replica that it is about, where that is not the active one.

    Raises:
        Conflict: an operation of the share, or one that reads the snapshot, is; names it, and `recover`.
    """
    others = [
        other
        for other in operations.unfinished(tx, share_id=share.id)
        if other.replica_id == (replica_id or share.replica.id) or not {kind, other.kind} & BESIDE
    ]
    others += operations.unfinished(tx, snapshot_id=snapshot.id) if snapshot else []
    if others:
        raise Conflict(_in_the_way(share, others[0]))


def check_in(found: Status, allowed: Collection[Status], what: str) -> None:
    """Raise a Conflict that names the status found, unless it is one of `allowed`."""
    if found not in allowed:
        raise Conflict(f"{what} is {found}, and has to be {' or '.join(sorted(allowed))}{_way_out(found)}")


def _way_out(found: Status) -> str:
    if found is Status.REVERTING_ERROR:
        return "; run `revertkit recover`"
    return "" if found in RESTING else "; if the process that works on it is gone, run `revertkit recover`"


def _in_the_way(share: Share, other: Operation) -> str:
    since = f"{other.created_at:%Y-%m-%d %H:%M:%S} UTC on {other.host}"
    return (
        f"share {share.id} is {share.status}: {spoken(other.kind)} has been under way since {since}; "
        "if its process is gone, run `revertkit recover`"
    )


def _close(
    tx: Connection, table: Table, row_id: str, rule: Transition, outcome: Outcome, before: Status | None, at: datetime
) -> None:
    """Move one row from "during" (or from what an earlier, failed end left) to where `outcome` leaves it."""
    failed = before if rule.back else rule.failed
    to = {Outcome.DONE: rule.done, Outcome.FAILED: failed, Outcome.UNCHANGED: before or Status.AVAILABLE}[outcome]
    if to is not None:
        move(tx, table, row_id, {rule.during, *({failed} if failed else ())}, to, at)


def spoken(kind: OperationKind) -> str:
    """Say an operation's kind as a person would."""
    return kind.replace("_", " ")
