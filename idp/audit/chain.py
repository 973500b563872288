"""audit.chain — the tables of the chain and its arithmetic: what one event's hash is made of (standards L-6)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import BigInteger, Connection, LargeBinary, String, Table, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.orm import Mapped, mapped_column

from idp.audit.text import canonical, rfc3339
from idp.audit.trail import AuditEvent
from idp.db import UtcDateTime, db

GENESIS = "0" * 64
VERSION = 2  # of what a hash covers: 1 left `id` out; events that were sealed so are still read so


class AuditHead(db.Model):  # type: ignore[misc,name-defined]
    """Where the chain ends: one row, moved only by compare-and-swap, so that two sealers never number the same event."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str] = mapped_column(String(64))
    checkpoint_seq: Mapped[int] = mapped_column(BigInteger)
    newest_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # time of the event numbered last


class AuditKey(db.Model):  # type: ignore[misc,name-defined]
    """An Ed25519 key that signs checkpoints and manifests; its private half is sealed to its row."""

    __tablename__ = "audit_keys"

    kid: Mapped[str] = mapped_column(String(64), primary_key=True)
    public_key: Mapped[str] = mapped_column(String(64))
    sealed_private: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class AuditCheckpoint(db.Model):  # type: ignore[misc,name-defined]
    """A signed statement: up to event `seq` the chain ended in `hash`."""

    __tablename__ = "audit_checkpoints"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[str] = mapped_column(String(64))
    at: Mapped[str] = mapped_column(String(32))
    kid: Mapped[str] = mapped_column(String(64))
    signature: Mapped[str] = mapped_column(String(128))


EVENTS: Table = AuditEvent.__table__
HEAD: Table = AuditHead.__table__
KEYS: Table = AuditKey.__table__
CHECKPOINTS: Table = AuditCheckpoint.__table__


def lock_head(connection: Connection) -> RowMapping:
    """Return the head, kept from other sealers until the end of the transaction."""
    if connection.dialect.name == "sqlite":  # a write is what takes SQLite's lock
        connection.execute(update(HEAD).values(seq=HEAD.c.seq))
    return connection.execute(select(HEAD).with_for_update()).mappings().one()


def facts(row: Mapping[Any, Any], *, version: int = VERSION) -> dict[str, Any]:
    """Return what the hash of an event covers, for a row of `audit_events`, in the present form or in an older one."""
    covered = {
        "v": version,
        "id": row["id"],
        "seq": row["seq"],
        "event_id": row["event_id"],
        "time": rfc3339(row["time"]),
        "event": row["event"],
        "outcome": row["outcome"],
        "reason": row["reason"],
        "actor": row["actor"],
        "subject": row["subject"],
        "client_id": row["client_id"],
        "sid": row["sid"],
        "address": row["address"],
        "user_agent": row["user_agent"],
        "request_id": row["request_id"],
        "acr": row["acr"],
        "amr": row["amr"].split(),
        "details": orjson.loads(row["details"]),
    }
    if version == 1:
        del covered["id"]
    return covered


def sealed_facts(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the facts of a sealed event in the form in which it was sealed; of one that fits none, in the present form.

    Which form it was is told by the hash and by nothing that could be rewritten beside it.
    """
    present = facts(row)
    older = facts(row, version=1)
    fits_older = link(row["prev_hash"], present) != row["hash"] == link(row["prev_hash"], older)
    return older if fits_older else present


def link(prev_hash: str, covered: Mapping[str, Any]) -> str:
    """Return the hash of an event: SHA-256 over the hash before it (32 bytes) and the canonical JSON of its facts."""
    return hashlib.sha256(bytes.fromhex(prev_hash) + canonical(covered)).hexdigest()
