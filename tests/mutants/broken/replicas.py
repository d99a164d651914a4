"""Broken in what they do with replicas."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import Context
from typing import ClassVar

from broken.base import Broken
from revertkit.drivers.directory import DirectoryDriver
from revertkit.drivers.memory.storage import STORAGE, Kept
from revertkit.errors import BackendError, Blocked
from revertkit.models import (
    Blocker,
    ExportLocation,
    Promoted,
    Replica,
    ReplicaReport,
    Reverted,
    SnapshotInstance,
    Stored,
)
from revertkit.status import ReplicaState
from revertkit.system.run import run, step


class SaysInSyncWithoutLooking(Broken):
    """The last transfer went well, so this one will have."""

    seen_by = "test_a_replica_follows"

    def update_replica_state(
        self, replica: Replica, active: Replica, snapshots: Sequence[SnapshotInstance]
    ) -> ReplicaReport:
        if self.held(replica).lineage:
            return ReplicaReport(state=ReplicaState.IN_SYNC)
        return super().update_replica_state(replica, active, snapshots)


class SaysInSyncWithoutTheTarget(Broken):
    """After a revert it brings what is new, and never turns back; its word is that it holds the snapshot."""

    seen_by = "test_a_revert_is_at_once_and_the_others_follow"

    def update_replica_state(
        self, replica: Replica, active: Replica, snapshots: Sequence[SnapshotInstance]
    ) -> ReplicaReport:
        held = dict(self.held(replica).files)
        answer = super().update_replica_state(replica, active, snapshots)
        here = self.held(replica)
        here.files = held | here.files if replica.reverted_to else here.files
        return answer


class PromotesWhatWasDiscarded(Broken):
    """Takes the replica as it is, as Manila's own would be."""

    seen_by = "test_nothing_discarded_comes_back[it holds the snapshot]"

    def promote_replica(self, replica: Replica, active: Replica, snapshots: Sequence[SnapshotInstance]) -> Promoted:
        return super().promote_replica(replica.model_copy(update={"reverted_to": ()}), active, snapshots)


class ForgetsWhatItHeld(Broken):
    """A snapshot that it has not is one that it never had, so that its data would be older."""

    seen_by = "test_nothing_discarded_comes_back[that was destroyed on it]"

    def promote_replica(self, replica: Replica, active: Replica, snapshots: Sequence[SnapshotInstance]) -> Promoted:
        forgotten = [one.model_copy(update={"backend_id": None}) for one in snapshots]
        return super().promote_replica(replica, active, forgotten)


class SaysNothingOfLastCopies(Broken):
    """What the active one has lost is no concern of its."""

    seen_by = "test_a_last_copy_is_told"

    def update_replica_state(
        self, replica: Replica, active: Replica, snapshots: Sequence[SnapshotInstance]
    ) -> ReplicaReport:
        return super().update_replica_state(replica, active, snapshots).model_copy(update={"last_copies": ()})


class RevertsOnlyWhenAllAreInSync(Broken):
    """Will not revert before the others are where the active one is."""

    seen_by = "test_a_replica_that_is_away_holds_nothing_up"

    def revert_to_replicated_snapshot(self, snapshot: SnapshotInstance, others: Sequence[SnapshotInstance]) -> Reverted:
        mine = self.held(snapshot.replica).lineage
        for other in others:
            theirs = STORAGE[other.replica.backend][other.replica.id].lineage
            if theirs[-1:] != mine[-1:]:
                raise Blocked(Blocker(kind="replica", what=f"{other.replica.id} is behind", mend="wait for it"))
        return super().revert_to_replicated_snapshot(snapshot, others)


class WaitsForTransfers(Broken):
    """A transfer's mark is a snapshot like any, and stands in the way of a revert while it is there."""

    seen_by = "test_a_transfer_holds_no_revert_up"
    running: ClassVar[set[str]] = set()

    def update_replica_state(
        self, replica: Replica, active: Replica, snapshots: Sequence[SnapshotInstance]
    ) -> ReplicaReport:
        self.running.add(active.id)
        try:
            return super().update_replica_state(replica, active, snapshots)
        finally:
            self.running.discard(active.id)

    def revert_to_replicated_snapshot(self, snapshot: SnapshotInstance, others: Sequence[SnapshotInstance]) -> Reverted:
        if snapshot.replica.id in self.running:
            raise Blocked(Blocker(kind="newer_snapshot", what="our own mark is newer", mend="wait for the transfer"))
        return super().revert_to_replicated_snapshot(snapshot, others)


