"""Broken drivers: each does one thing wrong that has gone wrong somewhere, and names the cases that have to see it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from revertkit.conformance.harnesses.directory import DirectoryHarness
from revertkit.conformance.harnesses.memory import MemoryHarness
from revertkit.driver import ShareDriver
from revertkit.drivers.directory import DirectoryDriver, blockers
from revertkit.drivers.directory.home import Home, Wrapper
from revertkit.drivers.memory import MemoryDriver
from revertkit.drivers.memory.storage import STORAGE, Kept, Volume
from revertkit.errors import BackendError, Blocked
from revertkit.models import (
    Blocker,
    ExportLocation,
    Pool,
    Replica,
    ReplicaReport,
    Reverted,
    RevertPreview,
    RevertState,
    SnapshotInstance,
    Stored,
    new_id,
)
from revertkit.status import ReplicaState
from revertkit.system.run import step


class InMemory(MemoryHarness):
    """On which broken drivers of memory are tested."""


class InDirectories(DirectoryHarness):
    """On which broken drivers of directories are tested."""


class Broken(MemoryDriver):
    """What most of them are."""

    api_version: ClassVar[int] = 1
    seen_by: ClassVar[str]
    """The case that has to fail."""

    def held(self, share: Replica) -> Volume:
        """What is stored of a share."""
        return STORAGE[self.backend][share.id]

    def target(self, snapshot: SnapshotInstance) -> Kept:
        """What is stored of a snapshot."""
        found = self.held(snapshot.replica).ours(snapshot.snapshot_id)
        assert found is not None
        return found


# --- data


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


# --- identity


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


# --- refusals


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


class IgnoresTheSharesIdentity(Broken):
    """Brings online whatever stands there."""

    seen_by = "test_share_of_another_identity"

    def ensure_share(self, share: Replica) -> list[ExportLocation]:
        return super().ensure_share(share.model_copy(update={"backend_id": None}))


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


# --- truth


class SaysHundredAtTheStart(Broken):
    """Done, says the bar, and the work begins."""

    seen_by = "test_progress_only_grows"

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        with step("begin") as progress:
            progress(100)
        return super().revert_to_snapshot(snapshot)


class ProgressGoesBack(Broken):
    """Further than it is, and then back."""

    seen_by = "test_progress_only_grows"

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        with step("begin") as progress:
            progress(90)
        return super().revert_to_snapshot(snapshot)


class DryRunThatChanges(Broken):
    """Tries whether the share can be taken offline by doing it."""

    seen_by = "test_dry_run_changes_nothing"

    def check_revert(self, snapshot: SnapshotInstance) -> RevertPreview:
        answer = super().check_revert(snapshot)
        with step("try to take it offline"):
            pass
        return answer


class AlwaysChangesSomething(Broken):
    """Mounts anew each time that it is asked to see to it."""

    seen_by = "test_nothing_is_changed_where_all_is_well"

    def ensure_share(self, share: Replica) -> list[ExportLocation]:
        answer = super().ensure_share(share)
        with step("mount it anew"):
            pass
        return answer


class ClaimsWhatOnlyRaises(Broken):
    """The entry point is there, and nothing behind it."""

    seen_by = "test_everything_that_is_claimed_can_be_called"

    def shrink_share(self, share: Replica, new_size: int) -> Stored:
        raise NotImplementedError


class ClaimsInItsReport(Broken):
    """Says in the report that it can, without the entry point."""

    seen_by = "test_nothing_is_claimed_that_is_not_there"

    def pools(self) -> list[Pool]:
        return [pool.model_copy(update={"extra": {"replication_support": True}}) for pool in super().pools()]


class TrustsItsTools(DirectoryDriver):
    """A copy is complete when cp(1) says so."""

    api_version: ClassVar[int] = 1
    seen_by: ClassVar[str] = "test_lies[revert]"

    def _home(self, share: Replica) -> Home:
        return _Trusting(self.options.mount_root, share.id)


class _Trusting(Home):
    def _fill(self, part: Wrapper, source: Path | None, *, compare: bool) -> None:
        if source is not None:
            from revertkit.system.run import run

            part.data.mkdir()
            run(["cp", "--archive", f"{source}/.", part.data])
        else:
            super()._fill(part, source, compare=compare)


# --- failure


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


# --- replicas


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

    seen_by = "test_nothing_discarded_comes_back"

    def promote_replica(self, replica: Replica, active: Replica) -> Stored:
        return super().promote_replica(replica.model_copy(update={"reverted_to": ()}), active)


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


class PromotionLosesSnapshots(Broken):
    """A promoted replica is a copy of the data, without its past."""

    seen_by = "test_snapshots_reach_a_replica"

    def promote_replica(self, replica: Replica, active: Replica) -> Stored:
        answer = super().promote_replica(replica, active)
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


def _all(cls: type) -> Iterator[type[ShareDriver]]:
    for child in cls.__subclasses__():
        yield from _all(child)
        if child.__module__ == __name__ and isinstance(getattr(child, "seen_by", None), str):
            yield child


MUTANTS: Sequence[type[ShareDriver]] = sorted({*_all(ShareDriver)}, key=lambda cls: cls.__name__)
