"""OpenZFS: the only caller of libzfs_core, zfs(8), zpool(8) and zstream(8).

What changes a dataset goes through libzfs_core where it has the call: it is one ioctl, and it says what went wrong by
errno, not in prose. The commands list, and set properties, which libzfs_core cannot.

A rollback is ``lzc_rollback_to`` and never ``zfs rollback``: that command lists what is newer, and libzfs then destroys
whatever is newer by the time it gets there (cmd/zfs/zfs_main.c, lib/libzfs/libzfs_dataset.c), so that a snapshot taken
in between is lost behind an exit status of 0. ``lzc_rollback_to`` has the kernel compare the newest snapshot with the
expected one inside the transaction group (module/zfs/dsl_dataset.c), and refuses.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from revertkit.drivers.zfs import listing, streams
from revertkit.drivers.zfs.listing import Dataset, Health, Point
from revertkit.drivers.zfs.streams import Progress, Resumable
from revertkit.errors import BackendError, CommandFailed, InvalidInput
from revertkit.system.pipe import pipe
from revertkit.system.run import run, step

NO_DATASET = "dataset does not exist"
NOT_REMOUNTED = "property may be set but unable to remount filesystem"
CANMOUNT_NOAUTO = 2
"""``ZFS_CANMOUNT_NOAUTO`` of include/sys/fs/zfs.h: to the kernel an index property is a number."""
UNMOUNTED: dict[bytes, bytes | int] = {b"canmount": CANMOUNT_NOAUTO, b"sharenfs": b"off"}
"""Mounting and exporting are ours, and nothing comes back by itself at boot."""
ROLLBACK_CHECK = b"""
args = ...
dataset, snapshot = args['argv'][1], args['argv'][2]
return {errno = zfs.check.rollback(dataset), guid = zfs.get_prop(snapshot, 'guid')}
"""
"""See zfs-program(8): with which errno a rollback would fail now, and to a snapshot of which guid."""
PROPERTY = b"""
args = ...
return {value = zfs.get_prop(args['argv'][1], args['argv'][2])}
"""
"""See zfs-program(8): what a user property is; it takes no process, as zfs(8) would."""
DESTROY = b"""
args = ...
local snapshot, guid = args['argv'][1], args['argv'][2]
if not zfs.exists(snapshot) or tostring(zfs.get_prop(snapshot, 'guid')) ~= guid then
    return {errno = 0}
end
return {errno = zfs.sync.destroy(snapshot)}
"""
"""See zfs-program(8): look and destroy in one transaction group."""
STREAM = ["large_blocks", "embedded_data", "compress"]
"""The stream keeps blocks as they are on disk: pool and dataset have the features, being the same."""


class Refusal(BackendError):
    """libzfs_core failed one call: `number` is its errno, `name` what it was asked of, `details` what it said more."""

    def __init__(self, call: str, name: str, number: int, details: str = "") -> None:
        self.call, self.name, self.number = call, name, number
        super().__init__(f"{call} of {name} failed: {details or reason(call, number)}")


REASONS = {
    ("lzc_rollback_to", errno.ESRCH): "it has no such snapshot",
    ("lzc_rollback_to", errno.EEXIST): "a snapshot or bookmark is newer than the target",
    ("lzc_rollback_to", errno.EBUSY): "it is in use: mounted in some namespace, or being sent or received",
    ("lzc_rollback_to", errno.EDQUOT): "the snapshot is larger than the refquota",
    ("lzc_rollback_to", errno.ENOSPC): "the pool has no room for its refreservation",
    ("lzc_rollback_to", errno.ENOENT): "there is no such dataset",
    ("lzc_destroy_snaps", errno.EEXIST): "it has a clone",
    ("lzc_destroy_snaps", errno.EBUSY): "it is held (see zfs-hold(8)) or being sent",
    ("lzc_destroy", errno.EBUSY): "it is mounted in some namespace, or has snapshots",
    ("lzc_destroy", errno.EEXIST): "it has children",
}
"""What an errno means of a call, as the checks in module/zfs/dsl_dataset.c and dsl_destroy.c give them."""
MEANINGS = {errno.EAGAIN: "the pool is suspended", errno.EROFS: "the pool is read-only"}


def reason(call: str, number: int) -> str:
    """Put the errno of a call into words; OpenZFS has numbers beyond the system's."""
    words = REASONS.get((call, number)) or MEANINGS.get(number) or os.strerror(number)
    return f"{words} ({errno.errorcode.get(number, number)})"


