"""Every operation, one story per file: what the accept checks and writes, what runs, how it is recovered."""

from __future__ import annotations

from revertkit.models import Operation, OperationKind
from revertkit.operations.access import AllowAccess, DenyAccess
from revertkit.operations.revert import RevertToSnapshot
from revertkit.operations.share import CreateShare, CreateShareFromSnapshot, DeleteShare, ExtendShare, ShrinkShare
from revertkit.operations.site import Site
from revertkit.operations.snapshot import CreateSnapshot, DeleteSnapshot
from revertkit.operations.story import Case, Story
from revertkit.store import shares, snapshots

STORIES: dict[OperationKind, Story] = {
    story.kind: story
    for story in (
        CreateShare(),
        CreateShareFromSnapshot(),
        DeleteShare(),
        ExtendShare(),
        ShrinkShare(),
        CreateSnapshot(),
        DeleteSnapshot(),
        RevertToSnapshot(),
        AllowAccess(),
        DenyAccess(),
    )
}


def load_case(site: Site, operation: Operation) -> Case:
    """Read all that an operation is about."""
    with site.store.read() as tx:
        share = shares.get(tx, operation.share_id)
        if operation.snapshot_id is None:
            return Case(site, operation, share, None)
        owner = shares.get(tx, snapshots.get(tx, operation.snapshot_id).share_id)
        return Case(site, operation, share, snapshots.instance(tx, operation.snapshot_id, owner))


def lock_ids(site: Site, operation: Operation) -> set[str]:
    """Name the shares whose locks an operation needs: its own, and the one whose snapshot it reads."""
    if operation.snapshot_id is None:
        return {operation.share_id}
    with site.store.read() as tx:
        return {operation.share_id, snapshots.get(tx, operation.snapshot_id).share_id}
