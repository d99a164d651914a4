"""Snapshots and their instances."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, delete, func, insert, select, true, update

from revertkit.errors import NotFound
from revertkit.models import ExportLocation, Replica, Share, Snapshot, SnapshotInstance, new_id
from revertkit.status import ReplicaState, Status
from revertkit.store.names import resolve
from revertkit.store.shares import grouped, in_force, location_records
from revertkit.store.tables import instances, replicas, snapshot_access_rules, snapshot_export_locations, snapshots

ACTIVE = (
    select(
        snapshots,
        instances.c.id.label("instance_id"),
        instances.c.backend_id,
        instances.c.status,
    )
    .join(instances, instances.c.snapshot_id == snapshots.c.id)
    .join(replicas, (replicas.c.id == instances.c.replica_id) & (replicas.c.replica_state == ReplicaState.ACTIVE))
    .where(snapshots.c.deleted_at.is_(None))
)
_BY_ID = ACTIVE.where(snapshots.c.id == bindparam("wanted"))
_COUNTS = snapshots.c.deleted_at.is_(None)
"""Of a snapshot that is gone from its share, no replica's copy counts."""
_NEWEST = (
    select(snapshots.c.id)
    .where(snapshots.c.share_id == bindparam("of"), _COUNTS)
    .order_by(snapshots.c.created_at.desc())
    .limit(1)
)


def add(tx: Connection, snapshot: Snapshot, replica_id: str) -> None:
    """Insert a snapshot and its instances: on the active replica, and those that every other one will have."""
    kept = ("id", "share_id", "project_id", "user_id", "name", "description", "size", "metadata", "created_at")
    tx.execute(insert(snapshots).values({name: getattr(snapshot, name) for name in kept}))
    tx.execute(
        insert(instances).values(
            id=snapshot.instance_id,
            snapshot_id=snapshot.id,
            replica_id=replica_id,
            status=snapshot.status,
            created_at=snapshot.created_at,
        )
    )
    others = select(replicas.c.id).where(replicas.c.share_id == snapshot.share_id, replicas.c.id != replica_id)
    for other in tx.execute(others).scalars().all():
        expect(tx, snapshot.id, other, snapshot.created_at)


def expect(tx: Connection, snapshot_id: str, replica_id: str, at: datetime) -> None:
    """Insert the instance that a replica will have."""
    tx.execute(
        insert(instances).values(
            id=new_id(), snapshot_id=snapshot_id, replica_id=replica_id, status=Status.CREATING, created_at=at
        )
    )


def find(tx: Connection, text: str, project_id: str | None) -> Snapshot:
    """Find a snapshot by id or name, within a project or (None) in all."""
    rows = tx.execute(_BY_ID, {"wanted": text}).all()
    if rows and project_id in (None, rows[0].project_id):
        return records(tx, rows)[0]
    scope = [_COUNTS] if project_id is None else [_COUNTS, snapshots.c.project_id == project_id]
    return get(tx, resolve(tx, snapshots, "snapshot", text, *scope))


def get(tx: Connection, snapshot_id: str) -> Snapshot:
    """Read one snapshot.

    Raises:
        NotFound: there is none.
    """
    rows = tx.execute(_BY_ID, {"wanted": snapshot_id}).all()
    if not rows:
        raise NotFound(f"there is no snapshot {snapshot_id}")
    return records(tx, rows)[0]


def listed(tx: Connection, project_id: str | None, share_id: str | None = None) -> list[Snapshot]:
    """List snapshots, oldest first."""
    wanted: list[ColumnElement[bool]] = []
    wanted += [snapshots.c.project_id == project_id] if project_id is not None else []
    wanted += [snapshots.c.share_id == share_id] if share_id is not None else []
    return records(tx, tx.execute(ACTIVE.where(*wanted).order_by(snapshots.c.created_at, snapshots.c.id)).all())


def latest_id(tx: Connection, share_id: str) -> str | None:
    """Name the share's most recent snapshot, whatever its status: one look-up in an index. None if it has none."""
    return tx.execute(_NEWEST, {"of": share_id}).scalar()


