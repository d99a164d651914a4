"""Which pool a new share or replica goes to: filters say which can take it, weighers which of those is best.

Pure functions of the pools' reports (pool_report.py) and a :class:`Request`. docs/scheduler.md tells it to operators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from revertkit.errors import NotSupported
from revertkit.models import PoolId
from revertkit.scheduler import filters, weighers
from revertkit.scheduler.extra_specs import Report
from revertkit.scheduler.request import Active, Request

__all__ = ["Active", "Explanation", "Report", "Request", "Verdict", "explain", "filters"]


@dataclass(frozen=True)
class Verdict:
    """What becomes of one pool: what each filter has against it, or its weight from 0 to 1 among those that can."""

    pool: PoolId
    refusals: Mapping[str, str] = field(default_factory=dict)
    weight: float | None = None

    def __str__(self) -> str:
        return f"{self.pool}: {'; '.join(self.refusals.values()) or 'fits'}"


@dataclass(frozen=True)
class Explanation:
    """Every pool's verdict, the best first, and why some backends could not be asked."""

    verdicts: tuple[Verdict, ...]
    silent: Mapping[str, str]

    def chosen(self) -> PoolId:
        """Answer the pool that it goes to.

        Raises:
            NotSupported: to none; says of each pool and of each silent backend why not.
        """
        if self.verdicts and not self.verdicts[0].refusals:
            return self.verdicts[0].pool
        said = [*map(str, self.verdicts), *(f"{backend}: {why}" for backend, why in self.silent.items())]
        raise NotSupported(f"no pool can hold this share ({'; '.join(said) or 'no backend is configured'})")


def explain(pools: Sequence[tuple[PoolId, Report]], request: Request, silent: Mapping[str, str]) -> Explanation:
    """Say of every pool whether it can, the best first; of equally good ones, the one that came first."""
    refusals = [refusals_of(pool, report, request) for pool, report in pools]
    judged = list(zip(pools, refusals, strict=True))
    fitting = [each for each, against in judged if not against]
    weights = weighers.normalised([weighers.capacity(report, request) for _, report in fitting])
    good = [Verdict(pool, weight=weight) for (pool, _), weight in zip(fitting, weights, strict=True)]
    bad = [Verdict(pool, against) for (pool, _), against in judged if against]
    return Explanation((*sorted(good, key=lambda verdict: -(verdict.weight or 0)), *bad), silent)


def refusals_of(pool: PoolId, report: Report, request: Request) -> dict[str, str]:
    """Say by filter why a pool cannot; empty if it can."""
    found = {name: why_not(pool, report, request) for name, why_not in filters.FILTERS.items()}
    return {name: why for name, why in found.items() if why}
