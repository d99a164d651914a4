"""Bringing a share online as it is on record, and after it its snapshots, where its type lets them be mounted.

The share comes first, and a snapshot that cannot be mounted is told, never raised: whoever has just got their data
back wants to work on it, and a finished operation is not undone because a copy of older data is out of reach.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from sqlalchemy import Connection

from revertkit.capabilities import verbs
from revertkit.driver import SupportsMountableSnapshots
from revertkit.errors import NotFound
from revertkit.locks import Busy, of_replica
from revertkit.log import get_logger
from revertkit.models import ExportLocation, Share, ShareReplica, SnapshotInstance
from revertkit.operations.site import Site
from revertkit.status import ReplicaState, Status
from revertkit.store import replicas, shares, snapshots

log = get_logger(__name__)
AT_REST = frozenset({Status.AVAILABLE, Status.EXTENDING_ERROR, Status.SHRINKING_ERROR})
"""The statuses of a share that is whole, so that it is to be online."""


@dataclass(frozen=True)
class Online:
    """Where a replica is reached now (None: it was not looked at), and its snapshots, by instance id."""

    replica_id: str = ""
    share: Sequence[ExportLocation] | None = None
    snapshots: Mapping[str, Sequence[ExportLocation]] = field(default_factory=dict)
    trouble: str = ""
    """Which snapshots are out of reach, and why; empty if none is."""

    def record(self, tx: Connection) -> None:
        """Put on record where all of it is reached."""
        if self.share is not None:
            shares.set_locations(tx, self.replica_id, self.share)
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
    return Online(share.replica.id, reached, locations, "; ".join(trouble))


def bring_share_online(site: Site, share_id: str) -> Online:
    """Bring a share online alone: nothing has happened to its snapshots.

    Raises:
        as :func:`bring_online`.
    """
    with site.store.read() as tx:
        share = shares.get(tx, share_id)
    return Online(share.replica.id, site.driver(share.pool.backend).ensure_share(share.replica))


def bring_replicas_online(site: Site, share_id: str) -> str:
    """Let the rules that are on record hold on this host's other replicas of a share too; say what went wrong.

    One that somebody works on now, or that was never in sync, is left to its next look.
    """
    with site.store.read() as tx:
        others = [one for one in replicas.others(tx, share_id) if one.pool.host == site.host]
    told = []
    for other in others:
        try:
            bring_replica_online(site, other)
        except Busy:
            continue
        except Exception as failure:
            log.warning("replica cannot be brought online", replica=other.id, exc_info=failure)
            told.append(f"replica {other.id}: {failure}")
    return "; ".join(told)


def bring_replica_online(site: Site, replica: ShareReplica) -> None:
    """Bring a replica that is not active online as it may be read, or offline, under its own lock.

    Raises:
        Busy: somebody works on it. Whatever ``ensure_share`` does.
    """
    with site.locks.hold(of_replica(replica.id)):
        bring_held_replica_online(site, replica)


def bring_held_replica_online(site: Site, replica: ShareReplica) -> None:
    """As :func:`bring_replica_online`, of one whose lock is held: by the rules that are on record now.

    Raises:
        whatever ``ensure_share`` does.
    """
    with site.store.read() as tx:
        now = next((one for one in replicas.others(tx, replica.share_id) if one.id == replica.id), None)
    if now and now.status is Status.AVAILABLE and now.in_sync_at:
        reached = site.driver(now.pool.backend).ensure_share(now.replica)
        if set(reached) != set(now.export_locations):
            with site.store.write() as tx:
                shares.set_locations(tx, now.id, reached)


def bring_online_while(
    site: Site, replica_id: str, ours: Callable[[], bool], bring: Callable[[], Online]
) -> Online | None:
    """Bring an active replica online as long as it is ours; None if it is not, or not any more.

    Our locks keep no other host from beginning to promote another one, and what we have just let be written to may be
    what that promotion had made read-only. So look again; what is no longer ours is made read-only again, and is ours
    once more if the promotion has failed before that.

    Raises:
        whatever `bring`, or ``ensure_share``, does.
    """
    while ours():
        online = bring()
        if ours():
            return online
        with site.store.read() as tx:
            opened = replicas.get(tx, replica_id)
        make_read_only(site, opened)
    return None


def bring_resting_online(site: Site, share_id: str) -> tuple[Share, Online] | None:
    """Bring a share whose lock is held online, if it is at rest, and this host's; answer it as it was on record.

    Raises:
        as :func:`bring_online`.
    """
    share = found_in(site, share_id, AT_REST)
    if share is None or share.pool.host != site.host:
        return None

    def ours() -> bool:
        now = found_in(site, share_id, AT_REST) if share.replication_type else share
        return now is not None and now.replica.id == share.replica.id

    online = bring_online_while(site, share.replica.id, ours, lambda: bring_online(site, share_id))
    return None if online is None else (share, online)


def found_in(site: Site, share_id: str, statuses: Collection[Status]) -> Share | None:
    """Read a share; None if it is gone, or in another status by now."""
    with site.store.read() as tx, suppress(NotFound):
        share = shares.get(tx, share_id)
        return share if share.status in statuses else None
    return None


def make_read_only(site: Site, active: Share | ShareReplica) -> None:
    """Let nobody write to an active replica, which is on this host: another is about to be the active one.

    Raises:
        whatever ``ensure_share`` does: it may still be written to.
    """
    following = active.replica.model_copy(update={"state": ReplicaState.OUT_OF_SYNC})
    site.driver(active.pool.backend).ensure_share(following)


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
            online.record(tx)


def _mounted(site: Site, share: Share, snapshot: SnapshotInstance) -> list[ExportLocation]:
    return verbs(site.driver(share.pool.backend), SupportsMountableSnapshots).ensure_snapshot(snapshot)