class ReplicasCanBeWrittenTo(Broken):
    """Online as any share."""

    seen_by = "test_a_replica_is_read_only"

    def ensure_share(self, share: Replica) -> list[ExportLocation]:
        answer = super().ensure_share(share)
        self.held(share).readonly = False
        return answer


class ShowsReplicasToNobody(Broken):
    """Says where a replica can be read, and leaves it offline."""

    seen_by = "test_a_replica_is_read_only"

    def ensure_share(self, share: Replica) -> list[ExportLocation]:
        answer = super().ensure_share(share)
        self.held(share).online = share.state is ReplicaState.ACTIVE
        return answer


class FencesNobody(Broken):
    """Asks those who write not to."""

    seen_by = "test_a_fenced_share_cannot_be_written_to"

    def fence(self, replica: Replica, active: Replica) -> bool:
        return True


class LetsNobodyGo(Broken):
    """Fences, for good."""

    seen_by = "test_a_fenced_share_cannot_be_written_to"

    def unfence(self, replica: Replica, active: Replica) -> None:
        pass


class PromotedStaysReadOnly(Broken):
    """It is the active one now, and nobody can write to it."""

    seen_by = "test_a_promoted_replica_can_be_written_to"

    def ensure_share(self, share: Replica) -> list[ExportLocation]:
        closed = self.held(share).readonly or not self.held(share).online
        answer = super().ensure_share(share)
        self.held(share).readonly = self.held(share).readonly or (closed and self.backend.endswith("-peer"))
        return answer


class BringsNoSnapshots(Broken):
    """Only the data is replicated."""

    seen_by = "test_snapshots_reach_a_replica"

    def update_replica_state(
        self, replica: Replica, active: Replica, snapshots: Sequence[SnapshotInstance]
    ) -> ReplicaReport:
        answer = super().update_replica_state(replica, active, snapshots)
        self.held(replica).snapshots.clear()
        return answer.model_copy(update={"snapshots": {}})


class PromotionSaysNothingOfSnapshots(Broken):
    """What is on record as having arrived has arrived, and nothing else."""

    seen_by = "test_the_last_copy_of_a_snapshot_stays[the active one has it]"

    def promote_replica(self, replica: Replica, active: Replica, snapshots: Sequence[SnapshotInstance]) -> Promoted:
        return Promoted(replica=super().promote_replica(replica, active, snapshots).replica)


class ReceivesInParts(Broken):
    """A snapshot's place first, then what is in it; one that is there is taken to have arrived."""

    seen_by = "test_looks_can_be_cut"

    def update_replica_state(
        self, replica: Replica, active: Replica, snapshots: Sequence[SnapshotInstance]
    ) -> ReplicaReport:
        here = self.held(replica)
        before = {kept.mark for kept in here.snapshots.values()}
        answer = super().update_replica_state(replica, active, snapshots)
        come = [kept for kept in here.snapshots.values() if kept.mark not in before]
        for kept in come:
            files, kept.files = kept.files, {}
            with step("fill the snapshot"):
                kept.files = files
        return answer


class LooksDestroyLastCopies(Broken):
    """A replica has what its active one has, and nothing else."""

    seen_by = "test_the_last_copy_of_a_snapshot_stays[the active one has lost it]"

    def update_replica_state(
        self, replica: Replica, active: Replica, snapshots: Sequence[SnapshotInstance]
    ) -> ReplicaReport:
        here, there = self.held(replica), STORAGE[active.backend][active.id]
        here.snapshots = {name: kept for name, kept in here.snapshots.items() if there.ours(kept.mark)}
        return super().update_replica_state(replica, active, snapshots)


class PromotionLosesSnapshots(Broken):
    """A promoted replica is a copy of the data, without its past."""

    seen_by = "test_snapshots_reach_a_replica"

    def promote_replica(self, replica: Replica, active: Replica, snapshots: Sequence[SnapshotInstance]) -> Promoted:
        answer = super().promote_replica(replica, active, snapshots)
        for kept in self.held(replica).snapshots.values():
            kept.files = {}
        return answer


