"""Telling applications that a session has ended: OpenID Connect Back-Channel Logout 1.0 (O-38 to O-40, O-44).

Every client that took part in the session, and registered a `backchannel_logout_uri`, gets one row in an outbox, in the same
transaction as the end of the session. A job delivers after the commit, so that nobody's sign-out waits for an application:
claimed by one conditional statement (several nodes may run the job), all of a batch at once, each for at most five seconds.
A logout token says who and which session, lives two minutes, and is made afresh for every attempt.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Index, String, UniqueConstraint, delete, func, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from idp import audit, clients, clock, crypto, keys
from idp.clients import Client
from idp.config import settings
from idp.db import UtcDateTime, db
from idp.oauth import backchannel_wire, subjects, tokens
from idp.oauth.backchannel_wire import Answer
from idp.record import Record

EVENT = "http://schemas.openid.net/event/backchannel-logout"
TOKEN_TYPE = "logout+jwt"  # noqa: S105 — a media type (section 2.4)
TOKEN_S = 120
MAX_ATTEMPTS = 10  # with doubling waits from 30 s: over four hours
MAX_AGE = timedelta(hours=24)  # nobody who was away for so long still has a session to end
FIRST_WAIT_S = 30  # longer than a whole batch may take, so that a claim outlives its attempt
KEPT = timedelta(days=7)  # finished rows stay readable so long; the audit keeps what happened
BATCH = 100
SHARE = 20  # of a batch for one client: the backlog of a dead application does not hold up the others

WAITING, DELIVERED, FAILED = "waiting", "delivered", "failed"
OUTCOMES = (WAITING, DELIVERED, FAILED)


class DeliveryRow(db.Model):  # type: ignore[name-defined,misc]
    """One client that is to hear of the end of one session; `finished_at` is None while that is still to be tried."""

    __tablename__ = "logout_deliveries"
    __table_args__ = (
        UniqueConstraint("sid", "client_id"),
        Index("ix_logout_deliveries_finished_at_next_attempt_at", "finished_at", "next_attempt_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[str] = mapped_column(String(64))
    sub: Mapped[str] = mapped_column(String(64))
    sid: Mapped[str] = mapped_column(String(64))
    cause: Mapped[str] = mapped_column(String(64))
    outcome: Mapped[str] = mapped_column(String(16), default=WAITING)
    attempts: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str | None] = mapped_column(String(200), default=None)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    next_attempt_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)


_ROWS = DeliveryRow.__table__


class Delivery(Record):
    """A row of the outbox as operators see it."""

    id: int
    client_id: str
    sub: str
    sid: str
    cause: str
    outcome: str
    attempts: int
    last_error: str | None
    created_at: datetime
    next_attempt_at: datetime
    finished_at: datetime | None


# --- staging ------------------------------------------------------------------------------------------------------


def stage(*, sub: str, sid: str, cause: str) -> int:
    """Note in the caller's transaction who must hear that this session ended; returns how many. Twice is as good as once."""
    noted = set(db.session.connection().execute(select(_ROWS.c.client_id).where(_ROWS.c.sid == sid)).scalars())
    now = clock.now()
    rows = [
        {"client_id": client.client_id, "sub": sub, "sid": sid, "cause": cause, "outcome": WAITING,
         "attempts": 0, "created_at": now, "next_attempt_at": now}
        for client in participants(sid)
        if client.backchannel_logout_uri and client.client_id not in noted
    ]  # fmt: skip
    if rows:
        db.session.connection().execute(insert(_ROWS), rows)
    return len(rows)


def participants(sid: str) -> list[Client]:
    """Return the clients that received a code or tokens on this session and are still registered."""
    found = (clients.find(client_id) for client_id in tokens.clients_of_session(sid))
    return [client for client in found if client is not None]


# --- the logout token ---------------------------------------------------------------------------------------------


def logout_token(client: Client, *, sub: str, sid: str) -> str:
    """Make a logout token (section 2.4). It has no nonce, and a `typ` of its own: nobody can take it for an ID token."""
    now = clock.epoch()
    claims = {
        "iss": settings().server.issuer,
        "sub": subjects.of(client, sub),
        "aud": client.client_id,
        "iat": now,
        "exp": now + TOKEN_S,
        "jti": crypto.random_token(16),
        "sid": sid,
        "events": {EVENT: {}},
    }
    return keys.sign(claims, typ=TOKEN_TYPE, alg=client.id_token_signed_response_alg)


# --- delivery -----------------------------------------------------------------------------------------------------


def deliver_pending(*, batch: int = BATCH) -> int:
    """Deliver what is due, a batch at once; returns how many applications were told. Commits by itself.

    200 and 204 are a success, 400 says that trying again is useless, everything else is tried again later (section 2.8).
    """
    claimed = [row for row_id in _due(batch) if (row := _claim(row_id)) is not None]
    db.session.commit()  # others must see the claims before we talk to anybody
    letters = [_letter(row) for row in claimed]
    db.session.commit()  # no transaction stays open while we wait for others
    answers = backchannel_wire.post_all([letter for letter in letters if not isinstance(letter, Answer)])
    told = 0
    for row, letter in zip(claimed, letters, strict=True):
        told += _settle(row, letter if isinstance(letter, Answer) else next(answers))
    return told


