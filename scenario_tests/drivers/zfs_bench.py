"""What the ZFS scenarios share: a driver on a dataset of its own, changed and looked at through its mounts."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from uuid import uuid4

from revertkit.drivers.zfs import ZfsDriver
from revertkit.models import AccessRule, Replica, RevertState, SnapshotInstance, new_id
from revertkit.system import mounts, nfs_clients
from revertkit.system.run import Moment, StepEvent, watching

POOL = os.environ.get("REVERTKIT_TEST_ZPOOL", "tank0")

# --- a backend, its shares, and what is in them


class Backend:
    """A driver on a dataset of its own, and the records that a manager would keep."""

    def __init__(self, name: str, root: Path, **options: Any) -> None:
        self.name, self.root = name, root
        own = ZfsDriver.Options(pool=name, mount_root=root, export_address=IPv4Address("127.0.0.1"), **options)
        self.driver = ZfsDriver("test", own)

    def share(self, size: int = 1, *rules: AccessRule) -> Replica:
        share = self.record(size, *rules)
        share = share.model_copy(update={"backend_id": self.driver.create_share(share).backend_id})
        self.driver.ensure_share(share)
        return share

    def record(self, size: int = 1, *rules: AccessRule) -> Replica:
        return Replica(id=new_id(), share_id=new_id(), host="node-1", pool=self.name, size=size, rules=rules)

    def take(self, share: Replica) -> SnapshotInstance:
        snapshot = self.instance(share)
        return snapshot.model_copy(update={"backend_id": self.driver.create_snapshot(snapshot).backend_id})

    def instance(self, share: Replica) -> SnapshotInstance:
        now = datetime.now(UTC)
        return SnapshotInstance(id=new_id(), snapshot_id=new_id(), replica=share, size=share.size, created_at=now)

    def revert(self, snapshot: SnapshotInstance) -> Replica:
        """Revert, record, and bring online, as the manager does."""
        reverted = self.driver.revert_to_snapshot(snapshot)
        assert not self.path(snapshot.replica).is_mount(), "the share is offline until the outcome is on record"
        assert self.driver.revert_state(snapshot) is RevertState.REVERTED
        share = snapshot.replica.model_copy(update={"size": reverted.share.size})
        assert reverted.share.backend_id == share.backend_id
        assert reverted.snapshot.backend_id == snapshot.backend_id
        self.driver.ensure_share(share)
        return share

    def path(self, share: Replica) -> Path:
        return self.root / f"share-{share.id}"

    def dataset(self, share: Replica) -> str:
        return f"{self.name}/share-{share.id}"

    def at(self, snapshot: SnapshotInstance) -> str:
        return f"{self.dataset(snapshot.replica)}@snap-{snapshot.snapshot_id}"


@contextmanager
def backend_of_its_own(pool: str = POOL, **options: Any) -> Iterator[Backend]:
    """A driver below a dataset whose name carries a marker; it goes, with all that is in it, at the end."""
    marker = f"revertkit-test-{uuid4().hex[:12]}"
    name, root = f"{pool}/{marker}", Path("/srv") / marker
    zfs("create", "-o", "canmount=off", "-o", "mountpoint=none", name)
    try:
        yield Backend(name, root, **options)
    finally:
        sweep(name, root)


def sweep(name: str, root: Path) -> None:
    """Unexport, unmount and destroy; only below the marker."""
    assert "/revertkit-test-" in name
    for file in Path("/etc/exports.d").glob("revertkit-*.exports"):
        if str(root) in file.read_text():
            file.unlink()
    subprocess.run(["exportfs", "-ra"], check=False, stderr=subprocess.DEVNULL)
    targets = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if str(root) in line]
    for target in map(Path, reversed(targets)):
        nfs_clients.recall(target)
        mounts.unmount(target, 20)
    until(lambda: succeeds("zfs", "destroy", "-r", name))
    shutil.rmtree(root, ignore_errors=True)


def succeeds(*words: str) -> bool:
    return subprocess.run(words, check=False).returncode == 0


def until(done: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.2)


def zfs(*words: str) -> str:
    return subprocess.run(["zfs", *words], check=True, capture_output=True, text=True).stdout.strip()


def prop(name: str, which: str) -> str:
    return zfs("get", "-Hp", "-o", "value", which, name)


def snapshots(dataset: str) -> list[str]:
    return zfs(
        "list", "-H", "-t", "snapshot,bookmark", "-d", "1", "-s", "createtxg", "-o", "name,guid", dataset
    ).splitlines()


def fill(top: Path) -> None:
    """One of everything that a revert has to bring back."""
    (top / "docs" / "deep").mkdir(parents=True)
    (top / "docs" / "text").write_text("A" * 10_000)
    (top / "docs" / "deep" / "bytes").write_bytes(os.urandom(300_000))
    (top / "kept").write_text("kept")
    (top / "gone").write_text("will be deleted")
    (top / "long").write_text("will be truncated" * 1000)
    os.link(top / "kept", top / "linked")
    (top / "symlink").symlink_to("docs/text")
    (top / "kept").chmod(0o640)
    os.chown(top / "docs" / "text", 1234, 4321)
    os.setxattr(top / "kept", "user.colour", b"green")
    os.utime(top / "kept", ns=(1_000_000_000, 1_234_567_890_123_456_789))
    os.mkfifo(top / "pipe")


def spoil(top: Path) -> None:
    """Change every one of them."""
    (top / "docs" / "text").write_text("B" * 20_000)
    (top / "gone").unlink()
    (top / "added").write_text("new")
    (top / "docs" / "new").mkdir()
    os.truncate(top / "long", 3)
    (top / "linked").unlink()
    (top / "kept").chmod(0o777)
    os.chown(top / "docs" / "text", 0, 0)
    os.setxattr(top / "kept", "user.colour", b"red")
    (top / "symlink").unlink()
    (top / "docs" / "deep" / "bytes").rename(top / "moved")
    (top / "pipe").unlink()


def manifest(top: Path) -> dict[str, tuple[Any, ...]]:
    """Everything that can be seen of a tree: bytes, modes, owners, times, links, extended attributes."""
    return {str(p.relative_to(top)): seen(p) for p in [top, *sorted(top.rglob("*"))]}


def seen(path: Path) -> tuple[Any, ...]:
    is_link, stat = path.is_symlink(), path.lstat()
    content = (
        str(path.readlink()) if is_link else hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    )
    attributes = {
        name: os.getxattr(path, name, follow_symlinks=False) for name in os.listxattr(path, follow_symlinks=False)
    }
    size = 0 if path.is_dir() else stat.st_size
    return (
        stat.st_mode,
        stat.st_uid,
        stat.st_gid,
        size,
        stat.st_mtime_ns,
        stat.st_nlink,
        stat.st_ino,
        content,
        attributes,
    )


@contextmanager
def child(program: str, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Run a Python program that prints a line when it is ready."""
    argv = [sys.executable, "-c", program, *map(str, arguments)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.wait()


def killed_at(moment: int, call: Callable[[], object]) -> str | None:
    """Run `call` in a child process that is killed as it begins, or at the end of its nth step; answer which.

    A driver puts nothing on record, so that the end of a step and the beginning of the next are one moment.
    None if there was none.
    """
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        seen: list[StepEvent] = []

        def kill(event: StepEvent) -> None:
            if event.moment is Moment.PROGRESS or (seen and event.moment is Moment.BEFORE):
                return
            if len(seen) == moment:
                os.write(writing, f"{event.moment} {event.name}".encode())
                os.kill(os.getpid(), signal.SIGKILL)
            seen.append(event)

        status = 1
        try:
            with watching(kill):
                call()
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    _, status = os.waitpid(pid, 0)
    with os.fdopen(reading) as pipe:
        where = pipe.read()
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the call failed in the child"
    return where or None


def each_kill(call: Callable[[], object]) -> Iterator[str]:
    """Kill `call` at every step in turn; the loop's body puts things back into order before the next."""
    moment = 0
    while where := killed_at(moment, call):
        yield where
        moment += 1
    assert moment > 1, "there were no steps to be killed at"
