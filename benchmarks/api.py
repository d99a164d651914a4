"""The REST API's speed, and Manila's own beside it: the same requests, to both, in one run.

Run it with ``python benchmarks/api.py``; it prints a table, and asserts nothing. revertkit is `revertkit serve` on the
memory backend; Manila is the package from PyPI on its dummy driver (manila_server.py says how). Both on SQLite, in a
directory of its own under ``--directory``, one server at a time, asked by the clients of this process.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from core import machine

from revertkit import scheduler
from revertkit.capabilities import pool_report
from revertkit.drivers.memory import MemoryDriver
from revertkit.manager import ShareManager
from revertkit.models import GIB, Context, Pool, PoolId, new_id
from revertkit.settings import BackendSettings, Settings
from revertkit.store import shares

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/oracle"))
import manila_env  # noqa: E402

PROJECT = "bench"
SPECS = dict.fromkeys(("snapshot_support", "revert_to_snapshot_support"), "True")
TYPE = {"driver_handles_share_servers": "False", **SPECS}
HEADERS = {
    "Content-Type": "application/json",
    "X-OpenStack-Manila-API-Version": "2.60",
    "X-Auth-Token": f"{PROJECT}:{PROJECT}",
}
PATIENCE = 600.0
STUCK_SECONDS = 60.0
"""After how long a status that should be passing is one that is left behind."""
TRIES = 4
"""How many shares one client has to revert, one after the other, should one be left behind."""


@dataclass
class Found:
    """What one server did: milliseconds of the answers that were right, and what the others were.

    `alone` are reverts of one client, `reverts` those of all of them at the same time.
    """

    name: str
    alone: list[float] = field(default_factory=list)
    reverts: list[float] = field(default_factory=list)
    lists: list[float] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)
    stuck: int = 0
    processor: float = 0.0
    placements: list[float] = field(default_factory=list)
    began: float = 0.0


class Client:
    """One keep-alive connection, as a client's."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any, float]:
        """Answer the status, the JSON, and how many milliseconds it took to have all of it."""
        began = time.perf_counter()
        self.connection.request(method, f"/v2{path}", json.dumps(body) if body is not None else None, HEADERS)
        answer = self.connection.getresponse()
        text = answer.read()
        took = (time.perf_counter() - began) * 1000
        return answer.status, json.loads(text) if text else None, took

    def must(self, method: str, path: str, body: Any = None) -> Any:
        """Ask until it is answered well: Manila answers 500 when its SQLite is locked."""
        for _ in range(50):
            status, answer, _ = self.ask(method, path, body)
            if status < 300:
                return answer
            time.sleep(0.2)
        raise SystemExit(f"{method} {path}: {status} {answer}")

    def available(self, path: str, what: str) -> bool:
        """Wait until a share or snapshot is available; say whether it ever is."""
        deadline = time.monotonic() + STUCK_SECONDS
        while (status := self.must("GET", path)[what]["status"]) != "available":
            if "error" in status or time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


# --- the servers


def free_port() -> int:
    """Find a port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def serving(argv: list[Any], port: int, log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the end of the block, and answer its process; it is there when it answers."""
    with log.open("w") as output:
        process = subprocess.Popen(argv, stdout=output, stderr=output, env=os.environ | environment)
    try:
        deadline = time.monotonic() + PATIENCE
        while not answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{argv[0]} does not serve: {log.read_text()[-3000:]}")
            time.sleep(0.2)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(port: int) -> bool:
    """Say whether a server is ready for requests."""
    try:
        return Client(port).ask("GET", "/types")[0] == 200
    except OSError:
        return False


@contextmanager
def revertkit(home: Path, port: int, count: int) -> Iterator[subprocess.Popen[bytes]]:
    """Serve revertkit, with `count` shares of another host on record, and a share type."""
    backends = {"fast": BackendSettings(driver="memory", capacity_gb=100_000)}
    manager = ShareManager.open(Settings(host="node-1", state_dir=home, project=PROJECT, backends=backends))
    manager.create_type("t", TYPE)
    for counted in ("shares", "snapshots", "gigabytes", "snapshot_gigabytes"):
        manager.set_quota(None, counted, -1)
    made = manager.create_share(Context(project_id=PROJECT), 1, share_type="t", name="share")
    began = datetime(2026, 1, 1, tzinfo=UTC)
    with manager.site.store.write() as tx:
        for number in range(count):
            share_id, replica_id = new_id(), new_id()
            there = made.pool._replace(host="elsewhere")
            replica = made.replica.model_copy(update={"id": replica_id, "share_id": share_id, "host": there.host})
            more = {"id": share_id, "name": f"share-{number}", "created_at": began + timedelta(seconds=number)}
            shares.add(tx, made.model_copy(update={**more, "pool": there, "replica": replica}))
            shares.set_locations(tx, replica_id, made.export_locations)
    manager.delete_share(Context(project_id=PROJECT), made.id)
    manager.site.store.engine.dispose()
    settings = home / "revertkit.toml"
    settings.write_text(
        f'host = "node-1"\nstate_dir = "{home}"\nproject = "{PROJECT}"\n[api]\nport = {port}\n'
        '[backends.fast]\ndriver = "memory"\ncapacity_gb = 100000\n'
    )
    argv = [Path(sys.executable).with_name("revertkit"), "--config", settings, "serve"]
    with serving(argv, port, home / "output") as process:
        yield process


