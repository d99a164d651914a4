"""Placement through the manager and the command line: several backends, zones, reserves, promises, silence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support import CONTEXT, SPECS, counted_writes
from typer.testing import CliRunner

from revertkit.cli.app import app
from revertkit.drivers.memory import MemoryDriver
from revertkit.errors import BackendError, InvalidInput, NotSupported
from revertkit.manager import ShareManager
from revertkit.models import Pool
from revertkit.pool_report import schema
from revertkit.settings import load

SETTINGS = """
host = "node-1"
project = "project"
default_share_type = "revertible"
availability_zone = "az1"

[backends.large]
driver = "memory"
capacity_gb = 100
reserved_percentage = 20
reserved_share_extend_percentage = 10

[backends.small]
driver = "memory"
capacity_gb = 50
availability_zone = "az2"
"""
LARGE, SMALL = "node-1@large#memory", "node-1@small#memory"


@pytest.fixture
def file(state: Path) -> Iterator[Path]:
    """A settings file with two backends in two zones."""
    MemoryDriver.reset()
    file = state / "revertkit.toml"
    file.write_text(f'state_dir = "{state}"\n{SETTINGS}')
    yield file
    MemoryDriver.reset()


@pytest.fixture
def both(file: Path) -> ShareManager:
    """Their manager."""
    return ShareManager.open(load(file))


def run(file: Path, *words: str, code: int = 0) -> Any:
    """Run a command that has to end with `code`."""
    result = CliRunner().invoke(app, ["--config", str(file), *words])
    assert result.exit_code == code, f"{words}: {result.exit_code}\n{result.output}"
    return result


def test_shares_spread(both: ShareManager) -> None:
    """The most room first: 80 of 100 are free for shares in one, 50 in the other."""
    where = [both.create_share(CONTEXT, 20).pool.backend for _ in range(6)]
    assert where == ["large", "large", "small", "large", "small", "large"]
    with pytest.raises(NotSupported) as refused:
        both.create_share(CONTEXT, 20)
    assert f"{LARGE}: 20 GiB free, 20 of it reserved, 20 wanted; {SMALL}: 10 GiB free, 20 wanted" in str(refused.value)


def test_the_zone_that_is_asked_for(both: ShareManager) -> None:
    """By the caller or by the type."""
    assert str(both.create_share(CONTEXT, 1, availability_zone="az2").pool) == SMALL
    both.create_type("there", {**SPECS, "availability_zones": "az2,az9"})
    assert str(both.create_share(CONTEXT, 1, share_type="there").pool) == SMALL
    with counted_writes() as written, pytest.raises(NotSupported, match="is in zone az1, az9 was asked for"):
        both.create_share(CONTEXT, 1, availability_zone="az9")
    assert written == []
    with pytest.raises(NotSupported, match="it is in zone az1, az2 was asked for"):
        both.create_share(CONTEXT, 1, availability_zone="az2", pool="large")


def test_growth_has_a_reserve_of_its_own(both: ShareManager) -> None:
    """What new shares may not have, those that are there can grow into; refused before anything changes."""
    share = both.create_share(CONTEXT, 80, pool="large")
    assert both.extend_share(CONTEXT, share.id, 90).size == 90
    with counted_writes() as written, pytest.raises(NotSupported) as refused:
        both.extend_share(CONTEXT, share.id, 91)
    assert written == []
    assert str(refused.value) == (
        f"share {share.id} cannot grow to 91 GiB in pool {LARGE}: 10 GiB free, 10 of it reserved, 1 wanted"
    )
    assert both.share(CONTEXT, share.id).size == 90


def test_growth_where_the_backend_is_silent(both: ShareManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot be known whether there is room."""
    share = both.create_share(CONTEXT, 1)

    def silent(_: Any) -> Any:
        raise BackendError("no answer")

    monkeypatch.setattr(MemoryDriver, "pools", silent)
    with pytest.raises(NotSupported, match="no answer"):
        both.extend_share(CONTEXT, share.id, 2)


def test_a_disabled_backend_gets_nothing_new(both: ShareManager) -> None:
    """What is there may grow."""
    share = both.create_share(CONTEXT, 1, pool="large")
    both.set_backend_enabled("large", enabled=False, reason="new disks")
    assert both.create_share(CONTEXT, 1).pool.backend == "small"
    with pytest.raises(NotSupported, match="large: it is disabled: new disks"):
        both.create_share(CONTEXT, 1, pool="large")
    assert both.extend_share(CONTEXT, share.id, 2).size == 2


