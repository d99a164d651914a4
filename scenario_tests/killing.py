"""A process that dies as in a power cut: at one step, without a chance to tidy."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from typing import Any

from revertkit.system.run import Moment, StepEvent, watching

PROCESSES = multiprocessing.get_context("forkserver")
"""A new interpreter takes an emulated machine seconds, and a fork of pytest's own workers has threads in it."""
LOADED = (
    "pytest",
    "ground",
    "revertkit.drivers.lvm",
    "revertkit.drivers.zfs",
    "tooz.coordination",
    "tooz.drivers.file",
)
"""What each child would import for itself otherwise, which takes an emulated machine two seconds or more."""
PROCESSES.set_forkserver_preload([*LOADED])


def killed_at(point: int, call: Callable[..., object], *arguments: Any) -> bool:
    """Run `call` in a process that is killed at the beginning or end of a step, the `point`-th of them, from 1.

    `call` is a function of a module, and opens its own manager. Answer False if it ended, well, before that.
    """
    child = PROCESSES.Process(target=_die_at, args=(point, call, *arguments))
    child.start()
    child.join()
    assert child.exitcode in (0, -signal.SIGKILL), "the call failed in the child; its traceback is above"
    return child.exitcode != 0


def _die_at(point: int, call: Callable[..., object], *arguments: Any) -> None:
    seen = 0

    def watch(event: StepEvent) -> None:
        nonlocal seen
        seen += event.moment is not Moment.PROGRESS
        if seen == point:
            os.kill(os.getpid(), signal.SIGKILL)

    with watching(watch):
        call(*arguments)
