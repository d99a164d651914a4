"""``revertkit share``: make, list, show, resize and delete shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from revertkit.cli.options import (
    NUMBERS,
    AllProjects,
    DescriptionOption,
    Force,
    MetadataOption,
    NameOption,
    ShareArgument,
    SizeArgument,
    StatusArgument,
    TypeOption,
    pairs,
)
from revertkit.cli.output import Format, FormatOption, say, show_record, show_rows
from revertkit.cli.rows import share_row, verdict_rows
from revertkit.cli.session import session_of

if TYPE_CHECKING:
    from revertkit.scheduler import Explanation

app = typer.Typer(
    no_args_is_help=True, help="Make, adopt, list, show, resize and delete shares; say who may mount them."
)
COLUMNS = {"id": "ID", "name": "Name", "status": "Status", "size": "GiB", "pool": "Pool"}
VERDICT_COLUMNS = {"pool": "Pool", "verdict": "Verdict", "weight": "Weight", "refusals": "Refused by"}


@app.command("create", context_settings=NUMBERS)
def create(
    ctx: typer.Context,
    size: SizeArgument,
    name: NameOption = None,
    description: DescriptionOption = None,
    share_type: TypeOption = None,
    snapshot: Annotated[
        str | None, typer.Option("--snapshot", help="Fill the share with this snapshot's content.")
    ] = None,
    pool: Annotated[
        str | None,
        typer.Option("--pool", help="Put it in this pool (host@backend#pool) or backend; default: where most room is."),
    ] = None,
    zone: Annotated[
        str | None, typer.Option("--availability-zone", help="Put it in this availability zone; default: in any.")
    ] = None,
    metadata: MetadataOption = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Make nothing; say of every pool whether the share can go there, and what refuses it."
        ),
    ] = False,
    output: FormatOption = Format.TABLE,
) -> None:
    """Make a share of SIZE GiB, empty or from a snapshot, and print it, with where it is reached.

    It goes to the pool with the most room among those that have what its type asks for. With --explain nothing is made:
    the pools are listed, the best first, and where no pool can take the share, the exit code is 6, as it would be.
    """
    session = session_of(ctx)
    with session.manager() as manager:
        if explain:
            wanted = {"share_type": share_type, "snapshot": snapshot, "pool": pool, "availability_zone": zone}
            _explain(manager.explain(session.context(), size, **wanted), output)
            return
        made = manager.create_share(
            session.context(),
            size,
            name=name,
            description=description,
            share_type=share_type,
            snapshot=snapshot,
            pool=pool,
            availability_zone=zone,
            metadata=pairs(metadata or []),
        )
    show_record(share_row(made), output)


@app.command("list")
def list_(ctx: typer.Context, all_projects: AllProjects = False, output: FormatOption = Format.TABLE) -> None:
    """List the project's shares, oldest first."""
    session = session_of(ctx)
    with session.manager(hint=True) as manager:
        rows = [share_row(share) for share in manager.shares(session.context(), all_projects=all_projects)]
        columns = {"project_id": "Project", **COLUMNS} if all_projects else COLUMNS
        show_rows(rows, columns, output, "there are no shares; `revertkit share create` makes one")


@app.command("show")
def show(ctx: typer.Context, share: ShareArgument, output: FormatOption = Format.TABLE) -> None:
    """Show all that is on record of a share."""
    session = session_of(ctx)
    with session.manager(hint=True) as manager:
        show_record(share_row(manager.share(session.context(), share)), output)


@app.command("delete")
def delete(ctx: typer.Context, share: ShareArgument, force: Force = False) -> None:
    """Delete a share and all of its data. One that has snapshots is refused: delete those first."""
    session = session_of(ctx)
    with session.manager() as manager:
        manager.delete_share(session.context(), share, force=force)
    say(f"share {share} is deleted")


@app.command("extend", context_settings=NUMBERS)
def extend(ctx: typer.Context, share: ShareArgument, size: SizeArgument, output: FormatOption = Format.TABLE) -> None:
    """Grow a share to SIZE GiB; the growth has to be within the quota."""
    session = session_of(ctx)
    with session.manager() as manager:
        show_record(share_row(manager.extend_share(session.context(), share, size)), output)


@app.command("shrink", context_settings=NUMBERS)
def shrink(ctx: typer.Context, share: ShareArgument, size: SizeArgument, output: FormatOption = Format.TABLE) -> None:
    """Shrink a share to SIZE GiB; refused where its data would not fit."""
    session = session_of(ctx)
    with session.manager() as manager:
        show_record(share_row(manager.shrink_share(session.context(), share, size)), output)


@app.command("set-status")
def set_status(
    ctx: typer.Context, share: ShareArgument, status: StatusArgument, output: FormatOption = Format.TABLE
) -> None:
    """Set a share's status by hand, when you know better. It changes the record only, never the backend.

    Refused while a living process works on the share, and in the middle of a revert: `revertkit recover` asks the
    backend and is nearly always what you want.
    """
    from revertkit.status import Status

    session = session_of(ctx)
    with session.manager() as manager:
        show_record(share_row(manager.set_share_status(session.context(), share, Status(status))), output)


def _explain(found: Explanation, output: Format) -> None:
    """Print every pool's verdict.

    Raises:
        NotSupported: the share would go nowhere.
    """
    from revertkit.errors import NotSupported

    show_rows(verdict_rows(found), VERDICT_COLUMNS, output, "no backend is configured")
    if not found.verdicts or found.verdicts[0].refusals:
        raise NotSupported("no pool can hold this share")
