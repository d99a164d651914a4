"""``revertkit db``: the database's version."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from revertkit.cli.output import Format, FormatOption, say, show_record
from revertkit.cli.session import session_of

if TYPE_CHECKING:
    from revertkit.settings import Settings
    from revertkit.store import Store

app = typer.Typer(no_args_is_help=True, help="Bring the database up to date, or say its version.")


@app.command("upgrade")
def upgrade(ctx: typer.Context) -> None:
    """Bring the database up to date; nothing happens to one that is. The embedded one is upgraded at its first use."""
    from revertkit.store import schema

    store = open_store(session_of(ctx).settings)
    before = schema.upgrade(store)
    done = "is up to date" if before == schema.HEAD else f"is upgraded from {before or 'nothing'}"
    say(f"database {store.shown} {done}, at version {schema.HEAD}")


@app.command("version")
def version(ctx: typer.Context, output: FormatOption = Format.TABLE) -> None:
    """Show the version that the database has, and the one that this revertkit needs."""
    from revertkit.store import schema

    store = open_store(session_of(ctx).settings)
    with store.read() as tx:
        found = schema.current(tx)
    show_record({"database": store.shown, "version": found, "needed": schema.HEAD}, output)


def open_store(settings: Settings) -> Store:
    """Open the database of the settings, whatever its version.

    Raises:
        SettingsError, StoreError: it cannot be.
    """
    from revertkit import state_dir
    from revertkit.store import Store

    if settings.database != "sqlite":
        return Store(settings.database)
    state_dir.prepare(settings.state_dir)
    return Store.embedded(settings.state_dir)