def checked(name: str) -> str:
    """Return `name` if it names a pool or dataset: never an option, a snapshot or a bookmark.

    Raises:
        InvalidInput: it does not.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.:-]*(/[A-Za-z0-9][A-Za-z0-9_.:-]*)*", name):
        raise InvalidInput(f"{name!r} names no ZFS dataset: letters, digits and _ . : - with / between the parts")
    return name


def snapshot_name(dataset: str, short_name: str) -> str:
    """Put a snapshot's name together.

    Raises:
        InvalidInput: one of its halves is no name.
    """
    if "/" in short_name:
        raise InvalidInput(f"{short_name!r} names no ZFS snapshot: there is a / in it")
    return f"{checked(dataset)}@{checked(short_name)}"


def checked_any(name: str) -> str:
    """Return `name` if it names a dataset, or one snapshot; as :func:`checked` and :func:`snapshot_name`."""
    dataset, at, short_name = name.partition("@")
    return snapshot_name(dataset, short_name) if at else checked(name)


# --- looking


def look(name: str) -> Dataset | None:
    """Look at a dataset and everything on it, by one command; None if its parent is there and it is not.

    Raises:
        CommandFailed: zfs(8) failed, or the parent is missing too: its pool may not be imported.
    """
    argv = _get(name, depth=1)
    done = run(argv, ok=(0, 1), changes=False)
    if done.status == 0:
        return listing.parse(done.stdout, name)
    if NO_DATASET not in done.stderr:
        raise CommandFailed(argv, done.status, done.stderr)
    run(["zfs", "list", "-H", "-o", "name", name.rpartition("/")[0] or name], changes=False)
    return None


def look_over(via: Sequence[str], name: str) -> Dataset:
    """Look at a dataset, as :func:`look` does, by a command that runs others elsewhere.

    Raises:
        CommandFailed: there is no such dataset, or that place cannot be reached.
    """
    return listing.parse(run([*via, *_get(name, depth=1)], changes=False).stdout, name)


def look_below(name: str) -> list[Dataset]:
    """Look at every dataset one below `name`, by one command; their children are not told.

    Raises:
        CommandFailed: there is no such dataset, or its pool is not imported.
    """
    found = listing.parse_all(run(_get(name, depth=2), changes=False).stdout)
    return [dataset for dataset in found if dataset.name.rpartition("/")[0] == name]


def _get(name: str, depth: int) -> list[str]:
    kinds, columns = "filesystem,snapshot,bookmark", "name,property,value,source"
    return ["zfs", "get", "-Hp", "-d", str(depth), "-t", kinds, "-o", columns, ",".join(listing.ASKED), checked(name)]


def capacity(name: str) -> tuple[int, int]:
    """Answer how many bytes are used below `name` and how many are free to it, after parity and reservations.

    Raises:
        CommandFailed: there is no such dataset, or its pool is not imported.
    """
    said = run(["zfs", "list", "-Hp", "-o", "used,available", checked(name)], changes=False).stdout
    used, free = said.split()
    return int(used), int(free)


def written_since(name: str, snapshot: str) -> int:
    """Answer how many bytes were written to the dataset `name` since its snapshot of that name.

    Raises:
        CommandFailed: there is no such dataset or snapshot.
    """
    short_name = snapshot.partition("@")[2]
    said = run(["zfs", "get", "-Hp", "-o", "value", f"written@{short_name}", checked(name)], changes=False).stdout
    return int(said)


def health(name: str) -> Health:
    """Ask how the zpool is that holds `name`.

    Raises:
        CommandFailed: there is no such pool.
    """
    return listing.parse_health(
        run(["zpool", "list", "-Hp", "-o", "health,readonly", pool_of(name)], changes=False).stdout
    )


def pool_of(name: str) -> str:
    """Answer the zpool that holds the dataset `name`."""
    return checked(name).partition("/")[0]


def is_encrypted(name: str) -> bool:
    """Whether what is made below `name` is encrypted.

    Raises:
        CommandFailed: there is no such dataset.
    """
    said = run(["zfs", "get", "-H", "-o", "value", "encryption", checked(name)], changes=False).stdout
    return said.strip() != "off"


def read_token(token: str) -> Resumable:
    """Say which snapshot was being sent when a receive was cut."""
    return streams.parse_token(run(["zstream", "token", token], changes=False).stdout)


def rollback_refusal(dataset: str, snapshot: str, guid: str) -> str:
    """Say why the kernel would not roll `dataset` back to `snapshot` now; empty if it would. Changes nothing.

    ``lzc_rollback_to`` would also roll back what is mounted, and readers then see stale pages (openzfs issue 10931).
    This refuses it in whatever mount namespace it is mounted, and a snapshot that is not the one of this `guid`. It
    waits for a transaction group, for outside of one the kernel does not look whether a dataset is mounted
    (dsl_dataset_handoff_check).
    """
    arguments = [dataset.encode(), snapshot.encode()]
    said = _core("lzc_channel_program", dataset, pool_of(dataset).encode(), ROLLBACK_CHECK, params=arguments)
    if str(said[b"guid"] % 2**64) != guid:
        return f"the guid of {snapshot} is {said[b'guid'] % 2**64} and not {guid}"
    return reason("lzc_rollback_to", said[b"errno"]) if said[b"errno"] else ""


def user_property(name: str, user_property: str) -> str | None:
    """Ask the kernel for a user property of a dataset or snapshot; None if it has none."""
    pool, arguments = pool_of(name.partition("@")[0]).encode(), [name.encode(), user_property.encode()]
    said = _core("lzc_channel_program_nosync", name, pool, PROPERTY, params=arguments)
    return said[b"value"].decode() if said else None


# --- changing


def make_pool(pool: str, device: Path) -> None:
    """Make a pool on an empty device or file; ZFS refuses one that has anything on it."""
    run(["zpool", "create", "-m", "none", checked(pool), device])


def destroy_pool(pool: str) -> None:
    """Destroy a pool, with all that is in it."""
    run(["zpool", "destroy", checked(pool)])


def create(name: str) -> None:
    """Make an empty dataset, neither mounted nor shared."""
    with step("lzc_create"):
        _core("lzc_create", name, checked(name).encode(), "zfs", UNMOUNTED)


def clone(origin: str, name: str) -> None:
    """Make a dataset of the snapshot `origin` that nobody can write to, neither mounted nor shared."""
    with step("lzc_clone"):
        _core("lzc_clone", name, checked(name).encode(), origin.encode(), UNMOUNTED | {b"readonly": 1})


def destroy(name: str) -> None:
    """Destroy a dataset without snapshots and children; the kernel refuses any other. Nothing there is fine."""
    with step("lzc_destroy"):
        try:
            _core("lzc_destroy", name, checked(name).encode())
        except Refusal as refusal:
            if refusal.number != errno.ENOENT:
                raise


def snapshot(name: str, snapshot_id: str, size: int) -> None:
    """Take the snapshot `name`, with its id and the share's `size` in GiB on it, in one transaction."""
    own = {listing.SNAPSHOT.encode(): snapshot_id.encode(), listing.SIZE.encode(): str(size).encode()}
    with step("lzc_snapshot"):
        _core("lzc_snapshot", name, [name.encode()], own)


