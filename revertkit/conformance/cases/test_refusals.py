"""What is refused, by name, with nothing changed: no snapshot, no data, no status, and the share stays online.

Each is asked for three times: as a dry run, through the manager, and of the driver alone, which has to look for itself.
That it looks again just before its point of no return is test_second_look.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial

import pytest

from revertkit.capabilities import verbs
from revertkit.conformance.refusing import refused, second_place, still
from revertkit.conformance.replicas import REVERTED, look, other, replicated
from revertkit.conformance.requirements import behaviour, requires
from revertkit.conformance.stage import CONTEXT, Stage
from revertkit.driver import SupportsExtend, SupportsMountableSnapshots, SupportsShrink, SupportsSnapshots
from revertkit.errors import Blocked, Conflict, OperationFailed, RevertkitError
from revertkit.models import Share, Snapshot, SnapshotInstance, new_id

__all__ = [
    "test_a_stranger_in_its_place_is_left_alone",
    "test_every_blocker_is_named",
    "test_foreign_newer_snapshot",
    "test_foreign_newer_snapshot_of_a_replicated_share",
    "test_newer_snapshot_that_the_manager_does_not_know",
    "test_no_room",
    "test_not_the_most_recent",
    "test_open_replicated_share",
    "test_open_share",
    "test_open_snapshot",
    "test_replicated_share_of_another_identity",
    "test_share_of_another_identity",
    "test_share_that_is_mounted_in_a_second_place",
    "test_snapshot_of_a_replicated_share_that_is_missing",
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
    _foreign_is_left(stage, stage.share())


@behaviour(8, 23)
@requires("foreign_snapshot", *REVERTED)
def test_foreign_newer_snapshot_of_a_replicated_share(stage: Stage) -> None:
    """One of a replicated share that was made by hand: likewise."""
    _foreign_is_left(stage, replicated(stage, "zero")[0])


def _foreign_is_left(stage: Stage, share: Share) -> None:
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
@requires("revert")
def test_share_that_is_mounted_in_a_second_place(stage: Stage) -> None:
    """As in a container: nothing that is written there is lost with what a revert discards."""
    share = stage.share()
    snapshot, before = stage.taken(share, "first")
    since = stage.planted(share, "since")
    with second_place(stage, share) as second:
        assert second.record() == since
        try:
            stage.revert(snapshot)
        except (Blocked, OperationFailed) as refusal:
            assert isinstance(refusal, Blocked) or isinstance(refusal.__cause__, Blocked), refusal
            still(stage.tree(share), since)
        else:
            assert second.record() == before, "who works in the second place is left with what was discarded"
    assert [found for found in stage.manager.recover() if not found.at_rest] == []
    stage.revert(snapshot)
    assert stage.tree(share).record() == before


@behaviour(9)
@requires("revert", "hold")
def test_open_share(stage: Stage) -> None:
    """Whoever holds the share is named, by process id; it is neither forced nor unmounted lazily."""
    _holder_is_named(stage, stage.share())


@behaviour(9, 23)
@requires("hold", *REVERTED)
def test_open_replicated_share(stage: Stage) -> None:
    """Whoever holds a replicated share is named: what reverts it looks for itself."""
    _holder_is_named(stage, replicated(stage, "zero")[0])


def _holder_is_named(stage: Stage, share: Share) -> None:
    snapshot, before = stage.taken(share, "first")
    stage.planted(share, "since")
    with stage.harness.hold(stage.tree(share)) as who:
        refused(stage, share, snapshot, who)
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
    share, snapshot = _two_deep(stage, stage.share())
    stage.lose(snapshot)
    refused(stage, share, snapshot)


@behaviour(10, 23)
@requires(*REVERTED)
def test_snapshot_of_a_replicated_share_that_is_missing(stage: Stage) -> None:
    """The target of a replicated revert is not on the active backend, also where the replica has it."""
    share, snapshot = _two_deep(stage, replicated(stage, "zero")[0])
    look(stage, other(stage, share))
    stage.lose(snapshot)
    refused(stage, share, snapshot)


@behaviour(10)
@requires("revert", "spoil_snapshot")
def test_snapshot_that_is_invalid(stage: Stage) -> None:
    """The target is there, and not sound."""
    share, snapshot = _two_deep(stage, stage.share())
    stage.harness.spoil_snapshot(stage.instance(snapshot))
    refused(stage, share, snapshot)


@behaviour(10)
@requires("revert")
def test_snapshot_of_another_identity(stage: Stage) -> None:
    """Something else stands in the target's place; it is neither copied nor mounted as the snapshot either."""
    share, snapshot = _two_deep(stage, stage.share())
    with stage.snapshot_of_another_identity(snapshot):
        refused(stage, share, snapshot)
        _shown_to_nobody(stage, snapshot)
    stage.revert(snapshot)


