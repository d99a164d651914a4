"""The rules of the product, each by its number, on the in-memory backend."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support import (
    CONTEXT,
    Clock,
    Killed,
    NoLocks,
    Parked,
    assert_at_rest,
    assert_quota_is_the_sum,
    counted_writes,
    open_manager,
    site_of,
    stop,
    watching,
)

from revertkit.drivers.memory import MemoryDriver
from revertkit.errors import (
    BackendError,
    Blocked,
    Conflict,
    NotSupported,
    OperationFailed,
    QuotaExceeded,
)
from revertkit.manager import ShareManager
from revertkit.models import (
    Blocker,
    MessageLevel,
    Reverted,
    RevertState,
    Share,
    Snapshot,
    SnapshotInstance,
    Stored,
)
from revertkit.status import Status
from revertkit.store import snapshots as stored_snapshots
from revertkit.system.run import Moment, StepEvent


def files(manager: ShareManager, share: Share) -> Any:
    """Reach a share's content as its user does."""
    driver = manager.site.driver("fast")
    assert isinstance(driver, MemoryDriver)
    return driver.files(manager.share(CONTEXT, share.id).replica)


def instance(manager: ShareManager, snapshot: Snapshot) -> SnapshotInstance:
    """Answer a snapshot as its driver sees it."""
    with manager.site.store.read() as tx:
        return stored_snapshots.instance(tx, snapshot.id, manager.share(CONTEXT, snapshot.share_id))


def kept(manager: ShareManager, snapshot: Snapshot) -> dict[str, bytes]:
    """Read what a snapshot holds."""
    driver = manager.site.driver("fast")
    assert isinstance(driver, MemoryDriver)
    return dict(driver.snapshot_files(instance(manager, snapshot)))


def statuses(manager: ShareManager, share: Share, snapshot: Snapshot) -> tuple[Status, Status]:
    """Read both."""
    return manager.share(CONTEXT, share.id).status, manager.snapshot(CONTEXT, snapshot.id).status


@pytest.fixture
def share(manager: ShareManager) -> Share:
    """A share with something in it."""
    made = manager.create_share(CONTEXT, 10, name="share")
    files(manager, made)["letter"] = b"first"
    return made


@pytest.fixture
def pair(manager: ShareManager, share: Share) -> tuple[Snapshot, Snapshot]:
    """Two snapshots of it, and another content since."""
    older = manager.create_snapshot(CONTEXT, share.id, name="older")
    files(manager, share)["letter"] = b"second"
    newer = manager.create_snapshot(CONTEXT, share.id, name="newer")
    files(manager, share)["letter"] = b"third"
    return older, newer


