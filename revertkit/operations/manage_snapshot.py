"""Adopting a snapshot that exists on a backend already, and letting go of one; a failure as in ``manage.py``.

The share stays available: nothing happens to it. That nothing else touches the pair (rule 4) is the accept's: an
operation on record stops any other of the share. The order (rule 5) is too: the moment of adoption is set with the
share's row held, later than any of the share's; the driver has to see that the snapshot is the newest there.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from revertkit import quota
from revertkit.capabilities import verbs
from revertkit.driver import SupportsManageSnapshots
from revertkit.errors import BackendError, Conflict, NotSupported
from revertkit.models import TICK, Context, FoundSnapshot, Operation, OperationKind, Outcome, Share, Snapshot
from revertkit.operations.manage import Adopt, found_on_backend, let_go
from revertkit.operations.online import Online
from revertkit.operations.share import check_alone, operation_for
from revertkit.operations.site import Site
from revertkit.operations.snapshot import moment, new_record, put, snapshot_or_trouble
from revertkit.operations.story import Case, Story, Work, begin
from revertkit.status import Status
from revertkit.store import shares, snapshots


def accept_manage(
    tx: Connection, site: Site, context: Context, share: Share, name: str | None, description: str | None, existing: str
) -> Operation:
    """Put a snapshot that is to be adopted on record, as the share's latest.

    Raises:
        NotSupported, QuotaExceeded, Conflict: with what is in the way; nothing has changed.
    """
    share = _held(tx, share)
    snapshot = new_record(share, moment(tx, site, share), user_id=context.user_id, name=name, description=description)
    return _begin(tx, site, context, share, snapshot, existing, OperationKind.MANAGE_SNAPSHOT)


def accept_rebuild(
    tx: Connection, site: Site, context: Context, share: Share, found: Sequence[FoundSnapshot], number: int
) -> Operation:
    """Put a snapshot of ours on record again, in the place that it has among those found.

    Raises:
        as :func:`accept_manage`; Conflict too where its place in the order is not certain.
    """
    share, one = _held(tx, share), found[number]
    at = _moment(tx, share, found, number)
    snapshot = new_record(share, at, id=one.snapshot_id, size=one.size)
    return _begin(tx, site, context, share, snapshot, one.existing, OperationKind.REBUILD_SNAPSHOT)


def _held(tx: Connection, share: Share) -> Share:
    shares.hold(tx, share.id)
    share = shares.get(tx, share.id)
    check_alone(share)
    if not share.snapshot_support:
        raise NotSupported(f"share {share.id} was made without snapshot_support (see its share type)")
    return share


def _begin(
    tx: Connection,
    site: Site,
    context: Context,
    share: Share,
    snapshot: Snapshot,
    existing: str,
    kind: OperationKind,
) -> Operation:
    quota.check(tx, share.project_id, snapshots=1, snapshot_gigabytes=snapshot.size)
    operation = operation_for(kind, context, site, share, snapshot_id=snapshot.id, existing=existing)
    begin(tx, operation, share)
    put(tx, share, snapshot)
    return operation


def _moment(tx: Connection, share: Share, found: Sequence[FoundSnapshot], number: int) -> datetime:
    """Say when a found snapshot was taken: as found, but later than those before it, and like no other."""
    known = {snapshot.id: snapshot.created_at for snapshot in snapshots.listed(tx, None, share.id)}
    earlier = [known[one.snapshot_id] for one in found[:number] if one.snapshot_id in known]
    later = [known[one.snapshot_id] for one in found[number + 1 :] if one.snapshot_id in known]
    at = max([found[number].created_at, *earlier])
    while at in known.values():
        at += TICK
    if any(at >= moment for moment in later):
        raise Conflict(
            f"snapshot {found[number].snapshot_id} lies before others that are on record with an earlier time: "
            "the order would not be certain"
        )
    return at


class ManageSnapshot(Adopt):
    """A snapshot that was somebody else's."""

    kind = OperationKind.MANAGE_SNAPSHOT

    def work(self, case: Case) -> Work:
        """Adopt it."""
        existing = case.operation.existing or ""
        stored = verbs(case.driver, SupportsManageSnapshots).manage_snapshot(case.target, existing)
        said = f"{existing} is snapshot {case.target.snapshot_id} of share {case.share.id}, of {stored.size} GiB"
        return Work(snapshot=stored, said=said)

    def record(self, tx: Connection, case: Case, work: Work) -> None:
        """Put its identity and the share's size in it on record, if quota allows.

        Raises:
            QuotaExceeded: the size found is over quota.
        """
        assert work.snapshot is not None
        quota.check(tx, case.share.project_id, snapshot_gigabytes=work.snapshot.size - case.target.size)
        super().record(tx, case, work)
        snapshots.set_size(tx, case.target.snapshot_id, work.snapshot.size)

    def online(self, case: Case) -> Online:
        """Bring it online where the share's type says so; the share is."""
        return snapshot_or_trouble(case)

    def unmanage(self, case: Case) -> None:
        """Let go of the snapshot."""
        with case.site.store.read() as tx:
            target = snapshots.instance(tx, case.target.snapshot_id, shares.get(tx, case.share.id))
        verbs(case.driver, SupportsManageSnapshots).unmanage_snapshot(target)

    def remove(self, tx: Connection, case: Case) -> None:
        """Remove the snapshot's row."""
        snapshots.remove(tx, case.target.snapshot_id)


class RebuildSnapshot(ManageSnapshot):
    """A snapshot of ours that is no longer on record."""

    kind = OperationKind.REBUILD_SNAPSHOT
    gives_back = False


def accept_unmanage(tx: Connection, site: Site, context: Context, snapshot: Snapshot) -> Operation:
    """Begin to let go of a snapshot.

    Raises:
        Conflict: its status or the share's forbids it.
    """
    shares.hold(tx, snapshot.share_id)
    share, snapshot = shares.get(tx, snapshot.share_id), snapshots.get(tx, snapshot.id)
    check_alone(share)
    operation = operation_for(
        OperationKind.UNMANAGE_SNAPSHOT,
        context,
        site,
        share,
        snapshot_id=snapshot.id,
        status_before=snapshot.status,
    )
    begin(tx, operation, share, snapshot)
    return operation


class UnmanageSnapshot(Story):
    """A snapshot that is somebody else's again."""

    kind = OperationKind.UNMANAGE_SNAPSHOT
    records = False
    tells = True
    puts_back = True

    def work(self, case: Case) -> Work:
        """Let go of it; its content stays."""
        driver = verbs(case.driver, SupportsManageSnapshots)
        found = found_on_backend(case)
        ours = [one for one in found.snapshots if one.snapshot_id == case.target.snapshot_id] if found else []
        let_go(lambda: driver.unmanage_snapshot(case.target))
        where = f" as {ours[0].existing}" if ours else ""
        return Work(said=f"snapshot {case.target.snapshot_id} is left on backend {case.share.pool.backend}{where}")

    def fail(self, case: Case, failure: Exception) -> str:
        """Leave the status that it had, and bring it online again if it was."""
        trouble = snapshot_or_trouble(case).trouble if case.operation.status_before is Status.AVAILABLE else ""
        then = f"; then, {trouble}; mend that and unmanage it again" if trouble else ""
        return super().fail(case, BackendError(f"{failure}{then}"))

    def close(self, tx: Connection, case: Case, outcome: Outcome) -> None:
        """Remove the row once nothing of ours is on it."""
        super().close(tx, case, outcome)
        if outcome is Outcome.DONE:
            snapshots.remove(tx, case.target.snapshot_id)
