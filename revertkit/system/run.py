"""Commands and named steps: the only place that starts a process.

A *step* is one change of the backend that either has happened or has not. Whoever watches (a progress bar, the
fault injection of the conformance suite, a log) sees its name before and after it, and its progress. Commands are argv
lists with an absolute tool, in the C locale, with no terminal; over time they get SIGTERM, never SIGKILL: a killed LVM
command can leave a device suspended and every read of it hanging (storage-facts 29, 32).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from revertkit.errors import BackendError, CommandFailed
from revertkit.log import get_logger

log = get_logger(__name__)

TOOL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OPERATION_VARIABLE = "REVERTKIT_OPERATION"
"""Every child process carries the id of its operation here, so that recovery can wait for a dead owner's children."""


class Moment(Enum):
    """When a watcher is called."""

    BEFORE = "before"
    PROGRESS = "progress"
    AFTER = "after"


@dataclass(frozen=True)
class StepEvent:
    """A step as a watcher sees it; `percent` is of the whole call, and None but for PROGRESS."""

    name: str
    moment: Moment
    percent: float | None = None


Watcher = Callable[[StepEvent], None]
_watchers: ContextVar[tuple[Watcher, ...]] = ContextVar("watchers", default=())
Pretender = Callable[[Sequence[str]], "Completed | None"]
_pretender: ContextVar[Pretender | None] = ContextVar("pretender", default=None)
_operation: ContextVar[str | None] = ContextVar("operation", default=None)


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Let `watcher` see every step of this context. What it raises comes out of the step."""
    token = _watchers.set((*_watchers.get(), watcher))
    try:
        yield
    finally:
        _watchers.reset(token)


@contextmanager
def pretending(pretender: Pretender) -> Iterator[None]:
    """Let `pretender` answer every command that would change something, in the tool's place; None runs the tool.

    The conformance suite lies to a driver by it: an exit status of 0, and nothing done.
    """
    token = _pretender.set(pretender)
    try:
        yield
    finally:
        _pretender.reset(token)


@contextmanager
def operation(operation_id: str) -> Iterator[None]:
    """Mark every child process started in this context with the operation that it works for."""
    token = _operation.set(operation_id)
    try:
        yield
    finally:
        _operation.reset(token)


def _tell(event: StepEvent) -> None:
    for watcher in _watchers.get():
        watcher(event)


@contextmanager
def step(name: str) -> Iterator[Callable[[float], None]]:
    """Announce one change of the backend; call what it yields with the percent (0 to 100) of the whole call."""
    _tell(StepEvent(name, Moment.BEFORE))
    yield lambda percent: _tell(StepEvent(name, Moment.PROGRESS, percent))
    _tell(StepEvent(name, Moment.AFTER))


def tool(name: str) -> str | None:
    """Find the absolute path of a tool where the system keeps its own, never through the caller's PATH."""
    return shutil.which(name, path=TOOL_PATH)


@dataclass(frozen=True)
class Completed:
    """A command that exited as it should."""

    status: int
    stdout: str
    stderr: str


def run(
    argv: Sequence[str | Path],
    *,
    timeout: float = 600,
    ok: Sequence[int] = (0,),
    changes: bool = True,
    stdin: str | None = None,
    name: str | None = None,
) -> Completed:
    """Run `argv` to its end and answer what it said.

    Args:
        argv: the tool's name (looked up in :data:`TOOL_PATH`) and its arguments.
        timeout: seconds until SIGTERM.
        ok: the exit statuses that are no failure.
        changes: whether it may change anything; one that only reads is no step.
        stdin: text for its standard input.
        name: what the step is called; the tool and its first words if nothing better is known.

    Raises:
        CommandFailed: another exit status, or out of time.
        BackendError: there is no such tool.
    """
    words = [os.fspath(word) for word in argv]
    if not changes:
        return _run(words, timeout, ok, stdin)
    pretender = _pretender.get()
    with step(name or " ".join([words[0], *[w for w in words[1:] if not w.startswith(("/", "-"))][:2]])):
        return (pretender and pretender(words)) or _run(words, timeout, ok, stdin)


_HOW: dict[str, Any] = {
    "_tty_out": False,
    "_truncate_exc": False,
    "_new_session": True,
    "_bg": True,
    "_bg_exc": False,
}
"""For `sh`: no terminal, whole errors, not our Ctrl-C, and waited for below."""


def _run(words: list[str], timeout: float, ok: Sequence[int], stdin: str | None) -> Completed:
    import sh  # late: it takes a tenth of a second that `--help` does not have

    path = tool(words[0])
    if path is None:
        raise BackendError(f"{words[0]} is not installed on this host (looked in {TOOL_PATH})")
    began = time.monotonic()
    status, stderr = None, ""
    try:
        process = sh.Command(path)(*words[1:], _in=stdin, _env=_environment(), **_HOW)
    except (sh.ForkException, UnicodeError) as failure:
        raise BackendError(f"{words[0]} cannot be started: {failure}") from failure
    try:
        # What `sh` would raise of a bad exit says less than its status and stderr, which are looked at below.
        with _terminated_after(timeout, process) as expired, contextlib.suppress(sh.ErrorReturnCode):
            process.wait()
        status, stderr = process.exit_code, process.stderr.decode(errors="surrogateescape")
        if expired.is_set():
            raise CommandFailed(words, None, f"no end after {timeout:g} s; {stderr}")
        if status not in ok:
            raise CommandFailed(words, status, stderr)
        return Completed(status, process.stdout.decode(errors="surrogateescape"), stderr)
    finally:
        log.debug("command", argv=words, status=status, seconds=round(time.monotonic() - began, 3), stderr=stderr)


@contextmanager
def _terminated_after(seconds: float, process: Any) -> Iterator[threading.Event]:
    """Send SIGTERM in `seconds`, and say so; `sh`'s own time-out looks only ten times a second whether it is over."""
    expired = threading.Event()

    def terminate() -> None:
        expired.set()
        with contextlib.suppress(ProcessLookupError):  # it ended at this very moment
            process.signal(signal.SIGTERM)

    timer = threading.Timer(seconds, terminate)
    timer.daemon = True
    timer.start()
    try:
        yield expired
    finally:
        timer.cancel()


def _environment() -> dict[str, str]:
    environment = {"PATH": TOOL_PATH, "LC_ALL": "C", "TZ": "UTC"}
    if (current := _operation.get()) is not None:
        environment[OPERATION_VARIABLE] = current
    return environment
