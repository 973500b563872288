"""Consent: a person's yes to a client and scopes, asked once and remembered. The only owner of the table `consents`.

Our own applications do not ask. A client that cannot prove who it is (public, and answered at a port or scheme that any program
on the device may take) asks every time (F-16, RFC 8252 section 8.6).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import String, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from idp import audit, clients, clock
from idp.clients import Client
from idp.db import Json, UtcDateTime, db
from idp.language import gettext
from idp.oauth import claims, tokens
from idp.oauth.authorization_request import AuthorizationRequest
from idp.record import Record


class ConsentRow(db.Model):  # type: ignore[name-defined,misc]
    """What a person has allowed a client, all times together."""

    __tablename__ = "consents"

    sub: Mapped[str] = mapped_column(String(64), primary_key=True)
    client_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    scopes: Mapped[list[str]] = mapped_column(Json)
    granted_at: Mapped[datetime] = mapped_column(UtcDateTime)


_TABLE = ConsentRow.__table__


class Consent(Record):
    """One application that a person has allowed something."""

    client_id: str
    scopes: tuple[str, ...]
    granted_at: datetime


def scopes_of(request: AuthorizationRequest) -> tuple[str, ...]:
    """Return what the person is asked about: the scopes, and those that own the claims asked for one by one."""
    return tuple(dict.fromkeys((*request.scopes, *claims.scopes_behind(request.claims))))


def links_of(client: Client) -> list[dict[str, str]]:
    """Return what a client says about itself, to be followed by who wants to; never loaded by a page of ours (attack 65)."""
    said = (
        (gettext("Privacy policy"), client.policy_uri),
        (gettext("Terms of service"), client.tos_uri),
        (gettext("Home page"), client.client_uri),
        (gettext("Logo"), client.logo_uri),
    )
    return [{"label": label, "url": url, "host": urlsplit(url).hostname or ""} for label, url in said if url]


def owed(request: AuthorizationRequest, client: Client, remembered: Iterable[str], *, agreed: bool) -> bool:
    """Decide whether the person must be asked. Pure; `agreed`: they said yes to this very request.

    Authorization details are about one thing, not about a kind of thing: no earlier yes covers them.
    """
    if agreed or client.first_party:
        return False
    if "consent" in request.prompt or request.authorization_details:
        return True
    provable = not client.is_public or clients.identity_is_provable(request.reply.redirect_uri)
    return not provable or not set(scopes_of(request)) <= set(remembered)


def remembered(sub: str, client_id: str) -> frozenset[str]:
    """Return the scopes that a person has allowed a client."""
    found = db.session.connection().execute(select(_TABLE.c.scopes).where(_mine(sub, client_id))).scalar_one_or_none()
    return frozenset(found or ())


def hold(sub: str, client_id: str) -> frozenset[str]:
    """Return the scopes that a person has allowed a client, and keep the answer true until the commit (attack 55).

    Whoever takes the yes back meanwhile waits for the family that is being begun on it, and then ends that too; where they were first,
    there is no yes any more.
    """
    kept = update(_TABLE).where(_mine(sub, client_id)).values(granted_at=_TABLE.c.granted_at).returning(_TABLE.c.scopes)
    return frozenset(db.session.connection().execute(kept).scalar_one_or_none() or ())


def grant(sub: str, request: AuthorizationRequest, *, sid: str) -> None:
    """Remember a yes, beside what was allowed before."""
    scopes = sorted(remembered(sub, request.client_id) | set(scopes_of(request)))
    values = {"scopes": scopes, "granted_at": clock.now()}
    execute = db.session.connection().execute
    if execute(update(_TABLE).where(_mine(sub, request.client_id)).values(values)).rowcount == 0:
        try:
            with db.session.begin_nested():
                execute(insert(_TABLE).values(sub=sub, client_id=request.client_id, **values))
        except IntegrityError:  # two tabs at once: the later yes counts, and asks again for what it lacks
            execute(update(_TABLE).where(_mine(sub, request.client_id)).values(values))
    audit.record(
        audit.Event.CONSENT_GRANTED, subject=sub, actor=sub, client_id=request.client_id, sid=sid, scopes=scopes
    )


def deny(sub: str, request: AuthorizationRequest, *, sid: str) -> None:
    """Write down a no; it is not remembered, the person may think again."""
    scopes = list(scopes_of(request))
    audit.record(
        audit.Event.CONSENT_DENIED, subject=sub, actor=sub, client_id=request.client_id, sid=sid, scopes=scopes
    )


def revoke(sub: str, client_id: str, *, actor: str) -> bool:
    """Take a yes back and end all that was issued on it (attack 55). False if there was nothing to take back.

    In this order: the yes is gone, or free of whoever holds it, before the families are looked for, so that none comes after.
    """
    gone = db.session.connection().execute(delete(_TABLE).where(_mine(sub, client_id))).rowcount == 1
    ended = tokens.revoke_of_person(sub, because="consent_revoked", client_id=client_id)
    if gone or ended:
        audit.record(audit.Event.CONSENT_REVOKED, subject=sub, actor=actor, client_id=client_id, families=ended)
    return gone or ended > 0


def of(sub: str) -> list[Consent]:
    """Return what a person has allowed, newest first."""
    rows = db.session.connection().execute(
        select(_TABLE).where(_TABLE.c.sub == sub).order_by(_TABLE.c.granted_at.desc())
    )
    return [Consent(row.client_id, tuple(row.scopes), row.granted_at) for row in rows]


def _mine(sub: str, client_id: str) -> Any:
    return (_TABLE.c.sub == sub) & (_TABLE.c.client_id == client_id)
