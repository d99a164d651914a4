"""The store's own promises: durable, one compare-and-set of a status, text that can be kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, insert, select, text

from revertkit.errors import Conflict, InvalidInput, NotFound, StoreError
from revertkit.models import new_id
from revertkit.operations.site import utc_now
from revertkit.status import Status
from revertkit.store import Store, move, operations, snapshots
from revertkit.store.tables import replicas, share_types, shares


@pytest.fixture
def store(state: Path) -> Iterator[Store]:
    """An embedded database."""
    store = Store.embedded(state)
    yield store
    store.engine.dispose()


@pytest.fixture
def replica(store: Store) -> str:
    """A replica that is available."""
    share_id, replica_id = new_id(), new_id()
    with store.write() as tx:
        type_id = tx.execute(select(share_types.c.id)).scalars().first()
        tx.execute(
            insert(shares).values(
                id=share_id,
                project_id="p",
                size=1,
                protocol="NFS",
                share_type_id=type_id,
                metadata={},
                snapshot_support=True,
                create_share_from_snapshot_support=True,
                revert_to_snapshot_support=True,
                mount_snapshot_support=True,
                created_at=utc_now(),
            )
        )
        tx.execute(
            insert(replicas).values(
                id=replica_id,
                share_id=share_id,
                host="h",
                backend="b",
                pool="p",
                status=Status.AVAILABLE,
                replica_state="active",
                created_at=utc_now(),
            )
        )
    return replica_id


def status(store: Store, replica_id: str) -> str:
    """Read it."""
    with store.read() as tx:
        return str(tx.execute(select(replicas.c.status).where(replicas.c.id == replica_id)).scalar())


def test_sqlite_is_set_for_a_power_cut(store: Store) -> None:
    """WAL, ``synchronous=FULL``, foreign keys, a busy time-out; on every connection."""
    with store.read() as one, store.read() as other:
        for tx in (one, other):
            found = [tx.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")]
            assert found == ["wal", 2]
            assert tx.execute(text("PRAGMA foreign_keys")).scalar() == 1
            assert (tx.execute(text("PRAGMA busy_timeout")).scalar() or 0) >= 5000


def test_a_status_moves_only_from_where_it_may(store: Store, replica: str) -> None:
    """One compare-and-set: the second of two that saw the same status gets the conflict, which names what is there."""
    with store.write() as tx:
        move(tx, replicas, replica, {Status.AVAILABLE}, Status.REVERTING, utc_now())
    with pytest.raises(Conflict, match="is reverting, and would have to be available"), store.write() as tx:
        move(tx, replicas, replica, {Status.AVAILABLE}, Status.SNAPSHOTTING, utc_now())
    assert status(store, replica) == Status.REVERTING
    with pytest.raises(NotFound), store.write() as tx:
        move(tx, replicas, "none", {Status.AVAILABLE}, Status.REVERTING, utc_now())


@pytest.mark.parametrize("death", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_transaction_is_whole_or_not_at_all(store: Store, replica: str, death: type[BaseException]) -> None:
    """Whatever raises in it, nothing of it stays, and the next one is not kept waiting."""
    with pytest.raises(death), store.write() as tx:
        move(tx, replicas, replica, {Status.AVAILABLE}, Status.REVERTING, utc_now())
        raise death
    assert status(store, replica) == Status.AVAILABLE
    with store.write() as tx:
        move(tx, replicas, replica, {Status.AVAILABLE}, Status.REVERTING, utc_now())


def test_a_writer_is_begun_for_writing_and_a_reader_sees_one_state(store: Store, replica: str) -> None:
    """A reader is not held up by a writer, and does not see half of it."""
    with store.read() as reader:
        assert reader.execute(select(replicas.c.status)).scalar() == Status.AVAILABLE
        with store.write() as tx:
            move(tx, replicas, replica, {Status.AVAILABLE}, Status.REVERTING, utc_now())
        assert reader.execute(select(replicas.c.status)).scalar() == Status.AVAILABLE
    assert status(store, replica) == Status.REVERTING


def test_a_failing_database_is_a_store_error_with_a_mend(store: Store) -> None:
    """Without tables: the answer says what to run."""
    with pytest.raises(StoreError, match=r"no such table.*run `revertkit db upgrade`"), store.write() as tx:
        tx.execute(text("SELECT * FROM missing"))


def test_text_that_is_no_unicode_is_bad_input(store: Store) -> None:
    """What a terminal made of bytes that are no UTF-8 is refused, not a traceback."""
    with pytest.raises(InvalidInput, match="Unicode"), store.read() as tx:
        tx.execute(select(shares.c.id).where(shares.c.name == "\udcff"))


@pytest.mark.parametrize(
    "question",
    [
        lambda tx: operations.unfinished(tx, share_id="x"),
        lambda tx: operations.unfinished(tx, host="x"),
        lambda tx: operations.unfinished(tx, snapshot_id="x"),
        lambda tx: snapshots.latest(tx, "x"),
        lambda tx: operations.last_revert(tx, "x"),
    ],
    ids=["of a share", "of a host", "of a snapshot", "latest snapshot", "last revert"],
)
def test_what_every_accept_asks_rides_an_index(store: Store, question: Callable[[Connection], object]) -> None:
    """The accept takes as long with a hundred thousand snapshots and finished operations on record as with one."""
    asked: list[tuple[str, object]] = []

    def ask(connection: object, cursor: object, statement: str, parameters: object, *_: object) -> None:
        asked.append((statement, parameters))

    event.listen(store.engine, "before_cursor_execute", ask)
    with store.read() as tx, suppress(NotFound):
        question(tx)
    event.remove(store.engine, "before_cursor_execute", ask)
    assert asked
    with store.read() as tx:
        for statement, parameters in asked:
            plan = [row[3] for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]  # type: ignore[arg-type]
            assert all("SCAN" not in line for line in plan), plan
            if "finished_at IS NULL" in statement:
                assert "ix_operations_unfinished" in plan[0], plan
