"""Replicas: a snapshot that somebody destroyed by hand, on the active one or on another, is missed, and told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from replicated import World, assert_whole, open_manager
from support import CONTEXT

from revertkit.drivers.memory import MemoryDriver
from revertkit.drivers.memory.storage import STORAGE
from revertkit.errors import Conflict
from revertkit.models import ReplicaReport
from revertkit.status import ReplicaState, Status


@pytest.fixture
def world(state: Path) -> Iterator[World]:
    """A share with two replicas in sync."""
    manager = open_manager(state)
    yield World(manager)
    manager.site.store.engine.dispose()
    MemoryDriver.reset()


def destroy(world: World, replica_id: str, name: str) -> None:
    """Destroy a snapshot behind everybody's back."""
    held = STORAGE[world.replica(replica_id).pool.backend][replica_id]
    snapshot_id = world.snapshot(name).id
    held.snapshots = {one: kept for one, kept in held.snapshots.items() if kept.mark != snapshot_id}
    assert held.ours(snapshot_id) is None


def test_one_destroyed_on_a_replica_is_told_and_comes_back_with_a_full_copy(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its data is in sync all the same; without force it is not promoted. As ZFS: nothing older is sent again."""
    older, update = world.snapshot("older").id, MemoryDriver.update_replica_state

    def looked(*given: Any) -> ReplicaReport:
        report = update(*given)
        destroy(world, world.far, "older")
        (one,) = [one for one in given[-1] if one.snapshot_id == older]
        held = {instance: stored for instance, stored in report.snapshots.items() if instance != one.id}
        return report.model_copy(update={"snapshots": held})

    with monkeypatch.context() as patch:
        patch.setattr(MemoryDriver, "update_replica_state", looked)
        for _ in range(2):
            found = world.manager.resync_replica(CONTEXT, world.far)
            assert found.replica_state is ReplicaState.IN_SYNC
            assert found.found == f"snapshot {older} was destroyed on it: only a full copy brings that back"
            assert world.status_on(world.far, "older") is Status.ERROR
        with pytest.raises(Conflict, match=older):
            world.manager.promote_replica(CONTEXT, world.far)
    world.manager.resync_replica(CONTEXT, world.far, full_copy=True)
    assert_whole(world)
    assert world.replica(world.far).found is None


def test_what_a_revert_discarded_does_not_come_back_where_its_snapshot_was_destroyed(world: World) -> None:
    """The replica holds what was discarded, and not the snapshot that it would be turned back to."""
    destroy(world, world.far, "newer")
    world.manager.revert_to_snapshot(CONTEXT, "newer")
    with MemoryDriver.away("fast"):
        world.manager.promote_replica(CONTEXT, world.far, force=True)
        assert dict(world.files()) == {"letter": b"older"}
        assert world.snapshot("newer").status is Status.ERROR
        assert world.snapshot("older").status is Status.AVAILABLE


def test_a_promoted_replica_says_which_snapshots_it_has_not(world: World) -> None:
    """One that was destroyed since the last look is no snapshot that one could revert to."""
    destroy(world, world.far, "older")
    with MemoryDriver.away("fast"):
        world.manager.promote_replica(CONTEXT, world.far, force=True)
    assert world.snapshot("older").status is Status.ERROR
    assert world.snapshot("newer").status is Status.AVAILABLE


def test_one_destroyed_on_the_active_one_is_not_lost_with_its_last_copy(world: World) -> None:
    """A replica follows what is written, says that it holds the last copy, and neither goes nor is copied anew."""
    destroy(world, world.fast, "newer")
    world.write({"letter": b"after"})
    for _ in range(2):
        found = world.manager.resync_replica(CONTEXT, world.far)
        assert found.replica_state is ReplicaState.ERROR
        assert world.snapshot("newer").id in (found.found or "")
        assert world.held(world.far) == {"letter": b"after"}
    with pytest.raises(Conflict, match="by force"):
        world.manager.delete_replica(CONTEXT, world.far)
    copied = world.manager.resync_replica(CONTEXT, world.far, full_copy=True)
    assert "nothing was removed" in (copied.found or "")
    world.manager.promote_replica(CONTEXT, world.far, force=True)
    assert dict(world.files()) == {"letter": b"after"}
    world.manager.revert_to_snapshot(CONTEXT, "newer")
    assert dict(world.files()) == World.KEPT


@pytest.mark.parametrize("later", ["a look that fails", "a look that is killed", "a revert"])
def test_a_last_copy_is_not_forgotten(world: World, monkeypatch: pytest.MonkeyPatch, later: str) -> None:
    """Whatever became of the next look: a deletion without force does not take the last copy of a snapshot along."""
    destroy(world, world.fast, "newer")
    world.manager.resync_replica(CONTEXT, world.far)
    if later == "a look that fails":
        with MemoryDriver.away("fast"):
            world.manager.resync_replica(CONTEXT, world.far)
    elif later == "a look that is killed":
        monkeypatch.setattr(MemoryDriver, "update_replica_state", killed)
        with pytest.raises(KeyboardInterrupt):
            world.manager.resync_replica(CONTEXT, world.far)
    else:
        world.manager.create_snapshot(CONTEXT, "share", name="newest")
        world.manager.revert_to_snapshot(CONTEXT, "newest")
    assert world.replica(world.far).replica_state is ReplicaState.OUT_OF_SYNC
    with pytest.raises(Conflict, match="by force"):
        world.manager.delete_replica(CONTEXT, world.far)
    world.manager.promote_replica(CONTEXT, world.far, force=True)
    assert world.snapshot("newer").status is Status.AVAILABLE


def killed(*_: Any) -> ReplicaReport:
    """Be a look that leaves its record as its beginning has written it."""
    raise KeyboardInterrupt


def test_one_that_is_deleted_during_a_look_is_no_last_copy(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver sees it on the replica alone, and on the list that it was given."""
    update = MemoryDriver.update_replica_state

    def looked(*given: Any) -> ReplicaReport:
        world.manager.delete_snapshot(CONTEXT, "newer")
        return update(*given)

    with monkeypatch.context() as patch:
        patch.setattr(MemoryDriver, "update_replica_state", looked)
        found = world.manager.resync_replica(CONTEXT, world.far)
    assert (found.replica_state, found.found) == (ReplicaState.IN_SYNC, None)
    world.look()
    assert_whole(world)
