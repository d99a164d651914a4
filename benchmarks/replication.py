"""What a replica costs on real ZFS: the bytes that it needs after a revert, and what a reader of the share notices.

Run it in the VM, as root (``make bench-replication``), between the zpools ``tank0`` and ``tank1``; it removes what it
made. Bytes are counted where ``zfs send`` writes them, and compared with what ``zfs send -nvP -i`` says of the same
pair. Reverts of a share with a replica and of one without run in turns. It asserts nothing but that the data came back.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import typed
from revert import BACKENDS, CONTEXT, SMALL, SPECS, Ours, change, gaps, machine, ours, say

from revertkit.drivers.zfs import openzfs
from revertkit.manager import ShareManager
from revertkit.settings import Settings
from revertkit.status import ReplicaState

FAR_POOL = "tank1"
SIZES = (50, 500)
"""MiB in the share: bytes after a revert should not depend on it."""
COUNTING = ("bash", "-c", 'set -o pipefail; "$@" | tee >(wc -c >>"$0")')
"""What stands before a send whose bytes are counted in the file that comes next."""


class Replicated(Ours):
    """A share of ours in one zpool, with a replica in another."""

    def __init__(self, root: Path) -> None:
        super().__init__("zfs", root)
        far = {**BACKENDS["zfs"][1], "pool": FAR_POOL, "mount_root": str(self.home / "far")}
        self.settings["backends"]["far"] = far
        self.manager = ShareManager.open(Settings(**self.settings))

    def make(self) -> None:
        """Make the share and its snapshot, then the replica."""
        specs = {"driver_handles_share_servers": "false", **SPECS, "replication_type": "readable"}
        self.manager.create_type("bench", specs)
        self.make_share("bench")
        self.replica = self.manager.create_replica(CONTEXT, self.share.id, pool="far").id
        self.in_sync()

    def in_sync(self) -> None:
        """Bring the replica in sync."""
        found = self.manager.resync_replica(CONTEXT, self.replica)
        if found.replica_state is not ReplicaState.IN_SYNC:
            raise RuntimeError(f"the replica is {found.replica_state}: {found.found}")

    def remove(self) -> None:
        """Remove the replica, then the rest."""
        for one in self.manager.replicas(CONTEXT):
            if not one.active:
                self.manager.delete_replica(CONTEXT, one.id, force=True)
        super().remove()


@contextmanager
def replicated(root: Path) -> Iterator[Replicated]:
    """Make one, and remove it afterwards, whatever happened."""
    made = Replicated(root)
    try:
        made.make()
        yield made
    finally:
        made.remove()


@contextmanager
def counting(file: Path) -> Iterator[Callable[[], int]]:
    """Count what is sent; answer how to read the count of now."""
    transfer = openzfs.transfer

    def counted(via: tuple[str, ...], *arguments: Any, **named: Any) -> None:
        transfer((*COUNTING, str(file), *via), *arguments, **named)

    file.write_text("")
    openzfs.transfer = counted
    try:
        yield lambda: sum(map(int, file.read_text().split()))
    finally:
        openzfs.transfer = transfer


def estimated(dataset: str, base: str) -> int:
    """Ask ``zfs send`` how much it takes from a snapshot to the newest marker: what a resync has just brought over."""
    listed = ["zfs", "list", "-H", "-t", "snapshot", "-d", "1", "-S", "createtxg", "-o", "name", dataset]
    newest = _said(*listed).split()[0]
    return int(_said("zfs", "send", "-nPLec", "-i", base, newest).split()[-1])


def _said(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def bytes_of_a_resync(root: Path, mebibytes: int, times: int) -> dict[str, list[int]]:
    """Let a replica hold what is discarded, revert, write something else, and count what its resync sends."""
    found: dict[str, list[int]] = {"sent": [], "estimated": []}
    root.mkdir()
    with replicated(root) as made, counting(root / "sent") as sent:
        # The snapshot that all turns revert to holds the share's size.
        change(made.path, mebibytes)
        (made.path / "change").rename(made.path / "bulk")
        kept = made.manager.create_snapshot(CONTEXT, made.share.id)
        for number in range(times):
            change(made.path, SMALL)
            made.in_sync()
            made.manager.revert_to_snapshot(CONTEXT, kept.id)
            change(made.path, SMALL)
            before = sent()
            made.in_sync()
            found["sent"].append(sent() - before)
            dataset = f"{typed.ZPOOL}/share-{made.manager.share(CONTEXT, made.share.id).replica.id}"
            found["estimated"].append(estimated(dataset, f"{dataset}@snap-{kept.id}"))
            say(f"{mebibytes} MiB {number + 1}/{times}: {found['sent'][-1]} of {found['estimated'][-1]} bytes")
    return found


def unreadable(root: Path, times: int) -> dict[str, list[float]]:
    """Measure for how long a client cannot read around a revert, with a replica and without, in turns."""
    found: dict[str, list[float]] = {"alone": [], "replicated": []}
    with ExitStack() as made:
        turns: dict[str, Ours] = {"alone": made.enter_context(ours("zfs", root))}
        turns["replicated"] = made.enter_context(replicated(root / "twin"))
        for number in range(times + 1):
            for name, subject in turns.items():
                if isinstance(subject, Replicated):
                    subject.in_sync()
                (seen,) = gaps(subject, root, 1)
                found[name].append(seen["gap"])
                say(f"{name} {number}/{times}: unreadable for {seen['gap']:.2f} s")
    return {name: each[1:] for name, each in found.items()}


def table(figures: dict[str, Any]) -> str:
    """Write the figures as lines of Markdown."""
    lines = [f"{name}: {value}" for name, value in figures["machine"].items()] + ["", "| what | found |", "|---|---|"]
    for size in SIZES:
        sent, told = (statistics.median(figures[f"{size} MiB"][name]) for name in ("sent", "estimated"))
        what = f"resync of a share of {size} MiB after a revert: sent; `zfs send -nP -i`"
        lines.append(f"| {what} | {sent:,.0f}; {told:,.0f} bytes ({sent / told:.2f} x) |")
    small, large = (statistics.median(figures[f"{size} MiB"]["sent"]) for size in SIZES)
    lines.append(f"| sent, {SIZES[1]} MiB by {SIZES[0]} MiB | {large / small:.2f} x |")
    alone, twin = (statistics.median(figures["unreadable"][name]) for name in ("alone", "replicated"))
    lines.append(f"| a client cannot read for: no replica; one | {alone:.1f} s; {twin:.1f} s ({twin / alone:.2f} x) |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--times", type=int, default=5, help="how many turns")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="json: every single figure too")
    parser.add_argument("--root", type=Path, default=Path("/srv"), help="where to mount, and to put the databases")
    asked = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="revertkit-bench-", dir=asked.root))
    figures: dict[str, Any] = {"machine": machine()}
    for size in SIZES:
        figures[f"{size} MiB"] = bytes_of_a_resync(root / str(size), size, asked.times)
    figures["unreadable"] = unreadable(root, asked.times)
    figures["machine"]["load average at the end"] = f"{os.getloadavg()[0]:.1f}"
    shutil.rmtree(root)
    print(json.dumps(figures) if asked.format == "json" else table(figures))


if __name__ == "__main__":
    main()
