"""Limits of projects, and what they use: sums over what exists, so that they cannot drift."""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, insert, select

from revertkit.store.tables import quotas, replicas, reservations, shares, snapshots

DEFAULTS = ""
"""The owner of the defaults of all projects; no project has an empty name."""


def limits(tx: Connection, project_id: str) -> dict[str, int]:
    """Answer the limits that were set for a project."""
    rows = tx.execute(select(quotas.c.resource, quotas.c.limit).where(quotas.c.project_id == project_id))
    return {row.resource: row.limit for row in rows}


def set_limit(tx: Connection, project_id: str, resource: str, limit: int) -> None:
    """Set one limit."""
    unset_limits(tx, project_id, resource)
    tx.execute(insert(quotas).values(project_id=project_id, resource=resource, limit=limit))


def unset_limits(tx: Connection, project_id: str, resource: str | None = None) -> None:
    """Put a project's limits, or one of them, back to the defaults."""
    query = delete(quotas).where(quotas.c.project_id == project_id)
    tx.execute(query.where(quotas.c.resource == resource) if resource else query)


def in_use(tx: Connection, project_id: str) -> dict[str, int]:
    """Sum what a project uses, per resource. A share or snapshot counts from its accept to its end, errors too."""
    mine = shares.c.project_id == project_id
    share_count, gigabytes = tx.execute(select(func.count(), func.sum(shares.c.size)).where(mine)).one()
    snapshot_count, snapshot_gigabytes = tx.execute(
        select(func.count(), func.sum(snapshots.c.size)).where(
            snapshots.c.project_id == project_id, snapshots.c.deleted_at.is_(None)
        )
    ).one()
    replicated = select(func.count(), func.sum(shares.c.size)).join(replicas, replicas.c.share_id == shares.c.id)
    replica_count, replica_gigabytes = tx.execute(replicated.where(mine, shares.c.replication_type.is_not(None))).one()
    return {
        "shares": share_count,
        "gigabytes": gigabytes or 0,
        "snapshots": snapshot_count,
        "snapshot_gigabytes": snapshot_gigabytes or 0,
        "share_replicas": replica_count,
        "replica_gigabytes": replica_gigabytes or 0,
    }


def reserved(tx: Connection, project_id: str) -> dict[str, int]:
    """Sum what operations under way have set aside."""
    sums = select(reservations.c.resource, func.sum(reservations.c.delta).label("total"))
    rows = tx.execute(sums.where(reservations.c.project_id == project_id).group_by(reservations.c.resource))
    return {row.resource: row.total for row in rows}
