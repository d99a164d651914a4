"""The core's own speed: one revert's share of the manager, the latest-snapshot look-up, the start of the command line.

Run it with ``python benchmarks/core.py``; it prints a table, and asserts nothing (the number of write transactions is
held by a test). Everything is measured in a directory of its own under ``--directory`` (default: the working one), so
that fsync is the disk's and not a memory file system's.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import insert

from revertkit.drivers.memory import MemoryDriver
from revertkit.manager import ShareManager
from revertkit.models import Context, Share, new_id
from revertkit.settings import BackendSettings, Settings
from revertkit.store import snapshots
from revertkit.store.tables import instances
from revertkit.store.tables import snapshots as snapshots_table
from revertkit.system.run import Moment, StepEvent, watching

CONTEXT = Context(project_id="bench")
SPECS = dict.fromkeys(("snapshot_support", "revert_to_snapshot_support"), "true")
LOOK_UPS = 300


def median_ms(call: Callable[[], object], times: int) -> float:
    """Answer the median of `times` calls in milliseconds."""
    return statistics.median(timed(call) for _ in range(times))


def timed(call: Callable[[], object]) -> float:
    """Answer how long one call takes in milliseconds."""
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def manager_in(directory: Path) -> ShareManager:
    """Open a manager on the memory backend."""
    backends = {"fast": BackendSettings(driver="memory")}
    manager = ShareManager.open(Settings(host="bench", state_dir=directory, backends=backends))
    manager.create_type("t", {"driver_handles_share_servers": "false", **SPECS})
    for counted in ("shares", "snapshots", "gigabytes", "snapshot_gigabytes"):
        manager.set_quota(None, counted, -1)
    return manager


def fsync_ms(directory: Path) -> float:
    """Answer what it takes this disk to make 4 KiB durable: a write and an fsync."""
    with (directory / "fsync").open("wb", buffering=0) as file:

        def once() -> None:
            file.seek(0)
            file.write(b"x" * 4096)
            os.fsync(file.fileno())

        return median_ms(once, 200)


class Watch:
    """How long a driver's steps take, all together."""

    def __init__(self) -> None:
        self.began, self.spent = 0.0, 0.0

    def __call__(self, event: StepEvent) -> None:
        """Take the time of a step; the memory driver's are not nested."""
        if event.moment is Moment.BEFORE:
            self.began = time.perf_counter()
        elif event.moment is Moment.AFTER:
            self.spent += (time.perf_counter() - self.began) * 1000


def revert(directory: Path, times: int) -> list[tuple[str, str]]:
    """Measure one revert on the memory backend: all of it, and what of it is the driver's."""
    manager = manager_in(directory)
    share = manager.create_share(CONTEXT, 1, share_type="t")
    snapshot = manager.create_snapshot(CONTEXT, share.id)
    writes = writes_of(manager, lambda: manager.revert_to_snapshot(CONTEXT, snapshot.id))
    fsync = fsync_ms(directory)
    whole, steps, watch = [], [], Watch()
    processor = time.process_time()
    for _ in range(times):
        watch.spent = 0.0
        with watching(watch):
            whole.append(timed(lambda: manager.revert_to_snapshot(CONTEXT, snapshot.id)))
        steps.append(watch.spent)
    processor = (time.process_time() - processor) * 1000 / times
    own = statistics.median(whole) - statistics.median(steps)
    again = fsync_ms(directory)
    return [
        ("write transactions of one revert (aim: at most 3)", str(writes)),
        ("one revert, the manager's own part, median", f"{own:.1f} ms"),
        ("  processor time of it, mean", f"{processor:.1f} ms"),
        ("  slowest of a hundred (p99)", f"{statistics.quantiles(whole, n=100)[-1]:.1f} ms"),
        ("  the memory driver's steps in it", f"{statistics.median(steps):.2f} ms"),
        ("4 KiB write + fsync on the same disk, median before, after", f"{fsync:.1f} ms, {again:.1f} ms"),
        ("the manager's own part in fsyncs", f"{own / statistics.mean((fsync, again)):.1f}"),
    ]


def writes_of(manager: ShareManager, call: Callable[[], object]) -> int:
    """Count the write transactions of a call, by SQLite's own statements."""
    engine = manager.site.store.engine
    engine.dispose()
    seen: list[str] = []
    from sqlalchemy import event

    def trace(connection: sqlite3.Connection, _record: object) -> None:
        connection.set_trace_callback(lambda sql: seen.append(sql) if sql.startswith("BEGIN IMMEDIATE") else None)

    event.listen(engine, "connect", trace)
    call()
    event.remove(engine, "connect", trace)
    engine.dispose()
    return len(seen)


