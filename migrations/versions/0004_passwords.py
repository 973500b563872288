"""passwords: the present one of a person, and the earlier ones that a new one is compared with"""

import sqlalchemy as sa
from alembic import op

from idp.db import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the two tables."""
    op.create_table(
        "passwords",
        sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id"), primary_key=True),
        *_hash(),
        sa.Column("stamp", sa.String(32), nullable=False),
        sa.Column("must_change", sa.Boolean, nullable=False),
        sa.Column("expires_at", UtcDateTime()),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("last_used_at", UtcDateTime()),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("disabled_at", UtcDateTime()),
    )
    op.create_table(
        "password_history",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id"), nullable=False),
        *_hash(),
        sa.Column("replaced_at", UtcDateTime(), nullable=False),
    )
    op.create_index("ix_password_history_user_id", "password_history", ["user_id"])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("password_history")
    op.drop_table("passwords")


def _hash() -> tuple[sa.Column, ...]:
    return (
        sa.Column("scheme", sa.String(32), nullable=False),
        sa.Column("pepper_id", sa.String(16), nullable=False),
        sa.Column("cost", sa.Integer, nullable=False),
        sa.Column("sealed_hash", sa.LargeBinary, nullable=False),
    )
