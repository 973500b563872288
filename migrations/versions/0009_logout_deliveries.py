"""What applications still have to be told about sessions that ended (OpenID Connect Back-Channel Logout 1.0)."""

import sqlalchemy as sa
from alembic import op

from idp.db import UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "logout_deliveries",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("sub", sa.String(64), nullable=False),
        sa.Column("sid", sa.String(64), nullable=False),
        sa.Column("cause", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False, server_default="waiting"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("last_error", sa.String(200), nullable=True),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("next_attempt_at", UtcDateTime, nullable=False),
        sa.Column("finished_at", UtcDateTime, nullable=True),
        sa.UniqueConstraint("sid", "client_id", name="uq_logout_deliveries_sid_client_id"),
    )
    op.create_index(
        "ix_logout_deliveries_finished_at_next_attempt_at", "logout_deliveries", ["finished_at", "next_attempt_at"]
    )


def downgrade() -> None:
    op.drop_index("ix_logout_deliveries_finished_at_next_attempt_at", table_name="logout_deliveries")
    op.drop_table("logout_deliveries")
