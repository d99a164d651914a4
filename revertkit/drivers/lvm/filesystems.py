"""File systems on a volume: made, copied under a new identity, grown. Only ext4 as yet."""

from __future__ import annotations

from pathlib import Path

from revertkit.models import GIB
from revertkit.system.run import run

MOUNT_OPTIONS = ("nodev", "nosuid", "noatime")
"""What clients write is never a device or a privilege here, and reading changes nothing that a snapshot must keep."""
SNAPSHOT_OPTIONS = ("ro", "nodev", "nosuid")
HOURS = 24 * 3600.0


def make(device: Path) -> None:
    """Make an ext4 file system, over whatever is there. Its UUID can be changed later without rewriting it all."""
    run(["mkfs.ext4", "-q", "-F", "-m", "0", "-O", "metadata_csum_seed", device])


def copy(source: Path, device: Path) -> None:
    """Copy the blocks that are in use from `source` (unchanging) to `device`, and give the copy a UUID of its own.

    With the same UUID the two could be mistaken for each other; e2image(8) writes no block that is not in use.
    """
    run(["e2image", "-ra", source, device], timeout=HOURS)
    run(["tune2fs", "-U", "random", device])


def grow(device: Path, size: int) -> None:
    """Grow the file system on `device`, which is mounted, to `size` GiB; it is that large already: fine."""
    run(["resize2fs", device, f"{size * GIB // 1024}K"], timeout=HOURS)
