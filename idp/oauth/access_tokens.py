"""Access tokens that come back to us: at UserInfo, introspection and revocation (RFC 9068 section 4).

A signed token is good until `exp` wherever it is checked offline. Here it is also held against its family and against the list
of single tokens that were revoked, which Redis keeps until they would have expired. An opaque one is good while Redis knows it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table, bindparam, literal_column, select

from idp import clients, clock, keys, kv
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
    claims = unrevoked(raw_token)
    family_id = issuing.family_of(claims["jti"]) if claims is not None else None
    if claims is None or family_id is None:
        return None if claims is None else (claims, None)
    family = tokens.find_family(family_id)
    return None if family is None or family.revoked_at is not None else (claims, family)


def find(raw_token: str) -> dict[str, Any] | None:
    """Return the claims of a living access token, for who needs nothing else of its family; None for anything else."""
    claims = unrevoked(raw_token)
    family_id = issuing.family_of(claims["jti"]) if claims is not None else None
    return claims if family_id is None or ask(_LIVES, {"family_id": family_id}) else None


def unrevoked(raw_token: str) -> dict[str, Any] | None:
    """Return the claims of an access token that has not expired or been revoked by itself, of a client that is still there.

    Whether its family still lives is for the caller to ask.
    """
    claims = verify(raw_token)
    if claims is None or (_is_signed(raw_token) and _is_revoked(claims)):
        return None
    return claims if clients.find(claims["client_id"]) is not None else None


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
