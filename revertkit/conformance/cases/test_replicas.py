"""Replicas: they follow, hold nothing up, and what a revert discarded comes back with none of them.

What a replica holds is read once it is promoted: then it is what its users get.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import pytest

from revertkit.capabilities import verbs
from revertkit.conformance.replicas import REPLICAS, REVERTED, look, other, promote, replicated
from revertkit.conformance.requirements import behaviour, requires
from revertkit.conformance.stage import CONTEXT, Stage
from revertkit.conformance.trees import REFUSALS, Tree
from revertkit.driver import ShareDriver, SupportsReplication
from revertkit.errors import BackendError, Conflict
from revertkit.manager import ShareManager
from revertkit.models import ReplicaReport
from revertkit.operations.site import Site
from revertkit.status import ReplicaState, Status
from revertkit.system.run import StepEvent, watching

__all__ = [
    "test_a_deleted_replica_leaves_the_share_alone",
    "test_a_fenced_share_cannot_be_written_to",
    "test_a_last_copy_is_told",
    "test_a_promoted_replica_can_be_written_to",
    "test_a_replica_follows",
    "test_a_replica_is_read_only",
    "test_a_replica_that_is_away_holds_nothing_up",
    "test_a_revert_is_at_once_and_the_others_follow",
    "test_a_transfer_holds_no_revert_up",
    "test_calling_verbs_of_replicas_again_answers_the_same",
    "test_nothing_discarded_comes_back",
    "test_snapshots_reach_a_replica",
    "test_the_last_copy_of_a_snapshot_stays",
    "test_the_old_active_one_follows",
]


@behaviour(23)
@requires(*REPLICAS)
def test_a_replica_follows(stage: Stage) -> None:
    """A look brings what was written since the last; out of sync before its first, and in sync after each."""
    share, replica = replicated(stage, "first")
    record = stage.planted(share, "second")
    look(stage, replica)
    promote(stage, replica, force=True)
    assert stage.tree(share).record() == record, "the replica does not hold what the share held at its last look"


@behaviour(23)
@requires(*REPLICAS)
def test_a_replica_is_read_only(stage: Stage) -> None:
    """Nobody writes to a replica that is not active; nor to one that was, once another is promoted.

    Where replicas are readable it is online, and holds what the share held at its last look; otherwise it is offline.
    """
    share, _ = replicated(stage, "first")
    readable = verbs(stage.driver, SupportsReplication).replication_type == "readable"
    for _ in range(2):
        record = stage.tree(share).record()
        following = other(stage, share)
        assert bool(following.export_locations) is readable, f"its locations are {following.export_locations}"
        if readable:
            tree = stage.harness.tree(following.replica, following.export_locations)
            assert tree.reachable(), "the replica is said to be readable, and cannot be read"
            assert tree.record() == record, "the replica does not hold what the share held at its last look"
            _refuses_writes(tree)
            assert tree.record() == record, "the replica was written to"
        look(stage, following)
        promote(stage, other(stage, share))
        assert stage.tree(share).record() == record
        look(stage, other(stage, share))


@behaviour(23)
@requires(*REPLICAS)
def test_a_fenced_share_cannot_be_written_to(stage: Stage) -> None:
    """Where the driver says so; then it can be read, and either side lets it be written to again."""
    share, replica = replicated(stage, "first")
    record = stage.tree(share).record()
    peer = verbs(stage.manager.site.driver(replica.pool.backend), SupportsReplication)
    letting_go = (
        lambda: peer.unfence(replica.replica, share.replica),
        lambda: stage.manager.site.driver(share.pool.backend).ensure_share(stage.now(share).replica),
    )
    for let_go in letting_go:
        if peer.fence(replica.replica, share.replica):
            assert stage.tree(share).reachable(), "nor can it be read"
            _refuses_writes(stage.tree(share))
        assert stage.tree(share).record() == record
        let_go()
        record = stage.planted(share, "let go")


def _refuses_writes(tree: Tree) -> None:
    with pytest.raises(REFUSALS):
        tree.write("since", b"to what is read-only")


@behaviour(23)
@requires(*REPLICAS)
def test_a_promoted_replica_can_be_written_to(stage: Stage) -> None:
    """It is the share from then on: written to, grown where that is claimed, and followed by the old one."""
    share, replica = replicated(stage, "first")
    promote(stage, replica)
    assert stage.now(share).status is Status.AVAILABLE
    record = stage.planted(share, "on the new one")
    if stage.claims("extend"):
        stage.manager.extend_share(CONTEXT, share.id, 2)
    assert stage.tree(share).record() == record
    look(stage, other(stage, share))


@behaviour(23)
@requires(*REPLICAS)
def test_the_old_active_one_follows(stage: Stage) -> None:
    """What was written to it and not to the new one is gone from it, what was written to the new one is there."""
    share, replica = replicated(stage, "first")
    stage.planted(share, "lost by force")
    promote(stage, replica, force=True)
    record = stage.planted(share, "on the new one")
    look(stage, other(stage, share))
    promote(stage, other(stage, share))
    assert stage.tree(share).record() == record


@behaviour(23)
@requires("snapshots", *REPLICAS)
def test_snapshots_reach_a_replica(stage: Stage) -> None:
    """All of them, also those that are older than the replica; each with its content; and a revert to each works."""
    share = replicated(stage, "before all")[0]
    stage.manager.delete_replica(CONTEXT, other(stage, share).id)
    taken = [stage.taken(share, word) for word in ("one", "two")]
    replica = look(stage, stage.manager.create_replica(CONTEXT, share.id, pool=stage.peer))
    taken.append(stage.taken(share, "three"))
    stage.planted(share, "since")
    look(stage, replica)
    promote(stage, replica)
    for snapshot, held in taken:
        assert stage.manager.snapshot(CONTEXT, snapshot.id).status is Status.AVAILABLE
        assert not stage.keeps_in_sight or stage.kept(snapshot) == held
    if stage.claims("replicated_revert"):
        for snapshot, held in reversed(taken):
            stage.revert(snapshot)
            assert stage.tree(share).record() == held
            stage.drop(snapshot)


def _parts(site: Site) -> tuple[Any, ...]:
    return site.host, site.store, site.locks, site.backends, site.now


class _Cut(Site):
    """A site on which a look brings all that it should, and is cut before it can say so."""

    def driver(self, backend: str) -> ShareDriver:
        """Answer one whose looks end so."""
        found = copy(super().driver(backend))
        look_at = verbs(found, SupportsReplication).update_replica_state

        def cut(*args: Any) -> ReplicaReport:
            look_at(*args)
            raise BackendError("the look was cut")

        found.update_replica_state = cut  # type: ignore[attr-defined]
        return found


@behaviour(23)
@requires("snapshots", *REPLICAS)
@pytest.mark.parametrize("lost", [False, True], ids=["the active one has it", "the active one has lost it"])
def test_the_last_copy_of_a_snapshot_stays(stage: Stage, lost: bool) -> None:
    """A look brought it and was cut. A promotion says that it is there, and no look before that has destroyed it."""
    share, replica = replicated(stage, "first")
    snapshot, held = stage.taken(share, "kept")
    ShareManager(_Cut(*_parts(stage.manager.site))).resync_replica(CONTEXT, replica.id)
    if lost:
        stage.lose(snapshot)
        stage.manager.resync_replica(CONTEXT, replica.id)
    promote(stage, replica, force=True)
    assert stage.manager.snapshot(CONTEXT, snapshot.id).status is Status.AVAILABLE, "it is on record as lost"
    assert not stage.keeps_in_sight or stage.kept(snapshot) == held
    if stage.claims("replicated_revert"):
        stage.revert(snapshot)
        assert stage.tree(share).record() == held


@behaviour(23)
@requires("snapshots", *REPLICAS)
def test_a_last_copy_is_told(stage: Stage) -> None:
    """The active one has lost a snapshot that a replica holds: no look calls that in sync, and it can be had back."""
    share, replica = replicated(stage, "first")
    snapshot, held = stage.taken(share, "kept")
    record = stage.planted(share, "since")
    look(stage, replica)
    stage.lose(snapshot)
    found = stage.manager.resync_replica(CONTEXT, replica.id)
    assert found.replica_state is ReplicaState.ERROR, f"{found.replica_state}, and nobody is told: {found.found}"
    assert found.found
    promote(stage, replica, force=True)
    assert stage.tree(share).record() == record
    assert stage.manager.snapshot(CONTEXT, snapshot.id).status is Status.AVAILABLE, "it is on record as lost"
    assert not stage.keeps_in_sight or stage.kept(snapshot) == held


@behaviour(23)
@requires(*REVERTED)
def test_a_revert_is_at_once_and_the_others_follow(stage: Stage) -> None:
    """The active one has the snapshot's content at once; the other is out of sync, and then in sync with it."""
    share, replica = replicated(stage, "first")
    snapshot, before = stage.taken(share, "kept")
    stage.planted(share, "discarded")
    look(stage, replica)
    stage.revert(snapshot)
    assert stage.tree(share).record() == before, "the active one does not hold the snapshot's content"
    assert other(stage, share).replica_state is ReplicaState.OUT_OF_SYNC
    with pytest.raises(Conflict):
        promote(stage, replica)
    look(stage, replica)
    promote(stage, replica, force=True)
    assert stage.tree(share).record() == before, "the replica was called in sync, and is not"
    look(stage, other(stage, share))
    stage.revert(snapshot)
    assert stage.tree(share).record() == before


