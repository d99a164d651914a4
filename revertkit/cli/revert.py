"""``revertkit revert-to-snapshot``: what everything else is for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from revertkit.cli.following import NOT_IN_SYNC, all_in_sync, follow_all
from revertkit.cli.options import SnapshotArgument
from revertkit.cli.output import Format, FormatOption, ask, fail, note, say, show_record
from revertkit.cli.rows import replica_row, share_row
from revertkit.cli.session import session_of

if TYPE_CHECKING:
    from revertkit.manager import ShareManager
    from revertkit.models import Context, RevertPreview, Share, Snapshot

NOT_CONFIRMED = 11


def revert_to_snapshot(
    ctx: typer.Context,
    snapshot: SnapshotArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say whether it would be refused, and what it would throw away.")
    ] = False,
    wait: Annotated[
        bool,
        typer.Option("--wait", "-w", help="Then see each other replica back to in_sync; exit code 7 if one cannot be."),
    ] = False,
    output: FormatOption = Format.TABLE,
) -> None:
    """Turn a share back, in place, to SNAPSHOT, which has to be its most recent one.

    Whatever was written since is thrown away; no snapshot is. It asks first: without a terminal and without --yes it
    refuses, with exit code 11. With an older snapshot in mind, delete the newer ones first.

    Of a replicated share the active replica is reverted, and the others are out_of_sync until the next look at each.
    """
    session = session_of(ctx)
    with session.manager() as manager:
        me = session.context()
        target = manager.snapshot(me, snapshot)
        share = manager.share(me, target.share_id)
        if dry_run:
            _dry_run(manager, me, share, target, output)
            return
        preview = manager.check_revert(me, target.id)
        if not yes:
            _tell(note, share, target, preview, manager.site.now())
            _confirm()
        reverted = manager.revert_to_snapshot(me, target.id)
        if output is Format.TABLE:
            say(f"share {_named(reverted)} is as it was in snapshot {_named(target)}")
        replicas = follow_all(manager, me, share.id) if wait else manager.replicas(me, share.id)
    if output is Format.JSON:
        more = {"replicas": [replica_row(one) for one in replicas]} if replicas else {}
        show_record({**share_row(reverted), **more}, output)
    if wait and not all_in_sync(replicas):
        raise typer.Exit(NOT_IN_SYNC)
    if behind := [one for one in replicas if not one.active and not wait]:
        note(f"{len(behind)} other replica{'s' * (len(behind) > 1)} will follow: `revertkit replica resync --all`")


def add_to(app: typer.Typer) -> None:
    """Make it a command of `app`."""
    app.command("revert-to-snapshot")(revert_to_snapshot)
    app.command("revert", hidden=True)(revert_to_snapshot)


def _confirm() -> None:
    answer = ask("Revert?")
    if answer is None:
        fail("nothing was changed: a revert is confirmed at a terminal, or by --yes")
    elif not answer:
        note("nothing was changed")
    if not answer:
        raise typer.Exit(NOT_CONFIRMED)


def _dry_run(manager: ShareManager, me: Context, share: Share, target: Snapshot, output: Format) -> None:
    """Say the verdict of the real call; a refusal is raised as by the real call."""
    from revertkit.errors import RevertkitError

    row: dict[str, Any] = {"share_id": share.id, "snapshot_id": target.id, "size": target.size}
    try:
        preview = manager.check_revert(me, target.id)
    except RevertkitError as refusal:
        if output is Format.JSON:
            show_record({**row, "verdict": "refused", "reason": str(refusal), "discards_bytes": None}, output)
        raise
    if output is Format.JSON:
        show_record({**row, "verdict": "allowed", "reason": None, "discards_bytes": preview.discards_bytes}, output)
    else:
        _tell(say, share, target, preview, manager.site.now())
        say("A revert would not be refused now. Nothing was changed.")


def _tell(line: Callable[[str], None], share: Share, target: Snapshot, preview: RevertPreview, now: datetime) -> None:
    much = "" if preview.discards_bytes is None else f", about {_bytes(preview.discards_bytes)}"
    size = f"{target.size} GiB" if target.size == share.size else f"{target.size} GiB, now {share.size} GiB"
    age = _age((now - target.created_at).total_seconds())
    line(f"Share {_named(share)}")
    line(f"goes back to snapshot {_named(target)},")
    line(f"taken {age} ago ({target.created_at:%Y-%m-%d %H:%M:%S} UTC, {size}).")
    line(f"Whatever was written to it since is thrown away{much}; no snapshot is.")


def _named(thing: Share | Snapshot) -> str:
    return f"{thing.name!r} ({thing.id})" if thing.name else thing.id


def _age(seconds: float) -> str:
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{max(int(seconds), 0)} s"


def _bytes(count: int) -> str:
    for unit, size in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