def latest(tx: Connection, share_id: str) -> Snapshot:
    """Answer the share's most recent snapshot, whatever its status.

    Raises:
        NotFound: the share has none.
    """
    snapshot_id = latest_id(tx, share_id)
    if snapshot_id is None:
        raise NotFound(f"share {share_id} has no snapshot")
    return get(tx, snapshot_id)


def count(tx: Connection, share_id: str) -> int:
    """Count the share's snapshots, whatever their status."""
    return tx.execute(select(func.count()).where(snapshots.c.share_id == share_id, _COUNTS)).scalar_one()


def instance(tx: Connection, snapshot_id: str, share: Share) -> SnapshotInstance:
    """Answer what the driver of the share's active replica sees of a snapshot.

    Raises:
        NotFound: it has no instance there.
    """
    found = _instances(tx, share.replica, instances.c.snapshot_id == snapshot_id)
    if not found:
        raise NotFound(f"snapshot {snapshot_id} has no instance on share {share.id}")
    return found[0]


def resting(tx: Connection, share: Share, also: str | None = None) -> list[SnapshotInstance]:
    """Answer what the driver sees of the share's available snapshots, and of `also` whatever its status, by age."""
    wanted = (instances.c.status == Status.AVAILABLE) | (instances.c.snapshot_id == (also or ""))
    return _instances(tx, share.replica, wanted)


# --- on a replica that is not the active one


def on_replica(tx: Connection, replica: Replica, *statuses: Status) -> list[SnapshotInstance]:
    """Answer what a replica's driver sees of its instances, of these statuses or all, by age."""
    return _instances(tx, replica, instances.c.status.in_(statuses) if statuses else true())


def wanted(tx: Connection, replica: Replica) -> list[SnapshotInstance]:
    """Answer the instances that a replica should have: of each snapshot that is available on the active one."""
    return _instances(tx, replica, _COUNTS & instances.c.snapshot_id.in_(_on_active(Status.AVAILABLE)))


def lost(tx: Connection, replica: Replica, *statuses: Status) -> list[SnapshotInstance]:
    """Answer a replica's instances, of these statuses or all, of snapshots that are in error on the active one."""
    where = instances.c.status.in_(statuses) if statuses else true()
    return _instances(tx, replica, _COUNTS & instances.c.snapshot_id.in_(_on_active(Status.ERROR)) & where)


def beyond(tx: Connection, replica: Replica) -> list[str]:
    """Name the snapshots on record that a replica holds and the active one has not."""
    return [one.snapshot_id for one in lost(tx, replica, Status.AVAILABLE)]


def behind(tx: Connection, replica: Replica) -> list[str]:
    """Name the snapshots that are available on the active replica and not, as far as is known, on this one."""
    held = {one.snapshot_id for one in on_replica(tx, replica, Status.AVAILABLE)}
    return [one.snapshot_id for one in wanted(tx, replica) if one.snapshot_id not in held]


def gone(tx: Connection, replica: Replica) -> list[SnapshotInstance]:
    """Answer the instances of snapshots that are gone from the share: the replica is still to drop them."""
    return _instances(tx, replica, snapshots.c.deleted_at.is_not(None))


def _on_active(*statuses: Status) -> Select[Any]:
    active = replicas.c.replica_state == ReplicaState.ACTIVE
    query = select(instances.c.snapshot_id).join(replicas, instances.c.replica_id == replicas.c.id)
    return query.where(active, instances.c.status.in_(statuses))


def status_of(tx: Connection, instance_id: str) -> Status:
    """Read the status of one instance, which exists."""
    return Status(tx.execute(select(instances.c.status).where(instances.c.id == instance_id)).scalar_one())


