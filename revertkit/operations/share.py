"""Making, deleting and resizing a share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from revertkit import quota, share_types
from revertkit.capabilities import verbs
from revertkit.driver import SupportsCreateFromSnapshot, SupportsExtend, SupportsShrink
from revertkit.errors import BackendError, Conflict, HasReplicas, InvalidInput, NotSupported
from revertkit.log import get_logger
from revertkit.models import (
    Context,
    Operation,
    OperationKind,
    Outcome,
    PoolId,
    Replica,
    Share,
    ShareType,
    Snapshot,
    Stored,
    new_id,
)
from revertkit.operations.site import Site
from revertkit.operations.story import Case, Story, Superseded, Work, begin, check_in
from revertkit.status import Status
from revertkit.store import operations, shares, snapshots

log = get_logger(__name__)


@dataclass(frozen=True)
class NewShare:
    """What was asked for."""

    size: int
    share_type: ShareType
    pool: PoolId
    name: str | None = None
    description: str | None = None
    protocol: str = "NFS"
    snapshot: Snapshot | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    replica_id: str = field(default_factory=new_id)


def operation_for(kind: OperationKind, context: Context, site: Site, share: Share, **more: Any) -> Operation:
    """Make the record of a new operation."""
    active = {"replica_id": share.replica.id, "host": share.pool.host}
    return Operation(
        id=new_id(),
        kind=kind,
        project_id=share.project_id,
        share_id=share.id,
        request_id=context.request_id,
        created_at=site.now(),
        **{**active, **more},
    )


def accept_create(tx: Connection, site: Site, context: Context, share_id: str, new: NewShare) -> Operation:
    """Put a new share on record.

    Raises:
        QuotaExceeded, Conflict, NotSupported, InvalidInput: with what is in the way; nothing has changed.
    """
    if new.snapshot:
        _check_source(tx, new)
    share = new_record(site, context, share_id, new)
    quota.check(tx, context.project_id, new.size, shares=1, gigabytes=new.size, **quota.of_replicas(share, 1))
    shares.add(tx, share, site.zone(share.pool))
    kind = OperationKind.CREATE_SHARE_FROM_SNAPSHOT if new.snapshot else OperationKind.CREATE_SHARE
    source = new.snapshot.id if new.snapshot else None
    operation = operation_for(kind, context, site, share, snapshot_id=source)
    begin(tx, operation, share)
    return operation


def _check_source(tx: Connection, new: NewShare) -> None:
    assert new.snapshot is not None
    snapshot = snapshots.get(tx, new.snapshot.id)
    parent = shares.get(tx, snapshot.share_id)
    if not parent.create_share_from_snapshot_support:
        raise NotSupported(f"share {parent.id} was made without create_share_from_snapshot_support")
    if parent.pool != new.pool:
        raise InvalidInput(f"the new share has to be in its snapshot's pool, {parent.pool}, not in {new.pool}")
    if new.size < snapshot.size:
        raise InvalidInput(f"the new share has {new.size} GiB, its snapshot {snapshot.size}: make it at least as large")
    check_in(snapshot.status, {Status.AVAILABLE}, f"snapshot {snapshot.id}")


def new_record(site: Site, context: Context, share_id: str, new: NewShare) -> Share:
    """Make the record of a new share, which copies from its type what it supports."""
    replica = Replica(
        id=new.replica_id,
        share_id=share_id,
        host=new.pool.host,
        backend=new.pool.backend,
        pool=new.pool.pool,
        size=new.size,
        protocol=new.protocol,
    )
    return Share(
        id=share_id,
        project_id=context.project_id,
        user_id=context.user_id,
        name=new.name,
        description=new.description,
        size=new.size,
        protocol=new.protocol,
        share_type_id=new.share_type.id,
        snapshot_id=new.snapshot.id if new.snapshot else None,
        **share_types.copied(new.share_type.extra_specs),
        replication_type=new.share_type.extra_specs.get("replication_type"),
        metadata=dict(new.metadata),
        created_at=site.now(),
        status=Status.CREATING,
        pool=new.pool,
        replica=replica,
    )


class CreateShare(Story):
    """An empty share."""

    kind = OperationKind.CREATE_SHARE
    comes_online = True

    def work(self, case: Case) -> Work:
        """Make it."""
        return Work(share=case.driver.create_share(case.replica))


class CreateShareFromSnapshot(Story):
    """A share with a snapshot's content."""

    kind = OperationKind.CREATE_SHARE_FROM_SNAPSHOT
    comes_online = True

    def work(self, case: Case) -> Work:
        """Make it."""
        driver = verbs(case.driver, SupportsCreateFromSnapshot)
        return Work(share=driver.create_share_from_snapshot(case.replica, case.target))


