"""Which points of an operation are swept: all of them, a sample drawn by a seed, or those that a failure has named."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

ALL = "all"
Point = TypeVar("Point")


@dataclass(frozen=True)
class Points:
    """What ``--points`` and ``--seed`` ask for.

    Raises:
        ValueError: what is asked for is neither ``all``, a number from 1, nor words that a failure could have said.
    """

    asked: str
    """``all``, how many of each operation, or part of what a failure says after "at this point"."""
    seed: int

    def __post_init__(self) -> None:
        """Refuse what no point can be called."""
        if not self.all and not self.named and not (self.asked.isdecimal() and int(self.asked) > 0):
            raise ValueError(
                f"--points is 'all', a number from 1, or part of a point as a failure names it "
                f"('revert: death after step 4'), not {self.asked!r}"
            )

    @property
    def all(self) -> bool:
        """Whether none is left out."""
        return self.asked == ALL

    @property
    def named(self) -> bool:
        """Whether they are chosen by what they are called."""
        return " " in self.asked.strip()

    def drawn(self, points: Sequence[Point], operation: str, called: Callable[[Point], str]) -> list[Point]:
        """Choose among an operation's points, each `called` something, in their order; the same with the same seed."""
        if self.named:
            return [point for point in points if self.asked in called(point)]
        if self.all or int(self.asked) >= len(points):
            return list(points)
        return sample(points, int(self.asked), f"{self.seed} {operation}")


def sample(points: Sequence[Point], size: int, seed: str) -> list[Point]:
    """Draw at most `size` of the points by `seed`, in their order."""
    chosen = set(random.Random(seed).sample(range(len(points)), min(size, len(points))))  # noqa: S311
    return [point for number, point in enumerate(points) if number in chosen]
