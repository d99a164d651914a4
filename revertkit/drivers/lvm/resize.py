"""Other sizes: a share is grown online where LVM can, and shrunk offline. A tag says that a shrink is under way."""

from __future__ import annotations

from typing import Any

from revertkit.drivers.lvm import filesystems, lvm2, rows
from revertkit.drivers.lvm.kind import Kind
from revertkit.drivers.lvm.rows import Volume
from revertkit.errors import Blocked
from revertkit.models import GIB, Blocker, Replica, Stored
from revertkit.system import mounts


def extend(kind: Kind[Any], share: Replica, new_size: int) -> Stored:
    """Grow the volume and its file system."""
    seen, volume = kind.at_rest(share)
    kind.enlarge(seen, volume, share, new_size * GIB)
    _fill(kind, share, volume, new_size)
    return Stored(backend_id=volume.uuid, size=new_size)


def _fill(kind: Kind[Any], share: Replica, volume: Volume, size: int) -> None:
    """Let the file system take `size` GiB of a volume that is large enough, and say so on it."""
    place = kind.front.share(share)
    kind.front.mount(place, volume, volume.filesystem)
    filesystems.grow(volume.path, place.directory, volume.filesystem, size)
    kind.resized(volume, size)


def shrink(kind: Kind[Any], share: Replica, new_size: int) -> Stored:
    """Shrink the file system, then the volume.

    Killed in between, the call can be repeated; or ``ensure_share`` gives back what was taken (:func:`restore`).

    Raises:
        Blocked: XFS, a snapshot, too much data, or somebody has it open; the share is online as before.
    """
    seen, volume = kind.at_rest(share)
    if found := [*_never(volume), *kind.why_not_shrink(seen)]:
        raise Blocked(*found)
    place = kind.front.share(share)
    if mounts.mounted_at(place.directory):
        filesystems.fits(place.directory, new_size)
    with kind.offline(seen, share):
        if not volume.active:
            lvm2.activate(volume)
        lvm2.mark(volume, [rows.tag("resizing", new_size)])
        filesystems.shrink(volume.path, new_size)
    if volume.size > new_size * GIB:
        lvm2.trim(volume, new_size * GIB)
    _, volume = kind.at_rest(share)
    kind.resized(volume, new_size)
    return Stored(backend_id=volume.uuid, size=new_size)


def _never(volume: Volume) -> list[Blocker]:
    if volume.filesystem != "xfs":
        return []
    mend = "make a smaller share and copy its files there"
    return [Blocker(kind="filesystem", what=f"an XFS file system, as on {volume.path}, cannot shrink", mend=mend)]


def restore(kind: Kind[Any], share: Replica, seen: Any, volume: Volume) -> None:
    """Give a share the size on record again, after a shrink, begun or finished, that is not; else nothing happens."""
    if volume.tag("resizing") is None and int(volume.tag("size") or share.size) >= share.size:
        return
    if volume.size < share.size * GIB:
        kind.enlarge(seen, volume, share, share.size * GIB)
    _fill(kind, share, volume, share.size)
