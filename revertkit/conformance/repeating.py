"""``--repeat N``: a driver each of whose entry points is called N times over, and has to answer the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from revertkit.capabilities import MIXINS, entry_points, why_not
from revertkit.driver import ShareDriver
from revertkit.models import ReplicaReport
from revertkit.operations.site import Site

SHARE_VERBS = ("create_share", "delete_share", "ensure_share")


class RepeatingSite(Site):
    """A site whose drivers are called over and over."""

    def __init__(self, site: Site, times: int) -> None:
        super().__init__(site.host, site.store, site.locks, site.backends, site.now)
        self._times = times
        self._repeating: dict[str, ShareDriver] = {}

    def driver(self, backend: str) -> ShareDriver:
        """Answer the backend's driver, as an object of a class that repeats."""
        if backend not in self._repeating:
            found = super().driver(backend)
            self._repeating[backend] = _repeating(type(found), self._times)(found.backend, found.options)
        return self._repeating[backend]


@cache
def _repeating(cls: type[ShareDriver], times: int) -> type[ShareDriver]:
    claimed = [name for capability in MIXINS if not why_not(cls, capability) for name in entry_points(capability)]
    verbs = {name: _repeated(getattr(cls, name), times) for name in (*SHARE_VERBS, *claimed)}
    return type(cls.__name__, (cls,), {**verbs, "__module__": cls.__module__})


def _repeated(verb: Callable[..., Any], times: int) -> Callable[..., Any]:
    @wraps(verb)
    def repeated(self: ShareDriver, *arguments: Any) -> Any:
        answers = [verb(self, *arguments) for _ in range(times)]
        told = [_lasting(answer) for answer in answers]
        assert all(each == told[0] for each in told), f"{verb.__name__} called {times} times: {answers}"
        return answers[-1]

    return repeated


def _lasting(answer: Any) -> Any:
    """Leave out what is measured anew at each call."""
    return answer.model_copy(update={"seconds_behind": None}) if isinstance(answer, ReplicaReport) else answer
