"""Replicas: nothing but its owner's word is the end of the last copy of a snapshot, or leaves a replica of no use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from replicated import TYPE, World, assert_whole, on_two_hosts, open_manager
from support import CONTEXT, Parked, stop

from revertkit.drivers.memory import MemoryDriver
from revertkit.drivers.memory.adoption import refusal
from revertkit.drivers.memory.storage import STORAGE
from revertkit.errors import BackendError, Blocked, Conflict, OperationFailed
from revertkit.manager import ShareManager
from revertkit.models import Replica, Snapshot, SnapshotInstance
from revertkit.status import ReplicaState, Status


@pytest.fixture
def world(state: Path) -> Iterator[World]:
    """A share with two replicas in sync."""
    manager = open_manager(state)
    yield World(manager)
    manager.site.store.engine.dispose()
    MemoryDriver.reset()


@pytest.fixture
def two_hosts(state: Path, tmp_path: Path) -> Iterator[tuple[ShareManager, ShareManager]]:
    """A manager of ``fast`` and ``third``, and on another host one of ``far``; one database, locks of their own."""
    with on_two_hosts(state, tmp_path) as both:
        yield both


@pytest.fixture
def late(world: World, monkeypatch: pytest.MonkeyPatch) -> Snapshot:
    """A snapshot that one look has brought to ``far``, and was cut before it could say so."""
    look = MemoryDriver.update_replica_state

    def cut(*args: Any) -> Any:
        look(*args)
        raise BackendError("cut")

    made = world.manager.create_snapshot(CONTEXT, "share", name="late")
    with monkeypatch.context() as patched:
        patched.setattr(MemoryDriver, "update_replica_state", cut)
        world.manager.resync_replica(CONTEXT, world.far)
    assert world.status_on(world.far, "late") is Status.CREATING
    assert STORAGE["far"][world.far].ours(made.id)
    return made


def test_a_last_copy_that_a_cut_look_brought_is_not_turned_back_from(world: World, late: Snapshot) -> None:
    """The active one, and the one that is promoted in its place, have it not: the record says it is in error."""
    with MemoryDriver.away("fast"):
        world.manager.promote_replica(CONTEXT, world.third, force=True)
        assert world.snapshot("late").status is Status.ERROR
        for _ in range(2):
            world.manager.resync_replica(CONTEXT, world.far)
            found = world.replica(world.far)
            assert found.replica_state is ReplicaState.ERROR
            assert f"holds snapshot {late.id}" in (found.found or "")
            assert STORAGE["far"][world.far].ours(late.id)
        with pytest.raises(Conflict, match=late.id):
            world.manager.delete_replica(CONTEXT, world.far)
        world.manager.promote_replica(CONTEXT, world.far, force=True)
        assert world.snapshot("late").status is Status.AVAILABLE
    world.look()
    assert_whole(world)


def test_a_promotion_finds_what_a_cut_look_brought(world: World, late: Snapshot) -> None:
    """It is no snapshot in error, which one would delete: it can be reverted to."""
    with MemoryDriver.away("fast"):
        world.manager.promote_replica(CONTEXT, world.far, force=True)
        assert world.snapshot("late").status is Status.AVAILABLE
        world.manager.revert_to_snapshot(CONTEXT, late.id)
    world.look()
    assert_whole(world)


def test_a_snapshot_that_the_active_one_lost_behind_our_back_is_not_the_next_to_go(world: World) -> None:
    """Its pool went back to what it was. Neither a full copy nor a deletion removes the replica that still has it."""
    lost = world.snapshot("newer")
    held = STORAGE["fast"][world.fast]
    before = held.ours(world.snapshot("older").id)
    assert before is not None
    held.turn_back(before)
    world.look()
    assert world.replica(world.far).replica_state is ReplicaState.ERROR
    found = world.manager.resync_replica(CONTEXT, world.far, full_copy=True)
    assert "nothing was removed" in (found.found or "")
    with pytest.raises(Conflict, match="by force"):
        world.manager.delete_replica(CONTEXT, world.far)
    assert STORAGE["far"][world.far].ours(lost.id)
    world.manager.promote_replica(CONTEXT, world.far, force=True)
    world.manager.revert_to_snapshot(CONTEXT, lost.id)
    assert dict(world.files()) == World.KEPT


def test_a_replica_whose_forced_promotion_was_refused_can_be_promoted_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The share keeps the status that it had, and the replica has its own."""

    def refuse(*_: Any) -> Any:
        raise refusal("no", "not this one", "take another")

    with monkeypatch.context() as patch:
        patch.setattr("revertkit.drivers.memory.driver._finish", lambda *_: (_ for _ in ()).throw(BackendError("no")))
        with pytest.raises(OperationFailed):
            world.manager.revert_to_snapshot(CONTEXT, "newer")
    assert world.found().status is Status.REVERTING_ERROR
    with monkeypatch.context() as patch:
        patch.setattr(MemoryDriver, "promote_replica", refuse)
        with pytest.raises((Blocked, OperationFailed), match="not this one"):
            world.manager.promote_replica(CONTEXT, world.far, force=True)
    assert world.found().status is Status.REVERTING_ERROR
    assert world.replica(world.far).status is Status.AVAILABLE
    assert world.manager.promote_replica(CONTEXT, world.far, force=True).active
    world.look()
    assert_whole(world)


