"""The records that travel between the rooms: frozen, complete, without I/O.

The first half is what a driver sees (one share in one pool is a :class:`Replica`, one snapshot in one pool a
:class:`SnapshotInstance`); the second is what the store keeps and the faces show. Sizes named ``size`` are GiB,
``*_bytes`` are bytes, times are UTC.
"""

from __future__ import annotations

import re
import uuid
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from revertkit.status import ReplicaState, RulesStatus, RuleState, Status

GIB = 1024**3
TICK = timedelta(microseconds=1)
"""What no two snapshots of a share, nor two operations on it, are nearer than: their order is certain."""
MAX_SIZE = 2**20
"""The largest share in GiB (one PiB); a larger number is a slip of the finger, and every backend can count to it."""

MAX_EXISTING = 1024
"""The longest name on a backend that is taken: longer than any that LVM or ZFS has."""


def new_id() -> str:
    """A fresh id for anything: a random UUID, as Manila's are."""
    return str(uuid.uuid4())


def checked_name(name: str) -> str:
    """Return `name` if it is one that can never be an option, a path or a shell's business.

    Raises:
        ValueError: saying what was wrong with it.
    """
    if len(name) > 255:
        raise ValueError(f"a name has at most 255 characters, this one has {len(name)}")
    if bad := re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029/\\]|[\ud800-\udfff]", name):
        raise ValueError(f"a name holds no {bad.group()!r}")
    if name.startswith("-"):
        raise ValueError("a name does not begin with '-': it would read as an option")
    if name != name.strip() or not name:
        raise ValueError("a name is not empty and neither begins nor ends with a space")
    return name


def checked_existing(name: str) -> str:
    """Return what a backend calls something, if it can be handed on: a path may be one, an option never.

    Raises:
        ValueError: saying what was wrong with it.
    """
    if not 1 <= len(name) <= MAX_EXISTING:
        raise ValueError(f"a name on a backend has 1 to {MAX_EXISTING} characters, this one has {len(name)}")
    if bad := re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]|[\ud800-\udfff]", name):
        raise ValueError(f"a name on a backend holds no {bad.group()!r}")
    if name.startswith("-") or name != name.strip():
        raise ValueError("a name on a backend does not begin with '-', and neither begins nor ends with a space")
    return name


Name = Annotated[str, AfterValidator(checked_name)]
Size = Annotated[int, Field(ge=1, le=MAX_SIZE, description="GiB")]


class PoolId(NamedTuple):
    """A pool's full name, as Manila writes it: ``host@backend#pool``."""

    host: str
    backend: str
    pool: str

    def __str__(self) -> str:
        return f"{self.host}@{self.backend}#{self.pool}"

    @classmethod
    def parse(cls, text: str) -> PoolId:
        """Read ``host@backend#pool``.

        Raises:
            ValueError: it is not of that form.
        """
        if not (found := re.fullmatch(r"([^@#]+)@([^@#]+)#([^@#]+)", text)):
            raise ValueError(f"{text!r} is not a pool: it reads host@backend#pool")
        return cls(*found.groups())


class Record(BaseModel):
    """A value: frozen, with no field that nobody named."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# --- what a driver sees


class AccessLevel(StrEnum):
    """How much a rule allows."""

    RW = "rw"
    RO = "ro"


class AccessRule(Record):
    """Who may mount a share or snapshot: an IP address or network, read-write or read-only."""

    id: str
    access_to: str
    access_level: AccessLevel = AccessLevel.RW
    access_type: str = "ip"
    state: RuleState = RuleState.ACTIVE
    metadata: dict[str, str] = Field(default_factory=dict)
    created_at: datetime | None = None
    updated_at: datetime | None = None


class Replica(Record):
    """One share in one pool. An unreplicated share has exactly one, which is ``active``."""

    id: str
    share_id: str
    host: str
    backend: str = Field("", description="its backend's name on that host")
    pool: str = Field(description="the pool's name inside its backend")
    size: Size
    protocol: str = "NFS"
    backend_id: str | None = Field(None, description="its identity on the backend (uuid, guid), as last recorded")
    undo_id: str | None = Field(None, description="what a revert set aside and an undo would bring back")
    state: ReplicaState = ReplicaState.ACTIVE
    rules: tuple[AccessRule, ...] = ()
    peers: tuple[str, ...] = Field((), description="ids of the share's other replicas")
    reverted_to: tuple[str, ...] = Field(
        (),
        description="ids of snapshots, if the share was reverted since this replica was last in sync: what it holds "
        "beyond the first of them that it has was discarded, or is half of a transfer",
    )


class SnapshotInstance(Record):
    """One snapshot in one pool; it carries its replica, so the two can never be mismatched."""

    id: str
    snapshot_id: str
    replica: Replica
    size: Size = Field(description="the share's size when the snapshot was taken, GiB")
    created_at: datetime
    backend_id: str | None = Field(None, description="its identity on the backend, as last recorded")
    rules: tuple[AccessRule, ...] = ()


class Stored(Record):
    """What a backend answers of something it holds now: the identity to pin, and the size in GiB."""

    backend_id: str
    size: Size
    undo_id: str | None = None


class Reverted(Record):
    """What stands on the backend after a revert: either identity may be new."""

    share: Stored
    snapshot: Stored


class Promoted(Record):
    """What stands on the backend after a promotion: the replica, and by instance id each snapshot that it holds."""

    replica: Stored
    snapshots: dict[str, Stored] = Field(default_factory=dict)


class RevertPreview(Record):
    """What a revert would throw away, in bytes; None where the backend cannot tell."""

    discards_bytes: int | None = None


class RevertState(StrEnum):
    """What the backend says of one revert, whoever asks and whatever went before."""

    UNCHANGED = "unchanged"
    """The share has its old data; it may be offline."""
    HALFWAY = "halfway"
    """Begun and not finished: calling the revert again finishes it."""
    REVERTED = "reverted"
    """The share has the snapshot's data and the snapshot is there; still offline."""
    UNKNOWN = "unknown"
    """The backend cannot tell."""


