"""LVM's tools: the only place that calls them. Rows with types, failures with names, one command per function.

Reading is one ``lvs`` with every field that anybody needs, since on an idle machine the process is what costs.
Nothing here knows of shares; only what a volume's tags say is told apart.

What a function has changed outlasts a power cut from its return on. LVM's tools do not see to that: they write past the
kernel's cache and never ask a disk to write down its own.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from functools import cache

from revertkit.drivers.lvm.failures import NothingToDo, named
from revertkit.drivers.lvm.rows import FIELDS, Volume, parse
from revertkit.errors import BackendError, CommandFailed
from revertkit.system.run import run

SECONDS = "report/time_format=%s"
POLL_EACH_SECOND = "activation/polling_interval=1"
"""A merge is looked after every 15 seconds unless told otherwise, and ends only when it is looked after."""


@cache
def version() -> tuple[int, int, int]:
    """Ask LVM for its version.

    Raises:
        BackendError: it says something else.
    """
    said = _read(["lvs", "--version"])
    found = re.search(r"LVM version:\s+(\d+)\.(\d+)\.(\d+)", said)
    if found is None:
        raise BackendError(f"lvs --version tells no version: {said!r}")
    return int(found[1]), int(found[2]), int(found[3])


def volumes(group: str) -> list[Volume]:
    """List every volume of the group, those that LVM hides (a snapshot that is merging) too."""
    how = ["--reportformat", "json", "--units", "b", "--nosuffix", "--binary", "--config", SECONDS]
    report = _read(["lvs", "-a", *how, "-o", FIELDS, group])
    return parse(report)


def chunk_size(snapshot: Volume) -> int:
    """Answer in what pieces a thick snapshot keeps what is overwritten, in bytes."""
    return int(_read(["lvs", "--noheadings", "--units", "b", "--nosuffix", "-o", "chunk_size", _full(snapshot)]))


def capacity(group: str) -> tuple[int, int]:
    """Answer the group's size and what is free of it, in bytes."""
    argv = ["vgs", "--reportformat", "json", "--units", "b", "--nosuffix", "-o", "vg_size,vg_free", group]
    (row,) = json.loads(_read(argv))["report"][0]["vg"]
    return int(row["vg_size"]), int(row["vg_free"])


def make_group(group: str, device: str) -> None:
    """Make a volume group on an empty device; LVM refuses one that has anything on it."""
    run(["vgcreate", "--quiet", group, device])


def remove_group(group: str, device: str) -> None:
    """Remove a volume group that has no volumes, and its mark on the device."""
    run(["vgremove", group])
    run(["pvremove", device])


def create(group: str, name: str, size: int, tags: Sequence[str]) -> None:
    """Make an active volume of `size` bytes, wiped of what earlier volumes left at its beginning."""
    _change(group, ["lvcreate", "-y", "-Wy", "-Zy", "-n", name, "-L", f"{size}b", *_tagged(tags), group])


def create_thin(group: str, pool: str, name: str, size: int, tags: Sequence[str]) -> None:
    """Make an active thin volume of `size` bytes; what was never written reads as zeros, as the pool is told to."""
    _change(
        group, ["lvcreate", "-y", "-Wy", "-n", name, "-V", f"{size}b", *_tagged(tags), "--thinpool", f"{group}/{pool}"]
    )


def thin_snapshot(group: str, origin: str, name: str, tags: Sequence[str]) -> None:
    """Take a read-only snapshot of a thin volume. It is not active, and no boot makes it so: LVM skips it."""
    _change(group, ["lvcreate", "-y", "-s", "-pr", "-ky", "-n", name, *_tagged(tags), f"{group}/{origin}"])


def thin_copy(source: Volume, name: str, tags: Sequence[str]) -> None:
    """Make a writable volume with the content of `source`, which may be read-only; it is not active yet."""
    _change(source.group, ["lvcreate", "-y", "-s", "-prw", "-kn", "-an", "-n", name, *_tagged(tags), _full(source)])


def reserve(group: str, name: str, size: int, tags: Sequence[str]) -> None:
    """Take room for a volume, active, with its first chunk wiped.

    `become_snapshot` wipes it too, but in one command with the change that makes it one: a power cut may then keep that
    and lose the wiping, and whatever was there before, the tables of a snapshot long deleted, would be believed.
    """
    _change(group, ["lvcreate", "-y", "-Zy", "-Wn", "-n", name, "-L", f"{size}b", *_tagged(tags), group])


def snapshot(origin: Volume, name: str, size: int, tags: Sequence[str]) -> None:
    """Take a read-only snapshot with `size` bytes of room for changes, or as much of that as it can ever use.

    In bytes, since of a percentage LVM takes what there is in a group that is nearly full, and exits with 0.

    Raises:
        NoSpace: the group has not so much free.
    """
    argv = ["lvcreate", "-y", "-s", "-pr", "-n", name, "-L", f"{size}b", *_tagged(tags)]
    _change(origin.group, [*argv, _full(origin)])


