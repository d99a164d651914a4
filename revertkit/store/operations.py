"""Operations: the manager's record of intent, and their reservations."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, delete, func, insert, select, update

from revertkit.models import TICK, Operation, OperationKind, Outcome
from revertkit.store.tables import operations, reservations, snapshots


def add(tx: Connection, operation: Operation) -> None:
    """Insert an operation. Its moment is later than any of the share's, even if a clock steps back."""
    latest = select(func.max(operations.c.created_at)).where(operations.c.share_id == operation.share_id)
    before: datetime | None = tx.execute(latest).scalar()
    at = max(operation.created_at, before + TICK) if before else operation.created_at
    tx.execute(insert(operations).values(operation.model_dump() | {"created_at": at}))


def reserve(tx: Connection, operation: Operation, deltas: dict[str, int]) -> None:
    """Set aside quota for an operation; gone when it finishes, however it does."""
    for resource, delta in deltas.items():
        tx.execute(
            insert(reservations).values(
                operation_id=operation.id, project_id=operation.project_id, resource=resource, delta=delta
            )
        )


def set_recorded(tx: Connection, operation_id: str) -> None:
    """Put on record that the outcome is on record; what was reserved is now in use."""
    tx.execute(update(operations).where(operations.c.id == operation_id).values(recorded=True))
    tx.execute(delete(reservations).where(reservations.c.operation_id == operation_id))


def finish(tx: Connection, operation_id: str, outcome: Outcome, found: str, at: datetime) -> None:
    """End an operation; its reservation is released."""
    tx.execute(
        update(operations).where(operations.c.id == operation_id).values(outcome=outcome, found=found, finished_at=at)
    )
    tx.execute(delete(reservations).where(reservations.c.operation_id == operation_id))


def unfinished(
    tx: Connection,
    host: str | None = None,
    share_id: str | None = None,
    snapshot_id: str | None = None,
    replica_id: str | None = None,
) -> list[Operation]:
    """List the operations under way or interrupted, oldest first: all, or those of a host, share, snapshot, replica."""
    named = {"host": host, "share_id": share_id, "snapshot_id": snapshot_id, "replica_id": replica_id}
    of = {name: value for name, value in named.items() if value is not None}
    # Ordered here: asked to order, SQLite takes the index of all that a share ever did, and reads it to the end.
    found = map(_operation, tx.execute(_unfinished(*of), of))
    return sorted(found, key=lambda operation: (operation.created_at, operation.id))


@cache
def _unfinished(*columns: str) -> Select[Any]:
    query = select(operations).where(operations.c.finished_at.is_(None))
    return query.where(*(operations.c[name] == bindparam(name) for name in columns))


def last_revert(tx: Connection, share_id: str) -> Operation | None:
    """Answer the share's last revert."""
    query = select(operations).where(
        operations.c.share_id == share_id, operations.c.kind == OperationKind.REVERT_TO_SNAPSHOT
    )
    row = tx.execute(query.order_by(operations.c.created_at.desc(), operations.c.id).limit(1)).first()
    return _operation(row) if row else None


def get(tx: Connection, operation_id: str) -> Operation:
    """Read one operation, which exists."""
    return _operation(tx.execute(select(operations).where(operations.c.id == operation_id)).one())


def last_turn(tx: Connection, share_id: str) -> datetime | None:
    """Say when a revert or a promotion of the share was last accepted; a look that began earlier is of no account."""
    turns = operations.c.kind.in_((OperationKind.REVERT_TO_SNAPSHOT, OperationKind.PROMOTE_REPLICA))
    moment: datetime | None = tx.execute(
        select(func.max(operations.c.created_at)).where(operations.c.share_id == share_id, turns)
    ).scalar()
    return moment


def reverted_to(tx: Connection, share_id: str, since: datetime) -> list[str]:
    """Name what a replica that has followed up to `since` may have to be turned back to: the first that it holds.

    Each that the share was, or may have been, reverted to after that, the oldest snapshot first. Before them, newest
    first, what is on record and not older than the oldest of these targets: that was the most recent snapshot when the
    share was reverted to it, so what is newer was taken afterwards, nothing has discarded it, and a replica that holds
    it has followed that far in a look that was cut.
    """
    changed = operations.c.outcome.is_(None) | (operations.c.outcome != Outcome.UNCHANGED)
    query = select(snapshots.c.id, snapshots.c.created_at).join(operations, operations.c.snapshot_id == snapshots.c.id)
    query = query.where(
        operations.c.share_id == share_id,
        operations.c.kind == OperationKind.REVERT_TO_SNAPSHOT,
        operations.c.created_at > since,
        changed,
    )
    targets = tx.execute(query).all()
    if not targets:
        return []
    kept = select(snapshots.c.id).where(snapshots.c.share_id == share_id, snapshots.c.deleted_at.is_(None))
    oldest_first = sorted(targets, key=lambda one: one.created_at)
    kept = kept.where(snapshots.c.created_at >= oldest_first[0].created_at).order_by(snapshots.c.created_at.desc())
    return list(dict.fromkeys([*tx.execute(kept).scalars(), *(one.id for one in oldest_first)]))


def _operation(row: Row[Any]) -> Operation:
    return Operation(**{**row._mapping, "forced": bool(row.forced)})