def accept_delete(tx: Connection, site: Site, context: Context, share: Share, *, force: bool) -> Operation:
    """Begin to delete a share that has no snapshots and no other replica.

    Raises:
        Conflict: it has some, or its status forbids it.
    """
    shares.hold(tx, share.id)
    share = shares.get(tx, share.id)
    check_alone(share)
    if count := snapshots.count(tx, share.id):
        raise Conflict(f"share {share.id} has {count} snapshot{'s' * (count > 1)}; delete those first")
    operation = operation_for(OperationKind.DELETE_SHARE, context, site, share)
    begin(tx, operation, share, at_rest=force)
    return operation


def check_alone(share: Share) -> None:
    """See that a share has no replica but its active one.

    Raises:
        HasReplicas: it has; names them.
    """
    if others := share.replica.peers:
        raise HasReplicas(f"share {share.id} has other replicas ({', '.join(others)}); delete those first")


class DeleteShare(Story):
    """The end of a share."""

    kind = OperationKind.DELETE_SHARE

    def work(self, case: Case) -> Work:
        """Remove it from its backend."""
        case.driver.delete_share(case.replica)
        return Work()

    def close(self, tx: Connection, case: Case, outcome: Outcome) -> None:
        """Remove the row too, once the backend has nothing left of it."""
        super().close(tx, case, outcome)
        if outcome is Outcome.DONE:
            shares.remove(tx, case.share.id)


def resizes(share: Share, new_size: int, *, grow: bool) -> bool:
    """Whether a share can be grown, or shrunk, to `new_size`; to the size on record, where that failed at its end."""
    if new_size == share.size:
        return share.status is (Status.EXTENDING_ERROR if grow else Status.SHRINKING_ERROR)
    return (new_size > share.size) is grow


def accept_resize(
    tx: Connection, site: Site, context: Context, share: Share, new_size: int, *, grow: bool
) -> Operation:
    """Begin to extend or shrink a share; a growth is reserved.

    Raises:
        QuotaExceeded, Conflict: with what is in the way; its size may have changed since it was looked at.
    """
    shares.hold(tx, share.id)
    share = shares.get(tx, share.id)
    if not resizes(share, new_size, grow=grow):
        raise Conflict(
            f"share {share.id} has {share.size} GiB by now; {new_size} is no {'growth' if grow else 'shrink'}"
        )
    kind = OperationKind.EXTEND_SHARE if grow else OperationKind.SHRINK_SHARE
    operation = operation_for(kind, context, site, share, new_size=new_size, status_before=share.status)
    begin(tx, operation, share)
    if grow:
        growth = quota.growth(share, new_size)
        quota.check(tx, share.project_id, new_size, **growth)
        operations.reserve(tx, operation, growth)
    return operation


class _Resize(Story):
    """A share of another size."""

    comes_online = True
    puts_back = True

    @staticmethod
    def resized(case: Case, stored: Stored) -> Work:
        """Take the driver's answer.

        Raises:
            BackendError: the share is not of the size that was asked for.
        """
        if stored.size != _new_size(case):
            raise BackendError(f"the backend answered success, but the share has {stored.size} GiB")
        return Work(share=stored)

    def fail(self, case: Case, failure: Exception) -> str:
        """Have the share online all the same, if it can be, at the size that is on record."""
        try:
            self.back_online(case)
        except Superseded:
            raise
        except Exception as second:
            log.error("share is offline", share=case.share.id, exc_info=second)
            found = "; ".join(dict.fromkeys([str(failure), f"it is offline: {second}"]))
            return super().fail(case, BackendError(f"{found}; mend that and run `revertkit recover`"))
        return super().fail(case, BackendError(f"{failure}; the share is online; mend that and try again"))


class ExtendShare(_Resize):
    """A larger share."""

    kind = OperationKind.EXTEND_SHARE

    def work(self, case: Case) -> Work:
        """Grow it."""
        return self.resized(case, verbs(case.driver, SupportsExtend).extend_share(case.replica, _new_size(case)))


class ShrinkShare(_Resize):
    """A smaller share."""

    kind = OperationKind.SHRINK_SHARE

    def work(self, case: Case) -> Work:
        """Shrink it."""
        return self.resized(case, verbs(case.driver, SupportsShrink).shrink_share(case.replica, _new_size(case)))


def _new_size(case: Case) -> int:
    assert case.operation.new_size is not None, case.operation.kind
    return case.operation.new_size
