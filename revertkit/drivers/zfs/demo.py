"""Where the demo's share lives on ZFS: a pool of its own, on a file or an empty disk. Gone afterwards."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from revertkit.drivers.zfs import openzfs
from revertkit.models import GIB

FILE_BYTES = 2 * GIB
"""Sparse; a share of 1 GiB needs what is written to it."""


@contextmanager
def ground(home: Path, disk: Path | None) -> Iterator[dict[str, Any]]:
    """Make a pool on a file in `home` or on `disk`, and answer the backend's options.

    Raises:
        CommandFailed: ZFS refuses the disk, as it does where anything is on it.
    """
    pool, device = f"revertkit-demo-{secrets.token_hex(4)}", disk or home / "disk"
    if disk is None:
        with device.open("wb") as made:
            made.truncate(FILE_BYTES)
    openzfs.make_pool(pool, device)
    try:
        yield {"pool": pool, "mount_root": str(home / "shares")}
    finally:
        openzfs.destroy_pool(pool)
