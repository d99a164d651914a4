"""The filters: each says why a pool cannot take what is asked for, or nothing.

Capacity, zones and replication follow Manila's ``scheduler/filters/``: capacity.py, availability_zone.py and
share_replication.py; tests/oracle/ holds them against those.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from revertkit.models import PoolId
from revertkit.scheduler import extra_specs
from revertkit.scheduler.extra_specs import Report
from revertkit.scheduler.request import Request

OLD = timedelta(seconds=180)
"""How old a report may be: as long as its backend could miss being asked twice, once a minute."""


def named(pool: PoolId, _report: Report, request: Request) -> str:
    """Only the pool, or the backend's pools, that the caller named."""
    return "" if request.named in (None, str(pool), pool.backend) else f"{request.named} was named"


def fresh(_pool: PoolId, report: Report, request: Request) -> str:
    """Only what was seen lately."""
    age = request.now - datetime.fromisoformat(report["reported_at"])
    if age <= OLD:
        return ""
    return f"its report is {age.total_seconds():.0f} s old, more than {OLD.total_seconds():.0f}: is its backend silent?"


def sound(_pool: PoolId, report: Report, _request: Request) -> str:
    """Only a pool with which all is well."""
    return "; ".join(report["faults"])


def availability_zone(_pool: PoolId, report: Report, request: Request) -> str:
    """The zone that was asked for, and one that the share type allows."""
    zone = report["availability_zone"]
    if request.zone not in (None, zone):
        return f"it is in zone {zone}, {request.zone} was asked for"
    if request.zones and zone not in request.zones:
        return f"it is in zone {zone}, the share type allows {', '.join(sorted(request.zones))}"
    return ""


def capabilities(_pool: PoolId, report: Report, request: Request) -> str:
    """Everything that the share type asks for."""
    return "; ".join(extra_specs.unmet(report, request.asked))


def capacity(_pool: PoolId, report: Report, request: Request) -> str:
    """Room: of a thin pool, what it may still promise; of any other, what is free."""
    total, free = report["total_capacity_gb"], room(report, request)
    if total <= 0:
        return "it has no capacity"
    if not promises(report, request):
        return "" if free >= request.size else f"{_free(report, request)}, {request.size} wanted"
    ratio, promised = report["max_over_subscription_ratio"], report["provisioned_capacity_gb"] + request.size
    if ratio < 1:
        return f"max_over_subscription_ratio is {ratio:g}, and has to be 1 or more"
    if promised / total > ratio:
        return f"it would promise {promised:g} GiB, {promised / total:.2f} times what it has; allowed is {ratio:g}"
    return "" if free * ratio >= request.size else f"{_free(report, request)}, {ratio:g} times that is less than wanted"


def replication(pool: PoolId, report: Report, request: Request) -> str:
    """For a share that can have replicas, a pool that replicates; for a replica, with the active one's, and not it."""
    if "replication_type" not in request.specs:
        return ""
    domain, active = report["replication_domain"], request.replica_of
    if domain is None:
        return "it replicates with no other: no replication_domain"
    if active is None:
        return ""
    if domain != active.domain:
        return f"its replication_domain is {domain}, that of the active replica ({active.pool}) {active.domain}"
    return "the share has a replica there" if pool in active.taken | {active.pool} else ""


FILTERS: Mapping[str, Callable[[PoolId, Report, Request], str]] = {
    "pool": named,
    "report": fresh,
    "faults": sound,
    "availability_zone": availability_zone,
    "capacity": capacity,
    "capabilities": capabilities,
    "replication": replication,
}


def promises(report: Report, request: Request) -> bool:
    """Whether it counts what this pool has promised, rather than what is free in it."""
    thin = report["thin_provisioning"]
    return request.thin and True in (thin if isinstance(thin, list) else [thin])


def reserved(report: Report, request: Request) -> float:
    """How much of the pool is kept free of such requests, in GiB."""
    kind = "share_extend_" if request.grows else "snapshot_" if request.from_snapshot else ""
    return float(report["total_capacity_gb"] * (report[f"reserved_{kind}percentage"] / 100))


def room(report: Report, request: Request) -> int:
    """How much is free for such a request, in whole GiB."""
    free: float = report["free_capacity_gb"]
    return math.floor(free - reserved(report, request))


def _free(report: Report, request: Request) -> str:
    kept = reserved(report, request)
    return f"{report['free_capacity_gb']:g} GiB free" + (f", {kept:g} of it reserved" if kept else "")
