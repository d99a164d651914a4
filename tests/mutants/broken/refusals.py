"""Broken in what they refuse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from broken.base import Broken
from revertkit.drivers.directory import DirectoryDriver, blockers
from revertkit.drivers.directory.home import Home
from revertkit.drivers.memory.storage import STORAGE
from revertkit.errors import Blocked
from revertkit.models import (
    ExportLocation,
    Replica,
    Reverted,
    RevertPreview,
    SnapshotInstance,
    Stored,
)


class LeavesTheShareOfflineOnFailure(Broken):
    """Takes it offline, and only then looks."""

    seen_by = "test_snapshot_of_another_identity"

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        self.held(snapshot.replica).online = False
        return super().revert_to_snapshot(snapshot)


class IgnoresTheSnapshotsIdentity(Broken):
    """By its name it is the right one."""

    seen_by = "test_snapshot_of_another_identity"

    def _snapshot_blockers(self, snapshot: SnapshotInstance) -> list[Any]:
        return super()._snapshot_blockers(
            snapshot.model_copy(update={"backend_id": self.target(snapshot).identity}),
        )


class MountsAStrangersSnapshot(Broken):
    """Brings online whatever snapshot stands there."""

    seen_by = "test_snapshot_of_another_identity"

    def ensure_snapshot(self, snapshot: SnapshotInstance) -> list[ExportLocation]:
        return super().ensure_snapshot(
            snapshot.model_copy(update={"backend_id": self.target(snapshot).identity}),
        )


class IgnoresTheSharesIdentity(Broken):
    """Brings online whatever stands there."""

    seen_by = "test_share_of_another_identity"

    def ensure_share(self, share: Replica) -> list[ExportLocation]:
        return super().ensure_share(share.model_copy(update={"backend_id": None}))


class DeletesWhateverHasTheSharesName(Broken):
    """Whose share it is has been asked when it was made."""

    seen_by = "test_a_stranger_in_its_place_is_left_alone"

    def delete_share(self, share: Replica) -> None:
        super().delete_share(share.model_copy(update={"backend_id": None}))


class ClosesTheStrangerBeforeItLooks(Broken):
    """What is to be deleted goes offline first; then it turns out to be another's."""

    seen_by = "test_a_stranger_in_its_place_is_left_alone"

    def delete_share(self, share: Replica) -> None:
        if share.id in STORAGE[self.backend]:
            self.held(share).online = False
        super().delete_share(share)


class DeletesWhateverHasTheSnapshotsName(Broken):
    """Whose snapshot it is has been asked when it was taken."""

    seen_by = "test_a_stranger_in_its_place_is_left_alone"

    def delete_snapshot(self, snapshot: SnapshotInstance) -> None:
        super().delete_snapshot(snapshot.model_copy(update={"backend_id": None}))


class SnapshotsWhateverHasTheSharesName(Broken):
    """Whatever is there is the share."""

    seen_by = "test_a_stranger_in_its_place_is_left_alone"

    def create_snapshot(self, snapshot: SnapshotInstance) -> Stored:
        found = snapshot.replica.model_copy(update={"backend_id": self.held(snapshot.replica).identity})
        return super().create_snapshot(snapshot.model_copy(update={"replica": found}))


class NamesOneBlockerAtATime(Broken):
    """Whoever mends it meets the next."""

    seen_by = "test_every_blocker_is_named"

    def check_revert(self, snapshot: SnapshotInstance) -> RevertPreview:
        try:
            return super().check_revert(snapshot)
        except Blocked as refusal:
            raise Blocked(refusal.blockers[0]) from None


class LooksOnlyInTheDryRun(Broken):
    """The real call relies on somebody having looked."""

    seen_by = "test_snapshot_of_another_identity"

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        return super().revert_to_snapshot(
            snapshot.model_copy(update={"backend_id": self.target(snapshot).identity}),
        )


class UnmountsLazily(DirectoryDriver):
    """Takes the share away from whoever has it open."""

    api_version: ClassVar[int] = 1
    seen_by: ClassVar[str] = "test_open_share"

    def check_revert(self, snapshot: SnapshotInstance) -> RevertPreview:
        home = self._home(snapshot.replica)
        found = [*blockers.of_identity(home, snapshot.replica.backend_id), *blockers.of_snapshot(home, snapshot)]
        if found:
            raise Blocked(*found)
        return RevertPreview()

    def _go_offline(self, home: Home, snapshot: SnapshotInstance) -> None:
        home.go_offline()


class ForgetsContainers(DirectoryDriver):
    """Asks who has the share open where it is, and not where it is mounted too."""

    api_version: ClassVar[int] = 1
    seen_by: ClassVar[str] = "test_share_that_is_mounted_in_a_second_place"

    def check_revert(self, snapshot: SnapshotInstance) -> RevertPreview:
        try:
            return super().check_revert(snapshot)
        except Blocked as refusal:
            if found := [blocker for blocker in refusal.blockers if not blocker.what.endswith(" too")]:
                raise Blocked(*found) from None
            return RevertPreview()


class LooksOnce(DirectoryDriver):
    """Whoever opens the share after that goes on with what is discarded."""

    api_version: ClassVar[int] = 1
    seen_by: ClassVar[str] = "test_share_that_is_opened_meanwhile"

    def _go_offline(self, home: Home, snapshot: SnapshotInstance) -> None:
        home.go_offline()


class LooksAtReplicatedSharesInTheDryRun(Broken):
    """What reverts a replicated share is another function, and relies on somebody having looked."""

    seen_by = "test_replicated_share_of_another_identity"

    def revert_to_replicated_snapshot(self, snapshot: SnapshotInstance, others: Sequence[SnapshotInstance]) -> Reverted:
        there = snapshot.replica.model_copy(update={"backend_id": self.held(snapshot.replica).identity})
        return super().revert_to_replicated_snapshot(snapshot.model_copy(update={"replica": there}), others)


class LooksOnceAtReplicatedShares(DirectoryDriver):
    """Looks again wherever a share has no replica."""

    api_version: ClassVar[int] = 1
    seen_by: ClassVar[str] = "test_replicated_share_that_is_opened_meanwhile"

    def _go_offline(self, home: Home, snapshot: SnapshotInstance) -> None:
        if snapshot.replica.peers:
            home.go_offline()
        else:
            super()._go_offline(home, snapshot)


class StaysOfflineAfterItsSecondLook(DirectoryDriver):
    """Refuses late, and leaves it to others to bring the share back."""

    api_version: ClassVar[int] = 1
    seen_by: ClassVar[str] = "test_share_that_is_opened_meanwhile"

    def _go_offline(self, home: Home, snapshot: SnapshotInstance) -> None:
        home.go_offline()
        self.check_revert(snapshot)