def _instances(tx: Connection, replica: Replica, where: ColumnElement[bool]) -> list[SnapshotInstance]:
    query = select(instances, snapshots.c.size, snapshots.c.created_at.label("taken_at")).join(snapshots)
    query = query.where(instances.c.replica_id == replica.id, where).order_by(snapshots.c.created_at)
    rows = tx.execute(query).all()
    owner = snapshot_access_rules.c.snapshot_id
    rules = grouped(tx, snapshot_access_rules, owner, [row.snapshot_id for row in rows])
    return [
        SnapshotInstance(
            id=row.id,
            snapshot_id=row.snapshot_id,
            replica=replica,
            size=row.size,
            created_at=row.taken_at,
            backend_id=row.backend_id,
            rules=in_force(rules.get(row.snapshot_id, ())),
        )
        for row in rows
    ]


def set_backend_id(tx: Connection, instance_id: str, backend_id: str) -> None:
    """Record the identity of an instance on its backend."""
    tx.execute(update(instances).where(instances.c.id == instance_id).values(backend_id=backend_id))


def set_size(tx: Connection, snapshot_id: str, size: int) -> None:
    """Record the share's size in a snapshot, once its backend has said it."""
    tx.execute(update(snapshots).where(snapshots.c.id == snapshot_id).values(size=size))


def set_locations(tx: Connection, instance_id: str, locations: Sequence[ExportLocation]) -> None:
    """Record where an instance is reached."""
    tx.execute(delete(snapshot_export_locations).where(snapshot_export_locations.c.instance_id == instance_id))
    for location in locations:
        tx.execute(insert(snapshot_export_locations).values(instance_id=instance_id, **location.model_dump()))


def remove(tx: Connection, snapshot_id: str) -> None:
    """Delete a snapshot's row and its instances."""
    tx.execute(delete(snapshots).where(snapshots.c.id == snapshot_id))


def retire(tx: Connection, instance: SnapshotInstance, at: datetime) -> None:
    """Take a snapshot off the share's record once the active replica has it no more; others still have to drop it."""
    tx.execute(update(snapshots).where(snapshots.c.id == instance.snapshot_id).values(deleted_at=at))
    drop(tx, instance)


def drop(tx: Connection, instance: SnapshotInstance) -> None:
    """Delete an instance's row, and that of a retired snapshot with its last one."""
    tx.execute(delete(instances).where(instances.c.id == instance.id))
    _sweep(tx, snapshots.c.id == instance.snapshot_id)


def sweep(tx: Connection, share_id: str) -> None:
    """Delete the rows of a share's retired snapshots that no replica has any more."""
    _sweep(tx, snapshots.c.share_id == share_id)


def _sweep(tx: Connection, which: ColumnElement[bool]) -> None:
    held = select(instances.c.id).where(instances.c.snapshot_id == snapshots.c.id).exists()
    tx.execute(delete(snapshots).where(which, snapshots.c.deleted_at.is_not(None), ~held))


def bring_back(tx: Connection, snapshot_id: str) -> None:
    """Put a retired snapshot on the share's record again: the replica that is active now cannot drop it."""
    tx.execute(update(snapshots).where(snapshots.c.id == snapshot_id).values(deleted_at=None))


def describe(tx: Connection, snapshot_id: str, **values: Any) -> None:
    """Set what people say of a snapshot: name, description, metadata."""
    tx.execute(update(snapshots).where(snapshots.c.id == snapshot_id).values(values))


def records(tx: Connection, rows: Sequence[Row[Any]]) -> list[Snapshot]:
    """Read rows of :data:`ACTIVE`, with their locations."""
    owner = snapshot_export_locations.c.instance_id
    locations = grouped(tx, snapshot_export_locations, owner, [row.instance_id for row in rows])
    return [_snapshot(row, locations.get(row.instance_id, ())) for row in rows]


def _snapshot(row: Row[Any], locations: Sequence[Row[Any]]) -> Snapshot:
    return Snapshot(
        id=row.id,
        share_id=row.share_id,
        project_id=row.project_id,
        user_id=row.user_id,
        name=row.name,
        description=row.description,
        size=row.size,
        metadata=row._mapping[snapshots.c.metadata],
        created_at=row.created_at,
        status=Status(row.status),
        instance_id=row.instance_id,
        export_locations=location_records(locations),
    )
