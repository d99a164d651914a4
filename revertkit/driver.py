"""The driver contract: all that the author of a storage driver has to read.

A driver is a class that inherits :class:`ShareDriver` and, for each thing it can do beyond making and deleting shares,
one of the flat ``Supports…`` classes beside it. What a driver supports is discovered from these entry points; it
cannot be declared. Three questions, three places:

* *can this kind of driver do it at all?*  the ``Supports…`` class;
* *can this host?*  ``probe``, which may only subtract; *can this pool?*  ``Pool.lacks``, likewise;
* *can it be done now?*  the ``check_…`` of the verb, which refuses with :class:`~revertkit.errors.Blocked`.

Rules that hold for every verb:

* One object serves one configured backend, from several threads, on different shares. Never two calls on one share.
* Every call can be repeated with the same arguments after a crash at any point, and then finishes what was begun.
  Deleting what is not there succeeds.
* :class:`~revertkit.errors.Blocked` means: refused, and nothing has changed. Anything else that is raised means only
  that the backend has to be asked; what was half done is left for the repeated call or for ``ensure_share``.
* A tool's exit status of 0 is no proof. Look at what is there.
* Open a :func:`~revertkit.system.run.step` around everything that changes the backend, so that the conformance suite
  can interrupt you there; commands run by :func:`~revertkit.system.run.run` open theirs themselves.

The contract's version is :data:`API_VERSION`. News comes as fields with defaults or as new ``Supports…`` classes,
never as parameters or new abstract methods. Every verb here is since version 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from revertkit.models import (
    ExportLocation,
    FoundShare,
    Lack,
    Pool,
    Promoted,
    Replica,
    ReplicaReport,
    Reverted,
    RevertPreview,
    RevertState,
    SnapshotInstance,
    Stored,
)

API_VERSION = 1
"""The contract's version that this revertkit speaks."""
API_OLDEST = 1
"""The oldest version of the contract whose drivers still work here."""


class ShareDriver(ABC):
    """What every driver has: pools, and shares that are made, put online and deleted."""

    api_version: ClassVar[int]
    """The literal version of the contract that the author tested against; inheriting another driver's is refused."""

    class Options(BaseModel):
        """The backend's settings. Override it, and describe each field: ``revertkit driver show`` prints them."""

        model_config = ConfigDict(extra="forbid", frozen=True)

    def __init__(self, backend: str, options: Any) -> None:
        """Keep `backend` (its name in the settings) and `options` (an instance of :class:`Options`). No I/O here."""
        self.backend = backend
        self.options = options

    @classmethod
    def probe(cls) -> list[Lack]:
        """Say what this host lacks (a tool, a kernel module), without settings; ``revertkit doctor`` calls it."""
        return []

    @abstractmethod
    def pools(self) -> list[Pool]:
        """Look at the backend's pools now.

        What one pool lacks goes into its ``lacks``; a backend that cannot be reached raises.
        """

    @abstractmethod
    def create_share(self, share: Replica) -> Stored:
        """Make an empty share of ``share.size`` GiB. It need not be online yet."""

    @abstractmethod
    def delete_share(self, share: Replica) -> None:
        """Take the share offline and remove it, with all leftovers. It has no snapshots. Nothing there: succeed.

        Raises:
            Blocked: what stands in its place is not ``share.backend_id``, where that is on record; it is left there.
        """

    @abstractmethod
    def ensure_share(self, share: Replica) -> list[ExportLocation]:
        """Bring a share at rest online as the record says, and answer where it is reached.

        Called after each operation's outcome is on record, and for every share after a boot: sweep what is left of
        operations that are on record, mount, export by ``share.rules`` and ``share.state``. Must be cheap and change
        nothing where all is well.

        Raises:
            Blocked: the backend holds something that is not on record (a revert half way, an identity that is not
                ``share.backend_id``); the share stays offline.
        """


class SupportsSnapshots:
    """Snapshots: ``snapshot_support``."""

    def create_snapshot(self, snapshot: SnapshotInstance) -> Stored:
        """Take a snapshot of ``snapshot.replica``. One that a crash left behind under this id is this one.

        Raises:
            Blocked: what stands in the share's place is not its ``backend_id``; nothing has changed.
        """
        raise NotImplementedError

    def delete_snapshot(self, snapshot: SnapshotInstance) -> None:
        """Remove the snapshot, and no other. Nothing there: succeed.

        Raises:
            Blocked: what stands in its place is not ``snapshot.backend_id``, where that is on record; it is left there.
        """
        raise NotImplementedError


