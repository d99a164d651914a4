"""``revertkit recover``: after a crash."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from revertkit.cli.output import Format, FormatOption, show_rows
from revertkit.cli.session import session_of

NOT_AT_REST = 7
COLUMNS = {"share_id": "Share", "at_rest": "At rest", "what": "Operation", "found": "What was found"}


def recover(
    ctx: typer.Context,
    share: Annotated[
        str | None, typer.Argument(metavar="[SHARE]", help="Only this share (id or name); default: all of this host.")
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Finish or put back every operation whose process is gone, then bring every share online.

    An operation whose process still lives is left alone. Exit code 0: everything is at rest. 7: something is left to
    mend, and the table says what; mend it and recover again.
    """
    session = session_of(ctx)
    with session.manager() as manager:
        share_id = manager.share(session.context(), share).id if share else None
        found = manager.recover(share_id)
    show_rows(
        [asdict(each) for each in found],
        COLUMNS,
        output,
        "nothing was interrupted, and every available share is online",
    )
    if not all(each.at_rest for each in found):
        raise typer.Exit(NOT_AT_REST)


def add_to(app: typer.Typer) -> None:
    """Make it a command of `app`."""
    app.command("recover")(recover)
