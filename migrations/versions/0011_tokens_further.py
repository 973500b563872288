"""The key of pairwise subjects, authorization details of a family, and how to reach a person."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from idp.db import Json, UtcDateTime

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create one table, add two columns."""
    op.create_table(
        "pairwise_keys",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sealed_key", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pairwise_keys")),
    )
    op.add_column("token_families", sa.Column("authorization_details", Json, nullable=True))
    op.add_column("token_families", sa.Column("session_expires_at", UtcDateTime, nullable=True))
    op.add_column("users", sa.Column("contact", Json, nullable=True))


def downgrade() -> None:
    """Take them away."""
    op.drop_column("users", "contact")
    op.drop_column("token_families", "session_expires_at")
    op.drop_column("token_families", "authorization_details")
    op.drop_table("pairwise_keys")
