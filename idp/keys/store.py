"""keys.store — the life of a signing key.

pending   published so that relying apps know it before they meet it; does not sign yet
active    signs; one per algorithm
retiring  signs no more, stays published until every token that it signed has expired and caches have forgotten it (O-8)
retired   not published; its private half is destroyed

Two partial unique indexes allow one active and one pending key per algorithm, and every step is one conditional statement, so that
workers which start or rotate at the same moment end with one key.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite

from idp import audit, clock, crypto
from idp.audit import Event
from idp.config import settings
from idp.db import db
from idp.errors import BadInput, Conflict, NotFound
from idp.keys import ring
from idp.keys.algorithms import ALGORITHMS, Algorithm, PrivateKey, private_bytes, public_jwk
from idp.keys.model import SIGNING_KEYS as KEYS
from idp.record import Record

JWKS_MAX_AGE_S = 300  # how long relying apps may keep the published set; the endpoint says so
PUBLISH_AHEAD = timedelta(seconds=3 * JWKS_MAX_AGE_S)


class KeyInfo(Record):
    """What may be known of a key."""

    kid: str
    alg: str
    status: str
    created_at: datetime
    activates_at: datetime
    activated_at: datetime | None
    retires_at: datetime | None
    retired_at: datetime | None


def search() -> list[KeyInfo]:
    """Return all keys, by algorithm, the newest first."""
    wanted = select(*(KEYS.c[field.name] for field in fields(KeyInfo)))
    rows = db.session.execute(wanted.order_by(KEYS.c.alg, KEYS.c.created_at.desc())).all()
    return [KeyInfo(*row) for row in rows]


def ensure() -> int:
    """Make an active key for every algorithm of the settings that has none. Safe when several workers start at once."""
    present = {key.alg for key in search() if key.status == "active"}
    return sum(_create(alg, "active", actor=None) for alg in settings().oauth.signing_algs if alg not in present)


def rotate(alg: str | None = None, *, actor: str | None = None, at_once: bool = True) -> None:
    """Give one algorithm, or all of the settings, a new key beside the old one, which stays published for the overlap.

    At once: the new key signs from now on; relying apps that meet an unknown `kid` fetch the set again. Otherwise it is published first
    and `promote_due` lets it sign later, as the schedule does. Raises BadInput for an unknown algorithm.
    """
    if alg is not None and alg not in ALGORITHMS:
        raise BadInput({"alg": [f"An algorithm is one of {', '.join(ALGORITHMS)}."]})
    for name in (alg,) if alg else settings().oauth.signing_algs:
        if not any(key.alg == name and key.status == "pending" for key in search()):
            _create(name, "pending", actor=actor, signs_in=timedelta() if at_once else PUBLISH_AHEAD)
        if at_once:
            _promote(name, actor=actor)


def promote_due() -> int:
    """Take every step whose time has come: let pending keys sign, retire what nobody needs, begin overdue rotations."""
    now = clock.now()
    due = [key for key in search() if key.status == "pending" and key.activates_at <= now]
    done = [
        key for key in search() if key.status == "retiring" and key.retires_at is not None and key.retires_at <= now
    ]
    steps = sum(_promote(key.alg, actor=None) for key in due)
    steps += sum(_retire(key, reason="overlap is over", actor=None) for key in done)
    return steps + sum(_create(alg, "pending", actor=None, signs_in=PUBLISH_AHEAD) for alg in _overdue(now))


def keep_fresh() -> int:
    """The hourly job: every algorithm has a key, and every key is as young as the settings demand."""
    return ensure() + promote_due()


def withdraw(kid: str, *, actor: str | None = None) -> None:
    """Retire a compromised key now, without overlap: what it signed is worth nothing from here on. Raises NotFound."""
    found = next((key for key in search() if key.kid == kid and key.status != "retired"), None)
    if found is None:
        raise NotFound("There is no such key in use.")
    if found.status == "active":
        rotate(found.alg, actor=actor)
    _retire(found, reason="withdrawn", actor=actor)


def overlap() -> timedelta:
    """Return how long a replaced key stays published: as configured, and longer than any token and cache lives (O-8)."""
    oauth = settings().oauth
    lives_s = [oauth.access_token_s, oauth.id_token_s, *(r.access_token_s or 0 for r in settings().resources)]
    return max(timedelta(days=oauth.key_overlap_days), timedelta(seconds=max(lives_s) + JWKS_MAX_AGE_S))


def _overdue(now: datetime) -> list[str]:
    """Return the algorithms whose active key is old and has no successor in waiting."""
    oldest = now - timedelta(days=settings().oauth.key_rotation_days) + PUBLISH_AHEAD
    found = search()
    waiting = {key.alg for key in found if key.status == "pending"}
    old = [key.alg for key in found if key.status == "active" and (key.activated_at or key.created_at) <= oldest]
    return [alg for alg in old if alg not in waiting]


def _create(alg: str, status: str, *, actor: str | None, signs_in: timedelta = timedelta()) -> bool:
    """Insert a new key unless somebody was faster. The key is made before the first lock is taken: RSA takes its time."""
    row = _new_row(alg, status, signs_in)
    dialect = postgresql if db.engine.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(KEYS).values(**row).on_conflict_do_nothing().returning(KEYS.c.kid)
    if db.session.connection().execute(statement).first() is None:
        return False
    audit.record(Event.KEY_CREATED, actor=actor, kid=row["kid"], alg=alg, status=status)
    ring.invalidate()
    return True


def _made(algorithm: Algorithm) -> tuple[PrivateKey, dict[str, str]]:
    """Make a key. A name that begins with a dash would be an option to `idp keys withdraw`; such a key is made again."""
    private = algorithm.make()
    public = public_jwk(algorithm, private)
    return _made(algorithm) if public["kid"].startswith("-") else (private, public)


def _new_row(alg: str, status: str, signs_in: timedelta) -> dict[str, Any]:
    (private, public), now = _made(ALGORITHMS[alg]), clock.now()
    return {
        "kid": public["kid"],
        "alg": alg,
        "status": status,
        "sealed_private": crypto.seal(private_bytes(private), aad=f"signing-key:{public['kid']}"),
        "public_jwk": public,
        "created_at": now,
        "activates_at": now + signs_in,
        "activated_at": now if status == "active" else None,
    }


def _promote(alg: str, *, actor: str | None) -> bool:
    """Let the pending key sign and the active one retire slowly; nothing when somebody else does it at this moment.

    Both are found by one statement: between two, a rival could turn the pending key into the active one, and we would retire it.
    """
    now, both = clock.now(), {key.status: key for key in search() if key.alg == alg}
    new, old = both.get("pending"), both.get("active")
    if new is None:
        return False
    if old is not None and not _move(old.kid, "active", status="retiring", retires_at=now + overlap()):
        return False
    if not _move(new.kid, "pending", status="active", activated_at=now):
        raise Conflict(detail=f"the pending {alg} key was withdrawn at this moment")
    if old is not None:
        audit.record(Event.KEY_ROTATED, actor=actor, kid=old.kid, alg=alg, successor=new.kid)
    audit.record(Event.KEY_ACTIVATED, actor=actor, kid=new.kid, alg=alg)
    return True


def _retire(key: KeyInfo, *, reason: str, actor: str | None) -> bool:
    done = _move(
        key.kid, "pending", "active", "retiring", status="retired", retired_at=clock.now(), sealed_private=None
    )
    if done:
        audit.record(Event.KEY_RETIRED, actor=actor, reason=reason, kid=key.kid, alg=key.alg)
    return done


def _move(kid: str, *from_: str, **values: Any) -> bool:
    """Take a key from one state to the next, once, whoever else is trying."""
    statement = update(KEYS).where(KEYS.c.kid == kid, KEYS.c.status.in_(from_)).values(**values)
    ring.invalidate()
    return db.session.connection().execute(statement).rowcount == 1
