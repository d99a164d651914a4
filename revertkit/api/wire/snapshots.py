"""Snapshots, and where they are reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from revertkit.api.call import Call
from revertkit.api.wire.shares import PROTOCOL, links, location_id
from revertkit.api.wire.views import BOOLEAN, INTEGER, LINKS, NOTES, STRING, TIME, UUID, Key, View, optional, time
from revertkit.models import ExportLocation, Snapshot


@dataclass(frozen=True)
class ShownSnapshot:
    """A snapshot with what is beside it."""

    snapshot: Snapshot
    links: list[dict[str, str]]


SNAPSHOT: View[ShownSnapshot] = View(
    Key("id", UUID, lambda s: s.snapshot.id),
    Key("share_id", UUID, lambda s: s.snapshot.share_id),
    Key("share_size", INTEGER, lambda s: s.snapshot.size),
    Key("created_at", TIME, lambda s: time(s.snapshot.created_at)),
    Key("status", STRING, lambda s: s.snapshot.status),
    Key("name", optional(STRING), lambda s: s.snapshot.name),
    Key("description", optional(STRING), lambda s: s.snapshot.description),
    Key("size", INTEGER, lambda s: s.snapshot.size),
    Key("share_proto", STRING, lambda s: PROTOCOL),
    Key("links", LINKS, lambda s: s.links),
    Key("provider_location", optional(STRING), lambda s: None, since=12, admin=True),
    Key("project_id", STRING, lambda s: s.snapshot.project_id, since=17),
    Key("user_id", optional(STRING), lambda s: s.snapshot.user_id, since=17),
    Key("metadata", NOTES, lambda s: s.snapshot.metadata, since=73),
)


def show_snapshot(call: Call, snapshot: Snapshot) -> dict[str, Any]:
    """Write one snapshot in full."""
    shown = ShownSnapshot(snapshot, links(call, "snapshots", snapshot.id))
    return SNAPSHOT.show(shown, call.version, admin=call.is_admin)


@dataclass(frozen=True)
class ShownSnapshotLocation:
    """An export location of a snapshot."""

    snapshot: Snapshot
    location: ExportLocation

    @property
    def id(self) -> str:
        """Its id; as that of a share's."""
        return location_id(self.snapshot.instance_id, self.location.path)


SNAPSHOT_LOCATION: View[ShownSnapshotLocation] = View(
    Key("id", UUID, lambda at: at.id),
    Key("path", STRING, lambda at: at.location.path),
    Key("links", LINKS, lambda at: []),
    Key("share_snapshot_instance_id", UUID, lambda at: at.snapshot.instance_id, admin=True),
    Key("is_admin_only", BOOLEAN, lambda at: False, admin=True),
)
SNAPSHOT_LOCATION_IN_FULL: View[ShownSnapshotLocation] = View(
    *SNAPSHOT_LOCATION.keys,
    Key("created_at", TIME, lambda at: time(at.snapshot.created_at)),
    Key("updated_at", optional(TIME), lambda at: None),
)
