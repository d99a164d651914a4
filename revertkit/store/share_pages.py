"""Pages of shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, select

from revertkit.errors import InvalidInput
from revertkit.models import Share
from revertkit.settings import DEFAULT_ZONE
from revertkit.store import shares as stored
from revertkit.store.pages import Page, contains, counted, cut, holds
from revertkit.store.tables import export_locations, extra_specs, replicas, share_types, shares

_host = replicas.c.host + "@" + replicas.c.backend + "#" + replicas.c.pool
_type_name = select(share_types.c.name).where(share_types.c.id == shares.c.share_type_id).scalar_subquery()
SORTING: dict[str, ColumnElement[Any]] = {
    "created_at": shares.c.created_at,
    "updated_at": func.coalesce(replicas.c.updated_at, shares.c.created_at, type_=shares.c.created_at.type),
    "id": shares.c.id,
    "name": func.coalesce(shares.c.name, ""),
    "size": shares.c.size,
    "status": replicas.c.status,
    "protocol": shares.c.protocol,
    "host": _host,
    "project_id": shares.c.project_id,
    "user_id": func.coalesce(shares.c.user_id, ""),
    "share_type_id": shares.c.share_type_id,
    "share_type": _type_name,
    "snapshot_id": func.coalesce(shares.c.snapshot_id, ""),
}


def _has_specs(wanted: Mapping[str, str]) -> list[ColumnElement[bool]]:
    return [
        select(extra_specs.c.key)
        .where(
            extra_specs.c.share_type_id == shares.c.share_type_id,
            extra_specs.c.key == key,
            func.lower(extra_specs.c.value) == value.lower(),
        )
        .exists()
        for key, value in wanted.items()
    ]


def _reached_at(path: str) -> ColumnElement[bool]:
    of_replica = export_locations.c.replica_id == replicas.c.id
    return select(export_locations.c.path).where(of_replica, export_locations.c.path == path).exists()


FILTERS: dict[str, Callable[[Any], ColumnElement[bool]]] = {
    "name": lambda value: shares.c.name == value,
    "name~": lambda value: contains(shares.c.name, value),
    "description": lambda value: shares.c.description == value,
    "description~": lambda value: contains(shares.c.description, value),
    "status": lambda value: replicas.c.status == value,
    "size": lambda value: shares.c.size == value,
    "project_id": lambda value: shares.c.project_id == value,
    "share_type_id": lambda value: shares.c.share_type_id == value,
    "snapshot_id": lambda value: shares.c.snapshot_id == value,
    "availability_zone": lambda value: func.coalesce(replicas.c.availability_zone, DEFAULT_ZONE) == value,
    "host": lambda value: _host == value,
    "metadata": lambda value: and_(True, *holds(shares.c.metadata, value)),
    "extra_specs": lambda value: and_(True, *_has_specs(value)),
    "export_location_path": _reached_at,
    "replica_ids": lambda value: replicas.c.id.in_(value),
}


def page(
    tx: Connection, project_id: str | None, wanted: Mapping[str, Any], cutting: Page, *, count: bool = False
) -> tuple[list[Share], int | None]:
    """Read one page of the shares of a project (None: of all) that match all of `wanted`; count all of them if asked.

    Raises:
        InvalidInput: a filter, sort key or marker that there is not.
    """
    if unknown := set(wanted) - set(FILTERS):
        raise InvalidInput(f"shares cannot be filtered by {', '.join(sorted(unknown))}")
    query = stored.ACTIVE.where(*(FILTERS[key](value) for key, value in wanted.items()))
    if project_id is not None:
        query = query.where(shares.c.project_id == project_id)
    number = counted(tx, query) if count else None
    rows = tx.execute(cut(tx, query, cutting, SORTING, shares.c.id)).all()
    return stored.records(tx, rows), number