def destroy_snapshot(name: str) -> None:
    """Destroy the snapshot `name`, now and not deferred; nothing there is fine."""
    with step("lzc_destroy_snaps"):
        _core("lzc_destroy_snaps", name, [name.encode()], False)


def destroy_exactly(dataset: str, points: Sequence[Point]) -> None:
    """Destroy these snapshots of `dataset`, each only if it has the guid that was seen; one that is gone is fine.

    Raises:
        Refusal: one of them is held, cloned, being sent or mounted. Those before it are gone.
    """
    for point in points:
        with step("zfs destroy"):
            name, guid = point.name.encode(), str(_signed(int(point.guid))).encode()
            said = _core("lzc_channel_program", point.name, pool_of(dataset).encode(), DESTROY, params=[name, guid])
        if said[b"errno"] not in (0, errno.ENOENT):
            raise Refusal("lzc_destroy_snaps", point.name, said[b"errno"])


def _signed(number: int) -> int:
    """Write an unsigned number of 64 bits as a channel program has it."""
    return number - 2**64 if number >= 2**63 else number


def rollback_to(dataset: str, snapshot: str) -> None:
    """Roll `dataset` back to `snapshot`, which has to be its newest, in one transaction group.

    Raises:
        Refusal: ESRCH no such snapshot, EEXIST a newer snapshot or bookmark, EBUSY in use, EDQUOT larger than the
            refquota, ENOSPC, ENOENT no such dataset. Nothing has changed.
    """
    with step("lzc_rollback_to"):
        _core("lzc_rollback_to", dataset, dataset.encode(), snapshot.encode())


def rename(name: str, new_name: str) -> None:
    """Rename a dataset that is not mounted, or a snapshot; guids stay.

    Raises:
        Refusal: ENOENT nothing of that name, EEXIST the new name is taken. Nothing has changed.
    """
    with step("lzc_rename"):
        _core("lzc_rename", name, name.encode(), new_name.encode())