@behaviour(23)
@requires(*REVERTED)
@pytest.mark.parametrize("destroyed", [False, True], ids=["it holds the snapshot", "that was destroyed on it"])
def test_nothing_discarded_comes_back(stage: Stage, destroyed: bool) -> None:
    """Promoted by force after a revert that it has not followed, a replica is turned back before anybody reads it.

    Where somebody has destroyed the snapshot on it, by hand: to one that is older still.
    """
    share, replica = replicated(stage, "first")
    _, expected = stage.taken(share, "older")
    snapshot, before = stage.taken(share, "kept")
    stage.planted(share, "discarded")
    look(stage, replica)
    if destroyed:
        stage.lose(snapshot, replica)
    stage.revert(snapshot)
    promote(stage, replica, force=True)
    assert stage.tree(share).record() == (expected if destroyed else before), "what the revert discarded is back"
    if not destroyed:
        look(stage, other(stage, share))


class _Away(Site):
    """A site that cannot reach one of its backends."""

    def __init__(self, site: Site, away: str) -> None:
        super().__init__(*_parts(site))
        self._away = away

    def driver(self, backend: str) -> ShareDriver:
        """Refuse the one that is away."""
        if backend == self._away:
            raise BackendError(f"backend {backend} is away")
        return super().driver(backend)


