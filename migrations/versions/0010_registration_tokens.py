"""Tokens with which applications register and manage themselves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from idp.db import Json, UtcDateTime

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the two tables."""
    op.create_table(
        "initial_access_tokens",
        sa.Column("digest", sa.String(43), nullable=False),
        sa.Column("label", sa.String(100), nullable=False),
        sa.Column("scopes", Json, nullable=False),
        sa.Column("uses_left", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_initial_access_tokens")),
    )
    op.create_table(
        "client_registrations",
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(43), nullable=False),
        sa.Column("scopes", Json, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_client_registrations")),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("client_registrations")
    op.drop_table("initial_access_tokens")
