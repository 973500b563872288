"""What else is known of a person: the claims of the scope `profile` that have no column of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from idp.db import Json

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column."""
    op.add_column("users", sa.Column("traits", Json, nullable=True))


def downgrade() -> None:
    """Take it away."""
    op.drop_column("users", "traits")
