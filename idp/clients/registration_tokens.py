"""Tokens of dynamic registration: the only owner of `initial_access_tokens` and `client_registrations` (RFC 7591, RFC 7592).

An initial access token lets somebody register so many applications until a day; a registration access token lets one application
manage itself, and is replaced with every change. Of both we keep a digest. Both say which scopes may be registered: what an
application may ask people for is decided by whoever gave the first token away, and never by the application.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Integer, String, delete, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from idp import audit, clock, crypto
from idp.db import Json, UtcDateTime, db
from idp.errors import BadInput, NotFound
from idp.record import Record

ID_LENGTH = 12  # characters of the digest that name a token to people


class InitialAccessTokenRow(db.Model):  # type: ignore[name-defined,misc]
    """One token for so many registrations."""

    __tablename__ = "initial_access_tokens"

    digest: Mapped[str] = mapped_column(String(43), primary_key=True)
    label: Mapped[str] = mapped_column(String(100))
    scopes: Mapped[list[str]] = mapped_column(Json)
    uses_left: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


class RegistrationRow(db.Model):  # type: ignore[name-defined,misc]
    """A client that registered itself, and the token with which it comes back."""

    __tablename__ = "client_registrations"

    client_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    digest: Mapped[str] = mapped_column(String(43))
    scopes: Mapped[list[str]] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


_INITIAL = InitialAccessTokenRow.__table__
_REGISTRATIONS = RegistrationRow.__table__


class InitialAccessToken(Record):
    """An initial access token as people see it; the token itself is nowhere."""

    id: str
    label: str
    scopes: tuple[str, ...]
    uses_left: int
    created_at: datetime
    expires_at: datetime


class Registration(Record):
    """What a client that registered itself may register."""

    client_id: str
    scopes: tuple[str, ...]
    created_at: datetime


# --- initial access tokens ----------------------------------------------------------------------------------------


def create(
    *, label: str, scopes: tuple[str, ...], uses: int, expires_at: datetime, actor: str | None = None
) -> tuple[InitialAccessToken, str]:
    """Make an initial access token; returns it and its text, which nobody can read again. Raises BadInput."""
    if not 1 <= uses <= 10_000 or expires_at <= clock.now() or not 1 <= len(label) <= 100:
        raise BadInput(public="A token needs a label, 1 to 10000 uses and an end in the future.")
    raw_token = crypto.random_token()
    row = {
        "digest": crypto.digest(raw_token),
        "label": label,
        "scopes": list(scopes),
        "uses_left": uses,
        "created_at": clock.now(),
        "expires_at": expires_at,
    }
    _execute(insert(_INITIAL).values(row))
    made = _initial(row)
    audit.record(
        audit.Event.REGISTRATION_TOKEN_CREATED, actor=actor, grant=made.id, label=label, uses=uses, scopes=list(scopes)
    )
    return made, raw_token


def find_initial(raw_token: str) -> InitialAccessToken | None:
    """Return a token that is good for another registration now; None when it is unknown, used up, expired or revoked."""
    row = _execute(select(_INITIAL).where(_good(raw_token))).mappings().one_or_none()
    return _initial(row) if row is not None else None


def spend(raw_token: str) -> bool:
    """Take one use of a token, whoever else is trying. False when there is none left."""
    values = {"uses_left": _INITIAL.c.uses_left - 1}
    return bool(_execute(update(_INITIAL).where(_good(raw_token)).values(values)).rowcount == 1)


def _good(raw_token: str) -> Any:
    mine = _INITIAL.c.digest == crypto.digest(raw_token)
    return mine & (_INITIAL.c.uses_left > 0) & (_INITIAL.c.expires_at > clock.now())


def search() -> list[InitialAccessToken]:
    """Return every initial access token that was not revoked, newest first."""
    rows = _execute(select(_INITIAL).order_by(_INITIAL.c.created_at.desc())).mappings()
    return [_initial(row) for row in rows]


def revoke(token_id: str, *, actor: str | None = None) -> None:
    """Forget an initial access token; clients that it registered stay. Raises NotFound."""
    named = _INITIAL.c.digest.startswith(token_id, autoescape=True)
    if len(token_id) != ID_LENGTH or _execute(delete(_INITIAL).where(named)).rowcount < 1:
        raise NotFound("There is no such registration token.")
    audit.record(audit.Event.REGISTRATION_TOKEN_REVOKED, actor=actor, grant=token_id)


# --- registration access tokens -----------------------------------------------------------------------------------


def bind(client_id: str, *, scopes: tuple[str, ...]) -> str:
    """Make the registration access token of a new client and return it."""
    raw_token = crypto.random_token()
    row = {
        "client_id": client_id,
        "digest": crypto.digest(raw_token),
        "scopes": list(scopes),
        "created_at": clock.now(),
    }
    _execute(insert(_REGISTRATIONS).values(row))
    return raw_token


def find(client_id: str, raw_token: str) -> Registration | None:
    """Return a client's registration if the token is its own (attack 68), else None."""
    row = _execute(select(_REGISTRATIONS).where(_REGISTRATIONS.c.client_id == client_id[:64])).mappings().one_or_none()
    if not crypto.same(row["digest"] if row else crypto.digest(""), crypto.digest(raw_token)) or row is None:
        return None
    return Registration(row["client_id"], tuple(row["scopes"]), row["created_at"])


def rotate(client_id: str, raw_token: str) -> str | None:
    """Put a new registration access token in the place of this one; None for whoever is not the first."""
    fresh = crypto.random_token()
    mine = (_REGISTRATIONS.c.client_id == client_id) & (_REGISTRATIONS.c.digest == crypto.digest(raw_token))
    changed = _execute(update(_REGISTRATIONS).where(mine).values(digest=crypto.digest(fresh))).rowcount
    return fresh if changed == 1 else None


def forget(client_id: str, raw_token: str) -> bool:
    """Take a registration access token out of use for good; true for one caller."""
    mine = (_REGISTRATIONS.c.client_id == client_id) & (_REGISTRATIONS.c.digest == crypto.digest(raw_token))
    return bool(_execute(delete(_REGISTRATIONS).where(mine)).rowcount == 1)


def forget_client(client_id: str) -> None:
    """Take the registration access token of a client that was deleted out of use: nobody inherits it with the id."""
    _execute(delete(_REGISTRATIONS).where(_REGISTRATIONS.c.client_id == client_id))


def prune() -> int:
    """Forget initial access tokens that expired more than a day ago; returns how many."""
    return int(_execute(delete(_INITIAL).where(_INITIAL.c.expires_at < clock.now() - timedelta(days=1))).rowcount)


def _initial(row: Any) -> InitialAccessToken:
    return InitialAccessToken(
        row["digest"][:ID_LENGTH],
        row["label"],
        tuple(row["scopes"]),
        row["uses_left"],
        row["created_at"],
        row["expires_at"],
    )


def _execute(statement: Any) -> Any:
    return db.session.execute(statement)
