"""Invitations, requests for an account, and since when an address may receive a way back in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from idp.db import UtcDateTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create two tables, add a column."""
    op.create_table(
        "invitations",
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("email_id", sa.Integer, nullable=False),
        sa.Column("token_digest", sa.String(64), nullable=False),
        sa.Column("client_id", sa.String(64), nullable=True),
        sa.Column("invited_by", sa.String(100), nullable=True),
        sa.Column("sent_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.Column("accepted_at", UtcDateTime, nullable=True),
        sa.Column("revoked_at", UtcDateTime, nullable=True),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_invitations")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_invitations_user_id")),
        sa.UniqueConstraint("token_digest", name=op.f("uq_invitations_token_digest")),
    )
    op.create_table(
        "account_requests",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("public_id", sa.String(32), nullable=False),
        sa.Column("address", sa.String(254), nullable=False),
        sa.Column("canonical", sa.String(320), nullable=False),
        sa.Column("display_name", sa.String(200), nullable=False),
        sa.Column("note", sa.String(500), nullable=False),
        sa.Column("locale", sa.String(35), nullable=True),
        sa.Column("client_id", sa.String(64), nullable=True),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("decided_at", UtcDateTime, nullable=True),
        sa.Column("decided_by", sa.String(100), nullable=True),
        sa.Column("reason", sa.String(200), nullable=True),
        sa.UniqueConstraint("public_id", name=op.f("uq_account_requests_public_id")),
    )
    op.create_index(
        "uq_account_requests_waiting",
        "account_requests",
        ["canonical"],
        unique=True,
        sqlite_where=sa.text("status = 'waiting'"),
        postgresql_where=sa.text("status = 'waiting'"),
    )
    op.add_column("user_emails", sa.Column("recovers_at", UtcDateTime, nullable=True))


def downgrade() -> None:
    """Take them away."""
    op.drop_column("user_emails", "recovers_at")
    op.drop_index("uq_account_requests_waiting", table_name="account_requests")
    op.drop_table("account_requests")
    op.drop_table("invitations")
