"""What an operator does by hand, with the storage's own tools: volumes, datasets and snapshots that nobody manages."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ground import Ground

from revertkit.models import GIB


def sh(*argv: str | Path, seconds: float = 120) -> str:
    """Run a command of the operator's."""
    done = subprocess.run([*map(str, argv)], capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout


def make(ground: Ground, name: str, at: Path, write: Callable[[Path], None]) -> str:
    """Make a volume or dataset of 1 GiB with content, leave it unmounted, and answer what the backend calls it."""
    if ground.options["driver"] == "zfs":
        full = f"{ground.options['pool']}/{name}"
        sh("zfs", "create", "-o", "refquota=1G", "-o", f"mountpoint={at}", "-o", "acltype=posix", full)
        write(at)
        sh("zfs", "unmount", full)
        return full
    group, pool = ground.options["volume_group"], ground.options.get("thin_pool")
    kind = ["-V", "1g", "--thinpool", pool] if pool else ["-L", "1g"]
    sh("lvcreate", "-y", "-Wy", *kind, "-n", name, group)
    sh(f"mkfs.{ground.options.get('filesystem', 'ext4')}", "-q", f"/dev/{group}/{name}")
    at.mkdir(exist_ok=True)
    sh("mount", f"/dev/{group}/{name}", at)
    write(at)
    sh("umount", at)
    return name


def snapshot(ground: Ground, volume: str, name: str) -> None:
    """Take a snapshot of a share's volume or dataset."""
    if ground.options["driver"] == "zfs":
        sh("zfs", "snapshot", f"{ground.options['pool']}/{volume}@{name}")
        return
    size = [] if ground.options.get("thin_pool") else ["-L", "256M"]
    sh("lvcreate", "-y", "-s", *size, "-n", name, f"{ground.options['volume_group']}/{volume}")


@contextmanager
def loop_device(file: Path, size: int) -> Iterator[str]:
    """A block device of `size` bytes on a sparse file."""
    with file.open("wb") as made:
        made.truncate(size)
    device = sh("losetup", "--find", "--show", file).strip()
    try:
        yield device
    finally:
        sh("losetup", "--detach", device)
        file.unlink()


@contextmanager
def volume_group(name: str, file: Path, size: int) -> Iterator[str]:
    """A volume group of its own, gone afterwards with whatever is left in it."""
    with loop_device(file, size) as device:
        sh("vgcreate", name, device)
        try:
            yield name
        finally:
            sh("vgremove", "-y", name)
            sh("pvremove", device)


@contextmanager
def zpool(name: str, file: Path, size: int) -> Iterator[str]:
    """A zpool of its own, gone afterwards with whatever is left in it."""
    with loop_device(file, size) as device:
        sh("zpool", "create", "-m", "none", name, device)
        try:
            yield name
        finally:
            sh("zpool", "destroy", name)


@contextmanager
def storage_of_its_own(backend: str, file: Path) -> Iterator[dict[str, str]]:
    """A volume group, thin pool or zpool on `file` that nobody else uses; answer the backend's options for it."""
    name = f"rk-{uuid.uuid4().hex[:8]}"
    if backend == "zfs":
        with zpool(name, file, 4 * GIB):
            yield {"pool": name}
        return
    with volume_group(name, file, 6 * GIB):
        if not backend.startswith("thin"):
            yield {"volume_group": name}
            return
        sh("lvcreate", "-y", "--type", "thin-pool", "-L", "4g", "-n", "pool", name)
        yield {"volume_group": name, "thin_pool": "pool"}
