"""Token families and refresh tokens: the only owner of their rows (RFC 6749 section 6, RFC 9700 section 4.14).

A family is everything that grew out of one authorization: it begins with the code and ends by itself, by revocation, or with
the SSO session that it belongs to. Access tokens are signed and not stored; they carry the family's id in front of their `jti`,
so that UserInfo and introspection know at once when a family is revoked.

Only statements of SQLAlchemy Core stand here: this is the busiest path of the server.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Boolean, ForeignKey, Index, String, Text, bindparam, delete, select, update
from sqlalchemy.orm import Mapped, mapped_column

from idp import clock, crypto, users
from idp.config import settings
from idp.db import Json, Prepared, UtcDateTime, ask, commit_if, db, stage
from idp.oauth.errors import CodeReplayed, RefreshTokenReused
from idp.oauth.resources import Asked
from idp.record import Record
from idp.sessions import SsoSession


class FamilyRow(db.Model):  # type: ignore[name-defined,misc]
    """One authorization of one client by one person. Bound to the SSO session unless it is an offline one."""

    __tablename__ = "token_families"
    __table_args__ = (
        Index("ix_token_families_sub", "sub", "client_id"),
        Index("ix_token_families_sid", "sid"),
        Index("ix_token_families_expires_at", "expires_at"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    client_id: Mapped[str] = mapped_column(String(64))
    sub: Mapped[str] = mapped_column(String(64))
    sid: Mapped[str] = mapped_column(String(64))
    offline: Mapped[bool] = mapped_column(Boolean)
    scope: Mapped[str] = mapped_column(Text)
    resources: Mapped[list[str]] = mapped_column(Json)
    claims: Mapped[dict[str, Any]] = mapped_column(Json)  # the `claims` parameter of the authorization request
    acr: Mapped[str] = mapped_column(String(255))
    amr: Mapped[str] = mapped_column(String(255))
    auth_time: Mapped[datetime] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)  # no refresh token of it lives longer
    authorization_details: Mapped[list[dict[str, Any]] | None] = mapped_column(Json)  # RFC 9396
    session_expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # of the SSO session, as it began (O-45)
    cnf: Mapped[dict[str, str] | None] = mapped_column(Json)  # of a public client: what its refresh tokens are bound to
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_because: Mapped[str | None] = mapped_column(String(64))


class RefreshTokenRow(db.Model):  # type: ignore[name-defined,misc]
    """One refresh token. Rotated ones stay until the family ends: that one of them comes back is the alarm."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (Index("ix_refresh_tokens_family_id", "family_id"),)

    digest: Mapped[str] = mapped_column(String(43), primary_key=True)
    family_id: Mapped[str] = mapped_column(ForeignKey("token_families.id", ondelete="CASCADE"))
    issued_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    rotated_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


_FAMILIES = FamilyRow.__table__
_TOKENS = RefreshTokenRow.__table__

# The statements of the busy path, built once.
_OF_FAMILY = (*_FAMILIES.c, users.is_active_clause(_FAMILIES.c.sub).label("person_is_active"))
_FIND_FAMILY = Prepared(select(*_OF_FAMILY).where(_FAMILIES.c.id == bindparam("family_id")))
_FIND = Prepared(
    select(_TOKENS.c.expires_at.label("idle_at"), _TOKENS.c.rotated_at, *_OF_FAMILY)
    .join(_FAMILIES, _FAMILIES.c.id == _TOKENS.c.family_id)
    .where(_TOKENS.c.digest == bindparam("sent"))
)
_ROTATE = (
    update(_TOKENS)
    .where(_TOKENS.c.digest == bindparam("sent"), _TOKENS.c.rotated_at.is_(None))
    .values(rotated_at=bindparam("now"))
)


class Family(Record):
    """What was authorized, by whom, for whom, and how the person had signed in."""

    id: str
    client_id: str
    sub: str
    sid: str
    offline: bool
    scope: str
    resources: tuple[str, ...]
    claims: dict[str, Any]
    acr: str
    amr: tuple[str, ...]
    auth_time: datetime
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    revoked_because: str | None
    authorization_details: tuple[dict[str, Any], ...] = ()
    session_expires_at: datetime | None = None
    cnf: dict[str, str] | None = None
    person_is_active: bool = True

    @property
    def granted(self) -> Asked:
        """Scopes and resources of the authorization."""
        return Asked(tuple(self.scope.split()), self.resources)

    @property
    def has_sign_in(self) -> bool:
        """Whether the person signed in here; if not, somebody vouched for them and there is no `acr` to tell."""
        return bool(self.sid)

    @property
    def is_live(self) -> bool:
        """Neither revoked nor past its end."""
        return self.revoked_at is None and clock.now() < self.expires_at

    @property
    def may_begin(self) -> bool:
        """Whether the one who took the code out of circulation is served. A replay that was revoked in the meantime does not
        turn the first call into a failure; its tokens are dead like those of any replayed code."""
        return self.is_live or self.revoked_because == CodeReplayed.event


