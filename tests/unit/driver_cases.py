"""What the directory driver and the in-memory driver both have to do, and the manager's part played in a few lines.

A test module of a driver inherits :class:`DriverCases` and brings a :class:`World`.
"""

from __future__ import annotations

import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from revertkit.capabilities import false_claims, report, verbs
from revertkit.driver import (
    ShareDriver,
    SupportsExtend,
    SupportsRevert,
    SupportsSnapshots,
)
from revertkit.errors import Blocked
from revertkit.models import Replica, Reverted, RevertState, SnapshotInstance, Stored, new_id
from revertkit.system.run import Moment, StepEvent, watching

Content = Mapping[str, bytes]
A, B, C = {"a": b"A", "same": b"1"}, {"b": b"B" * 5000, "same": b"2"}, {"c": b"", "same": b"3"}


class World(ABC):
    """One backend with its record of one share, as the manager would keep it."""

    def __init__(self) -> None:
        self.driver = self.restarted()
        self.share = self.unborn()
        self.taken: dict[str, SnapshotInstance] = {}

    @abstractmethod
    def restarted(self) -> Any:
        """A driver object as a new process has it, over the same storage."""

    @abstractmethod
    def cloned(self) -> World:
        """This world as it is, for a test to spoil."""

    @abstractmethod
    def put(self, content: Content) -> None:
        """Replace the content of the share, which is online."""

    @abstractmethod
    def content(self, share: Replica | None = None) -> Content:
        """What the storage holds of the share (or another one), online or not."""

    @abstractmethod
    def kept(self, name: str) -> Content:
        """What the storage holds of a snapshot."""

    @abstractmethod
    def leftovers(self) -> list[str]:
        """What the storage holds beyond shares that are online and snapshots that are on record."""

    @abstractmethod
    def online(self) -> bool:
        """Whether the share can be reached."""

    @abstractmethod
    def forge(self, name: str | None = None) -> None:
        """Give the share, or a snapshot, an identity that nobody recorded."""

    @abstractmethod
    def lose(self, name: str) -> None:
        """Remove a snapshot behind the driver's back."""

    @staticmethod
    def unborn() -> Replica:
        return Replica(id=new_id(), share_id=new_id(), host="node", pool="pool", size=1)

    def record(self, stored: Stored) -> None:
        self.share = self.share.model_copy(update={"backend_id": stored.backend_id, "size": stored.size})

    def create(self) -> None:
        self.record(self.driver.create_share(self.share))
        self.ensure()

    def ensure(self) -> str:
        (location,) = self.driver.ensure_share(self.share)
        return str(location.path)

    def snapshot(self, name: str) -> SnapshotInstance:
        """The snapshot as it is on record; a new record if there is none."""
        if name not in self.taken:
            ids = {"id": new_id(), "snapshot_id": new_id(), "created_at": datetime.now(UTC)}
            self.taken[name] = SnapshotInstance(**ids, replica=self.share, size=self.share.size)
        return self.taken[name].model_copy(update={"replica": self.share})

    def record_snapshot(self, name: str, stored: Stored) -> None:
        self.taken[name] = self.snapshot(name).model_copy(update={"backend_id": stored.backend_id})

    def take(self, name: str, content: Content) -> None:
        self.put(content)
        self.record_snapshot(name, self.driver.create_snapshot(self.snapshot(name)))

    def drop(self, name: str) -> None:
        self.driver.delete_snapshot(self.snapshot(name))
        del self.taken[name]

    def state(self, name: str) -> RevertState:
        return self.restarted().revert_state(self.snapshot(name))  # type: ignore[no-any-return]

    def record_revert(self, name: str, reverted: Reverted) -> None:
        """Record and only then bring online, as the manager does."""
        assert self.state(name) is RevertState.REVERTED
        assert not self.online()
        self.record(reverted.share)
        self.record_snapshot(name, reverted.snapshot)
        self.ensure()

    def revert(self, name: str) -> None:
        self.record_revert(name, self.driver.revert_to_snapshot(self.snapshot(name)))


def living(world: World) -> World:
    """A share with the snapshots "old" (A) and "new" (B), and C in it since."""
    world.create()
    world.take("old", A)
    world.take("new", B)
    world.put(C)
    world.snapshot("newest")  # on record before it is taken, as with the manager
    return world


# --- interruptions

Interruption = Callable[[Callable[[], object], int], None]


class Interrupted(Exception):
    """What the watcher raises."""


def _at(point: int, strike: Callable[[], None]) -> Callable[[StepEvent], None]:
    seen = count()

    def watch(event: StepEvent) -> None:
        if event.moment is not Moment.PROGRESS and next(seen) == point:
            strike()

    return watch


