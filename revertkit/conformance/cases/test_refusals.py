"""What is refused, by name, with nothing changed: no snapshot, no data, no status, and the share stays online.

Each is asked for three times: as a dry run, through the manager, and of the driver alone, which has to look for itself.
That it looks again just before its point of no return is test_second_look.py's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from revertkit.capabilities import verbs
from revertkit.conformance.requirements import behaviour, requires
from revertkit.conformance.stage import CONTEXT, Stage
from revertkit.conformance.trees import Tree
from revertkit.driver import SupportsRevert, SupportsSnapshots
from revertkit.errors import Blocked, Conflict, RevertkitError
from revertkit.models import Share, Snapshot, SnapshotInstance, new_id

__all__ = [
    "test_every_blocker_is_named",
    "test_foreign_newer_snapshot",
    "test_newer_snapshot_that_the_manager_does_not_know",
    "test_no_room",
    "test_not_the_most_recent",
    "test_open_share",
    "test_open_snapshot",
    "test_share_of_another_identity",
    "test_snapshot_of_another_identity",
    "test_snapshot_that_is_invalid",
    "test_snapshot_that_is_missing",
]


@behaviour(7)
@requires("revert")
def test_not_the_most_recent(stage: Stage) -> None:
    """An older snapshot is a conflict, and the answer names the latest."""
    share = stage.share()
    (first, _), (second, _) = stage.taken(share, "one"), stage.taken(share, "two")
    stage.planted(share, "since")
    with stage.unchanged(share, first, second):
        for call in (stage.manager.check_revert, stage.manager.revert_to_snapshot):
            with pytest.raises(Conflict, match=second.id):
                call(CONTEXT, first.id)


@behaviour(5, 8)
@requires("revert")
def test_newer_snapshot_that_the_manager_does_not_know(stage: Stage) -> None:
    """One on the backend that is on no record blocks, or is left as it is; the target is the one that was named."""
    share = stage.share()
    snapshot, before = stage.taken(share, "first")
    held = stage.planted(share, "unknown")
    with _unknown(stage, share) as unknown:
        since = stage.planted(share, "since")
        try:
            stage.revert(snapshot)
            assert stage.tree(share).record() == before, "it was reverted to another snapshot than the one named"
        except Blocked:
            assert stage.tree(share).record() == since, "the refusal changed the share's content"
        again = verbs(stage.driver, SupportsSnapshots).create_snapshot(_of(stage, share, unknown))
        assert again.backend_id == unknown.backend_id, "the newer snapshot is lost"
        if stage.harness.reads_snapshots:
            assert stage.harness.snapshot_tree(unknown, ()).record() == held, "the newer snapshot lost its content"
    stage.revert(snapshot)
    assert stage.tree(share).record() == before


@contextmanager
def _unknown(stage: Stage, share: Share) -> Iterator[SnapshotInstance]:
    """Let the driver take a snapshot past the manager, and delete it afterwards."""
    found, driver = stage.now(share), verbs(stage.driver, SupportsSnapshots)
    new = SnapshotInstance(
        id=new_id(), snapshot_id=new_id(), replica=found.replica, size=found.size, created_at=datetime.now(UTC)
    )
    new = new.model_copy(update={"backend_id": driver.create_snapshot(new).backend_id})
    try:
        yield new
    finally:
        driver.delete_snapshot(_of(stage, share, new))


def _of(stage: Stage, share: Share, snapshot: SnapshotInstance) -> SnapshotInstance:
    """The snapshot, of the share as it is on record now."""
    return snapshot.model_copy(update={"replica": stage.now(share).replica})


@behaviour(8)
@requires("revert", "foreign_snapshot")
def test_foreign_newer_snapshot(stage: Stage) -> None:
    """One that was made by hand blocks, by name, or is left as it is; it is there afterwards."""
    share = stage.share()
    snapshot, before = stage.taken(share, "first")
    since = stage.planted(share, "since")
    with stage.harness.foreign_snapshot(stage.now(share).replica) as called:
        name = called()
        try:
            stage.revert(snapshot)
            assert stage.tree(share).record() == before
        except Blocked as refusal:
            assert name in str(refusal)
            assert stage.tree(share).record() == since
        assert called(), "the snapshot that was made by hand is lost"
    stage.revert(snapshot)
    assert stage.tree(share).record() == before


@behaviour(9)
@requires("revert", "hold")
def test_open_share(stage: Stage) -> None:
    """Whoever holds the share is named, by process id; it is neither forced nor unmounted lazily."""
    share = stage.share()
    snapshot, before = stage.taken(share, "first")
    stage.planted(share, "since")
    with stage.harness.hold(stage.tree(share)) as who:
        _refused(stage, share, snapshot, who)
    stage.revert(snapshot)
    assert stage.tree(share).record() == before


@behaviour(9)
@requires("revert", "mountable_snapshots", "hold")
def test_open_snapshot(stage: Stage) -> None:
    """Whoever holds the target open is named, or goes on reading it undisturbed."""
    share = stage.share()
    snapshot, before = stage.taken(share, "first")
    since = stage.planted(share, "since")
    with stage.harness.hold(stage.mounted(snapshot)) as who:
        try:
            stage.revert(snapshot)
            assert stage.tree(share).record() == before
        except Blocked as refusal:
            assert who in str(refusal)
            assert stage.tree(share).record() == since
        assert stage.mounted(snapshot).record() == before, "whoever held the snapshot open has lost it"


@behaviour(10)
@requires("revert")
def test_snapshot_that_is_missing(stage: Stage) -> None:
    """The target is on record, and not on the backend."""
    share, snapshot = _two_deep(stage)
    stage.lose(snapshot)
    _refused(stage, share, snapshot)


@behaviour(10)
@requires("revert", "spoil_snapshot")
def test_snapshot_that_is_invalid(stage: Stage) -> None:
    """The target is there, and not sound."""
    share, snapshot = _two_deep(stage)
    stage.harness.spoil_snapshot(stage.instance(snapshot))
    _refused(stage, share, snapshot)


@behaviour(10)
@requires("revert")
def test_snapshot_of_another_identity(stage: Stage) -> None:
    """Something else stands in the target's place."""
    share, snapshot = _two_deep(stage)
    with stage.snapshot_of_another_identity(snapshot):
        _refused(stage, share, snapshot)
        if stage.claims("create_from_snapshot"):
            with pytest.raises(RevertkitError):
                stage.share(snapshot=snapshot.id)
    stage.revert(snapshot)


