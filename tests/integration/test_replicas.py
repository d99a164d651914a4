"""Replicas: the rules, one by one; every refusal with nothing changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from replicated import TYPE, World, assert_whole, open_manager, replicated
from support import CONTEXT, SPECS, Parked, counted_writes, stop

from revertkit.drivers.memory import MemoryDriver
from revertkit.drivers.memory.adoption import refusal
from revertkit.drivers.memory.storage import STORAGE
from revertkit.errors import (
    BackendError,
    Blocked,
    Conflict,
    InvalidInput,
    NotFound,
    NotSupported,
    OperationFailed,
    QuotaExceeded,
    RevertkitError,
)
from revertkit.manager import ShareManager
from revertkit.models import Context, ExportLocation, MessageLevel, Replica, ReplicaReport
from revertkit.status import ReplicaState, Status


@pytest.fixture
def manager(state: Path) -> Iterator[ShareManager]:
    """A manager of three backends."""
    MemoryDriver.reset()
    manager = open_manager(state)
    yield manager
    manager.site.store.engine.dispose()
    MemoryDriver.reset()


@pytest.fixture
def world(manager: ShareManager) -> World:
    """A share with two replicas in sync."""
    return World(manager)


# --- from first to last


def test_a_replica_from_first_to_last(manager: ShareManager) -> None:
    """Made empty and out of sync; a look brings data and snapshots; it follows; it goes, and all of it with it."""
    replicated(manager)
    share = manager.create_share(CONTEXT, 2, name="share", share_type=TYPE, pool="fast")
    files = MemoryDriver("fast", MemoryDriver.Options()).files(share.replica)
    files["a"] = b"1"
    manager.create_snapshot(CONTEXT, "share", name="first")
    made = manager.create_replica(CONTEXT, "share", pool="far")
    assert (made.status, made.replica_state, made.in_sync_at) == (Status.AVAILABLE, ReplicaState.OUT_OF_SYNC, None)
    assert made.export_locations == (), "there is nothing to read yet"
    synced = manager.resync_replica(CONTEXT, made.id)
    assert (synced.replica_state, synced.found, synced.seconds_behind) == (ReplicaState.IN_SYNC, None, 0.0)
    assert synced.in_sync_at is not None
    assert synced.looked_at is not None
    assert synced.in_sync_at < synced.looked_at
    assert [at.path for at in synced.export_locations] == [f"memory:/far/{made.id}"]
    files["a"] = b"2"
    (looked,) = manager.look_at_replicas()
    assert (looked.replica_id, looked.replica_state) == (made.id, ReplicaState.IN_SYNC)
    assert dict(MemoryDriver("far", MemoryDriver.Options()).files(synced.replica)) == {"a": b"2"}
    assert [one.pool.backend for one in manager.replicas(CONTEXT)] == ["fast", "far"]
    manager.delete_replica(CONTEXT, made.id)
    assert STORAGE["far"] == {}
    assert [one.active for one in manager.replicas(CONTEXT, "share")] == [True]
    manager.delete_snapshot(CONTEXT, "first")
    manager.delete_share(CONTEXT, "share")
    assert manager.replicas(CONTEXT) == []


def test_the_active_one_lets_go_of_a_replica_that_is_gone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is brought online anew, by a record without that one. What goes wrong with that leaves the replica deleted."""
    ensure, told = MemoryDriver.ensure_share, list[tuple[str, ...]]()

    def watched(driver: MemoryDriver, share: Replica) -> list[ExportLocation]:
        if share.state is ReplicaState.ACTIVE:
            told.append(share.peers)
        return ensure(driver, share)

    monkeypatch.setattr(MemoryDriver, "ensure_share", watched)
    world.manager.delete_replica(CONTEXT, world.third)
    assert told == [(world.far,)]
    with world.manager.site.locks.hold(world.share.id):
        world.manager.delete_replica(CONTEXT, world.far)
    assert told == [(world.far,)], "somebody works on the share"
    again = world.manager.create_replica(CONTEXT, world.share.id, pool="far")
    monkeypatch.setattr(MemoryDriver, "ensure_share", Mock(side_effect=BackendError("out of reach")))
    world.manager.delete_replica(CONTEXT, again.id)
    assert [one.active for one in world.manager.replicas(CONTEXT, world.share.id)] == [True]


