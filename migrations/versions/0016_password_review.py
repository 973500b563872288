"""passwords: under which rules each was judged last, what it breaks, and until when it may stay"""

import sqlalchemy as sa
from alembic import op

from idp.db import UtcDateTime

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

COLUMNS = ("judged_policy", "judged_at", "failing", "change_by")


def upgrade() -> None:
    """Add what a review leaves behind; until their next sign-in everybody counts as never judged."""
    op.add_column("passwords", sa.Column("judged_policy", sa.String(16)))
    op.add_column("passwords", sa.Column("judged_at", UtcDateTime()))
    op.add_column("passwords", sa.Column("failing", sa.String(120)))
    op.add_column("passwords", sa.Column("change_by", UtcDateTime()))


def downgrade() -> None:
    """Forget it."""
    for column in COLUMNS:
        op.drop_column("passwords", column)
