"""Replicas of shares: every one, and those that are not active."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select, update

from revertkit.errors import NotFound
from revertkit.models import ExportLocation, PoolId, ShareReplica
from revertkit.status import ReplicaState, Status
from revertkit.store import operations
from revertkit.store import shares as stored_shares
from revertkit.store.shares import grouped, location_records, replica_record
from revertkit.store.tables import access_rules, export_locations, replicas, shares

_EVERY = select(
    shares,
    replicas.c.id.label("replica_id"),
    *(column for column in replicas.c if column.name not in ("id", "share_id", "created_at")),
    replicas.c.created_at.label("made_at"),
).join(replicas, replicas.c.share_id == shares.c.id)
_FOLLOWING = replicas.c.replica_state != ReplicaState.ACTIVE


def add(tx: Connection, new: ShareReplica, followed_at: datetime) -> None:
    """Insert a replica that is not active; it holds nothing that was there before `followed_at`."""
    tx.execute(
        insert(replicas).values(
            id=new.id,
            share_id=new.share_id,
            host=new.pool.host,
            backend=new.pool.backend,
            pool=new.pool.pool,
            status=new.status,
            replica_state=new.replica_state,
            availability_zone=new.availability_zone,
            created_at=new.created_at,
            followed_at=followed_at,
        )
    )


def get(tx: Connection, replica_id: str) -> ShareReplica:
    """Read one replica, with what it has yet to follow: lists leave that out.

    Raises:
        NotFound: there is none.
    """
    if not (found := _read(tx, replicas.c.id == replica_id)):
        raise NotFound(f"there is no replica {replica_id}")
    since = tx.execute(select(replicas.c.followed_at).where(replicas.c.id == replica_id)).scalar_one()
    if since is None:
        return found[0]
    turned = tuple(operations.reverted_to(tx, found[0].share_id, since))
    return found[0].model_copy(update={"replica": found[0].replica.model_copy(update={"reverted_to": turned})})


def listed(tx: Connection, project_id: str | None, share_id: str | None = None) -> list[ShareReplica]:
    """List the replicas of shares that can have several, by share and age; a share's active one among them."""
    wanted: list[ColumnElement[bool]] = [shares.c.replication_type.is_not(None)]
    wanted += [shares.c.project_id == project_id] if project_id is not None else []
    wanted += [shares.c.id == share_id] if share_id is not None else []
    return _read(tx, *wanted)


def others(tx: Connection, share_id: str) -> list[ShareReplica]:
    """List the replicas of a share that are not active."""
    return _read(tx, replicas.c.share_id == share_id, _FOLLOWING)


def following(tx: Connection, host: str) -> list[ShareReplica]:
    """List the replicas on a host that are not active, and at rest."""
    return _read(tx, replicas.c.host == host, _FOLLOWING, replicas.c.status == Status.AVAILABLE)


def describe(tx: Connection, replica_id: str, **values: Any) -> None:
    """Record what was found of a replica; how it stands to its active one is moved."""
    assert not values.keys() & {"status", "replica_state"}
    tx.execute(update(replicas).where(replicas.c.id == replica_id).values(values))


def hold_no_later(tx: Connection, share_id: str, at: datetime) -> None:
    """Say that no replica but the active one surely holds what was written to the share after `at`."""
    wanted = (replicas.c.share_id == share_id, _FOLLOWING, replicas.c.in_sync_at > at)
    tx.execute(update(replicas).where(*wanted).values(in_sync_at=at))


def remove(tx: Connection, replica_id: str) -> None:
    """Delete a replica's row, with its instances."""
    tx.execute(delete(replicas).where(replicas.c.id == replica_id))


def _read(tx: Connection, *where: ColumnElement[bool]) -> list[ShareReplica]:
    order = (shares.c.created_at, shares.c.id, replicas.c.created_at, replicas.c.id)
    rows = tx.execute(_EVERY.where(*where).order_by(*order)).all()
    rules = grouped(tx, access_rules, access_rules.c.share_id, [row.id for row in rows])
    reached = grouped(tx, export_locations, export_locations.c.replica_id, [row.replica_id for row in rows])
    every = stored_shares.peers(tx, [row.id for row in rows])
    return [
        _record(row, rules.get(row.id, ()), every[row.id], location_records(reached.get(row.replica_id, ())))
        for row in rows
    ]


def _record(
    row: Row[Any], rules: Sequence[Any], every: Sequence[str], reached: tuple[ExportLocation, ...]
) -> ShareReplica:
    return ShareReplica(
        id=row.replica_id,
        share_id=row.id,
        project_id=row.project_id,
        status=Status(row.status),
        replica_state=ReplicaState(row.replica_state),
        pool=PoolId(row.host, row.backend, row.pool),
        availability_zone=row.availability_zone,
        created_at=row.made_at,
        updated_at=row.updated_at,
        looked_at=row.looked_at,
        in_sync_at=row.in_sync_at,
        seconds_behind=row.seconds_behind,
        found=row.found,
        needs_full_copy=bool(row.needs_full_copy),
        replica=replica_record(row, rules, every),
        export_locations=reached,
    )
