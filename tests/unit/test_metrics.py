"""The figures: what happened is counted once, and pools and shares are those of the moment."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support import CONTEXT, SPECS, stop

from revertkit import telemetry
from revertkit.drivers.memory import MemoryDriver
from revertkit.errors import BackendError, Conflict, OperationFailed
from revertkit.locks import Busy
from revertkit.manager import ShareManager
from revertkit.metrics import Metrics
from revertkit.models import GIB
from revertkit.telemetry import LockRefused, OperationEnded, WriteBegun

POOL = "node-1@fast#memory"


@pytest.fixture
def metrics(manager: ShareManager) -> Iterator[Metrics]:
    """The figures of the memory backend's manager."""
    metrics = Metrics(manager)
    with metrics.counting():
        yield metrics


def figure(metrics: Metrics, name: str, **labels: str) -> float | None:
    """Read one sample out of the text, as Prometheus does."""
    families = text_string_to_metric_families(metrics.render().decode())
    found = [s.value for family in families for s in family.samples if s.name == name and s.labels == labels]
    assert len(found) <= 1, found
    return found[0] if found else None


def test_operations_are_counted_as_they_end(manager: ShareManager, metrics: Metrics) -> None:
    """Each kind and outcome from zero on, so that a rate can be taken of the first; and how long they took."""
    ended, took = "revertkit_operations_total", "revertkit_operation_duration_seconds_count"
    assert figure(metrics, ended, kind="revert_to_snapshot", outcome="done") == 0
    share = manager.create_share(CONTEXT, 1)
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    for _ in range(2):
        manager.revert_to_snapshot(CONTEXT, snapshot.id)
    assert figure(metrics, ended, kind="revert_to_snapshot", outcome="done") == 2
    assert figure(metrics, ended, kind="create_share", outcome="done") == 1
    assert figure(metrics, took, kind="revert_to_snapshot") == 2
    assert figure(metrics, "revertkit_operation_duration_seconds_bucket", kind="create_share", le="+Inf") == 1


def test_a_failure_is_one(manager: ShareManager, metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal before the accept is no operation, a failure after it is a failed one."""
    share = manager.create_share(CONTEXT, 1)
    first = manager.create_snapshot(CONTEXT, share.id)
    second = manager.create_snapshot(CONTEXT, share.id)
    with pytest.raises(Conflict):
        manager.revert_to_snapshot(CONTEXT, first.id)

    def fail(*_: Any) -> Any:
        raise BackendError("no")

    monkeypatch.setattr(MemoryDriver, "revert_to_snapshot", fail)
    with pytest.raises(OperationFailed):
        manager.revert_to_snapshot(CONTEXT, second.id)
    kind = "revert_to_snapshot"
    outcomes = {o: figure(metrics, "revertkit_operations_total", kind=kind, outcome=o) for o in ("done", "failed")}
    assert outcomes == {"done": 0, "failed": 1}
    assert figure(metrics, "revertkit_shares", status="reverting_error") == 1


def test_nothing_is_counted_once_nobody_counts(manager: ShareManager) -> None:
    """The end of a server is the end of its figures."""
    metrics = Metrics(manager)
    with metrics.counting():
        pass
    manager.create_share(CONTEXT, 1)
    assert figure(metrics, "revertkit_operations_total", kind="create_share", outcome="done") == 0


def test_shares_and_pools_are_those_of_the_moment(manager: ShareManager, metrics: Metrics) -> None:
    """Asked anew at each scrape."""
    assert figure(metrics, "revertkit_shares", status="available") is None
    manager.create_share(CONTEXT, 3)
    assert figure(metrics, "revertkit_shares", status="available") == 1
    figures = {k: figure(metrics, f"revertkit_pool_{k}_bytes", pool=POOL) for k in ("total", "free", "allocated")}
    assert figures == {"total": 1000 * GIB, "free": 997 * GIB, "allocated": 3 * GIB}
    capability = {"pool": POOL, "capability": "revert_to_snapshot_support"}
    assert figure(metrics, "revertkit_pool_capability", **capability) == 1
    assert figure(metrics, "revertkit_backend_up", backend="fast") == 1
    assert figure(metrics, "revertkit_database_up") == 1


def test_what_is_under_way_shows(manager: ShareManager, metrics: Metrics) -> None:
    """An operation whose process is gone stays in the figure until it is recovered."""
    manager._dispatch = stop
    manager.create_share(CONTEXT, 1)
    assert figure(metrics, "revertkit_operations_unfinished", kind="create_share") == 1
    manager.recover()
    assert figure(metrics, "revertkit_operations_unfinished", kind="create_share") == 0
    assert figure(metrics, "revertkit_operations_total", kind="create_share", outcome="done") == 1


def test_a_silent_backend_is_down_and_the_scrape_goes_on(
    manager: ShareManager, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no pools then."""

    def silent(_: Any) -> Any:
        raise BackendError("no answer")

    monkeypatch.setattr(MemoryDriver, "pools", silent)
    assert figure(metrics, "revertkit_backend_up", backend="fast") == 0
    assert figure(metrics, "revertkit_pool_total_bytes", pool=POOL) is None


def test_a_lost_database_is_a_figure(manager: ShareManager, metrics: Metrics, state: Path) -> None:
    """An alarm can be set on it, which it could not on an answer of 500."""
    manager.site.store.engine.dispose()
    for file in state.glob("revertkit.db*"):
        file.unlink()
    (state / "revertkit.db").write_bytes(b"no database")
    assert figure(metrics, "revertkit_database_up") == 0
    assert figure(metrics, "revertkit_operations_total", kind="create_share", outcome="done") == 0


def test_waits_are_told(manager: ShareManager, metrics: Metrics) -> None:
    """Locks that are taken say how long that took, as every write does; a refusal is counted once."""
    share = manager.create_share(CONTEXT, 1)
    assert figure(metrics, "revertkit_share_lock_wait_seconds_count") == 1
    with manager.site.locks.hold(share.id), pytest.raises(Busy):
        manager.create_snapshot(CONTEXT, share.id)
    assert figure(metrics, "revertkit_share_locks_refused_total") == 1
    assert figure(metrics, "revertkit_share_lock_wait_seconds_count") == 1
    before = figure(metrics, "revertkit_database_lock_wait_seconds_count")
    manager.create_type("other", SPECS)
    assert figure(metrics, "revertkit_database_lock_wait_seconds_count") == (before or 0) + 1


def test_events_go_to_all_who_listen_and_to_nobody_else() -> None:
    """Two servers in one process each count; a listener that has left hears nothing."""
    first, second = list[Any](), list[Any]()
    with telemetry.listening(first.append):
        telemetry.tell(LockRefused())
        with telemetry.listening(second.append):
            telemetry.tell(WriteBegun(0.5))
    telemetry.tell(OperationEnded("k", "done", 1.0))
    assert (first, second) == ([LockRefused(), WriteBegun(0.5)], [WriteBegun(0.5)])


def test_the_command_line_does_not_load_prometheus() -> None:
    """It would be a seventh of the time that `--help` may take."""
    code = "import revertkit.cli.app, revertkit.manager, sys; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
