"""Weighers: among the pools that can, which is best. One so far, and it spreads: the most room wins, as in Manila."""

from __future__ import annotations

import math
from collections.abc import Sequence

from revertkit.scheduler.extra_specs import Report
from revertkit.scheduler.filters import promises, reserved, room
from revertkit.scheduler.request import Request


def capacity(report: Report, request: Request) -> int:
    """Weigh by what is free in whole GiB; in a thin pool, by what it may still promise."""
    if not promises(report, request):
        return room(report, request)
    may: float = report["total_capacity_gb"] * report["max_over_subscription_ratio"]
    promised: float = report["provisioned_capacity_gb"]
    return math.floor(may - promised - reserved(report, request))


def normalised(weights: Sequence[float]) -> list[float]:
    """Bring weights to 0 … 1; all are 0 where none is better than another."""
    least, most = min(weights, default=0), max(weights, default=0)
    return [(weight - least) / (most - least) if most > least else 0.0 for weight in weights]
