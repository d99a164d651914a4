"""``revertkit share access``: who may mount a share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from revertkit.cli.options import AddressArgument, RuleArgument, ShareArgument
from revertkit.cli.output import Format, FormatOption, say, show_record, show_rows
from revertkit.cli.rows import rule_row
from revertkit.cli.session import session_of

app = typer.Typer(no_args_is_help=True, help="Say who may mount a share; without a rule it is not exported.")


class Level(StrEnum):
    """How much a rule allows."""

    RW = "rw"
    RO = "ro"


@app.command("allow")
def allow(
    ctx: typer.Context,
    share: ShareArgument,
    address: AddressArgument,
    level: Annotated[Level, typer.Option("--level", help="Read and write, or only read.")] = Level.RW,
    output: FormatOption = Format.TABLE,
) -> None:
    """Let an address or network mount the share."""
    from revertkit.models import AccessLevel

    session = session_of(ctx)
    with session.manager() as manager:
        rule = manager.allow_access(session.context(), share, address, AccessLevel(level))
    show_record(rule_row(rule), output)


@app.command("deny")
def deny(
    ctx: typer.Context,
    share: ShareArgument,
    rule: RuleArgument,
) -> None:
    """Take a rule away."""
    session = session_of(ctx)
    with session.manager() as manager:
        manager.deny_access(session.context(), share, rule)
    say(f"rule {rule} of share {share} is taken away")


@app.command("list")
def list_(ctx: typer.Context, share: ShareArgument, output: FormatOption = Format.TABLE) -> None:
    """List the rules of a share."""
    session = session_of(ctx)
    with session.manager() as manager:
        rows = [rule_row(rule) for rule in manager.access_rules(session.context(), share)]
    columns = {"id": "ID", "access_to": "Address", "access_level": "Level", "state": "State"}
    show_rows(rows, columns, output, "there are no rules: the share is not exported")
