"""The harness of the LVM driver: thick or thin volumes, on the volume group of a settings file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from revertkit.conformance.harness import LocalHarness
from revertkit.drivers.lvm.rows import named
from revertkit.models import GIB, Replica, SnapshotInstance, new_id
from revertkit.system import nfs
from revertkit.system.mounts import mounts_of
from revertkit.system.run import run

OURS = ("share-", "snap-")
THIN = {
    "spoil_snapshot": "a thin snapshot cannot run out of room by itself",
    "no_room": "a thin revert needs no room that could be taken away from it alone",
}


class LvmHarness(LocalHarness):
    """What an operator does by hand, with LVM's own commands. Its volumes are found again by their uuid.

    Thick and thin volumes of one group may be tested at the same time: each run sees its own kind.
    """

    driver = "lvm"

    @contextmanager
    def storage(self, home: Path) -> Iterator[Mapping[str, Any]]:
        """Use the volume group, and keep in mind what is in it already."""
        with super().storage(home) as options:
            self.options = dict(options)
            self._before = set(self._volumes().values())
            self.inapplicable = THIN if self._thin else {}
            yield options

    @property
    def _group(self) -> str:
        return str(self.options["volume_group"])

    @property
    def _thin(self) -> bool:
        return bool(self.options.get("thin_pool"))

    def _volumes(self) -> dict[str, str]:
        """List those of the group that are in the thin pool, or in none: names by uuid."""
        return self._selected(f'pool_lv="{self.options.get("thin_pool", "")}"')

    def _selected(self, criteria: str) -> dict[str, str]:
        said = _lvm("lvs", "--noheadings", "--separator", "|", "-o", "lv_uuid,lv_name", "-S", criteria, self._group)
        return dict(line.strip().split("|") for line in said.splitlines() if line.strip())

    def _uuid(self, name: str) -> str:
        return next(uuid for uuid, known in self._volumes().items() if known == name)

    def _remove(self, uuid: str) -> None:
        """Remove a volume under whatever name it has by now, if it is there."""
        if name := self._volumes().get(uuid):
            _lvm("lvremove", "-y", f"{self._group}/{name}")

    # --- hooks

    def exported(self, share: Replica) -> object:
        """Ask the NFS server."""
        return nfs.serving(share.share_id)

    @contextmanager
    def foreign_snapshot(self, share: Replica) -> Iterator[Callable[[], str]]:
        """Take one with lvcreate(8)."""
        name = f"by-hand-{new_id()[:8]}"
        size = [] if self._thin else ["-L", "256M"]
        _lvm("lvcreate", "-y", "-s", *size, "-n", name, f"{self._group}/{named('share', share.id)}")
        uuid = self._uuid(name)
        try:
            yield lambda: self._volumes().get(uuid, "")
        finally:
            self._remove(uuid)

    def spoil_snapshot(self, snapshot: SnapshotInstance) -> None:
        """Let it overflow: write more to its share than it has room for, and its siblings have, given more."""
        name = named("share", snapshot.replica.id)
        siblings = set(self._selected(f'origin="{name}"').values()) - {named("snap", snapshot.snapshot_id)}
        for sibling in siblings:
            _lvm("lvextend", "-L", "+256M", f"{self._group}/{sibling}")
        volume = Path("/dev") / self._group / name
        at = mounts_of(volume)[0].target / "overflow"
        with at.open("wb") as file:
            for _ in range(snapshot.size * int(self.options.get("snapshot_percent", 100)) * GIB // 100 // 2**20 + 64):
                file.write(os.urandom(2**20))
            os.fsync(file.fileno())
        at.unlink()

    @contextmanager
    def no_room(self, share: Replica) -> Iterator[None]:
        """Fill the volume group."""
        name = f"filler-{new_id()[:8]}"
        _lvm("lvcreate", "-y", "-l", "100%FREE", "-n", name, self._group)
        try:
            yield
        finally:
            _lvm("lvremove", "-y", f"{self._group}/{name}")

    @contextmanager
    def foreign_share(self, size: int) -> Iterator[Callable[[], str]]:
        """Make a volume with a file system."""
        name = f"by-hand-{new_id()[:8]}"
        kind = ["-V", f"{size}g", "--thinpool", str(self.options["thin_pool"])] if self._thin else ["-L", f"{size}g"]
        _lvm("lvcreate", "-y", "-Wy", *kind, "-n", name, self._group)
        uuid, before = self._uuid(name), set(self._volumes())
        try:
            run([f"mkfs.{self.options.get('filesystem', 'ext4')}", "-q", f"/dev/{self._group}/{name}"], changes=False)
            yield lambda: self._volumes().get(uuid, "")
        finally:
            self._remove(uuid)
            for another in self._let_go() - before:  # a revert of thin volumes puts another one in its place
                self._remove(another)

    def _let_go(self) -> set[str]:
        return self._volumes().keys() & self._selected('lv_tags="" && lv_name=~"^share-"').keys()

    def leftovers(self, shares: Sequence[Replica], snapshots: Sequence[SnapshotInstance]) -> Sequence[str]:
        """Look for volumes of ours that nothing on record accounts for, and that were not there before."""
        known = {named("share", share.id) for share in shares} | {named("snap", one.snapshot_id) for one in snapshots}
        ours = {name for name in self._volumes().values() if name.startswith(OURS)}
        return sorted(ours - known - self._before)


def _lvm(*argv: str) -> str:
    return run(argv, changes=False).stdout
