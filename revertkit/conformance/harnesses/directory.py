"""The harness of the directory driver."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from revertkit.conformance.harness import LocalHarness
from revertkit.conformance.trees import LocalTree, Tree
from revertkit.drivers.directory.home import OURS, Home, Wrapper
from revertkit.models import ExportLocation, Replica, SnapshotInstance


class DirectoryHarness(LocalHarness):
    """Directories, which need nothing to be made on but a place; without a settings file, one of the run's own."""

    driver = "directory"
    inapplicable = {  # noqa: RUF012 - as in its base
        "foreign_snapshot": "nobody but the driver can take a snapshot of a directory",
        "spoil_snapshot": "a copy of a directory is sound as long as it is there",
        "no_room": "room on a file system cannot be taken away from a share alone",
    }
    reads_snapshots: ClassVar[bool] = True

    @contextmanager
    def storage(self, home: Path) -> Iterator[Mapping[str, Any]]:
        """Use the place of the settings file, or make one."""
        if self.configured:
            yield self.configured
        else:
            for name in ("shares", "peer"):
                (home / name).mkdir()
            yield {"mount_root": str(home / "shares"), "peers": [str(home / "peer")]}

    @property
    def _root(self) -> Path:
        return Path(self.options["mount_root"])

    def _home(self, share: Replica) -> Home:
        there = share.backend in ("", self.backend)
        return Home(self._root if there else Path(self.options["peers"][0]), share.id)

    def _held(self, snapshot: SnapshotInstance) -> Wrapper:
        return self._home(snapshot.replica).snapshot(snapshot.snapshot_id)

    def snapshot_tree(self, snapshot: SnapshotInstance, locations: Sequence[ExportLocation]) -> Tree:
        """Look where the driver keeps it."""
        return LocalTree(self._held(snapshot).data)

    # --- hooks

    def peer(self) -> tuple[str, Mapping[str, Any]]:
        """Take the first of the backend's peers."""
        return f"{self.backend}-peer", {"mount_root": self.options["peers"][0], "peers": [str(self._root)]}

    def leftovers(self, shares: Sequence[Replica], snapshots: Sequence[SnapshotInstance]) -> Sequence[str]:
        """Look among what only the driver writes."""
        known = {self._held(snapshot).path for snapshot in snapshots}
        homes = [self._home(share).path for share in shares]
        ours = set((self._root / OURS).glob("share-*"))
        inside = {path for home in homes if home.is_dir() for path in home.iterdir()}
        return sorted(map(str, (ours - set(homes)) | (inside - known)))