def test_a_revert_leaves_every_other_replica_out_of_sync_and_a_look_leads_it_back(world: World) -> None:
    """Behaviour 23, with the user message of the replicated path; the active one is reverted at once."""
    world.manager.revert_to_snapshot(CONTEXT, "newer")
    assert dict(world.files()) == World.KEPT
    assert world.states() == {"fast": "active", "far": "out_of_sync", "third": "out_of_sync"}
    message = world.manager.messages(CONTEXT)[0]
    assert (message.level, message.action) == (MessageLevel.INFO, "revert_to_snapshot")
    assert f"is as it was in snapshot {world.snapshot('newer').id}" in message.text
    world.look()
    assert world.states() == {"fast": "active", "far": "in_sync", "third": "in_sync"}
    assert_whole(world)


def test_a_replica_that_is_away_holds_nothing_up_and_catches_up(world: World) -> None:
    """Behaviour 23: revert, delete the newest and revert again while it is away, and it follows, copying little."""
    manager = world.manager
    kept = {name: held.identity for name, held in STORAGE["far"][world.far].snapshots.items()}
    with MemoryDriver.away("far"):
        manager.revert_to_snapshot(CONTEXT, "newer")
        manager.delete_snapshot(CONTEXT, "newer")
        manager.revert_to_snapshot(CONTEXT, "older")
        looked = {one.replica_id: one for one in manager.look_at_replicas()}
        assert looked[world.third].replica_state is ReplicaState.IN_SYNC
        assert (looked[world.far].replica_state, looked[world.far].found) == (
            ReplicaState.OUT_OF_SYNC,
            "backend far cannot be reached",
        )
        assert world.replica(world.far).found == "backend far cannot be reached"
    world.look()
    assert_whole(world)
    older = world.manager.snapshots(CONTEXT, "share")[0].id
    held = STORAGE["far"][world.far].snapshots
    assert {name: one.identity for name, one in held.items()} == {older: kept[older]}, "nothing was copied anew"


def test_a_snapshot_reaches_every_replica_and_goes_from_each_by_itself(world: World) -> None:
    """An instance on every replica from its accept; available when it is reported; gone one by one."""
    world.manager.create_snapshot(CONTEXT, "share", name="third")
    assert world.status_on(world.fast, "third") is Status.AVAILABLE
    assert world.status_on(world.far, "third") is Status.CREATING
    world.look()
    assert world.status_on(world.far, "third") is Status.AVAILABLE
    assert_whole(world)
    snapshot = world.snapshot("third")
    with MemoryDriver.away("far"):
        world.manager.delete_snapshot(CONTEXT, "third")
        with pytest.raises(NotFound):
            world.snapshot("third")
        assert world.manager.quotas(CONTEXT.project_id)["snapshots"].in_use == 2
        world.look()
    assert snapshot.id not in STORAGE["third"][world.third].snapshots
    assert snapshot.id in STORAGE["far"][world.far].snapshots
    again = world.manager.create_snapshot(CONTEXT, "share", name="third")
    assert world.manager.snapshot(CONTEXT, "third").id == again.id, "what is gone does not stand in its name's way"
    world.look()
    assert_whole(world)


def test_a_replica_added_later_gets_the_older_snapshots(world: World) -> None:
    """The most recent snapshot is the share's, however late an instance was made; a revert to it goes as any."""
    manager = world.manager
    manager.delete_replica(CONTEXT, world.far)
    late = manager.create_replica(CONTEXT, "share", pool="far")
    with pytest.raises(Conflict, match="not the most recent"):
        manager.revert_to_snapshot(CONTEXT, "older")
    manager.revert_to_snapshot(CONTEXT, "newer")
    manager.promote_replica(CONTEXT, world.third, force=True)
    assert manager.resync_replica(CONTEXT, late.id).replica_state is ReplicaState.IN_SYNC
    manager.promote_replica(CONTEXT, late.id)
    world.look()
    assert_whole(world)
    assert dict(world.files()) == World.KEPT
    manager.revert_to_snapshot(CONTEXT, "newer")
    manager.delete_snapshot(CONTEXT, "newer")
    manager.revert_to_snapshot(CONTEXT, "older")
    world.look()
    assert_whole(world)
    assert dict(world.files()) == {"letter": b"older"}


