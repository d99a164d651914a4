"""Volumes that somebody else made: taken over as shares and snapshots, let go of, and found again by their tags.

A volume becomes ours by its tags, in one change of LVM's metadata, and then gets our name; a call that was killed
between the two finds it by either. Nothing is written to it, and it is never removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from revertkit.drivers.lvm import family, filesystems, lvm2, rows
from revertkit.drivers.lvm.kind import Kind, blocking
from revertkit.drivers.lvm.rows import Volume
from revertkit.errors import BackendError, Blocked, InvalidInput
from revertkit.models import GIB, Blocker, FoundShare, FoundSnapshot, Replica, SnapshotInstance, Stored

OTHER = "name another volume"


def name_of(existing: str, group: str) -> str:
    """Read ``name``, ``group/name`` or ``/dev/group/name``.

    Raises:
        InvalidInput: it is none of these, or of another group.
    """
    found = re.fullmatch(rf"(?:(?:/dev/)?{re.escape(group)}/)?([A-Za-z0-9_.+][A-Za-z0-9_.+-]{{0,126}})", existing)
    if found is None or found[1] in (".", ".."):
        raise InvalidInput(f"{existing!r} is no logical volume of {group}: write its name, or {group}/name")
    return found[1]


# --- shares


def share(kind: Kind[Any], wanted: Replica, existing: str) -> Stored:
    """Make the volume `existing` this share's; its data and whatever snapshots it has stay."""
    name, ours = name_of(existing, kind.group), rows.named("share", wanted.id)
    volumes = lvm2.volumes(kind.group)
    volume = _named(volumes, name, ours, rows.tag("share", wanted.id))
    if volume.tag("share") != wanted.id:
        _refuse(_unfit(kind, volume))
        with _looked_into(volume):
            filesystem = _filesystem(volume)
        lvm2.mark(volume, family.share_tags(wanted, volume.size // GIB, filesystem))
    _rename(kind, volume, ours, rows.tag("share", wanted.id))
    return Stored(backend_id=volume.uuid, size=volume.size // GIB)


def _rename(kind: Kind[Any], volume: Volume, ours: str, mark: str) -> None:
    """Give a tagged volume our name.

    Raises:
        BackendError: LVM answered success, but its tag is not there, and it has its own name still; or its name is not.
    """
    _see(kind, volume, volume.name, mark)
    if volume.name != ours:
        lvm2.rename(volume, ours)
        _see(kind, volume, ours, mark)


def _see(kind: Kind[Any], volume: Volume, name: str, mark: str) -> None:
    now = next((v for v in lvm2.volumes(kind.group) if v.uuid == volume.uuid), None)
    if now is None or now.name != name or mark not in now.tags:
        raise BackendError(f"LVM answered success, but {volume.path} is not {name} with the tag {mark}: {now}")


def _named(volumes: list[Volume], name: str, ours: str, mark: str) -> Volume:
    """Find what is to be adopted, under its own name or, marked already, under ours."""
    found = {v.name: v for v in volumes if not v.hidden}
    if ours in found and mark in found[ours].tags:
        return found[ours]
    if name not in found:
        raise Blocked(Blocker(kind="missing", what=f"there is no volume {name}", mend="see lvs for what there is"))
    return found[name]


def _refuse(found: list[Blocker]) -> None:
    if found:
        raise Blocked(*found)


def _unfit(kind: Kind[Any], volume: Volume) -> list[Blocker]:
    found = [*_foreign(volume), *kind.why_not_adopt(volume), *_used(kind, volume)]
    if volume.size % GIB:
        what = f"{volume.path} has {volume.size} bytes, which is no whole number of GiB"
        found.append(Blocker(kind="size", what=what, mend="extend it to one (lvextend), and its file system with it"))
    if volume.read_only:
        what = f"{volume.path} is read-only, as snapshots are"
        found.append(Blocker(kind="layout", what=what, mend="make it writable (lvchange -prw) if it is to be a share"))
    return found


def _foreign(volume: Volume) -> list[Blocker]:
    if not volume.marks:
        return []
    what = f"{volume.path} belongs to share {volume.tag('share')} already"
    tags = " ".join(f"--deltag {mark}" for mark in volume.marks)
    mend = f"unmanage it there; if it is on no record: lvchange {tags} {volume.group}/{volume.name}"
    return [Blocker(kind="managed", what=what, mend=mend)]


def _used(kind: Kind[Any], volume: Volume) -> list[Blocker]:
    if not volume.open:
        return []
    unknown = Blocker(kind="open", what=f"{volume.path} is in use", mend="unmount it, and end what uses it")
    return kind.front.users(volume, None) or [unknown]


@contextmanager
def _looked_into(volume: Volume) -> Iterator[None]:
    """Activate it to read it; refused, it is as it was."""
    if not volume.active:
        lvm2.activate(volume)
    try:
        yield
    except Blocked:
        if not volume.active:
            lvm2.deactivate(volume)
        raise


def _filesystem(volume: Volume) -> str:
    kind, _ = filesystems.found_on(volume.path)
    if kind not in filesystems.KNOWN:
        what = f"on {volume.path} is {kind or 'nothing that blkid knows'}, not {' or '.join(filesystems.KNOWN)}"
        raise Blocked(Blocker(kind="filesystem", what=what, mend=OTHER))
    return kind


def let_go_of_share(kind: Kind[Any], wanted: Replica) -> None:
    """Take a share offline and our tags off its volume, which keeps its name; one that was tagged and no more too.

    Raises:
        Blocked: a revert of it is half way, a snapshot of it is managed, or somebody has it open.
    """
    volumes = lvm2.volumes(kind.group)
    seen = kind.family(volumes, wanted.id)
    mend = "unmanage it first"
    managed = [v for v in seen.snapshots if v.tag("snapshot")]
    _refuse(
        family.halfway(seen) + [Blocker(kind="snapshot", what=f"it has {v.path}", mend=mend) for v in managed],
    )
    with kind.offline(seen, wanted):
        lvm2.remove(*kind.leftovers(seen))
    rest = [v for v in volumes if v.tag("share") == wanted.id and v not in seen.rooms]
    _unmark(kind, rest)
    kind.front.forget(kind.front.share(wanted))


def _unmark(kind: Kind[Any], volumes: list[Volume]) -> None:
    """Take our tags off.

    Raises:
        BackendError: LVM answered success, and they are there: nobody could adopt these volumes again.
    """
    for volume in volumes:
        lvm2.mark(volume, gone=volume.marks)
    uuids = {volume.uuid for volume in volumes}
    if left := [str(v.path) for v in lvm2.volumes(kind.group) if v.uuid in uuids and v.marks]:
        raise BackendError(f"LVM answered that our tags are off {', '.join(left)}, but they are there")


# --- snapshots


def snapshot(kind: Kind[Any], wanted: SnapshotInstance, existing: str) -> Stored:
    """Make the volume `existing`, a snapshot of the share that is newer than all of ours, this one; read-only."""
    name, ours = name_of(existing, kind.group), rows.named("snap", wanted.snapshot_id)
    volumes = lvm2.volumes(kind.group)
    volume = _named(volumes, name, ours, rows.tag("snapshot", wanted.snapshot_id))
    if volume.tag("snapshot") != wanted.snapshot_id:
        seen = kind.family(volumes, wanted.replica.id)
        readable = _of_another(kind, seen, volume, wanted) if volume.active else []
        _refuse([*readable, *_no_snapshot(kind, seen, volume, wanted)])
        with _looked_into(volume):
            _refuse(_of_another(kind, seen, volume, wanted) if not volume.active else [])
            size = _size(volume)
        lvm2.mark(volume, family.tags(wanted, size), protect=not volume.read_only)
    else:
        size = int(volume.tag("size") or wanted.size)
    _rename(kind, volume, ours, rows.tag("snapshot", wanted.snapshot_id))
    return Stored(backend_id=volume.uuid, size=size)


def _size(volume: Volume) -> int:
    """The share's size in it: of its file system, since a thick snapshot's own size is only its room for changes."""
    kind, size = filesystems.found_on(volume.path)
    if not size:
        what = f"on {volume.path} is {kind or 'nothing that blkid knows'}, not {' or '.join(filesystems.KNOWN)}"
        raise Blocked(Blocker(kind="filesystem", what=what, mend=OTHER))
    return -(-size // GIB)


def _no_snapshot(kind: Kind[Any], seen: family.Family, volume: Volume, wanted: SnapshotInstance) -> list[Blocker]:
    found = [*family.halfway(seen), *family.identity(seen, wanted.replica), *_foreign(volume), *_used(kind, volume)]
    if volume.invalid or volume.merging or volume.ailment or (volume.used_percent or 0) >= 100:
        what = f"the snapshot {volume.path} has overflowed, is merging or fails {volume.ailment}".rstrip()
        found.append(Blocker(kind="invalid", what=what, mend=OTHER))
    late = [v for v in seen.snapshots if v.tag("snapshot") and not _older(v, volume)]
    mend = "only the newest can be added: delete or unmanage that one first"
    found += [Blocker(kind="order", what=f"{volume.path} is not newer than {v.path}", mend=mend) for v in late]
    return found or kind.why_not_after([v for v in seen.snapshots if v.tag("snapshot")], volume)


def _of_another(kind: Kind[Any], seen: family.Family, volume: Volume, wanted: SnapshotInstance) -> list[Blocker]:
    if kind.is_snapshot_of(seen, volume):
        return []
    what = f"{volume.path} is no snapshot of share {wanted.replica.id}"
    return [Blocker(kind="origin", what=what, mend=OTHER)]


def _older(ours: Volume, volume: Volume) -> bool:
    """Whether `ours` is older by its record and by LVM's clock, which counts whole seconds."""
    recorded = int(ours.tag("taken") or 0) // 1_000_000
    return max(recorded, ours.taken) < volume.taken


def let_go_of_snapshot(kind: Kind[Any], wanted: SnapshotInstance) -> None:
    """Take a snapshot offline and our tags off its volume, which keeps its name and stays read-only."""
    volumes = lvm2.volumes(kind.group)
    _refuse(family.halfway(kind.family(volumes, wanted.replica.id)))
    ours = [v for v in volumes if v.tag("snapshot") == wanted.snapshot_id]
    rooms = [v for v in ours if family.is_room(v)]
    lvm2.remove(*rooms)  # of a revert that never began: without our snapshot it would say "half way"
    rest = [v for v in ours if v not in rooms]
    for volume in rest:
        with blocking():
            kind.front.take_offline(kind.front.snapshot(volume))
    _unmark(kind, rest)
    for volume in rest:
        kind.front.forget(kind.front.snapshot(volume))


# --- what is there


def inventory(kind: Kind[Any], pool: str) -> list[FoundShare]:
    """List the shares at rest that carry our tags, each with its snapshots; one look tells it all."""
    volumes = lvm2.volumes(kind.group)
    ids = sorted({v.tag("share") for v in volumes} - {None}, key=str)
    families = [(str(i), kind.family(volumes, str(i))) for i in ids]
    return [_share_found(seen.origin, seen, i, pool) for i, seen in families if seen.origin is not None]


def _share_found(origin: Volume, seen: family.Family, replica_id: str, pool: str) -> FoundShare:
    ours = sorted((v for v in seen.snapshots if v.tag("snapshot")), key=lambda v: int(v.tag("taken") or 0))
    return FoundShare(
        existing=origin.name,
        replica_id=replica_id,
        share_id=origin.tag("of") or replica_id,
        pool=pool,
        size=int(origin.tag("size") or -(-origin.size // GIB)),
        snapshots=tuple(_snapshot_found(v, origin) for v in ours),
    )


def _snapshot_found(volume: Volume, origin: Volume) -> FoundSnapshot:
    return FoundSnapshot(
        existing=volume.name,
        snapshot_id=str(volume.tag("snapshot")),
        size=int(volume.tag("size") or origin.tag("size") or -(-origin.size // GIB)),
        created_at=datetime.fromtimestamp(int(volume.tag("taken") or 0) / 1_000_000, UTC),
    )
