"""What a revert discarded does not come back: a revert is stopped at every step, and then each replica is promoted.

The steps, in their order, and what holds after each (operations/revert.py, promote.py, look.py):

1. Accept, one transaction: the active replica is reverting, the snapshot restoring, every other replica out_of_sync.
   From here no promotion goes without force; no look begins; none that began before is believed.
2. The driver: mark forgotten, share offline, content turned back. A dead revert is recovered before anything else is
   done on its host; where that is out of reach, force supersedes it, and the promoted one is turned back as well.
3. The outcome on record; 4. online; 5. the statuses. The others still hold what was discarded, and are out_of_sync.
6. Looks, one for each replica: it is turned back to what it has in common with the active one, then brought up to it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
from replicated import World, assert_whole, on_two_hosts, open_manager
from support import CONTEXT, Killed, points

from revertkit.drivers.memory import MemoryDriver
from revertkit.drivers.memory.storage import STORAGE
from revertkit.errors import BackendError, Blocked, Conflict, OperationFailed, RevertkitError
from revertkit.manager import ShareManager
from revertkit.models import Blocker, ExportLocation, Operation, Outcome, Replica, ReplicaReport, Stored
from revertkit.status import ReplicaState, Status
from revertkit.store import operations


@pytest.fixture
def one_host(state: Path) -> Iterator[ShareManager]:
    """A manager of all three backends."""
    manager = open_manager(state)
    yield manager
    manager.site.store.engine.dispose()
    MemoryDriver.reset()


@pytest.fixture
def two_hosts(state: Path, tmp_path: Path) -> Iterator[tuple[ShareManager, ShareManager]]:
    """A manager of ``fast`` and ``third``, and on another host one of ``far``; one database, locks of their own."""
    with on_two_hosts(state, tmp_path) as both:
        yield both


def stopped(call: Callable[[], object], last: int, death: BaseException | None) -> list[str]:
    """Call, and raise at point number `last`; answer the points that were reached."""
    reached: list[str] = []

    def point(name: str) -> None:
        reached.append(name)
        if death and len(reached) == last:
            raise death

    with points(point):
        call()
    return reached


def revert_until(world: World, last: int, death: BaseException | None) -> list[str]:
    """Revert, and raise at point number `last`; answer the points that were reached."""
    return stopped(lambda: world.manager.revert_to_snapshot(CONTEXT, "newer"), last, death)


def each_point(world: World, death: BaseException) -> Iterator[tuple[World, str]]:
    """For each point of a revert (of those that fail, each second), begin anew and stop the revert there."""
    again = world.kept()
    total = len(revert_until(world, 0, None))
    assert total >= 20, "a revert of the memory backend has more points than these"
    for last in range(1, total + 1, 1 if isinstance(death, Killed) else 2):
        again()
        with suppress(RevertkitError, Killed):
            revert_until(world, last, death)
        yield world, f"{type(death).__name__} at point {last} of {total}"


def turned(world: World) -> Operation | None:
    """Answer the revert, if it was accepted and has not ended with nothing changed."""
    with world.manager.site.store.read() as tx:
        found = operations.last_revert(tx, world.share.id)
    return None if found is None or found.outcome is Outcome.UNCHANGED else found


def assert_nothing_came_back(world: World) -> None:
    """Whoever reads the share does not find what the revert has discarded, once it has discarded it."""
    if turned(world):
        with suppress(BackendError):  # it is offline, and nobody reads anything
            assert "discarded" not in world.files()


@pytest.mark.parametrize("death", [Killed(), BackendError("injected")], ids=["death", "error"])
def test_every_replica_is_promoted_after_every_step(one_host: ShareManager, death: BaseException) -> None:
    """Before recovery nothing is promoted; after it whatever is promoted, by force or not, holds nothing discarded."""
    manager = one_host
    for world, where in each_point(World(manager), death):
        try:
            interrupted = bool(manager.interrupted())
            for replica in (world.far, world.third):
                if turned(world):
                    with pytest.raises(Conflict):
                        manager.promote_replica(CONTEXT, replica)
                if interrupted:
                    with pytest.raises(Conflict, match="recover"):
                        manager.promote_replica(CONTEXT, replica, force=True)
            manager.recover()
            assert_nothing_came_back(world)
            _promote_in_turn(world)
        except BaseException as failure:
            failure.add_note(where)
            raise


def _promote_in_turn(world: World) -> None:
    """Promote one by force before any look, then the old active one, then another that has followed, without force."""
    for replica in (world.far, world.fast):
        world.manager.promote_replica(CONTEXT, replica, force=True)
        assert world.replica(replica).active
        assert_nothing_came_back(world)
        assert dict(world.files()) in ([World.KEPT] if turned(world) else [World.KEPT, World.LATER])
    world.look()
    assert_nothing_came_back(world)
    world.manager.promote_replica(CONTEXT, world.third)
    world.look()
    assert_nothing_came_back(world)
    assert_whole(world)


def test_the_active_host_is_gone_after_every_step(two_hosts: tuple[ShareManager, ShareManager]) -> None:
    """The other host promotes its replica by force, whatever the revert was doing; then the first one comes back."""
    near, far = two_hosts
    for world, where in each_point(World(near, far), Killed()):
        try:
            accepted = turned(world) is not None
            if accepted:
                with pytest.raises(Conflict):
                    far.promote_replica(CONTEXT, world.far)
            with MemoryDriver.away("fast"):
                promoted = far.promote_replica(CONTEXT, world.far, force=True)
                assert promoted.active
                assert dict(world.files()) == (World.KEPT if accepted else World.LATER)
                world.files()["since"] = b"written on the other host"
            assert [one for one in near.recover() if not one.at_rest] == []
            assert near.interrupted() == far.interrupted() == []
            near.promote_replica(CONTEXT, world.third, force=True)
            assert_nothing_came_back(world)
            far.promote_replica(CONTEXT, world.far, force=True)
            world.look()
            near.promote_replica(CONTEXT, world.fast)
            assert_nothing_came_back(world)
            world.look()
            assert_whole(world)
        except BaseException as failure:
            failure.add_note(where)
            raise


def test_a_revert_that_was_paused_loses_to_the_promotion(two_hosts: tuple[ShareManager, ShareManager]) -> None:
    """Its host was out of reach and superseded, and goes on after all: it does not touch the share any more."""
    near, far = two_hosts
    world = World(near, far)
    again = world.kept()
    total = len(revert_until(world, 0, None))
    for last in range(1, total - 1):
        again()
        reached: list[str] = []

        def point(name: str, reached: list[str] = reached, last: int = last) -> None:
            reached.append(name)
            if len(reached) == last:
                operation = turned(world)
                if operation and operation.finished_at is None and name != "before commit":  # it has one writer
                    far.promote_replica(CONTEXT, world.far, force=True)

        with points(point), suppress(RevertkitError):
            near.revert_to_snapshot(CONTEXT, "newer")
        near.recover()
        world.look()
        if turned(world):
            assert_nothing_came_back(world)
        assert world.found().status is Status.AVAILABLE
        assert_whole(world)


def test_a_revert_that_goes_on_beside_the_promotion_does_not_open_the_share(
    two_hosts: tuple[ShareManager, ShareManager], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forced promotion on another host has superseded it and made the share read-only, and is not on record yet."""
    near, far = two_hosts
    world = World(near, far)
    again = world.kept()
    promote = MemoryDriver.promote_replica
    fenced, goes_on = threading.Event(), threading.Event()

    def promoted(self: MemoryDriver, *given: Any) -> Stored:
        fenced.set()
        assert goes_on.wait(10)
        return promote(self, *given)

    monkeypatch.setattr(MemoryDriver, "promote_replica", promoted)
    met = 0
    for last in range(1, len(revert_until(world, 0, None))):
        again()
        fenced.clear()
        goes_on.clear()
        promotion = threading.Thread(target=lambda: far.promote_replica(CONTEXT, world.far, force=True))
        reached: list[str] = []

        def point(
            name: str, reached: list[str] = reached, last: int = last, promotion: threading.Thread = promotion
        ) -> None:
            if threading.current_thread() is not promotion:
                reached.append(name)
            if len(reached) == last and not promotion.ident:
                operation = turned(world)
                if operation and operation.finished_at is None and name != "before commit":
                    promotion.start()
                    assert fenced.wait(10)

        with points(point), suppress(RevertkitError):
            near.revert_to_snapshot(CONTEXT, "newer")
        if promotion.ident:
            met += 1
            assert not can_be_written_to(world, world.fast), f"stopped at point {last}: {reached[last - 1]}"
            near.recover()
            assert not can_be_written_to(world, world.fast), f"recovered after point {last}: {reached[last - 1]}"
            goes_on.set()
            promotion.join(10)
            assert not can_be_written_to(world, world.fast)
            assert world.active().id == world.far
            world.look()
            assert_nothing_came_back(world)
    assert met > 5