def test_sizes_follow(world: World) -> None:
    """Extend, shrink and a revert to another size: on every replica, in the record and in both quotas."""
    manager = world.manager
    manager.extend_share(CONTEXT, "share", 20)
    world.look()
    assert {STORAGE[name][one].size for name, one in (("far", world.far), ("third", world.third))} == {20}
    assert manager.quotas(CONTEXT.project_id)["replica_gigabytes"].in_use == 60
    manager.revert_to_snapshot(CONTEXT, "newer")
    world.look()
    assert {STORAGE[name][one].size for name, one in (("far", world.far), ("third", world.third))} == {10}
    assert_whole(world)


def test_rules_reach_the_others_at_once_read_only(world: World) -> None:
    """Who was let in or out of a share is let in or out of every replica, in the same operation."""
    manager = world.manager
    manager.allow_access(CONTEXT, "share", "10.0.0.2")
    assert_whole(world)
    manager.deny_access(CONTEXT, "share", "10.0.0.1")
    assert_whole(world)
    with MemoryDriver.away("far"):
        manager.deny_access(CONTEXT, "share", "10.0.0.2")
    assert "backend far cannot be reached" in manager.messages(CONTEXT)[0].text
    world.look()
    assert_whole(world)


# --- promotion


def test_a_promotion_loses_nothing(world: World) -> None:
    """What was written since the last look is brought first; then the old one follows the new one."""
    world.files()["last"] = b"second"
    promoted = world.manager.promote_replica(CONTEXT, world.far)
    assert promoted.active
    assert dict(world.files()) == {**World.LATER, "last": b"second"}
    assert world.states() == {"fast": "out_of_sync", "far": "active", "third": "out_of_sync"}
    share = world.found()
    assert (str(share.pool), share.replica.id) == ("node-1@far#memory", world.far)
    assert [at.path for at in share.export_locations] == [f"memory:/far/{world.far}"]
    assert world.replica(world.fast).export_locations == ()
    with pytest.raises(BackendError, match="read-only"):
        world.files(world.fast)["still"] = b"written"
    world.files()["next"] = b"written to the new one"
    world.look()
    assert_whole(world)
    assert "is the active one" in world.manager.messages(CONTEXT)[0].text


def test_a_share_lives_on_after_a_promotion(world: World) -> None:
    """Snapshot, extend, revert, access, and back again."""
    manager = world.manager
    manager.promote_replica(CONTEXT, world.far)
    manager.create_snapshot(CONTEXT, "share", name="there")
    world.write({"letter": b"there, later", "discarded": b"!"})
    manager.extend_share(CONTEXT, "share", 12)
    manager.allow_access(CONTEXT, "share", "10.0.0.7")
    world.look()
    manager.revert_to_snapshot(CONTEXT, "there")
    world.look()
    assert_whole(world)
    manager.promote_replica(CONTEXT, world.fast)
    world.look()
    assert_whole(world)
    assert dict(world.files()) == World.LATER


def test_the_old_active_one_is_made_read_only_when_it_is_seen_again(world: World) -> None:
    """Promoted by force while the old one was out of reach: it comes back writable, and is closed, then follows."""
    with MemoryDriver.away("fast"):
        with pytest.raises(Blocked, match=r"backend fast cannot be reached.*by force"):
            world.manager.promote_replica(CONTEXT, world.far)
        assert world.active().id == world.fast
        world.manager.promote_replica(CONTEXT, world.far, force=True)
    assert not STORAGE["fast"][world.fast].readonly
    world.manager.recover()
    assert STORAGE["fast"][world.fast].readonly
    world.look()
    assert_whole(world)


def test_a_promotion_that_cannot_be_had_leaves_all_as_it_was(world: World) -> None:
    """The chosen one cannot be brought up to date: the active one is online and written to, as before."""
    snapshot_held = STORAGE["far"][world.far]
    world.driver("far").plant_snapshot(world.replica(world.far).replica, "by-hand")
    with pytest.raises(Blocked, match="by-hand"):
        world.manager.promote_replica(CONTEXT, world.far)
    world.files()["goes"] = b"on"
    del snapshot_held.snapshots["by-hand"]
    world.look()
    assert_whole(world)


