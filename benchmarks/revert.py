"""Reverts on real LVM and ZFS, beside the same steps typed by hand and beside the steps of Manila's LVM driver.

Run it in the VM, as root (``make bench-vm``). What is compared is run in turns, each on a share of its own, so that
what else the machine does meanwhile falls on all of them; the first turn is thrown away. It needs the volume group
``vg0`` with the thin pool ``pool0`` and the zpool ``tank0`` and removes what it made. It asserts nothing but that the
data came back.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import told
import typed

from revertkit.drivers.zfs import openzfs
from revertkit.errors import RevertkitError
from revertkit.manager import ShareManager
from revertkit.models import Context
from revertkit.settings import Settings
from revertkit.system import run as commands
from revertkit.system.run import Moment, StepEvent, watching

CONTEXT = Context(project_id="bench", is_admin=True)
SPECS = dict.fromkeys(("snapshot_support", "revert_to_snapshot_support"), "true")
LVM = {"driver": "lvm", "volume_group": typed.GROUP, "export_address": typed.ADDRESS}
BACKENDS: dict[str, tuple[int, dict[str, Any]]] = {
    "thick": (1, {**LVM, "snapshot_percent": 25}),
    "thin": (2, {**LVM, "thin_pool": typed.THIN_POOL}),
    "zfs": (1, {"driver": "zfs", "pool": typed.ZPOOL, "export_address": typed.ADDRESS}),
}
"""The share's size in GiB, and the settings."""
RIVALS: dict[str, dict[str, type[typed.Typed]]] = {
    "thick": {"typed": typed.Thick, "manila": typed.Manila},
    "thin": {"typed": typed.Thin},
    "zfs": {"typed": typed.Zfs},
}
SMALL, LARGE = 10, 1000
"""MiB written before a revert: the large change, where time should not depend on it, is all the zpool has room for."""
AT_MOST = 3
"""How many turns the large change gets, which takes an emulated machine a minute to write, and the reader."""
Spans = list[tuple[str, float]]
"""What a call consisted of, and the seconds of each."""


