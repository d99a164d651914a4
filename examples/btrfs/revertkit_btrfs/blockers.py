"""What may stand in the way of an operation on a share, each with its mend. Looks, and changes nothing.

Why generators: a refusal names every blocker, so each question is asked, and none of them ends the asking.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from revertkit.models import GIB, Blocker, SnapshotInstance
from revertkit.system.holders import holders
from revertkit.system.mounts import mounts_within, shown_elsewhere
from revertkit_btrfs import btrfs
from revertkit_btrfs.btrfs import Subvolume
from revertkit_btrfs.home import Home

UNCOUNTED = {
    "off": ("quotas are off", "btrfs quota enable"),
    "squota": ("simple quotas do not count what a reverted share holds", "btrfs quota disable, then enable,"),
    "inconsistent": ("quotas are inconsistent", "btrfs quota rescan -w"),
}
"""Why no limit holds, by what :func:`~revertkit_btrfs.btrfs.quotas` says, and the mend."""


def of_identity(home: Home, live: Subvolume | None, recorded: str | None) -> Iterator[Blocker]:
    """The share is not there, or another one than is on record. One that was just made is not on record yet."""
    if live is None:
        mend = "mount the file system that holds it; if it was removed, revert it to its snapshot, or delete it"
        yield Blocker(kind="share_missing", what=f"nothing is at {home.online}", mend=mend)
    elif recorded not in (None, live.uuid):
        what = f"{live.path} has the uuid {live.uuid}, on record is {recorded}"
        yield Blocker(kind="share_identity", what=what, mend="put the recorded share back")


def of_snapshot(home: Home, snapshot: SnapshotInstance) -> Iterator[Blocker]:
    """The snapshot is missing, another one than is on record, or no longer what was taken."""
    path = home.snapshot(snapshot.snapshot_id)
    held = btrfs.look(path)
    if held is None:
        yield Blocker(kind="snapshot_missing", what=f"{path} is not there", mend="delete the snapshot")
    elif held.uuid != snapshot.backend_id:
        what = f"{path} has the uuid {held.uuid}, on record is {snapshot.backend_id}"
        yield Blocker(kind="snapshot_identity", what=what, mend="put the recorded snapshot back")
    elif not held.read_only:
        what = f"{path} can be written to, so nobody can tell whether it still is what was taken"
        yield Blocker(kind="snapshot_writable", what=what, mend="look at it, then delete the snapshot")


def of_inside(live: Subvolume | None) -> Iterator[Blocker]:
    """A subvolume or a mount inside the share: a snapshot holds neither, and a removal would meet both."""
    if live is not None:
        for name in btrfs.nested(live.path):
            what = f"{name} is a subvolume of its own inside the share, which no snapshot holds"
            yield Blocker(kind="nested", what=what, mend="move it out, or make it an ordinary directory")
        for point in mounts_within(live.path):
            yield Blocker(kind="mounted", what=f"{point} is mounted inside the share", mend="unmount it")


def of_use(home: Home, *snapshots: Path) -> Iterator[Blocker]:
    """A process has something of the share open, or of a snapshot, or the share is mounted at another place too.

    Who uses it there, in a container perhaps, is not seen here, and would be left with what is discarded.
    """
    for holder in holders(home.online, home.current, *snapshots):
        yield Blocker(kind="open", what=f"in use by {holder}", mend="close it or end the process")
    for place in (*shown_elsewhere(home.online), *shown_elsewhere(home.current)):
        yield Blocker(kind="mounted", what=f"{place} shows it too", mend="unmount it there")


def of_revert(home: Home, live: Subvolume | None, snapshot: SnapshotInstance) -> Iterator[Blocker]:
    """All that can stand in the way of a revert.

    A share that was removed does not: that is what a revert is for. A newer snapshot that nobody has on record does
    not either: a revert here touches no snapshot at all.
    """
    if live is not None:
        yield from of_identity(home, live, snapshot.replica.backend_id or "nothing")
    yield from of_snapshot(home, snapshot)
    yield from of_inside(live)
    yield from of_use(home, home.snapshot(snapshot.snapshot_id))


def of_removal(home: Home) -> Iterator[Blocker]:
    """The share has snapshots, which would be nobody's without it."""
    for path in home.snapshots():
        yield Blocker(kind="has_snapshot", what=f"{path} is a snapshot of it", mend="delete the snapshot first")


def of_quotas(root: Path) -> Iterator[Blocker]:
    """The file system counts no bytes, or not so that a limit would hold."""
    if (how := btrfs.quotas(root)) in UNCOUNTED:
        why, mend = UNCOUNTED[how]
        yield Blocker(kind="uncounted", what=f"on {root} {why}", mend=f"{mend} {root}")


def of_size(live: Subvolume, size: int) -> Iterator[Blocker]:
    """What the share holds does not fit in `size` GiB."""
    if (live.used or 0) > size * GIB:
        what = f"{live.path} holds {live.used} bytes, {size} GiB are {size * GIB}"
        yield Blocker(kind="does_not_fit", what=what, mend="remove data, or keep the size")
