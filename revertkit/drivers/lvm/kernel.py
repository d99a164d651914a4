"""What the kernel shows of LVM's devices, without a tool: those that a killed tool left suspended."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from revertkit.system.run import run

SYSFS = Path("/sys/class/block")
LOCKS = Path("/run/lock/lvm")
"""LVM's `global/locking_dir`, as it is everywhere unless somebody has set it."""
A_TOOLS_SECONDS = 10.0
"""What a tool that has the group's lock has to resume what it has suspended; one that is stuck never will."""


def resume_suspended(volume_group: str, name: str) -> None:
    """Resume what a killed LVM tool left suspended of an origin and its snapshots: reads of it would hang for ever.

    Never under a living one, which has the group's lock: a snapshot that it is taking would be torn.
    """
    end = time.monotonic() + A_TOOLS_SECONDS
    while suspended(volume_group, name):
        with _group_lock(volume_group) as ours:
            if ours or time.monotonic() > end:
                for device in suspended(volume_group, name):
                    run(["dmsetup", "resume", device])
                return
        time.sleep(0.05)


@contextmanager
def _group_lock(group: str) -> Iterator[bool]:
    """Try to take the lock that every LVM tool has while it works on the group; answer whether that was had."""
    path = LOCKS / f"V_{group}"
    try:
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o700)
    except FileNotFoundError:  # somebody has set another place for them
        yield False
        return
    try:
        yield _locked(opened, path)
    finally:
        os.close(opened)


def _locked(opened: int, path: Path) -> bool:
    """Lock an open file; no if another has it, or removed it, as a tool does when it lets go of it."""
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(opened), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def suspended(group: str, name: str) -> list[str]:
    """Name the suspended devices of an origin and its snapshots; asks the kernel, no tool.

    In the order to resume them: what is below first, and the origin last, or what is written to it would pass by a
    snapshot that is still suspended.
    """
    by_name = {_shown(node, "name"): node for node in SYSFS.glob("dm-*")}
    top = "-".join(part.replace("-", "--") for part in (group, name))
    nodes = [by_name[n] for n in (f"{top}-real", top) if n in by_name]
    tops = [SYSFS / holder.name for node in nodes[:1] for holder in node.glob("holders/dm-*")]
    below = [SYSFS / slave.name for node in tops for slave in node.glob("slaves/dm-*")]
    ordered = dict.fromkeys([*below, *(top for top in tops if top not in nodes), *nodes])
    return [_shown(node, "name") for node in ordered if _shown(node, "suspended") == "1"]


def _shown(node: Path, what: str) -> str:
    """Read what the kernel shows of a device; nothing of one that goes away just now, as others' volumes do."""
    try:
        return (node / "dm" / what).read_text().strip()
    except OSError as gone:
        if gone.errno in (errno.ENOENT, errno.EINVAL, errno.ENODEV):
            return ""
        raise