def can_be_written_to(world: World, replica_id: str) -> bool:
    """Say whether somebody can write to a replica now."""
    try:
        world.files(replica_id)["since"] = b"!"
    except BackendError:
        return False
    return True


def test_a_promotion_says_what_it_cannot_stop(two_hosts: tuple[ShareManager, ShareManager]) -> None:
    """The old active one is made read-only at once, on another host too; where that is out of reach, it is said."""
    near, far = two_hosts
    world = World(near, far)
    far.promote_replica(CONTEXT, world.far)
    assert not can_be_written_to(world, world.fast)
    assert "can be written to" not in far.messages(CONTEXT)[0].text
    world.look()
    with MemoryDriver.away("far"):
        near.promote_replica(CONTEXT, world.third, force=True)
    told = near.messages(CONTEXT)[0].text
    assert f"{world.far}, the active one before, can be written to until its host node-2 looks" in told
    assert can_be_written_to(world, world.far)
    world.look()
    near.promote_replica(CONTEXT, world.fast)
    assert "can be written to" not in near.messages(CONTEXT)[0].text


@pytest.mark.parametrize("death", [Killed(), BackendError("out of order")], ids=["killed", "fails"])
def test_a_promotion_from_another_host_is_stopped_after_every_step(
    two_hosts: tuple[ShareManager, ShareManager], death: BaseException
) -> None:
    """Recovered on its own host alone, one of the two can be written to: the one that is active on record."""
    near, far = two_hosts
    world = World(near, far)
    again = world.kept()
    active = set()
    total = len(stopped(lambda: far.promote_replica(CONTEXT, world.far), 0, death))
    for last in range(1, total + 1):
        again()
        with suppress(RevertkitError, Killed):
            stopped(lambda: far.promote_replica(CONTEXT, world.far), last, death)
        assert [one for one in far.recover() if not one.at_rest] == []
        active.add(world.active().id)
        for one in (world.fast, world.far):
            assert can_be_written_to(world, one) is (one == world.active().id), f"stopped at point {last} of {total}"
    assert active == {world.fast, world.far}


