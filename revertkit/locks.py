"""Host-local file locks that die with their process (tooz, ``file://``).

A lock says one thing: the process that works on this share is alive. It is never waited for, but for a moment where
its holder is about to let go, and it outlives neither its process nor the machine; a paused process keeps it. The
statuses in the store decide who may do what.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from revertkit.errors import Conflict, LockError

BACKEND, REPLICA = "backend-", "replica-"
LETTING_GO_SECONDS = 1.0
"""How long a lock may be held by whom it serves no more; it is milliseconds."""


def of_backend(backend: str) -> str:
    """Name the lock of a whole backend: what is taken from it or let go has no share of its own yet, or no more."""
    return BACKEND + backend


def of_replica(replica_id: str) -> str:
    """Name the lock of a replica that is not active: who looks at it must not hold up its share."""
    return REPLICA + replica_id


class Busy(Conflict):
    """Another living process, or another thread of this one, works on this."""


class Held:
    """Locks that are held until released; a context manager."""

    def __init__(self, locks: Sequence[Any]) -> None:
        self._locks = list(locks)

    def release(self) -> None:
        """Let go; a second time does nothing."""
        while self._locks:
            self._locks.pop().release()

    def __enter__(self) -> Held:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


class Locks:
    """The locks of one state directory."""

    def __init__(self, directory: Path) -> None:
        """Reach the lock directory, and make it if need be.

        Raises:
            LockError: it cannot be reached.
        """
        from tooz import ToozError, coordination  # late: a tenth of a second

        self._failures: tuple[type[Exception], ...] = (ToozError, OSError, RuntimeError)
        # One name for one directory: POSIX locks do not see a process's own, tooz keeps its threads apart by path.
        self._directory = directory = directory.resolve()
        self._coordinator = self._tried(lambda: coordination.get_coordinator(f"file://{directory}", b"revertkit"))
        self._tried(self._coordinator.start)

    def hold(self, *share_ids: str) -> Held:
        """Take the locks of these shares (and of backends and replicas, see :func:`of_backend`) at once.

        Raises:
            Busy: one of them is taken; none is held.
            LockError: the locks cannot be reached; none is held.
        """
        held: list[Any] = []
        for share_id in sorted(set(share_ids)):
            lock = self._coordinator.get_lock(f"share-{share_id}".encode())
            try:
                taken = self._tried(partial(lock.acquire, blocking=False))
            except LockError:
                Held(held).release()
                raise
            if not taken:
                Held(held).release()
                named = share_id.startswith((BACKEND, REPLICA))
                what = share_id.replace("-", " ", 1) if named else f"share {share_id}"
                raise Busy(f"{what} is being worked on by a living process; try again when it is done")
            held.append(lock)
        return Held(held)

    def hold_when_let_go(self, *share_ids: str, owned: Callable[[], bool] = lambda: False) -> Held:
        """As :meth:`hold`, but wait a moment for a holder who only looked, or whose operation has ended on record.

        Raises:
            Busy: one is still taken, or, as `owned` says, by whoever has work to do under it; none is held.
            LockError: as :meth:`hold`.
        """
        deadline = time.monotonic() + LETTING_GO_SECONDS
        while True:
            try:
                return self.hold(*share_ids)
            except Busy:
                if time.monotonic() > deadline or owned():
                    raise
                time.sleep(0.005)

    def _tried(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except self._failures as failure:
            raise LockError(f"the locks in {self._directory} cannot be used: {failure}") from failure
