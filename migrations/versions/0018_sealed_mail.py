"""Bodies of mails are sealed at rest, bound to their row and recipient; mails that wait are kept."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

from idp import crypto
from idp.db import UtcDateTime

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_KEPT = ("id", "recipient", "subject", "created_at", "attempts", "next_attempt_at", "sent_at", "last_error")


def upgrade() -> None:
    """Seal what waits."""
    rows = _taken(sa.Column("body", sa.Text))
    _create(
        sa.Column("message_id", sa.String(32), nullable=False),
        sa.Column("sealed_letter", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("message_id", name=op.f("uq_mail_outbox_message_id")),
    )
    for row in rows:
        _put(_kept(row) | _sealed(row), "message_id", "sealed_letter")


def downgrade() -> None:
    """Open what opens; a mail that does not is lost."""
    rows = _taken(sa.Column("message_id", sa.String), sa.Column("sealed_letter", sa.LargeBinary))
    _create(sa.Column("body", sa.Text, nullable=False))
    for row in rows:
        try:
            letter = crypto.unseal(row["sealed_letter"], aad=_aad(row["message_id"], row["recipient"]))
        except crypto.SealBroken:
            continue
        _put(_kept(row) | {"body": json.loads(letter)["text"]}, "body")


def _taken(*further: sa.Column[Any]) -> list[dict[str, Any]]:
    """Read every row and drop the table."""
    old = _table(*further)
    rows = [dict(row) for row in op.get_bind().execute(sa.select(old)).mappings()]
    op.drop_index("ix_mail_outbox_sent_at_next_attempt_at", table_name="mail_outbox")
    op.drop_table("mail_outbox")
    return rows


def _create(*further: Any) -> None:
    op.create_table(
        "mail_outbox",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("recipient", sa.String(320), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("next_attempt_at", UtcDateTime, nullable=False),
        sa.Column("sent_at", UtcDateTime, nullable=True),
        sa.Column("last_error", sa.String(200), nullable=True),
        *further,
    )
    op.create_index("ix_mail_outbox_sent_at_next_attempt_at", "mail_outbox", ["sent_at", "next_attempt_at"])


def _put(row: dict[str, Any], *further: str) -> None:
    """Insert a row under a new id: a sequence that PostgreSQL keeps does not learn of ids that were given to it."""
    columns = [sa.Column(name, sa.LargeBinary if name == "sealed_letter" else sa.Text) for name in further]
    values = {name: value for name, value in row.items() if name != "id"}
    op.get_bind().execute(sa.insert(_table(*columns)).values(**values))


def _table(*further: sa.Column[Any]) -> sa.Table:
    kinds: dict[str, Any] = {"id": sa.Integer, "attempts": sa.Integer}
    kinds |= dict.fromkeys(("created_at", "next_attempt_at", "sent_at"), UtcDateTime)
    columns = [sa.Column(name, kinds.get(name, sa.Text)) for name in _KEPT]
    return sa.Table("mail_outbox", sa.MetaData(), *columns, *further)


def _kept(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in _KEPT}


def _sealed(row: dict[str, Any]) -> dict[str, Any]:
    message_id = crypto.random_token(18)
    letter = {"subject": row["subject"], "text": row["body"], "html": "", "language": "en"}
    sealed = crypto.seal(json.dumps(letter).encode(), aad=_aad(message_id, row["recipient"]))
    return {"message_id": message_id, "sealed_letter": sealed}


def _aad(message_id: str, recipient: str) -> str:
    return f"mail|{message_id}|{recipient}"
