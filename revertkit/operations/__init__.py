"""Every operation, one story per file: what the accept checks and writes, what runs, how it is recovered."""

from __future__ import annotations

from revertkit.locks import of_backend, of_replica
from revertkit.models import Operation, OperationKind
from revertkit.operations.access import AllowAccess, DenyAccess
from revertkit.operations.manage import ManageShare, RebuildShare, UnmanageShare
from revertkit.operations.manage_snapshot import ManageSnapshot, RebuildSnapshot, UnmanageSnapshot
from revertkit.operations.promote import PromoteReplica
from revertkit.operations.replica import CreateReplica, DeleteReplica, ResyncReplica
from revertkit.operations.revert import RevertToSnapshot
from revertkit.operations.share import CreateShare, CreateShareFromSnapshot, DeleteShare, ExtendShare, ShrinkShare
from revertkit.operations.site import Site
from revertkit.operations.snapshot import CreateSnapshot, DeleteSnapshot
from revertkit.operations.snapshot_access import AllowSnapshotAccess, DenySnapshotAccess
from revertkit.operations.story import Case, Story
from revertkit.store import replicas, shares, snapshots

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
        CreateReplica(),
        DeleteReplica(),
        PromoteReplica(),
        ResyncReplica(),
        AllowAccess(),
        DenyAccess(),
        AllowSnapshotAccess(),
        DenySnapshotAccess(),
        ManageShare(),
        RebuildShare(),
        UnmanageShare(),
        ManageSnapshot(),
        RebuildSnapshot(),
        UnmanageSnapshot(),
    )
}


def load_case(site: Site, operation: Operation) -> Case:
    """Read all that an operation is about."""
    with site.store.read() as tx:
        share = shares.get(tx, operation.share_id)
        if STORIES[operation.kind].holds_replica:
            return Case(site, operation, share, None, replicas.get(tx, operation.replica_id))
        if operation.snapshot_id is None:
            return Case(site, operation, share, None)
        owner = shares.get(tx, snapshots.get(tx, operation.snapshot_id).share_id)
        return Case(site, operation, share, snapshots.instance(tx, operation.snapshot_id, owner))


def lock_ids(site: Site, operation: Operation) -> set[str]:
    """Name the locks that an operation needs: its share's, that of the share whose snapshot it reads, its backend's.

    One about a replica that is not active holds that one's; a promotion the share's too.
    """
    story = STORIES[operation.kind]
    if story.holds_replica:
        return {of_replica(operation.replica_id), *([operation.share_id] if story.holds_share else [])}
    if story.holds_backend:
        with site.store.read() as tx:
            return {operation.share_id, of_backend(shares.get(tx, operation.share_id).pool.backend)}
    if operation.snapshot_id is None:
        return {operation.share_id}
    with site.store.read() as tx:
        return {operation.share_id, snapshots.get(tx, operation.snapshot_id).share_id}
