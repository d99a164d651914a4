"""Share replicas."""

from __future__ import annotations

from dataclasses import dataclass

from revertkit.api.wire.shares import location_id
from revertkit.api.wire.views import BOOLEAN, NOTES, STRING, TIME, UUID, Key, View, optional, time
from revertkit.models import ExportLocation, ShareReplica
from revertkit.settings import DEFAULT_ZONE

SUMMARY: View[ShareReplica] = View(
    Key("id", UUID, lambda r: r.id),
    Key("share_id", UUID, lambda r: r.share_id),
    Key("status", STRING, lambda r: r.status),
    Key("replica_state", STRING, lambda r: r.replica_state),
)
REPLICA: View[ShareReplica] = View(
    *SUMMARY.keys,
    Key("availability_zone", optional(STRING), lambda r: r.availability_zone or DEFAULT_ZONE),
    Key("created_at", TIME, lambda r: time(r.created_at)),
    Key("updated_at", optional(TIME), lambda r: time(r.updated_at)),
    Key("share_network_id", optional(UUID), lambda r: None),
    Key("metadata", NOTES, lambda r: {}, since=95),
    Key("share_server_id", optional(UUID), lambda r: None, admin=True),
    Key("host", STRING, lambda r: str(r.pool), admin=True),
    Key("cast_rules_to_readonly", BOOLEAN, lambda r: not r.active, since=30, admin=True),
)


@dataclass(frozen=True)
class ShownReplicaLocation:
    """An export location of a replica."""

    replica: ShareReplica
    location: ExportLocation

    @property
    def id(self) -> str:
        """Its id; as that of a share's."""
        return location_id(self.replica.id, self.location.path)


LOCATION: View[ShownReplicaLocation] = View(
    Key("id", UUID, lambda at: at.id),
    Key("path", STRING, lambda at: at.location.path),
    Key("preferred", BOOLEAN, lambda at: at.location.preferred),
    Key("replica_state", STRING, lambda at: at.replica.replica_state),
    Key("availability_zone", optional(STRING), lambda at: at.replica.availability_zone or DEFAULT_ZONE),
    Key("share_instance_id", UUID, lambda at: at.replica.id, admin=True),
    Key("is_admin_only", BOOLEAN, lambda at: False, admin=True),
)
LOCATION_IN_FULL: View[ShownReplicaLocation] = View(
    *LOCATION.keys,
    Key("created_at", TIME, lambda at: time(at.replica.created_at)),
    Key("updated_at", optional(TIME), lambda at: time(at.replica.updated_at)),
)
