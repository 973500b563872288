"""Access tokens that come back to us: at UserInfo, introspection and revocation (RFC 9068 section 4).

A signed token is good until `exp` wherever it is checked offline. Here it is also held against its family and against the list
of single tokens that were revoked, which Redis keeps until they would have expired. An opaque one is good while Redis knows it.
"""

from __future__ import annotations

from typing import Any

from idp import clients, clock, keys, kv
from idp.oauth import issuing, opaque, tokens
from idp.oauth.tokens import Family


def read(raw_token: str) -> tuple[dict[str, Any], Family | None] | None:
    """Return the claims of a living access token and its family (None for a machine's); None for anything else."""
    claims = verify(raw_token)
    if claims is None or (_is_signed(raw_token) and _is_revoked(claims)):
        return None
    if clients.find(claims["client_id"]) is None:
        return None
    family_id = issuing.family_of(claims["jti"])
    if family_id is None:
        return claims, None
    family = tokens.find_family(family_id)
    if family is None or family.revoked_at is not None:
        return None
    return claims, family


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