class SupportsCreateFromSnapshot:
    """New shares from snapshots: ``create_share_from_snapshot_support``. Needs :class:`SupportsSnapshots`."""

    def create_share_from_snapshot(self, share: Replica, snapshot: SnapshotInstance) -> Stored:
        """Make `share` (at least as large as the snapshot) with the snapshot's content. It never pins the snapshot.

        Raises:
            Blocked: what stands in the snapshot's place is not its ``backend_id``; there is no new share.
        """
        raise NotImplementedError


class RevertQuestions:
    """What can be asked of a driver that reverts, replicated or not; each answer of its own makes reverts safer."""

    def check_revert(self, snapshot: SnapshotInstance) -> RevertPreview:
        """Say whether a revert would be refused now, and how much it would throw away. Changes nothing.

        Raises:
            Blocked: with every blocker, not only the first.
        """
        return RevertPreview()

    def revert_state(self, snapshot: SnapshotInstance) -> RevertState:
        """Say how far a revert to `snapshot` has come, from what the backend holds. Changes nothing.

        Asked after success, failure and crash alike. A driver that cannot tell answers ``UNKNOWN``, and its reverts
        are recorded as unverified.
        """
        return RevertState.UNKNOWN


class SupportsRevert(RevertQuestions):
    """Turning a share back in place: ``revert_to_snapshot_support``. Needs :class:`SupportsSnapshots`."""

    def revert_to_snapshot(self, snapshot: SnapshotInstance) -> Reverted:
        """Turn ``snapshot.replica`` back to `snapshot`, in place, and leave the share **offline**.

        The manager has found that it is the most recent snapshot on record; check on the backend too, again just
        before the point of no return. No snapshot is lost: at every instant either the old data or the snapshot
        exists, and always every snapshot. The size comes back too. Called again after a crash, or after it succeeded
        but was not recorded, it finishes and answers the same.

        The share stays offline because the manager records the outcome first and brings it online by
        ``ensure_share``: so recovery can tell a finished revert from an unfinished one, and never reverts over what
        clients wrote since.

        Raises:
            Blocked: something stands in the way, and nothing has changed.
        """
        raise NotImplementedError


class SupportsReplication:
    """Replicas: ``replication_type``. Verbs run on the host of their first argument; data is pulled.

    A replica that is not ``active`` is read-only, always: ``ensure_share`` makes it so by ``share.state``
    (``readable``: online, for reading; ``dr``: offline), also one that was active before it was away. Its identity on
    the backend stays the same until it is promoted. ``create_replica`` and ``update_replica_state`` read the active
    one while other verbs work on it: what its backend does for them must not hold those up.
    """

    replication_type: ClassVar[str]
    """``readable`` or ``dr``."""

    def create_replica(self, replica: Replica, active: Replica, snapshots: Sequence[SnapshotInstance]) -> Stored:
        """Make the place of `replica`, offline; its data, and `snapshots`, come by ``update_replica_state``.

        Raises:
            Blocked: there is no room, or it is where the active one is; nothing has changed.
        """
        raise NotImplementedError

    def delete_replica(self, replica: Replica, snapshots: Sequence[SnapshotInstance]) -> None:
        """Remove a replica that is not active, and its snapshots. Nothing there: succeed."""
        raise NotImplementedError

    def promote_replica(self, replica: Replica, active: Replica, snapshots: Sequence[SnapshotInstance]) -> Promoted:
        """Make `replica` the one that can be written to, and leave it offline; `active` may be out of reach.

        What a revert discarded must not come back: of ``replica.reverted_to`` it is turned back to the first one that
        it holds. Where it never held any, its data is older than all of them (see :meth:`update_replica_state`). One
        that it held may have been destroyed on it behind our back: :func:`~revertkit.drivers.discarded.turned_back_to`
        says what then.
        `snapshots` are all that are on record for it, by age: the answer names those that it holds, also those that a
        look brought which was cut.

        Raises:
            Blocked: something stands in the way, and nothing has changed.
        """
        raise NotImplementedError

    def fence(self, replica: Replica, active: Replica) -> bool:
        """Let nobody write to `active` from now on, whatever is open there; say whether that is so. It can be read on.

        Runs on the host of `replica`, and is asked for where `active` is on another one; the conformance suite asks on
        one host. Undone by :meth:`unfence`, and by ``ensure_share`` of `active`.

        Raises:
            anything, where it cannot be reached: it may be fenced then.
        """
        return False

    def unfence(self, replica: Replica, active: Replica) -> None:
        """Let `active` be written to again, as no promotion has come of it. It is not fenced: succeed.

        Raises:
            anything, where it cannot be reached.
        """

    def update_replica_state(
        self, replica: Replica, active: Replica, snapshots: Sequence[SnapshotInstance]
    ) -> ReplicaReport:
        """Look at a replica and bring it nearer to its active one. May be cut at any time.

        `snapshots` are all that the active one has or has lost, by age. One that the replica holds and the active one
        does not is the last copy, and stays: if it is in the way, ``error`` is answered, else it is one of the report's
        ``last_copies``. From whatever else the active one does not hold any more the replica is turned back. Then it
        gets those of `snapshots` that the backend carries over, and the active one's data of a moment during this call:
        never data that is newer than a snapshot of ours which it does not hold. Our snapshots beyond `snapshots` may
        stay or go. ``in_sync`` is answered only where the replica holds that moment, and the active one still knows it.

        Raises:
            anything, where the active one cannot be reached or the transfer ended: the next look goes on.
        """
        raise NotImplementedError


