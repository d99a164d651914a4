"""Our reports go through Manila's own scheduler: each of its filters has our verdict, its weighers our weights."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import CONTEXT, SPECS

from revertkit.capabilities import pool_report
from revertkit.drivers.memory import MemoryDriver
from revertkit.manager import ShareManager
from revertkit.models import GIB, Pool, PoolId
from revertkit.scheduler import Active, Request, explain
from revertkit.settings import BackendSettings

if TYPE_CHECKING:
    from conftest import Manila

pytestmark = pytest.mark.timeout(1800)

FILTERS = {
    "AvailabilityZoneFilter": "availability_zone",
    "CapacityFilter": "capacity",
    "CapabilitiesFilter": "capabilities",
    "ShareReplicationFilter": "replication",
}
"""Manila's filters that can refuse what is asked here, and ours. Its others have to let everything through."""
Pools = dict[PoolId, dict[str, Any]]


def driver(backend: str) -> MemoryDriver:
    """Open a backend."""
    return MemoryDriver(backend, MemoryDriver.Options())


def of_manila(manila: Manila, pools: Pools, request: Request, *, again: bool = False) -> dict[str, Any]:
    """Ask Manila to place it, with the very same dictionaries."""
    active = request.replica_of
    asked = {
        "size": request.size,
        "protocol": request.protocol,
        "specs": dict(request.specs),
        "zone": request.zone,
        "zones": sorted(request.zones) or None,
        "grows": request.grows,
        "from_snapshot": request.from_snapshot,
        "active": str(active.pool) if active else None,
        "taken": [str(pool) for pool in active.taken] if active else [],
    }
    reports = {str(pool): report for pool, report in pools.items()}
    answer: dict[str, Any] = manila.ask("schedule", pools=reports, request=asked, again=again)
    return answer


def compare(manila: Manila, pools: Pools, request: Request, *, again: bool = False) -> Counter[str]:
    """See that both say the same of every pool; answer which filters refused how often."""
    told = of_manila(manila, pools, request, again=again)
    found = explain(list(pools.items()), request, {})
    ours = {str(v.pool): {name for name in v.refusals if name in FILTERS.values()} for v in found.verdicts}
    assert ours == {pool: {FILTERS[name] for name in names} for pool, names in told["refused"].items()}
    weights = {str(v.pool): v.weight for v in found.verdicts if v.weight is not None}
    assert weights == pytest.approx(dict(told["weights"]))
    if weights:
        best = max(weights.values())
        assert weights[str(found.chosen())] == best == told["weights"][0][1]
    return Counter(name for names in ours.values() for name in names) + Counter(fits=len(weights))


# --- whatever a report can say

capacities = st.floats(0, 200).map(lambda number: round(number, 2))
percentages = st.sampled_from([0, 0, 5, 12.5, 50, 100])
zones = st.sampled_from(["az1", "az2"])
domains = st.sampled_from([None, "zfs", "dr1"])
thin = st.sampled_from([True, False, [True], [True, False], [False]])
extras = st.fixed_dictionaries(
    {},
    optional={
        "disks": st.sampled_from([{"kind": "SSD"}, {"kind": ["ssd", "hdd"]}, "ssd", None]),
        "dedupe": st.sampled_from([True, False, [True, False]]),
        "iops": st.integers(0, 3),
    },
)
spec = {
    "thin_provisioning": st.sampled_from(["True", "False", "<is> True", "<is> False", "perhaps", "<or> true"]),
    "capabilities:thin_provisioning": st.sampled_from(["yes", "<is> no"]),
    "revert_to_snapshot_support": st.sampled_from(["True", "false", "<is> True"]),
    "driver_handles_share_servers": st.sampled_from(["false", "True"]),
    "share_backend_name": st.sampled_from(["fast", "FAST", "<or> fast <or> slow"]),
    "storage_protocol": st.sampled_from(["NFS", "<in> cifs"]),
    "availability_zones": st.sampled_from(["az1", "az1,az2", "az3"]),
    "capabilities:disks:kind": st.sampled_from(["ssd", "<in> d", "s== hdd"]),
    "dedupe": st.sampled_from(["<is> True", "False"]),
    "iops": st.sampled_from([">= 2", "= 1", "2", "!= 0"]),
    "acme:colour": st.just("red"),
    "replication_type": st.sampled_from(["dr", "readable"]),
    "default_qos_type": st.just("gold"),
}


