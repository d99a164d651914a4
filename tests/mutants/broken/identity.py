"""Broken in what the share's users know it by."""

from __future__ import annotations

from dataclasses import replace

from broken.base import Broken
from revertkit.drivers.memory.storage import STORAGE
from revertkit.models import (
    GIB,
    AccessLevel,
    ExportLocation,
    Replica,
    Reverted,
    SnapshotInstance,
    Stored,
    new_id,
)


class ForgetsTheSize(Broken):
    """The content comes back, the size does not."""

    seen_by = "test_size_comes_back_after_a_growth"

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        size = self.held(snapshot.replica).size
        answer = super().revert_to_snapshot(snapshot)
        self.held(snapshot.replica).size = size
        return answer.model_copy(update={"share": answer.share.model_copy(update={"size": size})})


class ForgetsAccessRules(Broken):
    """Online again, and exported to nobody."""

    seen_by = "test_access_rules_stay"

    def ensure_share(self, share: Replica) -> list[ExportLocation]:
        return super().ensure_share(share if self.held(share).online else share.model_copy(update={"rules": ()}))


class ForgetsReadOnlyRules(Broken):
    """Every rule becomes one for writing, and the first is all there is."""

    seen_by = "test_access_rules_stay"

    def ensure_share(self, share: Replica) -> list[ExportLocation]:
        back = self.held(share).online
        return super().ensure_share(share if back else share.model_copy(update={"rules": share.rules[:1]}))


class KnowsSnapshotsByName(Broken):
    """The name is the identity, so that whatever is made under it is taken for what was there."""

    seen_by = "test_a_name_is_no_identity"

    def create_snapshot(self, snapshot: SnapshotInstance) -> Stored:
        answer = super().create_snapshot(snapshot)
        self.target(snapshot).identity = f"snapshot-{snapshot.snapshot_id}"
        return answer.model_copy(update={"backend_id": self.target(snapshot).identity})


class ChangesThePath(Broken):
    """The path has the volume's identity in it, which a revert changes."""

    seen_by = "test_paths_and_file_system_stay"

    def ensure_share(self, share: Replica) -> list[ExportLocation]:
        super().ensure_share(share)
        return [ExportLocation(path=f"memory:/{self.backend}/{self.held(share).identity}")]


class RevertsToAnotherFileSystem(Broken):
    """The content is copied into a new file system: every client that has it mounted gets stale handles."""

    seen_by = "test_paths_and_file_system_stay"

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        self.held(snapshot.replica).filesystem = new_id()
        return super().revert_to_snapshot(snapshot)


class CopiesTheFileSystemsId(Broken):
    """A share made of a snapshot is, block by block, its origin: nobody can mount both."""

    seen_by = "test_share_from_a_snapshot_lives_on_its_own"

    def create_share_from_snapshot(self, share: Replica, snapshot: SnapshotInstance) -> Stored:
        answer = super().create_share_from_snapshot(share, snapshot)
        self.held(share).filesystem = self.held(snapshot.replica).filesystem
        return answer


class NeverRevokes(Broken):
    """What was let in once is served for good."""

    seen_by = "test_access_follows_the_rules"

    def update_access(self, share: Replica) -> dict[str, str]:
        before = self.held(share).exported_to
        answer = super().update_access(share)
        self.held(share).exported_to = (*(rule for rule in before if rule not in share.rules), *share.rules)
        return answer

    def ensure_share(self, share: Replica) -> list[ExportLocation]:
        before = self.held(share).exported_to
        locations = super().ensure_share(share)
        self.held(share).exported_to = before
        return locations


class ReadOnlyIsReadWrite(Broken):
    """Who may only read is served as who may write."""

    seen_by = "test_access_follows_the_rules"

    def ensure_share(self, share: Replica) -> list[ExportLocation]:
        wide = tuple(rule.model_copy(update={"access_level": AccessLevel.RW}) for rule in share.rules)
        return super().ensure_share(share.model_copy(update={"rules": wide}))


class LeavesAStagingCopy(Broken):
    """What was staged for a snapshot stays on the backend."""

    seen_by = "test_nothing_is_left_on_the_backend"

    def create_snapshot(self, snapshot: SnapshotInstance) -> Stored:
        answer = super().create_snapshot(snapshot)
        self.held(snapshot.replica).snapshots["staging"] = replace(self.target(snapshot), mark="")
        return answer


class AdoptsAnothersShare(Broken):
    """Whatever has that name is the share from now on."""

    seen_by = "test_a_share_is_not_adopted_twice"

    def manage_share(self, share: Replica, existing: str) -> Stored:
        if found := STORAGE[self.backend].get(existing):
            found.mark = found.replica_mark = ""
        return super().manage_share(share, existing)


class AdoptsWhatIsOlder(Broken):
    """A snapshot of the share is a snapshot of the share."""

    seen_by = "test_a_snapshot_that_is_older_than_ours_is_not_adopted"

    def manage_snapshot(self, snapshot: SnapshotInstance, existing: str) -> Stored:
        held = self.held(snapshot.replica).snapshots
        if existing in held:
            held[existing] = held.pop(existing)
        return super().manage_snapshot(snapshot, existing)


class ShrinksWithoutALook(Broken):
    """What no longer fits is cut off."""

    seen_by = "test_shrink_that_would_not_fit"

    def shrink_share(self, share: Replica, new_size: int) -> Stored:
        files = self.held(share).files
        while sum(map(len, files.values())) > new_size * GIB:
            files.popitem()
        return super().shrink_share(share, new_size)
