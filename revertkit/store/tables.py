"""The tables. SQL lives in this package and nowhere else.

What can be derived is not stored: a share's status is its active replica's, the use of a quota is a sum, so neither
can drift. Times are UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect

from revertkit.status import ReplicaState

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Said(TypeDecorator[str]):
    """What tools and the kernel said: there are names in it, which need not be Unicode."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Spell out what no database keeps."""
        return value.encode(errors="backslashreplace").decode() if value else value


class Time(TypeDecorator[datetime]):
    """A UTC time with microseconds, kept without its zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Drop the zone."""
        return value.astimezone(UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Put the zone back."""
        return value.replace(tzinfo=UTC) if value else None


def _id() -> Column[str]:
    return Column("id", String(36), primary_key=True)


def _of(name: str, target: str, **how: Any) -> Column[str]:
    return Column(name, String(36), ForeignKey(target, ondelete="CASCADE"), nullable=False, **how)


share_types = Table(
    "share_types",
    metadata,
    _id(),
    Column("name", String(255), nullable=False, unique=True),
    Column("description", Text),
    Column("is_public", Boolean, nullable=False),
    Column("created_at", Time, nullable=False),
)
share_type_projects = Table(
    "share_type_projects",
    metadata,
    _of("share_type_id", "share_types.id", primary_key=True),
    Column("project_id", String(255), primary_key=True),
)
"""Who may use a type that is not public."""
extra_specs = Table(
    "extra_specs",
    metadata,
    _of("share_type_id", "share_types.id", primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("value", String(255), nullable=False),
)
shares = Table(
    "shares",
    metadata,
    _id(),
    Column("project_id", String(255), nullable=False),
    Column("user_id", String(255)),
    Column("name", String(255)),
    Column("description", Text),
    Column("size", Integer, nullable=False),
    Column("protocol", String(16), nullable=False),
    Column("share_type_id", String(36), ForeignKey("share_types.id"), nullable=False),
    Column("snapshot_id", String(36)),
    Column("snapshot_support", Boolean, nullable=False),
    Column("create_share_from_snapshot_support", Boolean, nullable=False),
    Column("revert_to_snapshot_support", Boolean, nullable=False),
    Column("mount_snapshot_support", Boolean, nullable=False),
    Column("replication_type", String(16)),
    Column("metadata", JSON, nullable=False),
    Column("last_snapshot_at", Time),
    Column("created_at", Time, nullable=False),
    Index(None, "project_id", "created_at"),
)
replicas = Table(
    "replicas",
    metadata,
    _id(),
    _of("share_id", "shares.id", index=True),
    Column("host", String(255), nullable=False),
    Column("backend", String(255), nullable=False),
    Column("pool", String(255), nullable=False),
    Column("backend_id", String(255)),
    Column("undo_id", String(255)),
    Column("status", String(32), nullable=False),
    Column("replica_state", String(16), nullable=False),
    Column("created_at", Time, nullable=False),
    Column("updated_at", Time),
    Column("availability_zone", String(255)),
    Column("looked_at", Time),
    Column("in_sync_at", Time),
    Column("followed_at", Time),
    Column("seconds_behind", Float),
    Column("found", Said),
    Column("needs_full_copy", Boolean),
    Index(None, "host", "status"),
    Index("uq_replicas_place", "share_id", "host", "backend", "pool", unique=True),
)
Index(
    "uq_replicas_active",
    replicas.c.share_id,
    unique=True,
    sqlite_where=replicas.c.replica_state == ReplicaState.ACTIVE,
    postgresql_where=replicas.c.replica_state == ReplicaState.ACTIVE,
)
"""A share has one active replica, whatever happens. `followed_at` is a moment in the order of the share's operations:
a revert accepted after it is one that the replica has not been seen to follow."""
snapshots = Table(
    "snapshots",
    metadata,
    _id(),
    _of("share_id", "shares.id"),
    Column("project_id", String(255), nullable=False),
    Column("name", String(255)),
    Column("description", Text),
    Column("size", Integer, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("created_at", Time, nullable=False),
    Column("user_id", String(255)),
    Column("deleted_at", Time),
    Index(None, "share_id", "created_at", unique=True),
    Index(None, "project_id", "created_at"),
)
"""The unique index answers "which is the latest of this share" in one look-up, and makes a tie impossible. One with
`deleted_at` is gone from its share and of no account: its row stays until every other replica has dropped it too."""
instances = Table(
    "snapshot_instances",
    metadata,
    _id(),
    _of("snapshot_id", "snapshots.id"),
    _of("replica_id", "replicas.id", index=True),
    Column("backend_id", String(255)),
    Column("status", String(32), nullable=False),
    Column("created_at", Time, nullable=False),
    Column("updated_at", Time),
    UniqueConstraint("snapshot_id", "replica_id"),
)
access_rules = Table(
    "access_rules",
    metadata,
    _id(),
    _of("share_id", "shares.id"),
    Column("access_type", String(16), nullable=False),
    Column("access_to", String(255), nullable=False),
    Column("access_level", String(8), nullable=False),
    Column("status", String(32), nullable=False),
    Column("created_at", Time, nullable=False),
    Column("updated_at", Time),
    Column("metadata", JSON),
    UniqueConstraint("share_id", "access_type", "access_to"),
)
snapshot_access_rules = Table(
    "snapshot_access_rules",
    metadata,
    _id(),
    _of("snapshot_id", "snapshots.id"),
    Column("access_type", String(16), nullable=False),
    Column("access_to", String(255), nullable=False),
    Column("access_level", String(8), nullable=False),
    Column("status", String(32), nullable=False),
    Column("created_at", Time, nullable=False),
    Column("updated_at", Time),
    Column("metadata", JSON),
    UniqueConstraint("snapshot_id", "access_type", "access_to"),
)
export_locations = Table(
    "export_locations",
    metadata,
    _of("replica_id", "replicas.id", primary_key=True),
    Column("path", String(4096), primary_key=True),
    Column("preferred", Boolean, nullable=False),
)
snapshot_export_locations = Table(
    "snapshot_export_locations",
    metadata,
    _of("instance_id", "snapshot_instances.id", primary_key=True),
    Column("path", String(4096), primary_key=True),
    Column("preferred", Boolean, nullable=False),
)
quotas = Table(
    "quotas",
    metadata,
    Column("project_id", String(255), primary_key=True),
    Column("resource", String(64), primary_key=True),
    Column("limit", Integer, nullable=False),
)
"""The project of no name holds the defaults of all."""
operations = Table(
    "operations",
    metadata,
    _id(),
    Column("kind", String(32), nullable=False),
    Column("project_id", String(255), nullable=False),
    Column("share_id", String(36), nullable=False),
    Column("replica_id", String(36), nullable=False),
    Column("snapshot_id", String(36)),
    Column("rule_id", String(36)),
    Column("new_size", Integer),
    Column("existing", String(1024)),
    Column("status_before", String(32)),
    Column("forced", Boolean),
    Column("host", String(255), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("recorded", Boolean, nullable=False),
    Column("outcome", String(16)),
    Column("found", Said),
    Column("created_at", Time, nullable=False),
    Column("finished_at", Time),
    Index(None, "share_id", "created_at"),
    Index("ix_operations_unfinished", "finished_at", "share_id"),
)
"""No foreign keys: an operation's row outlives what it deleted."""
reservations = Table(
    "reservations",
    metadata,
    _of("operation_id", "operations.id", primary_key=True),
    Column("project_id", String(255), nullable=False, index=True),
    Column("resource", String(64), primary_key=True),
    Column("delta", Integer, nullable=False),
)
messages = Table(
    "messages",
    metadata,
    _id(),
    Column("project_id", String(255), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("action", String(32), nullable=False),
    Column("level", String(8), nullable=False),
    Column("resource_type", String(32), nullable=False),
    Column("resource_id", String(36), nullable=False),
    Column("text", Said, nullable=False),
    Column("created_at", Time, nullable=False),
    Column("expires_at", Time, nullable=False),
    Column("detail", String(16)),
    Index(None, "project_id", "created_at"),
)
disabled_backends = Table(
    "disabled_backends",
    metadata,
    Column("host", String(255), primary_key=True),
    Column("backend", String(255), primary_key=True),
    Column("reason", Text),
    Column("disabled_at", Time, nullable=False),
)
"""Where an administrator lets no new share be placed."""
