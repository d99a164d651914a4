"""Quotas and limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from revertkit import quota
from revertkit.api.errors import Fault
from revertkit.api.versions import Version, v
from revertkit.api.wire.views import INTEGER, STRING, Schema
from revertkit.models import QuotaUse

NONE = QuotaUse(limit=0, in_use=0, reserved=0)
"""Of what is not offered there can be none."""
KEYS = {
    "shares": 0,
    "gigabytes": 0,
    "snapshots": 0,
    "snapshot_gigabytes": 0,
    "share_networks": 0,
    "share_groups": 40,
    "share_group_snapshots": 40,
    "share_replicas": 53,
    "replica_gigabytes": 53,
    "per_share_gigabytes": 62,
    "backups": 80,
    "backup_gigabytes": 80,
    "encryption_keys": 90,
}
"""From which microversion on a quota set has which key."""
OF_USERS_AND_PROJECTS = ("share_networks", "share_groups", "share_group_snapshots", "encryption_keys")
"""What a share type has no quota of."""
_LIMITS = {
    "Shares": ("shares", 0),
    "ShareGigabytes": ("gigabytes", 0),
    "ShareSnapshots": ("snapshots", 0),
    "SnapshotGigabytes": ("snapshot_gigabytes", 0),
    "ShareNetworks": ("share_networks", 0),
    "ShareReplicas": ("share_replicas", 53),
    "ReplicaGigabytes": ("replica_gigabytes", 53),
    "ShareGroups": ("share_groups", 58),
    "ShareGroupSnapshots": ("share_group_snapshots", 58),
    "ShareBackups": ("backups", 80),
    "BackupGigabytes": ("backup_gigabytes", 80),
}
_DETAIL: Schema = {
    "type": "object",
    "properties": {"limit": INTEGER, "in_use": INTEGER, "reserved": INTEGER},
    "required": ["in_use", "limit", "reserved"],
}


def schema(*, detail: bool = False) -> Schema:
    """Describe a quota set."""
    each = _DETAIL if detail else INTEGER
    return {"type": "object", "properties": {"id": STRING, **dict.fromkeys(KEYS, each)}, "required": ["shares"]}


def quota_set(
    uses: Mapping[str, QuotaUse], version: Version, *, of_type: bool = False, detail: bool = False
) -> dict[str, Any]:
    """Write a quota set, without its id."""
    shown = [
        key for key, since in KEYS.items() if version >= v(since) and not (of_type and key in OF_USERS_AND_PROJECTS)
    ]
    told = {key: uses.get(key, NONE) for key in shown}
    return {key: use.model_dump() if detail else use.limit for key, use in told.items()}


def wanted(given: Mapping[str, Any]) -> tuple[dict[str, int], bool]:
    """Read new limits, and whether they may be below what is in use.

    Raises:
        Fault: 400.
    """
    force = str(given.get("force", "false")).lower() in ("true", "1", "yes", "on")
    limits = {key: value for key, value in given.items() if key not in ("force", "tenant_id", "project_id")}
    if not limits:
        raise Fault(400, "Bad quota set: it names no quota.")
    if unknown := [key for key in limits if key not in quota.DEFAULTS]:
        raise Fault(400, f"Bad key(s) in quota set: {', '.join(unknown)[:200]}.")
    return {key: _number(key, value) for key, value in limits.items()}, force


def _number(key: str, value: Any) -> int:
    text = str(value)
    if isinstance(value, bool) or not re.fullmatch("-?[0-9]+", text) or len(text) > 10 or int(text) < -1:
        raise Fault(400, f"Quota {key!r} is a number from -1, which is no limit, not {text[:40]!r}.")
    return int(text)


def absolute(uses: Mapping[str, QuotaUse], version: Version) -> dict[str, int]:
    """Write the absolute limits."""
    told: dict[str, int] = {}
    for name, (resource, since) in _LIMITS.items():
        if version >= v(since):
            use = uses.get(resource, NONE)
            told |= {f"maxTotal{name}": use.limit, f"total{name}Used": use.in_use}
    return told
