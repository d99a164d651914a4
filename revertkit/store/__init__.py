"""What is on record: SQLAlchemy Core, SQLite by default. Query modules by subject take a connection first.

:func:`move` is the one compare-and-set of a status; nothing else writes a ``status`` column of a row that exists.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, Table, create_engine, event, make_url, select, update
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError

from revertkit import telemetry
from revertkit.errors import Conflict, InvalidInput, NotFound, StoreError

BUSY_SECONDS = 30
"""How long a SQLite write waits for another's; the transactions themselves take milliseconds."""


CONNECTIONS = 48
"""How many of SQLite's are kept: more than a server has threads, since opening one costs as much as a request."""

WAL_AGAIN_SECONDS = 0.01
"""How soon a new database that another process is just turning to WAL is looked at again."""


class Store:
    """One database."""

    def __init__(self, url: str) -> None:
        """Prepare the database at `url`, a SQLAlchemy URL. Nothing is opened yet."""
        try:
            parsed = make_url(url)
        except SQLAlchemyError:
            raise StoreError("the setting `database` is no SQLAlchemy URL") from None
        self.shown = parsed.render_as_string()
        """The URL without its password."""
        try:
            embedded = parsed.get_backend_name() == "sqlite"
            self.engine = create_engine(parsed, **({"pool_size": CONNECTIONS} if embedded else {}))
        except (SQLAlchemyError, ImportError) as failure:
            raise StoreError(f"database {self.shown} cannot be used: {failure}") from failure
        self._writing = threading.Lock() if embedded else None
        if embedded:
            event.listen(self.engine, "connect", _sqlite_settings)
            event.listen(self.engine, "begin", _sqlite_begin)

    @classmethod
    def embedded(cls, state_dir: Path) -> Store:
        """Prepare the embedded database of a state directory."""
        return cls(f"sqlite:///{state_dir / 'revertkit.db'}")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that only reads, on one consistent state."""
        with _told(self.shown), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that writes, begun for writing. Committed at the end, rolled back when anything raises."""
        with _told(self.shown), self._turn(), self.engine.connect() as connection:
            connection.execution_options(revertkit_write=True)
            asked = time.monotonic()
            with connection.begin():
                telemetry.tell(telemetry.WriteBegun(time.monotonic() - asked))
                yield connection

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Let the threads of this process write one after the other where the database would: SQLite's own waiting
        looks only every so often, and whoever came last may get in first."""
        if self._writing is None:
            yield
            return
        if not self._writing.acquire(timeout=BUSY_SECONDS):
            raise StoreError(f"database {self.shown}: another thread of this process has held it for {BUSY_SECONDS} s")
        try:
            yield
        finally:
            self._writing.release()


def move(tx: Connection, table: Table, row_id: str, before: Collection[str], to: str, at: datetime) -> None:
    """Change the status of one row from one of `before` to `to`, or not at all.

    Raises:
        Conflict: the row is in another status, which is named. Nothing has changed.
        NotFound: there is no such row.
    """
    _swap(tx, table.c.status, row_id, before, to, at)


def move_state(tx: Connection, table: Table, row_id: str, before: Collection[str], to: str, at: datetime) -> None:
    """Change how one replica stands to its active one; as :func:`move`."""
    _swap(tx, table.c.replica_state, row_id, before, to, at)


def _swap(tx: Connection, column: Column[str], row_id: str, before: Collection[str], to: str, at: datetime) -> None:
    table = column.table
    changed = tx.execute(
        update(table).where(table.c.id == row_id, column.in_(before)).values({column: to, table.c.updated_at: at})
    )
    if changed.rowcount == 1:
        return
    found = tx.execute(select(column).where(table.c.id == row_id)).scalar()
    if found is None:
        raise NotFound(f"{table.name} has no {row_id}")
    raise Conflict(f"{row_id} is {found}, and would have to be {' or '.join(sorted(before))}")


@contextmanager
def _told(where: str) -> Iterator[None]:
    try:
        yield
    except OperationalError as failure:
        raise StoreError(f"database {where}: {failure.orig}{_mend(str(failure.orig))}") from failure
    except DatabaseError as failure:
        raise StoreError(f"database {where}: {failure.orig or failure}") from failure
    except UnicodeEncodeError as failure:
        raise InvalidInput(f"{failure.object!r} is no Unicode text; it can be neither kept nor found") from None


def _mend(message: str) -> str:
    mends = {
        "readonly": "; is its directory writable for you?",
        "unable to open": "; is there a directory that you may write to?",
        "disk is full": "; nothing was changed: make room and try again",
        "disk I/O": "; nothing was changed: is the disk full or failing?",
        "locked": f"; another process has held it for {BUSY_SECONDS} s",
        "no such table": "; run `revertkit db upgrade`",
    }
    return next((mend for sign, mend in mends.items() if sign in message), "")


def _sqlite_settings(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    _to_wal(connection)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _to_wal(connection: Any) -> None:
    """Turn a new database to WAL. SQLite does not wait here by itself, so that two at once cannot deadlock."""
    until = time.monotonic() + BUSY_SECONDS
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as failure:
            if failure.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(WAL_AGAIN_SECONDS)


def _sqlite_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("revertkit_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