class KeepsWhatTheOldOneHad(Broken):
    """The old active one keeps what nobody else has."""

    seen_by = "test_the_old_active_one_follows"

    def update_replica_state(
        self, replica: Replica, active: Replica, snapshots: Sequence[SnapshotInstance]
    ) -> ReplicaReport:
        held = dict(self.held(replica).files)
        answer = super().update_replica_state(replica, active, snapshots)
        self.held(replica).files = held | self.held(replica).files
        return answer


class DeletesTheWholeShare(Broken):
    """A replica's end is the share's."""

    seen_by = "test_a_deleted_replica_leaves_the_share_alone"

    def delete_replica(self, replica: Replica, snapshots: Sequence[SnapshotInstance]) -> None:
        super().delete_replica(replica, snapshots)
        for volumes in STORAGE.values():
            for held in volumes.values():
                if held.mark == replica.share_id:
                    held.files = {}


class DeletesWhatIsFinishedAlone(Broken):
    """A replica is made in two steps, and one that was cut between them can never be removed."""

    seen_by = "test_new_replicas_can_be_cut"

    def create_replica(self, replica: Replica, active: Replica, snapshots: Sequence[SnapshotInstance]) -> Stored:
        answer = super().create_replica(replica, active, snapshots)
        with step("finish the replica"):
            self.held(replica).marks["finished"] = Kept(replica.size, {})
        return answer

    def delete_replica(self, replica: Replica, snapshots: Sequence[SnapshotInstance]) -> None:
        here = STORAGE[self.backend].get(replica.id)
        if here and here.mark == replica.share_id and not (here.marks or here.lineage):
            raise BackendError("the replica was never finished")
        if here:
            here.marks.clear()
        super().delete_replica(replica, snapshots)


class DeletesReplicasOnce(Broken):
    """What is being removed is no replica any more, and nobody's to remove."""

    seen_by = "test_deletions_of_replicas_can_be_cut"

    def delete_replica(self, replica: Replica, snapshots: Sequence[SnapshotInstance]) -> None:
        here = STORAGE[self.backend].get(replica.id)
        if here and here.readonly and not here.online and here.lineage:
            raise BackendError("the replica is being removed already")
        super().delete_replica(replica, snapshots)


class BelievesItsTransfers(DirectoryDriver):
    """A tool that answers success has brought everything."""

    api_version: ClassVar[int] = 1
    seen_by = "test_looks_can_be_cut"

    def update_replica_state(
        self, replica: Replica, active: Replica, snapshots: Sequence[SnapshotInstance]
    ) -> ReplicaReport:
        asked = self._home(replica).path / "asked"
        run(["touch", asked])
        if not asked.exists():
            return ReplicaReport(state=ReplicaState.IN_SYNC)
        asked.unlink()
        return super().update_replica_state(replica, active, snapshots)


class OpensStepsAtEveryOtherLook(Broken):
    """Whatever the sweep means to interrupt is not there to be interrupted."""

    seen_by = "test_looks_can_be_cut"

    def update_replica_state(
        self, replica: Replica, active: Replica, snapshots: Sequence[SnapshotInstance]
    ) -> ReplicaReport:
        word = STORAGE[active.backend][active.id].files["same"].split()[-1]
        look = super().update_replica_state
        if word.isdigit() and int(word) % 4 == 1:
            return Context().run(look, replica, active, snapshots)
        return look(replica, active, snapshots)


class TransfersOnlyOnce(Broken):
    """What was cut cannot be gone on with."""

    seen_by = "test_looks_can_be_cut"

    def update_replica_state(
        self, replica: Replica, active: Replica, snapshots: Sequence[SnapshotInstance]
    ) -> ReplicaReport:
        here = self.held(replica)
        if "receiving" in here.marks:
            raise BackendError("the last transfer was not ended")
        here.marks["receiving"] = Kept(here.size, here.files)
        answer = super().update_replica_state(replica, active, snapshots)
        self.held(replica).marks.pop("receiving", None)
        return answer


class RevertsAReplicatedShareNot(Broken):
    """The entry point is there, and answers."""

    seen_by = "test_a_revert_is_at_once_and_the_others_follow"

    def revert_to_replicated_snapshot(self, snapshot: SnapshotInstance, others: Sequence[SnapshotInstance]) -> Reverted:
        held = self.held(snapshot.replica)
        with step("do nothing"):
            files = held.files
        answer = self.revert_to_snapshot(snapshot)
        held.files = files
        return answer
