"""What two looks, at a replica and at its active one, mean for the way from the one to the other. Pure.

A snapshot has the same guid wherever it was received, and the same past: so what two datasets have in common ends at
the newest snapshot that both hold, their *base*. All that is newer on the replica was discarded, or never arrived.

A *marker* is a snapshot of ours that nobody asked for: the last moment that a replica has received. Its name and its
property say whose progress it marks, and the property, in the end, that its replica holds it:

* of a replica that follows: from that moment on it can be continued, and turned back to;
* of the active one itself: what it received while it followed, or a deleted snapshot, that a replica may need yet.

A replica is given the markers of the others too, so that whichever is promoted has a base in common with each.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from revertkit.drivers.zfs.listing import MARKER, RECEIVED, SIZE, SNAPSHOT, Dataset, Kind, Point

if TYPE_CHECKING:
    from revertkit.models import SnapshotInstance

RANDOM = 12
"""Characters that a marker's name ends in."""
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
OUR_NAME = re.compile(rf"(?:snap-(?P<snapshot>{UUID})|marker-(?P<marker>{UUID})-[0-9a-f]{{{RANDOM}}})")


def marker_name(replica_id: str) -> str:
    """Make up what a new marker of this replica's progress is called, after the ``@``."""
    return f"marker-{replica_id}-{secrets.token_hex(RANDOM // 2)}"


class Base(NamedTuple):
    """The newest snapshot that both hold, as the replica has it and as the active one has it."""

    here: Point
    there: Point


def base(here: Dataset, there: Dataset) -> Base | None:
    """Find the newest snapshot that a replica has in common with the active one."""
    known = {p.guid: p for p in there.snapshots}
    return next((Base(p, known[p.guid]) for p in reversed(here.snapshots) if p.guid in known), None)


def beyond(here: Dataset, base: Base | None) -> list[Point]:
    """List what a replica has that is newer than the base, the oldest first."""
    return here.newer(base.here) if base else list(here.points)


def foreign(points: Iterable[Point]) -> list[Point]:
    """Pick those that are neither on record nor markers: nobody but their owner may destroy them."""
    return [p for p in points if p.kind is Kind.BOOKMARK or not p.ours]


def due(here: Dataset, there: Dataset, until: Point) -> list[Point]:
    """List what the replica has to receive, the oldest first, up to the marker `until`.

    Every snapshot of ours, and the markers by which others can follow this replica once it is promoted.
    """
    found = base(here, there)
    after = found.there.createtxg if found else 0
    return [
        p
        for p in there.snapshots
        if after < p.createtxg <= until.createtxg and (p.snapshot_id or p.received or p.guid == until.guid)
    ]


def needed(found: Dataset, point: Point, peers: Collection[str]) -> bool:
    """Whether a replica of `peers` may yet need `point` of its active one: it has received nothing newer."""
    arrived = {p.marker for p in found.newer(point) if p.received}
    return not arrived.issuperset(peers)


def unmarked(found: Dataset, peers: Collection[str]) -> bool:
    """Whether a replica of `peers` has no marker here to follow by, so that it may depend on any older snapshot."""
    return not {p.marker for p in found.snapshots if p.received}.issuperset(peers)


def abandoned(here: Dataset, there: Dataset, replica_id: str) -> list[Point]:
    """List the markers on the active one that a cut look took, and of which nothing has arrived."""
    held = {p.guid for p in here.snapshots}
    return [p for p in there.snapshots if p.marker == replica_id and not p.received and p.guid not in held]


def with_received(there: Dataset, marker: Point) -> Dataset:
    """Answer the look as it is once a marker is seen to have arrived."""
    points = tuple(replace(p, received=True) if p.guid == marker.guid else p for p in there.points)
    return replace(there, points=points)


def markers(found: Dataset) -> set[str]:
    """Name the replicas whose progress is marked here."""
    return {p.marker for p in found.snapshots if p.marker}


def stale(found: Dataset, replica_id: str, peers: Collection[str]) -> list[Point]:
    """List the markers on the active replica that nobody needs any more.

    Its own, once every other has received a newer one; that of another, once that has; those of replicas that are gone.
    """
    return [
        p
        for p in found.snapshots
        if p.marker
        and not (p.marker == replica_id and needed(found, p, peers))
        and not (p.marker in peers and needed(found, p, [p.marker]))
    ]


def properties(short_name: str, size: int | None) -> dict[str, str]:
    """Say what a snapshot of this name is, if it is one of ours that a replica has received; else nothing."""
    if (found := OUR_NAME.fullmatch(short_name)) is None:
        return {}
    if found["marker"]:
        return {MARKER: found["marker"] + RECEIVED}
    return {SNAPSHOT: found["snapshot"], **({SIZE: str(size)} if size else {})}


def claims(here: Dataset, snapshots: Sequence[SnapshotInstance]) -> dict[str, dict[str, str]]:
    """Say which properties of ours a replica's markers, and `snapshots` on record, lack: a receive brings names alone.

    One that has such a name and is on no record was unmanaged, while the replica was the active one: it is somebody's.
    """
    sizes = {one.snapshot_id: one.size for one in snapshots}
    found = {}
    for point in here.snapshots:
        named = OUR_NAME.fullmatch(point.short_name)
        if named and not point.ours and (named["marker"] or named["snapshot"] in sizes):
            found[point.name] = properties(point.short_name, sizes.get(named["snapshot"]))
    return found