@pytest.mark.parametrize("force", [False, True])
def test_a_promotion_that_the_driver_refuses_leaves_the_active_one_writable(
    world: World, monkeypatch: pytest.MonkeyPatch, force: bool
) -> None:
    """It was made read-only for the promotion, and is opened again."""

    def refuse(*_: Any) -> Any:
        raise refusal("no", "not this one", "take another")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryDriver, "promote_replica", refuse)
        with pytest.raises(Blocked, match="not this one"):
            world.manager.promote_replica(CONTEXT, world.far, force=force)
    world.files()["goes"] = b"on"
    world.look()
    assert_whole(world)


def test_a_snapshot_that_did_not_reach_the_promoted_one_is_in_error_and_not_lost(world: World) -> None:
    """By force only; it counts as the latest, is refused by name, and the old one keeps it until it is deleted."""
    manager = world.manager
    snapshot = manager.create_snapshot(CONTEXT, "share", name="late")
    with pytest.raises(Conflict, match=snapshot.id):
        manager.promote_replica(CONTEXT, world.far)
    manager.promote_replica(CONTEXT, world.far, force=True)
    assert world.snapshot("late").status is Status.ERROR
    with world.unchanged(), pytest.raises(Conflict, match=f"{snapshot.id} is error"):
        manager.revert_to_snapshot(CONTEXT, "late")
    with world.unchanged(), pytest.raises(Conflict, match=snapshot.id):
        manager.revert_to_snapshot(CONTEXT, "newer")
    world.look()
    old = world.replica(world.fast)
    assert old.replica_state is ReplicaState.ERROR
    assert f"it holds snapshot {snapshot.id}, which the active replica has lost" in (old.found or "")
    assert snapshot.id in STORAGE["fast"][world.fast].snapshots
    with pytest.raises(Conflict, match=snapshot.id):
        manager.resync_replica(CONTEXT, world.fast, full_copy=True)
    assert snapshot.id in STORAGE["fast"][world.fast].snapshots
    manager.promote_replica(CONTEXT, world.fast, force=True)
    assert world.snapshot("late").status is Status.AVAILABLE, "promoted back, it is there"
    world.look()
    assert_whole(world)


def test_a_snapshot_lost_by_a_promotion_is_let_go_by_deleting_it(world: World) -> None:
    """Deleted on the share, it no longer keeps the old one from following."""
    world.manager.create_snapshot(CONTEXT, "share", name="late")
    world.manager.promote_replica(CONTEXT, world.far, force=True)
    world.manager.delete_snapshot(CONTEXT, "late")
    world.look()
    assert_whole(world)


