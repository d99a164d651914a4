"""Operations on replicated shares, interrupted at each of their steps: nothing is lost, and replication goes on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from revertkit.conformance.interruptions import Ended, Way, interrupted, lied_to, steps_and_commands
from revertkit.conformance.points import Points
from revertkit.conformance.replicas import REPLICAS, REVERTED, look, other, promote, replicated
from revertkit.conformance.report import Swept
from revertkit.conformance.requirements import behaviour, requires
from revertkit.conformance.reverting import as_recorded
from revertkit.conformance.run import Run
from revertkit.conformance.stage import CONTEXT, Stage
from revertkit.conformance.sweep import LIE, at, lie_of, point_of
from revertkit.conformance.trees import Record
from revertkit.manager import ShareManager
from revertkit.models import Share, ShareReplica, Snapshot
from revertkit.status import ReplicaState, Status

__all__ = [
    "test_deletions_of_replicas_can_be_cut",
    "test_looks_can_be_cut",
    "test_new_replicas_can_be_cut",
    "test_promotions_can_be_cut",
    "test_replication_goes_on_after_a_failed_revert",
]


def _create(manager: ShareManager, *names: str) -> object:
    share, pool = names
    return manager.create_replica(CONTEXT, share, pool=pool)


def _delete(manager: ShareManager, *names: str) -> object:
    manager.delete_replica(CONTEXT, names[0])
    return None


def _look(manager: ShareManager, *names: str) -> object:
    return manager.resync_replica(CONTEXT, names[0])


def _promote(manager: ShareManager, *names: str) -> object:
    return manager.promote_replica(CONTEXT, names[0])


def _revert(manager: ShareManager, *names: str) -> object:
    return manager.revert_to_snapshot(CONTEXT, names[0])


class _Sweep:
    """One operation on a replica: prepared, disturbed, recovered from and checked, at each point or at a sample."""

    def __init__(
        self,
        stage: Stage,
        name: str,
        call: Callable[..., object],
        prepared: Callable[[], tuple[str, ...]],
        check: Callable[[], None],
    ) -> None:
        self.stage, self.name, self.call, self.prepared, self.check = stage, name, call, prepared, check

    def everywhere(self, asked: Points) -> list[Swept]:
        """Let each command of the call lie, if it runs any, then raise and kill at each of its steps, as `asked` for.

        Raises:
            AssertionError: what `check` does, it shows no step, or a chosen point is not come to; a note says which.
        """
        self._undisturbed()  # of a replica that was never promoted: those that are interrupted have been
        steps, commands = self._undisturbed()
        assert steps, f"{self.name} opens no step: it cannot be interrupted"
        lied = [self._lied_to(commands, asked)] if commands else []
        points = [(number, way) for number in range(len(steps)) for way in Way]
        swept = Swept(operation=self.name, steps=len(steps), points=len(points), swept=0)
        for number, way in asked.drawn(points, self.name, lambda point: point_of(self.name, steps, *point)):
            with at(point_of(self.name, steps, number, way)):
                self._point(partial(interrupted, self.stage, way, number))
            swept.count(str(way))
        return [swept, *lied]

    def _lied_to(self, commands: list[str], asked: Points) -> Swept:
        swept = Swept(operation=f"{self.name} ({LIE})", steps=len(commands), points=len(commands), swept=0)
        for number in asked.drawn(range(len(commands)), swept.operation, lambda lie: lie_of(self.name, lie, commands)):
            with at(lie_of(self.name, number, commands)):
                self._point(partial(lied_to, self.stage, number))
            swept.count(LIE)
        return swept

    def _undisturbed(self) -> tuple[list[str], list[str]]:
        names = self.prepared()
        found = steps_and_commands(lambda: self.call(self.stage.manager, *names))
        self.check()
        return found

    def _point(self, disturbed: Callable[..., Ended]) -> None:
        ended = disturbed(self.call, *self.prepared())
        assert ended.came, "it took fewer steps than when nothing disturbed it, and was not interrupted"
        self.stage.manager = self.stage.opened()
        self.stage.manager.recover()
        self.stage.manager.recover()
        self.check()


class _Kept:
    """The one snapshot of a share, where the driver takes any, and what it has to hold on whichever is active."""

    def __init__(self, stage: Stage, share: Share) -> None:
        self._stage, self._share = stage, share
        self._taken: tuple[Snapshot, Record] | None = None

    def anew(self, word: str) -> None:
        """Take another, of a word's content."""
        if self._taken:
            self._stage.drop(self._taken[0])
        self._taken = self._stage.taken(self._share, word) if self._stage.claims("snapshots") else None

    def check(self) -> None:
        """See that it is whole: one that came in parts is there when all of them have come."""
        if self._taken and self._stage.keeps_in_sight:
            snapshot, held = self._taken
            assert self._stage.kept(snapshot) == held, "a snapshot does not hold what it held"


@behaviour(18, 23)
@requires(*REPLICAS)
def test_new_replicas_can_be_cut(stage: Stage, conformance: Run) -> None:
    """At each of their steps; the share is as it was, and what is there of the replica follows, or is made again."""
    share, _ = replicated(stage, "first")
    kept = _Kept(stage, share)
    since: list[Record] = []

    def prepared() -> tuple[str, ...]:
        _without_replicas(stage, share)
        kept.anew("kept")
        since.append(stage.planted(share, f"number {len(since)}"))
        return share.id, str(stage.peer)

    def check() -> None:
        assert stage.tree(share).record() == since[-1], "the share was changed"
        _follows_whole(stage, share, kept)

    sweep = _Sweep(stage, "create_replica", _create, prepared, check)
    conformance.points += sweep.everywhere(conformance.options.points)
    _without_replicas(stage, share)
    stage.assert_nothing_left()