@pytest.mark.parametrize("fails", [False, True])
def test_a_recovery_meets_a_promotion_from_another_host(
    two_hosts: tuple[ShareManager, ShareManager], monkeypatch: pytest.MonkeyPatch, *, fails: bool
) -> None:
    """The share is made read-only from there after it was read as available here, and before it is brought online.

    What the promotion has made read-only stays so. One that fails while this host makes it read-only again leaves it to
    be written to, as it is the active one on record.
    """
    near, far = two_hosts
    world = World(near, far)
    ensure, update = MemoryDriver.ensure_share, MemoryDriver.update_replica_state
    fenced, goes_on = threading.Event(), threading.Event()
    promotion = threading.Thread(target=lambda: _promoted(far, world.far, fails=fails))
    calls: list[ReplicaState] = []

    def ensured(self: MemoryDriver, replica: Replica) -> list[ExportLocation]:
        if replica.id == world.fast and not goes_on.is_set():
            calls.append(replica.state)
            if len(calls) == 1:
                promotion.start()
                assert fenced.wait(10)
            elif fails:
                goes_on.set()
                promotion.join(10)
        return ensure(self, replica)

    def updated(self: MemoryDriver, *given: Any) -> ReplicaReport:
        fenced.set()
        assert goes_on.wait(10)
        if fails:
            raise BackendError("out of order")
        return update(self, *given)

    monkeypatch.setattr(MemoryDriver, "ensure_share", ensured)
    monkeypatch.setattr(MemoryDriver, "update_replica_state", updated)
    assert near.recover() == []
    assert calls == [ReplicaState.ACTIVE, ReplicaState.OUT_OF_SYNC]
    assert can_be_written_to(world, world.fast) is fails
    goes_on.set()
    promotion.join(10)
    assert world.active().id == (world.fast if fails else world.far)
    for one in (world.fast, world.far):
        assert can_be_written_to(world, one) is (one == world.active().id)


