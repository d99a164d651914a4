"""What the LVM scenarios share: one share on a real volume group, changed and looked at through its mount."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from revertkit.drivers.lvm import LvmDriver, lvm2, rows
from revertkit.drivers.lvm.rows import Volume
from revertkit.errors import Blocked
from revertkit.models import AccessRule, Replica, Reverted, SnapshotInstance, Stored, new_id
from revertkit.system.run import StepEvent, watching

GROUP = os.environ.get("REVERTKIT_TEST_VG", "vg0")
POOL = os.environ.get("REVERTKIT_TEST_THIN_POOL", "pool0")
ROOT = Path("/srv/revertkit-drivers")
KINDS: dict[str, dict[str, str]] = {
    "thick-ext4": {},
    "thick-xfs": {"filesystem": "xfs"},
    "thin-ext4": {"thin_pool": POOL},
    "thin-xfs": {"thin_pool": POOL, "filesystem": "xfs"},
}
"""What each kind of backend adds to the settings that all have."""


def sh(*argv: str | Path, timeout: float = 120) -> str:
    """Run a command of the test's own."""
    return subprocess.run([*map(str, argv)], check=True, capture_output=True, text=True, timeout=timeout).stdout


def manifest(top: Path) -> dict[str, tuple[object, ...]]:
    """Describe every file below `top`: all that a revert must bring back."""
    found = {}
    for path in sorted(p for p in top.rglob("*") if p.name != "lost+found"):
        seen = path.lstat()
        xattrs = tuple(
            (n, os.getxattr(path, n, follow_symlinks=False)) for n in os.listxattr(path, follow_symlinks=False)
        )
        body = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and not path.is_symlink() else ""
        facts = (seen.st_mode, seen.st_uid, seen.st_gid, seen.st_nlink, seen.st_mtime_ns, body, xattrs)
        found[str(path.relative_to(top))] = facts
    return found


def fill(top: Path, word: str) -> None:
    """Write what a user has: files, directories, links, attributes."""
    (top / "deep/er").mkdir(parents=True, exist_ok=True)
    for name in ("kept", "overwritten", "deleted", "truncated", "moded", "renamed", "linked", "deep/er/one"):
        (top / name).write_text(f"{name} {word}\n" * 200)
    (top / "big").write_bytes(os.urandom(2 << 20))
    os.setxattr(top / "kept", "user.word", word.encode())
    os.chown(top / "moded", 1000, 1000)
    (top / "symbolic").unlink(missing_ok=True)
    (top / "symbolic").symlink_to("kept")
    os.sync()


def disturb(top: Path) -> None:
    """Change it in every way that a revert has to undo."""
    (top / "overwritten").write_text("something else")
    (top / "deleted").unlink()
    os.truncate(top / "truncated", 7)
    (top / "moded").chmod(0o600)
    (top / "renamed").rename(top / "renamed-away")
    (top / "hard").hardlink_to(top / "linked")
    os.setxattr(top / "kept", "user.word", b"changed")
    (top / "deep/er/one").unlink()
    (top / "deep/er").rmdir()
    (top / "added").write_bytes(os.urandom(3 << 20))
    with (top / "big").open("r+b") as big:
        big.write(os.urandom(1 << 20))
    os.sync()


