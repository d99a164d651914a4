"""What the tests share: a state directory, managers on it, what is in a tree, and child processes that do one thing.

Child processes come from multiprocessing's fork server: it has imported everything once, so a child costs
milliseconds. Whatever runs in one is a function of a module, and everything waited for is waited for with a limit.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from revertkit.locks import Held, Locks
from revertkit.manager import ShareManager
from revertkit.models import Context, Operation, Share, ShareType, Snapshot
from revertkit.operations.accepted import Accepted
from revertkit.operations.site import Site
from revertkit.settings import BackendSettings, Settings
from revertkit.status import RESTING, RuleState
from revertkit.store import Store, operations
from revertkit.store.tables import (
    access_rules,
    instances,
    replicas,
    reservations,
    shares,
    snapshot_access_rules,
    snapshots,
)
from revertkit.system.run import StepEvent, watching

CONTEXT = Context(project_id="project")
SPECS = {
    "driver_handles_share_servers": "false",
    "snapshot_support": "true",
    "create_share_from_snapshot_support": "true",
    "revert_to_snapshot_support": "true",
}
SECONDS = 60.0
"""The limit of every wait: far above what anything here takes, far below the patience of whoever runs the tests."""

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(
    ["__main__", "revertkit.manager", "revertkit.drivers.directory", "sh", "tooz.coordination", "tooz.drivers.file"]
)


class Killed(BaseException):
    """A death in the middle, as far as one process can play it: nothing may catch it."""


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Tell the time; a second passes."""
        self.time += timedelta(seconds=1)
        return self.time


def settings(state: Path, driver: str = "directory", **options: Any) -> Settings:
    """Describe a manager with one backend, ``fast``."""
    if driver == "directory":
        (state / "pool").mkdir(parents=True, exist_ok=True)
        options.setdefault("mount_root", state / "pool")
    backend = BackendSettings.model_validate({"driver": driver, **options})
    return Settings(host="node-1", state_dir=state, backends={"fast": backend}, default_share_type="revertible")


def open_manager(state: Path, driver: str = "directory", **how: Any) -> ShareManager:
    """Open a manager as a program does."""
    return ShareManager.open(settings(state, driver), **how)


def site_of(state: Path, driver: str = "directory", now: Callable[[], datetime] | None = None) -> Site:
    """Make a site, with a clock of the test's own, on a state directory that a manager has prepared."""
    told = settings(state, driver)
    more = {"now": now} if now else {}
    return Site("node-1", Store.embedded(state), Locks(state / "locks"), told.all_backends, **more)


def mountable(manager: ShareManager) -> ShareType:
    """Make a share type whose snapshots are mounted too."""
    return revertible(manager, "mountable", mount_snapshot_support="true")


def revertible(manager: ShareManager, name: str = "revertible", **specs: str) -> ShareType:
    """Make a share type that allows everything."""
    return manager.create_type(name, {**SPECS, **specs})


# --- trees


def share_tree(manager: ShareManager, share: Share) -> Path:
    """Say where users find a share of the directory backend."""
    return Path(manager.share(CONTEXT, share.id).export_locations[0].path)


def snapshot_tree(state: Path, share: Share, snapshot: Snapshot) -> Path:
    """Say where the directory backend keeps a snapshot."""
    return state / "pool" / ".revertkit" / f"share-{share.replica.id}" / f"snap-{snapshot.id}" / "data"


def write_tree(tree: Path, word: str) -> None:
    """Make the content of `tree` the one that `word` stands for; different words leave nothing alike."""
    for path in tree.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    (tree / "letter").write_text(word * 100)
    (tree / f"only-{word}").write_text(word)
    (tree / "deep" / word).mkdir(parents=True)
    (tree / "deep" / word / "leaf").write_bytes(word.encode() * 5000)
    (tree / "deep" / word / "leaf").chmod(0o600 + len(word) % 8)
    (tree / "link").symlink_to(f"only-{word}")
    os.link(tree / "letter", tree / "deep" / "twin")