class Blocker(Record):
    """One thing that stands in the way: its kind (a word), what was found, and what to do about it."""

    kind: str
    what: str
    mend: str


class Lack(Record):
    """What a host or pool lacks.

    With a capability it takes that one away. Without one, a host cannot run the driver, and a pool gets no new shares.
    """

    why: str
    mend: str
    capability: str | None = None
    """A :class:`~revertkit.capabilities.Capability`, as reports call it."""


class Pool(Record):
    """One pool as its driver sees it now. `extra` holds further report keys, Manila's names where it has one."""

    name: str
    total_bytes: int
    free_bytes: int
    lacks: tuple[Lack, ...] = ()
    extra: dict[str, Any] = Field(default_factory=dict)


class ExportLocation(Record):
    """Where a share is reached: a local path or ``address:/path``."""

    path: str
    preferred: bool = False


class ReplicaReport(Record):
    """One look at a replica: its state, the snapshots it holds by instance id, and how far it is behind."""

    state: ReplicaState
    snapshots: dict[str, Stored] = Field(default_factory=dict)
    last_copies: tuple[str, ...] = Field((), description="instance ids of what it holds and the active one does not")
    seconds_behind: float | None = None
    found: str = Field("", description="why it is not in sync, and what to do about it, in a sentence")
    needs_full_copy: bool = Field(False, description="it has nothing in common with the active one any more")


class FoundSnapshot(Record):
    """A snapshot of ours as the backend has it, with or without a record: what a lost database is rebuilt from."""

    existing: str = Field(description="what the backend calls it")
    snapshot_id: str
    size: int = Field(description="of its share when it was taken, in GiB")
    created_at: datetime


class FoundShare(Record):
    """A share of ours as the backend has it, its snapshots oldest first."""

    existing: str = Field(description="what the backend calls it")
    replica_id: str
    share_id: str
    pool: str
    size: int
    snapshots: tuple[FoundSnapshot, ...] = ()


# --- what the store keeps and the faces show


class ShareType(Record):
    """What kinds of share there are. Extra specs are strings, as in Manila."""

    id: str
    name: Name
    description: str | None = None
    is_public: bool = True
    extra_specs: dict[str, str] = Field(default_factory=dict)
    created_at: datetime


class Share(Record):
    """One share, with the status of its active replica."""

    id: str
    project_id: str
    user_id: str | None = None
    name: str | None
    description: str | None
    size: int
    protocol: str
    share_type_id: str
    snapshot_id: str | None = Field(None, description="the snapshot it was made from")
    snapshot_support: bool = False
    create_share_from_snapshot_support: bool = False
    revert_to_snapshot_support: bool = False
    mount_snapshot_support: bool = False
    replication_type: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    created_at: datetime
    updated_at: datetime | None = None
    status: Status
    pool: PoolId = Field(description="where its active replica is")
    replica: Replica
    availability_zone: str | None = None
    access_rules_status: RulesStatus = RulesStatus.ACTIVE
    export_locations: tuple[ExportLocation, ...] = ()


