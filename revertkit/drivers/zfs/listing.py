"""What ``zfs get`` and ``zpool list`` say, as records. Pure: :mod:`~revertkit.drivers.zfs.openzfs` asks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from revertkit.errors import BackendError

SHARE = "revertkit:share"
"""On a dataset: the id of the share that it is. Set last, so that a dataset without it was never finished."""
SNAPSHOT = "revertkit:snapshot"
"""On a snapshot: the id of the snapshot that it is."""
SIZE = "revertkit:size"
"""On a snapshot: the share's size in GiB when it was taken; a rollback does not bring refquota back."""
REVERTING = "revertkit:reverting"
"""On a dataset: the guid of the snapshot that it is being reverted to; set only while it is offline."""
DONE = " done"
"""What the mark of a revert ends in once the rollback has been seen to succeed."""
MARKER = "revertkit:marker"
"""On a snapshot that only marks a replica's progress: that replica's id. It is no snapshot on record, or no more."""
RECEIVED = ":received"
"""What a marker's id ends in once its replica has been seen to hold it."""
EMPTY = "revertkit:empty"
"""On a replica: it has never held anything, so that the first copy may replace it."""
OURS = (SHARE, SNAPSHOT, SIZE, REVERTING, MARKER, EMPTY)
SPACE = ("used", "available", "referenced", "written", "usedbydataset", "refquota", "refreservation")
SETTINGS = ("mountpoint", "canmount", "sharenfs", "devices", "setuid", "refquota", "readonly")
RESUME = "receive_resume_token"
MOUNTED = "mounted"
ASKED = tuple(
    dict.fromkeys(["type", "guid", "createtxg", "creation", MOUNTED, *SPACE, *SETTINGS, RESUME, "clones", *OURS])
)
"""The properties that :func:`parse` needs."""


class Kind(StrEnum):
    """What of a dataset stands in the way of a rollback when it is newer than the target."""

    SNAPSHOT = "snapshot"
    BOOKMARK = "bookmark"


@dataclass(frozen=True)
class Point:
    """A snapshot or bookmark. `createtxg` orders them: two of one second have the same `creation` time."""

    name: str
    kind: Kind
    guid: str
    createtxg: int
    creation: int = 0
    referenced: int = 0
    snapshot_id: str | None = None
    size: int | None = None
    marker: str | None = None
    """The id of the replica whose progress it marks, where it is no snapshot of anybody's."""
    received: bool = False
    """Whether that replica has been seen to hold it."""
    clones: tuple[str, ...] = ()

    @property
    def ours(self) -> bool:
        """Whether it is a snapshot on record, or a marker."""
        return bool(self.snapshot_id or self.marker)

    @property
    def short_name(self) -> str:
        """What stands after the ``@`` or ``#``."""
        return re.split("[@#]", self.name)[1]


@dataclass(frozen=True)
class Dataset:
    """One look at a dataset: its bytes, settings and ids, its points with the oldest first, its children's names."""

    name: str
    guid: str
    space: Mapping[str, int]
    settings: Mapping[str, str]
    share_id: str | None = None
    reverting: str | None = None
    """The guid of the snapshot that it is being rolled back to: the mark of a revert that is not on record yet."""
    rolled_back: bool = False
    """Whether that mark says that the rollback is done."""
    points: tuple[Point, ...] = ()
    children: tuple[str, ...] = ()
    token: str | None = None
    """By which a receive that was cut can go on."""
    empty: bool = False
    """Whether it is a replica that has never held anything."""
    mounted: bool = False
    """Whether it is mounted where zfs(8) was asked: what was synced before a power cut is in it only then."""

    @property
    def snapshots(self) -> tuple[Point, ...]:
        """The snapshots, the oldest first."""
        return tuple(p for p in self.points if p.kind is Kind.SNAPSHOT)

    def snapshot(self, short_name: str) -> Point | None:
        """Find a snapshot by what stands after the ``@``."""
        return next((p for p in self.snapshots if p.name == f"{self.name}@{short_name}"), None)

    @property
    def following(self) -> bool:
        """Whether it is a replica that is not active: only such a one is read-only."""
        return self.settings["readonly"] == "on"

    def newer(self, point: Point) -> list[Point]:
        """List what the kernel would not roll back over: snapshots after `point`, and bookmarks of such."""
        return [p for p in self.points if p.createtxg > point.createtxg]


