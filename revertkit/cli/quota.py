"""``revertkit quota``: how much a project may have."""

from __future__ import annotations

from typing import Annotated

import typer

from revertkit.cli.options import NUMBERS
from revertkit.cli.output import Format, FormatOption, say, show_rows
from revertkit.cli.session import session_of

app = typer.Typer(no_args_is_help=True, help="Show and set how much a project may have, in numbers and in GiB.")
ProjectOption = Annotated[str | None, typer.Option("--project", "-p", help="The project; default: your own.")]
DefaultOption = Annotated[bool, typer.Option("--default", help="The defaults of all projects.")]


@app.command("show")
def show(ctx: typer.Context, project: ProjectOption = None, output: FormatOption = Format.TABLE) -> None:
    """Show each limit of a project, what is in use, and what operations under way have reserved."""
    session = session_of(ctx)
    with session.manager() as manager:
        uses = manager.quotas(session.context(project).project_id)
    rows = [{"resource": name, **use.model_dump()} for name, use in uses.items()]
    if output is Format.TABLE:
        rows = [row | {"limit": "unlimited"} if row["limit"] == -1 else row for row in rows]
    columns = {"resource": "Resource", "limit": "Limit", "in_use": "In use", "reserved": "Reserved"}
    show_rows(rows, columns, output, "")


@app.command("set", context_settings=NUMBERS)
def set_(
    ctx: typer.Context,
    resource: Annotated[
        str, typer.Argument(metavar="RESOURCE", help="shares, gigabytes, snapshots, …: see `revertkit quota show`.")
    ],
    limit: Annotated[str, typer.Argument(metavar="LIMIT", help="A number from 0, or unlimited (-1).")],
    project: ProjectOption = None,
    default: DefaultOption = False,
) -> None:
    """Set one limit, of a project or (--default) of all that have none of their own.

    What is there already stays, also where it is over the new limit.
    """
    from revertkit.errors import InvalidInput

    if default and project is not None:
        raise InvalidInput("--default and --project exclude each other")
    session = session_of(ctx)
    with session.manager() as manager:
        whose = None if default else session.context(project).project_id
        manager.set_quota(whose, resource, number := _number(limit))
    shown = "unlimited" if number == -1 else number
    say(f"{resource} of {'every project by default' if whose is None else f'project {whose}'}: {shown}")


@app.command("reset")
def reset(ctx: typer.Context, project: ProjectOption = None) -> None:
    """Put all limits of a project back to the defaults."""
    session = session_of(ctx)
    with session.manager() as manager:
        whose = session.context(project).project_id
        manager.reset_quotas(whose)
    say(f"project {whose} has the default limits")


def _number(text: str) -> int:
    from revertkit.errors import InvalidInput

    if text == "unlimited":
        return -1
    try:
        return int(text)
    except ValueError:
        raise InvalidInput(f"a limit is a number from 0, or unlimited (-1), not {text[:40]!r}") from None
