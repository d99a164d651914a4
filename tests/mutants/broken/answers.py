"""Broken in what they answer once something went wrong."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import ClassVar

from broken.base import Broken
from revertkit.drivers.memory.online import stored
from revertkit.errors import BackendError, Blocked
from revertkit.models import (
    ExportLocation,
    Replica,
    Reverted,
    RevertState,
    SnapshotInstance,
    new_id,
)
from revertkit.system.run import run, step


class _Marks(Broken):
    """That a share is reverted is told by a mark beside it."""

    marked: ClassVar[set[str]] = set()

    def mark(self, snapshot: SnapshotInstance) -> Reverted:
        """Say from now on that it is, and answer so."""
        self.marked.add(snapshot.replica.id)
        self.held(snapshot.replica).online = False
        return Reverted(share=stored(self.held(snapshot.replica)), snapshot=stored(self.target(snapshot)))

    def revert_state(self, snapshot: SnapshotInstance) -> RevertState:
        return RevertState.REVERTED if snapshot.replica.id in self.marked else super().revert_state(snapshot)

    def ensure_share(self, share: Replica) -> list[ExportLocation]:
        self.marked.discard(share.id)
        return super().ensure_share(share)


class BelievesItsRollback(_Marks):
    """The data step is one command, and its exit status of 0 is all that is looked at."""

    seen_by = "test_lies[revert]"

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        if self.revert_state(snapshot) is not RevertState.REVERTED:
            self.check_revert(snapshot)
            held, target = self.held(snapshot.replica), self.target(snapshot)
            asked = Path(tempfile.gettempdir()) / f"rollback-{snapshot.replica.id}"
            run(["mkdir", asked], name="roll back")
            if asked.exists():
                asked.rmdir()
                held.files, held.size = dict(target.files), target.size
                held.cut(target.moment)
        return self.mark(snapshot)


class AnswersSuccessAfterAnError(_Marks):
    """A tool's error is logged, and the share is said to be reverted all the same."""

    seen_by = "test_faults[revert]"

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        try:
            return super().revert_to_snapshot(snapshot)
        except Blocked:
            raise
        except BackendError:
            if self.held(snapshot.replica).halfway:
                raise
            return self.mark(snapshot)


class SaysUnchangedOfWhatItReverted(Broken):
    """Brings the data back before anything says that it did, so that a death between leaves two stories."""

    seen_by = "test_faults[revert]"

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        held, target = self.held(snapshot.replica), self.target(snapshot)
        if self.revert_state(snapshot) is not RevertState.REVERTED:
            self.check_revert(snapshot)
            with step("take the share offline"):
                held.online, held.exported_to = False, ()
            with step("bring the data back"):
                held.files, held.size = dict(target.files), target.size
                held.cut(target.moment)
            with step("say so"):
                held.merged_from = target.identity
                held.identity, target.identity = new_id(), new_id()
        return Reverted(share=stored(held), snapshot=stored(target))
