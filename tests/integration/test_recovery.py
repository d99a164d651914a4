"""Recovery on the in-memory backend, where a boot and a race can be played exactly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import CONTEXT, Parked, assert_at_rest, open_manager, stop

from revertkit.drivers.memory import MemoryDriver
from revertkit.drivers.memory.driver import merge
from revertkit.drivers.memory.storage import STORAGE
from revertkit.errors import BackendError, Blocked, Conflict, InvalidInput, OperationFailed, StoreError
from revertkit.manager import ShareManager
from revertkit.models import Blocker, Operation, Replica, RevertState, Share
from revertkit.operations import recover as recovery
from revertkit.operations import revert as revert_story
from revertkit.operations.site import Site
from revertkit.status import Status
from revertkit.system import processes


def fail(*_: Any) -> Any:
    """Be a backend that is out of order."""
    raise BackendError("out of order")


def refuse(*_: Any) -> Any:
    """Be a backend that something stands in the way of."""
    raise Blocked(Blocker(kind="does_not_fit", what="too much", mend="remove some"))


def unmounted(*_: Any) -> Any:
    """Be a backend that brings nothing online."""
    raise BackendError("no mount")


def boot() -> None:
    """Take every share offline, as a boot does: nothing comes back by itself."""
    for shares in STORAGE.values():
        for share in shares.values():
            for one in (share, *share.snapshots.values()):
                one.online, one.exported_to = False, ()


def driver(manager: ShareManager) -> MemoryDriver:
    """The backend."""
    found = manager.site.driver("fast")
    assert isinstance(found, MemoryDriver)
    return found


def online(manager: ShareManager, share: Share) -> bool:
    """Whether its users reach a share."""
    return bool(STORAGE["fast"][share.replica.id].online)


@pytest.fixture
def share(manager: ShareManager) -> Share:
    """A share with a rule and something in it."""
    made = manager.create_share(CONTEXT, 10)
    manager.allow_access(CONTEXT, made.id, "10.0.0.1")
    driver(manager).files(manager.share(CONTEXT, made.id).replica)["letter"] = b"old"
    return made


def interrupted(state: Path, verb: Callable[[ShareManager], Any]) -> None:
    """Leave an operation on record as a process does that dies right after the accept."""
    parked = Parked()
    verb(open_manager(state, "memory", dispatch=parked))
    stop(parked.accepted[0])


def test_after_a_boot_every_share_is_online_again(manager: ShareManager, share: Share) -> None:
    """At start, nothing comes back by itself: recover brings shares online, and exports them by their rules."""
    boot()
    assert manager.recover() == []
    assert online(manager, share)
    assert [rule.access_to for rule in driver(manager).exported_to(share.replica)] == ["10.0.0.1"]


@pytest.mark.parametrize("verb", ["create snapshot", "delete snapshot", "extend", "revert"])
def test_a_share_whose_operation_was_interrupted_is_online_too(
    manager: ShareManager, state: Path, share: Share, verb: str
) -> None:
    """Rule 7: a power cut in the middle of any operation, then a boot: finished or untouched, and online."""
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    verbs: dict[str, Callable[[ShareManager], Any]] = {
        "create snapshot": lambda m: m.create_snapshot(CONTEXT, share.id),
        "delete snapshot": lambda m: m.delete_snapshot(CONTEXT, snapshot.id),
        "extend": lambda m: m.extend_share(CONTEXT, share.id, 20),
        "revert": lambda m: m.revert_to_snapshot(CONTEXT, snapshot.id),
    }
    interrupted(state, verbs[verb])
    boot()
    assert all(told.at_rest for told in manager.recover() if verb != "create snapshot")
    assert manager.share(CONTEXT, share.id).status is Status.AVAILABLE
    assert online(manager, share)
    assert_at_rest(manager)


def test_an_interrupted_rule_is_made_true(manager: ShareManager, state: Path, share: Share) -> None:
    """Rule 7: an access rule that was accepted is applied by recovery, one that was being denied is gone."""
    interrupted(state, lambda m: m.allow_access(CONTEXT, share.id, "10.0.0.2"))
    manager.recover()
    interrupted(state, lambda m: m.deny_access(CONTEXT, share.id, "10.0.0.1"))
    manager.recover()
    assert [rule.access_to for rule in driver(manager).exported_to(share.replica)] == ["10.0.0.2"]
    assert_at_rest(manager)


def test_recovery_does_not_bring_back_a_rule_that_was_denied_meanwhile(
    manager: ShareManager, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share is brought online as it is on record then, not as it was when recovery listed it."""
    hold = manager.site.locks.hold

    def meanwhile(*share_ids: str) -> Any:
        monkeypatch.undo()
        manager.deny_access(CONTEXT, share.id, "10.0.0.1")
        return hold(*share_ids)

    monkeypatch.setattr(manager.site.locks, "hold", meanwhile)
    assert manager.recover() == []
    assert driver(manager).exported_to(share.replica) == ()


