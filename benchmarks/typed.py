"""Reverts as others do them, each on a volume of its own: typed by a careful operator, and as Manila's LVM driver.

The commands are those that have to be there; nothing is checked in between, and no process but the tools is started.
"""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ADDRESS = "127.0.0.1"
GROUP, THIN_POOL, ZPOOL = "vg0", "pool0", "tank0"
OPTIONS = "nodev,nosuid,noatime"
ROOM = "256m"
"""Of a thick snapshot: 25 % of a share of 1 GiB, as :mod:`revert` has it."""
POLL_EACH_SECOND = ["--config", "activation/polling_interval=1"]
VERBS = ("-s", "--snapshot", "-an", "-ay", "-pr", "--merge", "--type", "--poll", "-ra", "-u")
"""What tells one use of a tool from another; of several the first."""


def short(argv: list[str]) -> str:
    """Name a command by its tool and what it is told to do."""
    told = argv[1:2] if argv[0] in ("zfs", "zpool") else [word for word in VERBS if word in argv][:1]
    return " ".join([argv[0], *told])


def wait_for_inode_tables(seconds: float = 180) -> None:
    """Wait until the kernel has written the inode tables of every new ext4: a revert would take it all back again.

    It goes on for a minute after the first mount, and would make a change of 10 MiB one of up to 26.
    """
    os.sync()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if subprocess.run(["pgrep", "ext4lazyinit"], stdout=subprocess.DEVNULL, check=False).returncode != 0:
            return
        time.sleep(0.5)


class Typed(ABC):
    """A share with one snapshot, mounted and exported; :meth:`revert` is what is timed."""

    def __init__(self, name: str, root: Path) -> None:
        self.name, self.path = name, root / name
        self.spans: list[tuple[str, float]] = []
        self.file = Path("/etc/exports.d") / f"{name}.exports"

    def run(self, *argv: str | Path, ok: bool = True) -> str:
        """Run a command, and take its time."""
        words, began = [str(word) for word in argv], time.perf_counter()
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=600)
        self.spans.append((short(words), time.perf_counter() - began))
        if ok and done.returncode != 0:
            raise RuntimeError(f"{words}: {done.stderr}")
        return done.stdout

    @abstractmethod
    def make(self) -> None:
        """Make the volume and mount it."""

    @abstractmethod
    def snapshot(self) -> None:
        """Take the snapshot."""

    @abstractmethod
    def revert(self) -> None:
        """Turn the share back, and have it mounted and exported again, and the snapshot there."""

    @abstractmethod
    def remove(self) -> None:
        """Remove all of it, however little was made."""

    def export(self) -> None:
        """Export the share, by a file, so that another's ``exportfs -r`` leaves it exported."""
        options = f"rw,sync,no_subtree_check,no_root_squash,mp,fsid={uuid.uuid4()}"
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(f"{self.path} {ADDRESS}({options})\n")
        self.run("exportfs", "-ra")

    def mount(self) -> None:
        """Mount the share."""
        self.run("mount", "-t", "ext4", "-o", OPTIONS, f"/dev/{GROUP}/{self.name}", self.path)

    def unmount(self, path: Path | None = None) -> None:
        """Unmount it; busy is tried again, as after any unexport."""
        for _ in range(100):
            try:
                self.run("umount", path or self.path)
            except RuntimeError as failure:
                if "busy" not in str(failure):
                    raise
                time.sleep(0.05)
            else:
                return

    def take_offline(self) -> None:
        """Unexport and unmount the share."""
        self.run("exportfs", "-u", f"{ADDRESS}:{self.path}")
        self.unmount()

    def bring_online(self) -> None:
        """Mount and export it again."""
        self.mount()
        self.run("exportfs", "-ra")

    def forget(self) -> None:
        """Unexport and unmount whatever is there, whether it is or not."""
        self.file.unlink(missing_ok=True)
        self.run("exportfs", "-ra", ok=False)
        self.run("umount", self.path, ok=False)


class Thick(Typed):
    """A thick volume and its snapshot: the merge, and the snapshot anew in room that was taken before."""

    def __init__(self, name: str, root: Path) -> None:
        super().__init__(name, root)
        self.share, self.snap, self.room = (f"{GROUP}/{each}" for each in (name, f"{name}-snap", f"{name}-room"))

    def make(self) -> None:
        """Make a volume of 1 GiB with an ext4."""
        self.run("lvcreate", "-y", "-Wy", "-n", self.name, "-L", "1g", GROUP)
        self.run("mkfs.ext4", "-q", "-F", "-m", "0", "-O", "metadata_csum_seed", f"/dev/{self.share}")
        self.path.mkdir()
        self.mount()

    def snapshot(self) -> None:
        """Take it read-only."""
        self.run("lvcreate", "-y", "-s", "-pr", "-n", f"{self.name}-snap", "-L", ROOM, self.share)

    def revert(self) -> None:
        """Do as revertkit does, without a look; ``lvs`` only to see the end of the merge."""
        self.run("lvcreate", "-y", "-an", "-Zn", "-Wn", "-n", f"{self.name}-room", "-L", ROOM, GROUP)
        self.take_offline()
        self.run("lvchange", "-an", self.share)
        self.run("lvconvert", "-y", "--merge", self.snap)
        self.run("lvchange", "-ay", *POLL_EACH_SECOND, self.share)
        while f"{self.name}-snap" in self.run("lvs", "-a", "--noheadings", "-o", "lv_name", GROUP):
            time.sleep(0.2)
        self.run("lvchange", "-an", self.share)
        self.run("lvconvert", "-y", "--type", "snapshot", "-Zy", self.share, self.room)
        self.run("lvchange", "-pr", self.room)
        self.run("lvrename", GROUP, f"{self.name}-room", f"{self.name}-snap")
        self.run("lvchange", "-ay", self.share)
        self.bring_online()

    def remove(self) -> None:
        """Remove the volume; its snapshot goes with it."""
        self.forget()
        for each in (self.room, self.share):
            self.run("lvremove", "-y", each, ok=False)


