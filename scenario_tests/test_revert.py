"""The scenario that the specification asks for: write, snapshot, modify, revert, and the original data is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import files
import pytest
from ground import Ground

from revertkit import manifest
from revertkit.status import Status

pytestmark = pytest.mark.core


def test_the_original_data_is_there_again(ground: Ground) -> None:
    """Every byte, mode, owner, time, link and attribute is as it was; the snapshot too; twice in a row."""
    share = ground.share()
    files.write(ground.path(share))
    before = manifest.record(ground.path(share))
    snapshot = ground.snapshot(share)
    for _ in range(2):
        files.wreck(ground.path(share))
        assert manifest.record(ground.path(share)) != before
        reverted = ground.manager.revert_to_snapshot(ground.context, snapshot.id)
        assert reverted.status is Status.AVAILABLE
        assert ground.manager.snapshot(ground.context, snapshot.id).status is Status.AVAILABLE
        assert manifest.record(ground.path(share)) == before
        (ground.path(share) / "scratch").write_text("scratch")
    ground.manager.revert_to_snapshot(ground.context, snapshot.id)
    assert manifest.record(ground.path(share)) == before


def test_a_client_that_stays_mounted_reads_the_reverted_content(served: Ground, client: Callable[[str], Path]) -> None:
    """An NFS client that is mounted and idle across the revert reads the snapshot's content, without remounting."""
    share = served.share()
    served.manager.allow_access(served.context, share.id, "127.0.0.1")
    at = client(served.now(share).export_locations[0].path)
    (at / "kept").write_text("first")
    snapshot = served.snapshot(share)
    (at / "kept").write_text("second, and longer")
    (at / "added").write_text("added")
    served.manager.revert_to_snapshot(served.context, snapshot.id)
    assert (at / "kept").read_text() == "first"
    assert not (at / "added").exists()
    (at / "after").write_text("written through the same mount")
    assert (served.path(share) / "after").read_text() == "written through the same mount"


def test_the_specifications_loop_three_deep(ground: Ground) -> None:
    """Revert to the newest, verify, delete it, revert to the one before, and again."""
    share = ground.share()
    taken = []
    for word in ("one", "two", "three"):
        files.write(ground.path(share) / ".", word)
        taken.append((ground.snapshot(share, word), manifest.record(ground.path(share))))
        _empty(ground.path(share))
    for snapshot, recorded in reversed(taken):
        (ground.path(share) / "corrupt").write_text("corruption")
        ground.manager.revert_to_snapshot(ground.context, snapshot.id)
        assert manifest.record(ground.path(share)) == recorded
        ground.manager.delete_snapshot(ground.context, snapshot.id)
    assert not ground.manager.snapshots(ground.context, share.id)


def test_size_and_quota_follow_the_data(ground: Ground) -> None:
    """A share that grew after its snapshot has the snapshot's size again: file system, record and quota agree."""
    share = ground.share()
    snapshot = ground.snapshot(share)
    small = _size(ground.path(share))
    ground.manager.extend_share(ground.context, share.id, 2)
    assert ground.now(share).size == 2
    assert ground.manager.quotas("scenarios")["gigabytes"].in_use == 2
    if ground.backend != "directory":
        assert _size(ground.path(share)) > 1.7 * small
    ground.manager.revert_to_snapshot(ground.context, snapshot.id)
    assert ground.now(share).size == 1
    assert ground.manager.quotas("scenarios")["gigabytes"].in_use == 1
    if ground.backend != "directory":
        assert _size(ground.path(share)) == pytest.approx(small, rel=0.1)


def _size(path: Path) -> float:
    import os

    found = os.statvfs(path)
    return float(found.f_blocks * found.f_frsize)


def _empty(path: Path) -> None:
    import shutil

    for entry in path.iterdir():
        if entry.name == "lost+found":
            continue
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
