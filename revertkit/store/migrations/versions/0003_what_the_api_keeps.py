"""Private share types, who took a snapshot, notes on access rules, details of messages, disabled backends."""

import sqlalchemy as sa
from alembic import op

from revertkit.store.tables import Time

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "share_type_projects",
        sa.Column("share_type_id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(
            ["share_type_id"],
            ["share_types.id"],
            name=op.f("fk_share_type_projects_share_type_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("share_type_id", "project_id", name=op.f("pk_share_type_projects")),
    )
    op.create_table(
        "disabled_backends",
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("backend", sa.String(length=255), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("disabled_at", Time(), nullable=False),
        sa.PrimaryKeyConstraint("host", "backend", name=op.f("pk_disabled_backends")),
    )
    op.add_column("snapshots", sa.Column("user_id", sa.String(length=255), nullable=True))
    op.add_column("access_rules", sa.Column("metadata", sa.JSON(), nullable=True))
    op.add_column("snapshot_access_rules", sa.Column("metadata", sa.JSON(), nullable=True))
    op.add_column("messages", sa.Column("detail", sa.String(length=16), nullable=True))
