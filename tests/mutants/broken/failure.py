"""Broken in what they leave when something goes wrong."""

from __future__ import annotations

from contextvars import Context

from broken.base import Broken
from revertkit.drivers.memory.storage import Kept
from revertkit.errors import BackendError
from revertkit.models import (
    ExportLocation,
    Replica,
    Reverted,
    RevertState,
    SnapshotInstance,
    Stored,
    new_id,
)
from revertkit.system.run import step


class ComesOnlineBeforeTheRecord(Broken):
    """Clients write, and recovery, which cannot know, reverts once more."""

    seen_by = "test_finished_revert_that_nobody_recorded"

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        answer = super().revert_to_snapshot(snapshot)
        self.held(snapshot.replica).online = True
        return answer

    def revert_state(self, snapshot: SnapshotInstance) -> RevertState:
        held = self.held(snapshot.replica)
        online, held.online = held.online, False
        answer = super().revert_state(snapshot)
        held.online = online
        return answer


class SweepsItsMarkTooEarly(Broken):
    """Nothing tells any more where the content came from, and nothing is on record yet."""

    seen_by = "test_finished_revert_that_nobody_recorded"

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        answer = super().revert_to_snapshot(snapshot)
        self.held(snapshot.replica).merged_from = ""
        return answer


class EmptiesTheShareFirst(Broken):
    """Old content gone, new content not there yet, and nothing that says so."""

    seen_by = "test_faults[revert]"

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        if self.revert_state(snapshot) is RevertState.UNCHANGED:
            self.check_revert(snapshot)
            with step("empty the share"):
                self.held(snapshot.replica).files = {}
        return super().revert_to_snapshot(snapshot)


class CannotBeCalledAgain(Broken):
    """Half way, it only complains."""

    seen_by = "test_faults[revert]"

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        if self.revert_state(snapshot) is RevertState.HALFWAY:
            raise BackendError("it is being reverted already")
        return super().revert_to_snapshot(snapshot)


class BeginsAnewWhereItWasHalfway(Broken):
    """What finishes a revert can die too: the data is gone then, and so is what says that it was half way."""

    seen_by = "test_faults[revert]"

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        if self.revert_state(snapshot) is RevertState.HALFWAY:
            held, target = self.held(snapshot.replica), self.target(snapshot)
            with step("begin anew"):
                held.files, held.merged_from = {}, ""
            with step("bring the data again"):
                held.files, held.merged_from = dict(target.files), target.identity
        return super().revert_to_snapshot(snapshot)


class ShowsWhatIsHalfway(Broken):
    """Whoever asks for a share to be brought online gets it, in the middle of its revert too."""

    seen_by = "test_faults[revert]"

    def ensure_share(self, share: Replica) -> list[ExportLocation]:
        held = self.held(share)
        if held.halfway and share.backend_id != held.identity:
            held.online = True
            return [self._location(share)]
        return super().ensure_share(share)


class OpensNoStep(Broken):
    """Nothing can be interrupted, so that nothing is swept."""

    seen_by = "test_faults[create_snapshot]"

    def create_snapshot(self, snapshot: SnapshotInstance) -> Stored:
        held = self._share(snapshot.replica)
        if held.ours(snapshot.snapshot_id) is None:
            kept = Kept(snapshot.size, dict(held.files), snapshot.snapshot_id, snapshot.created_at)
            held.snapshots[snapshot.snapshot_id] = kept
        kept = held.snapshots[snapshot.snapshot_id]
        kept.online = True
        return Stored(backend_id=kept.identity, size=kept.size)


class OpensStepsOnlyAtFirst(Broken):
    """As soon as all is warm nothing can be interrupted."""

    seen_by = "test_faults[create_snapshot]"

    def create_snapshot(self, snapshot: SnapshotInstance) -> Stored:
        if len(self.held(snapshot.replica).lineage) > 2:
            return Context().run(super().create_snapshot, snapshot)
        return super().create_snapshot(snapshot)


