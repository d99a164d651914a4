"""What a progress bar is told while a revert runs, and what a dry run says that it would throw away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import files
import pytest
from ground import Ground

from revertkit.manager import ShareManager
from revertkit.models import Snapshot

MIB = 1024**2
THROTTLE = Path("/sys/module/dm_snapshot/parameters/snapshot_copy_throttle")
"""In percent of the time (drivers/md/dm-snap.c)."""


def _told(ground: Ground, snapshot: Snapshot) -> list[float]:
    """Revert, and answer each percent that was told."""
    told: list[float] = []
    manager = ShareManager.open(ground.settings, progress=lambda _operation, percent, _what: told.append(percent))
    manager.revert_to_snapshot(ground.context, snapshot.id)
    return told


def test_it_grows_and_ends_at_100(ground: Ground) -> None:
    """On every backend."""
    share = ground.share()
    snapshot = ground.snapshot(share)
    (ground.path(share) / "word").write_text("changed")
    told = _told(ground, snapshot)
    assert told == sorted(told)
    assert told[-1] == 100


@contextmanager
def _slowly() -> Iterator[None]:
    """Let the kernel copy blocks of snapshots for a small part of the time only: a merge is over too soon otherwise."""
    before = THROTTLE.read_text()
    THROTTLE.write_text("2")
    try:
        yield
    finally:
        THROTTLE.write_text(before)


@pytest.mark.parametrize("ground", ["thick-ext4"], indirect=True)
def test_a_merge_tells_how_far_it_is(ground: Ground) -> None:
    """The percent follows what is left of the snapshot."""
    share = ground.share()
    snapshot = ground.snapshot(share)
    files.fill(ground.path(share), 200)
    with _slowly():
        told = _told(ground, snapshot)
    assert len({percent for percent in told if 10 < percent < 90}) > 1, told


def test_a_dry_run_says_how_much_would_be_thrown_away(served: Ground) -> None:
    """At least what was written since; for thin volumes it is a bound from above."""
    share = served.share()
    snapshot = served.snapshot(share)
    files.fill(served.path(share), 60)
    discards = served.manager.check_revert(served.context, snapshot.id).discards_bytes
    assert discards is not None
    assert 55 * MIB < discards < 200 * MIB
