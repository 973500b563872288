"""audit: the trail, its chain, its checkpoints — and triggers that keep an application's mistakes from rewriting history"""

import sqlalchemy as sa
from alembic import op

from idp.db import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

GENESIS = "0" * 64
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
FACTS = (
    "id", "event_id", "time", "event", "outcome", "reason", "actor", "subject", "client_id", "sid", "address", "user_agent",
    "request_id", "acr", "amr", "details",
)  # fmt: skip
TABLES = ("audit_events", "audit_checkpoints", "audit_keys", "audit_head")
REFUSAL = "is append-only: what happened is not rewritten"


def upgrade() -> None:
    """Create the four tables, then close them."""
    _events()
    _chain()
    op.execute(f"INSERT INTO audit_head (id, seq, hash, checkpoint_seq) VALUES (1, 0, '{GENESIS}', 0)")
    if op.get_bind().dialect.name == "postgresql":
        _close_on_postgresql()
    else:
        _close_on_sqlite()


def downgrade() -> None:
    """Drop everything; triggers go with their tables."""
    for table in TABLES:
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        for function in ("audit_events_guard", "audit_head_guard", "audit_refuse"):
            op.execute(f"DROP FUNCTION {function}()")


def _events() -> None:
    op.create_table(
        "audit_events",
        sa.Column("id", SERIAL, primary_key=True, autoincrement=True),
        sa.Column("event_id", sa.String(36), nullable=False),
        sa.Column("time", UtcDateTime(), nullable=False),
        sa.Column("event", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(255)),
        sa.Column("actor", sa.String(255)),
        sa.Column("subject", sa.String(255)),
        sa.Column("client_id", sa.String(255)),
        sa.Column("sid", sa.String(255)),
        sa.Column("address", sa.String(64)),
        sa.Column("user_agent", sa.String(512)),
        sa.Column("request_id", sa.String(64)),
        sa.Column("acr", sa.String(255)),
        sa.Column("amr", sa.String(255), nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("seq", sa.BigInteger),
        sa.Column("prev_hash", sa.String(64)),
        sa.Column("hash", sa.String(64)),
        sa.UniqueConstraint("seq", name="uq_audit_events_seq"),
        sqlite_autoincrement=True,  # a number that was used is never used again
    )
    unsealed = sa.text("seq IS NULL")
    op.create_index(
        "ix_audit_events_unsealed", "audit_events", ["id"], sqlite_where=unsealed, postgresql_where=unsealed
    )
    op.create_index("ix_audit_events_time", "audit_events", ["time"])
    for name, column in (
        ("event", "event"), ("subject", "subject"), ("client", "client_id"), ("address", "address"),
    ):  # fmt: skip
        op.create_index(f"ix_audit_events_{name}", "audit_events", [column, "id"])


def _chain() -> None:
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("checkpoint_seq", sa.BigInteger, nullable=False),
        sa.Column("newest_at", UtcDateTime()),
        sa.CheckConstraint("id = 1", name="one_row"),
    )
    op.create_table(
        "audit_keys",
        sa.Column("kid", sa.String(64), primary_key=True),
        sa.Column("public_key", sa.String(64), nullable=False),
        sa.Column("sealed_private", sa.LargeBinary, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
    )
    op.create_table(
        "audit_checkpoints",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("kid", sa.String(64), nullable=False),
        sa.Column("signature", sa.String(128), nullable=False),
    )


def _close_on_sqlite() -> None:
    changed = " OR ".join(f"NEW.{fact} IS NOT OLD.{fact}" for fact in FACTS)
    allowed = {
        "audit_events": f"WHEN OLD.seq IS NOT NULL OR NEW.seq IS NULL OR {changed}",
        "audit_head": "WHEN NEW.seq < OLD.seq OR NEW.checkpoint_seq < OLD.checkpoint_seq OR NEW.id <> OLD.id",
    }
    for table in TABLES:
        refuse = f"BEGIN SELECT RAISE(ABORT, '{table} {REFUSAL}'); END"
        op.execute(f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {allowed.get(table, '')} {refuse}")
        op.execute(f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}")


def _close_on_postgresql() -> None:
    _function("audit_refuse", f"RAISE EXCEPTION '% {REFUSAL}', TG_TABLE_NAME;")
    before, after = (", ".join(f"{row}.{fact}" for fact in FACTS) for row in ("OLD", "NEW"))
    _function(
        "audit_events_guard",
        f"IF OLD.seq IS NOT NULL OR NEW.seq IS NULL OR ({before}) IS DISTINCT FROM ({after}) THEN"
        f" RAISE EXCEPTION 'audit_events {REFUSAL}'; END IF; RETURN NEW;",
    )
    _function(
        "audit_head_guard",
        "IF NEW.seq < OLD.seq OR NEW.checkpoint_seq < OLD.checkpoint_seq OR NEW.id <> OLD.id THEN"
        f" RAISE EXCEPTION 'audit_head {REFUSAL}'; END IF; RETURN NEW;",
    )
    guards = {"audit_events": "audit_events_guard", "audit_head": "audit_head_guard"}
    for table in TABLES:
        guard = guards.get(table, "audit_refuse")
        _trigger(table, "no_update", "UPDATE", "ROW", guard)
        _trigger(table, "no_delete", "DELETE", "ROW", "audit_refuse")
        _trigger(table, "no_truncate", "TRUNCATE", "STATEMENT", "audit_refuse")


def _function(name: str, body: str) -> None:
    op.execute(f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$")


def _trigger(table: str, suffix: str, on: str, level: str, function: str) -> None:
    op.execute(f"CREATE TRIGGER {table}_{suffix} BEFORE {on} ON {table} FOR EACH {level} EXECUTE FUNCTION {function}()")
