"""The child processes of an operation or a transfer: who is left of a dead owner, and waiting for them."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from pathlib import Path

OPERATION_VARIABLE = "REVERTKIT_OPERATION"
"""Every child process carries the id of its operation here, so that recovery can wait for a dead owner's children."""
TRANSFER_VARIABLE = "REVERTKIT_TRANSFER"
"""Either end of a transfer carries here what is sent, and after a space where it goes, so that others can end it."""


def of_operation(operation_id: str) -> list[int]:
    """List our own user's processes that carry `operation_id` in their environment, ourselves excepted."""
    mark = f"{OPERATION_VARIABLE}={operation_id}".encode()
    return [pid for pid in _pids() if pid != os.getpid() and mark in _environment(pid) and _is_ours(pid)]


def of_transfer(*, sent: str | None = None, into: str | None = None) -> list[int]:
    """List the processes that send `sent`, or that receive `into`, whoever has started them."""
    return [pid for pid in _pids() if _transfers(pid) & {(sent, True), (into, False)}]


def _transfers(pid: int) -> set[tuple[str | None, bool]]:
    mark = f"{TRANSFER_VARIABLE}=".encode()
    found = [entry.removeprefix(mark).decode(errors="replace") for entry in _environment(pid) if entry.startswith(mark)]
    return {(word, first) for each in found for word, first in zip(each.split(" "), (True, False), strict=False)}


def wait_for_end(pids: list[int], seconds: float) -> list[int]:
    """Wait until these processes have ended, `seconds` at the most; answer those that have not."""
    deadline = time.monotonic() + seconds
    return [pid for pid in pids if not ends_within(pid, max(0, deadline - time.monotonic()))]


def end(pids: list[int], seconds: float) -> list[int]:
    """Tell these processes to end (SIGTERM), and wait for it; answer those that have not."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # it ended at this very moment
            os.kill(pid, signal.SIGTERM)
    return wait_for_end(pids, seconds)


def ends_within(pid: int, seconds: float | None) -> bool:
    """Wait for the end of a process, which the kernel tells of; None waits for as long as it takes."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(None if seconds is None else seconds * 1000))
    finally:
        os.close(handle)


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - names are all we need


def _is_ours(pid: int) -> bool:
    with contextlib.suppress(OSError):  # it has ended meanwhile
        return Path(f"/proc/{pid}").stat().st_uid == os.geteuid()
    return False


def _environment(pid: int) -> list[bytes]:
    with contextlib.suppress(OSError):  # it has ended meanwhile, or is another user's
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return []
