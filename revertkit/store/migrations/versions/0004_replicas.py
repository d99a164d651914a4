"""Replicas: where they stand to their active one; snapshots that are gone from the share but not from every replica."""

import sqlalchemy as sa
from alembic import op

from revertkit.store.tables import Time

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("replicas", sa.Column("availability_zone", sa.String(length=255), nullable=True))
    op.add_column("replicas", sa.Column("looked_at", Time(), nullable=True))
    op.add_column("replicas", sa.Column("in_sync_at", Time(), nullable=True))
    op.add_column("replicas", sa.Column("followed_at", Time(), nullable=True))
    op.add_column("replicas", sa.Column("seconds_behind", sa.Float(), nullable=True))
    op.add_column("replicas", sa.Column("found", sa.Text(), nullable=True))
    op.add_column("replicas", sa.Column("needs_full_copy", sa.Boolean(), nullable=True))
    op.create_index("uq_replicas_place", "replicas", ["share_id", "host", "backend", "pool"], unique=True)
    active = sa.text("replica_state = 'active'")
    op.create_index(
        "uq_replicas_active", "replicas", ["share_id"], unique=True, sqlite_where=active, postgresql_where=active
    )
    op.add_column("snapshots", sa.Column("deleted_at", Time(), nullable=True))
    op.add_column("operations", sa.Column("forced", sa.Boolean(), nullable=True))
