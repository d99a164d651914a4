"""The directory driver: each verb, in terms of a share's :class:`~revertkit.drivers.directory.home.Home`.

How far a revert has come is told by identities alone. A staged copy has an identity of its own and names the snapshot
that it came from; the exchange is one system call. So the share either is the recorded one (unchanged), or comes from
the snapshot and is offline (reverted), and there is no half way.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator

from revertkit.driver import (
    ShareDriver,
    SupportsCreateFromSnapshot,
    SupportsExtend,
    SupportsRevert,
    SupportsShrink,
    SupportsSnapshots,
)
from revertkit.drivers.directory import blockers, pool, tree
from revertkit.drivers.directory.blockers import refuse
from revertkit.drivers.directory.home import Home, Wrapper, stored
from revertkit.drivers.directory.replication import Replication
from revertkit.errors import BackendError, Blocked
from revertkit.models import (
    Blocker,
    ExportLocation,
    Lack,
    Pool,
    Replica,
    Reverted,
    RevertPreview,
    RevertState,
    SnapshotInstance,
    Stored,
)
from revertkit.status import ReplicaState
from revertkit.system.run import step


class DirectoryDriver(
    ShareDriver,
    SupportsSnapshots,
    SupportsCreateFromSnapshot,
    SupportsRevert,
    SupportsExtend,
    SupportsShrink,
    Replication,
):
    """Shares as directories of a file system that is already there. Its limits are in its pool's report."""

    api_version: ClassVar[int] = 1

    class Options(ShareDriver.Options):
        """Where the shares live."""

        mount_root: Path = Field(description="an existing directory; shares live in it, and all copies of them")

        peers: tuple[Path, ...] = Field(
            (), description="the mount_root of each other directory backend of this host that it replicates with"
        )

        @field_validator("mount_root")
        @classmethod
        def _absolute(cls, path: Path) -> Path:
            if not path.is_absolute():
                raise ValueError(f"mount_root is an absolute path, {path} is not")
            return path

        @field_validator("peers")
        @classmethod
        def _all_absolute(cls, paths: tuple[Path, ...]) -> tuple[Path, ...]:
            for path in paths:
                if not path.is_absolute():
                    raise ValueError(f"a peer is the absolute path of another backend's mount_root, {path} is not")
            return paths

    @classmethod
    def probe(cls) -> list[Lack]:
        """Name the tools that are not installed; without renameat2, a revert cannot be had."""
        return pool.lacks_of_host()

    def pools(self) -> list[Pool]:
        """Look at the file system below ``mount_root``.

        Raises:
            BackendError: it is not there or cannot be written.
        """
        root, peers = self.options.mount_root, self.options.peers
        return [pool.look(root, exchanges=self._can_exchange, replicates=bool(peers))]

    @cached_property
    def _can_exchange(self) -> bool:
        return pool.can_exchange(self.options.mount_root)

    def _home(self, share: Replica) -> Home:
        return Home(self.options.mount_root, share.id)

    # --- shares

    def create_share(self, share: Replica) -> Stored:
        """Make it offline; ``ensure_share`` brings it online.

        Raises:
            Blocked: something without an identity stands in its place; nothing has changed.
        """
        return self._create(share)

    def create_share_from_snapshot(self, share: Replica, snapshot: SnapshotInstance) -> Stored:
        """Make it offline, as a copy.

        Raises:
            Blocked: the snapshot is missing or another one than is on record; nothing has changed.
            BackendError: it could not be copied completely; nothing is left of the copy.
        """
        source = self._home(snapshot.replica)
        refuse(blockers.of_snapshot(source, snapshot))
        held = source.snapshot(snapshot.snapshot_id)
        return self._create(share, held.data, held.identity or "")

    def _create(self, share: Replica, source: Path | None = None, origin: str = "") -> Stored:
        home = self._home(share)
        there = home.live() is not None
        if there:
            refuse(blockers.of_identity(home, share.backend_id))
        home.begin()
        if there:
            home.sync()
        else:
            home.make(home.current, source, origin=origin)
        return stored(home.live(), share.size)

    def delete_share(self, share: Replica) -> None:
        """Take the share out of its users' reach and remove it, also while they have files of it open.

        Raises:
            Blocked: its file system is not there, it has snapshots, something is mounted inside, or what stands in its
                place is not it.
        """
        home = self._home(share)
        refuse(blockers.of_file_system(home, share.backend_id))
        refuse([*blockers.of_snapshots(home), *blockers.of_mounts(home)])
        if home.live() == home.online:
            refuse(blockers.of_identity(home, share.backend_id))
            home.begin()
            home.go_offline()
        home.demolish()

    def ensure_share(self, share: Replica) -> list[ExportLocation]:
        """Bring the share online, then remove what operations left. One that its user removed comes back, empty.

        Raises:
            Blocked: another identity than is on record, or nothing there at all; nothing has changed.
            BackendError: something else stands in its place; the share stays offline.
        """
        home = self._home(share)
        if share.state is not ReplicaState.ACTIVE:
            return self._ensure_replica(home)
        if self._live(home, share) == home.current:
            home.go_online()
        home.sweep()
        return [ExportLocation(path=str(home.online.data), preferred=True)]

    def _live(self, home: Home, share: Replica) -> Wrapper:
        """Find the share; what its user removed of its wrapper is made anew, empty. A share made anew is offline."""
        refuse(blockers.of_identity(home, share.backend_id))
        live = home.live()
        if live is None:
            home.make(home.current, identity=share.backend_id or "")
        elif not live.data.is_dir():
            with step("make data anew"):
                live.data.mkdir()
        return live or home.current

    def extend_share(self, share: Replica, new_size: int) -> Stored:
        """Answer the new size: a directory has none of its own, only the record does.

        Raises:
            Blocked: what stands in the share's place is not it.
        """
        home = self._home(share)
        return stored(self._live(home, share), new_size)

    def shrink_share(self, share: Replica, new_size: int) -> Stored:
        """Answer the new size, if the data fits.

        Raises:
            Blocked: it does not, or what stands in the share's place is not it; nothing has changed.
        """
        home = self._home(share)
        live = self._live(home, share)
        refuse(blockers.of_size(tree.bytes_used(live.data), new_size))
        return stored(live, new_size)

    # --- snapshots

    def create_snapshot(self, snapshot: SnapshotInstance) -> Stored:
        """Copy the share. It is not one point in time if somebody writes meanwhile.

        Raises:
            Blocked: what stands in the share's place is not it, or something is mounted inside; nothing has changed.
            BackendError: a part of it cannot be read or kept; nothing is left of the copy.
        """
        home = self._home(snapshot.replica)
        held = home.snapshot(snapshot.snapshot_id)
        if held.exists():
            home.sync()
        else:
            refuse([*blockers.of_identity(home, snapshot.replica.backend_id), *blockers.of_mounts(home)])
            live = self._live(home, snapshot.replica)
            home.begin()
            home.make(held, live.data)
        return stored(held, snapshot.size)

    def delete_snapshot(self, snapshot: SnapshotInstance) -> None:
        """Remove the snapshot and what is left of earlier tries to make or remove it.

        Raises:
            Blocked: it is another one than is on record, or nothing of its share is there; nothing has changed.
        """
        home = self._home(snapshot.replica)
        held = home.snapshot(snapshot.snapshot_id)
        if snapshot.backend_id is not None and (held.exists() or not home.path.is_dir()):
            refuse(blockers.of_snapshot(home, snapshot))
        home.drop(held)

    # --- revert

    def check_revert(self, snapshot: SnapshotInstance) -> RevertPreview:
        """Look for everything that stands in the way. How much would be discarded cannot be told cheaply.

        Raises:
            Blocked: with every blocker.
        """
        home = self._home(snapshot.replica)
        found = list(blockers.of_revert(home, snapshot))
        if home.path.is_dir() and not self._can_exchange:
            lack = pool.no_exchange(self.options.mount_root)
            found.append(Blocker(kind="no_exchange", what=lack.why, mend=lack.mend))
        refuse(found)
        return RevertPreview()

    def revert_state(self, snapshot: SnapshotInstance) -> RevertState:
        """Tell by the identities; there is no half way. One that is online is never taken for just reverted."""
        home = self._home(snapshot.replica)
        live = home.live()
        if live is None:
            return RevertState.UNCHANGED if home.path.is_dir() else RevertState.UNKNOWN
        if live.identity is not None and live.identity == snapshot.replica.backend_id:
            return RevertState.UNCHANGED
        comes_from_it = live.origin is not None and live.origin == snapshot.backend_id
        if live == home.current and comes_from_it and not list(blockers.of_snapshot(home, snapshot)):
            return RevertState.REVERTED
        return RevertState.UNKNOWN

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        """Stage a copy of the snapshot, take the share offline, look again, exchange the two.

        Raises:
            Blocked: something stands in the way; the share is where it was.
            BackendError: the copy failed, or the share could not be brought back after a late refusal.
        """
        home = self._home(snapshot.replica)
        if self.revert_state(snapshot) is not RevertState.REVERTED:
            self.check_revert(snapshot)
            self._stage(home, home.snapshot(snapshot.snapshot_id))
            self._go_offline(home, snapshot)
            home.exchange()
        home.sync()
        if self.revert_state(snapshot) is not RevertState.REVERTED:
            raise BackendError(f"{home.current.path} is not the share reverted to {snapshot.id}")
        held = stored(home.snapshot(snapshot.snapshot_id), snapshot.size)
        return Reverted(share=stored(home.current, snapshot.size), snapshot=held)

    def _stage(self, home: Home, held: Wrapper) -> None:
        with step("stage the snapshot") as progress:
            home.drop(home.incoming)
            progress(10)
            home.make(home.incoming, held.data, origin=held.identity or "")
            progress(90)

    def _go_offline(self, home: Home, snapshot: SnapshotInstance) -> None:
        """Only now can nobody open it any more, so only this look is the last."""
        was_online = home.live() != home.current
        try:
            if self._live(home, snapshot.replica) == home.online:
                home.go_offline()
            self.check_revert(snapshot)
        except Blocked:
            if was_online and home.current.exists():
                home.go_online()
            home.drop(home.incoming)
            raise
