"""Storage that runs full or goes away underneath, a writer that never stops, and names that tools trip over."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import by_hand
import files
import pytest
from ground import Ground, standing

from revertkit import manifest
from revertkit.errors import Blocked, RevertkitError
from revertkit.models import GIB, Share, Snapshot
from revertkit.status import Status

MIB = 1024**2


def _name() -> str:
    return f"rk-{uuid.uuid4().hex[:8]}"


# --- running full


@pytest.mark.parametrize("filesystem", ["ext4", "xfs"])
def test_a_thin_pool_that_runs_full(filesystem: str, disk: Path) -> None:
    """Past the limit new snapshots and reverts are refused with the figures; in a larger pool the old data comes back.

    The pool promises more than it has, and the writer learns it by an error.
    """
    name = _name()
    with by_hand.volume_group(name, disk, 4 * GIB):
        size = ["-L", "1100m", "--poolmetadatasize", "4m"]
        by_hand.sh("lvcreate", "-y", "--type", "thin-pool", *size, "-n", "pool", name)
        by_hand.sh("lvchange", "--errorwhenfull", "y", f"{name}/pool")
        more = {"volume_group": name, "thin_pool": "pool", "filesystem": filesystem}
        with standing(f"thin-{filesystem}", name, more) as ground:
            share, other = ground.share(), ground.share()
            files.write(ground.path(share))
            before = manifest.record(ground.path(share))
            snapshot = ground.snapshot(share)
            _fill(ground.path(share) / "fill", 300 * MIB)
            _fill(ground.path(other) / "fill", 900 * MIB)
            _refused(ground, share, snapshot)
            by_hand.sh("lvextend", "-L", "2500m", f"{name}/pool")
            ground.manager.revert_to_snapshot(ground.context, snapshot.id)
            assert manifest.record(ground.path(share)) == before


def _refused(ground: Ground, share: Share, snapshot: Snapshot) -> None:
    with pytest.raises(Blocked, match=r"pool.*%"):
        ground.manager.revert_to_snapshot(ground.context, snapshot.id)
    with pytest.raises(RevertkitError, match=r"pool.*%"):
        ground.manager.create_snapshot(ground.context, share.id, name="refused")
    ground.manager.delete_snapshot(ground.context, "refused")
    assert ground.now(share).status is Status.AVAILABLE


def _fill(path: Path, size: int) -> None:
    """Write until there is an error or `size` is reached, and see to it that it arrives."""
    block = os.urandom(4 * MIB)
    try:
        with path.open("wb", buffering=0) as file:
            for _ in range(size // len(block)):
                file.write(block)
                os.fsync(file.fileno())
    except OSError:
        return


def test_a_volume_group_without_room_for_the_snapshot(disk: Path) -> None:
    """A thick revert that could not take the snapshot anew is refused before anything changes."""
    name = _name()
    with (
        by_hand.volume_group(name, disk, 2 * GIB),
        standing("thick-ext4", name, {"volume_group": name}) as ground,
    ):
        share = ground.share()
        files.write(ground.path(share))
        before = manifest.record(ground.path(share))
        snapshot = ground.snapshot(share)
        files.wreck(ground.path(share))
        by_hand.sh("lvcreate", "-y", "-l", "100%FREE", "-n", "filler", name)
        with pytest.raises(Blocked, match="free"):
            ground.manager.revert_to_snapshot(ground.context, snapshot.id)
        assert manifest.record(ground.path(share)) != before
        by_hand.sh("lvremove", "-y", f"{name}/filler")
        ground.manager.revert_to_snapshot(ground.context, snapshot.id)
        assert manifest.record(ground.path(share)) == before


# --- going away underneath


@pytest.mark.parametrize("backend", ["thick-ext4", "thin-xfs"])
def test_a_volume_group_that_was_deactivated(backend: str, disk: Path) -> None:
    """It is activated again by whoever needs it: a revert, or the recovery."""
    with (
        by_hand.storage_of_its_own(backend, disk) as options,
        standing(backend, _name(), options) as ground,
    ):
        name = options["volume_group"]
        _gone_and_back(ground, lambda: by_hand.sh("vgchange", "-an", name), lambda: by_hand.sh("vgchange", "-ay", name))


def test_a_zpool_that_was_exported(disk: Path) -> None:
    """What needs it fails and says so, with nothing on record changed; after the import all goes on."""
    with (
        by_hand.storage_of_its_own("zfs", disk) as options,
        standing("zfs", _name(), options) as ground,
    ):
        name = options["pool"]
        _gone_and_back(
            ground,
            lambda: by_hand.sh("zpool", "export", name),
            lambda: by_hand.sh("zpool", "import", "-d", "/dev", name),
        )


def _gone_and_back(ground: Ground, take_away: Callable[[], object], bring_back: Callable[[], object]) -> None:
    share = ground.share()
    path = ground.path(share)
    files.write(path)
    before = manifest.record(path)
    snapshot = ground.snapshot(share)
    files.wreck(path)
    by_hand.sh("umount", path)
    take_away()
    if ground.options["driver"] == "zfs":
        with pytest.raises(RevertkitError, match=ground.options["pool"]):
            ground.manager.revert_to_snapshot(ground.context, snapshot.id)
        assert not all(told.at_rest for told in ground.opened().recover())
        assert ground.now(share).status is Status.AVAILABLE
        assert ground.manager.snapshot(ground.context, snapshot.id).status is Status.AVAILABLE
    bring_back()
    assert all(told.at_rest for told in ground.opened().recover())
    assert path.is_mount()
    ground.manager.revert_to_snapshot(ground.context, snapshot.id)
    assert manifest.record(path) == before


# --- a writer that never stops

WRITER = """
import os, sys
number = 0
with open(sys.argv[1], "ab", buffering=0) as log, open(sys.argv[2], "wb", buffering=0) as told:
    while True:
        number += 1
        log.write(b"%012d\\n" % number)
        os.fsync(log.fileno())
        os.pwrite(told.fileno(), b"%012d" % number, 0)
