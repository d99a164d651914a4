"""What the host and the file system below ``mount_root`` can do, and how much room there is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from revertkit.capabilities import Capability
from revertkit.drivers.directory import tree
from revertkit.drivers.directory.home import OURS, usable
from revertkit.models import Lack, Pool
from revertkit.system import kernel
from revertkit.system.run import tool

_EXCHANGING = (Capability.REVERT, Capability.REPLICATION)
"""What cannot be had without exchanging two directories."""


def lacks_of_host() -> list[Lack]:
    """Name the tools that are not installed; without renameat2, a revert cannot be had."""
    missing = [(name, package) for name, package in tree.TOOLS.items() if tool(name) is None]
    lacks = [Lack(why=f"there is no {name}", mend=f"install {package}") for name, package in missing]
    if not kernel.has_renameat2():
        why = "the C library has no renameat2"
        lacks += [Lack(why=why, mend="use glibc 2.28 or later", capability=each) for each in _EXCHANGING]
    return lacks


def can_exchange(root: Path) -> bool:
    """Try whether the file system exchanges two directories, in one that goes again.

    Not in the one that holds our own: to be there it has to mean that shares were made here (blockers.py).

    Raises:
        BackendError: `root` is not there or cannot be written.
    """
    with usable(root), TemporaryDirectory(prefix=f"{OURS}-", dir=root) as directory:
        return kernel.exchanges_in(Path(directory))


def no_exchange(root: Path) -> Lack:
    """Say what is taken away where it does not."""
    why = f"the file system of {root} cannot exchange two directories"
    return Lack(why=why, mend="use ext4, XFS, Btrfs, tmpfs or ZFS 2.2", capability=Capability.REVERT)


def no_peers(root: Path) -> Lack:
    """Say what is taken away where there is nothing to replicate with."""
    why, mend = f"{root} has no peers to replicate with", "name another backend's mount_root in this one's `peers`"
    return Lack(why=why, mend=mend, capability=Capability.REPLICATION)


def look(root: Path, *, exchanges: bool, replicates: bool) -> Pool:
    """Report the one pool, with what it does not do.

    Raises:
        BackendError: there is nothing to look at.
    """
    with usable(root):
        room = os.statvfs(root)
    return Pool(
        name="directory",
        total_bytes=room.f_blocks * room.f_frsize,
        free_bytes=room.f_bavail * room.f_frsize,
        lacks=tuple(_lacks(root, exchanges=exchanges, replicates=replicates)),
        extra=_limits(root=os.geteuid() == 0),
    )


def _lacks(root: Path, *, exchanges: bool, replicates: bool) -> Iterator[Lack]:
    if not exchanges:
        yield from (no_exchange(root).model_copy(update={"capability": each}) for each in _EXCHANGING)
    elif not replicates:
        yield no_peers(root)


def _limits(*, root: bool) -> dict[str, bool]:
    return {
        "point_in_time_snapshots": False,
        "size_enforced": False,
        "keeps_foreign_owners": root,
        "sees_all_open_files": root,
    }