@behaviour(23)
@requires(*REVERTED)
def test_a_replica_that_is_away_holds_nothing_up(stage: Stage) -> None:
    """Two reverts and a deleted snapshot later it is back, and one look brings it in sync."""
    share, replica = replicated(stage, "first")
    (older, before), (newer, _) = stage.taken(share, "older"), stage.taken(share, "newer")
    stage.planted(share, "discarded")
    look(stage, replica)
    away = ShareManager(_Away(stage.manager.site, stage.peer))
    away.revert_to_snapshot(CONTEXT, newer.id)
    assert [one.replica_state for one in away.look_at_replicas()] == [ReplicaState.OUT_OF_SYNC]
    away.delete_snapshot(CONTEXT, newer.id)
    away.revert_to_snapshot(CONTEXT, older.id)
    assert stage.tree(share).record() == before
    look(stage, replica)
    promote(stage, replica)
    assert stage.tree(share).record() == before


@behaviour(23)
@requires(*REVERTED)
def test_a_transfer_holds_no_revert_up(stage: Stage) -> None:
    """At each step of a look the share is reverted: it is not refused, and the look is not believed."""
    share, replica = replicated(stage, "first")
    snapshot, before = stage.taken(share, "kept")

    def reverted_at(last: int) -> bool:
        """Look, and revert at moment number `last` of a step, before it or after it; say whether it came so far."""
        come, inside = 0, False

        def watch(event: StepEvent) -> None:
            nonlocal come, inside
            if event.percent is None and not inside:
                come += 1
                if come == last:
                    inside = True
                    stage.revert(snapshot)
                    inside = False

        stage.planted(share, "discarded")
        with watching(watch):
            stage.manager.resync_replica(CONTEXT, replica.id)
        return come >= last

    number = 0
    while reverted_at(number := number + 1):
        assert stage.tree(share).record() == before
        assert other(stage, share).replica_state is ReplicaState.OUT_OF_SYNC, "a look from before it is believed"
        look(stage, replica)
    assert number > 2, "a look opens no step, so that nobody could revert meanwhile"


@behaviour(23)
@requires(*REPLICAS)
def test_a_deleted_replica_leaves_the_share_alone(stage: Stage) -> None:
    """Its data and snapshots are gone, the share's are not, and another can be made in its place."""
    share, replica = replicated(stage, "first")
    taken = [stage.taken(share, "kept")] if stage.claims("snapshots") else []
    record = stage.planted(share, "since")
    look(stage, replica)
    stage.manager.delete_replica(CONTEXT, replica.id)
    assert stage.tree(share).record() == record
    assert all(stage.kept(snapshot) == held for snapshot, held in taken if stage.keeps_in_sight)
    again = look(stage, stage.manager.create_replica(CONTEXT, share.id, pool=stage.peer))
    promote(stage, again)
    assert stage.tree(share).record() == record


@behaviour(21, 23)
@requires(*REPLICAS)
def test_calling_verbs_of_replicas_again_answers_the_same(stage: Stage) -> None:
    """A replica's life, each call made three times over; by force after a revert too, where that is claimed."""
    stage.manager = stage.opened(repeat=3)
    share, replica = replicated(stage, "first")
    record = stage.planted(share, "second")
    if stage.claims("replicated_revert"):
        snapshot = stage.snapshot(share)
        stage.planted(share, "discarded")
        look(stage, replica)
        stage.revert(snapshot)
    promote(stage, replica, force=stage.claims("replicated_revert"))
    assert stage.tree(share).record() == record
    stage.manager.delete_replica(CONTEXT, look(stage, other(stage, share)).id)
    assert stage.tree(share).record() == record
