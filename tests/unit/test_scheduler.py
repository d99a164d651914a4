"""Placement: what each filter refuses, in whose words, and which of the pools that are left is best."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from revertkit.errors import NotSupported
from revertkit.models import PoolId
from revertkit.scheduler import Active, Request, explain, extra_specs, weighers

NOW = datetime(2026, 1, 1, tzinfo=UTC)
REPORT: dict[str, Any] = {
    "total_capacity_gb": 100.0,
    "free_capacity_gb": 10.0,
    "provisioned_capacity_gb": 90.0,
    "thin_provisioning": False,
    "max_over_subscription_ratio": 20.0,
    "reserved_percentage": 0.0,
    "reserved_snapshot_percentage": 0.0,
    "reserved_share_extend_percentage": 0.0,
    "availability_zone": "nova",
    "replication_domain": None,
    "faults": [],
    "reported_at": NOW.isoformat(),
    "storage_protocol": "NFS",
    "revert_to_snapshot_support": True,
    "driver_handles_share_servers": False,
}
ONE = PoolId("node-1", "fast", "one")
Pool = tuple[PoolId, dict[str, Any]]


def pool(name: str = "one", **more: Any) -> Pool:
    """Report a pool."""
    return ONE._replace(pool=name), {**REPORT, **more}


def wanted(size: int = 1, **more: Any) -> Request:
    """Ask for room; ``specs`` come without the ones that everybody has."""
    return Request(size, now=NOW, **more)


def refusals(request: Request, **report: Any) -> dict[str, str]:
    """Say what is against a pool that reports so."""
    [verdict] = explain([pool(**report)], request, {}).verdicts
    return dict(verdict.refusals)


def order(pools: list[Pool], request: Request) -> list[str]:
    """Name the pools that can, the best first."""
    return [verdict.pool.pool for verdict in explain(pools, request, {}).verdicts if not verdict.refusals]


# --- the choice


def test_the_most_room_wins_among_those_that_can() -> None:
    """A larger pool that lacks what the type asks for is never chosen (rule 9)."""
    pools = [
        pool("small"),
        pool("large", free_capacity_gb=20.0),
        pool("larger", free_capacity_gb=99.0, revert_to_snapshot_support=False),
    ]
    assert order(pools, wanted(5, specs={"revert_to_snapshot_support": "true"})) == ["large", "small"]
    assert order(pools, wanted(5, specs={"revert_to_snapshot_support": "false"})) == ["larger"]
    assert order(pools, wanted(5)) == ["larger", "large", "small"]
    assert explain(pools, wanted(5), {}).chosen().pool == "larger"


def test_of_equally_good_ones_the_first() -> None:
    """The choice does not change from one call to the next."""
    assert order([pool("b"), pool("a"), pool("c")], wanted()) == ["b", "a", "c"]


def test_a_weight_is_from_0_to_1() -> None:
    """Normalised as Manila's; alone, or among equals, everybody has 0."""
    assert weighers.normalised([5, 10, 20]) == [0.0, 1 / 3, 1.0]
    assert weighers.normalised([7, 7]) == [0.0, 0.0]
    assert weighers.normalised([]) == []


def test_nothing_fits_and_every_pool_says_why() -> None:
    """Behaviour 12: no scheduler ever sends a driver what it cannot do; the answer names each pool's reasons, all."""
    pools = [pool("one"), pool("two", free_capacity_gb=99.0)]
    with pytest.raises(NotSupported) as refused:
        explain(pools, wanted(11, specs={"colour": "red"}), {"slow": "it did not answer"}).chosen()
    assert str(refused.value) == (
        "no pool can hold this share (node-1@fast#one: 10 GiB free, 11 wanted; colour is None, the share type wants red"
        "; node-1@fast#two: colour is None, the share type wants red; slow: it did not answer)"
    )


def test_no_backend_at_all() -> None:
    """The answer of a host without backends."""
    with pytest.raises(NotSupported, match="no backend is configured"):
        explain([], wanted(), {}).chosen()


# --- capacity


@pytest.mark.parametrize(
    ("size", "report", "more", "said"),
    [
        (10, {}, {}, ""),
        (11, {}, {}, "10 GiB free, 11 wanted"),
        (10, {"free_capacity_gb": 9.99}, {}, "9.99 GiB free, 10 wanted"),
        (1, {"total_capacity_gb": 0.0, "free_capacity_gb": 0.0}, {}, "it has no capacity"),
        (6, {"reserved_percentage": 5.0}, {}, "10 GiB free, 5 of it reserved, 6 wanted"),
        (6, {"reserved_percentage": 5.0}, {"grows": True}, ""),
        (6, {"reserved_share_extend_percentage": 5.0}, {"grows": True}, "10 GiB free, 5 of it reserved, 6 wanted"),
        (6, {"reserved_snapshot_percentage": 5.0}, {}, ""),
        (6, {"reserved_snapshot_percentage": 5.0}, {"from_snapshot": True}, "10 GiB free, 5 of it reserved, 6 wanted"),
    ],
)
def test_room_in_a_pool_that_promises_nothing(
    size: int, report: dict[str, Any], more: dict[str, Any], said: str
) -> None:
    """Whole GiB, less what is reserved for other kinds of requests."""
    assert refusals(wanted(size, **more), **report).get("capacity", "") == said


