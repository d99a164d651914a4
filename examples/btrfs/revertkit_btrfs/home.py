"""Where everything of one share stands, and the only moves that it makes.

::

    <root>/share-<replica id>                   the share, online: a subvolume
    <root>/.revertkit/share-<replica id>/       the rest, for nobody else's eyes
        current                                 the share, offline
        incoming                                staged for a revert; after the exchange, what was discarded
        snap-<snapshot id>                      a snapshot: a read-only subvolume

Why this shape: "offline" has to be something that can be *seen*, by us after a crash and by nobody else meanwhile. A
place that only root can enter is that, in one rename. And the share's two states never look alike: at each instant
it is at exactly one of its two places.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from revertkit.errors import BackendError
from revertkit.system import kernel
from revertkit.system.run import step
from revertkit_btrfs import btrfs
from revertkit_btrfs.btrfs import Subvolume

OURS = ".revertkit"


class Home:
    """The places of one share."""

    def __init__(self, root: Path, replica_id: str) -> None:
        self.root = root
        self.path = root / OURS / f"share-{replica_id}"
        self.online = root / f"share-{replica_id}"
        self.current = self.path / "current"
        self.incoming = self.path / "incoming"

    def snapshot(self, snapshot_id: str) -> Path:
        """Name the place of a snapshot."""
        return self.path / f"snap-{snapshot_id}"

    def snapshots(self) -> list[Path]:
        """List the snapshots that are there, on record or not."""
        return sorted(self.path.glob("snap-*"))

    def live(self) -> Subvolume | None:
        """Find the share itself. Only we write among our own, so what is there is it, whatever stands outside."""
        return btrfs.look(self.current) or btrfs.look(self.online)

    def begin(self) -> None:
        """Make the private directories.

        Raises:
            BackendError: the root is not there or cannot be written.
        """
        try:
            (self.root / OURS).mkdir(mode=0o700, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise BackendError(f"{self.root} cannot be used: {error}; mount it or make it") from error

    def end(self) -> None:
        """Remove the private directory, which is empty; not there: fine."""
        with step("remove its directory"), suppress(FileNotFoundError):
            self.path.rmdir()

    def go_offline(self) -> None:
        """Take the share out of its users' reach; who has it open keeps what is open."""
        with step("take the share offline"):
            kernel.move(self.online, self.current)
            self.commit()

    def go_online(self) -> None:
        """Put the share where its users find it.

        Raises:
            BackendError: something else stands there; it is left alone, and the share stays offline.
        """
        try:
            with step("bring the share online"):
                kernel.move(self.current, self.online)
                self.commit()
        except FileExistsError:
            what = f"{self.online} is in the way: it is not the share, which is {self.current}"
            raise BackendError(f"{what}; move it away, then run recover") from None

    def exchange(self) -> None:
        """Let what is staged become the share, and the share become what is discarded, in a single instant.

        Where there is no share any more, because somebody with root's rights removed even its subvolume, nothing is
        exchanged: what is staged just takes its place.
        """
        with step("exchange"):
            if os.path.lexists(self.current):
                kernel.exchange(self.current, self.incoming)
            else:
                kernel.move(self.incoming, self.current)
            self.commit()

    def commit(self) -> None:
        """Let every change so far outlive a power cut.

        By syncfs(2), which commits the transaction, all of it or nothing. Not by fsync(2) of the directories: that
        writes btrfs's log tree, which once could not be replayed after a snapshot had been removed.
        """
        kernel.sync_file_system(self.path)
