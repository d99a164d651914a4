"""``revertkit message``: what users were told of operations that ended without them."""

from __future__ import annotations

from typing import Annotated

import typer

from revertkit.cli.output import Format, FormatOption, say, show_rows
from revertkit.cli.rows import message_row
from revertkit.cli.session import session_of

app = typer.Typer(no_args_is_help=True, help="Read what became of operations: every revert, and whatever failed.")


@app.command("list")
def list_(ctx: typer.Context, output: FormatOption = Format.TABLE) -> None:
    """List the project's messages, newest first; they are kept for 30 days."""
    session = session_of(ctx)
    with session.manager() as manager:
        rows = [message_row(message) for message in manager.messages(session.context())]
    columns = {"created_at": "Time (UTC)", "level": "Level", "text": "Message", "id": "ID"}
    show_rows(rows, columns, output, "there are no messages")


@app.command("delete")
def delete(
    ctx: typer.Context,
    message: Annotated[str, typer.Argument(metavar="MESSAGE", help="The message's id.")],
) -> None:
    """Delete a message."""
    session = session_of(ctx)
    with session.manager() as manager:
        manager.delete_message(session.context(), message)
    say(f"message {message} is deleted")