def test_a_share_in_reverting_error_can_be_taken_over(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The active one is broken half-way: another is promoted by force, turned back; later the old one follows."""
    with monkeypatch.context() as patch:
        patch.setattr("revertkit.drivers.memory.driver._finish", lambda *_: (_ for _ in ()).throw(BackendError("no")))
        with pytest.raises(OperationFailed):
            world.manager.revert_to_snapshot(CONTEXT, "newer")
    assert world.found().status is Status.REVERTING_ERROR
    with pytest.raises(Conflict):
        world.manager.promote_replica(CONTEXT, world.far)
    world.manager.promote_replica(CONTEXT, world.far, force=True)
    assert dict(world.files()) == World.KEPT
    world.look()
    assert_whole(world)


# --- refusals, each with nothing changed

REFUSED: dict[str, tuple[type[RevertkitError], str, Any]] = {
    "in the active one's pool": (InvalidInput, "active replica in pool", lambda m, w: m.create_replica(
        CONTEXT, "share", pool="fast")),
    "in another's pool": (InvalidInput, "has replica .* in pool", lambda m, w: m.create_replica(
        CONTEXT, "share", pool="node-1@far#memory")),
    "where there is no pool": (InvalidInput, "no pool or backend", lambda m, w: m.create_replica(
        CONTEXT, "share", pool="nowhere")),
    "where no pool is left": (NotSupported, "no pool", lambda m, w: m.create_replica(CONTEXT, "share")),
    "of no share": (NotFound, "no share", lambda m, w: m.create_replica(CONTEXT, "none")),
    "writable": (InvalidInput, "writable", lambda m, w: m.create_type(
        "w", {**SPECS, "replication_type": "writable"})),
    "of a share that has no replication_type": (NotSupported, "replication_type", lambda m, w: m.create_replica(
        CONTEXT, "plain", pool="far")),
    "delete the active one": (Conflict, "promote another first", lambda m, w: m.delete_replica(CONTEXT, w.fast)),
    "delete the active one by force": (Conflict, "promote another first", lambda m, w: m.delete_replica(
        CONTEXT, w.fast, force=True)),
    "delete the last active one": (Conflict, "the last one: delete share", lambda m, w: m.delete_replica(
        CONTEXT, m.share(CONTEXT, "alone").replica.id)),
    "delete what is not there": (NotFound, "no replica", lambda m, w: m.delete_replica(CONTEXT, "none")),
    "delete another project's": (NotFound, "no replica", lambda m, w: m.delete_replica(
        Context(project_id="other"), w.far)),
    "promote the active one": (Conflict, "already", lambda m, w: m.promote_replica(CONTEXT, w.fast)),
    "promote what is not there": (NotFound, "no replica", lambda m, w: m.promote_replica(CONTEXT, "none")),
    "promote one out of sync": (Conflict, "is out_of_sync.*by force", lambda m, w: m.promote_replica(
        CONTEXT, w.third)),
    "promote one that was never in sync": (Conflict, "never in sync", lambda m, w: m.promote_replica(
        CONTEXT, m.replicas(CONTEXT, "fresh")[1].id, force=True)),
    "resync the active one": (Conflict, "the others follow it", lambda m, w: m.resync_replica(CONTEXT, w.fast)),
    "delete a share that has others": (Conflict, "has other replicas", lambda m, w: m.delete_share(
        CONTEXT, "fresh")),
    "unmanage a share that has others": (Conflict, "has other replicas", lambda m, w: m.unmanage_share(
        CONTEXT, "fresh")),
    "unmanage a snapshot of one": (Conflict, "has other replicas", lambda m, w: m.unmanage_snapshot(
        CONTEXT, "newer")),
    "manage a snapshot of one": (Conflict, "has other replicas", lambda m, w: m.manage_snapshot(
        CONTEXT, "share", "any")),
    "over the quota of replicas": (QuotaExceeded, "share_replicas", lambda m, w: m.create_replica(
        CONTEXT, "alone", pool="far")),
    "over the quota of their room": (QuotaExceeded, "replica_gigabytes: 33 in use .* 100 wanted > limit 50",
        lambda m, w: m.create_share(CONTEXT, 100, share_type=TYPE)),
    "grow over it": (QuotaExceeded, "replica_gigabytes: .* 30 wanted", lambda m, w: m.extend_share(
        CONTEXT, "share", 20)),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_refused(world: World, what: str) -> None:
    """A clear refusal, and nothing has changed."""
    manager = world.manager
    manager.create_type("plain", SPECS)
    manager.create_share(CONTEXT, 1, name="plain", share_type="plain", pool="fast")
    for name in ("alone", "fresh"):
        manager.create_share(CONTEXT, 1, name=name, share_type=TYPE, pool="fast")
    manager.create_replica(CONTEXT, "fresh", pool="far")
    with MemoryDriver.away("fast"):
        manager.resync_replica(CONTEXT, world.third)
    manager.set_quota(CONTEXT.project_id, "replica_gigabytes", 50)
    if what == "over the quota of replicas":
        manager.set_quota(CONTEXT.project_id, "share_replicas", 6)
    error, words, call = REFUSED[what]
    before = manager.quotas(CONTEXT.project_id), manager.replicas(CONTEXT)
    with world.unchanged(), pytest.raises(error, match=words):
        call(manager, world)
    assert (manager.quotas(CONTEXT.project_id), manager.replicas(CONTEXT)) == before
    assert manager.interrupted() == []


def test_a_driver_that_sees_that_two_pools_are_one_refuses(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What only a backend can know is a refusal too, and leaves no row."""
    world.manager.delete_replica(CONTEXT, world.far)
    replica = MemoryDriver.create_replica

    def same(driver: MemoryDriver, new: Any, active: Any, snapshots: Any) -> Any:
        return replica(driver, new, active.model_copy(update={"backend": driver.backend}), snapshots)

    monkeypatch.setattr(MemoryDriver, "create_replica", same)
    with world.unchanged(), pytest.raises(Blocked, match="is in backend far too"):
        world.manager.create_replica(CONTEXT, "share", pool="far")


def test_a_foreign_snapshot_on_a_replica_is_named_there_and_the_active_one_goes_on(world: World) -> None:
    """Refused by name on the replica; the share is reverted all the same; gone, the replica follows."""
    world.driver("far").plant_snapshot(world.replica(world.far).replica, "by-hand")
    world.manager.revert_to_snapshot(CONTEXT, "newer")
    world.look()
    assert dict(world.files()) == World.KEPT
    assert world.states() == {"fast": "active", "far": "error", "third": "in_sync"}
    assert "by-hand" in (world.replica(world.far).found or "")
    with world.unchanged(), pytest.raises(Conflict, match=r"by-hand.*by force"):
        world.manager.delete_replica(CONTEXT, world.far)
    with pytest.raises(OperationFailed, match="by-hand"):
        world.manager.delete_replica(CONTEXT, world.far, force=True)
    del STORAGE["far"][world.far].snapshots["by-hand"]
    assert world.replica(world.far).status is Status.ERROR_DELETING
    world.manager.delete_replica(CONTEXT, world.far, force=True)


def test_without_a_common_moment_it_says_so_and_a_full_copy_mends_it(world: World) -> None:
    """No look can bring it in sync, and the record says that; made anew by hand it is."""
    held = STORAGE["far"][world.far]
    held.lineage, held.snapshots, held.marks = ["elsewhere"], {}, {}
    world.look()
    found = world.replica(world.far)
    assert (found.replica_state, found.needs_full_copy) == (ReplicaState.ERROR, True)
    assert "only a full copy" in (found.found or "")
    again = world.manager.resync_replica(CONTEXT, world.far, full_copy=True)
    assert (again.replica_state, again.needs_full_copy) == (ReplicaState.IN_SYNC, False)
    assert_whole(world)


def test_a_full_copy_removes_nothing_while_the_active_one_is_away(world: World) -> None:
    """What the replica holds may be all there is: it can be promoted as before."""
    with MemoryDriver.away("fast"):
        found = world.manager.resync_replica(CONTEXT, world.far, full_copy=True)
        assert found.replica_state is ReplicaState.OUT_OF_SYNC
        assert "nothing was removed" in (found.found or "")
        assert world.manager.promote_replica(CONTEXT, world.far, force=True).active
    assert dict(world.files()) == World.LATER


def test_the_last_copy_of_a_snapshot_is_deleted_by_force_alone(world: World) -> None:
    """A forced promotion leaves it with the old active one, whose deletion would be its end."""
    with MemoryDriver.away("far"):
        newest = world.manager.create_snapshot(CONTEXT, "share", name="newest")
    world.manager.promote_replica(CONTEXT, world.far, force=True)
    with pytest.raises(Conflict, match=f"holds snapshot {newest.id}.*by force"):
        world.manager.delete_replica(CONTEXT, world.fast)
    assert STORAGE["fast"][world.fast].ours(newest.id) is not None
    world.manager.delete_replica(CONTEXT, world.fast, force=True)
    assert world.fast not in STORAGE["fast"]


def test_a_driver_is_not_believed_against_the_record(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """In sync without the snapshot that the share was reverted to, or "active": neither is."""
    world.manager.revert_to_snapshot(CONTEXT, "newer")
    for state, words in ((ReplicaState.IN_SYNC, "does not hold snapshot"), (ReplicaState.ACTIVE, "says that it is")):
        monkeypatch.setattr(
            MemoryDriver, "update_replica_state", lambda *_, said=state: ReplicaReport(state=said, snapshots={})
        )
        assert world.manager.resync_replica(CONTEXT, world.far).replica_state is ReplicaState.OUT_OF_SYNC
        assert words in (world.replica(world.far).found or "")


def test_what_a_look_does_not_disturb(world: World, state: Path) -> None:
    """A share that something is under way on is left alone; so is a replica that somebody else works on."""
    parked = Parked()
    other = open_manager(state, dispatch=parked)
    other.revert_to_snapshot(CONTEXT, "newer")
    looked = world.manager.look_at_replicas()
    assert all(one.left_alone for one in looked)
    assert world.states() == {"fast": "active", "far": "out_of_sync", "third": "out_of_sync"}
    with pytest.raises(Conflict, match="reverting"):
        world.manager.resync_replica(CONTEXT, world.far)
    stop(parked.accepted[0])
    world.manager.recover()
    with world.manager.site.locks.hold(f"replica-{world.far}"):
        looked = world.manager.look_at_replicas()
        assert [one.left_alone for one in looked] == [True, False]
        with pytest.raises(Conflict, match=f"replica {world.far} is being worked on"):
            world.manager.promote_replica(CONTEXT, world.far, force=True)
        with pytest.raises(Conflict, match="being worked on"):
            world.manager.delete_replica(CONTEXT, world.far)
    world.look()
    assert_whole(world)


def test_a_replica_is_made_and_deleted_while_its_share_is_used(world: World, state: Path) -> None:
    """However long it takes: snapshots, reverts and other replicas do not wait for it."""
    world.manager.delete_replica(CONTEXT, world.far)
    parked = Parked()
    other = open_manager(state, dispatch=parked)
    other.create_replica(CONTEXT, "share", pool="far")
    other.delete_replica(CONTEXT, world.third)
    world.manager.create_snapshot(CONTEXT, "share", name="meanwhile")
    world.manager.revert_to_snapshot(CONTEXT, "meanwhile")
    for accepted in parked.accepted:
        accepted.run()
    world.look()
    assert world.states() == {"fast": "active", "far": "in_sync"}
    assert_whole(world)


def test_no_more_than_three_write_transactions(world: World) -> None:
    """An operation has so many; a look has two, and one more where it has something to drop or a new place to tell."""
    for call, most in (
        (lambda: world.manager.revert_to_snapshot(CONTEXT, "newer"), 3),
        (lambda: world.manager.resync_replica(CONTEXT, world.far), 3),
        (lambda: world.manager.promote_replica(CONTEXT, world.far), 3),
        (lambda: world.manager.delete_replica(CONTEXT, world.third), 3),
        (lambda: world.manager.create_replica(CONTEXT, "share", pool="third"), 3),
    ):
        with counted_writes() as written:
            call()
        assert len(written) <= most


@pytest.mark.parametrize("gone", ["backend", "host"])
def test_a_replica_whose_place_is_gone_is_forgotten(world: World, state: Path, gone: str) -> None:
    """After a promotion by force nothing else leads out: it could be deleted nowhere, and its share neither."""
    left = ["far", "third"] if gone == "backend" else ["fast", "far", "third"]
    with pytest.raises(Conflict, match="configured here: delete it"):
        world.manager.forget_replica(CONTEXT, world.third)
    manager = open_manager(state, *left, host="node-1" if gone == "backend" else "node-2")
    with pytest.raises(Conflict, match="promote another first"):
        manager.forget_replica(CONTEXT, world.fast)
    if gone == "backend":
        manager.promote_replica(CONTEXT, world.far, force=True)
    lost = world.fast if gone == "backend" else world.third
    with pytest.raises(RevertkitError, match="revertkit replica delete --forget"):
        manager.delete_replica(CONTEXT, lost, force=True)
    manager.forget_replica(CONTEXT, lost)
    assert lost not in [one.id for one in manager.replicas(CONTEXT, "share")]
    assert len(manager.replicas(CONTEXT, "share")) == 2


def test_a_replica_that_is_being_worked_on_is_not_forgotten(world: World, state: Path) -> None:
    """A deletion that its lost host had begun is over with it; nothing else is."""
    parked = Parked()
    open_manager(state, dispatch=parked).delete_replica(CONTEXT, world.third)
    elsewhere = open_manager(state, host="node-2")
    with pytest.raises(Conflict, match="living process"):
        elsewhere.forget_replica(CONTEXT, world.third)
    stop(parked.accepted[0])
    elsewhere.forget_replica(CONTEXT, world.third)
    assert world.manager.interrupted() == []