@pytest.mark.parametrize(
    ("size", "report", "said"),
    [
        (110, {}, ""),
        (200, {}, ""),
        (201, {}, "10 GiB free, 20 times that is less than wanted"),
        (1911, {"free_capacity_gb": 100.0}, "it would promise 2001 GiB, 20.01 times what it has; allowed is 20"),
        (1910, {"free_capacity_gb": 100.0}, ""),
        (10, {"max_over_subscription_ratio": 1.0}, ""),
        (11, {"max_over_subscription_ratio": 1.0}, "it would promise 101 GiB, 1.01 times what it has; allowed is 1"),
        (1, {"max_over_subscription_ratio": 0.5}, "max_over_subscription_ratio is 0.5, and has to be 1 or more"),
        (101, {"reserved_percentage": 5.0}, "10 GiB free, 5 of it reserved, 20 times that is less than wanted"),
    ],
)
def test_room_in_a_thin_pool(size: int, report: dict[str, Any], said: str) -> None:
    """It may promise more than it has, up to its ratio."""
    for thin in (True, [True], [True, False]):
        assert refusals(wanted(size), thin_provisioning=thin, **report).get("capacity", "") == said


@pytest.mark.parametrize("key", ["thin_provisioning", "capabilities:thin_provisioning"])
@pytest.mark.parametrize(("spec", "fits"), [("True", True), ("<is> True", True), ("<is> False", False), ("no", False)])
def test_a_type_that_wants_no_thin_pool_is_not_promised_either(key: str, spec: str, fits: bool) -> None:
    """A pool that can do both gives such a share only what is free."""
    found = refusals(wanted(11, specs={key: spec}), thin_provisioning=[True, False])
    assert found == ({} if fits else {"capacity": "10 GiB free, 11 wanted"})


def test_a_thin_pool_is_weighed_by_what_it_may_promise() -> None:
    """As Manila does; so it wins over a thick pool of the same size."""
    pools = [
        pool("thick", free_capacity_gb=100.0),
        pool("thin", thin_provisioning=True),
        pool("thin-full", thin_provisioning=True, provisioned_capacity_gb=1950.0),
    ]
    assert order(pools, wanted()) == ["thin", "thick", "thin-full"]


# --- the other filters


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"zone": "nova"}, ""),
        ({"zone": "az2"}, "it is in zone nova, az2 was asked for"),
        ({"specs": {"availability_zones": "az1, nova"}}, ""),
        ({"specs": {"availability_zones": "az2,az1"}}, "it is in zone nova, the share type allows az1, az2"),
        ({"zone": "nova", "specs": {"availability_zones": "az1"}}, "it is in zone nova, the share type allows az1"),
    ],
)
def test_the_zone(more: dict[str, Any], said: str) -> None:
    """The one that was asked for, and those that the type allows."""
    assert refusals(wanted(**more)).get("availability_zone", "") == said


@pytest.mark.parametrize(
    ("named", "fits"), [("fast", True), (str(ONE), True), (None, True), ("slow", False), (str(ONE) + "2", False)]
)
def test_the_pool_or_backend_that_was_named(named: str | None, fits: bool) -> None:
    """Others are refused by that name."""
    assert refusals(wanted(named=named)) == ({} if fits else {"pool": f"{named} was named"})


def test_an_old_report_places_nothing() -> None:
    """A backend that has gone silent gets no shares, however much room it once had."""
    for age, fits in ((0, True), (180, True), (181, False), (-5, True)):
        found = refusals(wanted(), reported_at=(NOW - timedelta(seconds=age)).isoformat())
        assert ("report" not in found) is fits
    assert refusals(wanted(), reported_at="2025-12-31T23:00:00Z")["report"].startswith("its report is 3600 s old")


def test_a_pool_that_is_out_of_order_gets_nothing() -> None:
    """Its driver's words are the reason."""
    assert refusals(wanted(), faults=["it is SUSPENDED (see zpool status)"]) == {
        "faults": "it is SUSPENDED (see zpool status)"
    }


