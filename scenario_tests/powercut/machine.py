"""A guest that can be frozen once and thawed any number of times, on disks that lose what was not flushed.

Thawing instead of booting: what a cut is about is on the disks, which are plugged in after the thaw, as they would be
found at a boot; an emulated guest's boot would take most of the time and show nothing of ours.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lossy import Loss, cut
from qemu.qmp import ExecuteError, QMPClient

SSH_PORT, AGENT_PORT = 7022, 7000
DISKS = {"lvm": "6G", "zfs": "2G", "state": "512M"}
"""In this order: the box's LVM looks at the first one only, by its name."""
ORDERED = {"lvm": 1 << 20}
"""Bytes at a disk's beginning that are lost in order only: LVM's own metadata. It is written without a flush between a
text and the header that points to it, and where a disk keeps the second alone there is no group (docs/lvm.md)."""
KERNEL = (
    "root=/dev/vda rw console=ttyS0 quiet panic=-1 net.ifnames=0 mitigations=off nokaslr random.trust_cpu=on "
    "nowatchdog audit=0 apparmor=0 transparent_hugepage=never rcupdate.rcu_expedited=1"
)
FLUSH = 512
"""Bytes by which a flush makes a log longer; a write takes more."""
SECONDS = 300
"""The limit of every wait for the guest."""


@dataclass(frozen=True)
class Home:
    """Where a machine's files are."""

    path: Path
    box: Path

    def disk(self, name: str) -> Path:
        """A data disk as it is on the platter."""
        return self.path / f"{name}.raw"

    def log(self, name: str) -> Path:
        """What the running guest has sent to it."""
        return self.path / f"{name}.log"

    @property
    def frozen(self) -> Path:
        """The guest's memory."""
        return self.path / "frozen"

    def make(self) -> None:
        """Make empty data disks and a root of its own, from the box."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True)
        _run("tar", "-x", "-f", self.box / "libvirt.box", "-C", self.path, "box.img")
        _overlay(self.path / "root", self.path / "box.img", "qcow2")
        for name, size in DISKS.items():
            _run("qemu-img", "create", "-q", "-f", "raw", self.disk(name), size)

    def commit(self) -> None:
        """Keep everything that was written, as an orderly end does."""
        for name in DISKS:
            _run("qemu-img", "commit", "-q", self.path / f"{name}.overlay")

    def cut(self, seed: str) -> dict[str, Loss]:
        """Make the disks what a cut leaves of them; the guest is gone already."""
        return {
            name: cut(self.log(name), self.disk(name), f"{seed} {name}", ordered=ORDERED.get(name, 0)) for name in DISKS
        }


@contextmanager
def machine(home: Home, *, thawed: bool) -> Iterator[Machine]:
    """Run the guest: booted, or thawed. At the end its power goes."""
    root = home.path / "root"
    if thawed:
        root = home.path / "thawed-root"
        _overlay(root, home.path / "root", "qcow2")
    with (home.path / "console").open("ab") as console:
        process = subprocess.Popen(_argv(home, root, thawed=thawed), stdin=subprocess.DEVNULL, stdout=console, stderr=2)
        try:
            yield Machine(home, process)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(60)


@dataclass(frozen=True)
class Machine:
    """A running guest."""

    home: Home
    process: subprocess.Popen[bytes]

    def plug(self) -> None:
        """Give it its disks; every write and flush is kept from now on.

        Requests are not merged: QEMU merges up to IOV_MAX pieces, blklogwrites adds two of its own, and the host's
        kernel refuses the write, which the guest sees as an I/O error.
        """
        for name in DISKS:
            overlay = self.home.path / f"{name}.overlay"
            _overlay(overlay, self.home.disk(name), "raw")
            self.home.log(name).unlink(missing_ok=True)
            self.home.log(name).touch()
            node = {
                "driver": "blklogwrites",
                "node-name": name,
                "file": {"driver": "qcow2", "file": {"driver": "file", "filename": str(overlay)}},
                "log": {"driver": "file", "filename": str(self.home.log(name)), "cache": {"no-flush": True}},
                "log-super-update-interval": 1,
            }
            self.order("blockdev-add", **node)
            how = {"discard": False, "write-zeroes": False, "write-cache": "on", "request-merging": False}
            self.order("device_add", driver="virtio-blk-pci", id=f"disk-{name}", drive=name, serial=name, **how)
            self._until(lambda name=name: self._has_name(name))  # type: ignore[misc]

    def _has_name(self, name: str) -> bool:
        """Whether the guest reads a disk, and so has given it a name: the next one gets the next."""
        seen = {one.get("qdev", ""): one["stats"]["rd_operations"] for one in self.order("query-blockstats")}
        return any(reads for qdev, reads in seen.items() if f"/disk-{name}/" in qdev)

    def wait_for_writes(self, name: str, times: int) -> None:
        """Wait until a disk was written to so many times from now on, or for ten seconds."""
        log, end = self.home.log(name), time.monotonic() + 10
        seen = log.stat().st_size
        while times and time.monotonic() < end:
            time.sleep(0.001)
            before, seen = seen, log.stat().st_size
            if seen - before > FLUSH:
                times -= 1

    def unplug(self) -> None:
        """Take them away; what was written stays."""
        for name in DISKS:
            self.order("device_del", id=f"disk-{name}")
            self._until(lambda name=name: self._closed(name))  # type: ignore[misc]

    def _closed(self, name: str) -> bool:
        """Close a disk's images, unless the guest still holds the disk."""
        try:
            self.order("blockdev-del", **{"node-name": name})
        except ExecuteError as why:
            if "in use" not in str(why):
                raise
            return False
        return True

    def freeze(self) -> None:
        """Keep its memory; it does not go on."""
        self.order("stop")
        self.order("migrate", uri=f"exec:cat >'{self.home.frozen}'")
        self._until(lambda: self.order("query-migrate").get("status") == "completed")
        self.order("quit")
        self.process.wait(SECONDS)

    def order(self, command: str, **arguments: Any) -> Any:
        """Have QEMU do something.

        Raises:
            ExecuteError: it will not.
        """
        self._until((self.home.path / "qmp").is_socket)

        async def talk() -> Any:
            client = QMPClient("powercut")
            await client.connect(str(self.home.path / "qmp"))
            try:
                return await client.execute(command, arguments)
            finally:
                await client.disconnect()

        return asyncio.run(asyncio.wait_for(talk(), SECONDS))

    def agent(self) -> socket.socket:
        """Connect to the program in the guest."""
        found: list[socket.socket] = []

        def connected() -> bool:
            line = socket.create_connection(("127.0.0.1", AGENT_PORT), timeout=10)
            line.sendall(b'{"do": "hello"}\n')
            if line.recv(64):  # QEMU accepts at once, whether or not anybody listens in the guest
                found.append(line)
            return bool(found)

        self._until(connected)
        return found[0]

    def go_on(self) -> None:
        """Let a guest that is being thawed run: it was frozen standing still."""
        self._until(lambda: self.order("query-status")["status"] != "inmigrate")
        self.order("cont")

    def _until(self, true: Any) -> None:
        end = time.monotonic() + SECONDS
        while True:
            try:
                if true():
                    return
            except OSError:
                pass
            if time.monotonic() > end or self.process.poll() is not None:
                raise TimeoutError(f"QEMU has ended, or the guest did not answer within {SECONDS} s")
            time.sleep(0.2)


