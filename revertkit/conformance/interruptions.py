"""Where an operation can be interrupted, and how: at each of its steps, before it or after it took effect.

An error is raised out of the step, as a tool's failure would be; a death is a SIGKILL in a process of its own, or,
where the storage would die with that process, an exception that nothing may catch. A lie is told in a command's place:
it answers success, and did nothing.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from revertkit.conformance.children import killed
from revertkit.conformance.stage import Stage
from revertkit.errors import BackendError, RevertkitError
from revertkit.manager import ShareManager
from revertkit.settings import Settings
from revertkit.system.run import Completed, Moment, StepEvent, is_ours, pretending, watching

Call = Callable[..., object]
"""A function of a module: it is told a manager, and plain arguments."""


class Way(StrEnum):
    """How an operation is interrupted at a step."""

    ERROR_BEFORE = "error before"
    ERROR_AFTER = "error after"
    DEATH_BEFORE = "death before"
    DEATH_AFTER = "death after"

    @property
    def moment(self) -> Moment:
        """When it strikes."""
        return Moment.AFTER if self in (Way.ERROR_AFTER, Way.DEATH_AFTER) else Moment.BEFORE

    @property
    def deadly(self) -> bool:
        """Whether the process is gone afterwards."""
        return self in (Way.DEATH_BEFORE, Way.DEATH_AFTER)


@dataclass(frozen=True)
class Ended:
    """What became of a call that was to be interrupted."""

    came: bool
    """Whether it came as far as that point."""
    answered: bool
    """Whether it answered success, whatever was done to it."""


class Injected(BackendError):
    """What a step raises."""


class Death(BaseException):
    """A death, as far as one process can play it."""


def steps_and_commands(call: Callable[[], object]) -> tuple[list[str], list[str]]:
    """Let `call` run its course; name its steps as they begin, and the commands among them as they would be typed.

    Raises:
        AssertionError: within a step it starts a command past ``revertkit.system.run``, where no lie can be told.
    """
    steps: list[str] = []
    commands: list[str] = []

    def typed(argv: Sequence[str]) -> None:
        commands.append(shlex.join(argv))

    def seen(event: StepEvent) -> None:
        if event.moment is Moment.BEFORE:
            steps.append(event.name)
        _step.set(None if event.moment is Moment.AFTER else event.name)

    _listen()
    _step.set(None)
    _past.clear()
    with watching(seen), pretending(typed):
        call()
    told = "; ".join(f"step {step!r} starts {command}" for step, command in _past)
    assert not _past, f"{told}: not by revertkit.system.run.run, so that nobody sees whether its answer is believed"
    return steps, commands


_step: ContextVar[str | None] = ContextVar("step", default=None)
_past: list[tuple[str, str]] = []


@cache
def _listen() -> None:
    """Hear of every process that this one starts. Once: Python forgets no audit hook."""
    sys.addaudithook(_heard)


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("subprocess.Popen", "os.posix_spawn", "os.system") and (step := _step.get()) and not is_ours():
        _past.append((step, str(arguments[1 if len(arguments) > 1 else 0])))


def interrupted(stage: Stage, way: Way, number: int, call: Call, *arguments: Any) -> Ended:
    """Run ``call(manager, *arguments)``, interrupted at its step `number`, from 0; say how it ended."""
    if way.deadly and stage.harness.outlives_process:
        died = killed(_die, stage.settings, number, way.moment, call, arguments)
        return Ended(came=died, answered=not died)
    strike = _Strike(number, way.moment, _play_death if way.deadly else _fail)
    with watching(strike):
        answered = _answers(stage, call, arguments)
    return Ended(strike.struck, answered)


def lied_to(stage: Stage, number: int, call: Call, *arguments: Any) -> Ended:
    """Run ``call(manager, *arguments)``, its command `number`, from 0, being a lie; say how it ended."""
    seen = 0

    def lie(argv: Sequence[str]) -> Completed | None:
        nonlocal seen
        seen += 1
        return Completed(0, "", "") if seen == number + 1 else None

    with pretending(lie):
        answered = _answers(stage, call, arguments)
    return Ended(seen > number, answered)


def _answers(stage: Stage, call: Call, arguments: Sequence[Any]) -> bool:
    try:
        call(stage.manager, *arguments)
    except (RevertkitError, Death):
        return False
    return True


class _Strike:
    """A watcher that acts once: before or after the step that is the `number`-th to begin, from 0."""

    def __init__(self, number: int, moment: Moment, act: Callable[[], None]) -> None:
        self._number, self._moment, self._act = number, moment, act
        self._begun = 0
        self._open: list[tuple[int, str]] = []
        self.struck = False

    def __call__(self, event: StepEvent) -> None:
        if event.moment is Moment.BEFORE:
            self._open.append((self._begun, event.name))
            self._begun += 1
            self._at(self._open[-1][0], Moment.BEFORE)
        elif event.moment is Moment.AFTER:
            number, name = self._open.pop()
            while name != event.name:  # a step that ended by raising told nobody
                number, name = self._open.pop()
            self._at(number, Moment.AFTER)

    def _at(self, number: int, moment: Moment) -> None:
        if (number, moment) == (self._number, self._moment):
            self.struck = True
            self._act()


def _fail() -> None:
    raise Injected("the step failed (injected by the conformance suite)")


def _play_death() -> None:
    raise Death


def _die(settings: Settings, number: int, moment: Moment, call: Call, arguments: tuple[Any, ...]) -> None:
    with watching(_Strike(number, moment, lambda: os.kill(os.getpid(), signal.SIGKILL))):
        call(ShareManager.open(settings), *arguments)
