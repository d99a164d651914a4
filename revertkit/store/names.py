"""Finding one row by what a person typed: its id, or its name if only one carries it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, select

from revertkit.errors import Ambiguous, NotFound


def resolve(tx: Connection, table: Table, noun: str, text: str, *scope: ColumnElement[Any]) -> str:
    """Answer the id of the row whose id, or else whose only name, is `text`, within `scope`.

    Raises:
        NotFound: there is none.
        Ambiguous: several carry the name; says their ids.
    """
    if tx.execute(select(table.c.id).where(table.c.id == text, *scope)).scalar():
        return text
    ids = list(tx.execute(select(table.c.id).where(table.c.name == text, *scope).limit(20)).scalars())
    if not ids:
        raise NotFound(f"there is no {noun} {text!r} here")
    if len(ids) > 1:
        raise Ambiguous(f"{len(ids)} {noun}s are called {text!r}; name one by its id: {', '.join(sorted(ids))}")
    return str(ids[0])
