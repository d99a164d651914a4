"""``revertkit type``: share types, which say what the shares made of them can do."""

from __future__ import annotations

from typing import Annotated

import typer

from revertkit.cli.options import DescriptionOption, TypeArgument, pairs
from revertkit.cli.output import Format, FormatOption, say, show_record, show_rows
from revertkit.cli.rows import type_row
from revertkit.cli.session import session_of

app = typer.Typer(
    no_args_is_help=True,
    help="Make and change share types: what the shares that are made of them can do.\n\n"
    "A share copies it when it is made: one made without revert_to_snapshot_support is never reverted.",
)
SpecArguments = Annotated[
    list[str], typer.Argument(metavar="KEY=VALUE...", help="Extra specs, as revert_to_snapshot_support=true.")
]

MountFlag = Annotated[
    bool,
    typer.Option(
        "--mount-snapshot-support",
        help="Its snapshots are mounted read-only, under access rules of their own (mount_snapshot_support=true).",
    ),
]

ReplicationOption = Annotated[
    str | None,
    typer.Option(
        "--replication-type",
        metavar="readable|dr",
        help="Its shares can have replicas, which can be read, or are there for disaster recovery alone.",
    ),
]


@app.command("create")
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name; no other type may have it.")],
    extra_spec: Annotated[
        list[str] | None,
        typer.Option("--extra-spec", metavar="KEY=VALUE", help="An extra spec that a pool has to meet; repeatable."),
    ] = None,
    snapshot: Annotated[
        bool, typer.Option("--snapshot-support", help="Its shares can have snapshots (snapshot_support=true).")
    ] = False,
    revert: Annotated[
        bool,
        typer.Option(
            "--revert-to-snapshot-support",
            help="Its shares can be reverted to their latest snapshot (revert_to_snapshot_support=true).",
        ),
    ] = False,
    clone: Annotated[
        bool,
        typer.Option(
            "--create-share-from-snapshot-support",
            help="Shares can be made from its snapshots (create_share_from_snapshot_support=true).",
        ),
    ] = False,
    mount: MountFlag = False,
    replication: ReplicationOption = None,
    description: DescriptionOption = None,
    private: Annotated[bool, typer.Option("--private", help="Mark the type as not public.")] = False,
    output: FormatOption = Format.TABLE,
) -> None:
    """Make a share type and print it.

    The extra spec driver_handles_share_servers, which every type needs, is filled in as false: no driver here makes
    a server of its own for each share, so it could be nothing else.
    """
    flags = {
        "snapshot_support": snapshot,
        "revert_to_snapshot_support": revert,
        "create_share_from_snapshot_support": clone,
        "mount_snapshot_support": mount,
    }
    specs = {"driver_handles_share_servers": "false"} | {key: "true" for key, wanted in flags.items() if wanted}
    specs |= {"replication_type": replication} if replication else {}
    with session_of(ctx).manager() as manager:
        named = pairs(extra_spec or [])
        made = manager.create_type(name, specs | named, description=description, is_public=not private)
    show_record(type_row(made), output)


@app.command("list")
def list_(ctx: typer.Context, output: FormatOption = Format.TABLE) -> None:
    """List the share types by name."""
    with session_of(ctx).manager() as manager:
        rows = [type_row(share_type) for share_type in manager.types()]
    columns = {"id": "ID", "name": "Name", "extra_specs": "Extra specs"}
    show_rows(rows, columns, output, "there are no share types; `revertkit type create` makes one")


@app.command("show")
def show(ctx: typer.Context, share_type: TypeArgument, output: FormatOption = Format.TABLE) -> None:
    """Show a share type."""
    with session_of(ctx).manager() as manager:
        show_record(type_row(manager.type(share_type)), output)


@app.command("set")
def set_(
    ctx: typer.Context, share_type: TypeArgument, specs: SpecArguments, output: FormatOption = Format.TABLE
) -> None:
    """Set extra specs of a type; shares that exist keep what they copied."""
    with session_of(ctx).manager() as manager:
        show_record(type_row(manager.set_type_specs(share_type, pairs(specs))), output)


@app.command("unset")
def unset(
    ctx: typer.Context,
    share_type: TypeArgument,
    keys: Annotated[list[str], typer.Argument(metavar="KEY...", help="The extra specs to remove.")],
    output: FormatOption = Format.TABLE,
) -> None:
    """Remove extra specs of a type; shares that exist keep what they copied."""
    with session_of(ctx).manager() as manager:
        show_record(type_row(manager.unset_type_specs(share_type, keys)), output)


@app.command("delete")
def delete(ctx: typer.Context, share_type: TypeArgument) -> None:
    """Delete a share type that no share has."""
    with session_of(ctx).manager() as manager:
        manager.delete_type(share_type)
    say(f"share type {share_type} is deleted")
