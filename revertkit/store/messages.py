"""User messages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from revertkit.errors import NotFound
from revertkit.models import Message, MessageDetail, MessageLevel
from revertkit.store.tables import messages


def add(tx: Connection, message: Message) -> None:
    """Insert a message."""
    tx.execute(insert(messages).values(message.model_dump()))


def listed(tx: Connection, project_id: str | None, now: datetime) -> list[Message]:
    """List the messages that have not expired, newest first."""
    query = select(messages).where(messages.c.expires_at > now)
    query = query.where(messages.c.project_id == project_id) if project_id is not None else query
    rows = tx.execute(query.order_by(messages.c.created_at.desc(), messages.c.id))
    return [_message(row) for row in rows]


def get(tx: Connection, message_id: str, project_id: str | None, now: datetime) -> Message:
    """Read a message that has not expired.

    Raises:
        NotFound: there is none, or it is another project's.
    """
    query = select(messages).where(messages.c.id == message_id, messages.c.expires_at > now)
    query = query.where(messages.c.project_id == project_id) if project_id is not None else query
    row = tx.execute(query).first()
    if row is None:
        raise NotFound(f"there is no message {message_id!r} here")
    return _message(row)


def remove(tx: Connection, message_id: str, project_id: str | None) -> None:
    """Delete a message.

    Raises:
        NotFound: there is none, or it is another project's.
    """
    query = delete(messages).where(messages.c.id == message_id)
    query = query.where(messages.c.project_id == project_id) if project_id is not None else query
    if tx.execute(query).rowcount == 0:
        raise NotFound(f"there is no message {message_id!r} here")


def sweep(tx: Connection, now: datetime) -> None:
    """Delete what has expired."""
    tx.execute(delete(messages).where(messages.c.expires_at <= now))


def _message(row: Row[Any]) -> Message:
    told = dict(row._mapping)
    if told["detail"] is None:  # of a message that is older than its column
        good = told["level"] == MessageLevel.INFO
        told["detail"] = MessageDetail.DONE if good else MessageDetail.FAILED
    return Message(**told)