@behaviour(10)
@requires("revert")
def test_share_of_another_identity(stage: Stage) -> None:
    """Something else stands in the share's place; it is not brought online as the share either."""
    share, snapshot = _two_deep(stage)
    with stage.share_of_another_identity(share):
        _refused(stage, share, snapshot)
        with pytest.raises(Blocked):
            stage.driver.ensure_share(stage.now(share).replica)
    stage.revert(snapshot)


@behaviour(10)
@requires("revert")
def test_every_blocker_is_named(stage: Stage) -> None:
    """Of two, both: who mends one by one learns of the second only after the first."""
    share, snapshot = _two_deep(stage)
    with stage.share_of_another_identity(share):
        stage.lose(snapshot)
        with pytest.raises(Blocked) as refusal:
            stage.manager.check_revert(CONTEXT, snapshot.id)
    assert len(refusal.value.blockers) >= 2, refusal.value


@behaviour(11)
@requires("revert", "no_room")
def test_no_room(stage: Stage) -> None:
    """Room that a revert needs is looked for before anything changes."""
    share = stage.share()
    snapshot, before = stage.taken(share, "first")
    stage.planted(share, "since")
    with stage.harness.no_room(stage.now(share).replica):
        _refused(stage, share, snapshot)
    stage.revert(snapshot)
    assert stage.tree(share).record() == before


def _two_deep(stage: Stage) -> tuple[Share, Snapshot]:
    share = stage.share()
    stage.taken(share, "one")
    snapshot, _ = stage.taken(share, "two")
    stage.planted(share, "since")
    return share, snapshot


def _refused(stage: Stage, share: Share, snapshot: Snapshot, *said: str) -> None:
    """See that a dry run, the manager and the driver alone refuse, say so, and leave the share online as it was."""
    tree = stage.tree(share)
    before, others = tree.record(), stage.manager.snapshots(CONTEXT, share.id)[:-1]
    held = [stage.kept(other) for other in others if stage.keeps_in_sight]
    instance, driver = stage.instance(snapshot), verbs(stage.driver, SupportsRevert)
    for call in (
        lambda: stage.manager.check_revert(CONTEXT, snapshot.id),
        lambda: stage.revert(snapshot),
        lambda: driver.revert_to_snapshot(instance),
    ):
        with pytest.raises(Blocked) as refusal:
            call()
        assert refusal.value.blockers
        assert all(blocker.mend for blocker in refusal.value.blockers), "a blocker says no mend"
        assert all(word in str(refusal.value) for word in said), f"{said} is not in: {refusal.value}"
        _still(tree, before)
    assert [stage.kept(other) for other in others if stage.keeps_in_sight] == held
    stage.assert_at_rest()


def _still(tree: Tree, before: object) -> None:
    assert tree.reachable(), "the refusal left the share offline"
    assert tree.record() == before, "the refusal changed the share's content"