def by_exception(call: Callable[[], object], point: int) -> None:
    """Raise out of `call` before or after a step."""

    def strike() -> None:
        raise Interrupted

    with pytest.raises(Interrupted), watching(_at(point, strike)):
        call()


def by_sigkill(call: Callable[[], object], point: int) -> None:
    """Make `call` in a child process and kill it, really, before or after a step."""
    child = os.fork()
    if child == 0:
        try:
            with watching(_at(point, lambda: os.kill(os.getpid(), signal.SIGKILL))):
                call()
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


def count_points(call: Callable[[], object]) -> int:
    """Count where `call` can be interrupted: before and after each of its steps."""
    seen: list[StepEvent] = []
    with watching(lambda event: seen.append(event) if event.moment is not Moment.PROGRESS else None):
        call()
    return len(seen)


@dataclass(frozen=True)
class Verb:
    """A call that can be repeated, and what has to be true after it was finished and recorded."""

    call: Callable[[World, ShareDriver], Any]
    settle: Callable[[World, Any], None]
    born: bool = True

    def prepared(self, world: World) -> World:
        return living(world) if self.born else world


def _settle_share(world: World, stored: Stored) -> None:
    world.record(stored)
    world.ensure()
    assert world.online()


def _settle_extended(world: World, stored: Stored) -> None:
    _settle_share(world, stored)
    assert world.share.size == 2


def _settle_snapshot(world: World, stored: Stored) -> None:
    world.record_snapshot("newest", stored)
    world.ensure()
    assert world.kept("newest") == C


def _settle_deleted_snapshot(world: World, _: None) -> None:
    del world.taken["new"]
    world.ensure()


def _settle_revert(world: World, reverted: Reverted) -> None:
    world.record_revert("new", reverted)
    assert world.content() == B


VERBS = {
    "create": Verb(lambda w, d: d.create_share(w.share), _settle_share, born=False),
    "extend": Verb(lambda w, d: verbs(d, SupportsExtend).extend_share(w.share, 2), _settle_extended),
    "snapshot": Verb(
        lambda w, d: verbs(d, SupportsSnapshots).create_snapshot(w.snapshot("newest")),
        _settle_snapshot,
    ),
    "delete snapshot": Verb(
        lambda w, d: verbs(d, SupportsSnapshots).delete_snapshot(w.snapshot("new")),
        _settle_deleted_snapshot,
    ),
    "revert": Verb(
        lambda w, d: verbs(d, SupportsRevert).revert_to_snapshot(w.snapshot("new")),
        _settle_revert,
    ),
}


