"""Snapshots that are mounted and exported under rules of their own, before and after a revert."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import by_hand
import files
import pytest
from ground import Ground

from revertkit import manifest
from revertkit.errors import Blocked, NotSupported, OperationFailed
from revertkit.models import Share, Snapshot


@pytest.mark.core
def test_a_client_reads_a_snapshot_before_and_after_a_revert(served: Ground, client: Callable[[str], Path]) -> None:
    """It shows its moment, takes no writes, and is there again after a revert took everything offline."""
    share = served.share(share_type="mountable")
    files.write(served.path(share))
    before = manifest.record(served.path(share))
    snapshot = served.snapshot(share)
    served.manager.allow_snapshot_access(served.context, snapshot.id, "127.0.0.1")
    local, at = _path(served, snapshot), client(_location(served, snapshot))
    files.wreck(served.path(share))
    for _ in range(2):
        assert manifest.record(local) == before
        assert (at / "private").read_text() == "first"
        with pytest.raises(OSError, match="Read-only"):
            (at / "new").touch()
        served.manager.revert_to_snapshot(served.context, snapshot.id)
        assert manifest.record(served.path(share)) == before
    _gone_with_its_snapshot(served, share, snapshot, local)


def _gone_with_its_snapshot(ground: Ground, share: Share, snapshot: Snapshot, local: Path) -> None:
    """Deleting takes it offline; who has it mounted finds nothing there."""
    ground.manager.delete_snapshot(ground.context, snapshot.id)
    assert not local.is_mount()
    assert ground.path(share).is_mount()


def test_an_older_snapshot_stays_mounted_across_a_revert(served: Ground) -> None:
    """All of a share's snapshots are online again, each with its own content."""
    share = served.share(share_type="mountable")
    taken = []
    for word in ("one", "two"):
        (served.path(share) / "word").write_text(word)
        taken.append(served.snapshot(share))
    (served.path(share) / "word").write_text("three")
    served.manager.revert_to_snapshot(served.context, taken[1].id)
    assert [(_path(served, snapshot) / "word").read_text() for snapshot in taken] == ["one", "two"]


def test_a_share_that_did_not_ask_for_it(served: Ground) -> None:
    """No mount, no export, and a rule is refused with the reason."""
    share = served.share()
    snapshot = served.snapshot(share)
    assert served.manager.snapshot(served.context, snapshot.id).export_locations == ()
    with pytest.raises(NotSupported, match="mount_snapshot_support"):
        served.manager.allow_snapshot_access(served.context, snapshot.id, "127.0.0.1")


@pytest.mark.parametrize("served", ["thick-ext4"], indirect=True)
def test_a_reader_of_a_snapshot_is_named(served: Ground) -> None:
    """A thick revert has to take the snapshots offline: whoever reads one blocks it, by name, with nothing changed."""
    share = served.share(share_type="mountable")
    (served.path(share) / "held").write_text("held")
    snapshot = served.snapshot(share)
    reader = subprocess.Popen(["tail", "-f", _path(served, snapshot) / "held"], stdout=subprocess.DEVNULL)
    try:
        with pytest.raises(Blocked, match=str(reader.pid)):
            served.manager.revert_to_snapshot(served.context, snapshot.id)
        assert (_path(served, snapshot) / "held").read_text() == "held"
    finally:
        reader.kill()
        reader.wait()
    served.manager.revert_to_snapshot(served.context, snapshot.id)


def test_a_snapshot_that_is_being_read_is_not_deleted(served: Ground) -> None:
    """The reader is named, and the snapshot stays mounted and exported; it goes when the reader has gone."""
    share = served.share(share_type="mountable")
    (served.path(share) / "held").write_text("held")
    snapshot = served.snapshot(share)
    served.manager.allow_snapshot_access(served.context, snapshot.id, "127.0.0.1")
    local = _path(served, snapshot)
    reader = subprocess.Popen(["tail", "-f", local / "held"], stdout=subprocess.DEVNULL)
    try:
        with pytest.raises(OperationFailed, match=str(reader.pid)):
            served.manager.delete_snapshot(served.context, snapshot.id)
        assert (local / "held").read_text() == "held"
        assert str(local) in by_hand.sh("exportfs", "-s")
    finally:
        reader.kill()
        reader.wait()
    served.manager.delete_snapshot(served.context, snapshot.id)
    assert not local.is_mount()


def _location(ground: Ground, snapshot: Snapshot) -> str:
    return ground.manager.snapshot(ground.context, snapshot.id).export_locations[0].path


def _path(ground: Ground, snapshot: Snapshot) -> Path:
    locations = ground.manager.snapshot(ground.context, snapshot.id).export_locations
    return next(Path(found.path) for found in locations if found.path.startswith("/"))