@dataclass(frozen=True)
class Health:
    """One line of ``zpool list``: the pool's state in zpool's word, and whether it was imported read-only."""

    state: str
    readonly: bool


def parse(listing: str, name: str) -> Dataset:
    """Read what ``zfs get -Hp -o name,property,value,source`` says of the dataset `name`.

    User properties count with the source ``local`` only: they are inherited, by snapshots too (zfsprops(7)).

    Raises:
        BackendError: a line that is none, or no word of `name`.
    """
    found = _read(listing)
    if name not in found:
        raise BackendError(f"zfs get said nothing of {name}")
    return _dataset(name, found)


def parse_all(listing: str) -> list[Dataset]:
    """Read what ``zfs get`` says of several datasets, as :func:`parse` does of one.

    Raises:
        BackendError: a line that is none.
    """
    found = _read(listing)
    by_dataset: dict[str, dict[str, Mapping[str, str]]] = {}
    for thing, said in found.items():
        by_dataset.setdefault(re.split("[@#]", thing)[0], {})[thing] = said
    return [_dataset(name, own) for name, own in by_dataset.items() if name in own]


def _read(listing: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for line in listing.splitlines():
        if not (fields := re.fullmatch(r"([^\t]+)\t([^\t]+)\t(.*)\t([^\t]*)", line)):
            raise BackendError(f"zfs get said something that is no property: {line!r}")
        thing, prop, value, source = fields.groups()
        if prop not in OURS or source == "local":
            found.setdefault(thing, {})[prop] = value
    return found


def _dataset(name: str, found: Mapping[str, Mapping[str, str]]) -> Dataset:
    own = found[name]
    mark = own.get(REVERTING)
    points = [_point(thing, said) for thing, said in found.items() if said["type"] in set(Kind)]
    return Dataset(
        name=name,
        guid=own["guid"],
        space={p: _number(own[p]) for p in SPACE},
        settings={p: own[p] for p in SETTINGS},
        share_id=own.get(SHARE),
        reverting=mark.removesuffix(DONE) if mark else None,
        rolled_back=bool(mark and mark.endswith(DONE)),
        points=tuple(sorted(points, key=lambda p: p.createtxg)),
        children=tuple(thing for thing in found if thing.startswith(f"{name}/")),
        token=None if own[RESUME] == "-" else own[RESUME],
        empty=EMPTY in own,
        mounted=own.get(MOUNTED) == "yes",
    )


def _point(name: str, said: Mapping[str, str]) -> Point:
    marker = said.get(MARKER)
    return Point(
        name=name,
        kind=Kind(said["type"]),
        guid=said["guid"],
        createtxg=int(said["createtxg"]),
        referenced=_number(said["referenced"]),
        creation=_number(said["creation"]),
        snapshot_id=None if marker else said.get(SNAPSHOT),
        size=_number(said.get(SIZE, "-")) or None,
        marker=marker.removesuffix(RECEIVED) if marker else None,
        received=bool(marker and marker.endswith(RECEIVED)),
        clones=() if said["clones"] in ("-", "") else tuple(said["clones"].split(",")),
    )


def _number(value: str) -> int:
    """Read a number of ``-p``; ``-`` (the property does not apply) and ``none`` are 0."""
    return 0 if value in ("-", "none") else int(value)


def parse_health(listing: str) -> Health:
    """Read the one line of ``zpool list -Hp -o health,readonly``.

    Raises:
        BackendError: it is none.
    """
    match listing.split():
        case [state, readonly]:
            return Health(state, readonly == "on")
    raise BackendError(f"zpool list said something that is no health: {listing!r}")
