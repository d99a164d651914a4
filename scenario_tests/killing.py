"""A process that dies as in a power cut: at one step, without a chance to tidy."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable

from revertkit.system.run import Moment, StepEvent, watching


def killed_at(point: int, call: Callable[[], object]) -> bool:
    """Run `call` in a forked child that is killed at the beginning or end of a step, the `point`-th of them, from 1.

    Forked, because a new interpreter takes an emulated machine seconds. `call` opens its own manager: a database
    connection does not survive a fork. Answer False if it ended, well, before that.
    """
    child = os.fork()
    if child == 0:
        _die_at(point, call)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the call failed in the child; its traceback is above"
    return False


def _die_at(point: int, call: Callable[[], object]) -> None:
    seen = 0

    def watch(event: StepEvent) -> None:
        nonlocal seen
        seen += event.moment is not Moment.PROGRESS
        if seen == point:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        with watching(watch):
            call()
        os._exit(0)
    finally:
        traceback.print_exc()
        os._exit(1)