REPLICATED = {"replication_type": "dr"}
ACTIVE = Active(PoolId("node-2", "tank", "p"), "zfs", frozenset({PoolId("node-3", "tank", "p")}))


@pytest.mark.parametrize(
    ("at", "domain", "active", "said"),
    [
        (ONE, None, None, "it replicates with no other: no replication_domain"),
        (ONE, "zfs", None, ""),
        (ONE, "zfs", ACTIVE, ""),
        (ONE, "dr1", ACTIVE, "its replication_domain is dr1, that of the active replica (node-2@tank#p) zfs"),
        (ACTIVE.pool, "zfs", ACTIVE, "the share has a replica there"),
        (PoolId("node-3", "tank", "p"), "zfs", ACTIVE, "the share has a replica there"),
    ],
)
def test_replicas_go_where_their_active_one_replicates(
    at: PoolId, domain: str | None, active: Active | None, said: str
) -> None:
    """One domain, and no two in one pool."""
    report = {**REPORT, "replication_type": "dr", "replication_domain": domain}
    [verdict] = explain([(at, report)], wanted(specs=REPLICATED, replica_of=active), {}).verdicts
    assert verdict.refusals.get("replication", "") == said


def test_without_a_replication_type_no_domain_is_asked_for() -> None:
    """A plain share goes anywhere."""
    assert refusals(wanted(), replication_domain=None) == {}


# --- capabilities


@pytest.mark.parametrize(
    ("specs", "said"),
    [
        ({"driver_handles_share_servers": "true"}, "driver_handles_share_servers is False, the share type wants true"),
        ({"colour": "red"}, "colour is None, the share type wants red"),
        ({"mount_snapshot_support": "<is> false"}, "mount_snapshot_support is None, the share type wants <is> false"),
        ({"revert_to_snapshot_support": "no"}, "revert_to_snapshot_support is True, the share type wants no"),
        ({"default_qos_type": "gold"}, "qos_type_support is None, default_qos_type needs it"),
        ({"storage_protocol": "CIFS"}, "storage_protocol is NFS, the share type wants CIFS"),
        ({"acme:colour": "red", "availability_zones": "nova"}, ""),
        ({"capabilities:revert_to_snapshot_support": "True"}, ""),
        ({"capabilities:disks:kind": "ssd"}, ""),
        ({"capabilities:disks:kind": "hdd"}, "capabilities:disks:kind is SSD, the share type wants hdd"),
        ({"capabilities:disks:kind:x": "1"}, "capabilities:disks:kind:x is None, the share type wants 1"),
        ({"dedupe": "True"}, ""),
        ({"colours": "Blue"}, ""),
    ],
)
def test_what_a_type_asks_for(specs: dict[str, str], said: str) -> None:
    """A scope of somebody else's asks for nothing here; a list is met by any of its members."""
    report = {"disks": {"kind": "SSD"}, "dedupe": [False, True], "colours": ["red", "BLUE"]}
    assert refusals(wanted(specs=specs), **report).get("capabilities", "") == said


def test_the_share_s_protocol_is_asked_for_too() -> None:
    """Unless the type has a word on it."""
    assert refusals(wanted(), storage_protocol="CIFS") == {
        "capabilities": "storage_protocol is CIFS, the share type wants <in> NFS"
    }
    assert refusals(wanted(), storage_protocol=["CIFS", "NFS"]) == {}
    assert refusals(wanted(specs={"storage_protocol": "<in> cif"}), storage_protocol="CIFS") == {}


@pytest.mark.parametrize(
    ("found", "spec", "meets"),
    [
        ("Acme", "acme", True),
        ("acme", "acme corp", False),
        (10, "10", False),
        (10, "= 10", True),
        (11, "= 10", True),
        (9, ">= 10", False),
        (9, "<= 10", True),
        ("10.0", "== 10", True),
        (10, "!= 10", False),
        (10, "< 20", False),
        (True, "yes", True),
        (False, "yes", False),
        (True, "perhaps", False),
        ("Yes", "<is> true", True),
        ("perhaps", "<is> no", True),
        ("NFS_CIFS", "<in> cifs", True),
        (7, "<in> 7", False),
        ("b", "<or> a <or> b", True),
        ("c", "<or> a <or> b", False),
        ("a", "<or>", False),
        ("2.10", "s== 2.10", True),
        ("2.9", "s> 2.10", True),
        (2, "s== 2", False),
        (2, "s< 3", False),
        ("a", "s!= b", True),
        ("a", "s!=", False),
        (None, "<is> false", False),
        (10**400, "= 1", False),
        ("", "", True),
    ],
)
def test_the_operators(found: Any, spec: str, meets: bool) -> None:
    """One example of each turn; tests/oracle/ asks Manila about all others."""
    assert extra_specs.matches(found, spec) is meets
