"""audit.trail — writing down what happened: one row, in the transaction of the change that it reports (standards L-1, L-3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, Integer, String, Table, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from idp import clock, crypto, metrics, present, web
from idp.audit.events import Event
from idp.audit.text import clean, details_json, spaced
from idp.audit.together import Committer
from idp.db import UtcDateTime, db, prepared, stage
from idp.db.session import lines_of

Serial = BigInteger().with_variant(Integer(), "sqlite")


class AuditEvent(db.Model):  # type: ignore[misc,name-defined]
    """One event. Append-only: triggers let nobody change more than the three sealing columns, and those once.

    `id` is the order of arrival and finds rows; `seq` is the gapless number that the sealer gives and the chain proves.
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        Index("ix_audit_events_unsealed", "id", sqlite_where=text("seq IS NULL"), postgresql_where=text("seq IS NULL")),
        Index("ix_audit_events_time", "time"),
        Index("ix_audit_events_event", "event", "id"),
        Index("ix_audit_events_subject", "subject", "id"),
        Index("ix_audit_events_client", "client_id", "id"),
        Index("ix_audit_events_address", "address", "id"),
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    event_id: Mapped[str] = mapped_column(String(36))
    time: Mapped[datetime] = mapped_column(UtcDateTime)
    event: Mapped[str] = mapped_column(String(64))
    outcome: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(255))
    actor: Mapped[str | None] = mapped_column(String(255))
    subject: Mapped[str | None] = mapped_column(String(255))
    client_id: Mapped[str | None] = mapped_column(String(255))
    sid: Mapped[str | None] = mapped_column(String(255))
    address: Mapped[str | None] = mapped_column(String(64))
    user_agent: Mapped[str | None] = mapped_column(String(512))
    request_id: Mapped[str | None] = mapped_column(String(64))
    acr: Mapped[str | None] = mapped_column(String(255))
    amr: Mapped[str] = mapped_column(String(255))  # separated by spaces
    details: Mapped[str] = mapped_column(Text)  # canonical JSON, kept as text: its bytes are what the chain hashes
    seq: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    prev_hash: Mapped[str | None] = mapped_column(String(64))
    hash: Mapped[str | None] = mapped_column(String(64))


_BESIDE: ContextVar[Mapping[str, str]] = ContextVar("beside", default={})  # noqa: B039 — read only
_TABLE: Table = AuditEvent.__table__


def record(
    event: Event,
    *,
    subject: str | None = None,
    actor: str | None = None,
    client_id: str | None = None,
    sid: str | None = None,
    outcome: str | None = None,
    reason: str | None = None,
    acr: str | None = None,
    amr: Sequence[str] = (),
    **details: Any,
) -> None:
    """Stage one event in the caller's transaction: committed with the change, or gone with it.

    `outcome` is "success" or "failure"; without it the event's usual one. `subject` is whom it happened to, `actor` who did it
    when that is somebody else (a `sub`, or a name such as "cli"). Address, User-Agent and request id come from the request.
    `details` are small plain facts. Raises SecretRefused for a detail that is named like a secret.
    """
    row = _row(event, outcome, reason, actor, subject, client_id, sid, acr, amr, details)
    stage(_TABLE, row)
    metrics.count_event(event.value, outcome=row["outcome"], details=details)


def record_apart(
    event: Event, *, client_id: str | None = None, actor: str | None = None, sid: str | None = None, **details: Any
) -> None:
    """Write down an event that comes with no change of its own, in one transaction with those of other requests.

    The answer of the running request leaves when the event is durable; if it cannot be written the answer is 503 and not what
    the view said. Outside a request it is `record`.
    """
    if web.context().request_id is None:
        record(event, client_id=client_id, actor=actor, sid=sid, **details)
        return
    row = _row(event, None, None, actor, None, client_id, sid, None, (), details)
    web.hold_answer(_committer().add(row))
    metrics.count_event(event.value, outcome=row["outcome"], details=details)


def _committer() -> Committer:
    kept: Committer | None = present.app().extensions.get("idp.audit.committer")
    if kept is None:
        lines = lines_of(db.engine)
        kept = Committer(lambda rows: prepared.write(lines, [(_TABLE, row) for row in rows]))
        kept = present.app().extensions.setdefault("idp.audit.committer", kept)
    return kept


def _row(
    event: Event,
    outcome: str | None,
    reason: str | None,
    actor: str | None,
    subject: str | None,
    client_id: str | None,
    sid: str | None,
    acr: str | None,
    amr: Sequence[str],
    details: dict[str, Any],
) -> dict[str, Any]:
    seen = web.context()
    return {
        "event_id": crypto.uuid7(),
        "time": clock.now(),
        "event": event.value,
        "outcome": _outcome(event, outcome),
        "reason": _short(reason),
        "actor": _short(actor),
        "subject": _short(subject),
        "client_id": _short(client_id),
        "sid": _short(sid),
        "address": _short(seen.address, 64),
        "user_agent": _short(seen.user_agent, 512),
        "request_id": _short(seen.request_id, 64),
        "acr": _short(acr),
        "amr": spaced(clean(" ".join(amr), 255)) if amr else "",
        "details": details_json({**_BESIDE.get(), **details}),
    }


@contextmanager
def beside(**details: str) -> Iterator[None]:
    """Write these facts beside every event of the block: what is known of whoever works there."""
    before = _BESIDE.set(details)
    try:
        yield
    finally:
        _BESIDE.reset(before)


def _outcome(event: Event, outcome: str | None) -> str:
    if outcome is None:
        return event.outcome
    if outcome not in ("success", "failure"):
        raise ValueError(f"an outcome is success or failure, not {outcome!r}")
    return outcome


def _short(value: str | None, limit: int = 255) -> str | None:
    return None if value is None else clean(value, limit)