class RefreshToken(Record):
    """A refresh token that was presented, with its family."""

    digest: str
    expires_at: datetime
    was_rotated: bool  # as of now; that it was not is told by `spend` alone
    family: Family

    @property
    def is_live(self) -> bool:
        """Neither idle for too long nor of a dead family. Whether it was rotated, `spend` finds out."""
        return self.family.is_live and clock.now() < self.expires_at

    def check_client(self, client: Any) -> bool:
        """Say whether the token belongs to a client (a name that Authlib calls)."""
        return bool(self.family.client_id == client.client_id)

    def get_scope(self) -> str:
        """Return the scope that a refresh may not exceed (a name that Authlib calls)."""
        return self.family.scope


# --- families -----------------------------------------------------------------------------------------------------


def open_family(
    session: SsoSession,
    *,
    client_id: str,
    granted: Asked,
    claims: dict[str, Any],
    offline: bool,
    authorization_details: Sequence[dict[str, Any]] = (),
) -> Family:
    """Begin a family when its code is issued: from then on everything that ends the session finds it.

    It ends with the session's own absolute limit, or, if it is an offline one, after `refresh_absolute_s`.
    """
    now = clock.now()
    limit = now + timedelta(seconds=settings().oauth.refresh_absolute_s)
    row = {
        "id": crypto.uuid7(),
        "client_id": client_id,
        "sub": session.sub,
        "sid": session.sid,
        "offline": offline,
        "scope": " ".join(granted.scopes),
        "resources": list(granted.resources),
        "claims": claims,
        "acr": session.acr,
        "amr": " ".join(session.amr),
        "auth_time": session.auth_time,
        "created_at": now,
        "expires_at": limit if offline else min(limit, session.expires_at),
        "authorization_details": list(authorization_details) or None,
        "session_expires_at": session.expires_at,
        "cnf": None,
        "revoked_at": None,
        "revoked_because": None,
    }
    stage(_FAMILIES, row)
    return _family(row)


def open_vouched(sub: str, *, client_id: str, granted: Asked, lifetime_s: int) -> Family:
    """Begin the family of one access token for a person who did not sign in here: somebody trusted vouched for them (RFC 7523).

    It has no session and no refresh token; what ends everything of a person ends it too.
    """
    now = clock.now()
    row = {
        "id": crypto.uuid7(),
        "client_id": client_id,
        "sub": sub,
        "sid": "",
        "offline": False,
        "scope": " ".join(granted.scopes),
        "resources": list(granted.resources),
        "claims": {},
        "acr": "",
        "amr": "",
        "auth_time": now,
        "created_at": now,
        "expires_at": now + timedelta(seconds=lifetime_s),
        "authorization_details": None,
        "session_expires_at": None,
        "cnf": None,
        "revoked_at": None,
        "revoked_because": None,
    }
    stage(_FAMILIES, row)
    return _family(row)


def find_family(family_id: str) -> Family | None:
    """Return a family, living or dead, or None."""
    found = ask(_FIND_FAMILY, {"family_id": family_id})
    return _family(found[0]) if found else None


def find_in_session(sid: str, *, client_id: str) -> Family | None:
    """Return the newest living family of a client in an SSO session, or None: what an ID token, which names none, stands for."""
    living = (_FAMILIES.c.revoked_at.is_(None)) & (_FAMILIES.c.expires_at > clock.now())
    which = select(*_OF_FAMILY).where(_FAMILIES.c.sid == sid, _FAMILIES.c.client_id == client_id, living)
    row = (
        _execute(which.order_by(_FAMILIES.c.created_at.desc(), _FAMILIES.c.id.desc()).limit(1)).mappings().one_or_none()
    )
    return _family(row) if row is not None else None


def bind(family: Family, cnf: dict[str, str]) -> None:
    """Bind the refresh tokens of a family to a key of the client's, when the first is issued (RFC 8705 section 4)."""
    _execute(update(_FAMILIES).where(_FAMILIES.c.id == family.id).values(cnf=cnf))


