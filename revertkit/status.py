"""The statuses, and one table of operations: from, during, done, failed. Pure.

A replica's status is a stored column (the active one's is the share's); so is a snapshot instance's. Both change only
by ``store.move``, and only as :data:`TRANSITIONS` says. A refusal comes before the accept and changes nothing.
From the specification ("Data model impact"); the statuses of replicas and of a failed resize are our own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """Of a replica (and so of a share) or of a snapshot instance; Manila's words."""

    AVAILABLE = "available"
    CREATING = "creating"
    DELETING = "deleting"
    ERROR = "error"
    ERROR_DELETING = "error_deleting"
    EXTENDING = "extending"
    EXTENDING_ERROR = "extending_error"
    SHRINKING = "shrinking"
    SHRINKING_ERROR = "shrinking_error"
    SNAPSHOTTING = "snapshotting"
    REVERTING = "reverting"
    REVERTING_ERROR = "reverting_error"
    RESTORING = "restoring"
    REPLICATION_CHANGE = "replication_change"


class ReplicaState(StrEnum):
    """How a replica stands to its active one."""

    ACTIVE = "active"
    IN_SYNC = "in_sync"
    OUT_OF_SYNC = "out_of_sync"
    ERROR = "error"


class RuleState(StrEnum):
    """Of an access rule."""

    APPLYING = "applying"
    ACTIVE = "active"
    ERROR = "error"
    DENYING = "denying"


class RulesStatus(StrEnum):
    """Of all access rules of a share together; a revert needs ``active``."""

    ACTIVE = "active"
    SYNCING = "syncing"
    ERROR = "error"


A = Status.AVAILABLE
RE = Status.REVERTING_ERROR
_RESIZABLE = frozenset({A, Status.EXTENDING_ERROR, Status.SHRINKING_ERROR})
"""A resize that failed is mended by one that does not: every call of a driver can be repeated."""
_DELETABLE = frozenset({A, Status.ERROR, Status.ERROR_DELETING})


@dataclass(frozen=True)
class Transition:
    """What one operation does to one row.

    An empty `before` means that the row is born by the accept; `done` or `failed` of None means that the row goes.
    With `back` a failure leaves the status that the row had before (the operation's record keeps it).
    """

    before: frozenset[Status]
    during: Status
    done: Status | None
    failed: Status | None
    back: bool = False

    @property
    def born(self) -> bool:
        """Whether the accept inserts the row."""
        return not self.before


def _t(
    before: set[Status] | frozenset[Status], during: Status, done: Status | None, failed: Status | None
) -> Transition:
    return Transition(frozenset(before), during, done, failed)


def _let_go(before: set[Status]) -> Transition:
    return Transition(frozenset(before), Status.DELETING, None, None, back=True)


@dataclass(frozen=True)
class StateTransition:
    """What one operation does to how a replica stands to its active one; `failed` of None leaves it as it was."""

    before: frozenset[ReplicaState]
    during: ReplicaState | None
    done: ReplicaState
    failed: ReplicaState | None = None


@dataclass(frozen=True)
class Transitions:
    """What one operation does to the share's active replica and to the snapshot instance, where it touches them.

    `share_in` and `snapshot_in` are where they have to be when the operation leaves their status alone. `replica` and
    `state` are of the replica that it is about, where that is not the active one; `others` is where it leaves the state
    of every other replica: a revert at its accept, a promotion when it is on record.
    """

    share: Transition | None
    snapshot: Transition | None = None
    share_in: frozenset[Status] = frozenset()
    snapshot_in: frozenset[Status] = frozenset()
    replica: Transition | None = None
    replica_in: frozenset[Status] = frozenset()
    state: StateTransition | None = None
    others: ReplicaState | None = None