def _due(batch: int) -> list[int]:
    """Choose what to try now: fresh rows before repeated ones, and no client more than its share."""
    waiting = select(_ROWS.c.id, _ROWS.c.client_id).where(
        _ROWS.c.finished_at.is_(None), _ROWS.c.next_attempt_at <= clock.now()
    )
    chosen: list[int] = []
    per_client: Counter[str] = Counter()
    for row_id, client_id in db.session.connection().execute(
        waiting.order_by(_ROWS.c.attempts, _ROWS.c.id).limit(10 * batch)
    ):
        if per_client[client_id] < SHARE and len(chosen) < batch:
            per_client[client_id] += 1
            chosen.append(row_id)
    return chosen


def _claim(row_id: int) -> Delivery | None:
    """Take a row for this attempt by moving its next one ahead, in one statement; None if another node was faster."""
    now, connection = clock.now(), db.session.connection()
    row = connection.execute(select(_ROWS).where(_ROWS.c.id == row_id)).mappings().one_or_none()
    if row is None:
        return None
    still_due = (_ROWS.c.id == row_id) & _ROWS.c.finished_at.is_(None) & (_ROWS.c.next_attempt_at <= now)
    attempts = row["attempts"] + 1
    claim = update(_ROWS).where(still_due, _ROWS.c.attempts == row["attempts"])
    values = {"attempts": attempts, "next_attempt_at": now + timedelta(seconds=wait_s(attempts))}
    if connection.execute(claim.values(values)).rowcount != 1:
        return None
    return Delivery(**{**row, **values})


def wait_s(attempts: int) -> float:
    """Return how long to wait after so many attempts: doubled each time, up to a quarter more so that nodes spread."""
    return float(FIRST_WAIT_S * 2 ** (attempts - 1) * random.uniform(1.0, 1.25))  # noqa: S311 - jitter


def _letter(row: Delivery) -> backchannel_wire.Letter | Answer:
    """Write the letter, or say at once why there is none to write."""
    client = clients.find(row.client_id)
    if client is None or not client.backchannel_logout_uri:
        return Answer(None, "it is not registered for this any more", final=True)
    try:
        raw_token = logout_token(client, sub=row.sub, sid=row.sid)
    except keys.NoSigningKey:
        return Answer(None, f"there is no {client.id_token_signed_response_alg} key to sign with")
    return backchannel_wire.Letter(client.backchannel_logout_uri, raw_token)


def _settle(row: Delivery, answer: Answer) -> bool:
    """Write down how one attempt went, and commit: what one application did is not undone by trouble with the next."""
    over = answer.final or row.attempts >= MAX_ATTEMPTS or clock.now() - row.created_at > MAX_AGE
    outcome = DELIVERED if answer.accepted else FAILED if over else WAITING
    values: dict[str, Any] = {"outcome": outcome, "last_error": answer.problem}
    if outcome != WAITING:
        values["finished_at"] = clock.now()
        happened = audit.Event.LOGOUT_DELIVERED if outcome == DELIVERED else audit.Event.LOGOUT_FAILED
        audit.record(happened, subject=row.sub, client_id=row.client_id, sid=row.sid, reason=answer.problem,
                     cause=row.cause, attempts=row.attempts)  # fmt: skip
    db.session.connection().execute(update(_ROWS).where(_ROWS.c.id == row.id).values(values))
    db.session.commit()
    return answer.accepted


# --- for operators and the purge ----------------------------------------------------------------------------------


def search(*, client_id: str | None = None, outcome: str | None = None, limit: int = 100) -> list[Delivery]:
    """Return deliveries, the newest first."""
    wanted = select(_ROWS).order_by(_ROWS.c.id.desc()).limit(limit)
    if client_id is not None:
        wanted = wanted.where(_ROWS.c.client_id == client_id)
    if outcome is not None:
        wanted = wanted.where(_ROWS.c.outcome == outcome)
    return [Delivery(**row) for row in db.session.connection().execute(wanted).mappings()]


def troubled() -> dict[str, int]:
    """Return the applications that could not be told, or only after several attempts, in the last week, and how often."""
    hard = (_ROWS.c.outcome == FAILED) | (_ROWS.c.finished_at.is_(None) & (_ROWS.c.attempts >= 3))
    wanted = select(_ROWS.c.client_id, func.count()).where(hard).group_by(_ROWS.c.client_id).order_by(_ROWS.c.client_id)
    found = db.session.connection().execute(wanted).all()
    return {client_id: count for client_id, count in found if clients.find(client_id) is not None}


def prune() -> int:
    """Forget deliveries that were finished a week ago; returns how many."""
    old = _ROWS.c.finished_at < clock.now() - KEPT
    return int(db.session.connection().execute(delete(_ROWS).where(old)).rowcount)
