"""Taking and deleting a snapshot."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from revertkit import quota
from revertkit.capabilities import verbs
from revertkit.driver import SupportsSnapshots
from revertkit.errors import NotSupported
from revertkit.log import get_logger
from revertkit.models import TICK, Context, Operation, OperationKind, Outcome, Share, Snapshot, new_id
from revertkit.operations.online import Online, bring_snapshot_online
from revertkit.operations.share import operation_for
from revertkit.operations.site import Site
from revertkit.operations.story import Case, Story, Work, begin
from revertkit.status import Status
from revertkit.store import move, replicas, shares, snapshots
from revertkit.store.tables import instances

log = get_logger(__name__)


def accept_create(tx: Connection, site: Site, context: Context, share: Share, **given: Any) -> Operation:
    """Put a new snapshot on record, `given` its name, description and metadata.

    Its moment is later than any of the share's, even if a clock steps back.

    Raises:
        NotSupported, QuotaExceeded, Conflict: with what is in the way; nothing has changed.
    """
    shares.hold(tx, share.id)
    share = shares.get(tx, share.id)
    if not share.snapshot_support:
        raise NotSupported(f"share {share.id} was made without snapshot_support (see its share type)")
    quota.check(tx, share.project_id, snapshots=1, snapshot_gigabytes=share.size)
    snapshot = new_record(share, moment(tx, site, share), user_id=context.user_id, **given)
    operation = operation_for(OperationKind.CREATE_SNAPSHOT, context, site, share, snapshot_id=snapshot.id)
    begin(tx, operation, share)
    put(tx, share, snapshot)
    return operation


def moment(tx: Connection, site: Site, share: Share) -> datetime:
    """Say when a snapshot that goes on record now was taken: later than any of the share's, whatever the clock says."""
    before = shares.last_snapshot_at(tx, share.id)
    return max(site.now(), before + TICK) if before else site.now()


def new_record(share: Share, created_at: datetime, **given: Any) -> Snapshot:
    """Make the record of a new snapshot of a share."""
    fresh = {"id": new_id(), "name": None, "description": None, "size": share.size}
    return Snapshot(
        **{**fresh, **given},
        share_id=share.id,
        project_id=share.project_id,
        created_at=created_at,
        status=Status.CREATING,
        instance_id=new_id(),
    )


def put(tx: Connection, share: Share, snapshot: Snapshot) -> None:
    """Put a new snapshot on record; no later one of the share will have an earlier moment."""
    before = shares.last_snapshot_at(tx, share.id)
    snapshots.add(tx, snapshot, share.replica.id)
    shares.set_last_snapshot(tx, share.id, max(snapshot.created_at, before) if before else snapshot.created_at)


class CreateSnapshot(Story):
    """A moment kept, as soon as it is on record; that it cannot be mounted is told, and `recover` mends it."""

    kind = OperationKind.CREATE_SNAPSHOT
    comes_online = True

    def work(self, case: Case) -> Work:
        """Take it."""
        return Work(snapshot=verbs(case.driver, SupportsSnapshots).create_snapshot(case.target))

    def online(self, case: Case) -> Online:
        """Bring it online where the share's type says so; the share is."""
        return snapshot_or_trouble(case)

    def close(self, tx: Connection, case: Case, outcome: Outcome) -> None:
        """Settle it on the share; where it was not taken, no other replica will ever have it."""
        super().close(tx, case, outcome)
        if outcome is Outcome.FAILED:
            _move_others(tx, case.target.snapshot_id, case.share, Status.ERROR, case.site.now())

    def recover(self, case: Case) -> None:
        """Conclude one that is on record as taken; give up any other: its moment has passed."""
        if case.operation.recorded:
            self.conclude(case, "done")
            return
        try:
            verbs(case.driver, SupportsSnapshots).delete_snapshot(case.target)
            left = ""
        except Exception as failure:  # noqa: BLE001 - the record says it, and the delete is repeated by hand
            left = f" (what is left of it cannot be removed now: {failure})"
        self.finish(case, Outcome.FAILED, f"it was interrupted, and its moment has passed; delete it{left}")


def snapshot_or_trouble(case: Case) -> Online:
    """Bring the operation's new snapshot online where its share's type says so; tell if it cannot be."""
    if not case.share.mount_snapshot_support:
        return Online()
    snapshot = case.target
    try:
        return bring_snapshot_online(case.site, case.share.id, snapshot.snapshot_id)
    except Exception as failure:
        log.warning("snapshot cannot be brought online", snapshot=snapshot.snapshot_id, exc_info=failure)
        return Online(trouble=f"snapshot {snapshot.snapshot_id} cannot be brought online: {failure}")


def accept_delete(tx: Connection, site: Site, context: Context, snapshot: Snapshot, *, force: bool) -> Operation:
    """Begin to delete a snapshot.

    Raises:
        Conflict: its status or the share's forbids it.
    """
    shares.hold(tx, snapshot.share_id)
    share, snapshot = shares.get(tx, snapshot.share_id), snapshots.get(tx, snapshot.id)
    operation = operation_for(OperationKind.DELETE_SNAPSHOT, context, site, share, snapshot_id=snapshot.id)
    begin(tx, operation, share, snapshot, at_rest=force)
    _move_others(tx, snapshot.id, share, Status.DELETING, operation.created_at)
    return operation


def _move_others(tx: Connection, snapshot_id: str, share: Share, to: Status, at: datetime) -> None:
    """Move the instances on the other replicas: each drops its own by itself, once it is seen to follow."""
    for other in replicas.others(tx, share.id):
        for one in snapshots.on_replica(tx, other.replica):
            if one.snapshot_id == snapshot_id:
                move(tx, instances, one.id, set(Status), to, at)


class DeleteSnapshot(Story):
    """The end of a snapshot."""

    kind = OperationKind.DELETE_SNAPSHOT

    def work(self, case: Case) -> Work:
        """Remove it from its backend."""
        verbs(case.driver, SupportsSnapshots).delete_snapshot(case.target)
        return Work()

    def close(self, tx: Connection, case: Case, outcome: Outcome) -> None:
        """Remove the row too, once the backend has nothing left of it."""
        super().close(tx, case, outcome)
        if outcome is Outcome.DONE:
            snapshots.retire(tx, case.target, case.site.now())
        else:
            _move_others(tx, case.target.snapshot_id, case.share, Status.ERROR_DELETING, case.site.now())
