"""Shares, their instances and export locations."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from revertkit.api.call import Call
from revertkit.api.wire.views import (
    BOOLEAN,
    INTEGER,
    LINKS,
    NOTES,
    STRING,
    TIME,
    UUID,
    Key,
    View,
    array,
    optional,
    time,
)
from revertkit.models import ExportLocation, Share
from revertkit.settings import DEFAULT_ZONE
from revertkit.status import ReplicaState, RulesStatus, Status

PROTOCOL = "NFS"
"""The one that there is."""


def links(call: Call, collection: str, thing_id: str) -> list[dict[str, str]]:
    """Link to a thing."""
    path = f"{call.prefix}/{collection}/{thing_id}"
    return [{"rel": "self", "href": f"{call.base}/v2{path}"}, {"rel": "bookmark", "href": f"{call.base}{path}"}]


@dataclass(frozen=True)
class ShownShare:
    """A share with what is beside it."""

    share: Share
    type_name: str
    links: list[dict[str, str]]
    percent: float | None


def _progress(shown: ShownShare) -> str | None:
    if shown.percent is not None:
        return f"{shown.percent:.0f}%"
    return "100%" if shown.share.status is Status.AVAILABLE else None


def _old_rules_status(shown: ShownShare) -> str:
    status = shown.share.access_rules_status
    return ReplicaState.OUT_OF_SYNC.value if status is RulesStatus.SYNCING else status


def _nothing(shown: object) -> None:
    return None


SHARE: View[ShownShare] = View(
    Key("id", UUID, lambda s: s.share.id),
    Key("size", INTEGER, lambda s: s.share.size),
    Key("availability_zone", optional(STRING), lambda s: s.share.availability_zone or DEFAULT_ZONE),
    Key("created_at", TIME, lambda s: time(s.share.created_at)),
    Key("updated_at", optional(TIME), lambda s: time(s.share.updated_at)),
    Key("status", STRING, lambda s: s.share.status),
    Key("name", optional(STRING), lambda s: s.share.name),
    Key("description", optional(STRING), lambda s: s.share.description),
    Key("project_id", STRING, lambda s: s.share.project_id),
    Key("snapshot_id", optional(UUID), lambda s: s.share.snapshot_id),
    Key("share_network_id", optional(UUID), _nothing),
    Key("share_proto", STRING, lambda s: s.share.protocol),
    Key("metadata", NOTES, lambda s: s.share.metadata),
    Key("share_type", STRING, lambda s: s.type_name, until=5),
    Key("share_type", STRING, lambda s: s.share.share_type_id, since=6),
    Key("share_type_name", STRING, lambda s: s.type_name, since=6),
    Key("volume_type", STRING, lambda s: s.type_name),
    Key("links", LINKS, lambda s: s.links),
    Key("is_public", BOOLEAN, lambda s: False),
    Key("export_location", optional(STRING), lambda s: next((at.path for at in s.share.export_locations), None), 0, 8),
    Key("export_locations", array(STRING), lambda s: [at.path for at in s.share.export_locations], until=8),
    Key("snapshot_support", BOOLEAN, lambda s: s.share.snapshot_support, since=2),
    Key("task_state", optional(STRING), _nothing, since=5),
    Key("access_rules_status", STRING, _old_rules_status, 10, 27),
    Key("access_rules_status", STRING, lambda s: s.share.access_rules_status, since=28),
    Key("replication_type", optional(STRING), lambda s: s.share.replication_type, since=11),
    Key("has_replicas", BOOLEAN, lambda s: bool(s.share.replica.peers), since=11),
    Key("user_id", optional(STRING), lambda s: s.share.user_id, since=16),
    Key(
        "create_share_from_snapshot_support",
        BOOLEAN,
        lambda s: s.share.create_share_from_snapshot_support,
        since=24,
    ),
    Key("revert_to_snapshot_support", BOOLEAN, lambda s: s.share.revert_to_snapshot_support, since=27),
    Key("share_group_id", optional(UUID), _nothing, since=31),
    Key("source_share_group_snapshot_member_id", optional(UUID), _nothing, since=31),
    Key("mount_snapshot_support", BOOLEAN, lambda s: s.share.mount_snapshot_support, since=32),
    Key("progress", optional(STRING), _progress, since=54),
    Key("is_soft_deleted", BOOLEAN, lambda s: False, since=69),
    Key("scheduled_to_be_deleted_at", optional(TIME), _nothing, since=69),
    Key("source_backup_id", optional(UUID), _nothing, since=80),
    Key("encryption_key_ref", optional(STRING), _nothing, since=90),
    Key("snapshot_inherit_share_access_support", BOOLEAN, lambda s: False, since=99),
    Key("share_server_id", optional(UUID), _nothing, admin=True),
    Key("host", STRING, lambda s: str(s.share.pool), admin=True),
)
INSTANCE: View[Share] = View(
    Key("id", UUID, lambda s: s.replica.id),
    Key("share_id", UUID, lambda s: s.id),
    Key("availability_zone", optional(STRING), lambda s: s.availability_zone or DEFAULT_ZONE),
    Key("created_at", TIME, lambda s: time(s.created_at)),
    Key("updated_at", optional(TIME), lambda s: time(s.updated_at)),
    Key("host", STRING, lambda s: str(s.pool)),
    Key("status", STRING, lambda s: s.status),
    Key("share_network_id", optional(UUID), _nothing),
    Key("share_server_id", optional(UUID), _nothing),
    Key("export_location", optional(STRING), lambda s: next((at.path for at in s.export_locations), None), 0, 8),
    Key("export_locations", array(STRING), lambda s: [at.path for at in s.export_locations], until=8),
    Key("access_rules_status", STRING, lambda s: s.access_rules_status, since=10),
    Key("replica_state", optional(STRING), lambda s: s.replica.state if s.replication_type else None, since=11),
    Key("share_type_id", UUID, lambda s: s.share_type_id, since=22),
    Key("cast_rules_to_readonly", BOOLEAN, lambda s: False, since=30),
    Key("progress", optional(STRING), lambda s: "100%" if s.status is Status.AVAILABLE else None, since=54),
    Key("mount_point_name", optional(STRING), _nothing, since=84),
    Key("encryption_key_ref", optional(STRING), _nothing, since=90),
)


def show_share(call: Call, share: Share, names: Mapping[str, str]) -> dict[str, Any]:
    """Write one share in full; `names` are those of the share types, by id."""
    shown = ShownShare(
        share, names.get(share.share_type_id, ""), links(call, "shares", share.id), call.percent(share.id)
    )
    return SHARE.show(shown, call.version, admin=call.is_admin)


def summary(call: Call, collection: str, thing_id: str, name: str | None) -> dict[str, Any]:
    """Write one line of a list that is not detailed."""
    return {"id": thing_id, "name": name, "links": links(call, collection, thing_id)}


@dataclass(frozen=True)
class ShownLocation:
    """An export location of a share."""

    share: Share
    location: ExportLocation

    @property
    def id(self) -> str:
        """Its id: of one place of one instance, always the same."""
        return location_id(self.share.replica.id, self.location.path)


def location_id(owner_id: str, path: str) -> str:
    """Answer the id of a place where an instance is reached; nothing is stored for it."""
    return str(uuid.uuid5(uuid.UUID(owner_id), path))


LOCATION: View[ShownLocation] = View(
    Key("id", UUID, lambda at: at.id),
    Key("path", STRING, lambda at: at.location.path),
    Key("preferred", BOOLEAN, lambda at: at.location.preferred, since=14),
    Key("metadata", NOTES, lambda at: {}, since=87),
    Key("share_instance_id", UUID, lambda at: at.share.replica.id, admin=True),
    Key("is_admin_only", BOOLEAN, lambda at: False, admin=True),
)
LOCATION_IN_FULL: View[ShownLocation] = View(
    *LOCATION.keys,
    Key("created_at", TIME, lambda at: time(at.share.created_at)),
    Key("updated_at", optional(TIME), lambda at: time(at.share.updated_at)),
)