def test_recovery_leaves_a_share_alone_that_is_no_longer_available(
    manager: ShareManager, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was deleted since recovery listed it is not asked for, and no trouble is told."""
    hold, ensured = manager.site.locks.hold, []
    ensure = MemoryDriver.ensure_share

    def meanwhile(*share_ids: str) -> Any:
        monkeypatch.undo()
        manager.delete_share(CONTEXT, share.id)
        monkeypatch.setattr(MemoryDriver, "ensure_share", lambda d, r: ensured.append(r) or ensure(d, r))
        return hold(*share_ids)

    monkeypatch.setattr(manager.site.locks, "hold", meanwhile)
    assert manager.recover() == []
    assert ensured == []


@pytest.mark.parametrize("broken", ["revert_state", "ensure_share"])
def test_a_revert_that_cannot_be_looked_at_comes_to_rest(
    manager: ShareManager, state: Path, share: Share, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 7, "never a status that nobody will leave": reverting_error with what was found; mended, it recovers."""
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    interrupted(state, lambda m: m.revert_to_snapshot(CONTEXT, snapshot.id))
    with monkeypatch.context() as patched:
        patched.setattr(MemoryDriver, broken, fail)
        (told, *_) = manager.recover()
        assert not told.at_rest
        assert "out of order" in told.found
    assert manager.share(CONTEXT, share.id).status is Status.REVERTING_ERROR
    assert manager.snapshot(CONTEXT, snapshot.id).status is Status.AVAILABLE
    assert_at_rest(manager)
    assert all(told.at_rest for told in manager.recover())
    assert manager.share(CONTEXT, share.id).status is Status.AVAILABLE
    assert online(manager, share)


def test_an_interrupted_snapshot_that_cannot_be_removed_comes_to_rest(
    manager: ShareManager, state: Path, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The share is free again; the snapshot is in error, says why, and can be deleted when the backend can."""
    interrupted(state, lambda m: m.create_snapshot(CONTEXT, share.id, name="torn"))
    with monkeypatch.context() as patched:
        patched.setattr(MemoryDriver, "delete_snapshot", fail)
        (told,) = manager.recover()
    assert "out of order" in told.found
    assert_at_rest(manager)
    assert manager.snapshot(CONTEXT, "torn").status is Status.ERROR
    manager.delete_snapshot(CONTEXT, "torn")
    assert manager.create_snapshot(CONTEXT, share.id).status is Status.AVAILABLE


def test_a_snapshot_that_a_new_share_is_being_made_of_is_not_deleted(
    manager: ShareManager, state: Path, share: Share
) -> None:
    """An interrupted copy still needs its source: otherwise nothing could ever recover it."""
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    interrupted(state, lambda m: m.create_share(CONTEXT, 10, name="copy", snapshot=snapshot.id))
    for force in (False, True):
        with pytest.raises(Conflict, match="revertkit recover"):
            manager.delete_snapshot(CONTEXT, snapshot.id, force=force)
    assert [operation.snapshot_id for operation in manager.interrupted()] == [snapshot.id]
    manager.recover()
    copy = manager.share(CONTEXT, "copy")
    assert copy.status is Status.AVAILABLE
    assert dict(driver(manager).files(copy.replica)) == {"letter": b"old"}
    manager.delete_snapshot(CONTEXT, snapshot.id)


def test_recovery_by_hand_beside_a_status_set_by_hand(
    manager: ShareManager, state: Path, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A revert that was given up meanwhile is not taken up again by a recovery that had listed it."""
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    with monkeypatch.context() as patched:
        patched.setattr(MemoryDriver, "revert_to_snapshot", fail)
        with pytest.raises(OperationFailed):
            manager.revert_to_snapshot(CONTEXT, snapshot.id)
    hold, reverts = manager.site.locks.hold, []

    def meanwhile(*share_ids: str) -> Any:
        monkeypatch.undo()
        manager.set_share_status(CONTEXT, share.id, Status.AVAILABLE)
        monkeypatch.setattr(revert_story, "_state", reverts.append)
        return hold(*share_ids)

    monkeypatch.setattr(manager.site.locks, "hold", meanwhile)
    told = manager.recover()
    assert reverts == [], "the backend was asked about a revert that is over"
    assert all(one.at_rest for one in told)
    assert manager.share(CONTEXT, share.id).status is Status.AVAILABLE


def test_a_half_way_revert_cannot_be_papered_over(
    manager: ShareManager, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """set-status never leads out of half-way, also where the revert failed between its look and its lock."""
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    hold = manager.site.locks.hold

    def torn(backend: MemoryDriver, target: Any) -> Any:
        held = backend._share(target.replica)
        held.online = False
        merge(held, held.snapshots[target.snapshot_id])
        raise BackendError("torn")

    def meanwhile(*share_ids: str) -> Any:
        monkeypatch.undo()
        with monkeypatch.context() as patched, pytest.raises(OperationFailed):
            patched.setattr(MemoryDriver, "revert_to_snapshot", torn)
            manager.revert_to_snapshot(CONTEXT, snapshot.id)
        return hold(*share_ids)

    monkeypatch.setattr(manager.site.locks, "hold", meanwhile)
    with pytest.raises(Conflict, match="halfway"):
        manager.set_share_status(CONTEXT, share.id, Status.AVAILABLE)
    assert manager.share(CONTEXT, share.id).status is Status.REVERTING_ERROR
    assert all(told.at_rest for told in manager.recover())


def test_recovery_waits_for_the_children_of_children(
    manager: ShareManager, state: Path, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until no process of the dead owner is left: one may have started another while it was waited for."""
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    interrupted(state, lambda m: m.revert_to_snapshot(CONTEXT, snapshot.id))
    generations, waited = [[11], [12], []], []
    monkeypatch.setattr(processes, "of_operation", lambda operation_id: generations.pop(0))
    monkeypatch.setattr(processes, "wait_for_end", lambda pids, seconds: waited.append(pids) or [])
    manager.recover()
    assert waited == [[11], [12]]
    assert generations == []
    assert_at_rest(manager)


def test_recovery_leaves_what_still_runs(
    manager: ShareManager, state: Path, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait is bounded; after it nothing has been touched, and the next recovery finishes."""
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    interrupted(state, lambda m: m.revert_to_snapshot(CONTEXT, snapshot.id))
    with monkeypatch.context() as patched:
        patched.setattr(recovery, "CHILDREN_SECONDS", 0.05)
        patched.setattr(processes, "of_operation", lambda operation_id: [1])
        (told,) = manager.recover()
    assert (told.at_rest, "its processes [1] still run" in told.found) == (False, True)
    assert manager.share(CONTEXT, share.id).status is Status.REVERTING
    manager.recover()
    assert_at_rest(manager)


def test_recovery_is_of_this_host_alone(manager: ShareManager, state: Path, share: Share) -> None:
    """Only the host that owns the pool asks its backend; a share can be named."""
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    other = manager.create_share(CONTEXT, 1)
    interrupted(state, lambda m: m.revert_to_snapshot(CONTEXT, snapshot.id))
    manager.site.host = "node-2"
    assert manager.recover() == []
    assert manager.interrupted() == []
    manager.site.host = "node-1"
    assert manager.recover(other.id) == []
    assert manager.share(CONTEXT, share.id).status is Status.REVERTING
    assert [told.share_id for told in manager.recover(share.id)] == [share.id]


def test_a_share_that_cannot_be_brought_online_is_told(
    manager: ShareManager, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others come online all the same."""
    other = manager.create_share(CONTEXT, 1)
    ensure = MemoryDriver.ensure_share
    boot()

    def broken(backend: MemoryDriver, replica: Replica) -> Any:
        return fail() if replica.share_id == share.id else ensure(backend, replica)

    monkeypatch.setattr(MemoryDriver, "ensure_share", broken)
    (told,) = manager.recover()
    assert (told.share_id, told.at_rest, told.found) == (share.id, False, "out of order")
    assert online(manager, other)


def test_a_status_is_set_where_the_backend_can_be_asked(
    manager: ShareManager, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another host may have a backend of the same name, which knows nothing of this share."""
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    monkeypatch.setattr(MemoryDriver, "revert_to_snapshot", fail)
    with pytest.raises(OperationFailed):
        manager.revert_to_snapshot(CONTEXT, snapshot.id)
    manager.site.host = "node-2"
    with pytest.raises(Conflict, match="on host node-1"):
        manager.set_share_status(CONTEXT, share.id, Status.AVAILABLE)
    assert manager.share(CONTEXT, share.id).status is Status.REVERTING_ERROR


@pytest.mark.parametrize(
    ("verb", "size", "status"), [("extend", 20, "extending_error"), ("shrink", 5, "shrinking_error")]
)
def test_a_failed_resize_leaves_the_share_online_and_says_the_way_out(
    manager: ShareManager, share: Share, verb: str, size: int, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is whole, and so is brought online, also by a recovery, which never says that nothing is left to mend."""
    resize = getattr(manager, f"{verb}_share")

    def half(backend: MemoryDriver, replica: Replica, new_size: int) -> Any:
        boot()
        return fail()

    with monkeypatch.context() as patched:
        patched.setattr(MemoryDriver, f"{verb}_share", half)
        with pytest.raises(OperationFailed, match=rf"is {status}\): out of order; the share is online; .*again"):
            resize(CONTEXT, share.id, size)
    assert online(manager, share)
    boot()
    (told,) = manager.recover()
    assert not told.at_rest
    assert f"it is {status}, of 10 GiB" in told.found
    assert online(manager, share)
    assert resize(CONTEXT, share.id, size).size == size
    assert manager.recover() == []


@pytest.mark.parametrize(
    ("verb", "size", "status"), [("extend", 20, "extending_error"), ("shrink", 5, "shrinking_error")]
)
def test_a_resize_that_could_only_not_be_brought_online_is_tried_again_at_its_size(
    manager: ShareManager, share: Share, verb: str, size: int, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is on record by then, so that the same again is no other size: it leads out all the same."""
    resize = getattr(manager, f"{verb}_share")
    with monkeypatch.context() as patched:
        patched.setattr(MemoryDriver, "ensure_share", unmounted)
        with pytest.raises(OperationFailed, match="it is offline: no mount"):
            resize(CONTEXT, share.id, size)
    found = manager.share(CONTEXT, share.id)
    assert (found.status, found.size) == (status, size)
    assert [told.at_rest for told in manager.recover()] == [False]
    assert resize(CONTEXT, share.id, size).status is Status.AVAILABLE
    with pytest.raises(InvalidInput, match="the new size has to be"):
        resize(CONTEXT, share.id, size)


def test_a_refusal_mends_no_failed_resize(manager: ShareManager, share: Share, monkeypatch: pytest.MonkeyPatch) -> None:
    """It changes nothing: neither the share nor its status."""
    with monkeypatch.context() as patched:
        patched.setattr(MemoryDriver, "extend_share", fail)
        with pytest.raises(OperationFailed):
            manager.extend_share(CONTEXT, share.id, 20)
    monkeypatch.setattr(MemoryDriver, "shrink_share", refuse)
    with pytest.raises(Blocked):
        manager.shrink_share(CONTEXT, share.id, 5)
    assert manager.share(CONTEXT, share.id).status is Status.EXTENDING_ERROR


def test_a_resize_that_leaves_the_share_offline_says_so(
    manager: ShareManager, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both what failed first and what keeps it offline, and `recover`."""
    monkeypatch.setattr(MemoryDriver, "extend_share", fail)
    monkeypatch.setattr(MemoryDriver, "ensure_share", unmounted)
    with pytest.raises(OperationFailed, match=r"out of order; it is offline: no mount; .*`revertkit recover`"):
        manager.extend_share(CONTEXT, share.id, 20)


def test_a_revert_of_which_nobody_can_say_how_far_it_came_stays_as_it_is(
    manager: ShareManager, state: Path, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody has mounted it, say, before it was on record: told so, with the mend, and finished after that."""
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    interrupted(state, lambda m: m.revert_to_snapshot(CONTEXT, snapshot.id))
    with monkeypatch.context() as patched:
        patched.setattr(MemoryDriver, "revert_state", lambda *_: RevertState.UNKNOWN)
        (told,) = manager.recover()
        with pytest.raises(Conflict, match="unmount it and run `revertkit recover`"):
            manager.set_share_status(CONTEXT, share.id, Status.AVAILABLE)
    assert not told.at_rest
    assert "interrupted; the backend cannot say how far it came" in told.found
    assert "if somebody has mounted it by hand, unmount it; mend that and run `revertkit recover`" in told.found
    assert manager.share(CONTEXT, share.id).status is Status.REVERTING_ERROR
    assert all(told.at_rest for told in manager.recover())
    assert_at_rest(manager)


def test_what_a_failed_revert_says_is_what_is_on_record(
    manager: ShareManager, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the share is, whether anything was lost, and what to do: whoever waits reads no message list."""
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    monkeypatch.setattr(MemoryDriver, "revert_to_snapshot", fail)
    with pytest.raises(OperationFailed) as failed:
        manager.revert_to_snapshot(CONTEXT, snapshot.id)
    assert str(failed.value) == (
        f"revert to snapshot failed (share {share.id} is reverting_error): out of order; the share is online with its "
        "old data, nothing was lost; mend that and run `revertkit recover`"
    )
    assert str(failed.value).endswith(manager.messages(CONTEXT)[0].text.removeprefix("revert to snapshot: "))


def test_a_dry_run_sees_what_is_under_way(manager: ShareManager, state: Path, share: Share) -> None:
    """The verdict of the real call: also of the deletion of an older snapshot, and of a revert that was cut."""
    older, newer = manager.create_snapshot(CONTEXT, share.id), manager.create_snapshot(CONTEXT, share.id)
    interrupted(state, lambda m: m.delete_snapshot(CONTEXT, older.id))
    for call in (manager.check_revert, manager.revert_to_snapshot):
        with pytest.raises(Conflict, match=r"delete snapshot has been under way.*run `revertkit recover`"):
            call(CONTEXT, newer.id)
    manager.recover()
    interrupted(state, lambda m: m.revert_to_snapshot(CONTEXT, newer.id))
    for call in (manager.check_revert, manager.revert_to_snapshot):
        with pytest.raises(Conflict, match=r"revert to snapshot has been under way.*run `revertkit recover`"):
            call(CONTEXT, newer.id)


def test_a_latest_snapshot_that_is_broken_is_only_to_be_deleted(manager: ShareManager, share: Share) -> None:
    """Nobody is sent to revert to what cannot be reverted to."""
    older, newer = manager.create_snapshot(CONTEXT, share.id), manager.create_snapshot(CONTEXT, share.id)
    manager.set_snapshot_status(CONTEXT, newer.id, Status.ERROR)
    with pytest.raises(Conflict, match=rf"{newer.id}.* UTC\); delete it first$"):
        manager.check_revert(CONTEXT, older.id)


def test_the_snapshot_of_a_failed_revert_stays_as_recovery_needs_it(
    manager: ShareManager, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A status set by hand there would keep the revert from ever being settled."""
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    with monkeypatch.context() as patched:
        patched.setattr(MemoryDriver, "revert_to_snapshot", fail)
        with pytest.raises(OperationFailed):
            manager.revert_to_snapshot(CONTEXT, snapshot.id)
    with pytest.raises(Conflict, match="run `revertkit recover` first"):
        manager.set_snapshot_status(CONTEXT, snapshot.id, Status.ERROR)
    assert all(told.at_rest for told in manager.recover())


def test_whoever_only_asks_keeps_no_recovery_from_its_work(
    manager: ShareManager, state: Path, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every list asks whether something was interrupted, by taking its locks for an instant."""
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    interrupted(state, lambda m: m.revert_to_snapshot(CONTEXT, snapshot.id))
    asking = manager.site.locks.hold(share.id)
    monkeypatch.setattr(recovery.time, "sleep", lambda seconds: asking.release())
    assert all("under way" not in told.found for told in manager.recover())
    assert manager.share(CONTEXT, share.id).status is Status.AVAILABLE


def test_what_ended_while_it_was_asked_about_was_not_interrupted(
    manager: ShareManager, state: Path, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot's deletion that ends meanwhile takes the snapshot with it."""
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    interrupted(state, lambda m: m.delete_snapshot(CONTEXT, snapshot.id))
    other, lock_ids = open_manager(state, "memory"), recovery.lock_ids

    def meanwhile(site: Site, operation: Operation) -> Any:
        monkeypatch.undo()
        assert all(told.at_rest for told in other.recover())
        return lock_ids(site, operation)

    monkeypatch.setattr(recovery, "lock_ids", meanwhile)
    assert manager.interrupted() == []


def test_what_a_tool_said_in_other_bytes_ends_its_operation_all_the_same(
    manager: ShareManager, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is on record spelled out: text with lone surrogates can be kept nowhere."""

    def fail_oddly(*_: Any) -> Any:
        raise BackendError("mounted at /srv/caf\udce9")

    with monkeypatch.context() as patched:
        patched.setattr(MemoryDriver, "create_snapshot", fail_oddly)
        with pytest.raises(OperationFailed, match="caf"):
            manager.create_snapshot(CONTEXT, share.id)
    assert "caf\\udce9" in manager.messages(CONTEXT)[0].text
    assert_at_rest(manager)


def test_a_database_that_is_away_when_the_work_is_done_makes_no_failure_of_it(
    manager: ShareManager, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backend has done it: recovery puts it on record."""
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    driver(manager).files(share.replica)["letter"] = b"lost"

    def away(*_: Any) -> Any:
        raise StoreError("the database is away")

    with monkeypatch.context() as patched:
        patched.setattr(revert_story.RevertToSnapshot, "record", away)
        with pytest.raises(StoreError):
            manager.revert_to_snapshot(CONTEXT, snapshot.id)
    assert manager.share(CONTEXT, share.id).status is Status.REVERTING
    assert all(told.at_rest for told in manager.recover())
    assert manager.share(CONTEXT, share.id).status is Status.AVAILABLE
    assert_at_rest(manager)
