"""One revert of a dataset, in place, by ``lzc_rollback_to``, and what each step leaves to a crash:

1. check, unexport, unmount; refquota raised to what the snapshot needs if it is below: the old data, offline;
2. mark the dataset with the target's guid: half-way, from here on it is finished by calling again;
3. ``lzc_rollback_to``, one transaction group: the snapshot's data;
4. refquota to the snapshot's size, and the mark says that it is done.

No snapshot is touched by any of it, not even one that is mounted; the markers of replicas' progress (lineage.py) are
none: those newer than the target go just before the mark, by guid, and what is being sent of them is ended. The mark is
set after the unmount and cleared before the next mount, by ``ensure_share``, or when the kernel refuses the call that
has set it: so as long as it is there nobody writes, and to roll back again loses nothing. A later call that is refused
leaves it, for the rollback may have been done: half-way, offline, until what stands in the way is gone.
"""

from __future__ import annotations

from revertkit.driver import SupportsRevert
from revertkit.drivers.zfs import checks, online, openzfs
from revertkit.drivers.zfs.base import SECONDS_TO_END, ZfsBase
from revertkit.drivers.zfs.listing import DONE, REVERTING, Dataset, Point
from revertkit.errors import BackendError, Blocked
from revertkit.models import Blocker, Reverted, RevertPreview, RevertState, SnapshotInstance, Stored
from revertkit.system import processes

LOOKS = 5
"""How many looks at replicas, begun before the revert, may take a marker while it runs."""


class Reverting(ZfsBase, SupportsRevert):
    """The three verbs of a revert."""

    def check_revert(self, snapshot: SnapshotInstance) -> RevertPreview:
        """Look, and name all that stands in the way; what would be thrown away is what was written since the snapshot.

        What was written in the last seconds and is not on disk yet is not counted.
        """
        return self._preview(openzfs.look(self._name(snapshot.replica)), snapshot)

    def _preview(self, found: Dataset | None, snapshot: SnapshotInstance) -> RevertPreview:
        share, name = snapshot.replica, self._name(snapshot.replica)
        health = openzfs.health(self.options.pool)
        point = self._point(found, snapshot) if found else None
        strangers = [
            checks.stranger(found, share, name),
            checks.strange_snapshot(point, snapshot, self._snapshot_name(snapshot)),
        ]
        blockers = [blocker for blocker in strangers if blocker]
        if found and point:
            blockers += checks.refusals(found, point, health)
        blockers += online.in_use(name, self._path(share), *(self._snapshot_paths(found) if found else ()))
        if blockers or found is None:
            raise Blocked(*blockers)
        written = found.space["written"]  # since the newest snapshot, which may be a marker
        if point and found.newer(point):
            written = openzfs.written_since(found.name, point.name)
        return RevertPreview(discards_bytes=written)

    def revert_state(self, snapshot: SnapshotInstance) -> RevertState:
        """Say how far the revert has come, by the mark on the dataset and what was written since the snapshot."""
        return self._told(openzfs.look(self._name(snapshot.replica)), snapshot)

    def _told(self, found: Dataset | None, snapshot: SnapshotInstance) -> RevertState:
        if found is None or checks.stranger(found, snapshot.replica, found.name):
            return RevertState.UNKNOWN
        return self._state(found, self._point(found, snapshot), snapshot)

    def _state(self, found: Dataset, point: Point | None, snapshot: SnapshotInstance) -> RevertState:
        size = checks.recorded_size(point, snapshot) if point else snapshot.size
        return checks.revert_state(found, point, size, online.mounted(found.name))

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        """Roll the share back, in place, and leave it offline.

        Raises:
            Blocked: something stands in the way; the share is as it was, and online if it was; half-way if it was.
            BackendError: afterwards the dataset is not the snapshot, whatever the kernel answered.
        """
        share = snapshot.replica
        found = openzfs.look(self._name(share))
        state = self._told(found, snapshot)
        if state is not RevertState.REVERTED:
            if state is not RevertState.HALFWAY:
                self._preview(found, snapshot)
            with self._put_back(share):
                online.take_offline(share, self._name(share), self._path(share))
                self._roll_back(snapshot)
        return self._verified(snapshot)

    def _roll_back(self, snapshot: SnapshotInstance) -> None:
        found, point = self._known_pair(snapshot)
        quota = checks.refquota(checks.recorded_size(point, snapshot), point.referenced)
        begun = found.reverting == point.guid
        if found.space["refquota"] < quota:
            openzfs.set_properties(found.name, {"refquota": str(quota)})
        for again in range(LOOKS, -1, -1):
            self._forget_markers(found, point)
            try:
                self._ask_the_kernel(found, point)
                self._mark(found, point)
                openzfs.rollback_to(found.name, point.name)
                break
            except (Blocked, openzfs.Refusal):
                if not begun:
                    openzfs.clear(found.name, REVERTING)
                found, point = self._known_pair(snapshot)
                if not again or not any(p.marker for p in found.newer(point)):
                    raise
        openzfs.set_properties(found.name, {"refquota": str(quota), REVERTING: point.guid + DONE})

    @staticmethod
    def _forget_markers(found: Dataset, point: Point) -> None:
        markers = [p for p in found.newer(point) if p.marker]
        for marker in markers:
            processes.end(processes.of_transfer(sent=marker.name), SECONDS_TO_END)
        openzfs.destroy_exactly(found.name, markers)

    @staticmethod
    def _mark(found: Dataset, point: Point) -> None:
        """Mark it, and see that it is: without the mark, a death after the rollback would be told as "unchanged"."""
        openzfs.set_properties(found.name, {REVERTING: point.guid})
        if openzfs.user_property(found.name, REVERTING) != point.guid:
            what = f"zfs(8) says that it has marked {found.name}, and it has not"
            raise Blocked(Blocker(kind="refused", what=what, mend="see `zfs get all` and the system's log"))

    @staticmethod
    def _ask_the_kernel(found: Dataset, point: Point) -> None:
        if newer := [*checks.newer(p for p in found.newer(point) if not p.marker)]:
            raise Blocked(*newer)
        if why := openzfs.rollback_refusal(found.name, point.name, point.guid):
            what = f"{found.name} cannot be rolled back to {point.name}: {why}"
            raise Blocked(Blocker(kind="refused", what=what, mend="see to that first"))

    def _verified(self, snapshot: SnapshotInstance) -> Reverted:
        """Look whether all is as it should be."""
        found, point = self._known_pair(snapshot)
        if (state := self._state(found, point, snapshot)) is not RevertState.REVERTED:
            raise BackendError(f"{found.name} was rolled back to {point.name}, and yet it is {state}")
        size = checks.recorded_size(point, snapshot)
        share = Stored(backend_id=found.guid, size=size)
        return Reverted(share=share, snapshot=Stored(backend_id=point.guid, size=size))