def _argv(home: Home, root: Path, *, thawed: bool) -> list[str]:
    kvm = any(Path("/sys/module", name).exists() for name in ("kvm_intel", "kvm_amd"))
    forward = ",".join(f"hostfwd=tcp:127.0.0.1:{port}-:{to}" for port, to in ((SSH_PORT, 22), (AGENT_PORT, AGENT_PORT)))
    (home.path / "qmp").unlink(missing_ok=True)
    return [
        *("qemu-system-x86_64", "-name", "revertkit-powercut", "-machine", "pc", "-smp", "2", "-m", "1536"),
        *(("-accel", "kvm", "-cpu", "host") if kvm else ("-accel", "tcg,thread=multi", "-cpu", "max,-cx16")),
        *("-kernel", str(home.box / "vmlinuz"), "-initrd", str(home.box / "initrd"), "-append", KERNEL),
        *("-drive", f"if=virtio,file={root},format=qcow2,cache=unsafe"),
        *("-netdev", f"user,id=net,{forward}", "-device", "virtio-net-pci,netdev=net"),
        *("-device", "virtio-rng-pci", "-display", "none", "-serial", "stdio", "-no-reboot"),
        *("-qmp", f"unix:{home.path / 'qmp'},server=on,wait=off"),
        *(("-incoming", f"exec:cat '{home.frozen}'") if thawed else ()),
    ]


def _overlay(path: Path, base: Path, kind: str) -> None:
    path.unlink(missing_ok=True)
    _run("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", kind, path)


def _run(*argv: str | Path) -> None:
    subprocess.run(argv, check=True, timeout=SECONDS)
