"""Registered clients."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from idp.db import Json, UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of clients."""
    op.create_table(
        "clients",
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("client_name", sa.String(200), nullable=False),
        sa.Column("metadata", Json, nullable=False),
        sa.Column("secrets", Json, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_clients")),
    )
    op.create_index(op.f("ix_clients_client_name"), "clients", ["client_name"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("clients")
