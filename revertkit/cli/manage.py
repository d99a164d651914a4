"""``manage`` and ``unmanage`` of shares and snapshots: taking what is on a backend into our care, and letting go."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from revertkit.cli.options import (
    DescriptionOption,
    MetadataOption,
    NameOption,
    ShareArgument,
    SnapshotArgument,
    TypeOption,
    pairs,
)
from revertkit.cli.output import Format, FormatOption, say, show_record, show_rows
from revertkit.cli.rows import share_row, snapshot_row
from revertkit.cli.session import Session, session_of

LEFT_OUT = 7
PoolArgument = Annotated[
    str | None, typer.Argument(metavar="POOL", help="Where it is: host@backend#pool, or a backend that has one pool.")
]
ExistingArgument = Annotated[
    str | None, typer.Argument(metavar="EXISTING", help="What the backend calls it: a logical volume, a dataset.")
]
AllOption = Annotated[
    str | None,
    typer.Option(
        "--all", metavar="BACKEND", help="Adopt again, under their ids, all shares of ours that are not on record."
    ),
]
COLUMNS = {"what": "What", "id": "ID", "adopted": "Adopted", "existing": "On the backend", "found": "What was found"}


def manage_share(
    ctx: typer.Context,
    pool: PoolArgument = None,
    existing: ExistingArgument = None,
    everything: AllOption = None,
    name: NameOption = None,
    description: DescriptionOption = None,
    share_type: TypeOption = None,
    metadata: MetadataOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Take a share that exists on a backend already into revertkit's care, with its data, and bring it online.

    EXISTING may be renamed by it, and is refused while somebody uses it, where it belongs to another share, or where
    it cannot be a share. Its size counts against the quota: one that is over quota is let go of again. Its snapshots
    stay as they are; `revertkit snapshot manage` adopts them.

    After the loss of the database, --all BACKEND adopts from the backend all that carries revertkit's ids and is not on
    record, shares and snapshots, under the same ids and in the same order. Names and access rules are lost. Exit code
    7: something was not adopted, and the table says why; the rest was.
    """
    session = session_of(ctx)
    if everything is not None:
        if pool or existing or name or description or metadata:
            raise typer.BadParameter("--all BACKEND stands for POOL and EXISTING; only --type goes with it", ctx)
        _manage_all(session, everything, share_type, output)
        return
    if pool is None or existing is None:
        raise typer.BadParameter("name POOL and EXISTING, or --all BACKEND", ctx)
    with session.manager() as manager:
        made = manager.manage_share(
            session.context(),
            pool,
            existing,
            name=name,
            description=description,
            share_type=share_type,
            metadata=pairs(metadata or []),
        )
    show_record(share_row(made), output)


def _manage_all(session: Session, backend: str, share_type: str | None, output: Format) -> None:
    with session.manager() as manager:
        told = manager.manage_all(session.context(), backend, share_type=share_type)
    empty = f"all that backend {backend} holds of revertkit's is on record already"
    show_rows([asdict(each) for each in told], COLUMNS, output, empty)
    if not all(each.adopted for each in told):
        raise typer.Exit(LEFT_OUT)


def unmanage_share(ctx: typer.Context, share: ShareArgument) -> None:
    """Let go of a share: it goes offline, off the record and out of the quota. Its data stays on the backend.

    It asks nothing, because it destroys nothing: `revertkit share manage` takes the share back. One that has snapshots
    on record is refused: unmanage those first.
    """
    session = session_of(ctx)
    with session.manager() as manager:
        say(manager.unmanage_share(session.context(), share))


def manage_snapshot(
    ctx: typer.Context,
    share: ShareArgument,
    existing: Annotated[
        str, typer.Argument(metavar="EXISTING", help="What the share's backend calls it: a logical volume, a snapshot.")
    ],
    name: NameOption = None,
    description: DescriptionOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Take a snapshot that exists on a share's backend already into revertkit's care, as the share's latest.

    It is refused where it is older than one of the share's on record: the order of snapshots has to be certain.
    """
    session = session_of(ctx)
    with session.manager() as manager:
        me = session.context()
        made = manager.manage_snapshot(me, share, existing, name=name, description=description)
        show_record(snapshot_row(manager, me, made), output)


def unmanage_snapshot(ctx: typer.Context, snapshot: SnapshotArgument) -> None:
    """Let go of a snapshot: it goes offline, off the record and out of the quota. It stays on the backend.

    It asks nothing, because it destroys nothing. While it stays there, a revert to an older one may be refused.
    """
    session = session_of(ctx)
    with session.manager() as manager:
        say(manager.unmanage_snapshot(session.context(), snapshot))


def add_to(shares: typer.Typer, snapshots: typer.Typer) -> None:
    """Make them commands of ``share`` and ``snapshot``."""
    shares.command("manage")(manage_share)
    shares.command("unmanage")(unmanage_share)
    snapshots.command("manage")(manage_snapshot)
    snapshots.command("unmanage")(unmanage_snapshot)
