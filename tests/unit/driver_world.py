"""One driver alone, with the manager's part played in a few lines: for what is a driver's own business.

What every driver has to do is in the conformance suite, which goes through the real manager.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

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


def count_points(call: Callable[[], object]) -> int:
    """Count where `call` can be interrupted: before and after each of its steps."""
    seen: list[StepEvent] = []
    with watching(lambda event: seen.append(event) if event.moment is not Moment.PROGRESS else None):
        call()
    return len(seen)
