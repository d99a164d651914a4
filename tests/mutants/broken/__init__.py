"""Broken drivers, each with the name of the case that has to see it (`seen_by`)."""

from collections.abc import Iterator, Sequence

from broken import answers, data, failure, identity, refusals, replicas, truth
from broken.base import InDirectories, InMemory
from revertkit.driver import ShareDriver

__all__ = [
    "MUTANTS",
    "InDirectories",
    "InMemory",
    "answers",
    "data",
    "failure",
    "identity",
    "refusals",
    "replicas",
    "truth",
]


def _all(cls: type) -> Iterator[type[ShareDriver]]:
    for child in cls.__subclasses__():
        yield from _all(child)
        if child.__module__.startswith("broken.") and isinstance(getattr(child, "seen_by", None), str):
            yield child


MUTANTS: Sequence[type[ShareDriver]] = sorted({*_all(ShareDriver)}, key=lambda cls: cls.__name__)
