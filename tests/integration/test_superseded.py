"""A promotion by force ends what a host out of reach has under way; that host may be alive, and goes on.

Until the promotion is on record, and after it, nobody may write to the share where it was: what a driver opens again,
as it does whenever it is refused something, is shut again, and what still waits for its turn does not begin.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from replicated import World, assert_whole, on_two_hosts
from support import CONTEXT

from revertkit.drivers.memory import MemoryDriver
from revertkit.drivers.memory.storage import STORAGE
from revertkit.errors import Blocked
from revertkit.manager import ShareManager
from revertkit.models import Blocker, ExportLocation, Replica
from revertkit.operations.accepted import Accepted
from revertkit.operations.story import Superseded
from revertkit.status import ReplicaState

BUSY = Blocked(Blocker(kind="busy", what="somebody reads it", mend="wait"))


@pytest.fixture
def world(state: Path, tmp_path: Path) -> Iterator[World]:
    """A share on ``fast``, with replicas on ``third``, of the same host, and on ``far``, of another."""
    with on_two_hosts(state, tmp_path) as both:
        yield World(*both)


class Parked:
    """A promotion by force that has made the active one read-only, and is not on record before it may go on."""

    def __init__(self, manager: ShareManager, replica_id: str) -> None:
        self.fenced, self.goes_on = threading.Event(), threading.Event()
        self.replica_id = replica_id
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._promote, args=[manager])

    def _promote(self, manager: ShareManager) -> None:
        try:
            manager.promote_replica(CONTEXT, self.replica_id, force=True)
        except Exception as failure:  # noqa: BLE001 - the test looks at it
            self.failure = failure

    def begin(self) -> None:
        """Begin it, and wait until it has made the active one read-only."""
        self._thread.start()
        assert self.fenced.wait(10)

    def end(self) -> None:
        """Let it go on, and wait for its end."""
        self.goes_on.set()
        self._thread.join(10)
        assert not self._thread.is_alive()


@contextmanager
def parked(*promotions: Parked, patch: pytest.MonkeyPatch, refused: str = "") -> Iterator[None]:
    """Let these promotions wait in their driver; `refused` is the replica whose promotion that then refuses."""
    promote = MemoryDriver.promote_replica

    def promoted(self: MemoryDriver, replica: Replica, *given: Any) -> Any:
        waits = next(one for one in promotions if one.replica_id == replica.id)
        waits.fenced.set()
        assert waits.goes_on.wait(10)
        if replica.id == refused:
            raise BUSY
        return promote(self, replica, *given)

    with patch.context() as context:
        context.setattr(MemoryDriver, "promote_replica", promoted)
        yield


def can_be_written_to(world: World, backend: str, replica_id: str) -> bool:
    """Say whether somebody can write to what a backend holds, whatever is on record."""
    held = STORAGE[backend][replica_id]
    return held.online and not held.readonly


@pytest.mark.parametrize("on_record", [False, True])
def test_what_a_refused_revert_puts_online_again_is_shut(
    world: World, monkeypatch: pytest.MonkeyPatch, *, on_record: bool
) -> None:
    """Its driver waited for somebody who reads the share, gave up, and put it back as it was."""
    promotion = Parked(world.far_manager, world.far)
    before = world.found().replica

    def gives_up(self: MemoryDriver, *given: object) -> None:
        promotion.begin()
        if on_record:
            promotion.end()
        self.ensure_share(before)
        assert can_be_written_to(world, "fast", world.fast)
        raise BUSY

    with parked(promotion, patch=monkeypatch):
        monkeypatch.setattr(MemoryDriver, "revert_to_replicated_snapshot", gives_up)
        with pytest.raises(Superseded):
            world.manager.revert_to_snapshot(CONTEXT, "newer")
        assert not can_be_written_to(world, "fast", world.fast)
        promotion.end()
    _promoted(world, world.far, promotion)


def test_what_waits_for_its_turn_does_not_begin(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that was accepted, and would have opened the share by the time that it was applied."""
    waiting: list[Accepted] = []
    with monkeypatch.context() as patch:
        patch.setattr(world.manager, "_dispatch", waiting.append)
        world.manager.allow_access(CONTEXT, world.share.id, "10.0.0.9")
    promotion = Parked(world.far_manager, world.far)
    with parked(promotion, patch=monkeypatch):
        promotion.begin()
        with monkeypatch.context() as patch, pytest.raises(Superseded):
            patch.delattr(MemoryDriver, "update_access")
            waiting[0].run()
        assert not can_be_written_to(world, "fast", world.fast)
        promotion.end()
    _promoted(world, world.far, promotion)


def test_a_promotion_that_another_supersedes_opens_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is refused, and would put the active one back, which the second has made read-only for itself."""
    first, second = Parked(world.far_manager, world.far), Parked(world.manager, world.third)
    with parked(first, second, patch=monkeypatch, refused=world.far):
        first.begin()
        second.begin()
        first.end()
        assert isinstance(first.failure, Superseded)
        assert not can_be_written_to(world, "fast", world.fast)
        assert world.replica(world.third).status.value == "replication_change"
        second.end()
    _promoted(world, world.third, second)


def test_a_share_is_open_again_where_what_superseded_has_failed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The promotion fails before it is on record, while its victim shuts the share, which is the active one still."""
    promotion, before = Parked(world.far_manager, world.far), world.found().replica
    ensure = MemoryDriver.ensure_share

    def gives_up(self: MemoryDriver, *given: object) -> None:
        promotion.begin()
        raise BUSY

    def ensured(self: MemoryDriver, share: Replica) -> list[ExportLocation]:
        shut = share.id == before.id and share.state is ReplicaState.OUT_OF_SYNC
        if shut and promotion.fenced.is_set() and not promotion.goes_on.is_set():
            promotion.end()
        return ensure(self, share)

    with parked(promotion, patch=monkeypatch, refused=world.far):
        monkeypatch.setattr(MemoryDriver, "update_access", gives_up)
        monkeypatch.setattr(MemoryDriver, "ensure_share", ensured)
        with pytest.raises(Superseded):
            world.manager.allow_access(CONTEXT, world.share.id, "10.0.0.9")
    assert promotion.failure
    assert world.active().id == world.fast
    assert can_be_written_to(world, "fast", world.fast)


def test_one_that_cannot_be_shut_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asked for the revert learns that what is written there is lost, and what to do."""
    promotion, before, ensure = Parked(world.far_manager, world.far), world.found().replica, MemoryDriver.ensure_share

    def gives_up(self: MemoryDriver, *given: object) -> None:
        promotion.begin()
        ensure(self, before)
        raise BUSY

    def ensured(self: MemoryDriver, share: Replica) -> list[ExportLocation]:
        if share.id == before.id and promotion.fenced.is_set():
            raise BUSY
        return ensure(self, share)

    with parked(promotion, patch=monkeypatch):
        monkeypatch.setattr(MemoryDriver, "revert_to_replicated_snapshot", gives_up)
        monkeypatch.setattr(MemoryDriver, "ensure_share", ensured)
        with pytest.raises(Superseded, match=r"cannot be made read-only: somebody reads it.*run `revertkit recover`"):
            world.manager.revert_to_snapshot(CONTEXT, "newer")
        promotion.end()


def _promoted(world: World, replica_id: str, promotion: Parked) -> None:
    """See that the promotion is done, that nothing is left under way, and that all can follow."""
    assert promotion.failure is None
    assert world.active().id == replica_id
    for manager in (world.manager, world.far_manager):
        assert [one for one in manager.recover() if not one.at_rest] == []
    assert not can_be_written_to(world, "fast", world.fast)
    world.look()
    assert_whole(world)
