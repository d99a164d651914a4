"""The guest's half of the power cuts: a program that has been frozen with everything imported, and is told what to do.

It listens for one line of JSON at a time and answers with lines of JSON: ``prepare`` makes storage and shares on new
disks, ``begin`` is what a boot does (activate, import, mount, recover) and then a look at what there is, ``go`` lets
one backend's loop take its next step. A loop says what it has done and waits, so that whoever cuts the power knows what
must be there afterwards.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
import files

import revertkit.drivers.lvm
import revertkit.drivers.zfs  # noqa: F401  (imported before the freeze)
from revertkit import manifest
from revertkit.errors import RevertkitError
from revertkit.manager import ShareManager
from revertkit.models import Context
from revertkit.settings import Settings

STATE = Path("/var/lib/revertkit-powercut")
MOUNTS = Path("/srv/revertkit-powercut")
BACKENDS: dict[str, dict[str, Any]] = {
    "thick": {"driver": "lvm", "volume_group": "cuts", "snapshot_percent": 30},
    "thin": {"driver": "lvm", "volume_group": "cuts", "thin_pool": "pool"},
    "zfs": {"driver": "zfs", "pool": "cuts"},
}
CONTEXT = Context(project_id="power", is_admin=True)
SPECS = {"driver_handles_share_servers": "false", "snapshot_support": "true", "revert_to_snapshot_support": "true"}
PORT = 7000
AUTO_REPAIR = 'global/thin_check_options=["-q","--clear-needs-check-flag","--auto-repair"]'
RESEED = 0x5207
"""RNDRESEEDCRNG of linux/random.h."""


def sh(*argv: str) -> str:
    """Run a command of the test's own; it may take long on an emulated machine that others use too."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout


def disk(name: str) -> str:
    """Wait for a disk that was plugged in."""
    path = Path(f"/dev/disk/by-id/virtio-{name}")
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, f"no disk {name}"
        time.sleep(0.1)
    return str(path)


def opened() -> ShareManager:
    """A manager as a new start of the program has it."""
    backends = {name: options | {"mount_root": str(MOUNTS / name)} for name, options in BACKENDS.items()}
    return ShareManager.open(Settings(state_dir=STATE / "state", backends=backends, host="cuts"))


def top(backend: str) -> Path:
    """Where the backend's share is mounted."""
    return Path(opened().share(CONTEXT, backend).export_locations[0].path)


def seen(path: Path) -> str:
    """All that a revert has to bring back, as one word."""
    return hashlib.sha256(repr(sorted(manifest.record(path).items())).encode()).hexdigest()


def prepare() -> dict[str, dict[str, str]]:
    """Make storage, and on each backend a share with two snapshots; answer what is in them."""
    sh("mkfs.ext4", "-q", disk("state"))
    STATE.mkdir(parents=True, exist_ok=True)
    sh("mount", disk("state"), str(STATE))
    sh("vgcreate", "-q", "cuts", disk("lvm"))
    sh("lvcreate", "-q", "-y", "--type", "thin-pool", "-L", "2g", "--poolmetadatasize", "8m", "-n", "pool", "cuts")
    sh("zpool", "create", "-O", "mountpoint=none", "cuts", disk("zfs"))
    (STATE / "state").mkdir(mode=0o700)
    manager = opened()
    manager.create_type("power", SPECS)
    return {backend: _prepared(manager, backend) for backend in BACKENDS}


def _prepared(manager: ShareManager, backend: str) -> dict[str, str]:
    manager.create_share(CONTEXT, 1, name=backend, share_type="power", pool=backend)
    files.write(top(backend), "older")
    manager.create_snapshot(CONTEXT, backend, name=f"{backend}-older")
    older = seen(top(backend))
    (top(backend) / "newer").write_bytes(os.urandom(8_000_000))
    manager.create_snapshot(CONTEXT, backend, name=f"{backend}-newest")
    return {"older": older, "newest": seen(top(backend))}


def rest() -> None:
    """Let go of the disks, for the freeze."""
    for mounted in reversed(_mounted()):
        sh("umount", mounted)
    sh("vgchange", "-q", "-an", "cuts")
    sh("zpool", "export", "cuts")


def _mounted() -> list[str]:
    words = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [word[1] for word in words if word[1].startswith((str(STATE), str(MOUNTS)))]


def begin() -> dict[str, Any]:
    """What a boot does, then a look at every backend."""
    for name in ("state", "lvm", "zfs"):
        disk(name)
    sh("udevadm", "settle", "--timeout=120")  # as at a boot; LVM passes over a disk that udev is still busy with
    sh("mount", disk("state"), str(STATE))
    refused = activated()
    sh("zpool", "import", "-N", "cuts")
    told = opened().recover()
    return {
        "refused_pool": refused,
        "recovered": [f"{one.share_id}: {one.found}" for one in told],
        "at_rest": all(one.at_rest for one in told) and not opened().interrupted(),
        **{backend: _look(backend) for backend in BACKENDS},
    }