class Manila(Thick):
    """The order of manila/share/drivers/lvm.py; snapshots of that driver are writable, and mounted.

    Left out, in its favour: sudo and its filter before each command, and the access rules' commands of the snapshot.
    """

    def __init__(self, name: str, root: Path) -> None:
        super().__init__(name, root)
        self.snap_path = root / f"{name}-snap"

    def snapshot(self) -> None:
        """Take it, give it a UUID of its own, mount it."""
        self._take()
        self._mounted(self.snap, self.snap_path)

    def _take(self) -> None:
        self.run("lvcreate", "-L", ROOM, "--name", f"{self.name}-snap", "--snapshot", self.share)
        self.run("e2fsck", "-y", "-f", f"/dev/{self.snap}", ok=False)  # 1: it mended something, as the journal
        self.run("tune2fs", "-U", "random", f"/dev/{self.snap}")

    def _mounted(self, volume: str, path: Path) -> None:
        self.run("mkdir", "-p", path)
        self.run("mount", f"/dev/{volume}", path)
        self.run("chmod", "777", path)

    def revert(self) -> None:
        """Do as that driver does."""
        self.run("exportfs", "-u", f"{ADDRESS}:{self.path}")
        for path in (self.snap_path, self.path):
            self.unmount(path)
            self.run("rmdir", path)
        self.run("lvconvert", "--merge", self.snap)
        self._take()
        self._mounted(self.share, self.path)
        self._mounted(self.snap, self.snap_path)
        self.run("exportfs", "-ra")

    def forget(self) -> None:
        """The snapshot's mount too."""
        self.run("umount", self.snap_path, ok=False)
        super().forget()


class Thin(Typed):
    """A thin volume and its snapshot: the swap."""

    def __init__(self, name: str, root: Path) -> None:
        super().__init__(name, root)
        self.share, self.snap = f"{GROUP}/{name}", f"{GROUP}/{name}-snap"

    def make(self) -> None:
        """Make a thin volume of 2 GiB with an ext4."""
        self.run("lvcreate", "-y", "-Wy", "-n", self.name, "-V", "2g", "--thinpool", f"{GROUP}/{THIN_POOL}")
        self.run("mkfs.ext4", "-q", "-F", "-m", "0", "-O", "metadata_csum_seed", f"/dev/{self.share}")
        self.path.mkdir()
        self.mount()

    def snapshot(self) -> None:
        """Take it read-only."""
        self.run("lvcreate", "-y", "-s", "-pr", "-ky", "-n", f"{self.name}-snap", self.share)

    def revert(self) -> None:
        """Put a writable copy of the snapshot in the share's place."""
        new, old = f"{self.name}-new", f"{self.name}-old"
        self.run("lvcreate", "-y", "-s", "-prw", "-kn", "-an", "-n", new, self.snap)
        self.take_offline()
        self.run("lvchange", "-an", self.share)
        self.run("lvrename", GROUP, self.name, old)
        self.run("lvrename", GROUP, new, self.name)
        self.run("lvchange", "-ay", self.share)
        self.bring_online()
        self.run("lvremove", "-y", f"{GROUP}/{old}")

    def remove(self) -> None:
        """Remove whatever of it is there."""
        self.forget()
        for each in ("-snap", "-new", "-old", ""):
            self.run("lvremove", "-y", f"{GROUP}/{self.name}{each}", ok=False)


class Zfs(Typed):
    """A dataset and its snapshot."""

    def __init__(self, name: str, root: Path) -> None:
        super().__init__(name, root)
        self.dataset = f"{ZPOOL}/{name}"

    def make(self) -> None:
        """Make a dataset with the settings of a share."""
        settings = ["canmount=noauto", "sharenfs=off", "acltype=posix", "xattr=sa", "refquota=1G"]
        chosen = [word for each in (*settings, f"mountpoint={self.path}") for word in ("-o", each)]
        self.run("zfs", "create", *chosen, self.dataset)
        self.path.mkdir(exist_ok=True)
        self.mount()

    def mount(self) -> None:
        """Mount it as revertkit does."""
        self.run("mount", "-t", "zfs", "-o", "zfsutil", self.dataset, self.path)

    def snapshot(self) -> None:
        """Take it."""
        self.run("zfs", "snapshot", f"{self.dataset}@snap")

    def revert(self) -> None:
        """Roll back what is not mounted: a mounted one could show stale pages."""
        self.take_offline()
        self.run("zfs", "rollback", f"{self.dataset}@snap")
        self.bring_online()

    def remove(self) -> None:
        """Destroy it with its snapshot."""
        self.forget()
        self.run("zfs", "destroy", "-r", self.dataset, ok=False)


@contextmanager
def share(kind: type[Typed], name: str, root: Path) -> Iterator[Typed]:
    """Make one, and remove it afterwards, whatever happened."""
    made = kind(name, root)
    try:
        made.make()
        (made.path / "original").write_bytes(b"original" * 1000)
        wait_for_inode_tables()
        made.snapshot()
        made.export()
        yield made
    finally:
        made.remove()
