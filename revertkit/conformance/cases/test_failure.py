"""What is told and left when something goes wrong, is called again, or two want the same at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from revertkit.capabilities import verbs
from revertkit.conformance.requirements import behaviour, requires
from revertkit.conformance.stage import ADDRESS, CONTEXT, Stage
from revertkit.driver import SupportsSnapshots
from revertkit.errors import Conflict, OperationFailed
from revertkit.models import Replica, SnapshotInstance, new_id
from revertkit.status import Status
from revertkit.system.run import Moment, StepEvent, watching

__all__ = [
    "test_a_failure_is_told",
    "test_calling_again_answers_the_same",
    "test_deleting_what_is_not_there",
    "test_shares_do_not_meet",
    "test_two_at_once",
]


@behaviour(17)
@requires("revert")
def test_a_failure_is_told(stage: Stage) -> None:
    """A revert that fails leaves the share online with its data, and a status and a message that say so."""
    share = stage.share()
    snapshot, before = stage.taken(share, "first")
    since = stage.planted(share, "since")
    first = True

    def fail(event: StepEvent) -> None:
        nonlocal first
        if first and event.moment is Moment.BEFORE:
            first = False
            raise OSError("the first step failed")

    with watching(fail), pytest.raises(OperationFailed, match="the first step failed"):
        stage.revert(snapshot)
    assert stage.now(share).status is Status.REVERTING_ERROR
    assert stage.manager.snapshot(CONTEXT, snapshot.id).status is Status.AVAILABLE
    assert "the first step failed" in stage.manager.messages(CONTEXT)[0].text
    assert stage.tree(share).record() == since
    assert all(found.at_rest for found in stage.manager.recover())
    assert stage.now(share).status is Status.AVAILABLE
    stage.revert(snapshot)
    assert stage.tree(share).record() == before


@behaviour(20)
@requires("revert")
def test_two_at_once(stage: Stage) -> None:
    """While a revert runs, every other operation on the pair is a conflict, and the revert ends well."""
    share = stage.share()
    snapshot, before = stage.taken(share, "first")
    stage.planted(share, "since")
    manager = stage.opened()
    others: dict[str, Callable[[], object]] = {
        "revert": lambda: manager.revert_to_snapshot(CONTEXT, snapshot.id),
        "snapshot": lambda: manager.create_snapshot(CONTEXT, share.id),
        "delete snapshot": lambda: manager.delete_snapshot(CONTEXT, snapshot.id, force=True),
        "delete share": lambda: manager.delete_share(CONTEXT, share.id, force=True),
    }
    if stage.claims("extend"):
        others["extend"] = lambda: manager.extend_share(CONTEXT, share.id, 2)
    if stage.claims("access_rules"):
        others["allow"] = lambda: manager.allow_access(CONTEXT, share.id, ADDRESS)
    refused: list[str] = []

    def try_others(event: StepEvent) -> None:
        while others and event.moment is not Moment.PROGRESS:
            name, call = others.popitem()
            with pytest.raises(Conflict):
                call()
            refused.append(name)

    with watching(try_others):
        stage.revert(snapshot)
    assert len(refused) >= 4, "the revert opened no step, so that nobody could try anything meanwhile"
    assert stage.tree(share).record() == before
    stage.assert_at_rest()


@behaviour(21)
def test_calling_again_answers_the_same(stage: Stage) -> None:
    """A whole life, each call made three times over: no call minds that it was made before, and all answer alike."""
    stage.manager = stage.opened(repeat=3)
    share = stage.share()
    record = stage.planted(share, "first")
    if stage.claims("snapshots"):
        snapshot = stage.snapshot(share)
        if stage.claims("create_from_snapshot"):
            made = stage.share(snapshot=snapshot.id)
            assert stage.tree(made).record() == record
            stage.manager.delete_share(CONTEXT, made.id)
        if stage.claims("revert"):
            stage.planted(share, "second")
            stage.revert(snapshot)
            assert stage.tree(share).record() == record
        stage.drop(snapshot)
    if stage.claims("extend"):
        assert stage.manager.extend_share(CONTEXT, share.id, 2).size == 2
    assert stage.tree(share).record() == record
    stage.manager.delete_share(CONTEXT, share.id)
    if stage.claims("shrink"):
        other = stage.share(2)
        assert stage.manager.shrink_share(CONTEXT, other.id, 1).size == 1


@behaviour(21)
def test_deleting_what_is_not_there(stage: Stage) -> None:
    """A share, and a snapshot of one, that were never made are deleted without complaint."""
    share = stage.share()
    record = stage.planted(share, "first")
    never = Replica(id=new_id(), share_id=new_id(), host=share.replica.host, pool=share.replica.pool, size=1)
    stage.driver.delete_share(never)
    if stage.claims("snapshots"):
        driver = verbs(stage.driver, SupportsSnapshots)
        for replica in (never, stage.now(share).replica):
            driver.delete_snapshot(
                SnapshotInstance(
                    id=new_id(), snapshot_id=new_id(), replica=replica, size=1, created_at=share.created_at
                )
            )
    assert stage.tree(share).record() == record


@behaviour(20)
@requires("revert")
def test_shares_do_not_meet(stage: Stage) -> None:
    """In the midst of a revert another share is reverted, whole: each holds the content of its own snapshot."""
    shares = [stage.share(), stage.share()]
    (first, _), (second, _) = taken = [
        stage.taken(share, word) for share, word in zip(shares, ("one", "two"), strict=True)
    ]

    def steps(interrupted_at: int = 0) -> int:
        """Wreck both and revert the first, the second from within step number `interrupted_at`; count the steps."""
        come, inside = 0, False

        def watch(event: StepEvent) -> None:
            nonlocal come, inside
            if inside or event.moment is not Moment.AFTER:
                return
            come += 1
            if come == interrupted_at:
                inside = True
                stage.revert(second)
                inside = False

        for share in shares:
            stage.planted(share, "since")
        with watching(watch):
            stage.revert(first)
        return come

    total = steps()
    stage.revert(second)
    for number in sorted({1, total // 2, total - 1, total} - {0}):
        steps(number)
        for share, (_, before) in zip(shares, taken, strict=True):
            assert stage.tree(share).record() == before, f"another share was reverted after step {number} of {total}"
    stage.assert_at_rest()
