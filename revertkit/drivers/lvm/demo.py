"""Where the demo's share lives on LVM: a volume group of its own, on a loop file or an empty disk. Gone afterwards."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from revertkit.drivers.lvm import lvm2
from revertkit.models import GIB
from revertkit.system.run import run

FILE_BYTES = 4 * GIB
"""Sparse: a share, its snapshot, and the room in which the snapshot is taken anew, each 1 GiB."""


@contextmanager
def ground(home: Path, disk: Path | None) -> Iterator[dict[str, Any]]:
    """Make a volume group on a loop file in `home` or on `disk`, and answer the backend's options.

    Raises:
        CommandFailed: LVM refuses the disk, as it does where anything is on it.
    """
    group = f"revertkit-demo-{secrets.token_hex(4)}"
    with _device(home, disk) as device:
        lvm2.make_group(group, device)
        try:
            yield {"volume_group": group, "mount_root": str(home / "shares")}
        finally:
            lvm2.remove_group(group, device)


@contextmanager
def _device(home: Path, disk: Path | None) -> Iterator[str]:
    if disk is not None:
        yield str(disk)
        return
    file = home / "disk"
    with file.open("wb") as made:
        made.truncate(FILE_BYTES)
    device = run(["losetup", "--find", "--show", file]).stdout.strip()
    try:
        yield device
    finally:
        run(["losetup", "--detach", device])
