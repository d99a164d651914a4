"""What revertkit's conformance suite has to know of this driver: a btrfs to run on, and hands on its storage.

Without a settings file the suite makes a file system of its own, in a file, and takes it away at the end. The hooks do
what no driver can be asked to do to itself; each has cases that are skipped where it is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from revertkit.conformance.harness import LocalHarness, local_path
from revertkit.conformance.trees import LocalTree
from revertkit.models import GIB, ExportLocation, Replica, SnapshotInstance, new_id
from revertkit.system.mounts import unmount
from revertkit.system.run import run
from revertkit_btrfs import btrfs
from revertkit_btrfs.home import OURS, Home


class SubvolumeTree(LocalTree):
    """A share as its users see it, who meet its limit as the size of their file system."""

    def capacity(self) -> int | None:
        """Tell the limit."""
        return btrfs.there(self.path).limit


class BtrfsHarness(LocalHarness):
    """Shares on a btrfs in a file, or on the one that a settings file names."""

    driver = "btrfs"
    inapplicable: Mapping[str, str] = {"no_room": "a revert shares every block with its snapshot, and needs no room"}
    reads_snapshots = True

    @contextmanager
    def storage(self, home: Path) -> Iterator[Mapping[str, Any]]:
        """Make a file system that counts, 16 GiB large, in a file that takes up only what is written to it."""
        if self.configured:
            yield self.configured
            return
        with loop_btrfs(home) as root:
            yield {"mount_root": str(root)}

    def tree(self, share: Replica, locations: Sequence[ExportLocation]) -> SubvolumeTree:
        """Reach it where it is online."""
        return SubvolumeTree(local_path(locations))

    def snapshot_tree(self, snapshot: SnapshotInstance, locations: Sequence[ExportLocation]) -> LocalTree:
        """Read it where it is kept, since no user can mount it."""
        return LocalTree(self._path(snapshot))

    # --- hooks

    @contextmanager
    def foreign_snapshot(self, share: Replica) -> Iterator[Callable[[], str]]:
        """Take one beside the shares."""
        path = self._root / f"by-hand-{new_id()[:8]}"
        btrfs.snapshot(self._home(share).online, path, read_only=True)
        try:
            yield lambda: path.name if path.exists() else ""
        finally:
            if path.exists():
                btrfs.delete(path)

    def spoil_snapshot(self, snapshot: SnapshotInstance) -> None:
        """Let it be written to."""
        run(["btrfs", "property", "set", "-ts", self._path(snapshot), "ro", "false"])

    def leftovers(self, shares: Sequence[Replica], snapshots: Sequence[SnapshotInstance]) -> Sequence[str]:
        """Look for subvolumes that nothing on record accounts for."""
        homes = [self._home(share) for share in shares]
        known = {*(home.online for home in homes), *(home.path for home in homes)}
        known |= {self._path(snapshot) for snapshot in snapshots}
        found = [*self._root.glob("share-*"), *self._root.glob(f"{OURS}/*"), *self._root.glob(f"{OURS}/*/*")]
        return [str(path) for path in found if path not in known]

    @property
    def _root(self) -> Path:
        return Path(self.options["mount_root"])

    def _home(self, share: Replica) -> Home:
        return Home(self._root, share.id)

    def _path(self, snapshot: SnapshotInstance) -> Path:
        return self._home(snapshot.replica).snapshot(snapshot.snapshot_id)


@contextmanager
def loop_btrfs(home: Path, *quotas: str) -> Iterator[Path]:
    """Mount a new btrfs of 16 GiB, in a sparse file in `home`; `quotas` are flags of ``btrfs quota enable``."""
    image, root = home / "btrfs.img", home / "btrfs"
    with image.open("wb") as file:
        file.truncate(16 * GIB)
    run(["mkfs.btrfs", "--quiet", image])
    root.mkdir()
    run(["mount", "-t", "btrfs", "-o", "loop", "--", image, root])
    try:
        run(["btrfs", "quota", "enable", *quotas, root])
        yield root
    finally:
        unmount(root)
        image.unlink()
        root.rmdir()
