"""Shares and their replicas."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, delete, func, insert, select, update

from revertkit.errors import NotFound
from revertkit.models import AccessLevel, AccessRule, ExportLocation, PoolId, Replica, Share, Stored
from revertkit.status import ReplicaState, RulesStatus, RuleState, Status
from revertkit.store.names import resolve
from revertkit.store.tables import access_rules, export_locations, replicas, shares

ACTIVE = select(
    shares,
    replicas.c.id.label("replica_id"),
    replicas.c.host,
    replicas.c.backend,
    replicas.c.pool,
    replicas.c.backend_id,
    replicas.c.undo_id,
    replicas.c.status,
    replicas.c.replica_state,
    replicas.c.availability_zone,
    replicas.c.updated_at,
).join(replicas, (replicas.c.share_id == shares.c.id) & (replicas.c.replica_state == ReplicaState.ACTIVE))
_BY_ID = ACTIVE.where(shares.c.id == bindparam("wanted"))
"""Made once, as other statements that every request and operation needs: making one takes longer than running it."""
AT_ONCE = 500
"""How many owners are named in one query: below what any database allows."""
_COPIED = (
    "id",
    "project_id",
    "user_id",
    "name",
    "description",
    "size",
    "protocol",
    "share_type_id",
    "snapshot_id",
    "snapshot_support",
    "create_share_from_snapshot_support",
    "revert_to_snapshot_support",
    "mount_snapshot_support",
    "replication_type",
    "metadata",
    "created_at",
)


def add(tx: Connection, share: Share, zone: str | None = None) -> None:
    """Insert a share and its active replica, which is in availability zone `zone`."""
    tx.execute(insert(shares).values({name: getattr(share, name) for name in _COPIED}))
    tx.execute(
        insert(replicas).values(
            id=share.replica.id,
            share_id=share.id,
            host=share.pool.host,
            backend=share.pool.backend,
            pool=share.pool.pool,
            status=share.status,
            replica_state=share.replica.state,
            availability_zone=zone,
            created_at=share.created_at,
        )
    )


def find(tx: Connection, text: str, project_id: str | None) -> Share:
    """Find a share by id or name, within a project or (None) in all."""
    rows = tx.execute(_BY_ID, {"wanted": text}).all()
    if rows and project_id in (None, rows[0].project_id):
        return records(tx, rows)[0]
    scope = [] if project_id is None else [shares.c.project_id == project_id]
    return get(tx, resolve(tx, shares, "share", text, *scope))


def get(tx: Connection, share_id: str) -> Share:
    """Read one share.

    Raises:
        NotFound: there is none.
    """
    rows = tx.execute(_BY_ID, {"wanted": share_id}).all()
    if not rows:
        raise NotFound(f"there is no share {share_id}")
    return records(tx, rows)[0]


def listed(tx: Connection, project_id: str | None, share_type_id: str | None = None) -> list[Share]:
    """List shares, oldest first."""
    wanted = [shares.c.project_id == project_id] if project_id is not None else []
    wanted += [shares.c.share_type_id == share_type_id] if share_type_id is not None else []
    return _read(tx, *wanted)


def on_host(tx: Connection, host: str, statuses: Iterable[Status]) -> list[Share]:
    """List the shares whose active replica is on `host` in one of these statuses."""
    return _read(tx, replicas.c.host == host, replicas.c.status.in_(statuses))


def allocated(tx: Connection, host: str, backend: str) -> dict[str, int]:
    """Sum up, by pool of a backend, the sizes of all shares that are there, in GiB."""
    query = select(replicas.c.pool, func.sum(shares.c.size)).join(shares, replicas.c.share_id == shares.c.id)
    there = query.where(replicas.c.host == host, replicas.c.backend == backend).group_by(replicas.c.pool)
    return {pool: int(size) for pool, size in tx.execute(there)}


def by_status(tx: Connection) -> dict[Status, int]:
    """Count all shares by the status of their active replica."""
    active = replicas.c.replica_state == ReplicaState.ACTIVE
    query = select(replicas.c.status, func.count()).where(active).group_by(replicas.c.status)
    return {Status(status): int(count) for status, count in tx.execute(query)}


def hold(tx: Connection, share_id: str) -> None:
    """Hold the share's row until the end of the transaction, before anything is read that the transaction decides on.

    Raises:
        NotFound: there is none.
    """
    if tx.execute(select(shares.c.id).where(shares.c.id == share_id).with_for_update()).scalar() is None:
        raise NotFound(f"there is no share {share_id}")


def set_stored(tx: Connection, replica: Replica, stored: Stored) -> None:
    """Record what the backend of the active replica holds now: identity, undo and size."""
    set_identity(tx, replica.id, stored)
    tx.execute(update(shares).where(shares.c.id == replica.share_id).values(size=stored.size))


def set_identity(tx: Connection, replica_id: str, stored: Stored) -> None:
    """Record the identity of any replica on its backend."""
    tx.execute(
        update(replicas).where(replicas.c.id == replica_id).values(backend_id=stored.backend_id, undo_id=stored.undo_id)
    )


def set_last_snapshot(tx: Connection, share_id: str, at: datetime) -> None:
    """Remember the share's latest moment of a snapshot, which outlives the snapshot."""
    tx.execute(update(shares).where(shares.c.id == share_id).values(last_snapshot_at=at))


