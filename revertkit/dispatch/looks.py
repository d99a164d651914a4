"""Replicas are looked at every so often, and so brought in sync; sooner, once an operation has left one behind."""

from __future__ import annotations

import threading

from revertkit.log import get_logger
from revertkit.manager import ShareManager
from revertkit.models import Operation, OperationKind

log = get_logger(__name__)
LEAVES_BEHIND = frozenset(
    {
        OperationKind.CREATE_REPLICA,
        OperationKind.CREATE_SNAPSHOT,
        OperationKind.DELETE_SNAPSHOT,
        OperationKind.PROMOTE_REPLICA,
        OperationKind.REVERT_TO_SNAPSHOT,
    }
)
"""After these a replica is not as its active one is."""


class Looks:
    """One thread that looks at every replica of this host, `seconds` after it has done so last."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._wanted = threading.Event()
        self._stopping = False

    def ended(self, operation: Operation) -> None:
        """Hear of the end of an operation."""
        if operation.kind in LEAVES_BEHIND:
            self._wanted.set()

    def start(self, manager: ShareManager) -> None:
        """Begin."""
        threading.Thread(target=self._look, args=(manager,), name="looks", daemon=True).start()

    def stop(self) -> None:
        """Begin no more of them. One that runs may be cut at any time, and is."""
        self._stopping = True
        self._wanted.set()

    def _look(self, manager: ShareManager) -> None:
        while not self._stopping:
            self._wanted.clear()
            try:
                manager.look_at_replicas()
            except Exception as failure:
                log.warning("replicas cannot be looked at now", exc_info=failure)
            self._wanted.wait(self._seconds)