def test_a_thin_pool_is_asked_for_promises(both: ShareManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has 10 GiB free and may promise 200; what its shares on record have counts as promised already."""
    thin = {"thin_provisioning": True, "max_over_subscription_ratio": 2.0}

    def pools(self: MemoryDriver) -> list[Pool]:
        extra = thin if self.backend == "large" else {}
        return [Pool(name="memory", total_bytes=100 << 30, free_bytes=60 << 30, extra=extra)]

    both.create_share(CONTEXT, 70, pool="large")
    monkeypatch.setattr(MemoryDriver, "pools", pools)
    assert [str(v) for v in both.explain(CONTEXT, 120).verdicts] == [
        f"{SMALL}: 60 GiB free, 120 wanted",
        f"{LARGE}: 60 GiB free, 20 of it reserved, 2 times that is less than wanted",
    ][::-1]
    assert both.explain(CONTEXT, 80).chosen().backend == "large"
    assert "it would promise 201 GiB" in str(both.explain(CONTEXT, 131, pool="large").verdicts[0])


def test_a_share_from_a_snapshot_stays_where_that_is(both: ShareManager) -> None:
    """Its backend alone is asked, and its reserve is the one for such shares."""
    share = both.create_share(CONTEXT, 1, pool="small")
    snapshot = both.create_snapshot(CONTEXT, share.id)
    found = both.explain(CONTEXT, 1, snapshot=snapshot.id)
    assert [str(verdict.pool) for verdict in found.verdicts] == [SMALL]
    assert both.create_share(CONTEXT, 1, snapshot=snapshot.id).pool.backend == "small"


def test_what_cannot_be_explained_is_wrong_input(both: ShareManager) -> None:
    """As it would be for the share itself."""
    for wrong in ({"pool": "nowhere"}, {"pool": "a@b"}):
        with pytest.raises(InvalidInput):
            both.explain(CONTEXT, 1, **wrong)
    with pytest.raises(InvalidInput):
        both.explain(CONTEXT, 0)


# --- as people read it


def test_explain_is_a_dry_run(file: Path) -> None:
    """Every pool, every filter's reason, the verdict of the real call; nothing is made."""
    rows = json.loads(run(file, "share", "create", "60", "--explain", "--format", "json").stdout)
    assert rows == [
        {"pool": LARGE, "verdict": "chosen", "weight": 0.0, "refusals": {}},
        {"pool": SMALL, "verdict": "refused", "weight": None, "refusals": {"capacity": "50 GiB free, 60 wanted"}},
    ]
    both = json.loads(run(file, "share", "create", "1", "--explain", "--format", "json").stdout)
    assert [(row["verdict"], row["weight"]) for row in both] == [("chosen", 1.0), ("fits", 0.0)]
    refused = run(file, "share", "create", "90", "--availability-zone", "az9", "--explain", code=6)
    assert "capacity = 50 GiB free, 90 wanted" in refused.stdout
    assert "availability_zone = it is in zone az2, az9 was asked for" in refused.stdout
    assert refused.stderr == "error: no pool can hold this share\n"
    run(file, "share", "create", "90", "--availability-zone", "az9", code=6)
    assert json.loads(run(file, "share", "list", "--format", "json").stdout) == []


def test_explain_names_a_silent_backend(file: Path) -> None:
    """With the reason."""
    file.write_text(file.read_text() + '\n[backends.gone]\ndriver = "directory"\nmount_root = "/nowhere"\n')
    *_, last = json.loads(run(file, "share", "create", "1", "--explain", "--format", "json").stdout)
    assert (last["pool"], last["verdict"]) == ("gone", "silent")
    assert "/nowhere" in last["refusals"]["report"]


def test_the_report_for_people_programs_and_prometheus(file: Path) -> None:
    """One command, three forms; the second is what `pool schema` describes."""
    file.write_text(file.read_text() + '\n[backends.gone]\ndriver = "directory"\nmount_root = "/nowhere"\n')
    run(file, "share", "create", "5", "--pool", "small")
    told = json.loads(run(file, "pool", "report", "--format", "json").stdout)
    assert list(told["silent"]) == ["gone"]
    assert [pool["pool"] for pool in told["pools"]] == [LARGE, SMALL]
    printed = json.loads(run(file, "pool", "schema").stdout)
    assert printed == schema()
    for pool in told["pools"]:
        jsonschema.Draft202012Validator(printed).validate(pool)
    small = told["pools"][1]
    assert (small["allocated_capacity_gb"], small["free_capacity_gb"], small["availability_zone"]) == (5, 45, "az2")
    table = run(file, "pool", "report")
    assert SMALL in table.stdout
    assert "backend gone cannot be asked" in table.stderr
    text = run(file, "pool", "report", "--format", "prometheus").stdout
    samples = {(s.name, *s.labels.values()): s.value for f in text_string_to_metric_families(text) for s in f.samples}
    assert samples["revertkit_pool_allocated_bytes", SMALL] == 5 << 30
    assert (samples["revertkit_backend_up", "gone"], samples["revertkit_backend_up", "small"]) == (0, 1)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("reserved_percentage = 101", "backends.small.reserved_percentage"),
        ("reserved_percentage = -1", "backends.small.reserved_percentage"),
        ('replication_domain = "a/b"', "backends.small.replication_domain"),
    ],
)
def test_wrong_words_about_a_backend_are_refused(file: Path, line: str, said: str) -> None:
    """By file, line and key."""
    file.write_text(f"{file.read_text()}{line}\n")
    assert said in run(file, "pool", "list", code=9).stderr
