"""What applications hold of a person: their authorizations, living and ended, and when tokens were last issued on them. Only reads.

An access token that is signed and not stored leaves no trace when it is used; «last used» is when one was last issued.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select

from idp.db import db
from idp.oauth import consent
from idp.oauth.tokens import FamilyRow, RefreshTokenRow
from idp.record import Record


class Authorization(Record):
    """One authorization of a client: a token family with the time of its youngest token."""

    client_id: str
    sid: str
    scopes: tuple[str, ...]
    offline: bool  # outlives a plain sign-out
    created_at: datetime
    last_issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


class Reach(Record):
    """What one application was allowed, and what it holds now."""

    client_id: str
    scopes: tuple[str, ...]  # allowed by the person, and held by living authorizations
    allowed_at: datetime | None  # None: nobody was asked
    last_used_at: datetime | None
    living: tuple[Authorization, ...]


def authorizations_of(sub: str) -> list[Authorization]:
    """Return the authorizations of a person that are not forgotten yet (a day after their end), newest first."""
    family, token = FamilyRow.__table__.c, RefreshTokenRow.__table__
    issued = select(token.c.family_id, func.max(token.c.issued_at).label("at")).group_by(token.c.family_id).subquery()
    rows = db.session.execute(
        select(FamilyRow.__table__, issued.c.at)
        .outerjoin(issued, issued.c.family_id == family.id)
        .where(family.sub == sub)
        .order_by(family.created_at.desc(), family.id)
    )
    return [
        Authorization(
            client_id=row.client_id,
            sid=row.sid,
            scopes=tuple(row.scope.split()),
            offline=row.offline,
            created_at=row.created_at,
            last_issued_at=max(row.created_at, row.at or row.created_at),
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
        )
        for row in rows
    ]


def of(sub: str, *, now: datetime) -> list[Reach]:
    """Return every application that was allowed something or holds something, the most recently used first."""
    known = authorizations_of(sub)
    given = {one.client_id: one for one in consent.of(sub)}
    found = []
    for client_id in dict.fromkeys([*(one.client_id for one in known), *given]):
        theirs = [one for one in known if one.client_id == client_id]
        living = tuple(one for one in theirs if one.revoked_at is None and one.expires_at > now)
        if not living and client_id not in given:
            continue
        held = [scope for one in living for scope in one.scopes]
        allowed = given.get(client_id)
        scopes = tuple(sorted({*held, *(allowed.scopes if allowed else ())}))
        last = max((one.last_issued_at for one in theirs), default=None)
        found.append(Reach(client_id, scopes, allowed.granted_at if allowed else None, last, living))
    return found
