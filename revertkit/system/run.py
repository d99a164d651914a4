"""Commands and named steps; no process is started but here and, where one feeds another, in pipe.py.

A *step* is one change of the backend that either has happened or has not. Whoever watches (a progress bar, the
fault injection of the conformance suite, a log) sees its name before and after it, and its progress. Commands are argv
lists with an absolute tool, in the C locale, with no terminal; over time they get SIGTERM, never SIGKILL: a killed LVM
command can leave a device suspended and every read of it hanging.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO, Any, NoReturn

from revertkit.errors import BackendError, CommandFailed
from revertkit.system.processes import OPERATION_VARIABLE, TRANSFER_VARIABLE, ends_within

TOOL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


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


def pretended(argv: Sequence[str]) -> Completed | None:
    """Ask the pretender of this context, if there is one, for what a command shall have answered."""
    pretender = _pretender.get()
    return pretender(argv) if pretender else None


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
    with step(name or " ".join([words[0], *[w for w in words[1:] if not w.startswith(("/", "-"))][:2]])):
        return pretended(words) or _run(words, timeout, ok, stdin)


def become(argv: Sequence[str], transfer: str = "") -> NoReturn:
    """Replace this process by `argv`, as one that :func:`run` starts; its standard streams stay.

    Raises:
        BackendError: there is no such tool.
    """
    os.execve(path_of(argv[0]), list(argv), environment(transfer))  # noqa: S606 - that is what it is for


def log(event: str, **values: Any) -> None:
    """Log a command that has ended."""
    from revertkit.log import get_logger  # late: a process that becomes another one logs nothing

    get_logger(__name__).debug(event, **values)


def path_of(name: str) -> str:
    """Find a tool as :func:`tool` does.

    Raises:
        BackendError: there is none of that name.
    """
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
            if expired := not ends_within(process.pid, timeout):
                process.terminate()
            status = process.wait()
            stdout, stderr = _read(said), _read(told)
        if expired:
            raise CommandFailed(words, None, f"no end after {timeout:g} s; {stderr}")
        if status not in ok:
            raise CommandFailed(words, status, stderr)
        return Completed(status, stdout, stderr)
    finally:
        log("command", argv=words, status=status, seconds=round(time.monotonic() - began, 3), stderr=stderr)


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
    path, ours = path_of(words[0]), _ours.set(True)
    try:
        return subprocess.Popen([path, *words[1:]], env=environment(), start_new_session=True, **streams)
    except (OSError, ValueError) as failure:
        raise BackendError(f"{words[0]} cannot be started: {failure}") from failure
    finally:
        _ours.reset(ours)


def environment(transfer: str = "") -> dict[str, str]:
    """Give what a process of ours has in its environment, and nothing else of ours."""
    given = {"PATH": TOOL_PATH, "LC_ALL": "C", "TZ": "UTC"}
    if (current := _operation.get()) is not None:
        given[OPERATION_VARIABLE] = current
    if transfer:
        given[TRANSFER_VARIABLE] = transfer
    return given
