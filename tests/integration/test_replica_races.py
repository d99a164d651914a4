"""Looks against everything else: a look is paused at each of its points, something is done to the share, it goes on.

Whatever it brings, it must not be believed if the share has been reverted, or its active replica changed, meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from replicated import World, assert_whole, open_manager
from support import CONTEXT, points, thread

from revertkit.drivers.memory import MemoryDriver
from revertkit.errors import Conflict
from revertkit.locks import Busy
from revertkit.manager import ShareManager
from revertkit.status import ReplicaState, Status
from revertkit.system.run import StepEvent, watching

MEANWHILE: dict[str, Callable[[ShareManager, World], Any]] = {
    "revert": lambda m, w: m.revert_to_snapshot(CONTEXT, "newer"),
    "revert twice": lambda m, w: [m.revert_to_snapshot(CONTEXT, "newer") for _ in range(2)],
    "promote another": lambda m, w: m.promote_replica(CONTEXT, w.third, force=True),
    "promote another and back": lambda m, w: [m.promote_replica(CONTEXT, one, force=True) for one in (w.third, w.fast)],
    "snapshot and revert to it": lambda m, w: [
        m.create_snapshot(CONTEXT, "share", name="between"),
        w.files().update(later=b"discarded"),
        m.revert_to_snapshot(CONTEXT, "between"),
    ],
    "delete the newest and revert": lambda m, w: [
        m.delete_snapshot(CONTEXT, "newer"),
        m.revert_to_snapshot(CONTEXT, "older"),
    ],
}
BELIEVED: dict[str, Callable[[ShareManager, World], Any]] = {
    "write": lambda m, w: w.files().update(more=b"words"),
    "snapshot": lambda m, w: m.create_snapshot(CONTEXT, "share", name="between"),
    "delete a snapshot": lambda m, w: m.delete_snapshot(CONTEXT, "newer"),
    "extend": lambda m, w: m.extend_share(CONTEXT, "share", 15),
    "allow access": lambda m, w: m.allow_access(CONTEXT, "share", "10.0.0.3"),
    "another look at another": lambda m, w: m.resync_replica(CONTEXT, w.third),
}


@pytest.fixture
def world(state: Path) -> Iterator[World]:
    """A share with two replicas in sync, and something that is not on them yet."""
    manager = open_manager(state)
    world = World(manager)
    world.files()["discarded"] = b"only now"
    yield world
    manager.site.store.engine.dispose()
    MemoryDriver.reset()


def look_with(world: World, last: int, meanwhile: Callable[[], object]) -> int:
    """Look at ``far``; at point number `last`, let something else happen in between. Answer how many points it has."""
    count = 0
    inside = False

    def point(_: str) -> None:
        nonlocal count, inside
        if inside:  # what happens meanwhile has points of its own
            return
        count += 1
        if count == last:
            inside = True
            meanwhile()
            inside = False

    with points(point):
        world.manager.resync_replica(CONTEXT, world.far)
    return count


def _points(world: World, again: Callable[[], World]) -> list[int]:
    """Number the points of a look at which somebody else can do something."""
    names: list[str] = []
    with points(names.append):
        world.manager.resync_replica(CONTEXT, world.far)
    again()
    return [number for number, name in enumerate(names, 1) if name != "before commit"]


@pytest.mark.parametrize("what", MEANWHILE)
def test_a_look_that_began_before_is_not_believed(world: World, what: str) -> None:
    """It says out of sync, and the next look does what it has to; nothing discarded can be promoted."""
    again = world.kept()
    numbers = _points(world, again)
    middle = numbers[1:-1]
    assert len(middle) >= 5
    for number in middle:
        look_with(world, number, lambda: MEANWHILE[what](world.manager, world))
        found = world.replica(world.far)
        assert found.replica_state is ReplicaState.OUT_OF_SYNC, f"point {number}"
        assert "meanwhile" in (found.found or "")
        world.manager.promote_replica(CONTEXT, world.far, force=True)
        if "promote" not in what:
            assert "later" not in world.files()
            assert "only now" not in world.files().get("discarded", b"").decode() or what.startswith("snapshot")
        world.look()
        for lost in [one for one in world.manager.snapshots(CONTEXT, "share") if one.status is Status.ERROR]:
            world.manager.delete_snapshot(CONTEXT, lost.id)
            world.look()
        assert_whole(world)
        again()


@pytest.mark.parametrize("what", BELIEVED)
def test_nothing_else_is_in_a_looks_way(world: World, what: str) -> None:
    """Nor is the look in the way of anything: it ends in sync with the moment that it began at, or a later one."""
    again = world.kept()
    for number in _points(world, again)[:-1]:
        look_with(world, number, lambda: BELIEVED[what](world.manager, world))
        assert world.replica(world.far).replica_state is ReplicaState.IN_SYNC, f"point {number}"
        assert world.files(world.far)["discarded"] == b"only now"
        world.look()
        assert_whole(world)
        again()


def test_a_promotion_waits_for_no_look_and_goes_past_none(world: World) -> None:
    """A replica that is being looked at is not promoted, by force neither: it is refused at once."""

    def promote() -> None:
        for force in (False, True):
            with pytest.raises(Conflict):
                world.manager.promote_replica(CONTEXT, world.far, force=force)
            with pytest.raises(Busy):
                world.manager.delete_replica(CONTEXT, world.far)

    look_with(world, 5, promote)
    assert world.states()["far"] == "in_sync"


def test_a_look_during_a_revert_leaves_the_share_alone(world: World) -> None:
    """At every step of a revert, looks by the clock find that they have nothing to do, and do nothing."""
    seen: list[tuple[bool, Status]] = []

    def look(event: StepEvent) -> None:
        if event.percent is None:
            status = world.found().status
            seen.extend((one.left_alone, status) for one in world.manager.look_at_replicas())

    held = world.held(world.far)
    with watching(look):
        world.manager.revert_to_snapshot(CONTEXT, "newer")
    assert len(seen) >= 20
    assert set(seen) == {(True, Status.REVERTING)}
    assert world.held(world.far) == held
    assert world.states() == {"fast": "active", "far": "out_of_sync", "third": "out_of_sync"}


def test_looks_and_reverts_at_once(world: World) -> None:
    """One thread looks without end, another reverts and writes: what is in sync is never what was discarded."""
    manager, done = world.manager, False

    def look() -> None:
        while not done:
            with suppress(Conflict):
                manager.look_at_replicas()

    with thread(look):
        try:
            for number in range(12):
                world.files()["discarded"] = b"%d" % number
                manager.revert_to_snapshot(CONTEXT, "newer")
                for one in world.replicas():
                    if one.replica_state is ReplicaState.IN_SYNC:
                        assert "discarded" not in world.held(one.id)
        finally:
            done = True
    world.look()
    assert_whole(world)
    assert dict(world.files()) == World.KEPT


def test_a_look_drops_only_what_was_gone_when_it_was_believed(world: World) -> None:
    """In sync, and at once the share is reverted and the snapshot deleted: the replica still needs it to turn back."""

    def meanwhile() -> None:
        world.manager.revert_to_snapshot(CONTEXT, "newer")
        world.manager.delete_snapshot(CONTEXT, "newer")

    again = world.kept()
    look_with(world, _points(world, again)[-1], meanwhile)
    assert world.states()["far"] == "out_of_sync"
    world.manager.promote_replica(CONTEXT, world.far, force=True)
    assert dict(world.files()) == World.KEPT
    world.look()
    assert_whole(world)