def activated() -> str:
    """Activate the group; a thin pool that LVM refuses as docs/lvm.md says. Answer what it complained of."""
    argv = ["vgchange", "-q", "-ay", "cuts"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        assert "Check of pool" in done.stderr, done.stderr
        sh(*argv, "--config", AUTO_REPAIR)
    return done.stderr if done.returncode else ""


def _look(backend: str) -> dict[str, Any]:
    manager = opened()
    share = manager.share(CONTEXT, backend)
    taken = manager.snapshots(CONTEXT, backend)
    newest, found = manager.snapshot(CONTEXT, f"{backend}-newest"), seen(top(backend))
    try:
        refused = "" if manager.check_revert(CONTEXT, newest.id) else "no answer"
    except RevertkitError as why:
        refused = str(why)
    return {
        "statuses": sorted({share.status, *(snapshot.status for snapshot in taken)}),
        "snapshots": sorted(snapshot.name or "" for snapshot in taken),
        "refused": refused,
        "content": found,
        "older": _older(backend),
    }


def _older(backend: str) -> str:
    """Read the older snapshot where it is, through a mount of its own."""
    manager = opened()
    share, snapshot = manager.share(CONTEXT, backend), manager.snapshot(CONTEXT, f"{backend}-older")
    place = MOUNTS / "older"
    place.mkdir(exist_ok=True)
    if backend == "zfs":
        sh("mount", "-t", "zfs", f"cuts/share-{share.replica.id}@snap-{snapshot.id}", str(place))
    else:
        if backend == "thin":  # which LVM passes over at a boot
            sh("lvchange", "-ay", "-K", f"cuts/snap-{snapshot.id}")
        sh("mount", "-t", "ext4", "-o", "ro,noload", f"/dev/cuts/snap-{snapshot.id}", str(place))
    try:
        return seen(place)
    finally:
        sh("umount", str(place))


def durable(backend: str) -> None:
    """See that a cut takes nothing of what was written.

    Of ZFS, sync(2) does not ask for that: what is in its intent log comes back with the time of the replay, and a new
    file without its umask (OpenZFS 2.3.9, acltype=posix).
    """
    os.sync()
    if backend == "zfs":
        sh("zpool", "sync", "cuts")


class Loop(threading.Thread):
    """One backend's loop: wreck, wait, revert, wait."""

    def __init__(self, backend: str, kept: str, say: Callable[..., None]) -> None:
        super().__init__(daemon=True)
        self.backend, self.kept, self.say, self.told = backend, kept, say, threading.Semaphore(0)

    def run(self) -> None:
        try:
            self._loop()
        except Exception:  # noqa: BLE001  (told to whoever cuts the power, who ends with it)
            self.say(backend=self.backend, said="failed", why=traceback.format_exc())

    def _loop(self) -> None:
        manager, path = opened(), top(self.backend)
        while True:
            if seen(path) == self.kept:
                files.wreck(path)
                (path / "since").write_text(str(time.time_ns()))
                durable(self.backend)
            self.say(backend=self.backend, said="wrecked", content=seen(path))
            self.told.acquire()
            manager.revert_to_snapshot(CONTEXT, f"{self.backend}-newest")
            path = top(self.backend)
            self.say(backend=self.backend, said="reverted", content=seen(path))
            self.told.acquire()


def serve(line: socket.socket) -> None:
    """Do what one connection orders."""
    reader, lock = line.makefile("r"), threading.Lock()
    loops: dict[str, Loop] = {}

    def say(**answer: Any) -> None:
        with lock:
            line.sendall(json.dumps(answer).encode() + b"\n")

    for words in reader:
        order = json.loads(words)
        try:
            if order["do"] == "hello":
                say(said="hello")
            elif order["do"] == "go":
                loops[order["backend"]].told.release()
            elif order["do"] == "loop":
                loops.update({name: Loop(name, kept, say) for name, kept in order["kept"].items()})
                for loop in loops.values():
                    loop.start()
            else:
                time.clock_settime(time.CLOCK_REALTIME, order["time"])  # a thawed clock is as late as the thaw
                stir(order["chance"])
                say(said=order["do"], answer=DO[order["do"]]())
        except Exception:  # noqa: BLE001  (likewise)
            say(said="failed", why=traceback.format_exc())


def stir(chance: str) -> None:
    """Let the kernel's random numbers be others than at the thaw before, or every id comes again (random(4))."""
    with Path("/dev/urandom").open("wb", buffering=0) as pool:
        pool.write(bytes.fromhex(chance))
        fcntl.ioctl(pool, RESEED)


def apart() -> Any:
    """Prepare in a process of its own: nothing of this one may hold a disk at the freeze."""
    return json.loads(sh(sys.executable, __file__, "prepare"))


DO: dict[str, Callable[[], Any]] = {"prepare": apart, "rest": rest, "begin": begin}


def main() -> None:
    """Listen, for one connection after the other."""
    with socket.create_server(("0.0.0.0", PORT)) as server:
        while True:
            line, _ = server.accept()
            with line:
                serve(line)


if __name__ == "__main__":
    if sys.argv[1:] == ["prepare"]:
        print(json.dumps(prepare()))
    else:
        main()