@contextmanager
def manila(home: Path, port: int, count: int) -> Iterator[subprocess.Popen[bytes]]:
    """Serve Manila, likewise."""
    argv = [manila_env.python(), ROOT / "benchmarks/manila_server.py", home, str(port), str(count), PROJECT]
    with serving(argv, port, home / "output") as process:
        yield process


# --- what is asked of both


def measure(name: str, serve: Callable[[Path, int, int], Any], root: Path, asked: argparse.Namespace) -> Found:
    """Ask one server everything."""
    home = root / name
    home.mkdir()
    port, found = free_port(), Found(name, began=os.getloadavg()[0])
    with serve(home, port, asked.shares) as process:
        for pair in prepared(port, TRIES):
            left = asked.times * 4 - len(found.alone)
            found.stuck += reverts(port, *pair, left, found.alone, found.refused)
        calls = [
            partial(reverts, port, *pair, asked.times, found.reverts, found.refused)
            for pair in prepared(port, asked.clients)
        ]
        found.stuck += sum(at_once(calls))
        one = Client(port)
        before = processor_ms(process.pid)
        for _ in range(asked.lists):
            status, answer, took = one.ask("GET", "/shares/detail?limit=1000")
            if status != 200:
                found.refused[status] += 1
                continue
            assert len(answer["shares"]) == 1000, len(answer["shares"])
            found.lists.append(took)
        found.processor = (processor_ms(process.pid) - before) / asked.lists
    return found


def processor_ms(pid: int) -> float:
    """Say how many milliseconds of a processor a process has had, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def prepared(port: int, clients: int) -> list[tuple[str, str]]:
    """Make a share with a snapshot for each client."""
    client, pairs = Client(port), []
    wait_for_pools(client)
    while len(pairs) < clients:
        wanted = {"share_proto": "NFS", "size": 1, "share_type": "t", "name": "mine"}
        share = client.must("POST", "/shares", {"share": wanted})["share"]["id"]
        if not client.available(f"/shares/{share}", "share"):
            continue
        snapshot = client.must("POST", "/snapshots", {"snapshot": {"share_id": share}})["snapshot"]["id"]
        if client.available(f"/snapshots/{snapshot}", "snapshot"):
            pairs.append((share, snapshot))
    return pairs


def wait_for_pools(client: Client) -> None:
    """Wait until the scheduler has heard of a pool."""
    while not client.must("GET", "/scheduler-stats/pools")["pools"]:
        time.sleep(0.2)


def reverts(port: int, share: str, snapshot: str, times: int, took: list[float], refused: Counter[int]) -> bool:
    """Be one client: revert a share of its own, wait until it is available, and again; say if it never is."""
    client = Client(port)
    for _ in range(times):
        status, _, spent = client.ask("POST", f"/shares/{share}/action", {"revert": {"snapshot_id": snapshot}})
        if status == 202:
            took.append(spent)
        else:
            refused[status] += 1
        if not (
            client.available(f"/shares/{share}", "share") and client.available(f"/snapshots/{snapshot}", "snapshot")
        ):
            return True
    return False


def at_once(calls: list[Callable[[], bool]]) -> list[bool]:
    """Run all of them, each in a thread, and answer what they answer."""
    with ThreadPoolExecutor(len(calls)) as threads:
        return [each.result() for each in [threads.submit(call) for call in calls]]


# --- placement: the scheduler alone


def some_pools(count: int) -> dict[str, dict[str, Any]]:
    """Report `count` pools, ten a backend, half of them thin; a third cannot revert."""
    reports = {}
    for number in range(count):
        backend = f"b{number // 10}"
        driver = MemoryDriver(backend, MemoryDriver.Options())
        extra: dict[str, Any] = {"thin_provisioning": number % 2 == 0, "iops": number}
        if number % 3 == 0:
            extra["revert_to_snapshot_support"] = False
        pool = Pool(name=f"p{number}", total_bytes=1000 * GIB, free_bytes=number * GIB, extra=extra)
        reports[str(PoolId("node-1", backend, pool.name))] = pool_report(driver, pool, "memory")
    return reports


PLACED = {**TYPE, "iops": ">= 5", "storage_protocol": "<in> nfs"}


def placements(reports: dict[str, dict[str, Any]], times: int) -> tuple[list[float], str]:
    """Let our scheduler choose among these pools."""
    pools = [(PoolId.parse(name), report) for name, report in reports.items()]
    took, chosen = [], ""
    for _ in range(times):
        began = time.perf_counter()
        chosen = str(scheduler.explain(pools, scheduler.Request(5, PLACED), {}).chosen())
        took.append((time.perf_counter() - began) * 1000)
    return took, chosen


def placements_of_manila(reports: dict[str, dict[str, Any]], times: int) -> tuple[list[float], str]:
    """Let Manila's choose among the same: its default filters and weighers, with the reports taken in already."""
    request = {"size": 5, "protocol": "NFS", "specs": PLACED, "zone": None, "zones": None, "grows": False}
    request |= {"from_snapshot": False, "active": None, "taken": []}
    question = {"ask": "timed", "pools": reports, "request": request, "times": times}
    argv = [manila_env.python(), ROOT / "tests/oracle/manila_child.py"]
    told = subprocess.run(argv, input=json.dumps(question) + "\n", capture_output=True, text=True, check=True)
    answer = json.loads(told.stdout)["answer"]
    return answer["took"], answer["chosen"]


