"""The database's version: migrations, first use, newer databases."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
import support
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from revertkit.errors import StoreError
from revertkit.models import ExportLocation
from revertkit.store import Store, operations, schema, shares, snapshots
from revertkit.store.tables import metadata

MIGRATIONS = Path(schema.__file__).parent / "migrations"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An embedded database that is not there yet."""
    return Store.embedded(tmp_path)


def test_the_migrated_schema_is_the_tables(store: Store) -> None:
    """What migrations make is what tables.py says, types and indexes too; a second upgrade does nothing."""
    assert schema.upgrade(store) is None
    assert schema.upgrade(store) == schema.HEAD
    with store.read() as tx:
        context = MigrationContext.configure(tx, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        assert schema.current(tx) == schema.HEAD


def test_head_is_the_newest_migration() -> None:
    """The constant saves the import of Alembic at each start; there is one head, and versions sort."""
    scripts = ScriptDirectory(str(MIGRATIONS))
    assert scripts.get_heads() == [schema.HEAD]
    versions = [script.revision for script in scripts.walk_revisions()]
    assert versions == sorted(versions, reverse=True)


ROWS = {
    "share_types": "'t', 'gold', NULL, 1, '2026-01-01'",
    "shares": "'s', 'p', NULL, 'work', NULL, 2, 'NFS', 't', NULL, 1, 1, 1, 1, NULL, '{}', '2026-01-02', '2026-01-01'",
    "replicas": "'r', 's', 'node-1', 'fast', 'pool', 'uuid', NULL, 'available', 'active', '2026-01-01', NULL",
    "snapshots": "'k', 's', 'p', 'monday', NULL, 2, '{}', '2026-01-02'",
    "snapshot_instances": "'i', 'k', 'r', 'guid', 'available', '2026-01-02', NULL",
    "access_rules": "'a', 's', 'ip', '10.0.0.1', 'ro', 'active', '2026-01-01', NULL",
    "operations": "'o', 'revert_to_snapshot', 'p', 's', 'r', 'k', NULL, NULL, 'node-1', 'req', 0, NULL, NULL, "
    "'2026-01-03', NULL",
}
"""One row of each table of the first version that matters, in the order of its columns."""


def test_the_second_version_keeps_what_the_first_has(store: Store) -> None:
    """A database of version 0001 with an operation under way: every row is read as before, and can be gone on with."""
    before = _of_the_first_version(store)
    schema.ensure(store, embedded=True)
    with store.read() as tx:
        assert schema.current(tx) == schema.HEAD
        for table, row in before.items():
            found = dict(tx.execute(text(f"SELECT * FROM {table}")).one()._mapping)
            assert {name: found[name] for name in row} == row
        share = shares.get(tx, "s")
        instance = snapshots.instance(tx, "k", share)
        assert (instance.backend_id, instance.rules) == ("guid", ())
        assert [rule.access_to for rule in share.replica.rules] == ["10.0.0.1"]
        assert snapshots.get(tx, "k").export_locations == ()
        (operation,) = operations.unfinished(tx)
        assert (operation.existing, operation.status_before) == (None, None)
    with store.write() as tx:
        snapshots.set_locations(tx, "i", [ExportLocation(path="/x")])
        shares.remove(tx, "s")
        assert tx.execute(text("SELECT count(*) FROM snapshot_export_locations")).scalar() == 0


def _of_the_first_version(store: Store) -> dict[str, dict[str, Any]]:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with store.write() as tx:
        config.attributes["connection"] = tx
        command.upgrade(config, "0001")
        for table, values in ROWS.items():
            tx.execute(text(f"INSERT INTO {table} VALUES ({values})"))
        return {table: dict(tx.execute(text(f"SELECT * FROM {table}")).one()._mapping) for table in ROWS}


def test_a_newer_database_is_refused_and_left_alone(store: Store, tmp_path: Path) -> None:
    """A database of a newer version: a clear error, nothing changed, whether it is embedded or not."""
    schema.upgrade(store)
    with store.write() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    store.engine.dispose()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for embedded in (True, False):
        with pytest.raises(StoreError, match=r"at version 9999; this revertkit knows .* Nothing was changed"):
            schema.ensure(store, embedded=embedded)
    with pytest.raises(StoreError, match="newer revertkit"):
        schema.upgrade(store)
    store.engine.dispose()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_shared_database_is_upgraded_only_by_hand(store: Store) -> None:
    """Only the embedded one is brought up to date at first use: another has more than one user."""
    with pytest.raises(StoreError, match=r"at version None, not .*: run `revertkit db upgrade`"):
        schema.ensure(store, embedded=False)
    schema.upgrade(store)
    schema.ensure(store, embedded=False)


def test_a_migration_is_whole_or_not_at_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that dies half-way leaves a database that the next start can bring up to date."""
    from alembic import op

    tables = iter(range(4))
    original = op.create_table

    def create_table(*arguments: Any, **more: Any) -> Any:
        if next(tables, None) is None:
            raise support.Killed
        return original(*arguments, **more)

    with monkeypatch.context() as patched, pytest.raises(support.Killed):
        patched.setattr(op, "create_table", create_table)
        schema.upgrade(store)
    with store.read() as tx:
        assert tx.execute(text("SELECT count(*) FROM sqlite_master")).scalar() == 0
    schema.ensure(store, embedded=True)


@pytest.mark.parametrize("content", [b"this is no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_no_database(tmp_path: Path, content: bytes) -> None:
    """A clear error, and the file as it was."""
    (tmp_path / "revertkit.db").write_bytes(content)
    with pytest.raises(StoreError, match=r"revertkit\.db"):
        support.open_manager(tmp_path)
    assert (tmp_path / "revertkit.db").read_bytes() == content


@pytest.mark.parametrize("url", ["nonsense", "unknown://x", "sqlite:////proc/none/x.db"])
def test_a_database_that_cannot_be_reached(url: str) -> None:
    """A clear error for a URL that is none, a dialect that is not installed, a place that is not there."""
    with pytest.raises(StoreError):
        schema.ensure(Store(url), embedded=False)


def test_a_password_is_not_shown() -> None:
    """Errors carry the URL without it, also where it is wrong or its dialect is not installed."""
    for url in ("sqlite://user:secret@/x.db", "postgresql+none://user:secret@host/db", "://user:secret@host"):
        with pytest.raises(StoreError) as refused:
            Store(url)
        assert "secret" not in str(refused.value)


def test_a_new_database_that_another_process_is_writing_is_waited_for(tmp_path: Path) -> None:
    """The turn to WAL is refused at once by SQLite while another writes; it is asked for again."""
    with sqlite3.connect(tmp_path / "revertkit.db", isolation_level=None, check_same_thread=False) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("CREATE TABLE written (x)")
        release = threading.Timer(0.5, other.execute, ["COMMIT"])
        release.start()
        with Store.embedded(tmp_path).read() as tx:
            assert tx.execute(text("SELECT count(*) FROM written")).scalar() == 0
            assert tx.execute(text("PRAGMA journal_mode")).scalar() == "wal"
    release.join()


def first_use(state: Path, gate: support.Gate) -> None:
    """Open a manager on a state directory where there is nothing, all at the same moment."""
    gate.stand()
    manager = support.open_manager(state)
    assert manager.types() == []


def test_the_first_use_by_several_processes_at_once(tmp_path: Path) -> None:
    """Each finds a whole database, one makes it."""
    gate = support.Gate(tmp_path)
    state = tmp_path / "state"
    children = [support.processes.Process(target=first_use, args=(state, gate), daemon=True) for _ in range(6)]
    for process in children:
        process.start()
    gate.wait()
    gate.let_go()
    assert [support.ended(process) for process in children] == [0] * 6
    with sqlite3.connect(state / "revertkit.db") as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [(schema.HEAD,)]
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    shutil.rmtree(state)
