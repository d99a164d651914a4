"""File systems on a volume: made, found out, copied, given a new identity, grown, shrunk. ext4 and XFS.

XFS refuses to mount a second file system of one UUID, and a share and its snapshots have the same: ``nouuid``. Nor
does it mount read-only what has a log to replay, as every snapshot of a mounted one has: ``norecovery``. All metadata
is in its place then, for the kernel freezes a mounted file system before it is snapshotted.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from revertkit.errors import BackendError, Blocked, CommandFailed
from revertkit.models import GIB, Blocker
from revertkit.system.run import Completed, run

SHARE_OPTIONS = {"ext4": ("nodev", "nosuid", "noatime"), "xfs": ("nodev", "nosuid", "noatime", "nouuid")}
"""What clients write is never a device or a privilege here, and reading changes nothing that a snapshot must keep."""
SNAPSHOT_OPTIONS = {"ext4": ("ro", "nodev", "nosuid"), "xfs": ("ro", "nodev", "nosuid", "norecovery", "nouuid")}
KNOWN = tuple(SHARE_OPTIONS)


def make(device: Path, kind: str) -> None:
    """Make a file system, over whatever is there. An ext4's UUID can be changed later without rewriting it all."""
    if kind == "xfs":
        run(["mkfs.xfs", "-q", "-f", device])
    else:
        run(["mkfs.ext4", "-q", "-F", "-m", "0", "-O", "metadata_csum_seed", device])


def found_on(device: Path) -> tuple[str, int]:
    """Answer what file system is on an active volume, and how many bytes of it that takes; ("", 0) if none is known."""
    facts = _probed(device)
    size = int(facts.get("FSLASTBLOCK", 0)) * int(facts.get("FSBLOCKSIZE", 0))
    return facts.get("TYPE", ""), size


def same(one: Path, other: Path) -> bool:
    """Whether two active volumes hold states of one file system, by its UUID."""
    uuid = _probed(one).get("UUID")
    return uuid is not None and uuid == _probed(other).get("UUID")


def _probed(device: Path) -> dict[str, str]:
    """By blkid(8), on the device itself; it exits with 2 where it knows nothing of what is there."""
    said = run(["blkid", "-p", "-o", "export", device], ok=(0, 2), changes=False).stdout
    return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)


def copy(source: Path, device: Path, kind: str) -> None:
    """Copy `source`, which does not change, to `device`.

    e2image(8) writes no block that is not in use. For XFS it is every block: xfs_copy(8) takes no log that has
    something in it, and zeros cannot be left out where an earlier volume may have left something else.
    """
    if kind == "xfs":
        run(["dd", f"if={source}", f"of={device}", "bs=4M", "conv=fsync", "status=none"], timeout=None)
    else:
        run(["e2image", "-ra", source, device], timeout=None)


def renew(device: Path, kind: str) -> None:
    """Give an unmounted copy a UUID of its own, or the two could be mistaken for each other. XFS: with an empty log.

    Raises:
        BackendError: it has the same one still; xfs_admin(8) exits with 0 where the log is not empty.
    """
    before = _probed(device).get("UUID")
    said = run(["xfs_admin", "-U", "generate", device]) if kind == "xfs" else _renew_ext4(device)
    if _probed(device).get("UUID") == before:
        raise BackendError(f"{device} has not got a UUID of its own: {said.stdout} {said.stderr}")


def _renew_ext4(device: Path) -> Completed:
    """One that was not made here may have checksums that hold the UUID: it has to be checked first, and rewritten."""
    new_uuid: list[str | Path] = ["tune2fs", "-U", "random", device]
    try:
        return run(new_uuid)
    except CommandFailed as failure:
        if "freshly checked" not in failure.stderr:
            raise
    _check(device)
    return run(new_uuid, stdin="y\n", timeout=None)


def grow(device: Path, top: Path, kind: str, size: int) -> None:
    """Grow the file system on `device`, mounted at `top`, to `size` GiB; it is that large already: fine."""
    if kind == "xfs":
        run(["xfs_growfs", "-D", str(size * GIB // os.statvfs(top).f_frsize), top], timeout=None)
    else:
        run(["resize2fs", device, f"{size * GIB // 1024}K"], timeout=None)


def fits(top: Path, size: int) -> None:
    """See that what is in the file system at `top` is less than `size` GiB: a first look, without taking it offline.

    Raises:
        Blocked: it is more.
    """
    seen = os.statvfs(top)
    if (used := (seen.f_blocks - seen.f_bfree) * seen.f_frsize) >= size * GIB:
        raise Blocked(_too_much(f"{top} holds {used} bytes", size))


def shrink(device: Path, size: int) -> None:
    """Shrink the ext4 on `device`, which is not mounted, to `size` GiB; it is that small already: fine.

    Raises:
        Blocked: its data, or its tables, do not fit; nothing has changed.
    """
    _check(device)
    try:
        run(["resize2fs", device, f"{size * GIB // 1024}K"], timeout=None)
    except CommandFailed as failure:
        if re.search(r"smaller than minimum|Not enough space", failure.stderr):
            raise Blocked(_too_much(f"{device}: {failure.stderr.strip().splitlines()[-1]}", size)) from failure
        raise


def _too_much(what: str, size: int) -> Blocker:
    return Blocker(kind="size", what=f"{what}, which does not fit into {size} GiB", mend="remove some of it")


def _check(device: Path) -> None:
    """Check and mend an ext4 before it is rebuilt, as resize2fs(8) and tune2fs(8) ask for; 1 says that it is mended."""
    run(["e2fsck", "-f", "-p", device], ok=(0, 1), timeout=None)
