"""Recovery through the help desk, and what a person still has to look through after a recovery."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from idp.db import UtcDateTime

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_LIVE = sa.text("state IN ('open', 'approved', 'issued')")


def upgrade() -> None:
    """Create the tables `recovery_cases` and `recovery_reviews`."""
    op.create_table(
        "recovery_cases",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.String(36), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("proof", sa.String(32), nullable=False),
        sa.Column("proof_note", sa.String(500), nullable=False),
        sa.Column("remove_factors", sa.Boolean(), nullable=False),
        sa.Column("four_eyes", sa.Boolean(), nullable=False),
        sa.Column("opened_by", sa.String(255), nullable=False),
        sa.Column("opened_at", UtcDateTime, nullable=False),
        sa.Column("approved_by", sa.String(255), nullable=True),
        sa.Column("approved_at", UtcDateTime, nullable=True),
        sa.Column("ready_at", UtcDateTime, nullable=True),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.Column("issued_by", sa.String(255), nullable=True),
        sa.Column("issued_at", UtcDateTime, nullable=True),
        sa.Column("code_mac", sa.String(43), nullable=True),
        sa.Column("code_expires_at", UtcDateTime, nullable=True),
        sa.Column("closed_by", sa.String(255), nullable=True),
        sa.Column("closed_at", UtcDateTime, nullable=True),
        sa.Column("closed_reason", sa.String(500), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_recovery_cases_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recovery_cases")),
        sa.UniqueConstraint("public_id", name=op.f("uq_recovery_cases_public_id")),
    )
    op.create_index("ix_recovery_cases_state_opened_at", "recovery_cases", ["state", "opened_at"])
    op.create_index("ix_recovery_cases_user_id", "recovery_cases", ["user_id"])
    op.create_index(
        "uq_recovery_cases_live", "recovery_cases", ["user_id"], unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE
    )
    op.create_table(
        "recovery_reviews",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("since", UtcDateTime, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_recovery_reviews_user_id_users")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_recovery_reviews")),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("recovery_reviews")
    op.drop_table("recovery_cases")
