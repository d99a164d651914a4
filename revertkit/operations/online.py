"""Bringing a share online as it is on record, and after it its snapshots, where its type lets them be mounted.

The share comes first, and a snapshot that cannot be mounted is told, never raised: whoever has just got their data
back wants to work on it, and a finished operation is not undone because a copy of older data is out of reach.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from revertkit.capabilities import verbs
from revertkit.driver import SupportsMountableSnapshots
from revertkit.log import get_logger
from revertkit.models import ExportLocation, Share, SnapshotInstance
from revertkit.operations.site import Site
from revertkit.store import shares, snapshots

log = get_logger(__name__)


@dataclass(frozen=True)
class Online:
    """Where a share is reached now (None: it was not looked at), and its snapshots, by instance id."""

    share: Sequence[ExportLocation] | None = None
    snapshots: Mapping[str, Sequence[ExportLocation]] = field(default_factory=dict)
    trouble: str = ""
    """Which snapshots are out of reach, and why; empty if none is."""

    def record(self, tx: Connection, replica_id: str) -> None:
        """Put on record where all of it is reached."""
        if self.share is not None:
            shares.set_locations(tx, replica_id, self.share)
        for instance_id, locations in self.snapshots.items():
            snapshots.set_locations(tx, instance_id, locations)


def bring_online(site: Site, share_id: str, also: str | None = None) -> Online:
    """Bring a share online, then its available snapshots, and `also`: the one that an operation is about.

    Raises:
        whatever ``ensure_share`` does: the share is offline, and no snapshot was looked at.
    """
    with site.store.read() as tx:
        share = shares.get(tx, share_id)
        mountable = snapshots.resting(tx, share, also) if share.mount_snapshot_support else []
    reached = site.driver(share.pool.backend).ensure_share(share.replica)
    locations: dict[str, Sequence[ExportLocation]] = {}
    trouble = []
    for snapshot in mountable:
        try:
            locations[snapshot.id] = _mounted(site, share, snapshot)
        except Exception as failure:
            log.warning("snapshot cannot be brought online", snapshot=snapshot.snapshot_id, exc_info=failure)
            locations[snapshot.id] = []
            trouble.append(f"snapshot {snapshot.snapshot_id} cannot be brought online: {failure}")
    return Online(reached, locations, "; ".join(trouble))


def bring_share_online(site: Site, share_id: str) -> Online:
    """Bring a share online alone: nothing has happened to its snapshots.

    Raises:
        as :func:`bring_online`.
    """
    with site.store.read() as tx:
        share = shares.get(tx, share_id)
    return Online(site.driver(share.pool.backend).ensure_share(share.replica))


def bring_snapshot_online(site: Site, share_id: str, snapshot_id: str) -> Online:
    """Bring one snapshot online, of a share whose type lets it be mounted.

    Raises:
        whatever ``ensure_snapshot`` does: the snapshot is out of reach.
    """
    with site.store.read() as tx:
        share = shares.get(tx, share_id)
        snapshot = snapshots.instance(tx, snapshot_id, share)
    return Online(snapshots={snapshot.id: _mounted(site, share, snapshot)})


def keep(site: Site, share: Share, online: Online) -> None:
    """Put on record where a share and its snapshots are reached, if that is not what is on record."""
    with site.store.read() as tx:
        listed = snapshots.listed(tx, None, share.id) if online.snapshots else []
    known = {snapshot.instance_id: set(snapshot.export_locations) for snapshot in listed}
    moved = {one for one, locations in online.snapshots.items() if known.get(one, set()) != set(locations)}
    if moved or set(share.export_locations) != set(online.share or ()):
        with site.store.write() as tx:
            online.record(tx, share.replica.id)


def _mounted(site: Site, share: Share, snapshot: SnapshotInstance) -> list[ExportLocation]:
    return verbs(site.driver(share.pool.backend), SupportsMountableSnapshots).ensure_snapshot(snapshot)