_MANAGE_SHARE = Transitions(_t(set(), Status.CREATING, A, None))
_MANAGE_SNAPSHOT = Transitions(None, _t(set(), Status.CREATING, A, None), share_in=frozenset({A}))
"""A failure leaves no row: deleting one would destroy the user's volume."""
FOLLOWING = frozenset({ReplicaState.IN_SYNC, ReplicaState.OUT_OF_SYNC, ReplicaState.ERROR})
"""The states of a replica that is not the active one."""
_SNAPSHOT_ACCESS = Transitions(None, share_in=frozenset({A}), snapshot_in=frozenset({A}))

TRANSITIONS: dict[str, Transitions] = {
    "create_share": Transitions(_t(set(), Status.CREATING, A, Status.ERROR)),
    "create_share_from_snapshot": Transitions(_t(set(), Status.CREATING, A, Status.ERROR)),
    "delete_share": Transitions(_t(_DELETABLE | {RE}, Status.DELETING, None, Status.ERROR_DELETING)),
    "extend_share": Transitions(_t(_RESIZABLE, Status.EXTENDING, A, Status.EXTENDING_ERROR)),
    "shrink_share": Transitions(_t(_RESIZABLE, Status.SHRINKING, A, Status.SHRINKING_ERROR)),
    "create_snapshot": Transitions(
        _t({A}, Status.SNAPSHOTTING, A, A),
        _t(set(), Status.CREATING, A, Status.ERROR),
    ),
    "delete_snapshot": Transitions(
        None,
        _t(_DELETABLE, Status.DELETING, None, Status.ERROR_DELETING),
        share_in=frozenset({A, Status.ERROR}),
    ),
    "revert_to_snapshot": Transitions(
        _t({A}, Status.REVERTING, A, RE),
        _t({A}, Status.RESTORING, A, A),
        others=ReplicaState.OUT_OF_SYNC,
    ),
    "create_replica": Transitions(
        None,
        share_in=frozenset({A}),
        replica=_t(set(), Status.CREATING, A, Status.ERROR),
        state=StateTransition(frozenset(), ReplicaState.OUT_OF_SYNC, ReplicaState.OUT_OF_SYNC, ReplicaState.ERROR),
    ),
    "delete_replica": Transitions(None, replica=_t(_DELETABLE, Status.DELETING, None, Status.ERROR_DELETING)),
    "promote_replica": Transitions(
        Transition(frozenset({A}), Status.REPLICATION_CHANGE, A, A, back=True),
        replica=_t({A}, Status.REPLICATION_CHANGE, A, A),
        state=StateTransition(frozenset({ReplicaState.IN_SYNC}), None, ReplicaState.ACTIVE),
        others=ReplicaState.OUT_OF_SYNC,
    ),
    "resync_replica": Transitions(
        None,
        share_in=frozenset({A}),
        replica_in=frozenset({A}),
        state=StateTransition(FOLLOWING, ReplicaState.OUT_OF_SYNC, ReplicaState.IN_SYNC, ReplicaState.OUT_OF_SYNC),
    ),
    "allow_access": Transitions(None, share_in=frozenset({A})),
    "deny_access": Transitions(None, share_in=frozenset({A})),
    "allow_snapshot_access": _SNAPSHOT_ACCESS,
    "deny_snapshot_access": _SNAPSHOT_ACCESS,
    "manage_share": _MANAGE_SHARE,
    "rebuild_share": _MANAGE_SHARE,
    "unmanage_share": Transitions(_let_go({A, Status.ERROR, RE})),
    "manage_snapshot": _MANAGE_SNAPSHOT,
    "rebuild_snapshot": _MANAGE_SNAPSHOT,
    "unmanage_snapshot": Transitions(None, _let_go({A, Status.ERROR}), share_in=frozenset({A, Status.ERROR})),
}
"""Keyed by the value of an OperationKind."""

RESTING = frozenset(
    {A, Status.ERROR, Status.ERROR_DELETING, Status.EXTENDING_ERROR, Status.SHRINKING_ERROR, RE},
)
"""Where a row may stay with no operation under way; any other status is somebody's, and recover finds it."""
