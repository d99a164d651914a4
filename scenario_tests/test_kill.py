"""``kill -9`` at every step of a revert, then recover: nothing is lost, and nothing written since is thrown away.

In the core a seeded sample of the points is swept, in `make vm-test` all of them, and a sample on the other file system
of each kind of volume; how many is printed, and none is a failure.
"""

from __future__ import annotations

import os
import random
import sqlite3
from contextlib import closing
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
from revertkit.system.run import Moment, StepEvent, watching

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
    every = _points(ground, snapshot)
    points = sorted(random.Random(seed).sample(every, sample or len(every)))
    print(f"{ground.backend}: killing at {len(points)} of {len(every)} points, seed {seed}: {points}")
    assert points
    for point in points:
        _kill_at(ground, share, snapshot, kept, point)


def _points(ground: Ground, snapshot: Snapshot) -> list[int]:
    """Revert once unharmed; answer the beginnings and ends of steps to be killed at, counted from 1.

    The end of a step and the beginning of the next are one moment, unless something went on record between the two.
    """
    seen: list[tuple[Moment, int]] = []
    with closing(sqlite3.connect(ground.settings.state_dir / "revertkit.db", check_same_thread=False)) as records:

        def look(event: StepEvent) -> None:
            if event.moment is not Moment.PROGRESS:
                seen.append((event.moment, *records.execute("PRAGMA data_version").fetchone()))

        with watching(look):
            revert(ground.settings, snapshot.id)
    before = [(None, None), *seen]
    return [
        number
        for number, ((last, then), (moment, now)) in enumerate(zip(before, seen, strict=False), start=1)
        if not (last is Moment.AFTER and moment is Moment.BEFORE and then == now)
    ]


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
