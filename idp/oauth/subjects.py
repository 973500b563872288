"""Subjects: by which name a client knows a person (OIDC Core 8, O-32). The only owner of the table `pairwise_keys`.

A client with public subjects sees the person's own. A pairwise client sees a keyed digest over its sector and the person, so that
two sectors cannot find out that they speak of the same one. Inside this server (families, audit, consents) it is always
the person's own subject; `of` translates at the last moment, in everything that the client can read: ID token, UserInfo, access
token, introspection, logout token. So an access token names a person as its client knows them, and a protected resource
that must recognise people across sectors is asked through clients with public subjects.

The key of the digest is made once and sealed in the database: a rotated sealing key must not rename everybody.
"""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy import LargeBinary, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from idp import clock, crypto, present
from idp.clients import Client
from idp.crypto import base64url
from idp.db import UtcDateTime, db
from idp.users import SUBJECT_PREFIX

PAIRWISE = "pairwise"
_AAD = "pairwise-key"
_CACHED = "idp.pairwise_key"
_ONLY = 1  # the id of the one row
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class PairwiseKeyRow(db.Model):  # type: ignore[name-defined,misc]
    """The one key of all pairwise subjects; losing it would rename every person at every pairwise client."""

    __tablename__ = "pairwise_keys"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sealed_key: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


_TABLE = PairwiseKeyRow.__table__


def of(client: Client, sub: str) -> str:
    """Return the subject under which this client knows a person."""
    if client.subject_type != PAIRWISE:
        return sub
    message = f"{sector(client)}\n{sub}".encode()
    return SUBJECT_PREFIX + base64url(hmac.digest(_key(), message, "sha256"))


def names(client: Client, told: str | None, sub: str) -> bool:
    """Say whether what a client (or an ID token of its) calls a person means this one."""
    return told is not None and crypto.same(told, of(client, sub))


def sector(client: Client) -> str:
    """Return the host that stands for the client's sector (OIDC Core 8.1).

    A client without a host of its own is a sector by itself: device clients, and native ones on loopback, which all would share.
    """
    uri = client.sector_identifier_uri or next(iter(client.redirect_uris), "")
    host = urlsplit(uri).hostname
    return host if host and (client.sector_identifier_uri or host not in _LOOPBACK) else client.client_id


def _key() -> bytes:
    known: bytes | None = present.app().extensions.get(_CACHED)
    if known is not None:
        return known
    sealed, is_new = _find(), False
    if sealed is None:
        sealed, is_new = _make()
    key = crypto.unseal(sealed, aad=_AAD)
    if not is_new and not db.session.info.get(_CACHED):
        present.app().extensions[_CACHED] = key
    return key


def _find() -> bytes | None:
    found: bytes | None = db.session.connection().execute(select(_TABLE.c.sealed_key)).scalar_one_or_none()
    return found


def _make() -> tuple[bytes, bool]:
    """Insert the key; whoever comes second takes the first one's. It is cached only by a later transaction: this one may fail."""
    sealed = crypto.seal(secrets.token_bytes(32), aad=_AAD)
    try:
        with db.session.begin_nested():
            values = {"id": _ONLY, "sealed_key": sealed, "created_at": clock.now()}
            db.session.connection().execute(insert(_TABLE), values)
    except IntegrityError:
        there = _find()
        return (there, False) if there is not None else (sealed, True)
    db.session.info[_CACHED] = True
    return sealed, True