"""


def test_a_snapshot_under_a_writer_that_never_stops(served: Ground, tmp_path: Path) -> None:
    """A snapshot holds all that was synced before it was asked for, nothing torn, and nothing from after it."""
    share = served.share()
    log, told = served.path(share) / "log", tmp_path / "told"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, log, told])
    try:
        _until_some_are_written(told)
        synced_before = int(told.read_text())
        snapshot = served.snapshot(share)
        begun_after = int(told.read_text()) + 1
        assert writer.poll() is None
    finally:
        writer.kill()
        writer.wait()
    served.manager.revert_to_snapshot(served.context, snapshot.id)
    lines = log.read_text().splitlines()
    assert lines == [f"{number:012d}" for number in range(1, len(lines) + 1)]
    assert synced_before <= len(lines) <= begun_after


def _until_some_are_written(told: Path) -> None:
    import time

    until = time.monotonic() + 60
    while not (told.exists() and told.read_text() and int(told.read_text()) > 20):
        assert time.monotonic() < until, "nothing was written"
        time.sleep(0.05)


# --- names


@pytest.mark.parametrize("backend", ["thick-ext4", "thin-xfs", "zfs", "directory"])
def test_a_path_with_spaces_and_other_letters(backend: str, client: Callable[[str], Path]) -> None:
    """Mount points, exports and the state directory lie below such a path; a client mounts it."""
    with standing(backend, f"{backend} Größe – übel's 1 {uuid.uuid4().hex[:4]}", {}) as ground:
        share = ground.manager.create_share(ground.context, 1, share_type="scenario", name="Größe – übel's #1")
        files.write(ground.path(share))
        before = manifest.record(ground.path(share))
        snapshot = ground.snapshot(share, "Stand vom 1. März – gut")
        if backend != "directory":
            ground.manager.allow_access(ground.context, share.id, "127.0.0.1")
            assert (client(ground.now(share).export_locations[0].path) / "private").read_text() == "first"
        files.wreck(ground.path(share))
        ground.manager.revert_to_snapshot(ground.context, snapshot.name or "")
        assert manifest.record(ground.path(share)) == before
