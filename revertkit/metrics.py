"""What a server tells Prometheus: operations as they end, waits, and, asked anew at each scrape, shares and pools."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from revertkit import __version__, telemetry
from revertkit.capabilities import Capability
from revertkit.errors import StoreError
from revertkit.manager import ShareManager
from revertkit.models import GIB, OperationKind, Outcome, PoolId
from revertkit.store import operations, shares
from revertkit.telemetry import Event, LockRefused, LockTaken, OperationEnded, WriteBegun

CONTENT_TYPE = CONTENT_TYPE_LATEST
DURATIONS = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200)
WAITS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30)
CAPACITIES = {
    "total": "What the pool holds.",
    "free": "What is free in it.",
    "allocated": "The sizes of all shares on record in it.",
    "provisioned": "What it has promised; in a thin pool this may be more than it holds.",
}
Pools = Sequence[tuple[PoolId, Mapping[str, Any]]]


class Metrics:
    """The figures of one manager, in a registry of their own."""

    def __init__(self, manager: ShareManager) -> None:
        """Make the registry. Nothing is counted before :meth:`counting`."""
        self.registry = CollectorRegistry()
        self._ended = Counter(
            "revertkit_operations", "Operations that ended here.", ["kind", "outcome"], registry=self.registry
        )
        self._took = Histogram(
            "revertkit_operation_duration_seconds",
            "From an operation's accept to its end.",
            ["kind"],
            buckets=DURATIONS,
            registry=self.registry,
        )
        self._waited = Histogram(
            "revertkit_database_lock_wait_seconds",
            "What a transaction waited until it could write.",
            buckets=WAITS,
            registry=self.registry,
        )
        self._held_up = Histogram(
            "revertkit_share_lock_wait_seconds",
            "What an operation waited for locks that were about to be let go.",
            buckets=WAITS,
            registry=self.registry,
        )
        self._refused = Counter(
            "revertkit_share_locks_refused",
            "Operations that were refused because a living process was at work on the share.",
            registry=self.registry,
        )
        for kind in OperationKind:
            for outcome in Outcome:
                self._ended.labels(kind, outcome)
        for collector in (_Records(manager), _Backends(manager)):
            self.registry.register(collector)
        ProcessCollector(registry=self.registry)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count what happens in this process meanwhile."""
        with telemetry.listening(self._hear):
            yield

    def render(self) -> bytes:
        """Answer all of it as text, of the type :data:`CONTENT_TYPE`. Every backend is asked for its pools."""
        return generate_latest(self.registry)

    def _hear(self, event: Event) -> None:
        match event:
            case OperationEnded(kind, outcome, seconds):
                self._ended.labels(kind, outcome).inc()
                self._took.labels(kind).observe(seconds)
            case WriteBegun(seconds):
                self._waited.observe(seconds)
            case LockTaken(seconds):
                self._held_up.observe(seconds)
            case LockRefused():
                self._refused.inc()


class _Records(Collector):
    """What is on record. A database that cannot be read is a figure too: the scrape goes on."""

    def __init__(self, manager: ShareManager) -> None:
        self._site = manager.site

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield _gauge("revertkit_info", "The version that runs.", ["version"], [([__version__], 1)])
        try:
            with self._site.store.read() as tx:
                found, underway = shares.by_status(tx), operations.unfinished(tx)
        except StoreError:
            yield _gauge("revertkit_database_up", "Whether the database can be read.", [], [([], 0)])
            return
        yield _gauge("revertkit_database_up", "Whether the database can be read.", [], [([], 1)])
        by_status = [([str(status)], count) for status, count in sorted(found.items())]
        yield _gauge("revertkit_shares", "Shares, by the status of their active replica.", ["status"], by_status)
        kinds = [operation.kind for operation in underway]
        unfinished = [([str(kind)], kinds.count(kind)) for kind in OperationKind]
        yield _gauge("revertkit_operations_unfinished", "Operations under way or interrupted.", ["kind"], unfinished)


class _Backends(Collector):
    """What the backends say of their pools now."""

    def __init__(self, manager: ShareManager) -> None:
        self._manager = manager

    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            reports, silent = self._manager.pools()
        except StoreError:
            return
        yield from of_pools(reports, silent)


class _Once(Collector):
    """Families that are there already."""

    def __init__(self, families: Iterable[GaugeMetricFamily]) -> None:
        self._families = list(families)

    def collect(self) -> list[GaugeMetricFamily]:
        return self._families


def pools_text(reports: Pools, silent: Mapping[str, str]) -> str:
    """Write pools' reports out as Prometheus reads them."""
    registry = CollectorRegistry()
    registry.register(_Once(of_pools(reports, silent)))
    return generate_latest(registry).decode()


def of_pools(reports: Pools, silent: Mapping[str, str]) -> Iterator[GaugeMetricFamily]:
    """Turn pools' reports into figures; a backend that could not be asked is down, and has no pools."""
    up = [([backend], 1) for backend in sorted({pool.backend for pool, _ in reports})]
    up += [([backend], 0) for backend in sorted(silent)]
    yield _gauge("revertkit_backend_up", "Whether the backend could be asked for its pools.", ["backend"], up)
    for key, said in CAPACITIES.items():
        values = [([str(pool)], report[f"{key}_capacity_gb"] * GIB) for pool, report in reports]
        yield _gauge(f"revertkit_pool_{key}_bytes", said, ["pool"], values)
    thin = [([str(p)], report["max_over_subscription_ratio"]) for p, report in reports if report["thin_provisioning"]]
    yield _gauge("revertkit_pool_max_over_subscription_ratio", "How often a thin pool may promise it.", ["pool"], thin)
    able = [([str(pool), str(c)], int(bool(report.get(c)))) for pool, report in reports for c in Capability]
    yield _gauge("revertkit_pool_capability", "Whether the pool has a capability.", ["pool", "capability"], able)
    asked = [([str(pool)], datetime.fromisoformat(report["reported_at"]).timestamp()) for pool, report in reports]
    yield _gauge("revertkit_pool_reported_timestamp_seconds", "When the backend was asked.", ["pool"], asked)


def _gauge(
    name: str, said: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, said, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family
