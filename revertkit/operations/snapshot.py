"""Taking and deleting a snapshot."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection

from revertkit import quota
from revertkit.capabilities import verbs
from revertkit.driver import SupportsSnapshots
from revertkit.errors import NotSupported
from revertkit.models import Context, Operation, OperationKind, Outcome, Share, Snapshot, new_id
from revertkit.operations.share import operation_for
from revertkit.operations.site import Site
from revertkit.operations.story import Case, Story, Work, begin
from revertkit.status import Status
from revertkit.store import shares, snapshots

TICK = timedelta(microseconds=1)


def accept_create(
    tx: Connection, site: Site, context: Context, share: Share, name: str | None, description: str | None
) -> Operation:
    """Put a new snapshot on record. Its moment is later than any of the share's, even if a clock steps back.

    Raises:
        NotSupported, QuotaExceeded, Conflict: with what is in the way; nothing has changed.
    """
    shares.hold(tx, share.id)
    share = shares.get(tx, share.id)
    if not share.snapshot_support:
        raise NotSupported(f"share {share.id} was made without snapshot_support (see its share type)")
    quota.check(tx, share.project_id, snapshots=1, snapshot_gigabytes=share.size)
    before = shares.last_snapshot_at(tx, share.id)
    snapshot = Snapshot(
        id=new_id(),
        share_id=share.id,
        project_id=share.project_id,
        name=name,
        description=description,
        size=share.size,
        created_at=max(site.now(), before + TICK) if before else site.now(),
        status=Status.CREATING,
        instance_id=new_id(),
    )
    operation = operation_for(OperationKind.CREATE_SNAPSHOT, context, site, share, snapshot_id=snapshot.id)
    begin(tx, operation, share)
    snapshots.add(tx, snapshot, share.replica.id)
    shares.set_last_snapshot(tx, share.id, snapshot.created_at)
    return operation


class CreateSnapshot(Story):
    """A moment kept."""

    kind = OperationKind.CREATE_SNAPSHOT

    def work(self, case: Case) -> Work:
        """Take it."""
        return Work(snapshot=verbs(case.driver, SupportsSnapshots).create_snapshot(case.target))

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


def accept_delete(tx: Connection, site: Site, context: Context, snapshot: Snapshot, *, force: bool) -> Operation:
    """Begin to delete a snapshot.

    Raises:
        Conflict: its status or the share's forbids it.
    """
    shares.hold(tx, snapshot.share_id)
    share, snapshot = shares.get(tx, snapshot.share_id), snapshots.get(tx, snapshot.id)
    operation = operation_for(OperationKind.DELETE_SNAPSHOT, context, site, share, snapshot_id=snapshot.id)
    begin(tx, operation, share, snapshot, at_rest=force)
    return operation


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
            snapshots.remove(tx, case.target.snapshot_id)
