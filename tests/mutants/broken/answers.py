"""Broken in what they answer once something went wrong."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from broken.base import Broken
from revertkit.drivers.memory.online import stored
from revertkit.drivers.memory.storage import STORAGE
from revertkit.errors import BackendError, Blocked
from revertkit.models import (
    ExportLocation,
    Replica,
    Reverted,
    RevertState,
    SnapshotInstance,
    Stored,
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


class _AnswersTheSizeThatWasAsked(Broken):
    """What a resize came to is not looked at."""

    def resized(self, share: Replica, new_size: int, resize: Callable[[Replica, int], Stored]) -> Stored:
        """Resize, and answer the new size whatever came of it."""
        try:
            return resize(share, new_size)
        except Blocked:
            raise
        except BackendError:
            return Stored(backend_id=self.held(share).identity, size=new_size)


class AnswersThatItGrew(_AnswersTheSizeThatWasAsked):
    """A growth that failed is on record as done, and the share is full long before."""

    seen_by = "test_faults[extend_share]"

    def extend_share(self, share: Replica, new_size: int) -> Stored:
        return self.resized(share, new_size, super().extend_share)


class AnswersThatItShrank(_AnswersTheSizeThatWasAsked):
    """Likewise a shrink: what it gives back is not free."""

    seen_by = "test_faults[shrink_share]"

    def shrink_share(self, share: Replica, new_size: int) -> Stored:
        return self.resized(share, new_size, super().shrink_share)


class GrowsLessThanItSays(Broken):
    """Once it has failed, it is taken to be done the next time."""

    seen_by = "test_faults[extend_share]"
    tried: ClassVar[set[str]] = set()

    def extend_share(self, share: Replica, new_size: int) -> Stored:
        if share.id in self.tried:
            return Stored(backend_id=self.held(share).identity, size=new_size)
        self.tried.add(share.id)
        answer = super().extend_share(share, new_size)
        self.tried.discard(share.id)
        return answer


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


class TakesHalfACopyForOne(Broken):
    """Its volume is made first and filled next; one that is there is taken to be full."""

    seen_by = "test_faults[create_share_from_snapshot]"

    def create_share_from_snapshot(self, share: Replica, snapshot: SnapshotInstance) -> Stored:
        if share.id not in STORAGE[self.backend]:
            answer = super().create_share(share)
            with step("copy"):
                self.held(share).files = dict(self.target(snapshot).files)
            return answer
        return Stored(backend_id=self.held(share).identity, size=share.size)


class CopiesInTheSnapshotsSize(Broken):
    """A copy has the size of what was copied, whatever was asked for."""

    seen_by = "test_share_from_a_snapshot_can_be_larger"

    def create_share_from_snapshot(self, share: Replica, snapshot: SnapshotInstance) -> Stored:
        answer = super().create_share_from_snapshot(share, snapshot)
        self.held(share).size = snapshot.size
        return answer
