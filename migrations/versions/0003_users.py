"""users: people, their addresses and roles, and the names that one may sign in with"""

import sqlalchemy as sa
from alembic import op

from idp.db import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the four tables."""
    op.create_table(
        "users",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("sub", sa.String(64), nullable=False),
        sa.Column("username", sa.String(254), nullable=False),
        sa.Column("canonical_username", sa.String(254), nullable=False),
        sa.Column("display_name", sa.String(200), nullable=False),
        sa.Column("given_name", sa.String(100), nullable=False),
        sa.Column("family_name", sa.String(100), nullable=False),
        sa.Column("npi", sa.String(10)),
        sa.Column("locale", sa.String(35)),
        sa.Column("zoneinfo", sa.String(64)),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("status_reason", sa.String(200)),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.UniqueConstraint("sub"),
        sa.UniqueConstraint("canonical_username"),
        sa.UniqueConstraint("npi"),
    )
    _emails()
    _roles_and_names()


def downgrade() -> None:
    """Drop them."""
    for table in ("login_names", "user_roles", "user_emails", "users"):
        op.drop_table(table)


def _emails() -> None:
    op.create_table(
        "user_emails",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("address", sa.String(254), nullable=False),
        sa.Column("canonical", sa.String(320), nullable=False),
        sa.Column("is_primary", sa.Boolean, nullable=False),
        sa.Column("verified_at", UtcDateTime()),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.UniqueConstraint("user_id", "canonical"),
    )
    op.create_index("ix_user_emails_canonical", "user_emails", ["canonical"])
    op.create_index(
        "uq_user_emails_primary",
        "user_emails",
        ["user_id"],
        unique=True,
        sqlite_where=sa.text("is_primary = 1"),
        postgresql_where=sa.text("is_primary"),
    )


def _roles_and_names() -> None:
    op.create_table(
        "user_roles",
        sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id"), primary_key=True),
        sa.Column("role", sa.String(32), primary_key=True),
    )
    op.create_index("ix_user_roles_role", "user_roles", ["role"])
    op.create_table(
        "login_names",
        sa.Column("name", sa.String(320), primary_key=True),
        sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id"), nullable=False),
    )
    op.create_index("ix_login_names_user_id", "login_names", ["user_id"])
