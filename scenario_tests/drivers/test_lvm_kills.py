"""An LVM revert killed at every step: what it says is true, and a repeated call finishes it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import pytest
from lvm_bench import GROUP, Bench, bench, disturb, fill, killed, manifest, sh

from revertkit.drivers.lvm import lvm2, rows
from revertkit.errors import Blocked
from revertkit.models import RevertState, SnapshotInstance


def true_to(bench: Bench, snapshot: SnapshotInstance, moment: str) -> RevertState:
    """Hold what the driver says of a revert killed at `moment` against what it lets be done."""
    state = bench.driver.revert_state(snapshot)
    os.write(2, f"killed {moment}: {state}\n".encode())
    assert state is not RevertState.UNKNOWN
    if state is RevertState.HALFWAY:
        with pytest.raises(Blocked, match="half way"):
            bench.online()
    return state


@pytest.fixture(params=["thick-ext4", "thin-xfs"])
def small(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A share of either kind, whose snapshots have room for a fifth of it."""
    made = bench(request.param, percent=20)
    yield made
    made.clear()


@pytest.fixture
def thick() -> Iterator[Bench]:
    """A thick share."""
    made = bench("thick-ext4", percent=20)
    yield made
    made.clear()


def test_killed_after_every_step_of_one_revert(small: Bench) -> None:
    """Each call is killed one step further than the one before, and takes up what that one left."""
    fill(small.top, "A")
    wanted = manifest(small.top)
    _, snapshot = small.snap(), small.snap()
    disturb(small.top)
    spared: set[str] = set()
    states = []
    while moment := killed(spared, partial(small.driver.revert_to_snapshot, snapshot)):
        spared.add(moment)
        states.append(true_to(small, snapshot, moment))
        if states[-2:-1] != states[-1:]:  # past it, an activation is another step than the one of its name before
            spared.clear()
    assert small.driver.revert_state(snapshot) is RevertState.REVERTED
    assert states == sorted(states, key=[RevertState.UNCHANGED, RevertState.HALFWAY, RevertState.REVERTED].index)
    assert set(states) == {RevertState.UNCHANGED, RevertState.HALFWAY, RevertState.REVERTED}
    snapshot = small.revert(snapshot)
    assert manifest(small.top) == wanted
    assert small.content(snapshot) == wanted == small.content(small.snapshots[0])


@pytest.mark.slow
def test_killed_at_every_moment_then_finished_or_put_back(small: Bench) -> None:
    """Killed at each moment of a whole revert: untouched and back online, or finished by one more call."""
    fill(small.top, "A")
    wanted = manifest(small.top)
    _, snapshot = small.snap(), small.snap()
    spared: set[str] = set()
    disturb(small.top)
    changed = manifest(small.top)
    while moment := killed(spared, partial(small.driver.revert_to_snapshot, snapshot)):
        spared.add(moment)
        if true_to(small, snapshot, moment) is RevertState.UNCHANGED:
            small.online()
            assert manifest(small.top) == changed
            ours = [v for v in lvm2.volumes(GROUP) if v.tag("share") == small.share.id]
            assert not [v for v in ours if v.name.startswith(("room-", "new-", "old-"))]
            continue
        snapshot = small.revert(snapshot)
        assert manifest(small.top) == wanted
        disturb(small.top)
        changed = manifest(small.top)
    snapshot = small.revert(snapshot)  # the last call ended in its child, and nobody has recorded it
    assert manifest(small.top) == wanted
    assert small.content(snapshot) == wanted == small.content(small.snapshots[0])


def test_the_power_goes_between_the_end_of_a_merge_and_the_removal_of_its_volume(thick: Bench) -> None:
    """LVM writes the two one after the other; what is left has the snapshot's name, and is in nobody's way."""
    fill(thick.top, "A")
    wanted = manifest(thick.top)
    snapshot = thick.snap()
    spared, moment = set[str](), ""
    while not moment.startswith("before lvchange"):  # the room is reserved, and the share offline
        moment = killed(spared, partial(thick.driver.revert_to_snapshot, snapshot))
        assert moment, "it has ended"
        spared.add(moment)
    split_by_hand(thick, snapshot)
    assert thick.driver.revert_state(snapshot) is RevertState.HALFWAY
    fresh = thick.revert(snapshot)
    assert manifest(thick.top) == wanted == thick.content(fresh)
    split_by_hand(thick, fresh)  # as a removal does, too
    thick.delete(fresh)
    assert not [v for v in lvm2.volumes(GROUP) if v.tag("snapshot") == fresh.snapshot_id]


def test_a_merge_that_was_ordered_while_the_share_was_open(thick: Bench) -> None:
    """LVM keeps it for the next activation, which nobody would see to; the next call does, and waits for nothing."""
    fill(thick.top, "A")
    wanted = manifest(thick.top)
    snapshot = thick.snap()
    disturb(thick.top)
    spared: set[str] = set()
    while not (moment := killed(spared, partial(thick.driver.revert_to_snapshot, snapshot))).startswith(
        "before lvconvert"
    ):
        assert moment, "it has ended"
        spared.add(moment)
    sh("lvchange", "-ay", f"{GROUP}/{thick.volume_name}")
    sh("mount", thick.volume().path, thick.top)
    sh("lvconvert", "-y", "--merge", f"{GROUP}/{rows.named('snap', snapshot.snapshot_id)}")
    assert thick.driver.revert_state(snapshot) is RevertState.HALFWAY
    with pytest.raises(Blocked, match="in use"):
        thick.driver.revert_to_snapshot(snapshot)
    sh("umount", thick.top)
    fresh = thick.revert(snapshot)
    assert manifest(thick.top) == wanted == thick.content(fresh)


def test_mounted_by_hand_before_it_is_recorded(small: Bench) -> None:
    """What somebody can write to is not said to be just reverted, nor untouched; unmounted, it is reverted."""
    fill(small.top, "A")
    wanted = manifest(small.top)
    snapshot = small.snap()
    disturb(small.top)
    small.driver.revert_to_snapshot(snapshot)
    sh("mount", small.volume().path, small.top)
    assert small.driver.revert_state(snapshot) is RevertState.UNKNOWN
    sh("umount", small.top)
    assert small.driver.revert_state(snapshot) is RevertState.REVERTED
    fresh = small.revert(snapshot)
    assert manifest(small.top) == wanted == small.content(fresh)


def split_by_hand(bench: Bench, snapshot: SnapshotInstance) -> None:
    """Take the snapshot off its origin and leave its volume, as LVM's first change of the metadata does."""
    sh("lvconvert", "-y", "--splitsnapshot", f"{GROUP}/{rows.named('snap', snapshot.snapshot_id)}")
