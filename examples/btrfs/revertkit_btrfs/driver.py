"""The btrfs driver: each verb, in terms of a share's :class:`~revertkit_btrfs.home.Home`.

How far a revert has come is told by what btrfs keeps anyway. Every subvolume has a uuid that no other ever has, and
names the uuid of the one that it was made of. What is staged for a revert is made of the snapshot, and one system call
exchanges it with the share. So the share either is the recorded one (unchanged), or is made of the snapshot and offline
(reverted), and there is no half way. Nothing has to be marked: a mark is for backends whose objects cannot tell.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator

from revertkit.capabilities import Capability
from revertkit.driver import (
    ShareDriver,
    SupportsCreateFromSnapshot,
    SupportsExtend,
    SupportsRevert,
    SupportsShrink,
    SupportsSnapshots,
)
from revertkit.errors import BackendError, Blocked
from revertkit.models import (
    GIB,
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
from revertkit.system import kernel
from revertkit.system.run import tool
from revertkit_btrfs import blockers, btrfs
from revertkit_btrfs.btrfs import Subvolume
from revertkit_btrfs.home import Home


class BtrfsDriver(
    ShareDriver, SupportsSnapshots, SupportsCreateFromSnapshot, SupportsRevert, SupportsExtend, SupportsShrink
):
    """Shares as subvolumes of a btrfs that is mounted already; a share's size is its qgroup's limit.

    What it does not claim, it does not inherit: no access rules, no exports, nothing to adopt.
    """

    api_version: ClassVar[int] = 1

    class Options(ShareDriver.Options):
        """Where the shares live."""

        mount_root: Path = Field(description="an existing directory on a mounted btrfs; shares live in it")

        @field_validator("mount_root")
        @classmethod
        def _absolute(cls, path: Path) -> Path:
            if not path.is_absolute():
                raise ValueError(f"mount_root is an absolute path, {path} is not")
            return path

    @classmethod
    def probe(cls) -> list[Lack]:
        """Name what this host lacks, whatever the settings. Nothing works without, so none names a capability.

        Whether the kernel has btrfs is not asked: it loads it at the first mount, and ``pools`` sees the mount.
        """
        missing = [(name, package) for name, package in btrfs.TOOLS.items() if tool(name) is None]
        lacks = [Lack(why=f"there is no {name}", mend=f"apt install {package}") for name, package in missing]
        if not kernel.has_renameat2():
            lacks.append(Lack(why="the C library has no renameat2", mend="use glibc 2.28 or later"))
        if os.geteuid() != 0:
            lacks.append(Lack(why="limiting and deleting subvolumes needs root", mend="run as root"))
        return lacks

    def pools(self) -> list[Pool]:
        """Look at the one pool: the file system. Where it counts no bytes, a size is a word, and not to be changed.

        Quotas are not switched on here: they cost something at every write, so that is for its owner to decide.
        """
        root = self.options.mount_root
        lacks = [
            Lack(why=blocker.what, mend=blocker.mend, capability=capability)
            for blocker in blockers.of_quotas(root)
            for capability in (Capability.EXTEND, Capability.SHRINK)
        ]
        room = os.statvfs(root)
        return [
            Pool(
                name="btrfs",
                total_bytes=room.f_blocks * room.f_frsize,
                free_bytes=room.f_bavail * room.f_frsize,
                lacks=tuple(lacks),
                extra={"size_enforced": not lacks},
            )
        ]

    # --- shares

    def create_share(self, share: Replica) -> Stored:
        """Make an empty subvolume, offline; ``ensure_share`` brings it online.

        Raises:
            Blocked: what stands in its place is another one than is on record.
        """
        return self._create(share, btrfs.create)

    def create_share_from_snapshot(self, share: Replica, snapshot: SnapshotInstance) -> Stored:
        """Make a writable snapshot of the snapshot. Neither needs the other, so either can be deleted first.

        Raises:
            Blocked: the snapshot is missing or another one than is on record; nothing has changed.
        """
        source = self._home(snapshot.replica)
        _refuse(blockers.of_snapshot(source, snapshot))
        return self._create(share, partial(btrfs.snapshot, source.snapshot(snapshot.snapshot_id)))

    def _create(self, share: Replica, make: Callable[[Path], None]) -> Stored:
        """Make the share, or find it made: btrfs makes a subvolume whole, so one that a dead call left is good."""
        home = Home(self.options.mount_root, share.id)
        home.begin()
        if home.live() is None:
            make(home.current)
        return self._limited(self._known(home, share), share.size)

    def delete_share(self, share: Replica) -> None:
        """Take the share out of its users' reach and remove it, also while they have files of it open.

        Only what is at the public place is asked who it is: what is among our own is ours.

        Raises:
            Blocked: it has snapshots, something is inside it, or what stands in its place is not it.
        """
        home = self._home(share)
        live = home.live()
        _refuse([*blockers.of_removal(home), *blockers.of_inside(live)])
        if live is not None and live.path == home.online:
            self._known(home, share)
            home.begin()
            home.go_offline()
        btrfs.delete(home.incoming)
        btrfs.delete(home.current)
        home.end()

    def ensure_share(self, share: Replica) -> list[ExportLocation]:
        """Bring the share online with the size that is on record, then remove what a revert set aside.

        It is removed here and not by the revert: only here is the outcome on record, and the old data not needed.

        Raises:
            Blocked: it is missing or another one than is on record; it stays where it is.
            BackendError: something else stands in its place; the share stays offline.
        """
        home = self._home(share)
        live = self._known(home, share)
        if live.limit != share.size * GIB:
            self._limited(live, share.size)
        if live.path == home.current:
            home.go_online()
        btrfs.delete(home.incoming)
        return [ExportLocation(path=str(home.online), preferred=True)]

    # --- sizes

    def extend_share(self, share: Replica, new_size: int) -> Stored:
        """Raise the limit; the share stays online.

        Raises:
            Blocked: btrfs would hold nobody to the new size; nothing has changed.
        """
        return self._resize(share, new_size)

    def shrink_share(self, share: Replica, new_size: int) -> Stored:
        """Lower the limit; the share stays online.

        Raises:
            Blocked: the share holds more, or btrfs would hold nobody to the new size; nothing has changed.
        """
        return self._resize(share, new_size)

    def _resize(self, share: Replica, new_size: int) -> Stored:
        live = btrfs.measure(self._known(self._home(share), share).path)
        _refuse([*blockers.of_size(live, new_size), *blockers.of_quotas(self.options.mount_root)])
        return self._limited(live, new_size)

    def _limited(self, live: Subvolume, size: int) -> Stored:
        """Limit the share to `size` GiB where that means something, and answer what btrfs says then."""
        if btrfs.quotas(self.options.mount_root) in btrfs.COUNTED:
            btrfs.limit(live.path, size * GIB)
        return _stored(live.path, size)

    # --- snapshots

    def create_snapshot(self, snapshot: SnapshotInstance) -> Stored:
        """Take a read-only snapshot: of one moment, whoever writes meanwhile.

        Raises:
            Blocked: what stands in the share's place is not it, or a part of it would not be in the snapshot.
        """
        home = self._home(snapshot.replica)
        path = home.snapshot(snapshot.snapshot_id)
        if btrfs.look(path) is None:
            live = self._known(home, snapshot.replica)
            _refuse(blockers.of_inside(live))
            home.begin()
            btrfs.snapshot(live.path, path, read_only=True)
        return _stored(path, snapshot.size)

    def delete_snapshot(self, snapshot: SnapshotInstance) -> None:
        """Remove the snapshot.

        Raises:
            Blocked: it is another one than is on record; nothing has changed.
        """
        home = self._home(snapshot.replica)
        path = home.snapshot(snapshot.snapshot_id)
        held = btrfs.look(path)
        if held is not None and snapshot.backend_id not in (None, held.uuid):
            _refuse(blockers.of_snapshot(home, snapshot))
        btrfs.delete(path)

    # --- revert

    def check_revert(self, snapshot: SnapshotInstance) -> RevertPreview:
        """Look for everything that stands in the way, and at what only the share has: that would be thrown away.

        Raises:
            Blocked: with every blocker.
        """
        home = self._home(snapshot.replica)
        live = home.live()
        _refuse(blockers.of_revert(home, live, snapshot))
        return RevertPreview(discards_bytes=btrfs.measure(live.path).own if live else 0)

    def revert_state(self, snapshot: SnapshotInstance) -> RevertState:
        """Tell by the uuids; there is no half way. A share that is online is never taken for just reverted."""
        home = self._home(snapshot.replica)
        live = home.live()
        if live is None:
            return RevertState.UNCHANGED if home.path.is_dir() else RevertState.UNKNOWN
        if live.uuid == snapshot.replica.backend_id:
            return RevertState.UNCHANGED
        made_of_it = live.path == home.current and live.parent == snapshot.backend_id
        if made_of_it and not list(blockers.of_snapshot(home, snapshot)):
            return RevertState.REVERTED
        return RevertState.UNKNOWN

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        """Stage a writable snapshot of the snapshot, take the share offline, look again, exchange the two.

        All that can fail comes before the exchange, which either has happened or has not. It stays offline: the
        manager records the outcome, and ``ensure_share`` brings it online. Called again, it stages anew, or finds
        that the exchange has happened and has only to answer.

        Raises:
            Blocked: something stands in the way; the share is where it was.
            BackendError: btrfs says afterwards that it is not so.
        """
        home = self._home(snapshot.replica)
        if self.revert_state(snapshot) is not RevertState.REVERTED:
            _refuse(blockers.of_revert(home, home.live(), snapshot))
            self._stage(home, snapshot)
            self._go_offline(home, snapshot)
            home.exchange()
        home.commit()
        if (after := self.revert_state(snapshot)) is not RevertState.REVERTED:
            raise BackendError(f"{home.current} is {after} after the revert to {snapshot.id}")
        held = _stored(home.snapshot(snapshot.snapshot_id), snapshot.size)
        return Reverted(share=_stored(home.current, snapshot.size), snapshot=held)

    def _stage(self, home: Home, snapshot: SnapshotInstance) -> None:
        """Make what will be the share, with the size of the snapshot: the exchange brings content and size at once."""
        btrfs.delete(home.incoming)
        btrfs.snapshot(home.snapshot(snapshot.snapshot_id), home.incoming)
        self._limited(btrfs.there(home.incoming), snapshot.size)

    def _go_offline(self, home: Home, snapshot: SnapshotInstance) -> None:
        """Take the share offline and look again: only now can nobody open it any more, so only this look is the last.

        A refusal here leaves everything as it was, what was staged too.
        """
        was_online = btrfs.look(home.current) is None and btrfs.look(home.online) is not None
        if was_online:
            home.go_offline()
        try:
            _refuse(blockers.of_revert(home, home.live(), snapshot))
        except Blocked:
            if was_online:
                home.go_online()
            btrfs.delete(home.incoming)
            raise

    # --- names, and what has them

    def _home(self, share: Replica) -> Home:
        """Say where a share is that was made once.

        Raises:
            BackendError: nothing of ours is there. Deleting what is not there succeeds, but it has to be seen.
        """
        home = Home(self.options.mount_root, share.id)
        if not home.path.parent.is_dir():
            raise BackendError(f"there is no {home.path.parent}: mount the file system that holds the shares")
        return home

    def _known(self, home: Home, share: Replica) -> Subvolume:
        """Find the share.

        Raises:
            Blocked: it is missing, or not the one on record.
        """
        live = home.live()
        _refuse(blockers.of_identity(home, live, share.backend_id))
        assert live is not None
        return live


def _stored(path: Path, size: int) -> Stored:
    """Answer what btrfs says of a subvolume, not what it was told; `size` is its word where it has no limit."""
    found = btrfs.there(path)
    return Stored(backend_id=found.uuid, size=size if found.limit is None else found.limit // GIB)


def _refuse(found: Iterable[Blocker]) -> None:
    if every := list(found):
        raise Blocked(*every)
