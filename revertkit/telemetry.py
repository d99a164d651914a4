"""What happens, told to whoever counts it: metrics.py, where a server runs; nobody on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class OperationEnded:
    """An operation came to its end, so many seconds after it was accepted."""

    kind: str
    outcome: str
    seconds: float


@dataclass(frozen=True)
class WriteBegun:
    """A transaction may write; it waited so many seconds for others."""

    seconds: float


@dataclass(frozen=True)
class LockTaken:
    """The locks of an operation were taken; it waited so many seconds for one that was about to be let go."""

    seconds: float


@dataclass(frozen=True)
class LockRefused:
    """A lock was held by a living process that is at work, and the operation was refused."""


Event = OperationEnded | WriteBegun | LockTaken | LockRefused
Listener = Callable[[Event], None]
_listeners: tuple[Listener, ...] = ()


def tell(event: Event) -> None:
    """Tell everybody who listens, in the thread that it happened in."""
    for listener in _listeners:
        listener(event)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Let `listener` hear what happens in this process meanwhile. It must be quick, and must not raise."""
    global _listeners
    _listeners += (listener,)
    try:
        yield
    finally:
        _listeners = tuple(other for other in _listeners if other != listener)
