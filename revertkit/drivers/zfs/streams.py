"""The command lines of ``zfs send`` and ``zfs receive``, and what they tell of their progress. Pure.

What is sent is not raw: it is decrypted where it is read, and a replica needs no key of its active one. Blocks stay
compressed, large and embedded as they are on disk, as in a local copy. A stream has one snapshot, and no properties.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from revertkit.errors import BackendError

SEND = ("zfs", "send", "-vPLec")
"""Large, embedded and compressed blocks as they are on disk; progress on standard error, for programs."""


def send(name: str, base: str | None) -> list[str]:
    """Send the snapshot `name`: what has changed since the snapshot `base`, or all of it."""
    return [*SEND, *(["-i", base] if base else []), name]


def resume(token: str) -> list[str]:
    """Go on with a send that was cut; how it was begun is in the token."""
    return ["zfs", "send", "-vP", "-t", token]


def receive(name: str, *, first: bool) -> list[str]:
    """Receive into the snapshot `name`; what was received stays when it is cut. Nothing is mounted.

    Only the first one may replace the dataset (``-F``), which has no snapshot then. Of any other it would destroy the
    snapshots that are newer than the base.
    """
    return ["zfs", "receive", "-s", "-u", *(["-F"] if first else []), name]


@dataclass(frozen=True)
class Resumable:
    """What a token of a receive that was cut says: which snapshot was sent."""

    name: str
    guid: str


def parse_token(said: str) -> Resumable:
    """Read what ``zstream token`` says.

    Raises:
        BackendError: it does not name a snapshot.
    """
    name, guid = re.search(r"^\s*toname: '(.+)'$", said, re.M), re.search(r"^\s*toguid: (\d+)$", said, re.M)
    if not name or not guid:
        raise BackendError(f"zstream token names no snapshot: {said!r}")
    return Resumable(name.group(1), guid.group(1))


@dataclass
class Progress:
    """The percent of several sends, of which this is the `number`-th, by what ``zfs send -vP`` tells."""

    number: int
    of: int
    size: int = field(default=0, init=False)

    def __call__(self, line: str) -> float | None:
        """Read a line of its standard error; None if it says something else."""
        match line.rstrip("\n").split("\t"):
            case ["full" | "incremental", *_, size] | ["size", size] if size.isdigit():
                self.size = int(size)
            case [time, sent, _] if re.fullmatch(r"\d\d:\d\d:\d\d", time) and sent.isdigit():
                part = min(1.0, int(sent) / self.size) if self.size else 0.0
                return 100 * (self.number + part) / self.of
            case _:
                return None
        return 0.0