class ShareReplica(Record):
    """One replica of a share, as it is on record."""

    id: str
    share_id: str
    project_id: str
    status: Status
    replica_state: ReplicaState
    pool: PoolId
    availability_zone: str | None = None
    created_at: datetime
    updated_at: datetime | None = None
    looked_at: datetime | None = Field(None, description="when it was last looked at")
    in_sync_at: datetime | None = Field(None, description="the moment of the share that it surely holds")
    seconds_behind: float | None = None
    found: str | None = Field(None, description="what the last look found, where it is not in sync")
    needs_full_copy: bool = Field(False, description="no look can bring it in sync, only copying it anew")
    replica: Replica
    export_locations: tuple[ExportLocation, ...] = ()

    @property
    def active(self) -> bool:
        """Whether it is the one that is written to."""
        return self.replica_state is ReplicaState.ACTIVE


class Snapshot(Record):
    """One snapshot, with the status of its instance on the active replica."""

    id: str
    share_id: str
    project_id: str
    user_id: str | None = None
    name: str | None
    description: str | None
    size: int
    created_at: datetime
    metadata: dict[str, str] = Field(default_factory=dict)
    status: Status
    instance_id: str
    export_locations: tuple[ExportLocation, ...] = ()


class OperationKind(StrEnum):
    """Everything that runs on a backend and outlives the call that asked for it."""

    CREATE_SHARE = "create_share"
    CREATE_SHARE_FROM_SNAPSHOT = "create_share_from_snapshot"
    DELETE_SHARE = "delete_share"
    EXTEND_SHARE = "extend_share"
    SHRINK_SHARE = "shrink_share"
    CREATE_SNAPSHOT = "create_snapshot"
    DELETE_SNAPSHOT = "delete_snapshot"
    REVERT_TO_SNAPSHOT = "revert_to_snapshot"
    CREATE_REPLICA = "create_replica"
    DELETE_REPLICA = "delete_replica"
    PROMOTE_REPLICA = "promote_replica"
    RESYNC_REPLICA = "resync_replica"
    ALLOW_ACCESS = "allow_access"
    DENY_ACCESS = "deny_access"
    ALLOW_SNAPSHOT_ACCESS = "allow_snapshot_access"
    DENY_SNAPSHOT_ACCESS = "deny_snapshot_access"
    MANAGE_SHARE = "manage_share"
    REBUILD_SHARE = "rebuild_share"
    UNMANAGE_SHARE = "unmanage_share"
    MANAGE_SNAPSHOT = "manage_snapshot"
    REBUILD_SNAPSHOT = "rebuild_snapshot"
    UNMANAGE_SNAPSHOT = "unmanage_snapshot"


class Outcome(StrEnum):
    """How an operation ended."""

    DONE = "done"
    UNCHANGED = "unchanged"
    FAILED = "failed"


class Operation(Record):
    """One accepted operation: the manager's own record of intent, which outlives its process."""

    id: str
    kind: OperationKind
    project_id: str
    share_id: str
    replica_id: str
    snapshot_id: str | None = None
    rule_id: str | None = None
    new_size: int | None = None
    existing: str | None = Field(None, description="what the backend calls the thing that is managed")
    status_before: Status | None = Field(
        None, description="where an end that changed nothing leads back to, if not to available"
    )
    forced: bool = Field(False, description="a promotion of what may be behind; a resync that copies all anew")
    host: str
    request_id: str
    recorded: bool = Field(False, description="the backend's new identities and size are on record")
    outcome: Outcome | None = None
    found: str | None = Field(None, description="what was found, in a sentence")
    created_at: datetime
    finished_at: datetime | None = None


class MessageLevel(StrEnum):
    """Good news or bad."""

    INFO = "INFO"
    ERROR = "ERROR"


class MessageDetail(StrEnum):
    """What became of an operation, as its message tells."""

    DONE = "done"
    TROUBLE = "trouble"
    """Done, but a snapshot is out of reach."""
    REFUSED = "refused"
    """The backend refused, and nothing has changed."""
    FAILED = "failed"


class Message(Record):
    """What a user is told of an operation that ended without them."""

    id: str
    project_id: str
    request_id: str
    action: OperationKind
    level: MessageLevel
    detail: MessageDetail = MessageDetail.FAILED
    resource_type: str
    resource_id: str
    text: str
    created_at: datetime
    expires_at: datetime


class QuotaUse(Record):
    """One quota of one project. A limit of -1 is none."""

    limit: int
    in_use: int
    reserved: int


class Context(Record):
    """Who asks: the project it counts against, and the request it is part of."""

    project_id: Name
    user_id: str | None = None
    request_id: str = Field(default_factory=lambda: f"req-{new_id()}")
    is_admin: bool = False
