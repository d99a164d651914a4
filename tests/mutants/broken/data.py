"""Broken in what they bring back, and in what they lose."""

from __future__ import annotations

from broken.base import Broken
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