def copy(source: str, target: str) -> None:
    """Send the snapshot `source` to the new snapshot `target`; its dataset is made, neither mounted nor shared.

    Both ends are in this process: when it dies the kernel takes the unfinished dataset away.

    Raises:
        Refusal: of the end that failed first; there is no new dataset.
    """
    reading, writing = os.pipe()
    with step("lzc_receive"), ThreadPoolExecutor(2) as ends:
        sending = ends.submit(_send, source, writing)
        receiving = ends.submit(_receive, target, reading)
    for failure in (sending.exception(), receiving.exception()):
        if failure and not (isinstance(failure, Refusal) and failure.number == errno.EPIPE):
            raise failure  # a broken pipe is only what the other end's failure looks like from here


def _send(source: str, writing: int) -> None:
    try:
        _core("lzc_send", source, source.encode(), None, writing, STREAM)
    finally:
        os.close(writing)


def _receive(target: str, reading: int) -> None:
    try:
        _core("lzc_receive", target, target.encode(), reading, props=UNMOUNTED)
    finally:
        os.close(reading)


def mark(via: Sequence[str], name: str, replica_id: str) -> None:
    """Take the snapshot `name` as a marker, on the active replica."""
    run([*via, "zfs", "snapshot", "-o", f"{listing.MARKER}={replica_id}", checked_any(name)], name="zfs snapshot")


def mark_received(via: Sequence[str], point: Point) -> None:
    """Say on a marker of the active replica that its replica holds it."""
    value = f"{listing.MARKER}={point.marker}{listing.RECEIVED}"
    run([*via, "zfs", "set", value, checked_any(point.name)], name="zfs set")


def forget(via: Sequence[str], point: Point) -> None:
    """Destroy a marker of the active replica, whose name is of its own alone."""
    run([*via, "zfs", "destroy", checked_any(point.name)], name="zfs destroy")


def transfer(via: Sequence[str], send: Sequence[str], sent: str, target: str, *, first: bool, told: Progress) -> None:
    """Send into the new snapshot `target`, and stay resumable when it is cut.

    Raises:
        CommandFailed: of either end.
    """
    sink = streams.receive(checked_any(target), first=first)
    into = target.partition("@")[0]
    pipe([*via, *send], sink, name="zfs receive", transfer=f"{sent} {into}", percent=told)


def abort_receive(name: str) -> None:
    """Drop what a receive that was cut has left."""
    run(["zfs", "receive", "-A", checked(name)])


def set_properties(name: str, properties: Mapping[str, str]) -> None:
    """Set properties by one zfs(8); user properties and settings come in one transaction, after the quotas.

    No refquota is "0", as ``zfs get -p`` says it, and as ``zfs set`` does not take it.
    """
    said = {prop: "none" if (prop, value) == ("refquota", "0") else value for prop, value in properties.items()}
    run(["zfs", "set", *[f"{prop}={value}" for prop, value in said.items()], checked_any(name)])


def set_readonly(via: Sequence[str], name: str, *, readonly: bool) -> None:
    """Let nobody write to a dataset, whatever is open there; or let it be written to again.

    An account that is not root sets the property and cannot remount, over which zfs(8) fails. The kernel goes by the
    property (readonly_changed_cb in module/os/linux/zfs/zfs_vfsops.c), so that is what is looked at.

    Raises:
        CommandFailed: it may be set, and may not be.
    """
    value = "on" if readonly else "off"
    argv = [*via, "zfs", "set", f"readonly={value}", checked(name)]
    done = run(argv, ok=(0, 255), name="zfs set")
    told = done.status == 0 or NOT_REMOUNTED in done.stderr
    if not told or look_over(via, name).settings["readonly"] != value:
        raise CommandFailed(argv, done.status, done.stderr)


def clear(name: str, *user_properties: str) -> None:
    """Take user properties off a dataset or snapshot, one after the other; not there is fine.

    Raises:
        BackendError: zfs(8) says that it has, and one is there.
    """
    for each in user_properties:
        run(["zfs", "inherit", each, checked_any(name)])
        if user_property(name, each) is not None:
            raise BackendError(f"zfs(8) says that it has taken {each} off {name}, and it is there")


# --- libzfs_core


@cache
def _libzfs_core() -> Any:
    """Import pyzfs late: it takes as long as a command. It has no type stubs, so this is where it is Any."""
    try:
        import libzfs_core
    except ImportError as missing:
        raise BackendError(f"libzfs_core cannot be imported ({missing}): install Debian's python3-pyzfs") from missing
    return libzfs_core


def _core(call: str, name: str, *arguments: Any, **named: Any) -> Any:
    """Call libzfs_core. pyzfs turns errno into some thirty classes, and all keep it."""
    library = _libzfs_core()
    try:
        return getattr(library, call)(*arguments, **named)
    except library.exceptions.ZFSError as failure:
        details = getattr(failure, "details", None) or b""  # of a channel program
        raise Refusal(call, name, failure.errno, details.decode(errors="replace").partition("\n")[0]) from failure
