"""Replicas as directories of other backends of this host: whole copies, for data that is small or only tried out.

A replica is ``dr``: it is offline until it is promoted, since who may write to a directory is not ours to say. What its
data was copied from is in its file ``identity``, and a revert gives the active one another identity: so data from
before it is never taken for the active one's. Snapshots are copied once and stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from revertkit.driver import SupportsReplicatedRevert, SupportsReplication
from revertkit.drivers.directory import blockers
from revertkit.drivers.directory.blockers import refuse
from revertkit.drivers.directory.home import Home, Wrapper, stored
from revertkit.drivers.discarded import turned_back_to
from revertkit.errors import BackendError, Blocked
from revertkit.log import get_logger
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
from revertkit.system import processes

log = get_logger(__name__)
TRANSFER_SECONDS = 10.0
"""How long a transfer has to end when a revert tells it to; one that does not is of no account all the same."""


class Replication(SupportsReplication, SupportsReplicatedRevert):
    """What the driver can do with replicas."""

    replication_type: ClassVar[str] = "dr"
    options: Any

    def _home(self, share: Replica) -> Home:
        raise NotImplementedError

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        """The driver's own."""
        raise NotImplementedError

    def revert_to_replicated_snapshot(self, snapshot: SnapshotInstance, others: Sequence[SnapshotInstance]) -> Reverted:
        """End the copying to other replicas, then revert it as any.

        Raises:
            as ``revert_to_snapshot``.
        """
        running = [pid for other in others for pid in processes.of_operation(other.replica.id)]
        if running and (left := processes.end(running, TRANSFER_SECONDS)):
            log.warning("a transfer goes on reading what is reverted", processes=left)
        return self.revert_to_snapshot(snapshot)

    def create_replica(self, replica: Replica, active: Replica, snapshots: Sequence[SnapshotInstance]) -> Stored:
        """Make an empty one, offline.

        Raises:
            Blocked: the active one is in this backend, or something without an identity stands in the place.
            BackendError: the active one is in no peer.
        """
        if self._home(active).live() is not None:
            what = f"the active replica {active.id} is in {self.options.mount_root} too"
            raise Blocked(Blocker(kind="same_pool", what=what, mend="name another backend"))
        self._source(active)
        home = self._home(replica)
        if home.live() is not None:
            refuse(blockers.of_identity(home, replica.backend_id))
        home.begin()
        home.make(home.current)
        return stored(home.current, replica.size)

    def delete_replica(self, replica: Replica, snapshots: Sequence[SnapshotInstance]) -> None:
        """Remove it, and all copies in it.

        Raises:
            Blocked: its file system is not there, or something is mounted inside.
        """
        home = self._home(replica)
        refuse([*blockers.of_file_system(home, replica.backend_id), *blockers.of_mounts(home)])
        _go_offline(home)
        home.demolish()

    def _ensure_replica(self, home: Home) -> list[ExportLocation]:
        """See that it is out of its users' reach, and remove what was left of a transfer.

        Raises:
            Blocked: it is not there.
        """
        _refuse_missing(home)
        _go_offline(home)
        home.sweep()
        return []

    def update_replica_state(
        self, replica: Replica, active: Replica, snapshots: Sequence[SnapshotInstance]
    ) -> ReplicaReport:
        """Copy the snapshots that it lacks, then all of the data, and let that take the place of the old.

        Raises:
            Blocked: it is not there, or something is mounted inside the active one.
            BackendError: the active one is in no peer, or a copy failed.
        """
        home, source = self._home(replica), self._source(active)
        _refuse_missing(home)
        live = _known(source, active)
        if live is None:
            return _behind("the active replica is in the middle of a revert, or another one than is on record")
        refuse(blockers.of_mounts(source))
        for held in source.snapshots():
            home.make(home.snapshot(_id_of(held)), held.data, origin=held.identity or "")
        home.drop(home.incoming)
        identity, origin = replica.backend_id or "", live.identity or ""
        home.make(home.incoming, live.data, identity=identity, origin=origin, at_rest=False)
        if new := source.begun() - home.begun():
            return _behind(f"snapshot {', '.join(sorted(new))} was taken meanwhile")
        if _known(source, active) is None:
            return _behind("the active replica was reverted meanwhile")
        _take_place(home)
        last = tuple(_kept(home, [one for one in snapshots if not source.snapshot(one.snapshot_id).exists()]))
        kept = _kept(home, snapshots)
        return ReplicaReport(state=ReplicaState.IN_SYNC, snapshots=kept, last_copies=last, seconds_behind=0.0)

    def promote_replica(self, replica: Replica, active: Replica, snapshots: Sequence[SnapshotInstance]) -> Promoted:
        """Turn it back to what the share was reverted to; ``ensure_share`` brings it online.

        Raises:
            Blocked: it is not there, or has lost what it would have to be turned back to. BackendError: the copy
                failed; it is as it was.
        """
        home = self._home(replica)
        _refuse_missing(home)
        target = turned_back_to(replica, snapshots, lambda one: home.snapshot(one).exists())
        _go_offline(home)
        if target is not None:
            held = home.snapshot(target)
            home.drop(home.incoming)
            home.make(home.incoming, held.data, identity=replica.backend_id or "", origin=held.identity or "")
            _take_place(home)
        return Promoted(replica=stored(home.current, replica.size), snapshots=_kept(home, snapshots))

    def _source(self, active: Replica) -> Home:
        for root in self.options.peers:
            home = Home(root, active.id)
            if home.live() is not None:
                return home
        raise BackendError(
            f"the active replica {active.id} is in none of the peers of {self.options.mount_root}: "
            f"{', '.join(map(str, self.options.peers)) or 'none is set'}"
        )


def _known(source: Home, active: Replica) -> Wrapper | None:
    live = source.live()
    return live if live and live.identity == active.backend_id else None


def _kept(home: Home, snapshots: Sequence[SnapshotInstance]) -> dict[str, Stored]:
    found = [(one, home.snapshot(one.snapshot_id)) for one in snapshots]
    return {one.id: stored(held, one.size) for one, held in found if held.exists()}


def _id_of(snapshot: Wrapper) -> str:
    return snapshot.path.name.removeprefix("snap-")


def _behind(found: str) -> ReplicaReport:
    return ReplicaReport(state=ReplicaState.OUT_OF_SYNC, found=f"{found}; the next look goes on")


def _refuse_missing(home: Home) -> None:
    if home.live() is None:
        what = f"nothing of the replica is in {home.root}"
        raise Blocked(Blocker(kind="share_missing", what=what, mend="mount the file system that holds it"))


def _go_offline(home: Home) -> None:
    if home.live() == home.online:
        home.begin()
        home.go_offline()


def _take_place(home: Home) -> None:
    """Let what was staged be the replica's data; what was there goes."""
    home.exchange()
    home.drop(home.incoming)
