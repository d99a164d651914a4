"""``revertkit snapshot``: take, list, show and delete snapshots."""

from __future__ import annotations

from typing import Annotated

import typer

from revertkit.cli.options import (
    AllProjects,
    DescriptionOption,
    Force,
    NameOption,
    ShareArgument,
    SnapshotArgument,
    StatusArgument,
)
from revertkit.cli.output import Format, FormatOption, say, show_record, show_rows
from revertkit.cli.rows import snapshot_row, snapshot_rows
from revertkit.cli.session import session_of

app = typer.Typer(no_args_is_help=True, help="Take, list, show, delete and adopt snapshots of shares.")
COLUMNS = {
    "id": "ID",
    "name": "Name",
    "status": "Status",
    "latest": "Latest",
    "created_at": "Taken (UTC)",
    "share": "Share",
    "size": "GiB",
}


@app.command("create")
def create(
    ctx: typer.Context,
    share: ShareArgument,
    name: NameOption = None,
    description: DescriptionOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Take a snapshot of a share and print it."""
    session = session_of(ctx)
    with session.manager() as manager:
        me = session.context()
        made = manager.create_snapshot(me, share, name=name, description=description)
        show_record(snapshot_row(manager, me, made), output)


@app.command("list")
def list_(
    ctx: typer.Context,
    share: Annotated[str | None, typer.Option("--share", "-s", help="Only those of this share (id or name).")] = None,
    all_projects: AllProjects = False,
    output: FormatOption = Format.TABLE,
) -> None:
    """List snapshots, oldest first; the latest of a share is the one that it can be reverted to."""
    session = session_of(ctx)
    with session.manager(hint=True) as manager:
        me = session.context()
        rows = snapshot_rows(manager.snapshots(me, share, all_projects=all_projects))
        names = {share.id: share.name or share.id for share in manager.shares(me, all_projects=all_projects)}
        if output is Format.TABLE:
            rows = [{**row, "share": names.get(row["share_id"], row["share_id"])} for row in rows]
        show_rows(rows, COLUMNS, output, "there are no snapshots; `revertkit snapshot create` takes one")


@app.command("show")
def show(ctx: typer.Context, snapshot: SnapshotArgument, output: FormatOption = Format.TABLE) -> None:
    """Show all that is on record of a snapshot."""
    session = session_of(ctx)
    with session.manager(hint=True) as manager:
        me = session.context()
        show_record(snapshot_row(manager, me, manager.snapshot(me, snapshot)), output)


@app.command("delete")
def delete(ctx: typer.Context, snapshot: SnapshotArgument, force: Force = False) -> None:
    """Delete a snapshot. To go further back in time: delete the latest, then revert to the one before."""
    session = session_of(ctx)
    with session.manager() as manager:
        manager.delete_snapshot(session.context(), snapshot, force=force)
    say(f"snapshot {snapshot} is deleted")


@app.command("set-status")
def set_status(
    ctx: typer.Context, snapshot: SnapshotArgument, status: StatusArgument, output: FormatOption = Format.TABLE
) -> None:
    """Set a snapshot's status by hand, when you know better. It changes the record only, never the backend."""
    from revertkit.status import Status

    session = session_of(ctx)
    with session.manager() as manager:
        me = session.context()
        show_record(snapshot_row(manager, me, manager.set_snapshot_status(me, snapshot, Status(status))), output)
