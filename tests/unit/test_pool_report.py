"""Pool reports: complete, in the schema, with the administrator's words, and refused where a driver's are none."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from test_capabilities import POOL, Able, driver
from test_lvm_thin import OLD
from test_lvm_thin import POOL as LVM_POOL

import revertkit
from revertkit.capabilities import Capability, pool_report
from revertkit.drivers.lvm import LvmDriver, lvm2
from revertkit.drivers.zfs import ZfsDriver, openzfs
from revertkit.drivers.zfs.listing import Health
from revertkit.errors import BackendError
from revertkit.manager import ShareManager
from revertkit.models import GIB
from revertkit.pool_report import PoolReport, schema
from revertkit.settings import BackendSettings

SCHEMA_FILE = Path(revertkit.__file__).parents[1] / "docs/pool_report.schema.json"


def valid(report: dict[str, Any]) -> dict[str, Any]:
    """See that a report is JSON, and what the schema says."""
    assert json.loads(json.dumps(report)) == report
    jsonschema.Draft202012Validator(schema(), format_checker=jsonschema.FormatChecker()).validate(report)
    return report


def test_the_schema_that_is_checked_in_is_the_code_s() -> None:
    """`revertkit pool schema >docs/pool_report.schema.json` makes it anew."""
    assert json.loads(SCHEMA_FILE.read_text()) == schema()
    jsonschema.Draft202012Validator.check_schema(schema())


def test_the_schema_can_refuse() -> None:
    """A report without its time, or with less than nothing free, is none."""
    report = valid(pool_report(driver(Able), POOL, "x"))
    for wrong in ({"reported_at": None}, {"free_capacity_gb": -1}, {"driver_handles_share_servers": True}):
        with pytest.raises(jsonschema.ValidationError):
            valid({**report, **wrong})
    with pytest.raises(jsonschema.ValidationError):
        valid({key: value for key, value in report.items() if key != "total_capacity_gb"})


def test_every_capability_is_in_the_schema() -> None:
    """Whatever a driver can do, a share type can ask for by a name that is written down."""
    assert {str(capability) for capability in Capability} <= set(PoolReport.model_fields)


def test_the_administrator_s_words_are_in_it() -> None:
    """Zone, domain and reserves are the backend's settings; the two special reserves follow the plain one."""
    told = BackendSettings(driver="x", availability_zone="az1", replication_domain="d", reserved_percentage=10)
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    report = valid(pool_report(driver(Able), POOL, "x", told, allocated=7, now=at))
    assert (report["availability_zone"], report["replication_domain"]) == ("az1", "d")
    reserves = ("reserved_percentage", "reserved_snapshot_percentage", "reserved_share_extend_percentage")
    assert [report[key] for key in reserves] == [10, 10, 10]
    assert (report["allocated_capacity_gb"], report["provisioned_capacity_gb"]) == (7, 7)
    assert datetime.fromisoformat(report["reported_at"]) == at
    own = BackendSettings(driver="x", reserved_percentage=10, reserved_snapshot_percentage=0)
    assert pool_report(driver(Able), POOL, "x", own)["reserved_snapshot_percentage"] == 0
    assert pool_report(driver(Able), POOL, "x")["availability_zone"] == "nova"


def test_free_room_is_rounded_down() -> None:
    """A report never promises what is not there: 9.999 GiB are no 10."""
    pool = POOL.model_copy(update={"free_bytes": 10 * GIB - 1, "total_bytes": 10 * GIB})
    assert pool_report(driver(Able), pool, "x")["free_capacity_gb"] == 9.99
    nothing = POOL.model_copy(update={"free_bytes": -1})
    assert pool_report(driver(Able), nothing, "x")["free_capacity_gb"] == 0


def test_the_backend_s_word_on_what_it_promised_wins() -> None:
    """It knows of volumes that are nobody's here; keys of its own are kept."""
    pool = POOL.model_copy(update={"extra": {"provisioned_capacity_gb": 12.5, "disks": {"kind": "ssd"}}})
    report = valid(pool_report(driver(Able), pool, "x", allocated=7))
    assert (report["provisioned_capacity_gb"], report["disks"]) == (12.5, {"kind": "ssd"})


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"max_over_subscription_ratio": 0.5}, "max_over_subscription_ratio is 0.5"),
        ({"thin_provisioning": "perhaps"}, "thin_provisioning"),
        ({"provisioned_capacity_gb": None}, "provisioned_capacity_gb is None"),
        ({"disks": object()}, "Unable to serialize"),
    ],
)
def test_what_is_no_report_is_the_driver_s_fault(extra: dict[str, Any], said: str) -> None:
    """It is named, and nothing is placed by it."""
    with pytest.raises(BackendError, match="driver 'x' reports of its pool pool: ") as refused:
        pool_report(driver(Able), POOL.model_copy(update={"extra": extra}), "x")
    assert said in str(refused.value)


def test_a_thin_lvm_pool_reports_its_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    """Placement on a thin pool goes by them."""
    thin_pool, volume = replace(LVM_POOL, size=10 * GIB, data_percent=10.0), replace(OLD, size=30 * GIB)
    monkeypatch.setattr(lvm2, "volumes", lambda _: [thin_pool, volume])
    monkeypatch.setattr(lvm2, "version", lambda: (2, 3, 31))
    options = {"volume_group": "vg0", "thin_pool": "pool0", "mount_root": "/srv", "max_over_subscription_ratio": 5}
    lvm = LvmDriver("thin", LvmDriver.Options.model_validate(options))
    [pool] = lvm.pools()
    report = valid(pool_report(lvm, pool, "lvm"))
    assert (report["thin_provisioning"], report["max_over_subscription_ratio"]) == (True, 5)
    assert (report["provisioned_capacity_gb"], report["free_capacity_gb"]) == (30, 9)


def test_zfs_promises_more_than_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refquota reserves nothing."""
    monkeypatch.setattr(openzfs, "capacity", lambda _: (1 * GIB, 9 * GIB))
    monkeypatch.setattr(openzfs, "health", lambda _: Health("ONLINE", readonly=False))
    zfs = ZfsDriver("tank", ZfsDriver.Options(pool="tank0", mount_root=Path("/srv"), max_over_subscription_ratio=2))
    [pool] = zfs.pools()
    report = valid(pool_report(zfs, pool, "zfs", allocated=15))
    assert (report["thin_provisioning"], report["max_over_subscription_ratio"]) == (True, 2)
    assert (report["provisioned_capacity_gb"], report["total_capacity_gb"]) == (15, 10)


def test_a_pool_that_is_out_of_order_has_nothing_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Manila's scheduler does not read our reasons; it reads what is free."""
    monkeypatch.setattr(openzfs, "capacity", lambda _: (1 * GIB, 9 * GIB))
    monkeypatch.setattr(openzfs, "health", lambda _: Health("SUSPENDED", readonly=False))
    zfs = ZfsDriver("tank", ZfsDriver.Options(pool="tank0", mount_root=Path("/srv")))
    [pool] = zfs.pools()
    report = valid(pool_report(zfs, pool, "zfs"))
    assert (report["free_capacity_gb"], report["total_capacity_gb"]) == (0, 10)
    assert report["faults"] == ["zpool tank0 is SUSPENDED (see `zpool status -v tank0`)"]


@pytest.mark.parametrize("which", ["manager", "directory"])
def test_the_reports_of_real_backends(which: str, request: pytest.FixtureRequest) -> None:
    """Memory and directory, through the manager."""
    manager: ShareManager = request.getfixturevalue(which)
    reports, silent = manager.pools()
    assert silent == {}
    for _, report in reports:
        valid(report)
