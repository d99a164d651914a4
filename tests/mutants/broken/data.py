"""Broken in what they bring back, and in what they lose."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from broken.base import Broken
from revertkit.drivers.directory import DirectoryDriver
from revertkit.drivers.directory.home import Home, Wrapper
from revertkit.drivers.memory.storage import STORAGE
from revertkit.models import (
    Reverted,
    RevertState,
    SnapshotInstance,
    Stored,
)
from revertkit.system.run import step


class AnswersWithoutReverting(Broken):
    """Success, and nothing done; asked how far it came, it says that it is done."""

    seen_by = "test_everything_is_as_it_was"

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        with step("do nothing"):
            held = self.held(snapshot.replica)
            held.online = False
        return Reverted(
            share=Stored(backend_id=held.identity, size=snapshot.size),
            snapshot=Stored(backend_id=self.target(snapshot).identity, size=snapshot.size),
        )

    def revert_state(self, snapshot: SnapshotInstance) -> RevertState:
        return RevertState.UNCHANGED if self.held(snapshot.replica).online else RevertState.REVERTED


class RevertsAllButOneFile(Broken):
    """A copy that left something out."""

    seen_by = "test_everything_is_as_it_was"

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        answer = super().revert_to_snapshot(snapshot)
        self.held(snapshot.replica).files.pop("dir/empty", None)
        return answer


class LeavesNewFiles(Broken):
    """A copy over what is there, which removes nothing."""

    seen_by = "test_everything_is_as_it_was"

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        before = dict(self.held(snapshot.replica).files)
        answer = super().revert_to_snapshot(snapshot)
        held = self.held(snapshot.replica)
        held.files = before | held.files
        return answer


class LosesTheTarget(Broken):
    """As a merge does that nobody takes the snapshot anew after."""

    seen_by = "test_target_is_still_there"

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        answer = super().revert_to_snapshot(snapshot)
        self.target(snapshot).files = {}
        return answer


class LosesASibling(Broken):
    """Older snapshots run full when an older one is merged into their origin."""

    seen_by = "test_older_snapshots_keep_their_content"

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        answer = super().revert_to_snapshot(snapshot)
        for kept in self.held(snapshot.replica).snapshots.values():
            if kept.mark != snapshot.snapshot_id:
                kept.files = {}
        return answer


class DeletesANewerSnapshot(Broken):
    """As ``zfs rollback -r`` does."""

    seen_by = "test_newer_snapshot_that_the_manager_does_not_know"

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        held = self.held(snapshot.replica).snapshots
        names = list(held)
        for name in names[names.index(snapshot.snapshot_id) + 1 :]:
            del held[name]
        return super().revert_to_snapshot(snapshot)


class ResolvesTheLatestItself(Broken):
    """Reverts to whatever is the newest on the backend."""

    seen_by = "test_newer_snapshot_that_the_manager_does_not_know"

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        answer = super().revert_to_snapshot(snapshot)
        held = self.held(snapshot.replica)
        held.files = dict(list(held.snapshots.values())[-1].files)
        return answer


class DeletesOlderSnapshotsToo(Broken):
    """A delete that takes more than was named."""

    seen_by = "test_three_deep"

    def delete_snapshot(self, snapshot: SnapshotInstance) -> None:
        super().delete_snapshot(snapshot)
        if held := STORAGE[self.backend].get(snapshot.replica.id):
            held.snapshots.clear()


class SnapshotsFollowTheShare(Broken):
    """A snapshot that is no copy."""

    seen_by = "test_everything_is_as_it_was"

    def create_snapshot(self, snapshot: SnapshotInstance) -> Stored:
        answer = super().create_snapshot(snapshot)
        self.target(snapshot).files = self.held(snapshot.replica).files
        return answer


class ChildrenHangOnTheirSnapshot(Broken):
    """A share from a snapshot that goes with it, as a careless clone."""

    seen_by = "test_share_from_a_snapshot_lives_on_its_own"

    def delete_snapshot(self, snapshot: SnapshotInstance) -> None:
        for volume in STORAGE[self.backend].values():
            if volume.mark != snapshot.replica.share_id:
                volume.files.clear()
        super().delete_snapshot(snapshot)


class _Copies(DirectoryDriver):
    """Copies what it reverts to by a program of its own, which is not quite right."""

    def _stage(self, home: Home, held: Wrapper) -> None:
        super()._stage(home, held)
        live = home.live()
        assert live is not None
        for path in [path for path in home.incoming.data.rglob("*") if not path.is_symlink()]:
            self.spoil(path, live.data / path.relative_to(home.incoming.data))

    def spoil(self, copied: Path, live: Path) -> None:
        """Do with one file of the copy what the program does."""
        raise NotImplementedError


class SkipsHiddenFiles(_Copies):
    """A shell's ``*`` for a directory's content."""

    api_version = 1
    seen_by = "test_everything_is_as_it_was"

    def spoil(self, copied: Path, live: Path) -> None:
        if copied.name.startswith("."):
            copied.unlink()


class SkipsPipes(_Copies):
    """Files and directories are all that there is."""

    api_version = 1
    seen_by = "test_everything_is_as_it_was"

    def spoil(self, copied: Path, live: Path) -> None:
        if copied.is_fifo():
            copied.unlink()


class SetsModesBeforeOwners(_Copies):
    """The change of owner takes the set-user-ID bit away again."""

    api_version = 1
    seen_by = "test_everything_is_as_it_was"

    def spoil(self, copied: Path, live: Path) -> None:
        if copied.is_file():
            copied.chmod(stat.S_IMODE(copied.stat().st_mode) & ~stat.S_ISUID)


class TrustsTimes(_Copies):
    """A file of the same size and time is the same file, and need not be copied."""

    api_version = 1
    seen_by = "test_everything_is_as_it_was"

    def spoil(self, copied: Path, live: Path) -> None:
        if copied.is_file() and live.is_file():
            mine, theirs = copied.stat(), live.stat()
            if (mine.st_size, mine.st_mtime_ns) == (theirs.st_size, theirs.st_mtime_ns):
                copied.write_bytes(live.read_bytes())
                os.utime(copied, ns=(mine.st_mtime_ns, mine.st_mtime_ns))


class StagesEveryShareInOnePlace(Broken):
    """What is staged is the content of whichever share was last staged."""

    seen_by = "test_shares_do_not_meet"
    staged: ClassVar[Mapping[str, bytes]] = {}

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        type(self).staged = dict(self.target(snapshot).files)
        with step("stage"):
            pass
        answer = super().revert_to_snapshot(snapshot)
        self.held(snapshot.replica).files = dict(self.staged)
        return answer