def _promoted(manager: ShareManager, replica_id: str, *, fails: bool) -> None:
    with pytest.raises(Blocked) if fails else nullcontext():
        manager.promote_replica(CONTEXT, replica_id)


def test_a_refused_promotion_says_what_cannot_be_put_back(
    two_hosts: tuple[ShareManager, ShareManager], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver refuses, and then the old active one cannot be let go: the user is told, and its own host mends it."""
    near, far = two_hosts
    world = World(near, far)

    def refuse(*_: object) -> None:
        raise Blocked(Blocker(kind="held", what="somebody reads it", mend="wait"))

    def away(*_: object) -> None:
        raise BackendError("out of reach")

    monkeypatch.setattr(MemoryDriver, "promote_replica", refuse)
    monkeypatch.setattr(MemoryDriver, "unfence", away)
    with pytest.raises(OperationFailed, match="somebody reads it"):
        far.promote_replica(CONTEXT, world.far)
    told = far.messages(CONTEXT)[0].text
    assert "out of reach; mend that and run `revertkit recover` on node-1" in told
    assert "as before" not in told
    assert not can_be_written_to(world, world.fast)
    assert near.recover() == []
    assert can_be_written_to(world, world.fast)


def test_three_deep_with_a_replica_that_was_away(one_host: ShareManager) -> None:
    """Revert, delete, revert to the one before, and again; then promote what was away all the time, by force."""
    manager = one_host
    world = World(manager)
    again = world.kept()
    for forced in (True, False):
        again()
        world.write({"letter": b"third"})
        manager.create_snapshot(CONTEXT, "share", name="newest")
        world.write({"letter": b"much later", "discarded": b"!"})
        world.look()
        with MemoryDriver.away("far"):
            for name in ("newest", "newer"):
                manager.revert_to_snapshot(CONTEXT, name)
                manager.delete_snapshot(CONTEXT, name)
                world.write({"letter": b"again", "discarded": b"?"})
                manager.look_at_replicas()
            manager.revert_to_snapshot(CONTEXT, "older")
        assert world.states() == {"fast": "active", "far": "out_of_sync", "third": "out_of_sync"}
        assert world.held(world.far)["letter"] == b"much later"
        if forced:
            manager.promote_replica(CONTEXT, world.far, force=True)
            assert dict(world.files()) == {"letter": b"older"}
        world.look()
        assert_whole(world)
        assert dict(world.files()) == {"letter": b"older"}
        assert [one.name for one in manager.snapshots(CONTEXT, "share")] == ["older"]


def test_what_a_dead_look_has_brought_is_turned_back_too(one_host: ShareManager) -> None:
    """A look dies after it has brought data, and no record says so; a revert and a forced promotion follow."""
    manager = one_host
    world = World(manager)
    manager.delete_replica(CONTEXT, world.third)
    world.write({"letter": b"third"})
    manager.create_snapshot(CONTEXT, "share", name="newest")
    world.write({"letter": b"much later", "discarded": b"!"})
    again = world.kept()

    def look_until(last: int) -> list[str]:
        reached: list[str] = []

        def point(name: str) -> None:
            reached.append(name)
            if len(reached) == last:
                raise Killed

        with points(point):
            manager.resync_replica(CONTEXT, world.far)
        return reached

    total = len(look_until(0))
    for last in range(1, total + 1):
        again()
        with suppress(Killed):
            look_until(last)
        manager.revert_to_snapshot(CONTEXT, "newest")
        assert not world.replica(world.far).active
        manager.promote_replica(CONTEXT, world.far, force=True)
        if "discarded" in world.files():
            assert world.files()["letter"] == b"later", "what it held before is older than the snapshot"
        world.look()


def test_what_a_dead_look_has_brought_since_a_revert_is_kept(one_host: ShareManager) -> None:
    """Snapshots taken after it may have no other copy once the active one is gone; one was reverted to again."""
    manager = one_host
    world = World(manager)
    manager.delete_replica(CONTEXT, world.third)
    manager.revert_to_snapshot(CONTEXT, "newer")
    world.write({"letter": b"since"})
    first = manager.create_snapshot(CONTEXT, "share", name="first")
    world.write({"letter": b"discarded too", "discarded": b"?"})
    manager.revert_to_snapshot(CONTEXT, "first")
    world.write({"letter": b"at last"})
    second = manager.create_snapshot(CONTEXT, "share", name="second")
    again = world.kept()
    brought = set()
    total = len(stopped(lambda: manager.resync_replica(CONTEXT, world.far), 0, None))
    for last in range(1, total + 1):
        again()
        with suppress(Killed):
            stopped(lambda: manager.resync_replica(CONTEXT, world.far), last, Killed())
        held = [one.id for one in (first, second) if STORAGE["far"][world.far].ours(one.id)]
        with MemoryDriver.away("fast"):
            manager.promote_replica(CONTEXT, world.far, force=True)
        assert [one for one in held if not STORAGE["far"][world.far].ours(one)] == [], f"stopped at {last} of {total}"
        assert "discarded" not in world.files()
        assert world.files()["letter"] in {0: (b"newer",), 1: (b"since",), 2: (b"at last",)}[len(held)]
        brought.add(len(held))
    assert brought == {0, 1, 2}


def test_what_a_dead_look_has_brought_is_kept_when_a_later_snapshot_was_reverted_to(one_host: ShareManager) -> None:
    """It has followed past the first revert, and never saw the target of the second: nothing has discarded that."""
    manager = one_host
    world = World(manager)
    manager.delete_replica(CONTEXT, world.third)
    manager.revert_to_snapshot(CONTEXT, "newer")
    world.write({"letter": b"since"})
    first = manager.create_snapshot(CONTEXT, "share", name="first")
    again = world.kept()
    brought = set()
    total = len(stopped(lambda: manager.resync_replica(CONTEXT, world.far), 0, None))
    for last in range(1, total + 1):
        again()
        with suppress(Killed):
            stopped(lambda: manager.resync_replica(CONTEXT, world.far), last, Killed())
        held = STORAGE["far"][world.far].ours(first.id) is not None
        world.write({"letter": b"at last"})
        manager.create_snapshot(CONTEXT, "share", name="second")
        manager.revert_to_snapshot(CONTEXT, "second")
        with MemoryDriver.away("fast"):
            manager.promote_replica(CONTEXT, world.far, force=True)
        assert (STORAGE["far"][world.far].ours(first.id) is not None) is held, f"stopped at {last} of {total}"
        assert world.files()["letter"] == (b"since" if held else b"newer")
        brought.add(held)
    assert brought == {False, True}
