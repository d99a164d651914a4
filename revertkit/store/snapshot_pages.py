"""Pages of snapshots."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func

from revertkit.errors import InvalidInput
from revertkit.models import Snapshot
from revertkit.store import snapshots as stored
from revertkit.store.pages import Page, contains, counted, cut, holds
from revertkit.store.tables import instances, snapshots

SORTING: dict[str, ColumnElement[Any]] = {
    "created_at": snapshots.c.created_at,
    "id": snapshots.c.id,
    "name": func.coalesce(snapshots.c.name, ""),
    "size": snapshots.c.size,
    "status": instances.c.status,
    "project_id": snapshots.c.project_id,
    "user_id": func.coalesce(snapshots.c.user_id, ""),
    "share_id": snapshots.c.share_id,
}
FILTERS: dict[str, Callable[[Any], ColumnElement[bool]]] = {
    "name": lambda value: snapshots.c.name == value,
    "name~": lambda value: contains(snapshots.c.name, value),
    "description": lambda value: snapshots.c.description == value,
    "description~": lambda value: contains(snapshots.c.description, value),
    "status": lambda value: instances.c.status == value,
    "size": lambda value: snapshots.c.size == value,
    "share_id": lambda value: snapshots.c.share_id == value,
    "project_id": lambda value: snapshots.c.project_id == value,
    "metadata": lambda value: and_(True, *holds(snapshots.c.metadata, value)),
}


def page(
    tx: Connection, project_id: str | None, wanted: Mapping[str, Any], cutting: Page, *, count: bool = False
) -> tuple[list[Snapshot], int | None]:
    """Read one page of snapshots; as :func:`revertkit.store.share_pages.page`."""
    if unknown := set(wanted) - set(FILTERS):
        raise InvalidInput(f"snapshots cannot be filtered by {', '.join(sorted(unknown))}")
    query = stored.ACTIVE.where(*(FILTERS[key](value) for key, value in wanted.items()))
    if project_id is not None:
        query = query.where(snapshots.c.project_id == project_id)
    number = counted(tx, query) if count else None
    rows = tx.execute(cut(tx, query, cutting, SORTING, snapshots.c.id)).all()
    return stored.records(tx, rows), number
