"""Backends that an administrator has disabled: what is there stays, nothing new is placed on them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from revertkit.store.tables import disabled_backends


def disabled(tx: Connection, host: str) -> dict[str, str]:
    """Say which backends of a host are disabled, and why."""
    rows = tx.execute(select(disabled_backends).where(disabled_backends.c.host == host))
    return {row.backend: row.reason or "" for row in rows}


def disable(tx: Connection, host: str, backend: str, reason: str | None, at: datetime) -> None:
    """Disable a backend, or give another reason."""
    enable(tx, host, backend)
    tx.execute(insert(disabled_backends).values(host=host, backend=backend, reason=reason, disabled_at=at))


def enable(tx: Connection, host: str, backend: str) -> None:
    """Let shares be placed on a backend again."""
    mine = (disabled_backends.c.host == host) & (disabled_backends.c.backend == backend)
    tx.execute(delete(disabled_backends).where(mine))
