"""User messages."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from revertkit.errors import NotFound
from revertkit.models import Message
from revertkit.store.tables import messages


def add(tx: Connection, message: Message) -> None:
    """Insert a message."""
    tx.execute(insert(messages).values(message.model_dump()))


def listed(tx: Connection, project_id: str | None, now: datetime) -> list[Message]:
    """List the messages that have not expired, newest first."""
    query = select(messages).where(messages.c.expires_at > now)
    query = query.where(messages.c.project_id == project_id) if project_id is not None else query
    rows = tx.execute(query.order_by(messages.c.created_at.desc(), messages.c.id))
    return [Message(**row._mapping) for row in rows]


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