def failing(monkeypatch: pytest.MonkeyPatch, verb: str, error: BaseException) -> None:
    """Let a verb of the driver raise."""

    def fail(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(MemoryDriver, verb, fail)


@contextmanager
def dying(at: str, moment: Moment = Moment.BEFORE) -> Iterator[None]:
    """Die at a step."""

    def watch(event: StepEvent) -> None:
        if event.name == at and event.moment is moment:
            raise Killed

    with watching(watch), pytest.raises(Killed):
        yield


# --- rule 1


def test_rule_1_only_the_most_recent(manager: ShareManager, share: Share, pair: tuple[Snapshot, Snapshot]) -> None:
    """Rule 1: any other is a conflict that names the latest, and nothing is touched; also for the dry run."""
    older, newer = pair
    for ask in (manager.revert_to_snapshot, manager.check_revert):
        with pytest.raises(Conflict, match=newer.id) as refused:
            ask(CONTEXT, older.id)
        assert "newer" in str(refused.value)
    assert files(manager, share)["letter"] == b"third"
    assert_at_rest(manager)
    manager.revert_to_snapshot(CONTEXT, newer.id)
    assert files(manager, share)["letter"] == b"second"


def test_rule_1_a_snapshot_in_error_still_counts(
    manager: ShareManager, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 1: over every record that is not deleted, whatever its status; the refusal names it."""
    good = manager.create_snapshot(CONTEXT, share.id)
    with monkeypatch.context() as patched:
        failing(patched, "create_snapshot", BackendError("no room"))
        with pytest.raises(OperationFailed):
            manager.create_snapshot(CONTEXT, share.id, name="broken")
    broken = manager.snapshot(CONTEXT, "broken")
    assert statuses(manager, share, broken) == (Status.AVAILABLE, Status.ERROR)
    with pytest.raises(Conflict, match=rf"{broken.id} \(broken, error"):
        manager.revert_to_snapshot(CONTEXT, good.id)
    with pytest.raises(Conflict, match="is error, and has to be available"):
        manager.revert_to_snapshot(CONTEXT, broken.id)
    manager.delete_snapshot(CONTEXT, broken.id)
    assert manager.revert_to_snapshot(CONTEXT, good.id).status is Status.AVAILABLE


# --- rule 2


def test_rule_2_a_revert_deletes_no_snapshot(
    manager: ShareManager, share: Share, pair: tuple[Snapshot, Snapshot]
) -> None:
    """Rule 2: every snapshot is there after it, by id and content, and can be reverted to again and in its turn."""
    before = {snapshot.id: kept(manager, snapshot) for snapshot in pair}
    for _ in range(3):
        manager.revert_to_snapshot(CONTEXT, pair[1].id)
        assert {s.id: kept(manager, s) for s in manager.snapshots(CONTEXT, share.id)} == before
        assert dict(files(manager, share)) == before[pair[1].id]
        files(manager, share)["letter"] = b"again"
    manager.delete_snapshot(CONTEXT, pair[1].id)
    manager.revert_to_snapshot(CONTEXT, pair[0].id)
    assert dict(files(manager, share)) == before[pair[0].id]


def test_rule_2_a_failed_revert_deletes_none_either(
    manager: ShareManager, share: Share, pair: tuple[Snapshot, Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 2, and 4: a failure at any step leaves every snapshot available and whole."""
    before = {snapshot.id: kept(manager, snapshot) for snapshot in pair}
    failing(monkeypatch, "revert_to_snapshot", BackendError("torn"))
    with pytest.raises(OperationFailed):
        manager.revert_to_snapshot(CONTEXT, pair[1].id)
    assert {s.id: kept(manager, s) for s in manager.snapshots(CONTEXT, share.id)} == before
    assert [s.status for s in manager.snapshots(CONTEXT, share.id)] == [Status.AVAILABLE] * 2


# --- rule 3


def test_rule_3_the_caller_names_the_snapshot(
    manager: ShareManager, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 3: there is no "the latest" to ask for, and one that has been overtaken meanwhile is a conflict."""
    parameters = list(inspect.signature(ShareManager.revert_to_snapshot).parameters.values())
    assert [(p.name, p.default) for p in parameters[1:]] == [
        ("context", inspect.Parameter.empty),
        ("snapshot", inspect.Parameter.empty),
        ("share", None),
    ], "whoever names the share too, names it beside its snapshot, never instead of it"
    named = manager.create_snapshot(CONTEXT, share.id)
    overtaken: list[Snapshot] = []
    hold = manager.site.locks.hold

    def meanwhile(*share_ids: str) -> Any:
        monkeypatch.undo()
        overtaken.append(manager.create_snapshot(CONTEXT, share.id))
        return hold(*share_ids)

    monkeypatch.setattr(manager.site.locks, "hold", meanwhile)
    with pytest.raises(Conflict) as refused:
        manager.revert_to_snapshot(CONTEXT, named.id)
    assert overtaken[0].id in str(refused.value)
    assert files(manager, share)["letter"] == b"first"


def test_rule_3_a_snapshot_taken_between_the_question_and_the_accept_is_seen(
    manager: ShareManager, share: Share, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Races: one created and finished after the check, past every lock, is seen by the accept's own transaction."""
    named = manager.create_snapshot(CONTEXT, share.id)
    site = site_of(state, "memory")
    site.locks = NoLocks()
    elsewhere = ShareManager(site)
    check, asked = MemoryDriver.check_revert, []

    def meanwhile(driver: MemoryDriver, snapshot: SnapshotInstance) -> Any:
        asked.append(elsewhere.create_snapshot(CONTEXT, share.id))
        return check(driver, snapshot)

    monkeypatch.setattr(MemoryDriver, "check_revert", meanwhile)
    with pytest.raises(Conflict, match="not the most recent") as refused:
        manager.revert_to_snapshot(CONTEXT, named.id)
    assert asked[0].id in str(refused.value)
    assert_at_rest(manager)


# --- rule 4

EVERYTHING: dict[str, Callable[[ShareManager, Share, Snapshot], Any]] = {
    "revert": lambda m, share, snapshot: m.revert_to_snapshot(CONTEXT, snapshot.id),
    "dry run": lambda m, share, snapshot: m.check_revert(CONTEXT, snapshot.id),
    "extend": lambda m, share, snapshot: m.extend_share(CONTEXT, share.id, 20),
    "shrink": lambda m, share, snapshot: m.shrink_share(CONTEXT, share.id, 5),
    "create snapshot": lambda m, share, snapshot: m.create_snapshot(CONTEXT, share.id),
    "delete snapshot": lambda m, share, snapshot: m.delete_snapshot(CONTEXT, snapshot.id),
    "force-delete snapshot": lambda m, share, snapshot: m.delete_snapshot(CONTEXT, snapshot.id, force=True),
    "delete share": lambda m, share, snapshot: m.delete_share(CONTEXT, share.id),
    "force-delete share": lambda m, share, snapshot: m.delete_share(CONTEXT, share.id, force=True),
    "allow access": lambda m, share, snapshot: m.allow_access(CONTEXT, share.id, "10.0.0.2"),
    "deny access": lambda m, share, snapshot: m.deny_access(CONTEXT, share.id, "10.0.0.1"),
    "create share from snapshot": lambda m, share, snapshot: m.create_share(CONTEXT, 10, snapshot=snapshot.id),
    "set share's status": lambda m, share, snapshot: m.set_share_status(CONTEXT, share.id, Status.AVAILABLE),
    "set snapshot's status": lambda m, share, snapshot: m.set_snapshot_status(CONTEXT, snapshot.id, Status.ERROR),
}


@pytest.mark.parametrize("verb", EVERYTHING)
@pytest.mark.parametrize("owner", ["alive", "gone"])
def test_rule_4_nothing_touches_the_pair_during_a_revert(state: Path, owner: str, verb: str) -> None:
    """Rule 4: share reverting, snapshot restoring, everything else is a conflict: while the owner lives and after."""
    MemoryDriver.reset()
    parked = Parked()
    plain = open_manager(state, "memory")
    share = plain.create_share(CONTEXT, 10)
    plain.allow_access(CONTEXT, share.id, "10.0.0.1")
    snapshot = plain.create_snapshot(CONTEXT, share.id)
    open_manager(state, "memory", dispatch=parked).revert_to_snapshot(CONTEXT, snapshot.id)
    if owner == "gone":
        stop(parked.accepted[0])
    assert statuses(plain, share, snapshot) == (Status.REVERTING, Status.RESTORING)
    with counted_writes() as written, pytest.raises(Conflict) as refused:
        EVERYTHING[verb](plain, share, snapshot)
    assert written == []
    assert share.id in str(refused.value) or snapshot.id in str(refused.value), "the answer names what is in the way"
    assert statuses(plain, share, snapshot) == (Status.REVERTING, Status.RESTORING)
    if owner == "alive":
        parked.accepted[0].run()
    else:
        assert [told.at_rest for told in plain.recover()] == [True]
    assert statuses(plain, share, snapshot) == (Status.AVAILABLE, Status.AVAILABLE)
    assert_at_rest(plain)


@pytest.mark.parametrize("owner", ["alive", "gone"])
@pytest.mark.parametrize(
    "verb",
    ["extend", "shrink", "create snapshot", "delete snapshot", "allow access", "deny access"],
)
def test_rule_4_no_revert_begins_during_anything_else(state: Path, owner: str, verb: str) -> None:
    """Rule 4, turned round: behaviour 20, and "access rules settled" before the accept."""
    MemoryDriver.reset()
    parked = Parked()
    plain = open_manager(state, "memory")
    share = plain.create_share(CONTEXT, 10)
    plain.allow_access(CONTEXT, share.id, "10.0.0.1")
    snapshot = plain.create_snapshot(CONTEXT, share.id)
    with suppress(Conflict):
        EVERYTHING[verb](open_manager(state, "memory", dispatch=parked), share, snapshot)
    assert len(parked.accepted) == 1
    if owner == "gone":
        stop(parked.accepted[0])
    with counted_writes() as written, pytest.raises(Conflict):
        plain.revert_to_snapshot(CONTEXT, snapshot.id)
    assert written == []
    if owner == "alive":
        parked.accepted[0].run()
    else:
        plain.recover()
    assert_at_rest(plain)


def test_rule_4_a_refusal_by_the_backend_names_every_blocker_and_changes_nothing(
    manager: ShareManager, share: Share, pair: tuple[Snapshot, Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 4: a refusal before the accept costs nothing: no write transaction, no message, no status."""
    one, two = (Blocker(kind="open", what=f"process {n} has it open", mend="end it") for n in (7, 8))
    failing(monkeypatch, "check_revert", Blocked(one, two))
    with counted_writes() as written, pytest.raises(Blocked) as refused:
        manager.revert_to_snapshot(CONTEXT, pair[1].id)
    assert refused.value.blockers == (one, two)
    assert written == []
    assert manager.messages(CONTEXT) == []
    assert statuses(manager, share, pair[1]) == (Status.AVAILABLE, Status.AVAILABLE)
    monkeypatch.undo()
    manager.revert_to_snapshot(CONTEXT, pair[1].id)


@pytest.mark.parametrize("error", [BackendError("torn"), Blocked(), ValueError("a bug"), OSError(5, "I/O")])
def test_rule_4_a_failure_after_the_accept(
    manager: ShareManager,
    share: Share,
    pair: tuple[Snapshot, Snapshot],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    """Rule 4: share reverting_error, snapshot available, a user message that says what was found; recover mends it."""
    with monkeypatch.context() as patched:
        failing(patched, "revert_to_snapshot", error)
        with pytest.raises(OperationFailed):
            manager.revert_to_snapshot(CONTEXT, pair[1].id)
    assert statuses(manager, share, pair[1]) == (Status.REVERTING_ERROR, Status.AVAILABLE)
    (message,) = manager.messages(CONTEXT)
    assert message.level is MessageLevel.ERROR
    assert "online with its old data" in message.text
    assert str(error) in message.text
    assert files(manager, share)["letter"] == b"third", "online with the old content"
    assert_at_rest(manager)
    with pytest.raises(Conflict, match="revertkit recover"):
        manager.revert_to_snapshot(CONTEXT, pair[1].id)
    (told,) = manager.recover()
    assert told.at_rest
    assert statuses(manager, share, pair[1]) == (Status.AVAILABLE, Status.AVAILABLE)
    manager.revert_to_snapshot(CONTEXT, pair[1].id)
    assert files(manager, share)["letter"] == b"second"


def test_rule_4_success_is_told_too(manager: ShareManager, share: Share, pair: tuple[Snapshot, Snapshot]) -> None:
    """User messages on success and failure of a revert, with the request they belong to."""
    manager.revert_to_snapshot(CONTEXT, pair[1].id)
    (message,) = manager.messages(CONTEXT)
    assert (message.level, message.resource_id, message.request_id) == (MessageLevel.INFO, share.id, CONTEXT.request_id)
    assert pair[1].id in message.text


# --- rule 5


def test_rule_5_a_clock_that_steps_back_does_not_change_the_order(state: Path) -> None:
    """Rule 5: ``created_at`` grows strictly per share; the snapshot taken last is the latest, whatever the clock."""
    MemoryDriver.reset()
    clock = Clock()
    manager = ShareManager(site_of(state, "memory", clock), default_share_type="revertible")
    share = manager.create_share(CONTEXT, 1)
    taken: list[Snapshot] = []
    for step in (0, -86_400, 0, -3_600, -1, -1, 5):
        clock.time += timedelta(seconds=step)
        taken.append(manager.create_snapshot(CONTEXT, share.id))
        times = [snapshot.created_at for snapshot in taken]
        assert all(one < two for one, two in pairwise(times))
        assert [s.id for s in manager.snapshots(CONTEXT, share.id)] == [s.id for s in taken]
    with pytest.raises(Conflict, match=taken[-1].id):
        manager.revert_to_snapshot(CONTEXT, taken[0].id)
    manager.delete_snapshot(CONTEXT, taken.pop().id)
    clock.time -= timedelta(days=9)
    again = manager.create_snapshot(CONTEXT, share.id)
    assert again.created_at > taken[-1].created_at, "later than one that was deleted, too"
    manager.revert_to_snapshot(CONTEXT, again.id)


def test_rule_5_the_last_revert_is_the_last_one_whatever_the_clock(state: Path) -> None:
    """Rules 5 and 7: recovery asks about the revert that came last, not about one with a later time on it."""
    MemoryDriver.reset()
    clock = Clock()
    manager = ShareManager(site_of(state, "memory", clock), default_share_type="revertible")
    share = manager.create_share(CONTEXT, 1)
    files(manager, share)["letter"] = b"kept"
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    manager.revert_to_snapshot(CONTEXT, snapshot.id)
    clock.time -= timedelta(days=1)
    files(manager, share)["letter"] = b"lost"
    with dying("bring the size back"):
        manager.revert_to_snapshot(CONTEXT, snapshot.id)
    with pytest.MonkeyPatch.context() as patched:
        failing(patched, "revert_to_snapshot", BackendError("not yet"))
        manager.recover()
    assert manager.share(CONTEXT, share.id).status is Status.REVERTING_ERROR
    with pytest.raises(Conflict, match="halfway"):
        manager.set_share_status(CONTEXT, share.id, Status.AVAILABLE)
    (told,) = manager.recover()
    assert told.at_rest, told
    assert files(manager, share)["letter"] == b"kept"


def test_rule_5_a_snapshot_is_taken_with_the_share_snapshotting(state: Path) -> None:
    """Rule 5: the share is ``snapshotting``, the snapshot ``creating``, until it is there."""
    MemoryDriver.reset()
    parked = Parked()
    plain = open_manager(state, "memory")
    share = plain.create_share(CONTEXT, 1)
    snapshot = open_manager(state, "memory", dispatch=parked).create_snapshot(CONTEXT, share.id)
    assert statuses(plain, share, snapshot) == (Status.SNAPSHOTTING, Status.CREATING)
    parked.accepted[0].run()
    assert statuses(plain, share, snapshot) == (Status.AVAILABLE, Status.AVAILABLE)


# --- rule 6


def test_rule_6_the_size_comes_back_after_a_growth_and_after_a_shrink(manager: ShareManager, share: Share) -> None:
    """Rule 6: record, backend and quota agree afterwards on the size that the snapshot recorded."""
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    for resize, size in ((manager.extend_share, 20), (manager.shrink_share, 4)):
        assert resize(CONTEXT, share.id, size).size == size
        assert_quota_is_the_sum(manager)
        assert manager.revert_to_snapshot(CONTEXT, snapshot.id).size == snapshot.size == 10
        assert_quota_is_the_sum(manager)
        (_, report), *_ = manager.pools()[0]
        assert report["total_capacity_gb"] - report["free_capacity_gb"] == 10


@pytest.mark.parametrize("end", ["done", "failed", "killed"])
def test_rule_6_a_growth_is_reserved_and_released(
    manager: ShareManager, state: Path, share: Share, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 6: a growth (a revert to a larger size, too) is reserved before, committed after, released on failure."""
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    manager.shrink_share(CONTEXT, share.id, 4)
    parked = Parked()
    open_manager(state, "memory", dispatch=parked).revert_to_snapshot(CONTEXT, snapshot.id)
    use = manager.quotas(CONTEXT.project_id)["gigabytes"]
    assert (use.in_use, use.reserved) == (4, 6)
    if end == "failed":
        failing(monkeypatch, "revert_to_snapshot", BackendError("torn"))
        with pytest.raises(OperationFailed):
            parked.accepted[0].run()
    elif end == "killed":
        stop(parked.accepted[0])
        manager.recover()
    else:
        parked.accepted[0].run()
    assert manager.share(CONTEXT, share.id).size == (10 if end == "done" else 4)
    assert_quota_is_the_sum(manager)


def test_rule_6_over_quota_is_refused_before_anything_changes(manager: ShareManager, share: Share) -> None:
    """Behaviour 22: over quota, with every number in the message; a shrink frees only when it is done."""
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    manager.shrink_share(CONTEXT, share.id, 4)
    manager.set_quota(CONTEXT.project_id, "gigabytes", 9)
    for ask in (manager.revert_to_snapshot, manager.check_revert):
        with counted_writes() as written, pytest.raises(QuotaExceeded) as refused:
            ask(CONTEXT, snapshot.id)
        assert "gigabytes: 4 in use + 0 reserved + 6 wanted > limit 9" in str(refused.value)
        assert written == []
    manager.set_quota(CONTEXT.project_id, "gigabytes", 10)
    assert manager.revert_to_snapshot(CONTEXT, snapshot.id).size == 10


def test_rule_6_a_shrink_frees_when_it_is_done(manager: ShareManager, state: Path, share: Share) -> None:
    """Rule 6: a shrink is released at commit only: what it may give back cannot be taken twice."""
    parked = Parked()
    open_manager(state, "memory", dispatch=parked).shrink_share(CONTEXT, share.id, 4)
    assert manager.quotas(CONTEXT.project_id)["gigabytes"].in_use == 10
    parked.accepted[0].run()
    assert manager.quotas(CONTEXT.project_id)["gigabytes"].in_use == 4


def test_rule_6_an_extend_never_shrinks(manager: ShareManager, share: Share, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 6: what was asked for is what is done, also where the size changed between the look and the accept."""
    hold = manager.site.locks.hold

    def meanwhile(*share_ids: str) -> Any:
        monkeypatch.undo()
        manager.extend_share(CONTEXT, share.id, 40)
        return hold(*share_ids)

    monkeypatch.setattr(manager.site.locks, "hold", meanwhile)
    with pytest.raises(Conflict, match="40"):
        manager.extend_share(CONTEXT, share.id, 20)
    assert manager.share(CONTEXT, share.id).size == 40


# --- rule 7: the sweeps are in test_kill.py and test_faults.py


@pytest.mark.parametrize("moment", [Moment.BEFORE, Moment.AFTER])
def test_rule_7_nothing_written_after_a_finished_revert_is_thrown_away(
    manager: ShareManager, share: Share, pair: tuple[Snapshot, Snapshot], moment: Moment
) -> None:
    """Rule 7: death just before or after the share comes online: what clients write then outlives the recovery."""
    with dying("bring the share online", moment):
        manager.revert_to_snapshot(CONTEXT, pair[1].id)
    if moment is Moment.AFTER:
        files(manager, share)["since"] = b"new"
    manager.recover()
    assert statuses(manager, share, pair[1]) == (Status.AVAILABLE, Status.AVAILABLE)
    expected = {"letter": b"second"} | ({"since": b"new"} if moment is Moment.AFTER else {})
    assert dict(files(manager, share)) == expected
    assert manager.recover() == []
    assert dict(files(manager, share)) == expected


# --- rule 8


def test_rule_8_success_is_seen_not_assumed(
    manager: ShareManager, share: Share, pair: tuple[Snapshot, Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 8, behaviour 13: a driver that answers success and did nothing has failed, and the message says so."""

    def pretend(driver: MemoryDriver, snapshot: SnapshotInstance) -> Reverted:
        stored = Stored(backend_id="new", size=snapshot.size)
        return Reverted(share=stored, snapshot=stored)

    monkeypatch.setattr(MemoryDriver, "revert_to_snapshot", pretend)
    with pytest.raises(OperationFailed, match="answered success, but the backend says that the share is unchanged"):
        manager.revert_to_snapshot(CONTEXT, pair[1].id)
    assert files(manager, share)["letter"] == b"third"
    assert statuses(manager, share, pair[1]) == (Status.REVERTING_ERROR, Status.AVAILABLE)


def test_rule_8_a_driver_that_cannot_look_is_recorded_as_unverified(
    manager: ShareManager, pair: tuple[Snapshot, Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 8: UNKNOWN after a success is told as what it is."""
    look, revert = MemoryDriver.revert_state, MemoryDriver.revert_to_snapshot
    blind: list[bool] = []

    def state(driver: MemoryDriver, snapshot: SnapshotInstance) -> RevertState:
        return RevertState.UNKNOWN if blind else look(driver, snapshot)

    def to_snapshot(driver: MemoryDriver, snapshot: SnapshotInstance) -> Reverted:
        reverted = revert(driver, snapshot)
        blind.append(True)
        return reverted

    monkeypatch.setattr(MemoryDriver, "revert_state", state)
    monkeypatch.setattr(MemoryDriver, "revert_to_snapshot", to_snapshot)
    manager.revert_to_snapshot(CONTEXT, pair[1].id)
    assert "unverified" in manager.messages(CONTEXT)[0].text


def test_rule_8_a_failure_is_looked_at_too(
    manager: ShareManager, share: Share, pair: tuple[Snapshot, Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 8: a driver that raises after it has finished has finished: the backend says so."""
    revert, raised = MemoryDriver.revert_to_snapshot, []

    def late(driver: MemoryDriver, snapshot: SnapshotInstance) -> Reverted:
        reverted = revert(driver, snapshot)
        if not raised:
            raised.append(1)
            raise BackendError("the connection broke")
        return reverted

    monkeypatch.setattr(MemoryDriver, "revert_to_snapshot", late)
    assert manager.revert_to_snapshot(CONTEXT, pair[1].id).status is Status.AVAILABLE
    assert files(manager, share)["letter"] == b"second"


# --- rule 9


def test_rule_9_what_a_share_was_not_made_with_it_never_has(manager: ShareManager) -> None:
    """Rule 9: without the type's word at its creation a share is not reverted, whatever backend and type can now."""
    plain = manager.create_type("plain", {"driver_handles_share_servers": "false", "snapshot_support": "true"})
    share = manager.create_share(CONTEXT, 1, share_type="plain")
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    manager.set_type_specs(plain.id, {"revert_to_snapshot_support": "true"})
    for ask in (manager.revert_to_snapshot, manager.check_revert):
        with counted_writes() as written, pytest.raises(NotSupported, match="made without revert_to_snapshot_support"):
            ask(CONTEXT, snapshot.id)
        assert written == []


@pytest.mark.parametrize("missing", ["revert_to_snapshot", "create_snapshot"])
def test_rule_9_a_driver_without_the_entry_point_is_never_asked(
    manager: ShareManager, share: Share, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 9, behaviour 12: not supported, no side effect, and no scheduler sends it a share of such a type."""
    from revertkit import capabilities
    from revertkit.driver import SupportsRevert, SupportsSnapshots

    snapshot = manager.create_snapshot(CONTEXT, share.id)
    promised = SupportsRevert if missing == "revert_to_snapshot" else SupportsSnapshots
    monkeypatch.setattr(MemoryDriver, missing, getattr(promised, missing))
    capabilities.why_not.cache_clear()
    try:
        with counted_writes() as written, pytest.raises(NotSupported, match=missing):
            manager.revert_to_snapshot(CONTEXT, snapshot.id)
        with pytest.raises(NotSupported, match="_support is False, the share type wants true"):
            manager.create_share(CONTEXT, 1)
        assert written == []
        assert manager.pools()[0][0][1]["revert_to_snapshot_support"] is False
    finally:
        monkeypatch.undo()
        capabilities.why_not.cache_clear()


# --- at most three write transactions


@pytest.mark.parametrize("verb", ["revert", "extend", "create snapshot", "delete snapshot", "allow access"])
def test_an_operation_takes_at_most_three_write_transactions(
    manager: ShareManager, share: Share, pair: tuple[Snapshot, Snapshot], verb: str
) -> None:
    """Speed: accept, record, end; nothing else is written."""
    with counted_writes() as written:
        EVERYTHING[verb](manager, share, pair[1])
    assert 2 <= len(written) <= 3, written
