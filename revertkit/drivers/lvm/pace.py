"""How a merge gets on, and when somebody has to be set to look after it again."""

from __future__ import annotations

import time

STALLED_LOOK = 5.0
"""Seconds without progress of a merge until somebody is set to look after it again."""


class Pace:
    """How a merge gets on, by what is left of its snapshot."""

    def __init__(self) -> None:
        self._full = self._left = 0.0
        self._moved = self._looked = time.monotonic()

    def seen(self, left: float | None) -> float:
        """Take in what is left, in percent (None: not known yet); answer for how many seconds that is the same."""
        if (left or 0) != self._left:
            self._left, self._moved = left or 0, time.monotonic()
        self._full = max(self._full, self._left)
        return time.monotonic() - self._moved

    def overdue(self) -> bool:
        """Whether it stands still and nobody was set to look after it lately; once True, not again for a while."""
        if time.monotonic() - max(self._moved, self._looked) <= STALLED_LOOK:
            return False
        self._looked = time.monotonic()
        return True

    @property
    def done(self) -> float:
        """The part that is done, 0 to 1."""
        return 1 - self._left / self._full if self._full else 0.0
