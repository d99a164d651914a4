"""One page of a long list: which rows, in what order, from where. The database does the work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, ColumnElement, Connection, Select, and_, func, or_, select

from revertkit.errors import InvalidInput


@dataclass(frozen=True)
class Page:
    """A part of a list. `marker` is the id of the last row before it; `limit` of None is all."""

    limit: int | None = None
    offset: int = 0
    marker: str | None = None
    sort_key: str = "created_at"
    descending: bool = True


Sorting = Mapping[str, ColumnElement[Any]]
"""What a list can be sorted by, each never NULL, so that every row has its place."""


def cut(tx: Connection, query: Select[Any], page: Page, sorting: Sorting, row_id: ColumnElement[str]) -> Select[Any]:
    """Cut `page` out of `query`; rows that sort alike are in the order of their ids.

    Raises:
        InvalidInput: no such sort key, or the marker is none of the rows.
    """
    if page.sort_key not in sorting:
        raise InvalidInput(f"a list is sorted by {', '.join(sorted(sorting))}, not by {page.sort_key!r}")
    key = sorting[page.sort_key]
    if page.marker is not None:
        last = tx.execute(query.with_only_columns(key.label("key")).where(row_id == page.marker)).first()
        if last is None:
            raise InvalidInput(f"marker {page.marker!r} is not in this list")
        after = key < last.key if page.descending else key > last.key
        later = row_id < page.marker if page.descending else row_id > page.marker
        query = query.where(or_(after, and_(key == last.key, later)))
    order = (key.desc(), row_id.desc()) if page.descending else (key.asc(), row_id.asc())
    query = query.order_by(*order).offset(page.offset or None)
    return query.limit(page.limit) if page.limit is not None else query


def counted(tx: Connection, query: Select[Any]) -> int:
    """Count all the rows that `query` would answer."""
    return tx.execute(select(func.count()).select_from(query.order_by(None).subquery())).scalar_one()


def holds(column: ColumnElement[Any], wanted: Mapping[str, str]) -> list[ColumnElement[bool]]:
    """Ask that a JSON object holds all of these keys with these values.

    Raises:
        InvalidInput: a key that cannot be asked for.
    """
    if bad := next((key for key in wanted if '"' in key or "\\" in key), None):
        raise InvalidInput(f"a list cannot be filtered by the metadata key {bad!r}")
    assert isinstance(column.type, JSON)
    return [column[key].as_string() == value for key, value in wanted.items()]


def contains(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Ask that a text holds `text`, whatever is in it."""
    return column.contains(text, autoescape=True)
