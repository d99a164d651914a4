"""Records as rows: flat dictionaries with stable keys, which JSON prints whole and tables in part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from revertkit.manager import ShareManager
    from revertkit.models import AccessRule, Context, Message, Share, ShareReplica, ShareType, Snapshot
    from revertkit.scheduler import Explanation


def share_row(share: Share) -> dict[str, Any]:
    """Show a share; its replica is the manager's business."""
    row = share.model_dump(exclude={"replica", "pool", "export_locations"})
    paths = [location.path for location in share.export_locations]
    return {**row, "pool": str(share.pool), "export_locations": paths}


def replica_row(replica: ShareReplica) -> dict[str, Any]:
    """Show a replica as it is on record; what its driver is told of it is the manager's business."""
    row = replica.model_dump(exclude={"replica", "pool", "export_locations"})
    paths = [location.path for location in replica.export_locations]
    return {**row, "pool": str(replica.pool), "export_locations": paths}


def snapshot_rows(snapshots: Sequence[Snapshot]) -> list[dict[str, Any]]:
    """Show snapshots, all of a share or none; ``latest`` marks the one that its share can be reverted to."""
    latest = {snapshot.share_id: snapshot.id for snapshot in sorted(snapshots, key=lambda s: s.created_at)}
    return [
        {
            **s.model_dump(exclude={"instance_id", "export_locations"}),
            "latest": latest[s.share_id] == s.id,
            "export_locations": [location.path for location in s.export_locations],
        }
        for s in snapshots
    ]


def snapshot_row(manager: ShareManager, me: Context, snapshot: Snapshot) -> dict[str, Any]:
    """Show one snapshot, among those of its share."""
    siblings = snapshot_rows(manager.snapshots(me, snapshot.share_id))
    return next(row for row in siblings if row["id"] == snapshot.id)


def type_row(share_type: ShareType) -> dict[str, Any]:
    """Show a share type."""
    return share_type.model_dump()


def rule_row(rule: AccessRule) -> dict[str, Any]:
    """Show an access rule."""
    return rule.model_dump()


def message_row(message: Message) -> dict[str, Any]:
    """Show a user message."""
    return message.model_dump()


def verdict_rows(found: Explanation) -> list[dict[str, Any]]:
    """Show where a share could go: the pool that it would go to first, and silent backends last."""
    rows = []
    for number, each in enumerate(found.verdicts):
        verdict = "refused" if each.refusals else "fits" if number else "chosen"
        weight = None if each.weight is None else round(each.weight, 3)
        rows.append({"pool": str(each.pool), "verdict": verdict, "weight": weight, "refusals": dict(each.refusals)})
    silent = [(backend, {"report": why}) for backend, why in found.silent.items()]
    return rows + [{"pool": name, "verdict": "silent", "weight": None, "refusals": why} for name, why in silent]
