"""An operation that was accepted and waits to run: it holds its locks until it has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from revertkit.locks import Held
from revertkit.log import get_logger
from revertkit.models import Operation
from revertkit.operations import STORIES, load_case
from revertkit.operations.site import Site
from revertkit.operations.supersede import shut_if_superseded
from revertkit.system import run as system

log = get_logger(__name__)

Progress = Callable[[Operation, float, str], None]
"""Told the operation, the percent of the whole call (it only grows, and ends at 100), and the step under way."""


@dataclass(frozen=True)
class Accepted:
    """An accepted operation; whoever dispatches it calls :meth:`run` once, in any thread of this process."""

    site: Site
    operation: Operation
    held: Held
    progress: Progress | None = None

    def run(self) -> None:
        """Run it to its end and let the locks go.

        Raises:
            OperationFailed, Superseded, StoreError: as its story says.
        """
        with self.held, system.operation(self.operation.id), _reported(self.operation, self.progress):
            case = load_case(self.site, self.operation)
            with shut_if_superseded(case):
                STORIES[self.operation.kind].run(case)


Dispatch = Callable[[Accepted], None]


def here(accepted: Accepted) -> None:
    """Run an accepted operation in the thread that asked for it."""
    accepted.run()


@contextmanager
def _reported(operation: Operation, progress: Progress | None) -> Iterator[None]:
    if progress is None:
        yield
        return
    highest = 0.0

    def watch(event: system.StepEvent) -> None:
        nonlocal highest
        highest = max(highest, min(event.percent or 0.0, 99.0))
        _tell(progress, operation, highest, event.name)

    with system.watching(watch):
        yield
    _tell(progress, operation, 100.0, "done")


def _tell(progress: Progress, operation: Operation, percent: float, what: str) -> None:
    """Tell whoever wants to know; that nobody listens any more must not end a revert half-way."""
    try:
        progress(operation, percent, what)
    except Exception as deaf:
        log.warning("nobody was told of the progress", operation=operation.id, exc_info=deaf)