def _shown_to_nobody(stage: Stage, snapshot: Snapshot) -> None:
    if stage.claims("create_from_snapshot"):
        with pytest.raises(RevertkitError):
            stage.share(snapshot=snapshot.id)
    if stage.claims("mountable_snapshots"):
        with pytest.raises(Blocked):
            verbs(stage.driver, SupportsMountableSnapshots).ensure_snapshot(stage.instance(snapshot))


@behaviour(10)
@requires("revert")
def test_share_of_another_identity(stage: Stage) -> None:
    """Something else stands in the share's place; it is not brought online as the share either."""
    _stranger_is_left(stage, stage.share())


@behaviour(10, 23)
@requires(*REVERTED)
def test_replicated_share_of_another_identity(stage: Stage) -> None:
    """Something else stands in a replicated share's place: likewise."""
    _stranger_is_left(stage, replicated(stage, "zero")[0])


def _stranger_is_left(stage: Stage, share: Share) -> None:
    _, snapshot = _two_deep(stage, share)
    with stage.share_of_another_identity(share):
        refused(stage, share, snapshot)
        with pytest.raises(Blocked):
            stage.driver.ensure_share(stage.now(share).replica)
    stage.revert(snapshot)


@behaviour(10)
def test_a_stranger_in_its_place_is_left_alone(stage: Stage) -> None:
    """What is in a share's or snapshot's place and is another one: neither snapshotted, nor resized, nor deleted."""
    share = stage.share(2)
    before = stage.planted(share, "first")
    with stage.share_of_another_identity(share):
        for change in _changes(stage, share):
            with pytest.raises(Blocked):
                change()
        with suppress(Blocked):
            stage.driver.delete_share(stage.now(share).replica)
    assert stage.tree(share).record() == before, "another share than the one on record was deleted, or went offline"
    if stage.claims("snapshots"):
        snapshot, driver = stage.snapshot(share), verbs(stage.driver, SupportsSnapshots)
        with stage.snapshot_of_another_identity(snapshot), suppress(Blocked):
            driver.delete_snapshot(stage.instance(snapshot))
        kept = driver.create_snapshot(stage.instance(snapshot)).backend_id
        assert kept == stage.instance(snapshot).backend_id, "another snapshot than the one on record was deleted"


def _changes(stage: Stage, share: Share) -> Iterator[Callable[[], object]]:
    """Ask the driver alone for whatever it can do to a share."""
    place = stage.now(share).replica
    if stage.claims("snapshots"):
        new = SnapshotInstance(
            id=new_id(), snapshot_id=new_id(), replica=place, size=place.size, created_at=datetime.now(UTC)
        )
        yield partial(verbs(stage.driver, SupportsSnapshots).create_snapshot, new)
    if stage.claims("extend"):
        yield partial(verbs(stage.driver, SupportsExtend).extend_share, place, 3)
    if stage.claims("shrink"):
        yield partial(verbs(stage.driver, SupportsShrink).shrink_share, place, 1)


@behaviour(10)
@requires("revert")
def test_every_blocker_is_named(stage: Stage) -> None:
    """Of two, both: who mends one by one learns of the second only after the first."""
    share, snapshot = _two_deep(stage, stage.share())
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
        refused(stage, share, snapshot)
    stage.revert(snapshot)
    assert stage.tree(share).record() == before


def _two_deep(stage: Stage, share: Share) -> tuple[Share, Snapshot]:
    stage.taken(share, "one")
    snapshot, _ = stage.taken(share, "two")
    stage.planted(share, "since")
    return share, snapshot
