"""Broken in what the share's users know it by."""

from __future__ import annotations

from broken.base import Broken
from revertkit.models import (
    ExportLocation,
    Replica,
    Reverted,
    SnapshotInstance,
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


class ChangesThePath(Broken):
    """The path has the volume's identity in it, which a revert changes."""

    seen_by = "test_paths_and_file_system_stay"

    def ensure_share(self, share: Replica) -> list[ExportLocation]:
        super().ensure_share(share)
        return [ExportLocation(path=f"memory:/{self.backend}/{self.held(share).identity}")]
