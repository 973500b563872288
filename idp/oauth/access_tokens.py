"""Access tokens that come back to us: at UserInfo, introspection and revocation (RFC 9068 section 4).

A signed token is good until `exp` wherever it is checked offline. Here it is also held against its family and against the list
of single tokens that were revoked, which Redis keeps until they would have expired. An opaque one is good while Redis knows it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table, bindparam, literal_column, select

from idp import clients, clock, keys, kv
from idp.clients import Client
from idp.db import Prepared, ask
from idp.oauth import issuing, opaque, tokens
from idp.oauth.tokens import Family, FamilyRow

_FAMILIES: Table = FamilyRow.__table__

_LIVES = Prepared(
    select(literal_column("1").label("lives")).where(
        _FAMILIES.c.id == bindparam("family_id"), _FAMILIES.c.revoked_at.is_(None)
    )
)


def read(raw_token: str) -> tuple[dict[str, Any], Family | None] | None:
    """Return the claims of a living access token and its family (None for a machine's); None for anything else."""
    found = unrevoked(raw_token)
    if found is None:
        return None
    family_id = issuing.family_of(found[0]["jti"])
    if family_id is None:
        return found[0], None
    family = tokens.find_family(family_id)
    return None if family is None or family.revoked_at is not None else (found[0], family)


def find(raw_token: str) -> dict[str, Any] | None:
    """Return the claims of a living access token, for who needs nothing else of its family; None for anything else."""
    found = unrevoked(raw_token)
    if found is None:
        return None
    family_id = issuing.family_of(found[0]["jti"])
    return found[0] if family_id is None or ask(_LIVES, {"family_id": family_id}) else None


def unrevoked(raw_token: str) -> tuple[dict[str, Any], Client] | None:
    """Return the claims and the client of an access token that has not expired or been revoked by itself; None for anything else.

    Whether its family still lives is for the caller to ask.
    """
    claims = verify(raw_token)
    if claims is None or (_is_signed(raw_token) and _is_revoked(claims)):
        return None
    client = clients.find(claims["client_id"])
    return (claims, client) if client is not None else None


def verify(raw_token: str) -> dict[str, Any] | None:
    """Return the claims of an access token of ours that has not expired, revoked or not; None for anything else."""
    if not _is_signed(raw_token):
        return opaque.find(raw_token)
    try:
        return keys.verify(raw_token, typ=issuing.ACCESS_TOKEN_TYPE, unexpired=True)
    except keys.InvalidToken:
        return None


def revoke(raw_token: str, claims: dict[str, Any]) -> None:
    """Let one access token die before its time."""
    opaque.drop(raw_token)
    kv.client().set(_key(claims), "1", ex=max(1, claims["exp"] - clock.epoch()))


def _is_signed(raw_token: str) -> bool:
    """An opaque token has no dot, and needs no list of revoked ones: it is gone."""
    return "." in raw_token


def _is_revoked(claims: dict[str, Any]) -> bool:
    return bool(kv.call("EXISTS", _key(claims)))


def _key(claims: dict[str, Any]) -> str:
    return kv.key("revoked", claims["jti"])