def revoke_family(family_id: str, *, because: str) -> bool:
    """End a family and everything that was issued from it. False if it had ended before."""
    return _revoke(_FAMILIES.c.id == family_id, because) == 1


def revoke_of_session(sid: str, *, because: str, offline_too: bool) -> int:
    """End the families of an SSO session; offline ones outlive a plain sign-out (F-9, O-41)."""
    of_session = _FAMILIES.c.sid == sid
    return _revoke(of_session if offline_too else of_session & _FAMILIES.c.offline.is_(False), because)


def revoke_of_person(sub: str, *, because: str, client_id: str | None = None, except_sid: str | None = None) -> int:
    """End every family of a person; only those of one client, or all but those of one session, if named."""
    which = _FAMILIES.c.sub == sub
    if client_id is not None:
        which &= _FAMILIES.c.client_id == client_id
    if except_sid is not None:
        which &= _FAMILIES.c.sid != except_sid
    return _revoke(which, because)


def clients_of_session(sid: str) -> list[str]:
    """Return the clients that took part in an SSO session, whether or not their family still lives."""
    which = select(_FAMILIES.c.client_id).where(_FAMILIES.c.sid == sid).distinct()
    return sorted(_execute(which).scalars())


def prune() -> int:
    """Forget families that ended more than a day ago, and their refresh tokens; returns how many."""
    long_ago = clock.now() - timedelta(days=1)
    gone = select(_FAMILIES.c.id).where(_FAMILIES.c.expires_at < long_ago)
    _execute(delete(_TOKENS).where(_TOKENS.c.family_id.in_(gone)))
    return int(_execute(delete(_FAMILIES).where(_FAMILIES.c.expires_at < long_ago)).rowcount)


# --- refresh tokens -----------------------------------------------------------------------------------------------


def issue(family: Family) -> str:
    """Make a refresh token of a family and return it; we keep its digest."""
    raw_token, now = crypto.random_token(), clock.now()
    idle = now + timedelta(seconds=settings().oauth.refresh_idle_s)
    row = {
        "digest": crypto.digest(raw_token),
        "family_id": family.id,
        "issued_at": now,
        "expires_at": min(idle, family.expires_at),
        "rotated_at": None,
    }
    stage(_TOKENS, row)
    return raw_token


def find(raw_token: str) -> RefreshToken | None:
    """Return a refresh token with its family, rotated and expired ones too, or None."""
    digest = crypto.digest(raw_token)
    found = ask(_FIND, {"sent": digest})
    if not found:
        return None
    row = found[0]
    return RefreshToken(digest, row["idle_at"], row["rotated_at"] is not None, _family(row))


def spend(token: RefreshToken) -> None:
    """Rotate this token, and with that commit its successor and all that is staged, for whoever comes first (RFC 9700 section 4.14.2).

    Everybody after that raises RefreshTokenReused, and nothing of theirs is written; the caller revokes the family. There is no grace
    period in which a replaced token still works, not even for a client that lost the answer on the way: a thief who is fast would
    have it too, and twenty parallel uses must have one success (attacks 53, 56; docs/decisions.md).
    """
    if not commit_if(_ROTATE, {"sent": token.digest, "now": clock.now()}):
        raise RefreshTokenReused(token.family.id)


# --- inside -------------------------------------------------------------------------------------------------------


def _execute(statement: Any) -> Any:
    return db.session.execute(statement)


def _revoke(which: Any, because: str) -> int:
    living = which & _FAMILIES.c.revoked_at.is_(None)
    values = {"revoked_at": clock.now(), "revoked_because": because}
    return int(_execute(update(_FAMILIES).where(living).values(values)).rowcount)


def _family(row: Any) -> Family:
    return Family(
        id=row["id"],
        client_id=row["client_id"],
        sub=row["sub"],
        sid=row["sid"],
        offline=bool(row["offline"]),
        scope=row["scope"],
        resources=tuple(row["resources"]),
        claims=row["claims"] or {},
        acr=row["acr"],
        amr=tuple(row["amr"].split()),
        auth_time=row["auth_time"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        revoked_because=row["revoked_because"],
        authorization_details=tuple(row["authorization_details"] or ()),
        session_expires_at=row["session_expires_at"],
        cnf=row["cnf"],
        person_is_active=bool(row.get("person_is_active", True)),
    )
