"""Snapshots have access rules and export locations; an operation remembers what it manages, and what it left."""

import sqlalchemy as sa
from alembic import op

from revertkit.store.tables import Time

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "snapshot_access_rules",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("snapshot_id", sa.String(length=36), nullable=False),
        sa.Column("access_type", sa.String(length=16), nullable=False),
        sa.Column("access_to", sa.String(length=255), nullable=False),
        sa.Column("access_level", sa.String(length=8), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("created_at", Time(), nullable=False),
        sa.Column("updated_at", Time(), nullable=True),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["snapshots.id"], name=op.f("fk_snapshot_access_rules_snapshot_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snapshot_access_rules")),
        sa.UniqueConstraint(
            "snapshot_id",
            "access_type",
            "access_to",
            name=op.f("uq_snapshot_access_rules_snapshot_id_access_type_access_to"),
        ),
    )
    op.create_table(
        "snapshot_export_locations",
        sa.Column("instance_id", sa.String(length=36), nullable=False),
        sa.Column("path", sa.String(length=4096), nullable=False),
        sa.Column("preferred", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"],
            ["snapshot_instances.id"],
            name=op.f("fk_snapshot_export_locations_instance_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("instance_id", "path", name=op.f("pk_snapshot_export_locations")),
    )
    op.add_column("operations", sa.Column("existing", sa.String(length=1024), nullable=True))
    op.add_column("operations", sa.Column("status_before", sa.String(length=32), nullable=True))