# --- the table


MEASURED = {
    "alone": "revert accepted, one client",
    "reverts": "revert accepted, all clients",
    "lists": "detail list, 1,000 shares",
    "placements": "placement",
}


def rows(ours: Found, theirs: Found) -> list[tuple[str, str, str, str]]:
    """Compare."""
    compared = []
    for key, name in MEASURED.items():
        for label, figure in (("p50", statistics.median), ("p99", p99)):
            own, other = (figure(found) if found else None for found in (getattr(ours, key), getattr(theirs, key)))
            ratio = f"{other / own:.1f}" if own and other else "-"
            compared.append((f"{name}, {label}", ms(own), ms(other), ratio))
    own, other = ours.processor, theirs.processor
    compared.append(("processor time of a list, mean", ms(own), ms(other), f"{other / own:.1f}"))
    compared.append(("of all clients' reverts, accepted", str(len(ours.reverts)), str(len(theirs.reverts)), ""))
    compared.append(("of them, answered otherwise", told(ours.refused), told(theirs.refused), ""))
    compared.append(("shares left in reverting for good", str(ours.stuck), str(theirs.stuck), ""))
    compared.append(("load average at its start", f"{ours.began:.1f}", f"{theirs.began:.1f}", ""))
    return compared


def p99(values: list[float]) -> float:
    """The slowest of a hundred; of fewer, the slowest."""
    return statistics.quantiles(values, n=100)[-1] if len(values) >= 100 else max(values)


def ms(value: float | None) -> str:
    """Write milliseconds down."""
    return "-" if value is None else f"{value:.1f} ms"


def told(refused: Counter[int]) -> str:
    """Say how often each status was the answer."""
    return ", ".join(f"{count} x {status}" for status, count in sorted(refused.items())) or "none"


def main() -> None:
    """Measure both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--directory", type=Path, default=Path.cwd(), help="where to put the databases")
    parser.add_argument("--clients", type=int, default=16, help="how many revert at the same time")
    parser.add_argument("--times", type=int, default=25, help="reverts of each client")
    parser.add_argument("--shares", type=int, default=10_000, help="shares on record")
    parser.add_argument("--lists", type=int, default=20, help="lists of 1,000 of them")
    parser.add_argument("--pools", type=int, default=1_000, help="pools to choose among")
    asked = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="bench-", dir=asked.directory)).absolute()
    try:
        ours = measure("revertkit", revertkit, root, asked)
        theirs = measure("manila", manila, root, asked)
    finally:
        shutil.rmtree(root)
    reports = some_pools(asked.pools)
    ours.placements, chosen = placements(reports, 50)
    theirs.placements, chosen_by_manila = placements_of_manila(reports, 50)
    assert chosen == chosen_by_manila, (chosen, chosen_by_manila)
    for name, value in [*machine(asked.directory), ("measured", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC")]:
        print(f"{name}: {value}")
    print(f"revertkit {version('revertkit')}, manila {manila_env.MANILA}\n")
    print("| | revertkit | Manila | Manila / revertkit |\n|---|---|---|---|")
    print("\n".join(f"| {' | '.join(row)} |" for row in rows(ours, theirs)))


if __name__ == "__main__":
    main()
