"""What the kernel shows of LVM's devices, without a tool: those that a killed tool left suspended."""

from __future__ import annotations

import errno
import time
from pathlib import Path

from revertkit.system.run import run

SYSFS = Path("/sys/class/block")
A_TOOLS_SECONDS = 1.0
"""What a living tool has to resume a device that it has suspended; then it is taken for a killed one's."""


def resume_suspended(volume_group: str, name: str) -> None:
    """Resume what a killed LVM tool left suspended of an origin and its snapshots: reads of it would hang for ever.

    Only for an origin that nobody of ours works on; what another tool has suspended looks the same, for a while.
    """
    if suspended(volume_group, name):
        time.sleep(A_TOOLS_SECONDS)
    for device in suspended(volume_group, name):
        run(["dmsetup", "resume", device])


def suspended(group: str, name: str) -> list[str]:
    """Name the suspended devices of an origin and its snapshots, the lower ones first; asks the kernel, no tool."""
    by_name = {_shown(node, "name"): node for node in SYSFS.glob("dm-*")}
    top = "-".join(part.replace("-", "--") for part in (group, name))
    nodes = [by_name[n] for n in (f"{top}-real", top) if n in by_name]
    tops = [SYSFS / holder.name for node in nodes[:1] for holder in node.glob("holders/dm-*")]
    below = [SYSFS / slave.name for node in tops for slave in node.glob("slaves/dm-*")]
    return [_shown(n, "name") for n in dict.fromkeys([*below, *nodes, *tops]) if _shown(n, "suspended") == "1"]


def _shown(node: Path, what: str) -> str:
    """Read what the kernel shows of a device; nothing of one that goes away just now, as others' volumes do."""
    try:
        return (node / "dm" / what).read_text().strip()
    except OSError as gone:
        if gone.errno in (errno.ENOENT, errno.EINVAL, errno.ENODEV):
            return ""
        raise
