"""Commands, pairs of commands and named steps: the only place that starts a process.

A *step* is one change of the backend that either has happened or has not. Whoever watches (a progress bar, the
fault injection of the conformance suite, a log) sees its name before and after it, and its progress. Commands are argv
lists with an absolute tool, in the C locale, with no terminal; over time they get SIGTERM, never SIGKILL: a killed LVM
command can leave a device suspended and every read of it hanging (storage-facts 29, 32).
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any, NoReturn

from revertkit.errors import BackendError, CommandFailed

TOOL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OPERATION_VARIABLE = "REVERTKIT_OPERATION"
"""Every child process carries the id of its operation here, so that recovery can wait for a dead owner's children."""
TRANSFER_VARIABLE = "REVERTKIT_TRANSFER"
"""Either end of a transfer carries here what is sent, and after a space where it goes, so that others can end it."""


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
_ours: ContextVar[bool] = ContextVar("ours", default=False)


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


def is_ours() -> bool:
    """Whether the process that is just being started in this context is one of :func:`run`'s."""
    return _ours.get()


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
    timeout: float | None = 600,
    ok: Sequence[int] = (0,),
    changes: bool = True,
    stdin: str | None = None,
    name: str | None = None,
) -> Completed:
    """Run `argv` to its end and answer what it said.

    Args:
        argv: the tool's name (looked up in :data:`TOOL_PATH`) and its arguments.
        timeout: seconds until SIGTERM; None for what has to come to its end, as a resize2fs that shrinks.
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
        transfer: what both carry in :data:`TRANSFER_VARIABLE`.
        percent: reads such a line: the percent of the whole call, or None if it is another.
        stalled: seconds without a new percent until both get SIGTERM.

    Raises:
        CommandFailed: either exited badly, or nothing has moved for too long; with what both said.
        BackendError: a tool is missing.
        whatever a watcher raises: both were sent SIGTERM.
    """
    first, second = [os.fspath(word) for word in source], [os.fspath(word) for word in sink]
    argv, told = [*first, "|", *second], SimpleQueue[str | None]()
    pretender = _pretender.get()
    with step(name) as progress, _ended_with_us() as both:
        if pretender and pretender(argv):
            return

        def ended(_: Any, success: bool, __: int, unread: Sequence[Any] = ()) -> None:
            if not success:
                _terminate(unread)  # it may be waiting for its own source, and never see that nobody reads
            told.put(None)

        how = {"_env": _environment(transfer), "_done": ended}
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
    _log("commands", argv=argv, status=statuses, stderr=said)
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


def become(argv: Sequence[str], transfer: str = "") -> NoReturn:
    """Replace this process by `argv`, as one that :func:`run` starts; its standard streams stay.

    Raises:
        BackendError: there is no such tool.
    """
    os.execve(_path(argv[0]), list(argv), _environment(transfer))  # noqa: S606 - that is what it is for


def _log(event: str, **values: Any) -> None:
    from revertkit.log import get_logger  # late, as `sh`: a process that becomes another one logs nothing

    get_logger(__name__).debug(event, **values)


def _path(name: str) -> str:
    if (path := tool(name)) is None:
        raise BackendError(f"{name} is not installed on this host (looked in {TOOL_PATH})")
    return path


def _run(words: list[str], timeout: float | None, ok: Sequence[int], stdin: str | None) -> Completed:
    """As :func:`run`.

    What the tool says goes into memory and not into a pipe: it is never ended by SIGPIPE or kept waiting because we
    have died, and no thread has to read it.
    """
    began = time.monotonic()
    status, stderr = None, ""
    try:
        with _memory(stdin) as given, _memory() as said, _memory() as told:
            process = _begun(words, stdin=subprocess.DEVNULL if stdin is None else given, stdout=said, stderr=told)
            if expired := not _ends_within(timeout, process):
                process.terminate()
            status = process.wait()
            stdout, stderr = _read(said), _read(told)
        if expired:
            raise CommandFailed(words, None, f"no end after {timeout:g} s; {stderr}")
        if status not in ok:
            raise CommandFailed(words, status, stderr)
        return Completed(status, stdout, stderr)
    finally:
        _log("command", argv=words, status=status, seconds=round(time.monotonic() - began, 3), stderr=stderr)


def _memory(text: str | None = None) -> IO[bytes]:
    """Open a file that is only in memory, at the beginning of `text`."""
    file = os.fdopen(os.memfd_create("revertkit"), "w+b", buffering=0)
    file.write((text or "").encode(errors="surrogateescape"))
    file.seek(0)
    return file


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="surrogateescape")


def _begun(words: list[str], **streams: Any) -> subprocess.Popen[bytes]:
    path, ours = _path(words[0]), _ours.set(True)
    try:
        return subprocess.Popen([path, *words[1:]], env=_environment(), start_new_session=True, **streams)
    except (OSError, ValueError) as failure:
        raise BackendError(f"{words[0]} cannot be started: {failure}") from failure
    finally:
        _ours.reset(ours)


def _ends_within(seconds: float | None, process: subprocess.Popen[bytes]) -> bool:
    """Wait for its end, which the kernel tells of; one before Linux 5.3 has to be asked again and again."""
    try:
        end = os.pidfd_open(process.pid)
    except OSError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        return process.returncode is not None
    try:
        poll = select.poll()
        poll.register(end, select.POLLIN)
        return bool(poll.poll(None if seconds is None else seconds * 1000))
    finally:
        os.close(end)


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

    command = sh.Command(_path(words[0]))
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


def _environment(transfer: str = "") -> dict[str, str]:
    environment = {"PATH": TOOL_PATH, "LC_ALL": "C", "TZ": "UTC"}
    if (current := _operation.get()) is not None:
        environment[OPERATION_VARIABLE] = current
    if transfer:
        environment[TRANSFER_VARIABLE] = transfer
    return environment
