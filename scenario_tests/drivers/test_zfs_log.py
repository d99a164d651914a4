"""What was synced before a power cut is in ZFS's intent log alone until a mount replays it.

``zpool freeze`` keeps a pool from writing its transaction groups, as a power cut would; OpenZFS tries its log so.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from zfs_bench import Backend, backend_of_its_own, killed_at, prop, succeeds, until, zfs

from revertkit.models import Replica
from revertkit.status import ReplicaState
from revertkit.system import mounts, nfs
from revertkit.system.run import run

HELD = {"before": "before", "synced": "synced"}


@pytest.fixture
def backend(disk: Path) -> Iterator[Backend]:
    """A ZFS driver on a pool of its own."""
    pool = f"revertkit{os.urandom(4).hex()}"
    disk.mkdir()
    with (disk / "vdev").open("w") as vdev:
        vdev.truncate(512 << 20)
    run(["zpool", "create", "-O", "canmount=off", pool, disk / "vdev"])
    try:
        with backend_of_its_own(pool) as made:
            yield made
    finally:
        until(lambda: succeeds("zpool", "destroy", pool))
        shutil.rmtree(disk)


def synced(path: Path) -> None:
    """Write a file so that it outlasts a power cut."""
    with path.open("w") as file:
        file.write(path.name)
        file.flush()
        os.fsync(file.fileno())


def cut(backend: Backend, share: Replica, disk: Path) -> None:
    """Write and sync a file that no transaction group holds, and leave the pool as a boot finds it."""
    pool, top = backend.name.split("/")[0], backend.path(share)
    synced(top / "before")  # the log has to be begun before the pool is frozen
    run(["zpool", "sync", pool])
    run(["zpool", "freeze", pool])
    synced(top / "synced")
    nfs.unexport(share.share_id)
    mounts.unmount(top)
    run(["zpool", "export", pool])
    run(["zpool", "import", "-N", "-d", disk, pool])
    assert prop(backend.dataset(share), "mounted") == "no"


@pytest.mark.core
def test_a_snapshot_has_what_was_synced_before_a_power_cut(backend: Backend, disk: Path) -> None:
    share = backend.share()
    cut(backend, share, disk)
    assert read(backend.at(backend.take(share)), disk / "seen") == HELD


def test_what_is_no_longer_the_active_one_has_it_too(backend: Backend, disk: Path) -> None:
    """A planned promotion takes it offline first, and has the other brought up to date from that."""
    share = backend.share()
    cut(backend, share, disk)
    for _ in range(2):
        backend.driver.ensure_share(share.model_copy(update={"state": ReplicaState.OUT_OF_SYNC}))
        assert not backend.path(share).is_mount()
        assert prop(backend.dataset(share), "readonly") == "on"
    zfs("snapshot", f"{backend.dataset(share)}@by-hand")
    assert read(f"{backend.dataset(share)}@by-hand", disk / "seen") == HELD


def test_one_that_died_meanwhile_can_be_written_to_again(backend: Backend, disk: Path) -> None:
    """The promotion is put back, and finds the mount that was to replay the log."""
    share = backend.share()
    cut(backend, share, disk)
    old = share.model_copy(update={"state": ReplicaState.OUT_OF_SYNC})
    where = killed_at(1, lambda: backend.driver.ensure_share(old))
    assert where is not None
    assert "AFTER mount" in where
    backend.driver.ensure_share(share)
    assert (backend.path(share) / "synced").read_text() == "synced"
    (backend.path(share) / "again").write_text("again")


def read(snapshot: str, top: Path) -> dict[str, str]:
    """Read a snapshot's files through a mount of its own."""
    top.mkdir()
    run(["mount", "-t", "zfs", "-o", "ro", snapshot, top])
    try:
        return {file.name: file.read_text() for file in top.iterdir()}
    finally:
        run(["umount", top])
