"""The table of statuses: from, during, done, failed, and "never a status that nobody will leave"."""

from __future__ import annotations

import pytest

from revertkit.models import OperationKind
from revertkit.operations import STORIES
from revertkit.operations.set_status import SETTABLE
from revertkit.status import FOLLOWING, RESTING, TRANSITIONS, ReplicaState, Status, Transition

ROWS = [
    pytest.param(kind, row, rule, id=f"{kind}-{row}")
    for kind, rules in TRANSITIONS.items()
    for row, rule in (("share", rules.share), ("snapshot", rules.snapshot), ("replica", rules.replica))
    if rule is not None
]


def test_every_operation_has_its_row_in_the_table_and_its_story() -> None:
    """The table of operations is whole: nothing runs that it does not know."""
    assert set(TRANSITIONS) == {kind.value for kind in OperationKind} == {kind.value for kind in STORIES}
    assert all(story.kind is kind for kind, story in STORIES.items())


@pytest.mark.parametrize(("kind", "row", "rule"), ROWS)
def test_an_operation_leads_from_rest_to_rest(kind: str, row: str, rule: Transition) -> None:
    """It begins at rest (or with no row), passes a status that is its own, and ends at rest (or with no row)."""
    assert rule.before <= RESTING
    assert rule.during not in RESTING
    assert {status for status in (rule.done, rule.failed) if status is not None} <= RESTING


@pytest.mark.parametrize(("kind", "row", "rule"), ROWS)
def test_an_operation_says_what_done_and_failed_are(kind: str, row: str, rule: Transition) -> None:
    """Who deletes or lets go leaves no row when done, who adopts none on failure; any other failure is a status."""
    assert (rule.done is None) is kind.startswith(("delete_", "unmanage_"))
    assert (rule.failed is None) is kind.startswith(("manage_", "rebuild_", "unmanage_"))
    back = kind.startswith("unmanage_") or (kind, row) == ("promote_replica", "share")
    assert rule.back is back, "letting go fails to where it began; so does an active replica that is not relieved"
    born = ("create_share", "manage_share", "rebuild_share")
    assert rule.born is (
        (row == "share" and kind.startswith(born))
        or (row == "replica" and kind == "create_replica")
        or (row == "snapshot" and kind in ("create_snapshot", "manage_snapshot", "rebuild_snapshot"))
    )


def test_nothing_leads_to_a_status_that_nobody_leaves() -> None:
    """Every status that an operation can leave behind is the beginning of another, or can be set by hand."""
    rules = [rule.values[2] for rule in ROWS]
    reached = {status for rule in rules for status in (rule.done, rule.failed) if status is not None}
    left = {status for rule in rules for status in rule.before}
    assert left >= SETTABLE, "set-status leads only to where an operation leads on"
    assert reached <= left, reached - left
    assert left >= RESTING, RESTING - left
    assert SETTABLE <= RESTING


def test_during_names_one_operation() -> None:
    """Who sees a status that is not at rest knows what is under way; only deletes and creates share theirs."""
    shares = [rule.share.during for rule in TRANSITIONS.values() if rule.share]
    assert sorted(set(shares)) == sorted(set(shares) - RESTING)
    doubled = {status for status in shares if shares.count(status) > 1}
    assert doubled == {Status.CREATING, Status.DELETING}


def test_a_revert_is_as_the_specification_has_it() -> None:
    """Rule 4: share reverting, snapshot restoring; both available after; a failure spares the snapshot."""
    revert = TRANSITIONS["revert_to_snapshot"]
    assert revert.share is not None
    assert revert.snapshot is not None
    assert (revert.share.during, revert.share.done, revert.share.failed) == (
        Status.REVERTING,
        Status.AVAILABLE,
        Status.REVERTING_ERROR,
    )
    assert (revert.snapshot.during, revert.snapshot.done, revert.snapshot.failed) == (
        Status.RESTORING,
        Status.AVAILABLE,
        Status.AVAILABLE,
    )
    assert revert.share.before == revert.snapshot.before == {Status.AVAILABLE}


def test_how_a_replica_stands_is_in_the_table_too() -> None:
    """Only a look says in_sync, only a promotion active; a revert leaves no other in sync."""
    states = {kind: rules.state for kind, rules in TRANSITIONS.items() if rules.state}
    assert {kind for kind, state in states.items() if state.done is ReplicaState.IN_SYNC} == {"resync_replica"}
    assert {kind for kind, state in states.items() if state.done is ReplicaState.ACTIVE} == {"promote_replica"}
    assert {state.during for state in states.values()} <= {None, ReplicaState.OUT_OF_SYNC}
    assert {state.failed for state in states.values()} <= {None, ReplicaState.OUT_OF_SYNC, ReplicaState.ERROR}
    others = {kind: rules.others for kind, rules in TRANSITIONS.items() if rules.others}
    assert others == dict.fromkeys(("revert_to_snapshot", "promote_replica"), ReplicaState.OUT_OF_SYNC)
    assert {ReplicaState.ACTIVE} | FOLLOWING == set(ReplicaState)