class SwallowsAnError(Broken):
    """What cannot be taken is taken to be there."""

    seen_by = "test_faults[create_snapshot]"

    def create_snapshot(self, snapshot: SnapshotInstance) -> Stored:
        try:
            return super().create_snapshot(snapshot)
        except BackendError:
            held = self._share(snapshot.replica)
            kept = Kept(snapshot.size, {}, snapshot.snapshot_id, snapshot.created_at)
            held.snapshots.setdefault(snapshot.snapshot_id, kept)
            return Stored(backend_id=held.snapshots[snapshot.snapshot_id].identity, size=snapshot.size)


class SwallowsAnErrorOfTheSize(Broken):
    """The size does not come back when something goes wrong there, and nobody hears of it."""

    seen_by = "test_faults[revert_to_smaller]"

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        try:
            return super().revert_to_snapshot(snapshot)
        except BackendError:
            held, target = self.held(snapshot.replica), self.target(snapshot)
            if not held.halfway:
                raise
            target.identity, held.halfway = new_id(), False
            return Reverted(
                share=Stored(backend_id=held.identity, size=snapshot.size),
                snapshot=Stored(backend_id=target.identity, size=snapshot.size),
            )


class RevertsOverWhatWasWrittenSince(Broken):
    """Whoever calls late has it done once more."""

    seen_by = "test_what_was_written_since_is_never_reverted_away"

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        if self.revert_state(snapshot) is not RevertState.UNKNOWN:
            return super().revert_to_snapshot(snapshot)
        target, held = self.target(snapshot), self.held(snapshot.replica)
        held.files = dict(target.files)
        return Reverted(
            share=Stored(backend_id=held.identity, size=held.size),
            snapshot=Stored(backend_id=target.identity, size=held.size),
        )


class LeavesWhatItDiscarded(Broken):
    """Nobody sweeps."""

    seen_by = "test_everything_is_as_it_was"

    def ensure_share(self, share: Replica) -> list[ExportLocation]:
        held = self.held(share)
        aside, held.aside = held.aside, None
        answer = super().ensure_share(share)
        held.aside = aside
        return answer


class IsNotIdempotent(Broken):
    """Takes the snapshot anew each time that it is asked."""

    seen_by = "test_calling_again_answers_the_same"

    def create_snapshot(self, snapshot: SnapshotInstance) -> Stored:
        self._share(snapshot.replica).snapshots.pop(snapshot.snapshot_id, None)
        return super().create_snapshot(snapshot)


class DeletesOnlyWhatIsThere(Broken):
    """Complains of what is gone already."""

    seen_by = "test_deleting_what_is_not_there"

    def delete_share(self, share: Replica) -> None:
        self._share(share)
        super().delete_share(share)


class ForgetsAccessRulesOnFailure(Broken):
    """After a revert that came to nothing, the share is online again, and exported to nobody."""

    seen_by = "test_faults[revert]"

    def ensure_share(self, share: Replica) -> list[ExportLocation]:
        held = self.held(share)
        if held.online:
            return [ExportLocation(path=f"memory:/{self.backend}/{share.id}", preferred=True)]
        given_up = held.aside is None and held.snapshots
        return super().ensure_share(share.model_copy(update={"rules": ()}) if given_up else share)


class EmptiesWhatItAdopts(Broken):
    """Makes a new file system where there was one."""

    seen_by = "test_faults[manage_share]"

    def manage_share(self, share: Replica, existing: str) -> Stored:
        answer = super().manage_share(share, existing)
        self.held(share).files = {}
        return answer


class LettingGoDeletes(Broken):
    """Unmanaging a share takes it for deleting one."""

    seen_by = "test_faults[unmanage_share]"

    def unmanage_share(self, share: Replica) -> None:
        self.delete_share(share)


class LettingGoDeletesTheSnapshot(Broken):
    """Likewise a snapshot."""

    seen_by = "test_adopted_snapshot_is_as_one_that_was_taken"

    def unmanage_snapshot(self, snapshot: SnapshotInstance) -> None:
        self.delete_snapshot(snapshot)


class LettingASnapshotBeMountedClosesItsShare(Broken):
    """One list of exports for both."""

    seen_by = "test_faults[allow_snapshot_access]"

    def ensure_snapshot(self, snapshot: SnapshotInstance) -> list[ExportLocation]:
        answer = super().ensure_snapshot(snapshot)
        self.held(snapshot.replica).exported_to = ()
        return answer