def fill(manager: ShareManager, shares: list[Share], count: int) -> None:
    """Bring the shares to `count` snapshots in all, spread evenly."""
    there = len(manager.snapshots(CONTEXT))
    began = datetime(2026, 1, 1, tzinfo=UTC)
    with manager.site.store.write() as tx:
        rows, parts = [], []
        for number in range(there, count):
            share, at = shares[number % len(shares)], began + timedelta(seconds=number)
            row = {"id": new_id(), "share_id": share.id, "project_id": CONTEXT.project_id, "size": 1}
            rows.append({**row, "metadata": {}, "created_at": at})
            part = {"id": new_id(), "snapshot_id": row["id"], "replica_id": share.replica.id}
            parts.append({**part, "status": "available", "created_at": at})
        tx.execute(insert(snapshots_table), rows)
        tx.execute(insert(instances), parts)


def look_up(directory: Path, spread: int, counts: list[int]) -> list[float]:
    """Measure the latest-snapshot look-up at so many snapshots, of one share or spread over several."""
    manager = manager_in(directory)
    shares = [manager.create_share(CONTEXT, 1, share_type="t") for _ in range(spread)]
    found = []
    for count in counts:
        fill(manager, shares, count)
        with manager.site.store.read() as tx:
            numbers = iter(range(10 * LOOK_UPS))

            def once() -> None:
                snapshots.latest(tx, shares[next(numbers) * 7919 % spread].id)  # noqa: B023

            median_ms(once, LOOK_UPS)
            found.append(median_ms(once, LOOK_UPS))
    return found


def look_ups(root: Path) -> list[tuple[str, str]]:
    """Measure both ways of standing."""
    counts = [1_000, 10_000, 100_000]
    told = []
    for name, spread in (("of one share", 1), ("spread over 100 shares", 100)):
        directory = root / f"look-up-{spread}"
        directory.mkdir()
        MemoryDriver.reset()
        found = look_up(directory, spread, counts)
        for count, each in zip(counts, found, strict=True):
            told.append((f"latest of {count:,} snapshots {name}", f"{each:.3f} ms"))
        told.append(("  slowest by fastest (aim: within 1.5)", f"{max(found) / min(found):.2f}"))
    return told


def start() -> list[tuple[str, str]]:
    """Measure the start of the command line."""
    if find_spec("revertkit.cli") is None:
        return [("revertkit --help (aim: under 400 ms)", "not measured: there is no command line yet")]
    argv = [sys.executable, "-c", "from revertkit.cli import main; main()", "--help"]

    def once() -> None:
        subprocess.run(argv, check=True, capture_output=True)

    once()
    bare = median_ms(lambda: subprocess.run([sys.executable, "-c", ""], check=True), 10)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    helped = median_ms(once, 15)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000 / 15
    return [
        ("revertkit --help, median (aim: under 400 ms)", f"{helped:.0f} ms"),
        ("  processor time of it, mean", f"{processor:.0f} ms"),
        ("  of which Python itself", f"{bare:.0f} ms"),
    ]


def machine(directory: Path) -> list[tuple[str, str]]:
    """Say what it was measured on."""
    cpu = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    kind = subprocess.run(["stat", "-f", "-c", "%T", directory], check=True, capture_output=True, text=True)
    return [
        ("processor", f"{os.cpu_count()} cores, {cpu[0] if cpu else platform.machine()}"),
        ("load average at the start", f"{os.getloadavg()[0]:.1f}"),
        ("file system of the state directory", kind.stdout.strip()),
        (
            "versions",
            f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, Linux {platform.release()}",
        ),
    ]


def main() -> None:
    """Measure all of it and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--directory", type=Path, default=Path.cwd(), help="where to put the databases")
    parser.add_argument("--times", type=int, default=200, help="how many reverts")
    asked = parser.parse_args()
    logging.getLogger("revertkit").setLevel(logging.CRITICAL)
    root = Path(tempfile.mkdtemp(prefix="bench-", dir=asked.directory)).absolute()
    try:
        (root / "revert").mkdir()
        rows = [*machine(root), *revert(root / "revert", asked.times), *look_ups(root), *start()]
    finally:
        shutil.rmtree(root)
    width = max(len(name) for name, _ in rows)
    print("\n".join(f"{name:<{width}}  {value}" for name, value in rows))


if __name__ == "__main__":
    main()
