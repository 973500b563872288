"""keys: signing keys and their life"""

import sqlalchemy as sa
from alembic import op

from idp.db import Json, UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; the partial indexes allow one active and one pending key per algorithm, whoever else is trying."""
    op.create_table(
        "signing_keys",
        sa.Column("kid", sa.String(64), primary_key=True),
        sa.Column("alg", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("sealed_private", sa.LargeBinary),
        sa.Column("public_jwk", Json(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("activates_at", UtcDateTime(), nullable=False),
        sa.Column("activated_at", UtcDateTime()),
        sa.Column("retires_at", UtcDateTime()),
        sa.Column("retired_at", UtcDateTime()),
        sa.CheckConstraint("status IN ('pending', 'active', 'retiring', 'retired')", name="status"),
        sa.CheckConstraint("status = 'retired' OR sealed_private IS NOT NULL", name="private"),
    )
    for status in ("active", "pending"):
        only = sa.text(f"status = '{status}'")
        op.create_index(
            f"uq_signing_keys_{status}", "signing_keys", ["alg"], unique=True, sqlite_where=only, postgresql_where=only
        )


def downgrade() -> None:
    """Drop the table; tokens signed with its keys cannot be verified any more."""
    op.drop_table("signing_keys")