def last_snapshot_at(tx: Connection, share_id: str) -> datetime | None:
    """Say when the share's latest snapshot was taken, deleted ones included."""
    moment: datetime | None = tx.execute(select(shares.c.last_snapshot_at).where(shares.c.id == share_id)).scalar()
    return moment


def set_locations(tx: Connection, replica_id: str, locations: Sequence[ExportLocation]) -> None:
    """Record where a replica is reached."""
    tx.execute(delete(export_locations).where(export_locations.c.replica_id == replica_id))
    for location in locations:
        tx.execute(insert(export_locations).values(replica_id=replica_id, **location.model_dump()))


def remove(tx: Connection, share_id: str) -> None:
    """Delete a share's row and all that belongs to it."""
    tx.execute(delete(shares).where(shares.c.id == share_id))


def describe(tx: Connection, share_id: str, **values: Any) -> None:
    """Set what people say of a share: name, description, metadata."""
    tx.execute(update(shares).where(shares.c.id == share_id).values(values))


def _read(tx: Connection, *where: ColumnElement[bool]) -> list[Share]:
    return records(tx, tx.execute(ACTIVE.where(*where).order_by(shares.c.created_at, shares.c.id)).all())


def records(tx: Connection, rows: Sequence[Row[Any]]) -> list[Share]:
    """Read rows of :data:`ACTIVE`, with rules, locations, peers: three queries more, however many they are."""
    rules = grouped(tx, access_rules, access_rules.c.share_id, [row.id for row in rows])
    locations = grouped(tx, export_locations, export_locations.c.replica_id, [row.replica_id for row in rows])
    every = peers(tx, [row.id for row in rows if row.replication_type])
    return [
        _share(row, rules.get(row.id, ()), locations.get(row.replica_id, ()), every.get(row.id, ())) for row in rows
    ]


def peers(tx: Connection, share_ids: Sequence[str]) -> dict[str, list[str]]:
    """Name all replicas of these shares, by share."""
    found = grouped(tx, replicas, replicas.c.share_id, share_ids)
    return {share_id: [row.id for row in rows] for share_id, rows in found.items()}


def grouped(tx: Connection, table: Any, owner: Any, ids: Sequence[str]) -> dict[str, list[Any]]:
    """Read the rows of `table` that belong to these owners, by owner."""
    found: dict[str, list[Any]] = {}
    for start in range(0, len(ids), AT_ONCE):
        for row in tx.execute(_owned(table, owner), {"owners": ids[start : start + AT_ONCE]}):
            found.setdefault(getattr(row, owner.name), []).append(row)
    return found


@cache
def _owned(table: Any, owner: Any) -> Select[Any]:
    return select(table).where(owner.in_(bindparam("owners", expanding=True))).order_by(*table.primary_key)


def replica_record(row: Row[Any], rules: Sequence[Any], every: Sequence[str]) -> Replica:
    """Read what a driver sees of a replica, from a row of :data:`ACTIVE` or one like it."""
    return Replica(
        id=row.replica_id,
        share_id=row.id,
        host=row.host,
        backend=row.backend,
        pool=row.pool,
        size=row.size,
        protocol=row.protocol,
        backend_id=row.backend_id,
        undo_id=row.undo_id,
        state=ReplicaState(row.replica_state),
        rules=in_force(rules),
        peers=tuple(one for one in every if one != row.replica_id),
    )


def _share(row: Row[Any], rules: Sequence[Any], locations: Sequence[Any], every: Sequence[str]) -> Share:
    replica = replica_record(row, rules, every)
    return Share(
        **{name: getattr(row, name) for name in _COPIED if name != "metadata"},
        metadata=row._mapping[shares.c.metadata],
        updated_at=row.updated_at,
        status=Status(row.status),
        pool=PoolId(row.host, row.backend, row.pool),
        replica=replica,
        availability_zone=row.availability_zone,
        access_rules_status=_together(rules),
        export_locations=location_records(locations),
    )


def _together(rules: Sequence[Row[Any]]) -> RulesStatus:
    states = {rule.status for rule in rules}
    if RuleState.ERROR in states:
        return RulesStatus.ERROR
    return RulesStatus.ACTIVE if states <= {RuleState.ACTIVE} else RulesStatus.SYNCING


def location_records(rows: Sequence[Row[Any]]) -> tuple[ExportLocation, ...]:
    """Read rows of export locations, the preferred ones first."""
    return tuple(
        ExportLocation(path=at.path, preferred=at.preferred) for at in sorted(rows, key=lambda at: not at.preferred)
    )


def in_force(rows: Sequence[Row[Any]]) -> tuple[AccessRule, ...]:
    """Read those of the rules that a backend has to export by: what is being denied or was refused is none."""
    return tuple(rule_record(row) for row in rows if row.status in (RuleState.APPLYING, RuleState.ACTIVE))


def rule_record(row: Row[Any]) -> AccessRule:
    """Read one row of the access rules."""
    return AccessRule(
        id=row.id,
        access_type=row.access_type,
        access_to=row.access_to,
        access_level=AccessLevel(row.access_level),
        state=RuleState(row.status),
        metadata=row._mapping["metadata"] or {},
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
