"""The progress bar of an operation: percent and step, on a terminal; in a pipe, nothing."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from revertkit.cli.output import console, visible

if TYPE_CHECKING:
    from rich.progress import Progress

    from revertkit.models import Operation


class ProgressBar:
    """What the manager tells of an operation, drawn on stderr from its first step to its end."""

    def __init__(self) -> None:
        self._bar: Progress | None = None

    def __call__(self, operation: Operation, percent: float, step: str) -> None:
        """Show how far `operation` is."""
        if not sys.stderr.isatty():
            return
        if self._bar is None:
            self._bar = self._started(operation.kind.replace("_", " "))
        self._bar.update(self._bar.task_ids[0], completed=percent, step=visible(step))
        if percent >= 100:
            self._stop()

    def _started(self, what: str) -> Progress:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TaskProgressColumn())
        step = TextColumn("{task.fields[step]}", markup=False)
        bar = Progress(*columns, step, console=console(err=True), transient=True)
        bar.add_task(what, total=100, step="")
        bar.start()
        return bar

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop()
