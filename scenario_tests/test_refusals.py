"""What is refused, by name, with nothing changed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import by_hand
import pytest
from ground import Ground

from revertkit.errors import Blocked, Conflict
from revertkit.models import Share, Snapshot
from revertkit.status import Status

pytestmark = pytest.mark.core


def test_not_the_most_recent(ground: Ground) -> None:
    """An older snapshot is refused; the answer names the latest."""
    share = ground.share()
    first, second = ground.snapshot(share), ground.snapshot(share)
    with _unchanged(ground, share, first), pytest.raises(Conflict, match=second.id):
        ground.manager.revert_to_snapshot(ground.context, first.id)


def test_an_open_file(ground: Ground) -> None:
    """The process that holds the share is named, by id and name."""
    share = ground.share()
    held = ground.path(share) / "held"
    held.write_text("held")
    snapshot = ground.snapshot(share)
    process = subprocess.Popen(["tail", "-f", held], stdout=subprocess.DEVNULL)
    try:
        with _unchanged(ground, share, snapshot), pytest.raises(Blocked, match=rf"{process.pid}") as refused:
            ground.manager.revert_to_snapshot(ground.context, snapshot.id)
        assert "tail" in str(refused.value)
    finally:
        process.kill()
        process.wait()
    ground.manager.revert_to_snapshot(ground.context, snapshot.id)


@pytest.mark.parametrize(
    "served", ["thick-ext4", pytest.param("thick-xfs", marks=pytest.mark.matrix), "zfs"], indirect=True
)
def test_a_newer_snapshot_made_by_hand(served: Ground) -> None:
    """A snapshot that the manager does not know and that is newer blocks, by name, and is still there."""
    share = served.share()
    snapshot = served.snapshot(share)
    with _by_hand(served, share) as (name, exists):
        with _unchanged(served, share, snapshot), pytest.raises(Blocked, match=name):
            served.manager.revert_to_snapshot(served.context, snapshot.id)
        assert exists()
    served.manager.revert_to_snapshot(served.context, snapshot.id)


@pytest.mark.parametrize("served", [pytest.param("thin-ext4", marks=pytest.mark.matrix), "thin-xfs"], indirect=True)
def test_a_newer_snapshot_made_by_hand_of_a_thin_volume(served: Ground) -> None:
    """Thin volumes are swapped, which touches no snapshot: it does not block, and is still there."""
    share = served.share()
    snapshot = served.snapshot(share)
    with _by_hand(served, share) as (_, exists):
        served.manager.revert_to_snapshot(served.context, snapshot.id)
        assert exists()


@pytest.mark.parametrize("served", ["zfs"], indirect=True)
def test_a_newer_bookmark(served: Ground) -> None:
    """On ZFS a newer bookmark alone blocks, by name, and is still there."""
    share = served.share()
    snapshot = served.snapshot(share)
    dataset = f"tank0/share-{share.replica.id}"
    subprocess.run(["zfs", "snapshot", f"{dataset}@by-hand"], check=True)
    subprocess.run(["zfs", "bookmark", f"{dataset}@by-hand", f"{dataset}#by-hand"], check=True)
    subprocess.run(["zfs", "destroy", f"{dataset}@by-hand"], check=True)
    with _unchanged(served, share, snapshot), pytest.raises(Blocked, match="by-hand"):
        served.manager.revert_to_snapshot(served.context, snapshot.id)
    subprocess.run(["zfs", "destroy", f"{dataset}#by-hand"], check=True)


@pytest.mark.parametrize("served", ["thick-ext4"], indirect=True)
def test_an_overflowed_snapshot(served: Ground) -> None:
    """A thick snapshot that ran full is invalid: refused, and the share keeps its data."""
    share = served.share()
    snapshot = served.snapshot(share)
    (served.path(share) / "much").write_bytes(os.urandom(300_000_000))
    os.sync()
    with _unchanged(served, share, snapshot), pytest.raises(Blocked, match="overflowed"):
        served.manager.revert_to_snapshot(served.context, snapshot.id)
    assert (served.path(share) / "much").stat().st_size == 300_000_000


@contextmanager
def _unchanged(ground: Ground, share: Share, snapshot: Snapshot) -> Iterator[None]:
    """See that share and snapshot stay as they are: content, mount, statuses."""
    word = ground.path(share) / "word"
    word.write_text("written after the snapshot")
    yield
    assert word.read_text() == "written after the snapshot"
    assert ground.now(share).status is Status.AVAILABLE
    assert ground.manager.snapshot(ground.context, snapshot.id).status is Status.AVAILABLE


@contextmanager
def _by_hand(ground: Ground, share: Share) -> Iterator[tuple[str, Callable[[], bool]]]:
    volume, name = f"share-{share.replica.id}", f"by-hand-{share.id[:8]}"
    by_hand.snapshot(ground, volume, name)
    zfs = ground.options["driver"] == "zfs"
    full = f"{ground.options['pool']}/{volume}@{name}" if zfs else f"{ground.options['volume_group']}/{name}"
    look, drop = (["zfs", "list", full], ["zfs", "destroy", full]) if zfs else (["lvs", full], ["lvremove", "-y", full])
    try:
        yield name, lambda: subprocess.run(look, capture_output=True, timeout=60).returncode == 0
    finally:
        by_hand.sh(*drop)
