"""Opaque access tokens: random text that means something only here, for resources with `token_format = "opaque"`.

Redis keeps what the token stands for under its digest until it expires, so that who reads Redis has no token. A resource asks
introspection; a revoked token is gone at once everywhere, which a signed one is not.
"""

from __future__ import annotations

from typing import Any

import orjson

from idp import clock, crypto, kv

PREFIX = "oat_"  # for people and for programs that look for leaked secrets


def issue(claims: dict[str, Any]) -> str:
    """Put a token into circulation until `exp` and return it: 256 random bits."""
    raw_token = PREFIX + crypto.random_token()
    kv.call("SET", _key(raw_token), orjson.dumps(claims), "EX", max(1, claims["exp"] - clock.epoch()))
    return raw_token


def find(raw_token: str) -> dict[str, Any] | None:
    """Return the claims of a token that has not expired or been dropped, or None."""
    if not raw_token.startswith(PREFIX):
        return None
    kept = kv.call("GET", _key(raw_token))
    claims: dict[str, Any] | None = orjson.loads(str(kept)) if kept else None
    return claims if claims is not None and claims["exp"] > clock.epoch() else None


def drop(raw_token: str) -> None:
    """Take a token out of circulation."""
    if raw_token.startswith(PREFIX):
        kv.client().delete(_key(raw_token))


def _key(raw_token: str) -> str:
    return kv.key("opaque", crypto.digest(raw_token))