def _tagged(tags: Sequence[str]) -> list[str]:
    return [word for each in tags for word in ("--addtag", each)]


def remove(*found: Volume) -> None:
    """Remove volumes of ours.

    Raises:
        InUse: one is open.
        BackendError: one is not ours, and nothing was removed; or LVM says that it has removed them, and has not.
    """
    for volume in found:
        if volume.tag("share") is None:
            raise BackendError(f"{_full(volume)} has no tag of revertkit: it is not removed")
    if found:
        _change(found[0].group, ["lvremove", "-y", *map(_full, found)])
        gone = {volume.uuid for volume in found}
        if left := next((v for v in volumes(found[0].group) if v.uuid in gone), None):
            raise BackendError(f"LVM says that it has removed {left.path}, and it is there")


def activate(volume: Volume) -> None:
    """Activate a volume; on an origin with a merge this begins it, and it goes on when this returns.

    Thin snapshots too, which are passed over without ``-K``.
    """
    _change(volume.group, ["lvchange", "-ay", "-K", "--config", POLL_EACH_SECOND, _full(volume)])


def deactivate(*found: Volume) -> None:
    """Deactivate volumes and, with an origin, its snapshots; none is fine.

    Raises:
        InUse: something holds one, in whatever mount namespace.
    """
    if found:
        _change(found[0].group, ["lvchange", "-an", *map(_full, found)])


def merge(snapshot: Volume) -> None:
    """Say that `snapshot` shall be merged when its origin is activated next. Origin and snapshots are not active.

    On an active and open origin the tool answers 0, does nothing, and keeps a merge pending that cannot be cancelled.
    """
    _change(snapshot.group, ["lvconvert", "-y", "--merge", _full(snapshot)])


def look_after(origin: Volume) -> None:
    """Have somebody look after the merge into `origin` again: who did may have been killed."""
    _change(origin.group, ["lvchange", "--poll", "y", "--config", POLL_EACH_SECOND, _full(origin)])


def become_snapshot(origin: Volume, room: Volume) -> None:
    """Turn `room`, writable and not active, into a snapshot of `origin`; its first chunk is wiped."""
    _change(origin.group, ["lvconvert", "-y", "--type", "snapshot", "-Zy", _full(origin), _full(room)])


def write_protect(volume: Volume) -> None:
    """Make it read-only."""
    _change(volume.group, ["lvchange", "-pr", _full(volume)])


def mark(volume: Volume, tags: Sequence[str] = (), gone: Sequence[str] = (), *, protect: bool = False) -> None:
    """Put tags on a volume and take others off, in one change of the metadata; make it read-only with it."""
    words = [*(word for each in gone for word in ("--deltag", each)), *_tagged(tags), *(["-pr"] if protect else [])]
    if words:
        _change(volume.group, ["lvchange", *words, _full(volume)])


def rename(volume: Volume, name: str) -> None:
    """Give it another name."""
    _change(volume.group, ["lvrename", volume.group, volume.name, name])


def grow(volume: Volume, size: int) -> bool:
    """Make it `size` bytes large, a snapshot as much of that as it can ever use; say whether it was not that large.

    Of a snapshot that can use no more, lvextend says that its size is unchanged, and exits with 0.
    """
    try:
        said = _change(volume.group, ["lvextend", "-L", f"{size}b", _full(volume)])
    except NothingToDo:
        return False
    return " unchanged from " not in said


def trim(volume: Volume, size: int) -> None:
    """Make it `size` bytes small; LVM itself looks that its file system ends before that, and refuses otherwise."""
    _change(volume.group, ["lvreduce", "-y", "-L", f"{size}b", "--fs", "checksize", _full(volume)])


def _full(volume: Volume) -> str:
    return f"{volume.group}/{volume.name}"


def _read(argv: Sequence[str]) -> str:
    try:
        return run(argv, changes=False).stdout
    except CommandFailed as failure:
        raise named(failure) from None


def _change(group: str, argv: Sequence[str]) -> str:
    try:
        said = run(argv).stdout
    except CommandFailed as failure:
        raise named(failure) from None
    _flush(group)
    return said


def _flush(group: str) -> None:
    """Have the disks of a group write down what they cache.

    Raises:
        BackendError: one cannot, and what was changed may not outlast a power cut.
    """
    try:
        _sync(_disks(group))
    except FileNotFoundError:  # a disk has left the group since it was looked at
        _disks.cache_clear()
        _sync(_disks(group))


@cache
def _disks(group: str) -> list[str]:
    """Name the devices that the group is on, but for those that are missing.

    One that was added since need not be known: each holds the same metadata, and one copy that is flushed is enough.
    """
    said = _read(["vgs", "--noheadings", "-o", "pv_name", group])
    return [word for word in said.split() if word.startswith("/")]


def _sync(disks: Sequence[str]) -> None:
    for disk in disks:
        opened = os.open(disk, os.O_RDONLY)
        try:
            os.fsync(opened)
        except OSError as failure:
            raise BackendError(f"{disk} does not write down its cache: {failure.strerror}") from failure
        finally:
            os.close(opened)
