"""Whether a driver says what is: in its progress, its dry run, and when it is asked how far a revert has come."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from revertkit.capabilities import verbs
from revertkit.conformance.requirements import Missing, behaviour, requires
from revertkit.conformance.stage import CONTEXT, Parked, Stage
from revertkit.driver import SupportsRevert
from revertkit.errors import Blocked
from revertkit.manager import ShareManager
from revertkit.models import RevertState, Share, Snapshot
from revertkit.status import Status
from revertkit.system.run import Moment, StepEvent, watching

__all__ = [
    "test_dry_run_changes_nothing",
    "test_finished_revert_that_nobody_recorded",
    "test_nothing_is_changed_where_all_is_well",
    "test_progress_only_grows",
    "test_progress_that_a_user_sees",
    "test_what_was_written_since_is_never_reverted_away",
]
MIB = 2**20


@behaviour(14)
@requires("revert")
def test_progress_only_grows(stage: Stage) -> None:
    """What the driver tells is from 0 to 100, never less than before, and at 100 no step is left to begin."""
    share = stage.share()
    snapshot, _ = stage.taken(share, "first")
    stage.planted(share, "since")
    events: list[StepEvent] = []
    with _accepted(stage, snapshot) as manager, watching(events.append):
        verbs(stage.driver, SupportsRevert).revert_to_snapshot(stage.instance(snapshot))
    percents = [event.percent for event in events if event.percent is not None]
    assert percents == sorted(percents), percents
    assert all(0 <= percent <= 100 for percent in percents), percents
    over = next((at for at, event in enumerate(events) if event.percent == 100), len(events))
    begun = [event.name for event in events[over:] if event.moment is Moment.BEFORE]
    assert not begun, f"100 % was told, and then began {begun}"
    assert [found for found in manager.recover() if not found.at_rest] == []


@behaviour(14)
@requires("revert")
def test_progress_that_a_user_sees(stage: Stage) -> None:
    """It ends at 100."""
    share = stage.share()
    snapshot, _ = stage.taken(share, "first")
    told: list[float] = []
    manager = stage.opened(progress=lambda _operation, percent, _what: told.append(percent))
    manager.revert_to_snapshot(CONTEXT, snapshot.id)
    assert told == sorted(told), told
    assert told[-1] == 100


@behaviour(14)
@requires("revert")
def test_dry_run_changes_nothing(stage: Stage) -> None:
    """It gives the verdict of the real call, opens no step, and says what would be thrown away or that it cannot."""
    share = stage.share()
    snapshot, before = stage.taken(share, "first")
    stage.planted(share, "since")
    stage.tree(share).write("more", os.urandom(MIB))
    os.sync()  # a backend need not count what it has not been given yet
    events: list[StepEvent] = []
    with stage.unchanged(share, snapshot), watching(events.append):
        preview = stage.manager.check_revert(CONTEXT, snapshot.id)
    assert not events, f"a dry run changed the backend: {events}"
    assert preview.discards_bytes is None or preview.discards_bytes > 0, "it says that nothing would be thrown away"
    assert stage.revert(snapshot).status is Status.AVAILABLE
    assert stage.tree(share).record() == before


@behaviour(17, 18, 21)
@requires("revert")
def test_finished_revert_that_nobody_recorded(stage: Stage) -> None:
    """Death between the driver's answer and the record: offline, said to be reverted, answered again, then finished.

    The share stays offline because the manager records the outcome first: otherwise recovery could not tell a finished
    revert from an unfinished one, and would revert over what clients wrote since.
    """
    share = stage.share()
    snapshot, before = stage.taken(share, "first")
    stage.planted(share, "since")
    old, tree = stage.instance(snapshot), stage.tree(share)
    driver = verbs(stage.driver, SupportsRevert)
    with _accepted(stage, snapshot) as manager:
        first = driver.revert_to_snapshot(old)
        assert not tree.reachable(), "the share is online before the outcome is on record"
        sizes = (first.share.size, first.snapshot.size)
        assert sizes == (snapshot.size, snapshot.size), "the driver answers another size than the snapshot's"
        assert driver.revert_state(old) in (RevertState.REVERTED, RevertState.UNKNOWN)
        assert driver.revert_to_snapshot(old) == first, "called again, it answers otherwise"
        if first.share.backend_id != old.replica.backend_id:
            with pytest.raises(Blocked):
                stage.driver.ensure_share(old.replica)
            assert not tree.reachable(), "a share of another identity than is on record was brought online"
    assert [found for found in stage.opened().recover() if not found.at_rest] == []
    _reverted(stage, share, before)
    assert manager.interrupted() == []


def _reverted(stage: Stage, share: Share, before: object) -> None:
    tree = stage.tree(share)
    assert stage.now(share).status is Status.AVAILABLE
    assert tree.record() == before
    tree.write("since", b"written after the recovery")
    written = tree.record()
    stage.opened().recover()
    assert stage.tree(share).record() == written, "another `recover` lost what was written"
    stage.assert_nothing_left()


@behaviour(18)
@requires("revert")
def test_what_was_written_since_is_never_reverted_away(stage: Stage) -> None:
    """A call that was made before, by a process that died, and is repeated late, is refused where it can be known."""
    share = stage.share()
    snapshot, _ = stage.taken(share, "first")
    late = stage.instance(snapshot)
    stage.revert(snapshot)
    since, now = stage.planted(share, "since"), stage.instance(snapshot)
    if (late.backend_id, late.replica.backend_id) == (now.backend_id, now.replica.backend_id):
        raise Missing("new_identities", "share and snapshot are after a revert what they were: no call is too late")
    driver = verbs(stage.driver, SupportsRevert)
    assert driver.revert_state(late) in (RevertState.UNCHANGED, RevertState.UNKNOWN)
    with pytest.raises(Blocked):
        driver.revert_to_snapshot(late)
    assert stage.tree(share).record() == since, "what was written since is lost"


@behaviour(17, 21)
@requires("revert")
def test_nothing_is_changed_where_all_is_well(stage: Stage) -> None:
    """Bringing a share online that is online opens no step, before and after a revert."""
    share = stage.share()
    snapshot, _ = stage.taken(share, "first")
    driver = verbs(stage.driver, SupportsRevert)
    for _ in range(2):
        found, events = stage.now(share), list[StepEvent]()
        with watching(events.append):
            assert tuple(stage.driver.ensure_share(found.replica)) == found.export_locations
        assert not events, f"nothing was amiss, and yet: {events}"
        assert driver.revert_state(stage.instance(snapshot)) in (RevertState.UNCHANGED, RevertState.UNKNOWN)
        stage.revert(snapshot)
    assert driver.revert_state(stage.instance(snapshot)) in (RevertState.UNCHANGED, RevertState.UNKNOWN)


@contextmanager
def _accepted(stage: Stage, snapshot: Snapshot) -> Iterator[ShareManager]:
    """Accept a revert, and do none of it; afterwards it is as if its process had died."""
    parked = Parked()
    manager = stage.opened(dispatch=parked)
    manager.revert_to_snapshot(CONTEXT, snapshot.id)
    try:
        yield manager
    finally:
        parked.abandon()
