"""``revertkit snapshot access``: who may mount a snapshot."""

from __future__ import annotations

import typer

from revertkit.cli.options import AddressArgument, RuleArgument, SnapshotArgument
from revertkit.cli.output import Format, FormatOption, say, show_record, show_rows
from revertkit.cli.rows import rule_row
from revertkit.cli.session import session_of

app = typer.Typer(
    no_args_is_help=True,
    help="Say who may mount a snapshot, to read; for shares whose type has mount_snapshot_support.",
)


@app.command("allow")
def allow(
    ctx: typer.Context, snapshot: SnapshotArgument, address: AddressArgument, output: FormatOption = Format.TABLE
) -> None:
    """Let an address or network mount the snapshot. It is read-only, whoever mounts it."""
    session = session_of(ctx)
    with session.manager() as manager:
        rule = manager.allow_snapshot_access(session.context(), snapshot, address)
    show_record(rule_row(rule), output)


@app.command("deny")
def deny(ctx: typer.Context, snapshot: SnapshotArgument, rule: RuleArgument) -> None:
    """Take a rule away."""
    session = session_of(ctx)
    with session.manager() as manager:
        manager.deny_snapshot_access(session.context(), snapshot, rule)
    say(f"rule {rule} of snapshot {snapshot} is taken away")


@app.command("list")
def list_(ctx: typer.Context, snapshot: SnapshotArgument, output: FormatOption = Format.TABLE) -> None:
    """List the rules of a snapshot."""
    session = session_of(ctx)
    with session.manager() as manager:
        rows = [rule_row(rule) for rule in manager.snapshot_access_rules(session.context(), snapshot)]
    columns = {"id": "ID", "access_to": "Address", "access_level": "Level", "state": "State"}
    show_rows(rows, columns, output, "there are no rules: the snapshot is not exported")