@st.composite
def all_reports(draw: st.DrawFn) -> Pools:
    """One to four pools, made by the code that makes every report."""
    pools = {}
    for name in draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True)):
        told = BackendSettings(
            driver="x",
            availability_zone=draw(zones),
            replication_domain=draw(domains),
            reserved_percentage=draw(percentages),
            reserved_snapshot_percentage=draw(st.none() | percentages),
            reserved_share_extend_percentage=draw(st.none() | percentages),
        )
        extra = {"thin_provisioning": draw(thin), **draw(extras)}
        if draw(st.booleans()):
            extra |= {"max_over_subscription_ratio": draw(st.sampled_from([1, 1.5, 20])), "extra": 1}
        if draw(st.booleans()):
            extra |= {"provisioned_capacity_gb": draw(capacities)}
        total = draw(capacities | st.just(0.0))
        seen = Pool(name=name, total_bytes=int(total * GIB), free_bytes=int(draw(capacities) * GIB), extra=extra)
        pool = PoolId("node-1", draw(st.sampled_from(["fast", "slow"])), name)
        pools[pool] = pool_report(driver(pool.backend), seen, "x", told, allocated=draw(st.integers(0, 100)))
    by_backend = {pool.backend: report["availability_zone"] for pool, report in pools.items()}
    return {pool: report | {"availability_zone": by_backend[pool.backend]} for pool, report in pools.items()}


def edges(pools: Pools) -> list[int]:
    """Name the sizes at which a pool's answer can change."""
    kinds = ("", "snapshot_", "share_extend_")
    found: list[float] = []
    for report in pools.values():
        total, ratio = report["total_capacity_gb"], report["max_over_subscription_ratio"]
        rooms = [report["free_capacity_gb"] - total * report[f"reserved_{kind}percentage"] / 100 for kind in kinds]
        found += [
            *rooms,
            *(math.floor(room) * ratio for room in rooms),
            total * ratio - report["provisioned_capacity_gb"],
        ]
    return [math.floor(size) for size in found]


@st.composite
def all_requests(draw: st.DrawFn) -> tuple[Pools, Request]:
    """Pools, and something to place in them: mostly plain, so that not everything is refused."""
    pools = draw(all_reports())
    specs = draw(st.just({}) | st.fixed_dictionaries({}, optional=spec))
    active = None
    if "replication_type" in specs and draw(st.booleans()):
        at, *others = draw(st.permutations(list(pools)))
        taken = frozenset({at, *others[: draw(st.integers(0, 1))]})
        active = Active(at, pools[at]["replication_domain"], taken)
    request = Request(
        size=max(1, draw(st.sampled_from(edges(pools)) | st.integers(1, 30)) + draw(st.integers(-1, 1))),
        specs=specs,
        protocol=draw(st.sampled_from(["NFS", "NFS", "CIFS"])),
        zone=draw(st.none() | zones),
        grows=draw(st.booleans()),
        from_snapshot=draw(st.booleans()),
        replica_of=active,
    )
    return pools, request


def test_every_verdict_and_every_weight(manila: Manila) -> None:
    """Four filters and the weight, on any reports and any request; Manila's other filters refuse none of these."""
    seen: Counter[str] = Counter()

    @settings(max_examples=600)
    @given(both=all_requests())
    def agrees(both: tuple[Pools, Request]) -> None:
        seen.update(compare(manila, *both))

    agrees()
    assert all(seen[name] > 30 for name in (*FILTERS.values(), "fits")), seen


# --- the reports of real backends


@pytest.mark.parametrize("which", ["manager", "directory"])
@pytest.mark.parametrize("specs", [{}, SPECS, {**SPECS, "mount_snapshot_support": "true"}, {"dedupe": "<is> True"}])
def test_a_real_backend_s_report(
    manila: Manila, which: str, specs: dict[str, str], request: pytest.FixtureRequest
) -> None:
    """The manager's reports, as they are; and a second one after Manila has placed a share on the first."""
    of: ShareManager = request.getfixturevalue(which)
    of.create_share(CONTEXT, 1)
    pools = dict(of.pools()[0])
    for size in (1, 10**6):
        for again in (False, True):
            compare(manila, pools, Request(size, specs), again=again)


def test_a_time_that_manila_cannot_compare_would_break_it(manila: Manila) -> None:
    """Why ours is called ``reported_at``: a ``timestamp`` in a pool's report is Manila's own, and no text."""
    pool = PoolId("node-1", "fast", "a")
    report = pool_report(driver("fast"), Pool(name="a", total_bytes=GIB, free_bytes=GIB), "x")
    asked = {"size": 1, "protocol": "NFS", "specs": {}, "zone": None, "zones": None, "grows": False}
    asked |= {"from_snapshot": False, "active": None, "taken": []}
    good = manila.said("schedule", pools={str(pool): report}, request=asked, again=True)
    bad = manila.said(
        "schedule", pools={str(pool): report | {"timestamp": report["reported_at"]}}, request=asked, again=True
    )
    assert "answer" in good
    assert bad["crash"].startswith("TypeError")
