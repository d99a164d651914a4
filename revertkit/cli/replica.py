"""``revertkit replica``: make, list, show, delete, promote replicas of shares, and bring them in sync."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from revertkit.cli.following import NOT_IN_SYNC, all_in_sync, follow
from revertkit.cli.options import AllProjects, Force, ShareArgument
from revertkit.cli.output import Format, FormatOption, ask, note, say, show_record, show_rows
from revertkit.cli.rows import replica_row
from revertkit.cli.session import session_of
from revertkit.status import ReplicaState

if TYPE_CHECKING:
    from revertkit.manager import ShareManager
    from revertkit.models import Context, ShareReplica

app = typer.Typer(
    no_args_is_help=True,
    help="Make, list, show, delete and promote replicas of shares, and bring them in sync.\n\n"
    "A share whose type says replication_type has one active replica, which is written to, and others in other pools, "
    "which follow it: each look at one (`replica resync`, or a server's, every few minutes) brings it in sync. A "
    "revert leaves them out_of_sync until the next look.",
)
COLUMNS = {
    "id": "ID",
    "replica_state": "State",
    "status": "Status",
    "share": "Share",
    "pool": "Pool",
    "in_sync_at": "In sync as of (UTC)",
    "found": "What was found",
}
LOOKED = {"replica_id": "Replica", "replica_state": "State", "left_alone": "Left alone", "found": "What was found"}
NOT_CONFIRMED = 11
ReplicaArgument = Annotated[str, typer.Argument(metavar="REPLICA", help="The replica's id, as `replica list` says.")]
WaitFlag = Annotated[
    bool, typer.Option("--wait", "-w", help="Look at it until it is in sync; exit code 7 if it cannot be.")
]


@app.command("create")
def create(
    ctx: typer.Context,
    share: ShareArgument,
    pool: Annotated[
        str | None,
        typer.Option("--pool", help="Put it in this pool (host@backend#pool) or backend; default: the best that can."),
    ] = None,
    zone: Annotated[
        str | None, typer.Option("--availability-zone", "--az", help="Put it in a pool of this availability zone.")
    ] = None,
    wait: WaitFlag = False,
    output: FormatOption = Format.TABLE,
) -> None:
    """Make one more replica of SHARE, in a pool where it has none yet, and print it.

    It is made empty and out_of_sync; its data comes with its first look, which --wait takes at once.
    """
    session = session_of(ctx)
    with session.manager() as manager:
        me = session.context()
        made = manager.create_replica(me, share, pool=pool, availability_zone=zone)
        made = follow(manager, me, made) if wait else made
    show_record(replica_row(made), output)
    if not wait:
        note(f"its data comes with its first look: `revertkit replica resync {made.id} --wait`")
    _end(made, wait=wait)


@app.command("list")
def list_(
    ctx: typer.Context,
    share: Annotated[str | None, typer.Option("--share", "-s", help="Only those of this share (id or name).")] = None,
    all_projects: AllProjects = False,
    output: FormatOption = Format.TABLE,
) -> None:
    """List replicas by share, the active ones among them."""
    session = session_of(ctx)
    with session.manager(hint=True) as manager:
        me = session.context()
        rows = [replica_row(one) for one in manager.replicas(me, share, all_projects=all_projects)]
        if output is Format.TABLE:
            names = {one.id: one.name or one.id for one in manager.shares(me, all_projects=all_projects)}
            rows = [{**row, "share": names.get(row["share_id"], row["share_id"])} for row in rows]
        show_rows(rows, COLUMNS, output, "there are no replicas; `revertkit replica create` makes one")


@app.command("show")
def show(ctx: typer.Context, replica: ReplicaArgument, output: FormatOption = Format.TABLE) -> None:
    """Show all that is on record of a replica."""
    session = session_of(ctx)
    with session.manager(hint=True) as manager:
        show_record(replica_row(manager.replica(session.context(), replica)), output)


@app.command("delete")
def delete(
    ctx: typer.Context,
    replica: ReplicaArgument,
    force: Force = False,
    forget: Annotated[
        bool,
        typer.Option(
            "--forget",
            help="Only take it off the record: its host or backend is gone for good. Nothing is asked of it, and what "
            "it holds, should it come back, stays there.",
        ),
    ] = False,
) -> None:
    """Delete a replica that is not active, and its copies of snapshots. The share and its snapshots stay.

    One that holds, or may hold, a snapshot that the active one has lost is deleted with --force alone.
    """
    from revertkit.errors import InvalidInput

    if force and forget:
        raise InvalidInput("say --force, which deletes it whatever its status, or --forget, which deletes nothing")
    session = session_of(ctx)
    with session.manager() as manager:
        if forget:
            manager.forget_replica(session.context(), replica)
        else:
            manager.delete_replica(session.context(), replica, force=force)
    say(f"replica {replica} is {'forgotten' if forget else 'deleted'}")


@app.command("promote")
def promote(
    ctx: typer.Context,
    replica: ReplicaArgument,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Promote it as it is, though it is out of sync or the active one cannot be reached. What was written "
            "since it was last in sync is lost, and so is a snapshot that has not reached it.",
        ),
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Then look at the others until they are in sync; exit code 7 if not.")
    ] = False,
    output: FormatOption = Format.TABLE,
) -> None:
    """Make REPLICA the active one of its share, the one that is written to; the old one follows it from then on.

    Without --force it has to be in_sync, and nothing is lost: the active one is made read-only first, and followed to
    its last byte. With --force the replica is taken as it is. What is then still written to an active one that cannot
    be reached is lost; the share's messages say so. What a revert has discarded comes back by neither.
    """
    session = session_of(ctx)
    with session.manager() as manager:
        me = session.context()
        promoted = manager.promote_replica(me, replica, force=force)
        others = [one for one in manager.replicas(me, promoted.share_id) if not one.active]
        others = [follow(manager, me, one) for one in others] if wait else others
    show_record(replica_row(promoted), output)
    if wait and not all_in_sync(others):
        raise typer.Exit(NOT_IN_SYNC)


@app.command("resync")
def resync(
    ctx: typer.Context,
    replica: Annotated[str | None, typer.Argument(metavar="[REPLICA]", help="The replica's id.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Look at every replica of this host once, as a timer would.")
    ] = False,
    full_copy: Annotated[
        bool, typer.Option("--full-copy", help="Make it anew and copy all of it; do not ask where that is needed.")
    ] = False,
    wait: WaitFlag = False,
    output: FormatOption = Format.TABLE,
) -> None:
    """Look at a replica now: turn it back from what its active one has discarded, and bring it what it lacks.

    It goes on from what both have in common. Where they have nothing in common any more, it says so and asks before it
    copies everything. Exit code 7: it is not in sync, and the table says why.
    """
    from revertkit.errors import InvalidInput

    if every is bool(replica) or (every and (full_copy or wait)):
        raise InvalidInput("name one replica, or say --all, which takes neither --full-copy nor --wait")
    session = session_of(ctx)
    with session.manager() as manager:
        if replica is None:
            _look_at_all(manager, output)
            return
        me = session.context()
        found = manager.resync_replica(me, replica, full_copy=full_copy)
        if found.needs_full_copy and not full_copy:
            found = _copied_anew(manager, me, found)
        elif wait and found.replica_state is not ReplicaState.IN_SYNC:
            found = follow(manager, me, found)
    show_record(replica_row(found), output)
    _end(found, wait=True)


def _look_at_all(manager: ShareManager, output: Format) -> None:
    looked = manager.look_at_replicas()
    show_rows([asdict(each) for each in looked], LOOKED, output, "there is no replica on this host but active ones")
    if not all(each.left_alone or each.replica_state is ReplicaState.IN_SYNC for each in looked):
        raise typer.Exit(NOT_IN_SYNC)


def _copied_anew(manager: ShareManager, me: Context, found: ShareReplica) -> ShareReplica:
    """Ask, and copy everything: it removes the replica's own data first."""
    note(f"replica {found.id}: {found.found}")
    answer = ask("Remove what it holds, and copy everything anew?")
    if not answer:
        note(
            "nothing was changed" + ("" if answer is False else ": that is confirmed at a terminal, or by --full-copy")
        )
        raise typer.Exit(NOT_CONFIRMED)
    return manager.resync_replica(me, found.id, full_copy=True)


def _end(replica: ShareReplica, *, wait: bool) -> None:
    if wait and replica.replica_state is not ReplicaState.IN_SYNC:
        raise typer.Exit(NOT_IN_SYNC)
