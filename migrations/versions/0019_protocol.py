"""What the tokens of a family are bound to: the certificate of a public client (RFC 8705 section 4)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from idp.db import Json

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column."""
    op.add_column("token_families", sa.Column("cnf", Json, nullable=True))


def downgrade() -> None:
    """Take it away."""
    op.drop_column("token_families", "cnf")
