"""Accepted operations run in a bounded number of threads of this process.

A stop waits for them, bounded. What is not done by then is on record and holds nothing but this process's locks: the
next start's recovery finishes it or puts it back. So the threads are daemons; an interpreter that waited for them at
exit would have no bound.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from revertkit.errors import Conflict, RevertkitError
from revertkit.log import get_logger
from revertkit.models import Operation
from revertkit.operations.accepted import Accepted

log = get_logger(__name__)


class Stopping(Conflict):
    """The server is about to stop. What was accepted is on record: the next start's recovery ends it."""


class Threads:
    """A dispatch: called with an accepted operation, it queues it and answers at once."""

    def __init__(self, number: int, ended: Callable[[Operation], None] = lambda operation: None) -> None:
        """Start no thread yet; `number` is how many operations run at the same time, `ended` is told of each end."""
        self._number, self._ended = number, ended
        self._waiting: deque[Accepted] = deque()
        self._changed = threading.Condition()
        self._busy = self._started = 0
        self._stopping = False
        self._percent: dict[str, float] = {}

    def __call__(self, accepted: Accepted) -> None:
        """Queue an operation.

        Raises:
            Stopping: no more of them are taken.
        """
        with self._changed:
            if self._stopping:
                raise Stopping("the server is stopping; this is on record, and its next start sees to it")
            if self._started < self._number and self._busy + len(self._waiting) >= self._started:
                name = f"operation-{self._started + 1}"
                threading.Thread(target=self._work, name=name, daemon=True).start()  # or nothing is queued
                self._started += 1
            self._waiting.append(accepted)
            self._changed.notify()

    def progress(self, operation: Operation, percent: float, step: str) -> None:
        """Remember how far an operation is; the manager tells."""
        self._percent[operation.share_id] = percent

    def percent(self, share_id: str) -> float | None:
        """Say how far the operation under way on a share is; None if there is none here."""
        return self._percent.get(share_id)

    def stop(self, seconds: float) -> int:
        """Take no more, and wait for what was taken; answer how many operations are left."""
        deadline = time.monotonic() + seconds
        with self._changed:
            self._stopping = True
            while (left := self._busy + len(self._waiting)) and (still := deadline - time.monotonic()) > 0:
                self._changed.wait(still)
        if left:
            log.warning("operations are left for the next start to recover", operations=left)
        return left

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
                accepted = self._waiting.popleft()
                self._busy += 1
            try:
                _run(accepted)
            finally:
                with self._changed:
                    self._percent.pop(accepted.operation.share_id, None)
                    self._busy -= 1
                    self._changed.notify_all()
                self._ended(accepted.operation)


def _run(accepted: Accepted) -> None:
    """Run one; how it failed is on record, and its user message says it."""
    try:
        accepted.run()
    except RevertkitError as failure:
        log.info("operation ended badly", operation=accepted.operation.id, failure=str(failure))
    except Exception as failure:
        log.error("operation died; `revertkit recover` finds it", operation=accepted.operation.id, exc_info=failure)
