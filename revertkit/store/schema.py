"""The database's version: Alembic's, in ``migrations/``.

The embedded database is made and brought up to date at first use; any other by ``revertkit db upgrade`` only, because
it has more than one user. Alembic is imported only when there is something to do.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from revertkit.errors import StoreError
from revertkit.store import Store

HEAD = "0004"
"""The version that this revertkit reads and writes; a test holds it against ``migrations/``."""


def current(tx: Connection) -> str | None:
    """Say the database's version; None for one without tables."""
    if not inspect(tx).has_table("alembic_version"):
        return None
    found: str | None = tx.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def upgrade(store: Store) -> str | None:
    """Bring the database up to date in one transaction; answer the version it had.

    Raises:
        StoreError: it was made by a newer revertkit; nothing has changed.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    with store.write() as tx:
        before = current(tx)
        if before is not None and before not in known:
            raise _newer(store, before)
        config.attributes["connection"] = tx
        command.upgrade(config, "head")
    return before


def ensure(store: Store, *, embedded: bool) -> None:
    """See to it that the database can be used.

    Raises:
        StoreError: it is not up to date and not ours alone, or of a newer version; says the mend.
    """
    with store.read() as tx:
        before = current(tx)
    if before == HEAD:
        return
    if embedded:
        upgrade(store)
    elif before is None or before < HEAD:
        raise StoreError(f"database {store.shown} is at version {before}, not {HEAD}: run `revertkit db upgrade`")
    else:
        raise _newer(store, before)


def _newer(store: Store, version: str) -> StoreError:
    return StoreError(
        f"database {store.shown} is at version {version}; this revertkit knows {HEAD}: "
        "it was made by a newer revertkit, use that one. Nothing was changed"
    )