def manifest(tree: Path) -> dict[str, tuple[Any, ...]]:
    """Describe everything in a tree: kind, mode, content."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in sorted(tree.rglob("*")):
        kind, mode = ("link" if path.is_symlink() else "dir" if path.is_dir() else "file"), path.lstat().st_mode
        content = str(path.readlink()) if kind == "link" else path.read_bytes() if kind == "file" else None
        found[str(path.relative_to(tree))] = (kind, mode, content)
    return found


# --- what has to hold whenever nothing runs


def assert_at_rest(manager: ShareManager) -> None:
    """See that nothing is under way: statuses at rest, rules settled, operations ended, no quota set aside."""
    with manager.site.store.read() as tx:
        found = [*tx.execute(select(replicas.c.status)).scalars(), *tx.execute(select(instances.c.status)).scalars()]
        assert set(found) <= set(RESTING), found
        rules = set(tx.execute(select(access_rules.c.status)).scalars())
        rules |= set(tx.execute(select(snapshot_access_rules.c.status)).scalars())
        assert rules <= {RuleState.ACTIVE, RuleState.ERROR}, rules
        assert operations.unfinished(tx) == []
        assert tx.execute(select(func.count()).select_from(reservations)).scalar() == 0


def assert_quota_is_the_sum(manager: ShareManager, project_id: str = CONTEXT.project_id) -> None:
    """See that what quota says is in use is what there is."""
    use = manager.quotas(project_id)
    with manager.site.store.read() as tx:
        sizes = list(tx.execute(select(shares.c.size)).scalars())
        taken = list(tx.execute(select(snapshots.c.size).where(snapshots.c.deleted_at.is_(None))).scalars())
    assert (use["shares"].in_use, use["gigabytes"].in_use) == (len(sizes), sum(sizes))
    assert (use["snapshots"].in_use, use["snapshot_gigabytes"].in_use) == (len(taken), sum(taken))
    assert {name: quota.reserved for name, quota in use.items() if quota.reserved} == {}


# --- operations that stop on the way


class Parked:
    """A dispatch that keeps accepted operations instead of running them."""

    def __init__(self) -> None:
        self.accepted: list[Accepted] = []

    def __call__(self, accepted: Accepted) -> None:
        """Keep it."""
        self.accepted.append(accepted)


def stop(accepted: Accepted) -> Operation:
    """Let an accepted operation's owner be gone: its locks are free, the operation is on record as under way."""
    accepted.held.release()
    return accepted.operation


@contextmanager
def counted_writes() -> Iterator[list[str]]:
    """Count the write transactions that are committed meanwhile."""
    written: list[str] = []
    with points_in_store(lambda name: written.append(name) if name == "after commit" else None):
        yield written


@contextmanager
def points_in_store(point: Callable[[str], None]) -> Iterator[None]:
    """Call `point` just before and just after each commit of a write transaction."""
    original = Store.write

    @contextmanager
    def write(store: Store) -> Iterator[Any]:
        with original(store) as tx:
            yield tx
            point("before commit")
        point("after commit")

    Store.write = write  # type: ignore[method-assign]
    try:
        yield
    finally:
        Store.write = original  # type: ignore[method-assign]


@contextmanager
def points(reached: Callable[[str], None]) -> Iterator[None]:
    """Call `reached` at every point of an operation: before and after each step and each commit."""

    def watch(event: StepEvent) -> None:
        if event.percent is None:
            reached(f"{event.moment.value} {event.name}")

    with watching(watch), points_in_store(reached):
        yield


# --- child processes


def wait_until(true: Callable[[], object], what: str, seconds: float = SECONDS) -> None:
    """Poll for something that gives no event of its own, and fail by name if it never comes."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain for {what}"
        time.sleep(0.005)


@contextmanager
def child(target: Callable[..., None], *arguments: Any) -> Iterator[Any]:
    """Run `target` in a process of its own, which does not outlive the block."""
    process = processes.Process(target=target, args=arguments, daemon=True)
    process.start()
    try:
        yield process
    finally:
        if process.is_alive():
            os.kill(process.pid or 0, signal.SIGCONT)
            process.kill()
        process.join(SECONDS)


def ended(process: Any) -> int:
    """Wait for a child's end and answer its exit status."""
    process.join(SECONDS)
    assert process.exitcode is not None, "the child process has not ended"
    return int(process.exitcode)


class Gate:
    """A point that a child stops at: it says that it is there, and goes on when it is told to. Files, so that any
    number of processes of any kind can meet at it."""

    def __init__(self, directory: Path) -> None:
        self.here, self.open = directory / "gate-here", directory / "gate-open"

    def stand(self) -> None:
        """Say that we are here, and wait to go on."""
        self.here.touch()
        wait_until(self.open.exists, "the gate to open")

    def wait(self) -> None:
        """Wait until somebody stands here."""
        wait_until(self.here.exists, "somebody at the gate")

    def let_go(self) -> None:
        """Open it for good."""
        self.open.touch()


@contextmanager
def thread(target: Callable[[], None]) -> Iterator[threading.Thread]:
    """Run `target` in a thread and see it end."""
    running = threading.Thread(target=target, daemon=True)
    running.start()
    yield running
    running.join(SECONDS)
    assert not running.is_alive(), "the thread has not ended"


class NoLocks(Locks):
    """Locks that never refuse, as those of another machine would be: the database's transaction has to decide."""

    def __init__(self) -> None:
        """Need no directory."""

    def hold(self, *share_ids: str) -> Held:
        """Take nothing."""
        return Held([])