class DriverCases:
    """The cases. A subclass brings `worlds`, a function that makes a fresh world."""

    record_only: frozenset[str] = frozenset()
    """Verbs that change nothing on this backend."""
    interruptions: tuple[Interruption, ...] = (by_exception,)
    """From the mildest, by which a revert is given up, to the hardest, by which every call is interrupted."""

    @pytest.fixture
    def worlds(self) -> Iterator[Callable[[], World]]:
        raise NotImplementedError

    @pytest.fixture
    def world(self, worlds: Callable[[], World]) -> World:
        return living(worlds())

    def test_it_claims_nothing_that_it_lacks(self, world: World) -> None:
        (pool,) = world.driver.pools()
        supported = {str(capability) for capability, why in report(world.driver, pool).items() if not why}
        assert supported >= {"snapshot_support", "revert_to_snapshot_support", "create_share_from_snapshot_support"}
        assert 0 < pool.free_bytes <= pool.total_bytes
        assert not false_claims(world.driver, pool)

    def test_life_cycle(self, world: World) -> None:
        location = world.ensure()
        assert world.content() == C
        world.record(world.driver.extend_share(world.share, 3))
        assert world.share.size == 3
        world.record(world.driver.shrink_share(world.share, 1))
        world.drop("new")
        world.drop("old")
        assert world.ensure() == location
        assert not world.leftovers()
        world.driver.delete_share(world.share)
        with pytest.raises(Blocked):
            world.driver.ensure_share(world.share)

    def test_a_share_with_snapshots_is_not_deleted(self, world: World) -> None:
        with pytest.raises(Blocked) as refusal:
            world.driver.delete_share(world.share)
        assert len(refusal.value.blockers) == 2
        assert world.kept("old") == A

    def test_revert_brings_back_content_and_size_and_keeps_every_snapshot(self, world: World) -> None:
        location = world.ensure()
        world.record(world.driver.extend_share(world.share, 5))
        world.driver.check_revert(world.snapshot("new"))
        assert world.state("new") is RevertState.UNCHANGED
        world.revert("new")
        assert (world.content(), world.share.size) == (B, 1)
        assert (world.kept("new"), world.kept("old")) == (B, A)
        assert world.state("new") is RevertState.UNCHANGED
        assert world.ensure() == location
        assert not world.leftovers()

    def test_revert_twice_and_after_changes(self, world: World) -> None:
        for content in ({}, B, A):
            world.put(content)
            world.revert("new")
            assert world.content() == B
        world.revert("new")
        assert world.content() == B

    def test_three_deep(self, world: World) -> None:
        world.take("newest", C)
        world.put({})
        for name, content in (("newest", C), ("new", B), ("old", A)):
            world.revert(name)
            assert world.content() == content
            world.drop(name)
        assert not world.leftovers()

    def test_a_finished_revert_that_nobody_recorded_is_answered_again(self, world: World) -> None:
        first = world.driver.revert_to_snapshot(world.snapshot("new"))
        with pytest.raises(Blocked):
            world.driver.ensure_share(world.share)
        assert not world.online()
        again = world.restarted().revert_to_snapshot(world.snapshot("new"))
        assert again == first
        world.record_revert("new", again)

    def test_what_was_written_since_is_never_reverted_away(self, world: World) -> None:
        before = world.snapshot("new")
        world.revert("new")
        world.put(C)
        with pytest.raises(Blocked):
            world.driver.revert_to_snapshot(before)
        assert world.restarted().revert_state(before) is RevertState.UNKNOWN
        assert world.content() == C

    def test_every_blocker_is_named_and_nothing_changes(self, world: World) -> None:
        world.lose("new")
        world.forge()
        for call in (world.driver.check_revert, world.driver.revert_to_snapshot):
            with pytest.raises(Blocked) as refusal:
                call(world.snapshot("new"))
            assert {blocker.kind for blocker in refusal.value.blockers} == {"snapshot_missing", "share_identity"}
        assert world.online()
        assert (world.content(), world.kept("old")) == (C, A)
        assert not world.leftovers()
        with pytest.raises(Blocked):
            world.driver.ensure_share(world.share)

    def test_a_foreign_snapshot_is_refused(self, world: World) -> None:
        world.forge("new")
        with pytest.raises(Blocked) as refusal:
            world.driver.revert_to_snapshot(world.snapshot("new"))
        assert [blocker.kind for blocker in refusal.value.blockers] == ["snapshot_identity"]
        with pytest.raises(Blocked):
            world.driver.create_share_from_snapshot(world.unborn(), world.snapshot("new"))
        assert world.content() == C
        assert world.state("new") is RevertState.UNCHANGED

    def test_a_share_from_a_snapshot_lives_on_its_own(self, world: World) -> None:
        child = world.unborn()
        stored = world.driver.create_share_from_snapshot(child, world.snapshot("new"))
        assert world.driver.create_share_from_snapshot(child, world.snapshot("new")) == stored
        assert world.content(child) == B
        world.drop("new")
        assert world.content(child) == B
        world.revert("old")
        world.driver.delete_share(child.model_copy(update={"backend_id": stored.backend_id}))
        assert not world.leftovers()

    @pytest.mark.parametrize("verb", VERBS)
    def test_repeating_a_call_answers_the_same(self, worlds: Callable[[], World], verb: str) -> None:
        world = VERBS[verb].prepared(worlds())
        answers = [VERBS[verb].call(world, world.restarted()) for _ in range(3)]
        assert answers[0] == answers[1] == answers[2]
        VERBS[verb].settle(world, answers[2])

    def test_deleting_what_is_not_there_succeeds(self, worlds: Callable[[], World]) -> None:
        world = worlds()
        world.driver.delete_snapshot(world.snapshot("never"))
        world.driver.delete_share(world.share)

    # --- interrupted

    @pytest.mark.parametrize("verb", VERBS)
    def test_an_interrupted_call_is_finished_by_the_next(self, worlds: Callable[[], World], verb: str) -> None:
        case = VERBS[verb]
        model = case.prepared(worlds())
        points = self._points(model, lambda world: case.call(world, world.driver))
        assert (points == 0) is (verb in self.record_only)
        interrupt = self.interruptions[-1]
        for point in range(points):
            world = model.cloned()
            interrupt(lambda world=world: case.call(world, world.driver), point)
            _intact(world, old=case.born)
            if verb == "revert":
                _truthful(world, world.state("new"))
            case.settle(world, case.call(world, world.restarted()))
            _intact(world, old=case.born)
            assert not world.leftovers(), (verb, point)

    def test_an_interrupted_revert_can_be_given_up_while_nothing_changed(self, worlds: Callable[[], World]) -> None:
        model = living(worlds())
        points = self._revert_points(model)
        seen = set()
        interrupt = self.interruptions[0]
        for point in range(points):
            world = model.cloned()
            interrupt(lambda world=world: world.driver.revert_to_snapshot(world.snapshot("new")), point)
            seen.add(state := world.state("new"))
            _truthful(world, state)
            _recovered(world, state)
        assert seen >= {RevertState.UNCHANGED, RevertState.REVERTED}

    @staticmethod
    def _points(model: World, call: Callable[[World], object]) -> int:
        """Count on a clone: the model stays as it is."""
        clone = model.cloned()
        return count_points(lambda: call(clone))

    def _revert_points(self, model: World) -> int:
        points = self._points(model, lambda world: world.driver.revert_to_snapshot(world.snapshot("new")))
        assert points > 0
        return points

    def test_an_interrupted_sweep_is_finished_by_the_next(self, worlds: Callable[[], World]) -> None:
        model = living(worlds())
        reverted = model.driver.revert_to_snapshot(model.snapshot("new"))
        model.record(reverted.share)
        model.record_snapshot("new", reverted.snapshot)
        points = self._points(model, lambda world: world.ensure())
        assert points > 0
        interrupt = self.interruptions[-1]
        for point in range(points):
            interrupt((world := model.cloned()).ensure, point)
            world.ensure()
            assert count_points(world.ensure) == 0, "where all is well, nothing is changed"
            assert world.content() == B
            assert not world.leftovers()

    def test_an_interrupted_birth_is_finished_or_deleted(self, worlds: Callable[[], World]) -> None:
        def call(world: World, child: Replica) -> Stored:
            return world.driver.create_share_from_snapshot(child, world.snapshot("new"))  # type: ignore[no-any-return]

        model = living(worlds())
        points = self._points(model, lambda world: call(world, World.unborn()))
        assert points > 0
        interrupt = self.interruptions[-1]
        for point in range(points):
            world, kept, dropped = model.cloned(), World.unborn(), World.unborn()
            for child in (kept, dropped):
                interrupt(lambda world=world, child=child: call(world, child), point)
            stored = call(world, kept)
            assert world.content(kept) == B
            world.driver.ensure_share(kept.model_copy(update={"backend_id": stored.backend_id}))
            world.driver.delete_share(dropped)
            _intact(world)
            assert not world.leftovers()

    def test_an_interrupted_deletion_is_finished_by_the_next(self, worlds: Callable[[], World]) -> None:
        (model := worlds()).create()
        model.put(A)
        points = self._points(model, lambda world: world.driver.delete_share(world.share))
        assert points > 0
        interrupt = self.interruptions[-1]
        for point in range(points):
            world = model.cloned()
            interrupt(lambda world=world: world.driver.delete_share(world.share), point)
            world.restarted().delete_share(world.share)
            assert not world.online()
            assert not world.leftovers()

    def test_an_interrupted_snapshot_can_be_given_up(self, worlds: Callable[[], World]) -> None:
        model = living(worlds())
        points = self._points(model, lambda world: world.driver.create_snapshot(world.snapshot("newest")))
        assert points > 0
        interrupt = self.interruptions[-1]
        for point in range(points):
            world = model.cloned()
            interrupt(lambda world=world: world.driver.create_snapshot(world.snapshot("newest")), point)
            world.drop("newest")
            assert not world.leftovers()
            _intact(world)


def _intact(world: World, *, old: bool = True) -> None:
    if old:
        assert world.kept("old") == A
    if "new" in world.taken:
        with suppress(LookupError, FileNotFoundError):  # a deletion may have come so far
            assert world.kept("new") == B


def _truthful(world: World, state: RevertState) -> None:
    """What the driver says is what the storage holds."""
    assert world.kept("new") == B
    assert world.kept("old") == A
    assert state is not RevertState.UNKNOWN
    assert world.content() == (C if state is RevertState.UNCHANGED else B)


def _recovered(world: World, state: RevertState) -> None:
    """Do what recovery does: put back what nothing happened to, finish the rest."""
    if state is RevertState.UNCHANGED:
        world.ensure()
        assert world.content() == C
    else:
        with pytest.raises(Blocked):
            world.driver.ensure_share(world.share)
        world.record_revert("new", world.restarted().revert_to_snapshot(world.snapshot("new")))
        assert world.content() == B
    assert not world.leftovers()