@dataclass
class Bench:
    """A driver and one share of its, with the record that a manager would keep."""

    driver: LvmDriver
    share: Replica
    snapshots: list[SnapshotInstance] = field(default_factory=list)

    @property
    def top(self) -> Path:
        """Where the share is mounted."""
        return self.driver.front.share(self.share).directory

    def online(self) -> None:
        self.driver.ensure_share(self.share)

    def snap(self) -> SnapshotInstance:
        snapshot = SnapshotInstance(
            id=new_id(), snapshot_id=new_id(), replica=self.share, size=self.share.size, created_at=datetime.now(UTC)
        )
        snapshot = recorded(snapshot, self.driver.create_snapshot(snapshot))
        self.snapshots.append(snapshot)
        return snapshot

    def delete(self, snapshot: SnapshotInstance) -> None:
        self.driver.delete_snapshot(snapshot)
        self.snapshots = [s for s in self.snapshots if s.id != snapshot.id]

    def revert(self, snapshot: SnapshotInstance) -> SnapshotInstance:
        """Revert as a manager does: revert, record, bring online; answer the snapshot's new record."""
        return self.record(snapshot, self.driver.revert_to_snapshot(snapshot))

    def record(self, snapshot: SnapshotInstance, done: Reverted) -> SnapshotInstance:
        self.share = self.share.model_copy(update={"backend_id": done.share.backend_id, "size": done.share.size})
        self.snapshots = [s.model_copy(update={"replica": self.share}) for s in self.snapshots if s.id != snapshot.id]
        fresh = recorded(snapshot, done.snapshot).model_copy(update={"replica": self.share})
        self.snapshots.append(fresh)
        self.online()
        return fresh

    def content(self, snapshot: SnapshotInstance) -> dict[str, tuple[object, ...]]:
        """Read a snapshot through a mount of its own, and leave it unmounted."""
        self.driver.ensure_snapshot(snapshot)
        body = self.body(snapshot)
        place = self.driver.front.snapshot(body)
        assert place is not None
        found = manifest(place.directory)
        self.driver.front.take_offline(place)
        return found

    def body(self, snapshot: SnapshotInstance) -> Volume:
        found = self.driver.kind.look(self.share).body(snapshot.snapshot_id)
        assert found is not None
        return found

    def volume(self) -> Volume:
        found = self.driver.kind.look(self.share).origin
        assert found is not None
        return found

    def device_bytes(self) -> int:
        return self.volume().size

    def room(self) -> int:
        """How many bytes a user could have in it."""
        seen = os.statvfs(self.top)
        return seen.f_blocks * seen.f_frsize

    @property
    def thin(self) -> bool:
        return self.driver.options.thin_pool is not None

    def record_size(self, stored: Stored) -> None:
        self.share = self.share.model_copy(update={"size": stored.size, "backend_id": stored.backend_id})
        self.snapshots = [s.model_copy(update={"replica": self.share}) for s in self.snapshots]

    def clear(self) -> None:
        """Take everything of this share away, whatever state it is in; only what carries its tag."""
        subprocess.run(
            ["umount", "-A", self.driver.front.share(self.share).directory], check=False, capture_output=True
        )
        for volume in lvm2.volumes(GROUP):
            if volume.tag("share") == self.share.id or volume.origin == self.volume_name:
                subprocess.run(["umount", "-A", volume.path], check=False, capture_output=True)
        self.driver.front.take_offline(self.driver.front.share(self.share))
        subprocess.run(["lvremove", "-y", f"@revertkit.share={self.share.id}"], check=False, capture_output=True)
        self.driver.front.forget(self.driver.front.share(self.share))

    @property
    def volume_name(self) -> str:
        return rows.named("share", self.share.id)


def recorded(snapshot: SnapshotInstance, stored: Stored) -> SnapshotInstance:
    return snapshot.model_copy(update={"backend_id": stored.backend_id, "size": stored.size})


def driver_of(kind: str, percent: int = 100, **options: object) -> LvmDriver:
    """Make a driver for one kind of backend."""
    settings = {"volume_group": GROUP, "mount_root": ROOT, "export_address": "127.0.0.1", "snapshot_percent": percent}
    return LvmDriver("test", LvmDriver.Options.model_validate(settings | KINDS[kind] | options))


def bench(kind: str = "thick-ext4", percent: int = 100, size: int = 1, **options: object) -> Bench:
    """Make a driver and a share, exported to this host, mounted."""
    driver = driver_of(kind, percent, **options)
    rules = (AccessRule(id=new_id(), access_to="127.0.0.1"),)
    share = Replica(id=new_id(), share_id=new_id(), host="test", pool=driver.kind.pool_name, size=size, rules=rules)
    made = driver.create_share(share)
    result = Bench(driver, share.model_copy(update={"backend_id": made.backend_id}))
    result.online()
    return result


@dataclass
class Killer:
    """A watcher that ends its process, as a power cut would, at the first moment that is not among `spared`."""

    spared: set[str]
    tell: int

    def __call__(self, event: StepEvent) -> None:
        moment = f"{event.moment.value} {event.name}"
        if moment not in self.spared:
            os.write(self.tell, moment.encode())
            os.kill(os.getpid(), signal.SIGKILL)


def killed(spared: set[str], call: Callable[[], object]) -> str:
    """Run `call` in a child that is killed at its first moment not in `spared`; answer it, empty if there was none."""
    hear, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with watching(Killer(spared, tell)):
                call()
            os._exit(0)
        finally:
            traceback.print_exc()
            os._exit(1)
    os.close(tell)
    _, status = os.waitpid(child, 0)
    moment = os.read(hear, 4096).decode()
    os.close(hear)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return moment


def kinds(blocked: pytest.ExceptionInfo[Blocked]) -> set[str]:
    return {b.kind for b in blocked.value.blockers}


def wait_until(true: Callable[[], bool]) -> None:
    """Wait for what the test itself began."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


@contextmanager
def stranger(bench: Bench) -> Iterator[str]:
    """A snapshot of the share that somebody took by hand; still there, and sound, at the end."""
    name = f"stranger-{bench.share.id[:8]}"
    sh("lvcreate", "-y", "-s", "-n", name, "-L", "64m", f"{GROUP}/{bench.volume_name}")
    try:
        yield name
        assert not {v.name: v for v in lvm2.volumes(GROUP)}[name].invalid
    finally:
        sh("lvremove", "-y", f"{GROUP}/{name}")
