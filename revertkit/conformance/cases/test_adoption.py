"""Taking on what the driver did not make, and letting go of it."""

from __future__ import annotations

import pytest

from revertkit.conformance.requirements import behaviour, requires
from revertkit.conformance.stage import CONTEXT, TYPE, Stage
from revertkit.errors import Blocked
from revertkit.status import Status

__all__ = [
    "test_a_share_is_not_adopted_twice",
    "test_a_snapshot_that_is_older_than_ours_is_not_adopted",
    "test_adopted_share_is_as_a_born_one",
    "test_adopted_snapshot_is_as_one_that_was_taken",
]


@behaviour(1, 3)
@requires("manage", "foreign_share", "revert")
def test_adopted_share_is_as_a_born_one(stage: Stage) -> None:
    """It is written, snapshotted and reverted; let go of, it is offline, and no share any more."""
    with stage.harness.foreign_share(1) as called:
        share = stage.manager.manage_share(CONTEXT, str(stage.pool_id), called(), share_type=TYPE)
        assert (share.status, share.size) == (Status.AVAILABLE, 1)
        snapshot, before = stage.taken(share, "first")
        stage.tree(share).wreck()
        stage.revert(snapshot)
        assert stage.tree(share).record() == before
        stage.drop(snapshot)
        tree = stage.tree(share)
        stage.manager.unmanage_share(CONTEXT, share.id)
        assert not tree.reachable()
        assert stage.manager.shares(CONTEXT) == []
    stage.assert_nothing_left()


@behaviour(1, 3)
@requires("manage_snapshots", "foreign_snapshot", "revert")
def test_adopted_snapshot_is_as_one_that_was_taken(stage: Stage) -> None:
    """It is reverted to and deleted; one that is let go of is left where it was."""
    share = stage.share()
    before = stage.planted(share, "first")
    with stage.harness.foreign_snapshot(stage.now(share).replica) as called:
        snapshot = stage.manager.manage_snapshot(CONTEXT, share.id, called())
        stage.manager.unmanage_snapshot(CONTEXT, snapshot.id)
        assert stage.manager.snapshots(CONTEXT, share.id) == []
        assert called(), "letting go of a snapshot removed it"
    with stage.harness.foreign_snapshot(stage.now(share).replica) as called:
        stage.planted(share, "second")
        snapshot = stage.manager.manage_snapshot(CONTEXT, share.id, called())
        stage.revert(snapshot)
        assert stage.tree(share).record() == before
        stage.drop(snapshot)
        assert not called(), "a deleted snapshot is still there"


@behaviour(3, 10)
@requires("manage", "foreign_share")
def test_a_share_is_not_adopted_twice(stage: Stage) -> None:
    """By whatever name it is asked for: it is refused, and stays the share that it is."""
    with stage.harness.foreign_share(1) as called:
        share = stage.manager.manage_share(CONTEXT, str(stage.pool_id), called(), share_type=TYPE)
        before = stage.planted(share, "first")
        with pytest.raises(Blocked):
            stage.manager.manage_share(CONTEXT, str(stage.pool_id), called(), share_type=TYPE)
        assert [one.id for one in stage.manager.shares(CONTEXT)] == [share.id]
        assert stage.tree(share).record() == before
        stage.manager.unmanage_share(CONTEXT, share.id)


@behaviour(7, 8)
@requires("manage_snapshots", "foreign_snapshot")
def test_a_snapshot_that_is_older_than_ours_is_not_adopted(stage: Stage) -> None:
    """It would count as the most recent one, and a revert to it would destroy ours."""
    share = stage.share()
    with stage.harness.foreign_snapshot(stage.now(share).replica) as called:
        ours = stage.snapshot(share)
        with pytest.raises(Blocked):
            stage.manager.manage_snapshot(CONTEXT, share.id, called())
        assert [one.id for one in stage.manager.snapshots(CONTEXT, share.id)] == [ours.id]
        assert called(), "a refusal removed it"
    stage.drop(ours)
