"""Two commands of which one feeds the other: by ``sh``, which hears what the first tells while both run."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from revertkit.errors import BackendError, CommandFailed
from revertkit.system.run import environment, log, path_of, pretended, step


def pipe(
    source: Sequence[str | Path],
    sink: Sequence[str | Path],
    *,
    name: str,
    transfer: str,
    percent: Callable[[str], float | None],
    stalled: float = 600,
) -> None:
    """Run `source` with its output going into `sink`, as one step, until both have ended.

    Args:
        source: an argv that tells by lines of its standard error how far it is.
        sink: the argv that reads it.
        name: what the step is called.
        transfer: what both carry in :data:`~revertkit.system.processes.TRANSFER_VARIABLE`.
        percent: reads such a line: the percent of the whole call, or None if it is another.
        stalled: seconds without a new percent until both get SIGTERM.

    Raises:
        CommandFailed: either exited badly, or nothing has moved for too long; with what both said.
        BackendError: a tool is missing.
        whatever a watcher raises: both were sent SIGTERM.
    """
    first, second = [os.fspath(word) for word in source], [os.fspath(word) for word in sink]
    argv, told = [*first, "|", *second], SimpleQueue[str | None]()
    with step(name) as progress, _ended_with_us() as both:
        if pretended(argv):
            return

        def ended(_: Any, success: bool, __: int, unread: Sequence[Any] = ()) -> None:
            if not success:
                _terminate(unread)  # it may be waiting for its own source, and never see that nobody reads
            told.put(None)

        how = {"_env": environment(transfer), "_done": ended}
        both.append(_start(first, _piped=True, _err=told.put, **how))
        how["_done"] = partial(ended, unread=both[:1])
        both.append(_start(second, _in=both[0], **how))
        lines = _Lines(told, percent, progress)
        in_time = lines.follow(until=len(both), stalled=stalled)
        if not in_time:
            _terminate(both)
        _see_to(argv, both, lines, "" if in_time else f"nothing has moved for {stalled:g} s; ")


def _see_to(argv: list[str], both: list[Any], lines: _Lines, expired: str) -> None:
    """Wait for the end of both, and raise if either is not as it should be."""
    statuses = [_status(process) for process in both]
    said = expired + "".join([*lines.rest(), both[1].stderr.decode(errors="surrogateescape")])
    log("commands", argv=argv, status=statuses, stderr=said)
    if expired or any(statuses):
        raise CommandFailed(argv, None if expired else next(filter(None, reversed(statuses))), said)


class _Lines:
    """What is told while two commands run: lines, of which some say how far it is, and a None as each of them ends."""

    def __init__(
        self, told: SimpleQueue[str | None], percent: Callable[[str], float | None], progress: Callable[[float], None]
    ) -> None:
        self._told, self._percent, self._progress = told, percent, progress
        self._reached, self._others = 0.0, list[str]()

    def follow(self, until: int, stalled: float) -> bool:
        """Hear them until as many have ended; False if nothing has moved for so many seconds."""
        deadline = time.monotonic() + stalled
        while until:
            try:
                line = self._told.get(timeout=max(0, deadline - time.monotonic()))
            except Empty:
                return False
            until -= line is None
            if line is None or self._heard(line):
                deadline = time.monotonic() + stalled
        return True

    def _heard(self, line: str) -> bool:
        found = self._percent(line)
        if found is None:
            self._others.append(line)
            return False
        if moved := found > self._reached:
            self._reached = found
            self._progress(found)
        return moved

    def rest(self) -> list[str]:
        """Answer the lines that said something else, also those that came last."""
        while not self._told.empty():
            if (line := self._told.get()) is not None:
                self._heard(line)
        return self._others


@contextmanager
def _ended_with_us() -> Iterator[list[Any]]:
    processes: list[Any] = []
    try:
        yield processes
    except BaseException:
        _terminate(processes)
        raise


def _terminate(processes: Sequence[Any]) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):  # it has ended
            process.signal(signal.SIGTERM)


_HOW: dict[str, Any] = {
    "_tty_out": False,
    "_truncate_exc": False,
    "_new_session": True,
    "_bg": True,
    "_bg_exc": False,
}
"""For `sh`: no terminal, whole errors, not our Ctrl-C, and waited for below."""


def _start(words: list[str], **how: Any) -> Any:
    import sh  # late: it takes a tenth of a second that `--help` does not have

    command = sh.Command(path_of(words[0]))
    try:
        return command(*words[1:], **{**_HOW, **how})
    except (sh.ForkException, UnicodeError) as failure:
        raise BackendError(f"{words[0]} cannot be started: {failure}") from failure


def _status(process: Any) -> int:
    """Wait for its end. What `sh` would raise of a bad exit says less than its status and stderr."""
    import sh

    with contextlib.suppress(sh.ErrorReturnCode):
        process.wait()
    return int(process.exit_code)