def test_a_promotion_whose_host_is_gone_for_good_is_ended_by_forgetting_its_replica(world: World, state: Path) -> None:
    """The active one, which it had made read-only, is written to again."""
    parked = Parked()
    open_manager(state, dispatch=parked).promote_replica(CONTEXT, world.far)
    stop(parked.accepted[0])
    STORAGE["fast"][world.fast].readonly = True
    left = open_manager(state, "fast", "third")
    assert world.found().status is Status.REPLICATION_CHANGE
    left.forget_replica(CONTEXT, world.far)
    assert world.found().status is Status.AVAILABLE
    assert not STORAGE["fast"][world.fast].readonly
    assert left.interrupted() == []


def test_what_a_promotion_drops_is_dropped_as_by_the_active_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver keeps of it what the others need to follow; of one that follows, it would not."""
    deleted: list[SnapshotInstance] = []
    delete = MemoryDriver.delete_snapshot

    def seen(driver: MemoryDriver, snapshot: SnapshotInstance) -> None:
        deleted.append(snapshot)
        delete(driver, snapshot)

    world.manager.revert_to_snapshot(CONTEXT, "newer")
    world.manager.delete_snapshot(CONTEXT, "newer")
    monkeypatch.setattr(MemoryDriver, "delete_snapshot", seen)
    with MemoryDriver.away("fast"):
        world.manager.promote_replica(CONTEXT, world.far, force=True)
    (dropped,) = deleted
    assert (dropped.replica.id, dropped.replica.state) == (world.far, ReplicaState.ACTIVE)
    assert dropped.replica.peers


def test_what_a_replica_surely_holds_after_a_revert_is_the_snapshot(world: World) -> None:
    """It is turned back to that, whatever came later, and may be promoted half way to what is newer."""
    snapshot = world.snapshot("newer")
    before = world.replica(world.far).in_sync_at
    assert before is not None
    assert before > snapshot.created_at
    world.manager.revert_to_snapshot(CONTEXT, "newer")
    assert world.replica(world.far).in_sync_at == snapshot.created_at
    world.look()
    after = world.replica(world.far).in_sync_at
    assert after is not None
    assert after > before


def test_a_replica_is_read_by_the_rules_that_there_are_at_the_end_of_a_look(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look may take hours: it lets nobody in again whose access was taken away meanwhile."""
    look = MemoryDriver.update_replica_state

    def meanwhile(driver: MemoryDriver, replica: Replica, *more: Any) -> Any:
        for rule in world.manager.access_rules(CONTEXT, "share"):
            world.manager.deny_access(CONTEXT, "share", rule.id)
        report = look(driver, replica, *more)
        driver.ensure_share(replica)
        return report

    assert world.driver("far").exported_to(world.replica(world.far).replica)
    with monkeypatch.context() as patched:
        patched.setattr(MemoryDriver, "update_replica_state", meanwhile)
        world.manager.resync_replica(CONTEXT, world.far)
    assert not world.driver("far").exported_to(world.replica(world.far).replica)


def test_a_share_that_was_being_made_of_a_snapshot_on_a_lost_host_is_in_nobodys_way(
    two_hosts: tuple[ShareManager, ShareManager], state: Path
) -> None:
    """The promotion by force ends that too: the snapshot can be reverted to, and deleted."""
    near, far = two_hosts
    world, parked = World(near, far), Parked()
    lost = open_manager(state, "fast", "third", dispatch=parked)
    made = lost.create_share(CONTEXT, 10, name="made", snapshot="newer", share_type=TYPE)
    stop(parked.accepted[0])
    with MemoryDriver.away("fast"):
        far.promote_replica(CONTEXT, world.far, force=True)
        assert far.share(CONTEXT, made.id).status is Status.ERROR
        far.revert_to_snapshot(CONTEXT, "newer")
        far.delete_snapshot(CONTEXT, "newer")