class SupportsReplicatedRevert(RevertQuestions):
    """Turning a replicated share back. For a replicated type this is what revert support means."""

    def revert_to_replicated_snapshot(self, snapshot: SnapshotInstance, others: Sequence[SnapshotInstance]) -> Reverted:
        """As ``revert_to_snapshot``, on the active replica; `others` follow by ``update_replica_state``.

        A transfer to one of them that is under way is ended, not waited for, and so is our own mark of its progress.
        """
        raise NotImplementedError


class SupportsMountableSnapshots:
    """Snapshots that can be mounted read-only: ``mount_snapshot_support``. Needs :class:`SupportsSnapshots`."""

    def ensure_snapshot(self, snapshot: SnapshotInstance) -> list[ExportLocation]:
        """Mount and export the snapshot by its own rules, read-only; as ``ensure_share``."""
        raise NotImplementedError

    def refused_rules(self, snapshot: SnapshotInstance) -> dict[str, str]:
        """Say, by rule id, why ``ensure_snapshot`` leaves one of ``snapshot.rules`` out. Changes nothing."""
        return {}


class SupportsExtend:
    """Growing a share."""

    def extend_share(self, share: Replica, new_size: int) -> Stored:
        """Grow the share to `new_size` GiB. It may be offline then: ``ensure_share`` follows.

        After a failure or a death too, with the old size, which is on record: the share may be of either, until this is
        called again.

        Raises:
            Blocked: what stands in the share's place is not its ``backend_id``; nothing has changed.
        """
        raise NotImplementedError


class SupportsShrink:
    """Shrinking a share."""

    def shrink_share(self, share: Replica, new_size: int) -> Stored:
        """Shrink the share to `new_size` GiB; otherwise as :meth:`SupportsExtend.extend_share`.

        Raises:
            Blocked: its data would not fit, or what stands in its place is not its ``backend_id``; nothing has changed.
        """
        raise NotImplementedError


class SupportsAccessRules:
    """Access rules."""

    def update_access(self, share: Replica) -> dict[str, str]:
        """Make ``share.rules`` the whole truth; answer, by rule id, why one was refused. No rule: not exported."""
        raise NotImplementedError


class SupportsManage:
    """Adopting a share that exists on the backend already, and letting go of it."""

    def manage_share(self, share: Replica, existing: str) -> Stored:
        """Adopt what the backend calls `existing` as `share`; answer the size found, in whole GiB.

        Its data and its snapshots stay; it may be renamed, and is online afterwards only by ``ensure_share``.
        ``share.size`` says nothing yet. Called again after a crash, it finishes.

        Raises:
            Blocked: there is no such thing, somebody uses it, it belongs to another share, or it cannot be a share
                (no file system that is known here, a size that is no whole number of GiB); nothing has changed.
        """
        raise NotImplementedError

    def unmanage_share(self, share: Replica) -> None:
        """Take the share offline, take our marks off it, and leave it and its snapshots otherwise untouched.

        Nothing there: succeed. It can be managed again under the name that it has. Called too for what a failed
        :meth:`manage_share` has left, at whatever step that failed, and called again where it fails itself; then
        ``ensure_share`` brings the share back as it was.
        """
        raise NotImplementedError

    def inventory(self) -> list[FoundShare]:
        """List what on the backend carries our ids, on record or not: a lost database is rebuilt from it."""
        return []


class SupportsManageSnapshots:
    """Adopting a snapshot that exists on the backend already, and letting go of it. Needs both of its halves."""

    def manage_snapshot(self, snapshot: SnapshotInstance, existing: str) -> Stored:
        """Adopt what the backend calls `existing` as `snapshot`; answer the share's size in it, in GiB.

        Called again after a crash, it finishes.

        Raises:
            Blocked: it is no snapshot of the share, belongs to another, is not sound, or is not newer than every one
                of ours on the backend: the order of snapshots has to stay certain. Nothing has changed.
        """
        raise NotImplementedError

    def unmanage_snapshot(self, snapshot: SnapshotInstance) -> None:
        """Take it offline, take our marks off it, and leave it otherwise untouched. Nothing there: succeed."""
        raise NotImplementedError