@behaviour(18, 23)
@requires(*REPLICAS)
def test_deletions_of_replicas_can_be_cut(stage: Stage, conformance: Run) -> None:
    """At each of their steps; the share is as it was, and another replica can be made in the place of this one."""
    share, _ = replicated(stage, "first")
    kept = _Kept(stage, share)
    since: list[Record] = []

    def prepared() -> tuple[str, ...]:
        kept.anew("kept")
        since.append(stage.planted(share, f"number {len(since)}"))
        return (look(stage, other(stage, share)).id,)

    def check() -> None:
        assert stage.tree(share).record() == since[-1], "the share was changed"
        kept.check()
        _without_replicas(stage, share)
        stage.assert_nothing_left()
        _follows_whole(stage, share, kept)

    sweep = _Sweep(stage, "delete_replica", _delete, prepared, check)
    conformance.points += sweep.everywhere(conformance.options.points)


def _following(stage: Stage, share: Share) -> list[ShareReplica]:
    return [found for found in stage.manager.replicas(CONTEXT, share.id) if not found.active]


def _without_replicas(stage: Stage, share: Share) -> None:
    """Delete what follows a share, in whatever state it is: the share has all of its data."""
    for found in _following(stage, share):
        stage.manager.delete_replica(CONTEXT, found.id, force=True)


def _follows_whole(stage: Stage, share: Share, kept: _Kept) -> None:
    """See that a share has a replica, made here if there is none, or none but in error, which holds what it holds."""
    record = stage.tree(share).record()
    if not any(found.status is Status.AVAILABLE for found in _following(stage, share)):
        _without_replicas(stage, share)
        stage.manager.create_replica(CONTEXT, share.id, pool=stage.peer)
    look(stage, other(stage, share))
    promote(stage, other(stage, share))
    assert stage.tree(share).record() == record, "the replica does not hold what the share holds"
    kept.check()
    look(stage, other(stage, share))
    promote(stage, other(stage, share))
    look(stage, other(stage, share))


@behaviour(18, 23)
@requires(*REPLICAS)
def test_looks_can_be_cut(stage: Stage, conformance: Run) -> None:
    """At each of its steps; the next one goes on. A replica that says that it is in sync holds what the share holds."""
    share, replica = replicated(stage, "first")
    words, kept = iter(range(10**6)), _Kept(stage, share)
    planted: list[datetime] = []

    def prepared() -> tuple[str, ...]:
        kept.anew(f"number {next(words)}")
        stage.planted(share, f"number {next(words)}")
        planted.append(stage.manager.site.now())
        return (replica.id,)

    def check() -> None:
        record, following = stage.tree(share).record(), other(stage, share)
        told = following.replica_state is ReplicaState.IN_SYNC and following.in_sync_at
        if not (told and told >= planted[-1]):
            look(stage, replica)
        promote(stage, replica, force=True)
        assert stage.tree(share).record() == record
        kept.check()
        look(stage, other(stage, share))
        promote(stage, other(stage, share))
        look(stage, other(stage, share))

    sweep = _Sweep(stage, "resync_replica", _look, prepared, check)
    conformance.points += sweep.everywhere(conformance.options.points)


@behaviour(18, 23)
@requires(*REPLICAS)
def test_promotions_can_be_cut(stage: Stage, conformance: Run) -> None:
    """At each of its steps; there is one active replica then, with all that was written, and the other follows."""
    share, _ = replicated(stage, "first")
    written: list[object] = []
    kept = _Kept(stage, share)

    def prepared() -> tuple[str, ...]:
        kept.anew(f"kept {len(written)}")
        following = look(stage, other(stage, share))
        written.append(stage.planted(share, f"number {len(written)}"))
        return (following.id,)

    def check() -> None:
        record = stage.tree(share).record()
        assert record == written[-1], "something was lost without force"
        stage.assert_at_rest()
        kept.check()
        look(stage, other(stage, share))
        promote(stage, other(stage, share))
        assert stage.tree(share).record() == record

    sweep = _Sweep(stage, "promote_replica", _promote, prepared, check)
    conformance.points += sweep.everywhere(conformance.options.points)


@behaviour(24)
@requires(*REVERTED)
def test_replication_goes_on_after_a_failed_revert(stage: Stage, conformance: Run) -> None:
    """Whatever became of the revert, a look brings the other in sync with it, and nothing half-way is promoted."""
    share, replica = replicated(stage, "first")
    snapshot, before = stage.taken(share, "kept")
    since: list[Record] = []

    def prepared() -> tuple[str, ...]:
        since.append(stage.planted(share, f"since {len(since)}"))
        look(stage, replica)
        return (snapshot.id,)

    def check() -> None:
        stage.assert_at_rest()
        record = stage.tree(share).record()
        assert record == as_recorded(stage, share, before, since[-1]), "the share does not hold what the record says"
        look(stage, replica)
        promote(stage, replica, force=True)
        assert stage.tree(share).record() == record
        look(stage, other(stage, share))
        promote(stage, other(stage, share))
        assert look(stage, other(stage, share)).id == replica.id

    sweep = _Sweep(stage, "replicated_revert", _revert, prepared, check)
    conformance.points += sweep.everywhere(conformance.options.points)