class Watch:
    """What a call of ours does: its commands, the reading ones too, which are no steps; unmounts; libzfs_core."""

    def __init__(self) -> None:
        self.spans: Spans = []
        self._began: dict[str, tuple[int, float]] = {}

    def __call__(self, event: StepEvent) -> None:
        """Take the time of a step that is no command."""
        kind = event.name.partition(" ")[0]
        if event.moment is Moment.BEFORE:
            self._began[event.name] = len(self.spans), time.perf_counter()
        elif event.moment is Moment.AFTER and kind in ("umount", "merge", "lzc_rollback_to"):
            (first, began), now = self._began[event.name], time.perf_counter()
            name = {"umount": "umount2()", "merge": "(sleeps between looks at the merge)"}.get(kind, kind)
            self.spans.append((name, now - began - sum(took for _, took in self.spans[first:])))

    def _timed(self, call: Callable[..., Any], name: Callable[..., str]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return call(*arguments, **named)
            finally:
                self.spans.append((name(*arguments), time.perf_counter() - began))

        return timed

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch one call."""
        self.spans = []
        run, program = commands._run, openzfs.rollback_refusal
        commands._run = self._timed(run, lambda words, *_: typed.short(words))
        openzfs.rollback_refusal = self._timed(program, lambda *_: "lzc_channel_program")
        try:
            with watching(self):
                yield
        finally:
            commands._run, openzfs.rollback_refusal = run, program


class Ours:
    """A share of ours with one snapshot, in the hands of a manager that stays open."""

    def __init__(self, backend: str, root: Path) -> None:
        self.size, options = BACKENDS[backend]
        self.home = root / f"ours-{backend}"
        options = {**options, "mount_root": str(self.home / "mounts")}
        (self.home / "mounts").mkdir(parents=True)
        self.settings: dict[str, Any] = {"state_dir": str(self.home / "state"), "backends": {"fast": options}}
        self.manager = ShareManager.open(Settings(**self.settings))
        self.watch = Watch()
        self.spans: Spans = []

    def make(self) -> None:
        """Make its type and all that is in it."""
        self.manager.create_type("bench", {"driver_handles_share_servers": "false", **SPECS})
        self.make_share("bench")

    def make_share(self, share_type: str) -> None:
        """Make the share, give this host access, take the snapshot."""
        self.share = self.manager.create_share(CONTEXT, self.size, share_type=share_type, pool="fast")
        self.manager.allow_access(CONTEXT, self.share.id, typed.ADDRESS)
        found = self.manager.share(CONTEXT, self.share.id).export_locations
        self.path = next(Path(each.path) for each in found if each.path.startswith("/"))
        (self.path / "original").write_bytes(b"original" * 1000)
        typed.wait_for_inode_tables()
        self.snapshot = self.manager.create_snapshot(CONTEXT, self.share.id)

    def revert(self) -> None:
        """Revert by the manager, watched."""
        with self.watch.watching():
            self.manager.revert_to_snapshot(CONTEXT, self.snapshot.id)
        self.spans = self.watch.spans

    def remove(self) -> None:
        """Remove all of it."""
        for snapshot in self.manager.snapshots(CONTEXT):
            self.manager.delete_snapshot(CONTEXT, snapshot.id, force=True)
        for share in self.manager.shares(CONTEXT):
            self.manager.delete_share(CONTEXT, share.id, force=True)


@contextmanager
def ours(backend: str, root: Path) -> Iterator[Ours]:
    """Make one, and remove it afterwards, whatever happened."""
    made = Ours(backend, root)
    try:
        made.make()
        yield made
    finally:
        made.remove()


def say(words: str) -> None:
    """Tell whoever waits how far it is."""
    print(f"{datetime.now(UTC):%H:%M:%S} {words}", file=sys.stderr, flush=True)


def change(path: Path, mebibytes: int) -> None:
    """Write that much, to the disk, and wait until nothing is under way that belongs to what was before."""
    block = os.urandom(1 << 20)
    with (path / "change").open("wb") as file:
        for _ in range(mebibytes):
            file.write(block)
    settle()


def settle() -> None:
    """Wait for the disks, for udev and for what ZFS frees."""
    os.sync()
    subprocess.run(["udevadm", "settle"], check=True)
    subprocess.run(["zpool", "sync", typed.ZPOOL], check=True)
    subprocess.run(["zpool", "wait", "-t", "free", typed.ZPOOL], check=True)


def timed(subject: Ours | typed.Typed, mebibytes: int) -> dict[str, Any]:
    """Change a share, revert it, see that its data is back; answer the seconds, and what of."""
    change(subject.path, mebibytes)
    subject.spans = []
    began = time.perf_counter()
    subject.revert()
    seconds = time.perf_counter() - began
    if (subject.path / "change").exists() or (subject.path / "original").read_bytes() != b"original" * 1000:
        raise RuntimeError(f"{subject.path} was not reverted")
    return {"seconds": seconds, "spans": list(subject.spans)}


def backend(name: str, root: Path, times: int) -> dict[str, Any]:
    """Measure one backend: ours and its rivals in turns, after a small and a large change; then a reader's gap."""
    with ExitStack() as made:
        mine = made.enter_context(ours(name, root))
        turns: dict[str, tuple[Ours | typed.Typed, int]] = {"ours": (mine, SMALL)}
        for rival, kind in RIVALS[name].items():
            its_name = f"bench-{os.getpid()}-{name}-{rival}"
            turns[rival] = (made.enter_context(typed.share(kind, its_name, root)), SMALL)
        for subject, size in turns.values():
            timed(subject, size)
        if name != "thick":
            turns |= {f"{turn}-large": (subject, LARGE) for turn, (subject, _) in turns.items()}
        found: dict[str, Any] = {turn: [] for turn in turns}
        for number in range(times):
            for turn, (subject, size) in turns.items():
                if size == LARGE and number >= AT_MOST:
                    continue
                found[turn].append(timed(subject, size))
                say(f"{name} {number + 1}/{times} {turn}: {found[turn][-1]['seconds']:.2f} s")
        found["gaps"] = gaps(mine, root, min(times, AT_MOST))
        say(f"{name}: unreadable for {[round(each['gap'], 2) for each in found['gaps']]} s")
        if name == "thin":
            found["command line"] = command_line(mine, min(times, AT_MOST))
    if name == "zfs":
        found["data step"] = data_step(root, times)
    return found


def gaps(mine: Ours, root: Path, times: int) -> list[dict[str, Any]]:
    """Measure for how long an NFS client on this host cannot read the share around a revert."""
    client = root / "client"
    client.mkdir(exist_ok=True)
    how = "noac,lookupcache=none,soft"
    subprocess.run(["mount", "-t", "nfs4", "-o", how, f"{typed.ADDRESS}:{mine.path}", client], check=True)
    try:
        return [gap(mine, client / "original") for _ in range(times)]
    finally:
        subprocess.run(["umount", client], check=True)


def gap(mine: Ours, file: Path) -> dict[str, Any]:
    """Revert once with a reader at `file`; a refusal, as for a file that is open just then, is counted and retried."""
    change(mine.path, SMALL)
    refused = 0
    while True:
        argv = [sys.executable, str(Path(__file__).with_name("reader.py")), str(file)]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
            assert reader.stdout is not None
            reader.stdout.readline()
            time.sleep(0.5)
            began = time.perf_counter()
            try:
                mine.revert()
            except RevertkitError as refusal:
                refused += 1
                say(f"refused: {refusal}")
                reader.communicate("end\n")
                if refused > 5:
                    raise
                continue
            seconds = time.perf_counter() - began
            time.sleep(1)
            said, _ = reader.communicate("end\n")
        return {**json.loads(said), "seconds": seconds, "refused": refused}


def data_step(root: Path, times: int) -> dict[str, list[float]]:
    """Measure the one step that turns a dataset back, ours and the command's, in turns on one dataset."""
    found: dict[str, list[float]] = {"lzc_rollback_to": [], "zfs rollback": []}
    watch = Watch()
    with typed.share(typed.Zfs, f"bench-{os.getpid()}-step", root) as made:
        assert isinstance(made, typed.Zfs)
        dataset, snapshot = made.dataset, f"{made.dataset}@snap"
        steps: dict[str, Callable[[], object]] = {
            "lzc_rollback_to": lambda: openzfs.rollback_to(dataset, snapshot),
            "zfs rollback": lambda: made.run("zfs", "rollback", snapshot),
        }
        for _ in range(times + 1):
            for name, step in steps.items():
                change(made.path, SMALL)
                made.take_offline()
                watch.spans, made.spans = [], []
                with watching(watch):
                    step()
                found[name] += [seconds for _, seconds in [*watch.spans, *made.spans]]
                made.bring_online()
    return {name: each[1:] for name, each in found.items()}


def command_line(mine: Ours, times: int) -> dict[str, list[float]]:
    """Measure the start of the command line: its help, and a dry run beside the same call in a warm process."""
    config = mine.home / "revertkit.toml"
    options = mine.settings["backends"]["fast"]
    lines = [f'state_dir = "{mine.settings["state_dir"]}"', 'project = "bench"', "[backends.fast]"]
    config.write_text("\n".join([*lines, *(f"{key} = {json.dumps(value)}" for key, value in options.items())]))
    tomllib.loads(config.read_text())
    tool = str(Path(sys.executable).with_name("revertkit"))
    dry = [tool, "--config", str(config), "revert-to-snapshot", mine.snapshot.id, "--dry-run"]
    calls: dict[str, Callable[[], object]] = {
        "python": lambda: subprocess.run([sys.executable, "-c", ""], check=True),
        "help": lambda: subprocess.run([tool, "--help"], check=True, capture_output=True),
        "dry run": lambda: subprocess.run(dry, check=True, capture_output=True),
        "check": lambda: mine.manager.check_revert(CONTEXT, mine.snapshot.id),
    }
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(times + 1):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            found[name].append(time.perf_counter() - began)
    return {name: each[1:] for name, each in found.items()}


def machine() -> dict[str, str]:
    """Say what it is measured on."""
    lvm = subprocess.run(["lvm", "version"], check=True, capture_output=True, text=True).stdout
    virtual = subprocess.run(["systemd-detect-virt"], check=False, capture_output=True, text=True).stdout.strip()
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": {"qemu": "emulated (QEMU, no KVM)", "kvm": "virtual, KVM"}.get(virtual, virtual or "unknown"),
        "processors": str(os.cpu_count()),
        "kernel": platform.release(),
        "LVM": lvm.split("version:")[1].split()[0],
        "OpenZFS": Path("/sys/module/zfs/version").read_text().strip(),
        "Python": platform.python_version(),
        "revertkit": version("revertkit"),
        "load average at the start": f"{os.getloadavg()[0]:.1f}",
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--times", type=int, default=5, help="how many turns")
    parser.add_argument("--only", choices=BACKENDS, action="append", help="one backend; several times for several")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="json: every single figure too")
    parser.add_argument("--root", type=Path, default=Path("/srv"), help="where to mount, and to put the databases")
    asked = parser.parse_args()
    logging.getLogger("revertkit").setLevel(logging.CRITICAL)
    root = Path(tempfile.mkdtemp(prefix="revertkit-bench-", dir=asked.root))
    figures: dict[str, Any] = {"machine": machine()}
    began = time.monotonic()
    try:
        for name in asked.only or BACKENDS:
            figures[name] = backend(name, root, asked.times)
        shutil.rmtree(root)
    finally:  # a failure loses nothing that was measured before it
        figures["machine"]["load average at the end"] = f"{os.getloadavg()[0]:.1f}"
        figures["machine"]["measured for"] = f"{(time.monotonic() - began) / 60:.0f} min"
        print(json.dumps(figures) if asked.format == "json" else told.table(figures))


if __name__ == "__main__":
    main()
