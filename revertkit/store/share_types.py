"""Share types and their extra specs."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from revertkit.errors import Conflict, NotFound
from revertkit.models import ShareType
from revertkit.store.names import resolve
from revertkit.store.tables import extra_specs, share_type_projects, share_types


def add(tx: Connection, share_type: ShareType) -> None:
    """Insert a type with its extra specs.

    Raises:
        Conflict: there is one of this name already.
    """
    try:
        tx.execute(insert(share_types).values(share_type.model_dump(exclude={"extra_specs"})))
    except IntegrityError:
        raise Conflict(f"there is a share type {share_type.name!r} already") from None
    set_specs(tx, share_type.id, share_type.extra_specs)


def find(tx: Connection, text: str) -> ShareType:
    """Find a type by id or name."""
    type_id = resolve(tx, share_types, "share type", text)
    return _type(tx, tx.execute(select(share_types).where(share_types.c.id == type_id)).one())


def get(tx: Connection, type_id: str) -> ShareType:
    """Read the type that a share has."""
    return _type(tx, tx.execute(select(share_types).where(share_types.c.id == type_id)).one())


def listed(tx: Connection) -> list[ShareType]:
    """List all types by name."""
    specs: dict[str, dict[str, str]] = {}
    for spec in tx.execute(select(extra_specs)):
        specs.setdefault(spec.share_type_id, {})[spec.key] = spec.value
    rows = tx.execute(select(share_types).order_by(share_types.c.name)).all()
    return [ShareType(**row._mapping, extra_specs=specs.get(row.id, {})) for row in rows]


def names(tx: Connection) -> dict[str, str]:
    """Answer the name of every type, by id."""
    return {row.id: row.name for row in tx.execute(select(share_types.c.id, share_types.c.name))}


def describe(tx: Connection, type_id: str, **values: Any) -> None:
    """Set a type's name, description, or whether it is public.

    Raises:
        Conflict: there is one of this name already.
    """
    try:
        tx.execute(update(share_types).where(share_types.c.id == type_id).values(values))
    except IntegrityError:
        raise Conflict(f"there is a share type {values['name']!r} already") from None


def projects(tx: Connection, type_id: str) -> list[str]:
    """List the projects that may use a type that is not public."""
    mine = share_type_projects.c.share_type_id == type_id
    query = select(share_type_projects.c.project_id).where(mine).order_by(share_type_projects.c.project_id)
    return list(tx.execute(query).scalars())


def granted(tx: Connection, project_id: str) -> set[str]:
    """Name the types that are open to a project though they are not public."""
    mine = share_type_projects.c.project_id == project_id
    return set(tx.execute(select(share_type_projects.c.share_type_id).where(mine)).scalars())


def grant(tx: Connection, type_id: str, project_id: str) -> None:
    """Open a type to a project.

    Raises:
        Conflict: it is open to it already.
    """
    try:
        tx.execute(insert(share_type_projects).values(share_type_id=type_id, project_id=project_id))
    except IntegrityError:
        raise Conflict(f"share type {type_id} is open to project {project_id} already") from None


def revoke(tx: Connection, type_id: str, project_id: str) -> None:
    """Close a type to a project.

    Raises:
        NotFound: it was not open to it.
    """
    mine = (share_type_projects.c.share_type_id == type_id) & (share_type_projects.c.project_id == project_id)
    if tx.execute(delete(share_type_projects).where(mine)).rowcount == 0:
        raise NotFound(f"share type {type_id} is not open to project {project_id}")


def set_specs(tx: Connection, type_id: str, specs: dict[str, str]) -> None:
    """Set extra specs; others of the type stay."""
    unset_specs(tx, type_id, list(specs))
    for key, value in specs.items():
        tx.execute(insert(extra_specs).values(share_type_id=type_id, key=key, value=value))


def unset_specs(tx: Connection, type_id: str, keys: list[str]) -> None:
    """Remove extra specs; one that is not there is no fault."""
    tx.execute(delete(extra_specs).where(extra_specs.c.share_type_id == type_id, extra_specs.c.key.in_(keys)))


def remove(tx: Connection, type_id: str) -> None:
    """Delete a type.

    Raises:
        Conflict: shares of it exist.
    """
    try:
        tx.execute(delete(share_types).where(share_types.c.id == type_id))
    except IntegrityError:
        raise Conflict("this share type is still in use by shares; delete those first") from None


def _type(tx: Connection, row: Row[Any]) -> ShareType:
    specs = tx.execute(select(extra_specs.c.key, extra_specs.c.value).where(extra_specs.c.share_type_id == row.id))
    return ShareType(**row._mapping, extra_specs={spec.key: spec.value for spec in specs})
