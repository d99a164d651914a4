"""``kill -9`` at every step of a revert, then recover: nothing is lost, and nothing written since is thrown away.

In the core a seeded sample of the points is swept, in `make vm-test` all of them, and a sample on the other file system
of each kind of volume; how many is printed, and none is a failure.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import files
import pytest
from ground import BACKENDS, CONTEXT, NOT_IN_CORE, Ground
from killing import killed_at

from revertkit import manifest
from revertkit.manager import ShareManager
from revertkit.models import Share, Snapshot
from revertkit.settings import Settings
from revertkit.status import Status
from revertkit.system.run import Moment, watching

SAMPLE = 4


@pytest.mark.core
@pytest.mark.sample
def test_a_sample_of_kills(ground: Ground) -> None:
    """Four points, drawn anew each time; the seed is printed."""
    seed = int(os.environ.get("REVERTKIT_SEED") or random.randrange(10_000))
    _sweep(ground, seed, SAMPLE)


@pytest.mark.parametrize("ground", [name for name in BACKENDS if name not in NOT_IN_CORE], indirect=True)
def test_kill_at_every_step(ground: Ground) -> None:
    """Every point; once for each kind of storage, since the steps are the same for either file system."""
    _sweep(ground, 0, None)


def _sweep(ground: Ground, seed: int, sample: int | None) -> None:
    share = ground.share()
    files.write(ground.path(share))
    snapshot = ground.snapshot(share)
    kept = manifest.record(ground.path(share))
    count = _count(ground, snapshot)
    points = sorted(random.Random(seed).sample(range(1, count + 1), sample or count))
    print(f"{ground.backend}: killing at {len(points)} of {count} points, seed {seed}: {points}")
    assert points
    for point in points:
        _kill_at(ground, share, snapshot, kept, point)


def _count(ground: Ground, snapshot: Snapshot) -> int:
    """Revert once unharmed, and count the points."""
    seen = []
    with watching(lambda event: seen.append(event.moment)):
        revert(ground.settings, snapshot.id)
    return sum(moment is not Moment.PROGRESS for moment in seen)


def revert(settings: Settings, snapshot_id: str) -> None:
    """Revert as a program does that starts, reverts and ends."""
    ShareManager.open(settings).revert_to_snapshot(CONTEXT, snapshot_id)


def _kill_at(ground: Ground, share: Share, snapshot: Snapshot, kept: object, point: int) -> None:
    where = f"{ground.backend}, point {point}"
    fresh = ground.path(share) / "fresh"
    fresh.write_text(where)
    wrecked = manifest.record(ground.path(share))
    assert killed_at(point, revert, ground.settings, snapshot.id), where
    told = ground.opened().recover()
    assert all(recovered.at_rest for recovered in told), f"{where}: {told}"
    assert _at_rest(ground, share, snapshot), where
    assert manifest.record(ground.path(share)) in (kept, wrecked), where
    _write_and_recover(ground, ground.path(share) / "since", where)
    ground.manager.revert_to_snapshot(ground.context, snapshot.id)
    assert manifest.record(ground.path(share)) == kept, where


def _at_rest(ground: Ground, share: Share, snapshot: Snapshot) -> bool:
    found = ground.manager.snapshot(ground.context, snapshot.id)
    return ground.now(share).status is found.status is Status.AVAILABLE


def _write_and_recover(ground: Ground, since: Path, where: str) -> None:
    """What was written after the end is there after another recovery."""
    since.write_text(where)
    ground.opened().recover()
    assert since.read_text() == where
